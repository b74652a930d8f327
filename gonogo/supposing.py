"""What would turn a verdict: the evidence as it might have been, put before the judge itself.

A claim rests on aspects: its findings, what was looked at, and each of its measures. The verdict of an aspect is what
``verdict.judge_claim`` says of its records alone, and the claim's is the worst of them. How much it takes to turn one is found
by trying: evidence is changed by a count (``suppose``) and judged again, so nothing here can differ from the judge.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeGuard

from gonogo.criteria import Criterion, Measure, Scope, Statistic
from gonogo.model import Claim, Ended, Evidence, Finding, Gap, Judged, Level, Outcome, Sampled, Status
from gonogo.verdict import Facts, judge_claim

__all__ = ["MOST_ADDED", "Aspect", "Change", "Part", "Turn", "aspects", "deciding_rank", "suppose", "turns"]

MOST_ADDED = 100_000  # further samples that are tried; more is no advice
Supposing: TypeAlias = Callable[[int], list[Evidence]]
_SUPPOSED = Finding("supposed", True, "supposed to hold")


class Part(enum.StrEnum):
    """What a claim rests on."""

    FINDINGS = "findings"
    LOOKS = "looks"
    MEASURE = "measure"


class Change(enum.StrEnum):
    """How evidence is supposed to have been otherwise: so many that hold fail, so many that fail hold, so many more that
    hold, so many of what is missing there and holding."""

    FAIL = "fail"
    HOLD = "hold"
    MORE = "more"
    FILL = "fill"


@dataclass(frozen=True)
class Aspect:
    """One thing that a claim rests on. ``measure`` is there for the part ``MEASURE`` alone."""

    part: Part
    claim: Claim
    criterion: Criterion
    level: Level
    facts: Facts
    measure: Measure | None = None

    def status(self, records: Sequence[Evidence]) -> Status:
        """What the judge says where the claim rests on this alone."""
        bare = replace(self.criterion, needs=(), every_case=False, computed=True, measures=())
        match self.part:
            case Part.FINDINGS:
                asked, own = bare, [one for one in records if isinstance(one, Judged) or _failed(one)]
            case Part.LOOKS:
                asked, own = replace(self.criterion, measures=()), list(self.looks(records))
            case Part.MEASURE:
                assert self.measure is not None
                asked, own = replace(bare, measures=(self.measure,)), list(self.samples(records))
        return judge_claim(self.claim, asked, self.level, self.facts, own).status

    def whole(self, records: Sequence[Evidence]) -> Status:
        """What the judge says of the claim."""
        return judge_claim(self.claim, self.criterion, self.level, self.facts, records).status

    def is_counted(self, record: Evidence) -> TypeGuard[Sampled]:
        """Whether a record is a sample of the measure that counts; one of a proportion names its case."""
        return (
            self.measure is not None
            and isinstance(record, Sampled)
            and record.name == self.measure.sample
            and bool(record.values)
            and (record.case is not None or self.measure.statistic is not Statistic.PROPORTION)
        )

    def samples(self, records: Sequence[Evidence]) -> list[Sampled]:
        """The samples of the measure that count."""
        return [one for one in records if self.is_counted(one)]

    def counts(self, records: Sequence[Evidence]) -> tuple[int, int] | None:
        """How many hold and how many fail: findings, or samples or cases that keep the limit by themselves.

        None where the samples are none of this measure, or no sample could fail.
        """
        if self.measure is None:
            found = [one for one in records if isinstance(one, Judged)]
            failing = sum(not one.finding.ok for one in found)
            return len(found) - failing, failing
        if _values(self.measure, self.samples(records)) is None:
            return None
        units = _units(self.measure, self.samples(records))
        failing = sum(not all(map(self.measure.go.admits, values)) for values in units.values())
        return len(units) - failing, failing

    def looks(self, records: Sequence[Evidence]) -> Iterator[Evidence]:
        """The records with everything in them holding: what is left is whether it was looked at."""
        names = {one.sample for one in _measures(self.criterion, self.claim)}
        for one in records:
            if isinstance(one, Judged):
                yield replace(one, finding=_SUPPOSED)
            elif isinstance(one, Sampled):
                if one.values and one.name in names:
                    yield Judged(one.claim, one.case, _SUPPOSED)
            else:
                yield replace(one, outcome=Outcome.PASSED) if isinstance(one, Ended) and _failed(one) else one


@dataclass(frozen=True, slots=True)
class Turn:
    """``count`` is the fewest of a change that turn the aspect: it would be ``status``, and the whole claim ``claim``.

    ``before`` is what the aspect would be with one less.
    """

    change: Change
    count: int
    status: Status
    claim: Status
    before: Status


def aspects(
    claim: Claim, criterion: Criterion, level: Level, facts: Facts, records: Sequence[Evidence]
) -> tuple[Aspect, ...]:
    """Everything that the claim rests on; the worst of their verdicts is the claim's."""
    measures = _measures(criterion, claim)
    found: list[Aspect] = []
    if not measures or any(isinstance(one, Judged) or _failed(one) for one in records):
        found.append(Aspect(Part.FINDINGS, claim, criterion, level, facts))
    if set(criterion.needs) <= facts.abilities:
        found += [Aspect(Part.MEASURE, claim, criterion, level, facts, measure) for measure in measures]
    return (*found, Aspect(Part.LOOKS, claim, criterion, level, facts))


