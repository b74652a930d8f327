"""One run of a proof: pytest in a process of its own, with one defect planted, and what it found of one criterion."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from gonogo.criteria import Criteria, Criterion
from gonogo.errors import EvidenceError
from gonogo.figures import printable, shortened
from gonogo.model import Level, Phase, Status
from gonogo.proof import Seen
from gonogo.proving import Job, TrialBroke
from gonogo.runs import RunDirectory
from gonogo.suites import Suites

__all__ = ["PytestRunner", "seen_in"]

_TIMEOUT = 3600.0
_TO_END = 30.0
_LOG = "pytest.log"
# gonogo.targets.planted and gonogo.plantable say it
_REFUSED = re.compile(r"^ERROR: the defect \S+ cannot be planted: (.+)$", re.MULTILINE)
_REASON = 500


@dataclass
class PytestRunner:
    """Starts runs, each with its folder below ``folder``, and reads what they found.

    Attributes:
        root: the project's folder.
        suites: its ini file and suites.
        criteria: what is asked.
        folder: where runs are written; those that are worth a look stay there.
    """

    root: Path
    suites: Suites
    criteria: Criteria
    folder: Path
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _stopped: bool = False

    def __call__(self, job: Job) -> Seen:
        """Make a run.

        Raises:
            TrialBroke: it did not come to a verdict.
        """
        place = self.folder / job.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        log = place / _LOG
        status = self._run(self._command(job, place), log)
        if refused := _REFUSED.search(_text_of(log)):
            return Seen(None, lacking=printable(refused[1]))
        runs = [path.parent for path in place.glob("runs/*/verdict.json")]
        if status not in (0, 1, 10) or len(runs) != 1:
            raise TrialBroke(f"pytest ended with status {status}: {_last_words(log)}; see {log}")
        return seen_in(RunDirectory(runs[0]), self.criteria[job.criterion])

    def forget(self, job: Job) -> None:
        """Remove a run that nobody needs to look at."""
        shutil.rmtree(self.folder / job.name, ignore_errors=True)

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

    def _command(self, job: Job, place: Path) -> list[str]:
        command = [sys.executable, "-m", "pytest", *map(str, self.suites.folders)]
        command += [f"--rootdir={self.root}", f"--config-file={self.suites.ini}"]
        if job.planted:
            command += ["--gonogo-planted", job.planted]
        levels = self.criteria[job.criterion].levels
        if levels[Phase.PRE] is Level.NOT_JUDGED and levels[Phase.NIGHTLY] is not Level.NOT_JUDGED:
            command += ["--gonogo-phase", Phase.NIGHTLY.value]
        command += ["--gonogo-criterion", job.criterion, f"--gonogo-report={place}"]
        return [*command, "-q", "-p", "no:cacheprovider"]

    def _run(self, command: list[str], log: Path) -> int:
        with log.open("wb") as output:
            with self._lock:
                if self._stopped:
                    raise TrialBroke("the proof was broken off before this run began")
                process = subprocess.Popen(
                    command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
                self._running.add(process)
            try:
                return process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise TrialBroke(f"pytest was stopped after {_TIMEOUT:g} s; see {log}") from error
            finally:
                with self._lock:
                    self._running.discard(process)


def seen_in(run: RunDirectory, criterion: Criterion) -> Seen:
    """What a run found of a criterion.

    Raises:
        TrialBroke: the run is damaged.
    """
    try:
        document: Mapping[str, Any] = run.read_json("verdict.json")
        info = run.info()
    except EvidenceError as error:
        raise TrialBroke(str(error)) from error
    if not info.failure:  # what did not even start offers nothing, which says nothing of what it would offer
        missing = sorted({*criterion.needs} - info.facts.abilities)
        if missing:
            return Seen(None, lacking=f"the target does not offer: {', '.join(missing)}")
    found = next((one for one in document["criteria"] if one["id"] == criterion.id), None)
    if found is None:
        return Seen(None)
    decided = [one["verdict"] for one in found["claims"] if _is_decided(one)]
    return Seen(
        Status(found["verdict"]),
        shortened(printable(" ".join("; ".join(found["reasons"]).split())), _REASON),
        claims=len(decided),
        no_go=decided.count(Status.NO_GO),
        inconclusive=decided.count(Status.INCONCLUSIVE),
    )


def _is_decided(claim: Mapping[str, Any]) -> bool:
    """Whether a claim was held against its limits; what was not even executed tells nothing of how often that errs."""
    return claim["verdict"] != Status.INCONCLUSIVE or any("decision" in bound for bound in claim["bounds"])


def _text_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _last_words(log: Path) -> str:
    lines = _text_of(log).strip().splitlines()
    errors = [line for line in lines if line.lower().startswith("error") or "error:" in line.lower()]
    return printable((errors or lines[-1:] or ["it said nothing"])[0])
