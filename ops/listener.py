"""The listening socket outlives every release and every call of the deployer: a small process holds it and hands it out.

Clients that come while nothing serves wait in its queue. A caller gets the socket over ``run/listener.sock``, which only the
site's owner may open. On a host with systemd a socket unit does the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ops.errors import Refused
from ops.files import write_whole
from ops.processes import Process, this_process
from ops.site import Site

__all__ = ["BACKLOG", "address", "base_url", "holder", "listening", "stop_holder"]

BACKLOG = 2048
_PATIENCE = 10.0  # seconds for a holder to come up
_PIDFD_GETFD = 438  # the number of the system call, the same on every architecture


def listening(site: Site, masters: Iterable[Process]) -> socket.socket:
    """The site's listening socket: from its holder; from a master that serves where the holder is gone; else a new one.

    Raises:
        Refused: the address is taken, or the socket cannot be had from whoever has it.
    """
    held = _fetch(site)
    if held is not None:
        return held
    found = _of_a_master(site, masters)
    fresh = found if found is not None else _bound(site)
    host, port = fresh.getsockname()[:2]
    write_whole(site.run / "address.json", json.dumps({"host": host, "port": port}) + "\n")
    _start_holder(site, fresh)
    return fresh


def address(site: Site) -> tuple[str, int] | None:
    """Host and port that the site listens on, or last listened on."""
    try:
        data = json.loads((site.run / "address.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return data["host"], data["port"]


def base_url(site: Site) -> str:
    """Where the site is asked from this machine.

    Raises:
        Refused: it has not listened anywhere yet.
    """
    known = address(site)
    if known is None:
        raise Refused(f"{site.run}/address.json: the site has not listened anywhere yet; deploy a release")
    host, port = known
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def holder(site: Site) -> Process | None:
    """The process that holds the socket, where it is there."""
    try:
        process = Process.read(json.loads((site.run / "listener.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return process if process.alive else None


def stop_holder(site: Site) -> None:
    """End the holder: from here on nobody can connect."""
    process = holder(site)
    if process is not None:
        process.send(signal.SIGTERM)
        if not process.wait(5):
            process.kill_session()


@contextmanager
def _in_folder(folder: Path, name: str) -> Iterator[str]:
    """A path for a socket, however deep the folder lies: such paths hold no more than 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def _fetch(site: Site) -> socket.socket | None:
    with socket.socket(socket.AF_UNIX) as channel, _in_folder(site.run, "listener.sock") as path:
        channel.settimeout(_PATIENCE)
        try:
            channel.connect(path)
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
            return None
        except TimeoutError:
            raise Refused(
                f"{site.run}/listener.sock: the holder of the listening socket does not answer within {_PATIENCE:g} s; "
                f"end it (kill -9 {_number(holder(site))}) and call again: a release that serves is not touched by that"
            ) from None
    return socket.socket(fileno=descriptors[0]) if descriptors else None


def _number(process: Process | None) -> str:
    return str(process.pid) if process else "PID"


def _of_a_master(site: Site, masters: Iterable[Process]) -> socket.socket | None:
    """The listening socket out of a master that serves."""
    known = address(site)
    for master in masters:
        if not master.alive:
            continue
        try:
            for entry in Path(f"/proc/{master.pid}/fd").iterdir():
                if not os.readlink(entry).startswith("socket:"):
                    continue
                descriptor = _taken(master.pid, int(entry.name))
                candidate = socket.socket(fileno=descriptor)
                if _listens(candidate) and (known is None or candidate.getsockname()[:2] == known):
                    return candidate
                candidate.close()
        except FileNotFoundError:
            continue  # it has just ended, or closed one
        except PermissionError as error:
            raise Refused(
                f"the holder of the listening socket is gone, and process {master.pid}, which serves, does not hand it over "
                f"({error}); call as root, or accept a short outage: `stop`, then `recover`"
            ) from error
    return None


def _listens(candidate: socket.socket) -> bool:
    return candidate.family in (socket.AF_INET, socket.AF_INET6) and bool(
        candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )


def _taken(pid: int, number: int) -> int:
    """A duplicate of a descriptor of another process (pidfd_getfd(2), which Python does not know)."""
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        taken = libc.syscall(_PIDFD_GETFD, process, number, 0)
        if taken < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        fcntl.fcntl(taken, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        return int(taken)
    finally:
        os.close(process)


def _bound(site: Site) -> socket.socket:
    host, port = site.settings.host, site.settings.port
    last = address(site)
    ports = [last[1], 0] if port == 0 and last and last[0] == host else [port]
    problem: OSError | None = None
    for one in ports:
        try:
            family = socket.getaddrinfo(host, one, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, one), family=family, backlog=BACKLOG)
        except OSError as error:
            problem = error
    raise Refused(
        f"site.toml: host = {host!r}, port = {port}: cannot listen there ({problem}); "
        "end what listens there, or write another address"
    ) from problem


def _start_holder(site: Site, fresh: socket.socket) -> None:
    """A holder in a session of its own, so that it ends with nobody but itself."""
    started = subprocess.Popen(
        [sys.executable, "-m", "ops.listener", str(site.folder), str(fresh.fileno())],
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(site.logs / "listener.log").open("ab"),
        pass_fds=[fresh.fileno()],
        start_new_session=True,
    )
    assert started.stdout is not None
    with started.stdout as told:
        if told.readline() != b"holding\n":
            raise Refused(f"{site.logs}/listener.log: the holder of the listening socket did not start; see there why")
    started.returncode = 0  # it is meant to outlive this process, which says so to Popen


def _hold(site_folder: Path, descriptor: int) -> None:
    """What the holder does until SIGTERM: hand the socket to each caller."""
    run = site_folder / "run"
    # held for as long as this process lives: there are never two holders
    with (run / "listener.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"{time.ctime()}: another process holds the socket of {site_folder}\n")
            sys.exit(1)
        os.umask(0o177)
        with socket.socket(fileno=descriptor) as held, socket.socket(socket.AF_UNIX) as calls:
            with _in_folder(run, ".listener.sock.new") as path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                calls.bind(path)
            calls.listen(8)
            write_whole(run / "listener.json", json.dumps(asdict(this_process())) + "\n")
            (run / ".listener.sock.new").rename(run / "listener.sock")
            sys.stdout.write("holding\n")
            sys.stdout.flush()
            os.close(1)
            while True:
                caller, _ = calls.accept()
                with caller, contextlib.suppress(OSError):  # whoever asked may be gone
                    socket.send_fds(caller, [b"s"], [held.fileno()])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    _hold(Path(sys.argv[1]), int(sys.argv[2]))