def turns(aspect: Aspect, records: Sequence[Evidence]) -> tuple[Turn, ...]:
    """What would turn an aspect, the fewest of each change: away from GO and to NO-GO, or as far as GO."""
    now = aspect.status(records)
    found: list[Turn] = []
    for change, most in _changes(aspect, records, now):
        supposed = _supposing(aspect, records, change)
        seen: dict[int, Status] = {0: now}

        def status(count: int, supposed: Supposing = supposed, seen: dict[int, Status] = seen) -> Status:
            if count not in seen:
                seen[count] = aspect.status(supposed(count))
            return seen[count]

        worse = change is Change.FAIL
        for wanted in Status:
            if (wanted.rank <= now.rank) if worse else (wanted.rank >= now.rank):
                continue

            def turned(
                count: int, status: Callable[[int], Status] = status, wanted: Status = wanted, worse: bool = worse
            ) -> bool:
                return status(count).rank >= wanted.rank if worse else status(count).rank <= wanted.rank

            count = _fewest(turned, most)
            if count is None:
                continue
            turn = Turn(change, count, status(count), aspect.whole(supposed(count)), status(count - 1))
            if turn not in found:
                found.append(turn)
    return tuple(sorted(found, key=lambda turn: (list(Change).index(turn.change), turn.count)))


def suppose(aspect: Aspect, records: Sequence[Evidence], change: Change, count: int) -> list[Evidence]:
    """All records of the claim with ``count`` of a change made to the aspect."""
    return _supposing(aspect, records, change)(count)


def _supposing(aspect: Aspect, records: Sequence[Evidence], change: Change) -> Supposing:
    """The records by the count of a change; what does not depend on the count is done once."""
    match aspect.part:
        case Part.LOOKS:
            return lambda count: _filled(aspect, records, count)
        case Part.FINDINGS:
            return lambda count: _found(aspect, records, change, count)
        case Part.MEASURE:
            return _sampling(aspect, records, change)


def deciding_rank(measure: Measure, n: int) -> int | None:
    """Which of ``n`` samples, by size and counted from 1, is the bound that decides; none where no sample does.

    The statistic is asked for its bound of the numbers 1 to n.
    """
    if measure.statistic is Statistic.PSEUDOMEDIAN:  # an average of two samples is
        return None
    bound = measure.bound([float(number) for number in range(1, n + 1)])
    end = bound.upper if _is_upper(measure) else bound.lower
    return int(end) if abs(end) <= n else None


def is_bounded(measure: Measure, n: int) -> bool:
    """Whether ``n`` samples are enough to bound the statistic on the side that decides."""
    bound = measure.bound([float(number) for number in range(1, n + 1)])
    return math.isfinite(bound.upper if _is_upper(measure) else bound.lower)


