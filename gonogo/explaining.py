"""A verdict explains itself: what was asked, what was found, how far from the limit it lies, and what would turn it.

Pure: from the criteria and the evidence of a run to facts in plain text. What would turn a verdict is asked of the judge
(``gonogo.supposing``), never computed here.
"""

from __future__ import annotations

import json
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gonogo.criteria import Criteria, Criterion, Measure, Statistic
from gonogo.documents import closest
from gonogo.errors import DefinitionError
from gonogo.evidence import by_claim
from gonogo.figures import (
    closeness,
    deciding,
    is_decided,
    limit_text,
    limit_value,
    printable,
    quantity,
    shortened,
    statistic_name,
)
from gonogo.model import Claim, CriterionVerdict, Decided, Evidence, Judged, Level, Sampled, Status, Verdict
from gonogo.next_steps import NOT_RUN, Again, advice, commands, whole_run
from gonogo.supposing import Aspect, Change, Part, Turn, aspects, deciding_rank, is_bounded, turns
from gonogo.verdict import NOT_EXECUTED, Facts

__all__ = ["Explanation", "Line", "explain", "told_criteria"]

_SHOWN = 5  # steps or cases that a sentence lists
_REASON = 300
_INDENT = 11
_NARROWEST = 24
_NARROW = 60  # columns; below, labels stand on lines of their own
_NOUNS = {Statistic.PROPORTION: "case", Statistic.SHARE: "event"}


@dataclass(frozen=True, slots=True)
class Line:
    """One fact under a label. A ``command`` stays on one line whatever its length, so that it can be copied."""

    label: str
    text: str
    command: bool = False


@dataclass(frozen=True)
class Explanation:
    """Why one criterion has its verdict, as facts in the order in which they are read."""

    criterion: str
    status: Status
    level: Level
    lines: tuple[Line, ...] = field(default=())

    def text(self, width: int) -> str:
        """Plain text, ending with a line feed, in at most ``width`` columns but for commands; nothing steers a terminal."""
        width = max(width, _NARROWEST)
        told = _wrapped(f"{self.status.value}  {self.criterion} ({self.level.value})", width, indent="  ")
        before = ""
        for line in self.lines:
            told += _shown(line, "" if line.label == before else line.label, width)
            before = line.label
        return "".join(f"{line.rstrip()}\n" for line in told)


def _shown(line: Line, label: str, width: int) -> list[str]:
    text = printable(" ".join(line.text.split()), keep="")
    if width < _NARROW:
        head, indent = ([f"  {label}:"] if label else []), " " * 4
    else:
        head, indent = [], " " * _INDENT
    shown = [f"{indent}$ {text}"] if line.command else _wrapped(f"{indent}{text}", width, indent=indent)
    if not head and label:
        shown[0] = f"  {label}".ljust(_INDENT) + shown[0][_INDENT:]
    return [*head, *shown]


def _wrapped(text: str, width: int, *, indent: str) -> list[str]:
    return textwrap.wrap(printable(text, keep=""), width, subsequent_indent=indent, break_on_hyphens=False)


def told_criteria(verdict: Verdict, named: str | None) -> tuple[CriterionVerdict, ...]:
    """The criterion that is named, else every required one that is not GO.

    Raises:
        DefinitionError: no criterion of that name is judged in the run.
    """
    if named is None:
        return tuple(one for one in verdict.criteria if one.level is Level.REQUIRED and one.status is not Status.GO)
    found = tuple(one for one in verdict.criteria if one.criterion == named)
    if not found:
        judged = [one.criterion for one in verdict.criteria]
        raise DefinitionError(
            f"{named!r} is no criterion that this run judges{closest(named, judged)}; "
            f"name one of {', '.join(judged) or 'none: criteria.toml asks for nothing in this phase'}"
        )
    return found


