"""Trying mutants: each is judged by the suites that say GO of the release as it is, until the first of them does not.

What is known of a mutant stands in ``mutants.jsonl`` as soon as it is known; trials that were broken off go on from there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gonogo.criteria import Criteria
from gonogo.errors import EvidenceError
from gonogo.model import Ability, Level, Phase, Status
from gonogo.mutants import Mutant
from gonogo.project import Release
from gonogo.pytest_runs import PytestRuns, RunBroke, RunTookTooLong
from gonogo.result_lines import whole_lines

__all__ = ["Judges", "MutantTrials", "Tried", "Tries"]

_PATIENCE = 60.0  # seconds, and three times as long as the release as it is takes


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a mutant: the verdict, of which criterion; GO where nobody noticed."""

    mutant: str
    file: str
    line: int
    operator: str
    was: str
    becomes: str
    diff: str
    verdict: Status
    by: str

    @classmethod
    def of(cls, mutant: Mutant, verdict: Status, by: str) -> Tried:
        """The verdict of a criterion on a mutant."""
        told = (mutant.file, mutant.line, mutant.operator, mutant.was, mutant.becomes, mutant.diff)
        return cls(mutant.id, *told, verdict, by)

    @property
    def survived(self) -> bool:
        """Whether nobody noticed."""
        return self.verdict is Status.GO

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "verdict": self.verdict.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tried:
        """What ``as_json`` wrote.

        Raises:
            TypeError, ValueError: the data is something else.
        """
        return cls(**{**data, "verdict": Status(data["verdict"])})


@dataclass
class Tries:
    """What is known, by the mutant's id, and the file that it is kept in."""

    path: Path
    known: dict[str, Tried] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Tries:
        """Read what is there. A last line that was cut short is not known yet.

        Raises:
            EvidenceError: a line is no result.
        """
        tries = cls(path)
        content = path.read_bytes() if path.exists() else b""
        whole = whole_lines(content)
        if whole != content:
            path.write_bytes(whole)
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                tried = Tried.from_json(json.loads(line))
            except (KeyError, TypeError, ValueError) as error:
                raise EvidenceError(
                    f"{path}:{number}: no result of gonogo prove --mutants ({type(error).__name__}: {error}); remove the line"
                ) from error
            tries.known[tried.mutant] = tried
        return tries

    def add(self, tried: Tried) -> None:
        """Keep a result; it is on disk when this returns."""
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(tried.as_json(), ensure_ascii=False) + "\n")
        self.known[tried.mutant] = tried


@dataclass(frozen=True)
class Judges:
    """The criteria that judge mutants, in their order, and the seconds that they take for the release as it is."""

    criteria: tuple[str, ...]
    seconds: float

    @classmethod
    def found(cls, runs: PytestRuns, release: Release, criteria: Criteria, scratch: Path) -> Judges:
        """Those that say GO of the release as it is, on one case of each step.

        What is measured, and what takes a deployment, is left out from the start: it takes minutes.

        Raises:
            EvidenceError: none says GO.
            RunBroke: the run came to no verdict.
        """
        asked = [
            one.id
            for one in criteria.criteria
            if not one.measured
            and Ability.STAGE not in one.needs
            and one.level(Phase.PRE, synthetic=False) is not Level.NOT_JUDGED
        ]
        tree = scratch / "unchanged"
        shutil.rmtree(tree, ignore_errors=True)
        release.copied_to(tree)
        began = time.monotonic()
        run = runs.run("unchanged", _options(tree, asked))
        verdicts = _verdicts(run.directory().read_json("verdict.json"))
        judging = tuple(one for one in asked if verdicts.get(one) is Status.GO)
        if not judging:
            raise EvidenceError(
                f"no criterion says GO of the release as it is, so none can notice a change of it; see {run.log}"
            )
        return cls(judging, time.monotonic() - began)

    @property
    def patience(self) -> float:
        """Seconds after which a mutant is one that never ends."""
        return _PATIENCE + 3 * self.seconds


@dataclass(frozen=True)
class MutantTrials:
    """Tries mutants of a release, several at a time.

    Attributes:
        runs: starts them.
        release: whose source is changed.
        judges: the criteria that may notice.
        tries: what is known, and where the rest is kept.
        scratch: a folder for the changed sources.
        unchanged: raises where the files that the results hold for are no longer the same.
        workers: how many are tried at a time.
    """

    runs: PytestRuns
    release: Release
    judges: Judges
    tries: Tries
    scratch: Path
    unchanged: Callable[[], None]
    workers: int = 1

    def each(self, mutants: Iterable[Mutant | None]) -> Iterator[Tried | RunBroke | None]:
        """What became of each, in the order in which it is known; none for what is no mutant."""
        going: dict[Future[Tried], Mutant] = {}
        pool = ThreadPoolExecutor(self.workers)
        try:
            for mutant in mutants:
                if mutant is None or mutant.id in self.tries.known:
                    yield None if mutant is None else self.tries.known[mutant.id]
                    continue
                going[pool.submit(self.tried, mutant)] = mutant
                if len(going) >= self.workers:
                    yield from self._kept(going)
            while going:
                yield from self._kept(going)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _kept(self, going: dict[Future[Tried], Mutant]) -> Iterator[Tried | RunBroke]:
        done, _ = wait(going, return_when=FIRST_COMPLETED)
        for future in done:
            del going[future]
            try:
                tried = future.result()
            except RunBroke as error:
                yield error
                continue
            self.unchanged()  # else the result would be kept as one of other files
            self.tries.add(tried)
            yield tried

    def tried(self, mutant: Mutant) -> Tried:
        """Try one; a criterion that comes to no end has noticed as well.

        Raises:
            RunBroke: the run came to no verdict.
        """
        tree = self.scratch / mutant.id
        self.release.copied_to(tree)
        (tree / mutant.file).write_text(mutant.text, encoding="utf-8")
        options = [*_options(tree, self.judges.criteria), "-x"]
        try:
            run = self.runs.run(mutant.id, options, timeout=self.judges.patience)
        except RunTookTooLong:
            return Tried.of(mutant, Status.INCONCLUSIVE, "no end")
        finally:
            shutil.rmtree(tree, ignore_errors=True)
        verdicts = _verdicts(run.directory().read_json("verdict.json"))
        self.runs.forget(mutant.id)
        # they ran in this order, and those after the first that noticed did not run
        for one in self.judges.criteria:
            verdict = verdicts.get(one, Status.INCONCLUSIVE)
            if verdict is not Status.GO:
                return Tried.of(mutant, verdict, one)
        return Tried.of(mutant, Status.GO, "")


def _options(tree: Path, criteria: Sequence[str]) -> list[str]:
    # the order of the criteria is the order in which their tests run, which a plugin that shuffles must not change
    return [f"--gonogo-mutant={tree}", *(f"--gonogo-criterion={one}" for one in criteria), "-p", "no:randomly"]


def _verdicts(document: Mapping[str, Any]) -> dict[str, Status]:
    return {one["id"]: Status(one["verdict"]) for one in document["criteria"]}
