"""One run of a proof: pytest in a process of its own, with one defect planted, and what it found of one criterion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gonogo.criteria import Criteria, Criterion
from gonogo.errors import EvidenceError
from gonogo.figures import printable, shortened
from gonogo.model import Level, Phase, Status
from gonogo.proof import Seen
from gonogo.proving import NOTHING, Job
from gonogo.pytest_runs import PytestRuns, RunBroke
from gonogo.runs import RunDirectory

__all__ = ["PytestRunner", "seen_in"]

# gonogo.targets.planted and gonogo.plantable say it
_REFUSED = re.compile(r"^ERROR: the defect \S+ cannot be planted: (.+)$", re.MULTILINE)
_REASON = 500


@dataclass(frozen=True)
class PytestRunner:
    """Makes the runs of a proof, and reads what they found; those that are worth a look stay in their folders."""

    runs: PytestRuns
    criteria: Criteria

    def __call__(self, job: Job) -> Seen:
        """Make a run; one of a defect ends at the first claim that is not GO, as one NO-GO is enough.

        Raises:
            RunBroke: it did not come to a verdict.
        """
        criterion = self.criteria[job.criterion]
        options = [f"--gonogo-criterion={job.criterion}"]
        if job.planted:
            options.append(f"--gonogo-planted={job.planted}")
        levels = criterion.levels
        if levels[Phase.PRE] is Level.NOT_JUDGED and levels[Phase.NIGHTLY] is not Level.NOT_JUDGED:
            options.append(f"--gonogo-phase={Phase.NIGHTLY.value}")
        if job.planted in ("", NOTHING):
            return self._seen(job, options)
        seen = self._seen(job, [*options, "-x"])
        # an INCONCLUSIVE claim may stand before the one that is NO-GO
        return seen if seen.verdict is Status.NO_GO or seen.lacking else self._seen(job, options)

    def _seen(self, job: Job, options: Sequence[str]) -> Seen:
        run = self.runs.run(job.name, options)
        if refused := _REFUSED.search(run.text):
            return Seen(None, lacking=printable(refused[1]))
        return seen_in(run.directory(), self.criteria[job.criterion])

    def forget(self, job: Job) -> None:
        """Remove a run that nobody needs to look at."""
        self.runs.forget(job.name)

    def stop(self) -> None:
        """End the runs that go on, and begin no other one."""
        self.runs.stop()


def seen_in(run: RunDirectory, criterion: Criterion) -> Seen:
    """What a run found of a criterion.

    Raises:
        RunBroke: the run is damaged.
    """
    try:
        document: Mapping[str, Any] = run.read_json("verdict.json")
        info = run.info()
    except EvidenceError as error:
        raise RunBroke(str(error)) from error
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
