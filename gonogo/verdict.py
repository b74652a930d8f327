"""The only judge: claims owed + evidence -> verdict, with reasons. Pure; the same evidence gives the same verdict.

For a claim: what was found decides NO-GO, what was not found decides INCONCLUSIVE, and only what is left is GO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gonogo import statistics
from gonogo.criteria import Criteria, Criterion, Measure, Scope, Statistic
from gonogo.errors import StatisticsError
from gonogo.evidence import by_claim
from gonogo.figures import bound_text
from gonogo.model import (
    Ability,
    Claim,
    CriterionVerdict,
    Decided,
    Ended,
    Evidence,
    Finding,
    Gap,
    Json,
    Judged,
    Level,
    Outcome,
    Phase,
    Sampled,
    Status,
    Verdict,
)

__all__ = ["NOT_EXECUTED", "Facts", "judge", "judge_claim", "owed_claims"]

NOT_EXECUTED = "no test was executed to its end for this claim"

_SHOWN = 3  # reasons of one kind that a sentence quotes; the ledger and the report hold all of them


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run is about, fixed before it begins: phase, ids of the steps and of their cases, what the target offers."""

    phase: Phase
    steps: tuple[str, ...]
    cases: Mapping[str, tuple[str, ...]]
    abilities: frozenset[Ability]
    synthetic: bool


def owed_claims(criteria: Criteria, facts: Facts) -> tuple[Claim, ...]:
    """Every claim that the run owes, from the criteria and the workflow; never from what was collected."""
    return tuple(
        claim
        for criterion in criteria.criteria
        if criterion.level(facts.phase, synthetic=facts.synthetic) is not Level.NOT_JUDGED
        for claim in criterion.claims(facts.steps)
    )


def judge(
    criteria: Criteria,
    facts: Facts,
    evidence: Iterable[Evidence],
    *,
    failures: Sequence[str] = (),
    damage: Sequence[str] = (),
    notes: Sequence[str] = (),
    unproven: Mapping[str, str] = MappingProxyType({}),
) -> Verdict:
    """The verdict for a run.

    Args:
        criteria: what is asked.
        facts: what the run is about.
        evidence: all records of all shards, in any order.
        failures: how the candidate falls short as a whole, such as by not starting; each is NO-GO.
        damage: what is known to be lost of the evidence; it keeps the run from GO.
        notes: sentences for a reader that decide nothing.
        unproven: criterion -> why its GO shows nothing: its suite was seen to catch no defect. It keeps the criterion from GO.
    """
    records = by_claim(evidence)
    verdicts = []
    for criterion in criteria.criteria:
        level = criterion.level(facts.phase, synthetic=facts.synthetic)
        if level is Level.NOT_JUDGED:
            continue
        claims = tuple(
            judge_claim(claim, criterion, level, facts, records.get(claim, []))
            for claim in criterion.claims(facts.steps)
        )
        status = Status.worst(claim.status for claim in claims)
        reasons = _reasons(claims, status)
        if status is Status.GO and criterion.id in unproven:
            status, reasons = Status.INCONCLUSIVE, (unproven[criterion.id],)
        verdicts.append(
            CriterionVerdict(criterion.id, criterion.title, criterion.group, level, status, reasons, claims)
        )
    required = [verdict for verdict in verdicts if verdict.level is Level.REQUIRED]
    said = [f"{verdict.criterion} is {verdict.status}" for verdict in required if verdict.status is not Status.GO]
    status = Status.worst(verdict.status for verdict in required)
    if not required:
        said.append("criteria.toml requires nothing in this phase")
    if not facts.steps:
        said.append("the workflow has no steps; nothing was replayed")
        status = Status.worst([status, Status.INCONCLUSIVE])
    if failures:
        said[:0] = failures
        status = Status.NO_GO
    if damage:
        said.extend(damage)
        status = Status.worst([status, Status.INCONCLUSIVE])
    return Verdict(facts.phase, status, tuple(said), tuple(verdicts), tuple(notes))


