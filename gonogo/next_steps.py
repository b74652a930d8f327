"""What to do about a criterion that is not GO: in words, and as commands that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gonogo.criteria import Criterion
from gonogo.model import Ability, Claim, CriterionVerdict, Ended, Evidence, Gap, Outcome, Phase, Status

__all__ = ["NOT_RUN", "Again", "advice", "commands", "whole_run"]

NOT_RUN = (
    "Claims were not executed: run all suites, without `-k`, `-m` or single tests; "
    "where that was done, look for a crash among the global errors."
)
_ADVICE = {
    "not executed": NOT_RUN,
    "moved": "Prompts moved away from their recordings: `gonogo recordings check` shows how. "
    "Record the replies again, or move the recordings with `gonogo recordings update`.",
    "gap": "Repair what the reasons name; it lies with the tool, the recordings or the machine, not with the release.",
    "broken": "A suite broke: open the broken claims and repair the suite or what it needs; "
    "it says nothing about the release.",
    "skipped": "A claim was skipped: remove the skip, "
    "or write in criteria.toml that this phase does not judge the criterion.",
    "samples": "The bound reaches across the limit: take as many samples as the reasons ask for, "
    "or measure on a quieter machine.",
}
_OTHERWISE = "Add the evidence that the reasons name."
_MOVED = ("gonogo recordings check", "gonogo recordings update")
# criteria that a command of their own looks at, without a run of the suites
_OWN = {
    "sign-offs": ("gonogo signoff list", "gonogo signoff KIND --by NAME --link URL --until DATE"),
    "environment": ("gonogo preflight",),
}
_WATCHED = "live-watch"
_FEW = 3  # steps that one command names; of more, all are run


@dataclass(frozen=True, slots=True)
class Again:
    """How a run was made, as far as it takes to make it again.

    ``service`` and ``stub`` are addresses, of a live service; ``baseline`` is the folder that the command line named.
    """

    phase: Phase = Phase.PRE
    service: str = ""
    stub: str = ""
    read_only: bool = False
    planted: str = ""
    baseline: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """The options of pytest."""
        given = {"baseline": self.baseline, "planted": self.planted}
        releases = tuple(f"--gonogo-{name}={value}" for name, value in given.items() if value)
        if self.phase is Phase.PRE:
            return releases
        if self.phase is Phase.NIGHTLY:
            return ("--gonogo-phase=nightly", *releases)
        told = ["--gonogo-phase=post", f"--gonogo-target={self.service or 'URL'}"]
        if self.phase is Phase.POST_STUB:
            told.append(f"--gonogo-stub={self.stub or 'URL'}")
        return (*told, *(["--gonogo-read-only"] if self.read_only else []), *releases)


def advice(
    criterion: Criterion,
    verdict: CriterionVerdict,
    records: Mapping[Claim, Sequence[Evidence]],
    abilities: AbstractSet[Ability],
) -> list[str]:
    """What settles an INCONCLUSIVE criterion, from what its claims lack; nothing for any other."""
    if verdict.status is not Status.INCONCLUSIVE:
        return []
    missing = sorted(set(criterion.needs) - abilities)
    if missing:
        return [
            f"The target does not offer {', '.join(missing)}: let the adapter offer it, "
            "or write in criteria.toml that this phase does not judge the criterion."
        ]
    lack = _what_is_lacking(criterion, verdict, records)
    return [told for what, told in _ADVICE.items() if what in lack] or [_OTHERWISE]


def commands(
    criterion: Criterion,
    verdict: CriterionVerdict,
    records: Mapping[Claim, Sequence[Evidence]],
    again: Again,
) -> tuple[str, ...]:
    """What to run next.

    Args:
        criterion: what is asked.
        verdict: of the criterion.
        records: of all claims of the run; a test that was executed tells where the suites lie.
        again: how the run was made.
    """
    told: list[str] = []
    own = [one for claim in verdict.claims for one in records.get(claim.claim, ())]
    if any(isinstance(one, Gap) and _is_moved(one) for one in own):
        told += _MOVED
    target = ["--target", again.service] if again.service else []
    for command in _OWN.get(criterion.id, ()):
        told.append(shlex.join([*command.split(), *(target if criterion.id == "environment" else [])]))
    if criterion.id == _WATCHED:
        return (*told, shlex.join(["gonogo", "watch", *(target or ["--target", "URL"])]))
    files = sorted({one.item.partition("::")[0] for one in own if isinstance(one, Ended) and "::" in one.item})
    if files:
        steps = [one.claim.step for one in verdict.claims if one.status is not Status.GO]
        few = [step for step in steps if step is not None] if len(steps) <= _FEW else []
        chosen = ["-k", " or ".join(few)] if few and len(few) == len(steps) else []
        return (*told, shlex.join(["pytest", *files, *chosen, *again.options]))
    return (*told, *whole_run(records, again))


def whole_run(records: Mapping[Claim, Sequence[Evidence]], again: Again) -> tuple[str, ...]:
    """The command that runs all suites; none where nothing was executed that tells where they lie."""
    every = {one.item for found in records.values() for one in found if isinstance(one, Ended) and "::" in one.item}
    folders = sorted({item.partition("::")[0].rpartition("/")[0] for item in every} - {""})
    return (shlex.join(["pytest", *(f"{one}/" for one in folders), *again.options]),) if folders else ()


def _is_moved(gap: Gap) -> bool:
    return gap.reason.startswith("prompt moved")


def _what_is_lacking(
    criterion: Criterion, verdict: CriterionVerdict, records: Mapping[Claim, Sequence[Evidence]]
) -> set[str]:
    found: set[str] = set()
    for claim in verdict.claims:
        if claim.status is not Status.INCONCLUSIVE:
            continue
        own = records.get(claim.claim, ())
        gaps = [record for record in own if isinstance(record, Gap)]
        outcomes = [record.outcome for record in own if isinstance(record, Ended)]
        found |= {"moved" if _is_moved(gap) else "gap" for gap in gaps}
        if not gaps and Outcome.BROKEN in outcomes:  # where there are gaps, they say why it broke
            found.add("broken")
        if Outcome.SKIPPED in outcomes:
            found.add("skipped")
        if not outcomes and not criterion.computed:
            found.add("not executed")
        elif any(bound.get("decision") != "within" for bound in claim.bounds):
            found.add("samples")
    return found