def explain(
    criteria: Criteria, facts: Facts, evidence: Iterable[Evidence], told: Sequence[CriterionVerdict], again: Again
) -> tuple[Explanation, ...]:
    """Why criteria have the verdicts that they have.

    Args:
        criteria: what was asked.
        facts: what the run is about.
        evidence: all records of the run.
        told: the verdicts to explain, as ``verdict.judge`` gave them for this evidence.
        again: how the run was made, for the commands that are named.
    """
    records = by_claim(evidence)
    untouched = [one for one in told if _is_untouched(one)] if len(told) > 1 else []
    found = [
        Explanation(
            one.criterion, one.status, one.level, tuple(_lines(criteria[one.criterion], facts, one, records, again))
        )
        for one in told
        if one not in untouched
    ]
    if untouched:
        names = ", ".join(one.criterion for one in untouched)
        lines = [Line("because", NOT_EXECUTED), Line("next", NOT_RUN)]
        lines += [Line("next", command, command=True) for command in whole_run(records, again)]
        found.append(Explanation(names, Status.INCONCLUSIVE, Level.REQUIRED, tuple(lines)))
    return tuple(found)


def _is_untouched(verdict: CriterionVerdict) -> bool:
    """Whether not one test of the criterion was executed, as in a run of a single suite."""
    return bool(verdict.claims) and all(claim.reasons[:1] == (NOT_EXECUTED,) for claim in verdict.claims)


def _lines(
    criterion: Criterion,
    facts: Facts,
    verdict: CriterionVerdict,
    records: Mapping[Claim, Sequence[Evidence]],
    again: Again,
) -> Iterator[Line]:
    yield Line("asked", verdict.title)
    for text in _limits(criterion, verdict):
        yield Line("limit", text)
    if not verdict.claims:
        yield Line("because", verdict.reasons[0] if verdict.reasons else "nothing was claimed")
        return
    yield Line("claims", _claims(verdict))
    if _is_unproven(verdict):
        yield from (Line("because", shortened(reason, _REASON)) for reason in verdict.reasons)
    worst = min(verdict.claims, key=_badness)
    shown = [worst]
    if any(_is_of_step(claim) is not _is_of_step(worst) for claim in verdict.claims if claim.bounds or claim.failing):
        shown.append(min((one for one in verdict.claims if _is_of_step(one) is not _is_of_step(worst)), key=_badness))
    for claim in shown:
        yield from _claim(criterion, facts, claim, records.get(claim.claim, []), alone=len(verdict.claims) == 1)
    yield from _next(criterion, facts, verdict, records, again, worst)


def _is_unproven(verdict: CriterionVerdict) -> bool:
    """Whether all claims hold, and the criterion was seen to catch nothing."""
    return verdict.status is not Status.GO and Status.worst(claim.status for claim in verdict.claims) is Status.GO


def _is_of_step(claim: Decided) -> bool:
    return claim.claim.step is not None


def _claim(
    criterion: Criterion, facts: Facts, claim: Decided, records: Sequence[Evidence], *, alone: bool
) -> Iterator[Line]:
    if not alone:
        place = claim.claim.step or "the whole run"
        near = " lies nearest to its limit" if claim.bounds else ", as one of those that hold"
        yield Line("worst", f"{place}{near}" if claim.status is Status.GO else place)
    for reason in claim.reasons:
        yield Line("because", shortened(reason, _REASON))
    bounds = {(bound["sample"], bound["statistic"]): bound for bound in claim.bounds}
    for aspect in aspects(claim.claim, criterion, claim.level, facts, records):
        yield from _aspect(aspect, records, claim, bounds)


def _limits(criterion: Criterion, verdict: CriterionVerdict) -> Iterator[str]:
    if not criterion.measures or any(claim.findings for claim in verdict.claims):
        yield "no finding may fail" + (", and every case must be looked at" if criterion.every_case else "")
    for measure in criterion.measures:
        plain = {"sample": measure.sample, "statistic": _statistic(measure), "limit": str(measure.go)}
        text = f"{statistic_name(plain)} {limit_text(plain | {'unit': measure.unit})}"
        if measure.statistic is not Statistic.MAXIMUM:
            text += f", bounded at a confidence of {_percent(measure.confidence)}"
        if measure.minimum > 1:
            text += f", from {_count(measure.minimum, _noun(measure))} at least"
        yield text


def _claims(verdict: CriterionVerdict) -> str:
    held = sum(claim.status is Status.GO for claim in verdict.claims)
    text = f"{held} of {len(verdict.claims)} hold"
    for status in (Status.NO_GO, Status.INCONCLUSIVE):
        places = [claim.claim.step or "the whole run" for claim in verdict.claims if claim.status is status]
        if places:
            text += f"; {status.value}: {_listed(places)}"
    return text