def _reasons(claims: Sequence[Decided], status: Status) -> tuple[str, ...]:
    if not claims:
        return ("the workflow has no steps; there is nothing to claim",)
    if status is Status.GO:
        return (f"{len(claims)} of {len(claims)} claims hold",)
    telling = [claim for claim in claims if claim.status is status]
    reasons = [
        f"{claim.claim.step or claim.claim.criterion}: {reason}" for claim in telling for reason in claim.reasons[:1]
    ]
    if len(reasons) > _SHOWN:
        reasons[_SHOWN:] = [f"and {len(reasons) - _SHOWN} more claims"]
    return tuple(reasons)


def judge_claim(claim: Claim, criterion: Criterion, level: Level, facts: Facts, records: Sequence[Evidence]) -> Decided:
    """The verdict for one claim, from the records of that claim alone."""
    findings = [record for record in records if isinstance(record, Judged)]
    measures = [measure for measure in criterion.measures if (measure.scope is Scope.STEP) == (claim.step is not None)]
    asked_for = {measure.sample for measure in measures}
    # a sample without a value, or one that no measure is taken of, shows nothing
    samples = [one for one in records if isinstance(one, Sampled) and one.values and one.name in asked_for]
    failing = [record for record in findings if not record.finding.ok]
    statuses: list[Status] = []
    reasons: dict[Status, list[str]] = {Status.NO_GO: [], Status.INCONCLUSIVE: []}

    def say(status: Status, reason: str) -> None:
        statuses.append(status)
        if reason not in reasons[status]:
            reasons[status].append(reason)

    if failing:
        say(Status.NO_GO, f"{len(failing)} of {len(findings)} findings fail: {_quote(failing)}")
    gaps = [record for record in records if isinstance(record, Gap)]
    ended = [record for record in records if isinstance(record, Ended)]
    for record in ended:
        if record.outcome is Outcome.FAILED and not failing:
            say(Status.NO_GO, record.reason)
        elif record.outcome is Outcome.BROKEN and not gaps:  # gaps say better why
            say(Status.INCONCLUSIVE, f"the suite broke: {record.reason}")
        elif record.outcome is Outcome.SKIPPED:
            say(Status.INCONCLUSIVE, f"skipped: {record.reason}")
    for reason, places in _grouped(gaps).items():
        say(Status.INCONCLUSIVE, f"{reason} ({_listed(places)})" if places else reason)
    missing = sorted(set(criterion.needs) - facts.abilities)
    if missing:
        say(Status.INCONCLUSIVE, f"the target does not offer: {', '.join(missing)}")
    elif not ended and not criterion.computed:
        say(Status.INCONCLUSIVE, NOT_EXECUTED)
    elif not records:
        say(Status.INCONCLUSIVE, "no evidence: what is to compute it has not run")
    elif not findings and not gaps and not measures:
        say(Status.INCONCLUSIVE, "no evidence: the test ended without a finding or a sample")
    looked_at = {one.case for one in findings} | {one.case for one in samples}
    if criterion.every_case and not missing:
        for reason in _uncovered(claim, facts, looked_at | {gap.case for gap in gaps}):
            say(Status.INCONCLUSIVE, reason)
    bounds: list[Mapping[str, Json]] = []
    if not missing:
        for measure in measures:
            status, reason, figures = _judge_measure(measure, samples)
            bounds.append(figures)
            if status is not Status.GO:
                say(status, reason)
    status = Status.worst(statuses) if statuses else Status.GO
    return Decided(
        claim=claim,
        level=level,
        status=status,
        reasons=tuple(reasons[Status.NO_GO] + reasons[Status.INCONCLUSIVE]),
        findings=len(findings),
        failing=len(failing),
        cases=tuple(sorted(case for case in looked_at if case is not None)),
        bounds=tuple(bounds),
    )


def _quote(failing: Sequence[Judged]) -> str:
    def one(case: str | None, finding: Finding) -> str:
        return f"{case}: {finding.reason}" if case else finding.reason

    # sorted, because shards arrive in no particular order
    quoted = sorted({one(record.case, record.finding) for record in failing})
    more = f"; and {len(quoted) - _SHOWN} more" if len(quoted) > _SHOWN else ""
    return "; ".join(quoted[:_SHOWN]) + more


