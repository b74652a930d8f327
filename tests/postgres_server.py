"""A PostgreSQL server for tests, from the programs that the machine has installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

__all__ = ["served_postgres"]


@contextmanager
def served_postgres() -> Iterator[str]:
    """A server with data of its own until the block ends; the URL of its database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("pg_ctl")
    if not found and not on_path:
        pytest.fail("no PostgreSQL server found; install one (on Debian and Ubuntu: apt-get install postgresql)")
    binaries = found[-1].parent if found else Path(str(on_path)).parent
    # the server refuses to run as root; then it runs as the user that came with its installation
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # not under pytest's folder, into which another user may not look
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    if prefix:
        shutil.chown(home, "postgres")

    def run(*command: str) -> None:
        done = subprocess.run([*prefix, *command], cwd=home, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.fail(f"{command[0]} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")

    data = home / "data"
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
    options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    pg_ctl = str(binaries / "pg_ctl")
    try:
        run(str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        # with its log in a file: a server that kept our pipe would keep us waiting for the pipe's end
        run(pg_ctl, "-D", str(data), "-w", "-o", options, "-l", str(home / "log"), "start")
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