def _measures(criterion: Criterion, claim: Claim) -> list[Measure]:
    return [measure for measure in criterion.measures if (measure.scope is Scope.STEP) == (claim.step is not None)]


def _is_upper(measure: Measure) -> bool:
    return measure.go.operator.startswith("<")


def _failed(record: Evidence) -> bool:
    return isinstance(record, Ended) and record.outcome is Outcome.FAILED


def _changes(aspect: Aspect, records: Sequence[Evidence], now: Status) -> Iterator[tuple[Change, int]]:
    """The changes that are worth trying, with the most of each."""
    if aspect.part is Part.LOOKS:
        yield Change.FILL, len(_lacks(aspect, records))
        return
    counts = aspect.counts(records)
    if counts is None:
        return
    holding, failing = counts
    if aspect.part is Part.FINDINGS:
        yield Change.FAIL, 1
        yield Change.HOLD, failing or int(any(map(_failed, records)))
        return
    assert aspect.measure is not None
    yield Change.FAIL, holding
    yield Change.HOLD, failing
    # pairs of processes come by looks, not one by one
    if now is Status.INCONCLUSIVE and aspect.measure.statistic not in (Statistic.MAXIMUM, Statistic.PSEUDOMEDIAN):
        yield Change.MORE, MOST_ADDED