def _grouped(gaps: Sequence[Gap]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for gap in sorted(gaps, key=lambda gap: (gap.reason, gap.case or "")):
        places = grouped.setdefault(gap.reason, [])
        if gap.case is not None and gap.case not in places:
            places.append(gap.case)
    return grouped


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more


def _uncovered(claim: Claim, facts: Facts, seen: set[str | None]) -> list[str]:
    steps = [claim.step] if claim.step else list(facts.steps)
    reasons = []
    for step in steps:
        cases = facts.cases.get(step, ())
        if not cases:
            reasons.append(f"the step {step} has no cases")
        absent = [f"{step}/{case}" for case in cases if f"{step}/{case}" not in seen]
        if absent:
            reasons.append(f"no evidence for {_listed(absent)}")
    return reasons


def _values(measure: Measure, samples: Sequence[Sampled]) -> list[float]:
    """What the statistic is taken of. Replaying a case is not another sample: a proportion takes the worst of each case.

    Samples of a proportion that name no case do not count.
    """
    if measure.statistic is not Statistic.PROPORTION:
        return [value for sample in samples for value in sample.values]
    cases: dict[str, list[float]] = {}
    for sample in samples:
        if sample.case is not None:
            cases.setdefault(sample.case, []).extend(sample.values)
    # what is neither 0 nor 1 stays in front, for the statistic to refuse
    return [next((value for value in values if value not in (0.0, 1.0)), max(values)) for values in cases.values()]


def _judge_measure(measure: Measure, samples: Sequence[Sampled]) -> tuple[Status, str, Mapping[str, Json]]:
    own = [sample for sample in samples if sample.name == measure.sample]
    values = _values(measure, own)
    figures: dict[str, Json] = {
        "sample": measure.sample,
        "statistic": measure.statistic.value if measure.quantile is None else f"{measure.quantile:g}-quantile",
        "limit": str(measure.go),
        "unit": measure.unit,
        "n": len(values),
    }
    odd = sorted({sample.unit for sample in own} - {measure.unit})
    if odd:
        return (
            Status.INCONCLUSIVE,
            f"{measure.sample}: sampled in {', '.join(odd)}, asked for in {measure.unit}",
            figures,
        )
    if len(values) < measure.minimum:
        reason = f"{measure.sample}: {len(values)} samples, at least {measure.minimum} are asked for"
        return Status.INCONCLUSIVE, reason, figures
    try:
        bound = measure.bound(values)
        decision = measure.go.decide(bound)
    except StatisticsError as error:
        return Status.INCONCLUSIVE, f"{measure.sample}: {error}", figures
    finite = {"estimate": bound.estimate, "lower": bound.lower, "upper": bound.upper}
    figures |= {key: value if abs(value) != float("inf") else None for key, value in finite.items()}
    figures |= {"confidence": bound.confidence, "method": bound.method, "decision": decision.value}
    if decision is statistics.Decision.WITHIN:
        return Status.GO, "", figures
    shown = bound_text(figures)
    if decision is statistics.Decision.OUTSIDE:
        return Status.NO_GO, shown, figures
    return Status.INCONCLUSIVE, f"{shown}; {_what_would_settle(measure, values, bound)}", figures


def _what_would_settle(measure: Measure, values: Sequence[float], bound: statistics.Bound) -> str:
    if measure.statistic in (Statistic.PROPORTION, Statistic.SHARE):
        failures = int(sum(values))
        try:
            needed = statistics.samples_for_proportion(
                measure.go.value, failures, confidence=measure.confidence, strict=measure.go.operator == "<"
            )
        except StatisticsError as error:
            return str(error)
        what = "distinct cases" if measure.statistic is Statistic.PROPORTION else "events"
        return f"{needed} {what} with {failures} failures would settle it"
    if measure.statistic is Statistic.QUANTILE and measure.quantile is not None:
        needed = statistics.samples_for_quantile(measure.quantile, confidence=measure.confidence)
        if len(values) < needed:
            return f"{needed} samples are the fewest that bound this quantile"
    if measure.statistic is Statistic.PSEUDOMEDIAN and 4 * len(values) > statistics.MOST_RANKED:
        return "a quieter machine would narrow the interval"
    return f"about {4 * len(values)} samples would halve the interval; or a quieter machine"
