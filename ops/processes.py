"""Processes by what makes them unmistakable: a number alone is used again for another one."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process", "this_process"]

_PROC = Path("/proc")


@dataclass(frozen=True)
class _Stat:
    """What the kernel tells of a process, as far as it matters here."""

    state: str
    session: int
    started: int  # clock ticks since the machine came up


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = text.rpartition(")")[2].split()  # the name before it may hold anything
    return _Stat(words[0], int(words[3]), int(words[19]))


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True)
class Process:
    """One process: its number, when it was started, and since which start of the machine both count."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now."""
        stat = _stat(pid)
        return cls(pid, stat.started, _boot()) if stat else None

    @classmethod
    def read(cls, data: Mapping[str, object]) -> Process:
        """What ``asdict`` made of one."""
        return cls(int(str(data["pid"])), int(str(data["started"])), str(data["boot"]))

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that has ended and was not waited for does not."""
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state not in "ZX" and self.boot == _boot()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most ``seconds``; whether it has."""
        with self._open() as descriptor:
            if descriptor is None:
                return True
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(max(0.0, seconds) * 1000))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with self._open() as descriptor:
            if descriptor is not None:
                with suppress(ProcessLookupError):  # it may just have ended
                    signal.pidfd_send_signal(descriptor, number)

    def session(self) -> Iterator[Process]:
        """What runs in the session that it leads, itself left out; also where it has ended."""
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and int(entry.name) != self.pid:
                stat = _stat(int(entry.name))
                # a number is not given to a new process while it names a session, so who is in it belongs to it
                if stat and stat.session == self.pid and stat.state not in "ZX" and stat.started >= self.started:
                    yield Process(int(entry.name), stat.started, self.boot)

    def kill_session(self, seconds: float = 5.0) -> None:
        """End it and its session by force, and wait for that."""
        until = time.monotonic() + seconds
        self.send(signal.SIGKILL)
        self.wait(seconds)
        while time.monotonic() < until:  # again: a worker may have been on its way into the world
            others = list(self.session()) if self.boot == _boot() else []
            for one in others:
                one.send(signal.SIGKILL)
            for one in others:
                one.wait(until - time.monotonic())
            if not others:
                return

    @contextmanager
    def _open(self) -> Iterator[int | None]:
        """A descriptor of the process; None where it has ended. Between the two looks the number cannot change hands."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield descriptor if self.alive else None
        finally:
            os.close(descriptor)


def this_process() -> Process:
    """The one that asks."""
    own = Process.of(os.getpid())
    assert own is not None
    return own
