"""Several runs of one release as one: the evidence of all, judged together.

Only runs about the same thing are joined: phase, steps, cases, abilities, criteria, recordings, and the versions and files
of both releases and of what judges them are equal. More runs can only make a verdict better by covering claims that were
owed and not yet looked at, and by more samples of something measured that was open. Replaying a case is not another sample,
so a proportion counts it once (``gonogo.verdict``). A claim that is NO-GO in one run stays so, whatever the others sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gonogo.errors import EvidenceError, GonogoError
from gonogo.evidence import ShardContent
from gonogo.found_proof import FoundProof, State
from gonogo.model import Claim, Ended, Json, Outcome, Status
from gonogo.report.allure import claims_in
from gonogo.rundown import INTEGRITY, completeness, judge_run, notes_of
from gonogo.runs import LoadedRun, RunDirectory, digest_of

__all__ = ["JoiningError", "Part", "join", "read_part"]


_FILES = {
    "candidate": "files of the candidate",
    "baseline": "files of the previous release",
    "suites": "files of the suites",
    "criteria": "files of the criteria",
    "signoffs": "sign-offs",
    "cases": "files of the cases",
    "workflows": "files of the workflows",
    "recordings": "files of the recordings",
}


class JoiningError(GonogoError):
    """Runs that are not about the same thing cannot be judged together."""


@dataclass(frozen=True)
class Part:
    """A sealed run with what joining needs to know of it. ``in_results``: claims that have an Allure result."""

    run: LoadedRun
    recordings: Mapping[str, Json]
    notes: tuple[str, ...]
    digest: str
    in_results: frozenset[Claim]

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.info.id


def read_part(directory: RunDirectory) -> Part:
    """Read a sealed run.

    Raises:
        EvidenceError: it is no run, was never sealed, or was changed since.
    """
    info = directory.info()
    changed = directory.changed_files()
    if changed:
        raise EvidenceError(
            f"{info.id}: changed since the run was sealed: {', '.join(changed)}; do not rely on it, run again"
        )
    return Part(
        run=directory.load(),
        recordings=directory.read_json("recordings.json"),
        notes=tuple(notes_of(directory)),
        digest=directory.digest,
        in_results=frozenset(claims_in(directory.allure_results, info.id)),
    )


def join(parts: Sequence[Part]) -> Part:
    """One run that holds the evidence of all; of a single one that run itself.

    Raises:
        JoiningError: the runs are not about the same thing, or one of them is given twice.
    """
    first, *others = sorted(parts, key=lambda part: part.run.info.started)
    if not others:
        return first
    for other in others:
        _check_alike(first, other)
    ids = [first.id, *(other.id for other in others)]
    if len(set(ids)) < len(ids):
        raise JoiningError(f"a run is given twice among {', '.join(ids)}; the same evidence counts once")
    every = (first, *others)
    failures = [f"{part.id}: {part.run.info.failure}" for part in every if part.run.info.failure]
    info = replace(first.run.info, id=" + ".join(ids), failure="; ".join(failures))
    shards = []
    for part in every:
        for shard in part.run.shards:
            # completeness was computed at the end of each run and speaks of that run alone; it is computed again below
            kept = tuple(one for one in shard.records if getattr(one, "claim", None) != INTEGRITY)
            shards.append(ShardContent(f"{part.id}/{shard.name}", kept, shard.torn))
    joined = LoadedRun(info, first.run.criteria, tuple(shards))
    in_results = frozenset(claim for part in every for claim in part.in_results)
    own = (*completeness(joined, in_results), *(record for part in every for record in _failed_in(part)))
    return Part(
        run=replace(joined, shards=(*shards, ShardContent("joined", own, torn=False)), proof=_newest_proof(every)),
        recordings=first.recordings,
        notes=tuple(f"{part.id}: {note}" for part in every for note in part.notes),
        digest=digest_of({part.id: part.digest for part in every}),
        in_results=in_results,
    )


def _newest_proof(parts: Sequence[Part]) -> FoundProof | None:
    """What the newest run found, or the newest of those that found a proof of these files."""
    found = [part.run.proof for part in parts if part.run.proof is not None]
    fresh = [one for one in found if one.state is State.FRESH]
    usable = fresh or found
    return usable[-1] if usable else None


def _failed_in(part: Part) -> list[Ended]:
    """One record for each claim that is NO-GO in a run; it decides where that run's findings and samples no longer do."""
    return [
        Ended(one.claim, Outcome.FAILED, f"NO-GO in the run {part.id}: {one.reasons[0]}", part.id, 0.0)
        for one in judge_run(part.run, part.notes).claims
        if one.status is Status.NO_GO
    ]


def _check_alike(one: Part, other: Part) -> None:
    facts, theirs = one.run.info.facts, other.run.info.facts
    differing = {
        "phases": (facts.phase.value, theirs.phase.value),
        "versions of the candidate": (_version(one, "candidate"), _version(other, "candidate")),
        "previous releases": (_version(one, "baseline"), _version(other, "baseline")),
        "services": tuple(part.run.info.releases["candidate"].get("service") for part in (one, other)),
        "planted defects": tuple(part.run.info.planted or "none" for part in (one, other)),
        "abilities of the target": (sorted(facts.abilities), sorted(theirs.abilities)),
    }
    for what, (here, there) in differing.items():
        if here != there:
            raise JoiningError(
                f"the runs {one.id} and {other.id} cannot be joined: their {what} differ ({here} and {there})"
            )
    whole = {
        "criteria": one.run.criteria == other.run.criteria,
        "steps or cases": (facts.steps, dict(facts.cases)) == (theirs.steps, dict(theirs.cases)),
        "recordings": one.recordings == other.recordings and facts.synthetic == theirs.synthetic,
    }
    for what, alike in whole.items():
        if not alike:
            raise JoiningError(
                f"the runs {one.id} and {other.id} cannot be joined: their {what} differ; run again with those of today"
            )
    files, others = one.run.info.contents, other.run.info.contents
    differ = [what for name, what in _FILES.items() if files.get(name) != others.get(name)]
    if differ:
        raise JoiningError(
            f"the runs {one.id} and {other.id} cannot be joined: their {', '.join(differ)} differ; "
            "run again with those of today"
        )


def _version(part: Part, role: str) -> Json:
    return part.run.info.releases.get(role, {}).get("version", "none")
