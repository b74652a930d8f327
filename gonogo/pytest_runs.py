"""Runs of pytest, each in a process and a folder of its own, by somebody who may end them all."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from gonogo.errors import GonogoError
from gonogo.figures import printable
from gonogo.runs import RunDirectory
from gonogo.suites import Suites

__all__ = ["PytestRun", "PytestRuns", "RunBroke", "RunTookTooLong"]

_TIMEOUT = 3600.0
_TO_END = 30.0
_LOG = "pytest.log"


class RunBroke(GonogoError):
    """A run did not come to a verdict; it shows nothing, and is to be made again."""


class RunTookTooLong(RunBroke):
    """It was stopped before it came to a verdict."""


@dataclass(frozen=True)
class PytestRun:
    """A run that has ended: its status, what it said, and its folder."""

    status: int
    log: Path

    @property
    def text(self) -> str:
        """What it said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def directory(self) -> RunDirectory:
        """The run with its verdict.

        Raises:
            RunBroke: it came to none.
        """
        runs = [path.parent for path in self.log.parent.glob("runs/*/verdict.json")]
        if self.status not in (0, 1, 10) or len(runs) != 1:
            raise RunBroke(f"pytest ended with status {self.status}: {self._last_words()}; see {self.log}")
        return RunDirectory(runs[0])

    def _last_words(self) -> str:
        lines = self.text.strip().splitlines()
        errors = [line for line in lines if line.lower().startswith("error") or "error:" in line.lower()]
        return printable((errors or lines[-1:] or ["it said nothing"])[0])


@dataclass
class PytestRuns:
    """Starts runs of a project's suites.

    Attributes:
        root: the project's folder.
        suites: its ini file and suites.
        folder: where runs are written, each in a folder named after it.
    """

    root: Path
    suites: Suites
    folder: Path
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _stopped: bool = False

    def run(self, name: str, options: Sequence[str], *, timeout: float = _TIMEOUT) -> PytestRun:
        """Make a run with further options of pytest; one of that name that was there before is gone.

        Raises:
            RunTookTooLong: it took longer than ``timeout`` seconds.
            RunBroke: ``stop`` was called.
        """
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        log = place / _LOG
        return PytestRun(self._ended(self._command(place, options), log, timeout), log)

    def forget(self, name: str) -> None:
        """Remove a run that nobody needs to look at."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def stop(self) -> None:
        """End the runs that go on, and begin no other one."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)  # pytest then ends its own workers
        for process in running:
            try:
                process.wait(_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _command(self, place: Path, options: Sequence[str]) -> list[str]:
        command = [sys.executable, "-m", "pytest", *map(str, self.suites.folders)]
        command += [f"--rootdir={self.root}", f"--config-file={self.suites.ini}", f"--gonogo-report={place}"]
        # a report of each would take longer than most runs, and the ledger and the verdict are there without it
        return [*command, *options, "-q", "-p", "no:cacheprovider", "-p", "no:allure_pytest"]

    def _ended(self, command: list[str], log: Path, timeout: float) -> int:
        with log.open("wb") as output:
            with self._lock:
                if self._stopped:
                    raise RunBroke("it was broken off before this run began")
                process = subprocess.Popen(
                    command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
                self._running.add(process)
            try:
                return process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise RunTookTooLong(f"pytest was stopped after {timeout:g} s; see {log}") from error
            finally:
                with self._lock:
                    self._running.discard(process)