def _fewest(turned: Callable[[int], bool], most: int) -> int | None:
    """The smallest count from 1 to ``most`` that turns it, where every larger one does as well."""
    low, high = 0, 1
    if most < 1:
        return None
    while not turned(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if turned(middle) else (middle, high)
    return high


def _found(aspect: Aspect, records: Sequence[Evidence], change: Change, count: int) -> list[Evidence]:
    if change is not Change.HOLD:
        more = Judged(aspect.claim, None, replace(_SUPPOSED, ok=change is Change.MORE))
        return [*records, *[more] * count]
    failing = [place for place, one in enumerate(records) if isinstance(one, Judged) and not one.finding.ok]
    changed = set(failing[:count])
    told: list[Evidence] = []
    for place, one in enumerate(records):
        if isinstance(one, Judged) and place in changed:
            told.append(replace(one, finding=replace(one.finding, ok=True)))
        elif isinstance(one, Ended) and _failed(one) and count >= max(1, len(failing)):
            # a test that failed because of its findings would not have failed without them
            told.append(replace(one, outcome=Outcome.PASSED))
        else:
            told.append(one)
    return told


@dataclass(frozen=True, slots=True)
class _Lacks:
    """What is missing: the places of records that say so, and what nobody looked at, as it would stand there."""

    gaps: tuple[int, ...]
    ends: tuple[int, ...]
    absent: tuple[Evidence, ...]

    def __len__(self) -> int:
        return len(self.gaps) + len(self.ends) + len(self.absent)


def _lacks(aspect: Aspect, records: Sequence[Evidence]) -> _Lacks:
    claim, criterion, facts = aspect.claim, aspect.criterion, aspect.facts
    gaps = [place for place, one in enumerate(records) if isinstance(one, Gap)]
    seen = {one.case for one in aspect.looks(records) if isinstance(one, Judged | Gap)}
    absent: list[Evidence] = []
    if criterion.every_case:
        steps = [claim.step] if claim.step else facts.steps
        owed = [f"{step}/{case}" for step in steps for case in facts.cases.get(step, ())]
        absent += [Judged(claim, case, _SUPPOSED) for case in owed if case not in seen]
    if not seen and not absent:
        absent.append(Judged(claim, None, _SUPPOSED))
    ended = {place: one.outcome for place, one in enumerate(records) if isinstance(one, Ended)}
    if not ended and not criterion.computed:
        absent.append(Ended(claim, Outcome.PASSED, "", "supposed", 0.0))
    # where there are gaps, they are why the test broke
    ends = [
        place
        for place, outcome in ended.items()
        if outcome is Outcome.SKIPPED or (outcome is Outcome.BROKEN and not gaps)
    ]
    return _Lacks(tuple(gaps), tuple(ends), tuple(absent))


def _filled(aspect: Aspect, records: Sequence[Evidence], count: int) -> list[Evidence]:
    lacks = _lacks(aspect, records)
    gaps, ends = set(lacks.gaps[:count]), set(lacks.ends[: max(0, count - len(lacks.gaps))])
    told: list[Evidence] = []
    for place, one in enumerate(records):
        if isinstance(one, Gap) and place in gaps:
            told.append(Judged(one.claim, one.case, _SUPPOSED))
        elif isinstance(one, Ended) and (
            place in ends or (one.outcome is Outcome.BROKEN and 0 < len(lacks.gaps) == len(gaps))
        ):
            told.append(replace(one, outcome=Outcome.PASSED))
        else:
            told.append(one)
    return told + list(lacks.absent[: max(0, count - len(lacks.gaps) - len(lacks.ends))])


def _units(measure: Measure, samples: Sequence[Sampled]) -> dict[object, list[float]]:
    """What counts as one: the values of a case for a proportion, else each value."""
    units: dict[object, list[float]] = {}
    for number, sample in enumerate(samples):
        for index, value in enumerate(sample.values):
            units.setdefault(_key(measure, sample, number, index), []).append(value)
    return units


def _key(measure: Measure, sample: Sampled, number: int, index: int) -> object:
    return sample.case if measure.statistic is Statistic.PROPORTION else (number, index)


def _values(measure: Measure, samples: Sequence[Sampled]) -> tuple[float, float] | None:
    """A value that keeps the limit and one that does not, beyond all that was measured; none where there is no such pair."""
    values = [value for sample in samples for value in sample.values]
    if measure.statistic in (Statistic.PROPORTION, Statistic.SHARE):
        low, high = 0.0, 1.0
        if any(value not in (low, high) for value in values):
            return None
    elif all(map(math.isfinite, values)):
        low, high = min([*values, measure.go.value]), max([*values, measure.go.value])
        low, high = low - max(1.0, abs(low)), high + max(1.0, abs(high))
    else:
        return None
    keeps, breaks = (low, high) if _is_upper(measure) else (high, low)
    return (keeps, breaks) if measure.go.admits(keeps) and not measure.go.admits(breaks) else None


def _sampling(aspect: Aspect, records: Sequence[Evidence], change: Change) -> Supposing:
    measure = aspect.measure
    assert measure is not None
    places = [place for place, one in enumerate(records) if aspect.is_counted(one)]
    samples = aspect.samples(records)
    pair = _values(measure, samples)
    assert pair is not None, "a change of samples that cannot be changed; _changes offers none"
    keeps, breaks = pair
    if change is Change.MORE:
        return lambda count: [*records, *_more(aspect.claim, measure, keeps, count)]
    found, to = (True, breaks) if change is Change.FAIL else (False, keeps)
    units: dict[object, list[tuple[int, int]]] = {}
    for number, sample in enumerate(samples):
        for index in range(len(sample.values)):
            units.setdefault(_key(measure, sample, number, index), []).append((number, index))
    owned = _units(measure, samples)
    kind = [key for key, values in owned.items() if all(map(measure.go.admits, values)) is found]
    # where it matters which of them is another one (pseudomedian), it is the farthest that takes the fewest
    kind.sort(key=lambda key: -max(abs(value - measure.go.value) for value in owned[key]))

    def changed(count: int) -> list[Evidence]:
        values: dict[int, list[float]] = {}
        for key in kind[:count]:
            for number, index in units[key]:
                if number not in values:
                    values[number] = list(samples[number].values)
                values[number][index] = to
        told = list(records)
        for number, own in values.items():
            told[places[number]] = replace(samples[number], values=tuple(own))
        return told

    return changed


def _more(claim: Claim, measure: Measure, value: float, count: int) -> list[Evidence]:
    """Further samples; those of a proportion are of cases that nobody has seen."""
    if measure.statistic is not Statistic.PROPORTION:
        return [Sampled(claim, measure.sample, measure.unit, (value,) * count)]
    return [Sampled(claim, measure.sample, measure.unit, (value,), f"supposed/{number}") for number in range(count)]
