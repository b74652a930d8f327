"""Starts of releases under gunicorn: each a master of its own with its own configuration, metrics, ready files and log."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ops.errors import Refused
from ops.files import write_whole
from ops.processes import Process
from ops.site import Site

__all__ = [
    "Start",
    "end",
    "environment",
    "is_ready",
    "next_id",
    "prune",
    "read_start",
    "start",
    "starts",
    "wait_until_ready",
]

MARGIN = 2.0  # seconds beyond the drain before a master is ended by force
_LISTENING, _WORD = 3, 4  # the descriptors of the listening socket and of the deployer's word in a master
_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ")
_STARTS_KEPT = 10
_LOG_READ = 16_384  # characters
_RAISED = re.compile(r"\b[A-Za-z_][\w.]*(?:Error|Exception): [^\n\\\"]+")


@dataclass(frozen=True)
class Start:
    """One start of a release. ``trial``: on a socket of its own. Without a process it was never let run."""

    id: str
    version: str
    trial: bool
    workers: int
    process: Process | None = None

    @property
    def alive(self) -> bool:
        """Whether its master runs."""
        return self.process is not None and self.process.alive

    @property
    def remains(self) -> bool:
        """Whether its master or a worker runs."""
        return self.process is not None and (self.process.alive or any(self.process.session()))


def starts(site: Site) -> list[Start]:
    """Every start that the site remembers, the oldest first."""
    found = [read_start(site, folder.name) for folder in sorted(site.starts.iterdir())]
    return [one for one in found if one is not None]


def read_start(site: Site, name: str) -> Start | None:
    """The start of that id; None where it got no further than its name."""
    try:
        data = json.loads((site.starts / name / "start.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    process = data.pop("process")
    return Start(**data, process=Process.read(process) if process else None)


def next_id(site: Site, version: str) -> str:
    """An id that no start has had yet."""
    names = [path.name for path in (*site.starts.iterdir(), *site.logs.glob("*.log"))]
    numbers = [int(match[0]) for name in names if (match := re.match(r"\d{6}", name))]
    return f"{max(numbers, default=0) + 1:06d}-{version}"


def start(
    site: Site, id: str, version: str, listening: socket.socket, *, trial: bool, held: Callable[[str], None]
) -> Start:
    """Start a release on a listening socket. ``held`` is told where the process is there and not yet written down.

    Raises:
        Refused: the release is not there, or the interpreter cannot be run.
    """
    settings = site.settings
    tree = site.releases / version
    if not tree.is_dir():
        raise Refused(f"{tree}: there is no such release; add it with `add TREE --version {version}`")
    folder = site.starts / id
    for name in ("ready", "metrics"):
        (folder / name).mkdir(mode=0o700, parents=True)
    made = Start(id, version, trial, 1 if trial else settings.workers)
    _write(site, made)
    write_whole(folder / "gunicorn.conf.py", _configuration(site, made, tree))
    launch = Path(__file__).with_name("launch.py")
    command = [settings.python, "-P", str(launch), str(tree), str(_WORD)]
    command += ["--config", str(folder / "gunicorn.conf.py"), "app.wsgi:application"]
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with _log(site, id) as log, os.fdopen(reader, "rb"), os.fdopen(writer, "wb", buffering=0) as word:
        try:
            # high numbers, as one that is copied to must not be one that is still to be copied from
            copies = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 32) for one in (listening.fileno(), reader, log)]
            pid = os.posix_spawn(
                settings.python,
                command,
                environment(site, folder / "metrics"),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    *((os.POSIX_SPAWN_DUP2, copies[2], number) for number in (1, 2)),
                    (os.POSIX_SPAWN_DUP2, copies[0], _LISTENING),
                    (os.POSIX_SPAWN_DUP2, copies[1], _WORD),
                ],
                setsid=True,  # so that whatever it starts can be found, and no terminal ends it
            )
            for one in copies:
                os.close(one)
        except OSError as error:
            raise Refused(f"site.toml: python = {settings.python!r} cannot be run ({error}); correct it") from error
        held("spawned")
        process = Process.of(pid)
        if process is None:
            raise Refused(f"{site.logs / id}.log: the process ended at once; see there why")
        made = replace(made, process=process)
        _write(site, made)
        try:
            word.write(b"g")
        except BrokenPipeError:
            raise Refused(f"{site.logs / id}.log: the process ended at once; see there why") from None
    return made


def environment(site: Site, metrics: Path | None = None) -> dict[str, str]:
    """What the application finds in its environment: a few names of ours, and what site.toml says."""
    passed = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    told = {"BLOG_METRICS_DIR": str(metrics)} if metrics else {}
    return {**passed, **told, **site.settings.environment}


@contextmanager
def _log(site: Site, id: str) -> Iterator[int]:
    descriptor = os.open(site.logs / f"{id}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(site: Site, made: Start) -> None:
    write_whole(site.starts / made.id / "start.json", json.dumps(asdict(made)) + "\n")


def _configuration(site: Site, made: Start, tree: Path) -> str:
    """gunicorn's configuration: the release's own where it has one, and over it what the deployment needs."""
    settings = site.settings
    own = "from app.server import *  # noqa: F403\n\n" if (tree / "app" / "server.py").is_file() else ""
    folder = site.starts / made.id
    return (
        f"{own}from pathlib import Path\n\n"
        f'bind = ["fd://{_LISTENING}"]\n'
        f'worker_class = "gthread"\n'
        f"workers = {made.workers}\n"
        f"threads = {settings.threads}\n"
        f"keepalive = 5\n"
        f"graceful_timeout = {max(1, round(settings.drain_seconds))}\n"
        f"control_socket_disable = True\n"
        f"preload_app = False\n"
        f"daemon = False\n"
        f"pidfile = None\n"
        f"proc_name = {made.id!r}\n"
        f'_own = globals().get("post_worker_init")\n\n\n'
        f"def post_worker_init(worker):\n"
        f"    if _own is not None:\n"
        f"        _own(worker)\n"
        f"    Path({str(folder / 'ready')!r}, str(worker.pid)).touch()\n"
    )


def is_ready(site: Site, one: Start) -> bool:
    """Whether every worker of a start has loaded the application and accepts."""
    if not one.alive:
        return False
    assert one.process is not None
    alive = {process.pid for process in one.process.session()}
    ready = {int(path.name) for path in (site.starts / one.id / "ready").iterdir()}
    return len(alive & ready) >= one.workers


def wait_until_ready(site: Site, one: Start) -> None:
    """Wait until a start is ready.

    Raises:
        Refused: it has ended, or takes longer than ``ready_seconds``.
    """
    assert one.process is not None
    until = time.monotonic() + site.settings.ready_seconds
    while not is_ready(site, one):
        if one.process.wait(0.02):
            raise Refused(f"{one.version} ended while it started: {_end_of_log(site, one)}")
        if time.monotonic() > until:
            raise Refused(
                f"{one.version} is not ready after {site.settings.ready_seconds:g} s (site.toml: ready_seconds): "
                f"{_end_of_log(site, one)}"
            )


def _end_of_log(site: Site, one: Start) -> str:
    """What its log says of the reason: the last exception; where there is none, the last lines."""
    path = site.logs / f"{one.id}.log"
    text = path.read_text(encoding="utf-8", errors="replace")[-_LOG_READ:].strip()
    if raised := _RAISED.findall(text):
        return f"{raised[-1][:300]} ({path} has the rest)"
    return f"{path} ends with: {' | '.join(line[:300] for line in text.splitlines()[-3:]) or '(nothing)'}"


def end(those: Iterable[Start], seconds: float) -> list[str]:
    """End starts: requests that are under way have ``seconds``, then it is done by force. What was done, in words."""
    told = []
    going = [(one, one.process) for one in those if one.process is not None and one.remains]
    for _, process in going:
        process.send(signal.SIGTERM)
    until = time.monotonic() + seconds
    for one, process in going:
        ended = process.wait(until - time.monotonic())
        left = list(process.session())
        if ended and left:  # the workers of a master that died look for it once a second
            ended = all(worker.wait(until - time.monotonic()) for worker in left)
        if ended:
            told.append(f"{one.id} ended")
        else:
            process.kill_session()
            told.append(f"{one.id} did not end within {seconds:g} s and was killed; requests under way in it are lost")
    return told


def prune(site: Site) -> None:
    """Forget all but the last starts that have ended. Their logs stay."""
    ended = [
        path for path in sorted(site.starts.iterdir()) if not (one := read_start(site, path.name)) or not one.remains
    ]
    for path in ended[:-_STARTS_KEPT]:
        shutil.rmtree(path)