def _badness(claim: Decided) -> tuple[Any, ...]:
    nearest = min((closeness(bound) for bound in claim.bounds), default=(3, 0.0, 0.0))
    return (-claim.status.rank, *nearest, -claim.failing)


def _aspect(
    aspect: Aspect, records: Sequence[Evidence], claim: Decided, bounds: Mapping[tuple[Any, Any], Mapping[str, Any]]
) -> Iterator[Line]:
    counts = aspect.counts(records) or (0, 0)
    if aspect.part is Part.FINDINGS and claim.findings:
        yield Line("evidence", _findings(records, claim))
    if aspect.measure is not None:
        bound = bounds.get((aspect.measure.sample, _statistic(aspect.measure)))
        if bound is None:
            return
        yield Line("evidence", _figure(bound))
        if is_decided(bound):
            yield Line("distance", _distance(bound))
            yield Line("decides", _decides(aspect.measure, aspect.samples(records), counts))
    for turn in turns(aspect, records):
        yield Line("turns", _turn(aspect, turn, counts))


def _findings(records: Sequence[Evidence], claim: Decided) -> str:
    held = claim.findings - claim.failing
    text = f"{held} of {_count(claim.findings, 'finding')} ok"
    if claim.cases:
        text += f", on {_count(len(claim.cases), 'case')}"
    failing = Counter(one.case or "no case" for one in records if isinstance(one, Judged) and not one.finding.ok)
    if failing:
        case, number = min(failing.items(), key=lambda pair: (-pair[1], pair[0]))
        text += f"; the worst is {case} with {number} that {'fails' if number == 1 else 'fail'}"
    return text


def _figure(bound: Mapping[str, Any]) -> str:
    if not is_decided(bound):
        return f"{statistic_name(bound)}: not known, n = {bound['n']}"
    unit = bound["unit"]
    text = f"{statistic_name(bound)}: estimate {quantity(bound['estimate'], unit)}"
    if bound["confidence"] != 1:
        low, high = quantity(bound["lower"], unit), quantity(bound["upper"], unit)
        text += f", bounds {low} and {high}, each at a confidence of {_percent(bound['confidence'])}"
    return f"{text}, n = {bound['n']}; {bound['method']}"


def _distance(bound: Mapping[str, Any]) -> str:
    value, limit, unit = deciding(bound), limit_value(bound), bound["unit"]
    if value is None:
        return f"no bound yet, so none to the limit of {limit_text(bound)}"
    distance = limit - value if str(bound["limit"]).startswith("<") else value - limit
    share = f", {_percent(abs(distance / limit))} of the limit" if limit else ""
    side = "within" if distance > 0 else "beyond"
    if distance == 0:
        return f"none: the bound lies on the limit, {limit_text(bound)}"
    return f"the bound lies {quantity(abs(distance), unit)} {side} the limit{share}"


def _decides(measure: Measure, samples: Sequence[Sampled], counts: tuple[int, int]) -> str:
    holding, failing = counts
    n = holding + failing
    noun = _noun(measure)
    if measure.statistic in (Statistic.PROPORTION, Statistic.SHARE):
        text = f"{_count(failing, 'failure')} on {_count(n, noun)}"
        cases = sorted({one.case for one in samples if one.case and not all(map(measure.go.admits, one.values))})
        return f"{text}: {_listed(cases)}" if cases else text
    upper = measure.go.operator.startswith("<")
    far = max(
        samples,
        key=lambda one: max(one.values) if upper or measure.statistic is Statistic.MAXIMUM else -min(one.values),
    )
    if measure.statistic is Statistic.MAXIMUM:
        value = max(far.values)
        slack = measure.go.value - value if upper else value - measure.go.value
        far_off = quantity(abs(slack), measure.unit)
        kept = f"slack {far_off}" if slack >= 0 else f"{far_off} too {'much' if upper else 'little'}"
        return f"the largest, {quantity(value, measure.unit)}{_of_case(far)}, {kept}"
    rank = deciding_rank(measure, n)
    beyond = f"{_count(failing, noun)} of {n} lie{'s' if failing == 1 else ''} beyond the limit"
    if measure.statistic is Statistic.PSEUDOMEDIAN and is_bounded(measure, n):
        return f"an average of two samples is the bound, by rank; {beyond}"
    if rank is None:
        return f"no sample: {_count(n, noun)} are too few to bound it; {beyond}"
    extreme = max(far.values) if upper else min(far.values)
    return (
        f"sample {rank} of {n} by size is the bound; {beyond}, "
        f"the farthest is {quantity(extreme, measure.unit)}{_of_case(far)}"
    )


