"""The bundled application under gunicorn, as it is deployed; its lines, and its metrics."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from gonogo.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0  # seconds


def value_of(client: Any, sample: str) -> float:
    """The sum of the samples that have these labels, such as ``blog_runs_total{step="facts"}``; 0 where there are none yet."""
    return metric_in(client.get("/metrics").get_data(as_text=True), sample)


def metric_in(page: str, sample: str) -> float:
    """As `value_of`, of a page of metrics."""
    return sum(one.value for one in read_metrics(page) if one.is_of(sample))


def no_objects(lines: Iterable[str]) -> list[str]:
    """The lines that are no JSON object with the fields that each line has."""
    return [line for line in lines if not _is_event(line)]


def _is_event(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and {"event", "level", "time", "release"} <= event.keys()


def telling(lines: Iterable[str], marks: Collection[str]) -> list[str]:
    """The lines that hold one of these texts."""
    return [line for line in lines if any(mark in line for mark in marks)]


class Served:
    """A running server. ``lines`` is all that it has written, on stdout and stderr."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process
        self.lines: list[str] = []
        self._news = threading.Condition()
        assert process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: Iterable[str]) -> None:
        for line in stream:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines that are JSON objects."""
        return [json.loads(line) for line in self.lines if _is_event(line)]

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Wait until the lines say so."""
        with self._news:
            assert self._news.wait_for(happened, PATIENCE), "\n".join(self.lines)

    def workers(self) -> list[int]:
        """Ids of the workers that have told that they serve, in that order."""
        return [event["pid"] for event in self.events if event["event"] == "server.ready"]

    def wait_for_workers(self, number: int) -> None:
        self.wait_for(lambda: len(self.workers()) >= number)

    def ask(self, method: str, path: str, **named: Any) -> requests.Response:
        """A request on a connection of its own."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, timeout=PATIENCE, **named)

    def metric(self, sample: str) -> float:
        return metric_in(self.ask("GET", "/metrics").text, sample)

    def stop(self) -> int:
        """Its status, when all that it has to say is read."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE)
        return self.process.returncode


@contextmanager
def served(
    folder: Path,
    settings: Mapping[str, str],
    *arguments: str,
    config: str = "python:app.server",
    path: Sequence[Path] = (ROOT,),
) -> Iterator[Served]:
    """gunicorn with this configuration over the application on this path, in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BLOG_", "PROMETHEUS_"))}
    environ = {
        **inherited,
        **settings,
        "PYTHONPATH": os.pathsep.join(str(one) for one in path),
        "PYTHONUNBUFFERED": "1",
    }
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "-c", config, "--bind", f"fd://{listening.fileno()}"),
                *arguments,
                "app.wsgi:application",
            ],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=[listening.fileno()],
            preexec_fn=_end_with_parent,
        )
        server = Served(f"http://127.0.0.1:{listening.getsockname()[1]}", process)
    with process:
        try:
            yield server
        finally:
            server.stop()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, prctl(2)


def until(happened: Callable[[], bool]) -> None:
    """For what nobody tells: look again and again."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)
