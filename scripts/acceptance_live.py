"""Deploy the bundled application on loopback with a stub for its model, and judge it there: the phase post.

    .venv/bin/python scripts/acceptance_live.py [arguments for pytest]

Runs in the folder whose ``app/`` is deployed. Database, log and everything else lie in a temporary folder. Stub and server end
with this process, whatever ends it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from gonogo.stub.remote import served_stub
from gonogo.targets.faults import ENVIRONMENT

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PATIENCE = 30.0  # seconds for the application to come up


@dataclass(frozen=True)
class Deployment:
    """A running application and the stub that it asks."""

    url: str
    stub: str
    log: Path
    process: subprocess.Popen[bytes]


class NotDeployed(Exception):
    """The application does not come up; the message holds the end of its log."""


@contextmanager
def deployed(root: Path, stub: str, *, settings: Mapping[str, str] | None = None) -> Iterator[Deployment]:
    """The application in ``root`` under gunicorn, over a database of its own, with this stub for its model.

    Its model's time limit is a second and it does not wait between attempts, so that faults take no longer than they must.

    Raises:
        NotDeployed: it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="gonogo-live-") as folder:
        environ = {
            **os.environ,
            **ENVIRONMENT,  # what must not be told to anybody
            "BLOG_DATABASE_URL": f"sqlite:///{folder}/blog.sqlite3",
            "BLOG_LLM_BASE_URL": stub,
            "BLOG_LLM_TIMEOUT": "1",
            "BLOG_LLM_BACKOFF": "0",
            **(settings or {}),
        }
        python = [sys.executable, "-P", "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); "]
        flask = [*python[:-1], python[-1] + "from flask.cli import main; main()", str(root)]
        log = Path(folder) / "server.log"
        with log.open("wb") as output, socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            done = subprocess.run(
                [*flask, "--app", "app.wsgi", "init-db"],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
            if done.returncode:
                raise NotDeployed(f"init-db ended with status {done.returncode}: {_end_of(log)}")
            gunicorn = [*python[:-1], python[-1] + "from gunicorn.app.wsgiapp import run; run()", str(root)]
            process = subprocess.Popen(
                [
                    *gunicorn,
                    *("--config", "python:app.server", "--bind", f"fd://{listening.fileno()}"),
                    *("--threads", "8", "--graceful-timeout", "5"),
                    "app.wsgi:application",
                ],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[listening.fileno()],
                preexec_fn=_end_with_parent,
            )
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            _wait_until_ready(url, process, log)
            yield Deployment(url, stub, log, process)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not on the way to this machine
        while time.monotonic() < until:
            if process.poll() is not None:
                raise NotDeployed(f"the application ended with status {process.returncode}: {_end_of(log)}")
            try:
                if session.get(f"{url}/readyz", timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.05)
    raise NotDeployed(f"the application is not ready after {_PATIENCE:g} s: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-5:]) or "(no output)"


def main(arguments: Sequence[str]) -> int:
    """Deploy, judge, stop; the status of pytest."""
    root = Path.cwd()
    try:
        with (
            served_stub([root / "fixtures" / "recordings" / "2.0.0"]) as stub,
            deployed(root, stub) as live,
        ):
            live_arguments = ["--gonogo-phase=post", f"--gonogo-target={live.url}", f"--gonogo-stub={live.stub}"]
            suites = [] if any(one.startswith("acceptance") for one in arguments) else ["acceptance/"]
            command = [sys.executable, "-m", "pytest", *suites, *live_arguments, *arguments]
            return subprocess.run(command, check=False).returncode
    except NotDeployed as problem:
        sys.stderr.write(f"live: {problem}\n")
        return 1
    except KeyboardInterrupt:
        return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(2))  # so that what was started is stopped
    sys.exit(main(sys.argv[1:]))