def _of_case(sample: Sampled) -> str:
    return f" of {sample.case}" if sample.case else ""


def _turn(aspect: Aspect, turn: Turn, counts: tuple[int, int]) -> str:
    holding, failing = counts
    text = f"{turn.status.value} {_supposed(aspect, turn, holding, failing)}"
    if turn.count > 1:
        text += f"; {turn.before.value} with {turn.count - 1}"
    if turn.claim is not turn.status:
        text += f"; the claim as a whole would be {turn.claim.value}"
    return text


def _supposed(aspect: Aspect, turn: Turn, holding: int, failing: int) -> str:
    count, measure = turn.count, aspect.measure
    if turn.change is Change.FILL:
        return f"if what is missing were there and held: {count} {'piece' if count == 1 else 'pieces'} of evidence"
    if measure is None:
        if turn.change is Change.FAIL:
            return f"with {_count(count, 'finding')} that {'fails' if count == 1 else 'fail'}"
        return "if the test passed" if not failing else f"if {_of(count, failing)} failing findings held"
    noun, n = _noun(measure), holding + failing
    counted = measure.statistic in _NOUNS
    match turn.change:
        case Change.FAIL:
            more = "more " if failing else ""
            how = "failed" if counted else "lay beyond the limit"
            return f"if {count} {more}of {_count(n, noun)} {how}" + (f", {failing + count} in all" if failing else "")
        case Change.HOLD:
            how = f"failing {noun}s did not fail" if counted else f"{noun}s beyond the limit kept it"
            return f"if {_of(count, failing)} {how}"
        case _:
            what = f"more distinct {noun}" if measure.statistic is Statistic.PROPORTION else f"more {noun}"
            return f"with {_count(count, what)}, {'none failing' if counted else 'all within the limit'}"


def _next(
    criterion: Criterion,
    facts: Facts,
    verdict: CriterionVerdict,
    records: Mapping[Claim, Sequence[Evidence]],
    again: Again,
    worst: Decided,
) -> Iterator[Line]:
    if _is_unproven(verdict):
        yield Line(
            "next", "Correct its suite until it catches what is planted; then the proof of the gate is another one."
        )
        yield Line("next", shlex.join(["gonogo", "prove", "--only", criterion.id]), command=True)
        return
    if verdict.status is Status.NO_GO:
        yield Line("next", "Repair what falls short, then look at this criterion again; a verdict takes the whole run.")
    for told in advice(criterion, verdict, records, facts.abilities):
        yield Line("next", told)
    is_open = any(bound.get("decision") == "open" for bound in worst.bounds)
    amounts = [
        f"{name} = {_amount(value)}"
        for name, value in criterion.in_phase(facts.phase).parameters.items()
        if _is_amount(value)
    ]
    if is_open and amounts:
        yield Line("next", f"How much is measured stands in criteria.toml, {criterion.id}: {', '.join(amounts)}.")
    if verdict.status is not Status.GO:
        for command in commands(criterion, verdict, records, again):
            yield Line("next", command, command=True)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | list) and not isinstance(value, bool)


def _amount(value: object) -> str:
    """As criteria.toml has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_amount, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_amount(own)}' for name, own in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _statistic(measure: Measure) -> str:
    return measure.statistic.value if measure.quantile is None else f"{measure.quantile:g}-quantile"


def _noun(measure: Measure) -> str:
    return _NOUNS.get(measure.statistic, "sample")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _of(count: int, every: int) -> str:
    return f"all {every}" if count == every > 1 else f"{count} of {every}"


def _percent(share: float) -> str:
    return quantity(share, "share")


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more
