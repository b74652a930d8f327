"""One run of a proof: pytest in a process of its own, with one defect planted or none, and what it found of its criteria."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gonogo.criteria import Criteria, Criterion
from gonogo.errors import EvidenceError
from gonogo.figures import printable, shortened
from gonogo.model import Phase, Status
from gonogo.proof import Seen
from gonogo.proving import NOTHING, Job
from gonogo.pytest_runs import PytestRuns, RunBroke
from gonogo.runs import RunDirectory

__all__ = ["PytestRunner", "seen_in"]

# gonogo.targets and gonogo.plantable say it, before a run begins or in the middle of it
_CANNOT = r"(?:release \S+: )?the defect (?:\S+ )?cannot be planted: (.+)$"
_REFUSED = re.compile(f"^ERROR: {_CANNOT}", re.MULTILINE)
_REFUSED_LATE = re.compile(_CANNOT)
_REASON = 500


@dataclass(frozen=True)
class PytestRunner:
    """Makes the runs of a proof, and reads what they found; those that are worth a look stay in their folders."""

    runs: PytestRuns
    criteria: Criteria

    def __call__(self, job: Job) -> dict[str, Seen]:
        """Make a run; one of a defect ends at the first claim that is not GO, as one NO-GO is enough.

        Returns:
            What was seen of each criterion of the job.

        Raises:
            RunBroke: it did not come to a verdict.
        """
        options = [f"--gonogo-criterion={one}" for one in job.criteria]
        if job.planted:
            options.append(f"--gonogo-planted={job.planted}")
        if job.phase is not Phase.PRE:
            options.append(f"--gonogo-phase={job.phase.value}")
        if job.planted in ("", NOTHING):
            return self._seen(job, options)
        seen = self._seen(job, [*options, "-x"])
        # an INCONCLUSIVE claim may stand before the one that is NO-GO
        is_enough = all(one.verdict is Status.NO_GO or one.lacking for one in seen.values())
        return seen if is_enough else self._seen(job, options)

    def _seen(self, job: Job, options: Sequence[str]) -> dict[str, Seen]:
        run = self.runs.run(job.name, options)
        if refused := _REFUSED.search(run.text):
            return dict.fromkeys(job.criteria, Seen(None, lacking=printable(refused[1])))
        directory = run.directory()
        return {one: seen_in(directory, self.criteria[one]) for one in job.criteria}

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
    # of the claims alone: whether a proof trusts the criterion is what is being found out
    said = [Status(one["verdict"]) for one in found["claims"]]
    verdict = Status.worst(said)
    reason = shortened(printable(" ".join("; ".join(found["reasons"]).split())), _REASON)
    refused = [match[1] for one in found["claims"] for told in one["reasons"] if (match := _REFUSED_LATE.search(told))]
    if refused and {*said} == {Status.INCONCLUSIVE}:  # where a claim is GO, the defect was there and was missed
        return Seen(None, lacking=printable(refused[0]))
    # what broke is an error of the gate like any other, but where nothing at all could be decided
    counted = said if any(map(_is_decided, found["claims"])) else []
    return Seen(
        verdict,
        reason,
        claims=len(counted),
        no_go=counted.count(Status.NO_GO),
        inconclusive=counted.count(Status.INCONCLUSIVE),
    )


def _is_decided(claim: Mapping[str, Any]) -> bool:
    """Whether a claim was held against its limits; what was not even executed tells nothing of how often that errs."""
    return claim["verdict"] != Status.INCONCLUSIVE or any("decision" in bound for bound in claim["bounds"])
