"""What would turn a verdict really turns it, and one less does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from builders import CLAIM, FACTS, criterion, ended, finding, measure, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.criteria import Criterion, Measure, Statistic
from gonogo.model import Ability, Evidence, Gap, Level, Outcome, Status
from gonogo.supposing import Aspect, Change, Part, aspects, deciding_rank, suppose, turns
from gonogo.verdict import judge_claim

GO, OPEN, NO_GO = Status.GO, Status.INCONCLUSIVE, Status.NO_GO
CASES = ["facts/roads", "facts/rivers", "facts/bridges", None]

MEASURES = [
    measure("errors", Statistic.PROPORTION, "< 0.2", "share"),
    measure("errors", Statistic.PROPORTION, "> 0.7", "share", minimum=4),
    measure("errors", Statistic.SHARE, "<= 0.3", "share"),
    measure("seconds", Statistic.QUANTILE, "< 1", quantile=0.9),
    measure("seconds", Statistic.QUANTILE, ">= 1", quantile=0.1, minimum=20),
    measure("excess", Statistic.MEDIAN, "<= 0"),
    measure("beyond", Statistic.PSEUDOMEDIAN, "<= 0"),
    measure("peak", Statistic.MAXIMUM, "<= 1"),
    measure("peak", Statistic.MAXIMUM, "> 1"),
]


def rests_on(records: Sequence[Evidence], asked: Criterion) -> tuple[Aspect, ...]:
    return aspects(CLAIM, asked, Level.REQUIRED, FACTS, records)


def only(part: Part, records: Sequence[Evidence], asked: Criterion) -> Aspect:
    [found] = [one for one in rests_on(records, asked) if one.part is part]
    return found


def told(aspect: Aspect, records: Sequence[Evidence]) -> set[tuple[str, int, Status]]:
    return {(turn.change.value, turn.count, turn.status) for turn in turns(aspect, records)}


def errors(failing: int, n: int) -> list[Evidence]:
    return [
        sample(float(number < failing), name="errors", unit="share", case=f"facts/c{number}") for number in range(n)
    ]


RATE = criterion(measures=[measure("errors", Statistic.PROPORTION, "< 0.01", "share")])
P99 = criterion(measures=[measure("seconds", Statistic.QUANTILE, "< 1", quantile=0.99)])


class TestMeasures:
    def test_of_a_rate_that_is_go_it_is_said_how_many_failures_it_stands(self) -> None:
        records: list[Evidence] = [*errors(0, 620), ended()]
        aspect = only(Part.MEASURE, records, RATE)
        assert aspect.counts(records) == (620, 0)
        assert told(aspect, records) == {("fail", 2, OPEN), ("fail", 12, NO_GO)}

    def test_of_a_rate_that_is_open_it_is_said_how_many_more_cases_settle_it(self) -> None:
        records: list[Evidence] = [*errors(0, 200), ended()]
        assert ("more", 99, GO) in told(only(Part.MEASURE, records, RATE), records)

    def test_a_case_that_is_replayed_is_one_case(self) -> None:
        records: list[Evidence] = [*errors(0, 298), *errors(1, 1), ended()]
        aspect = only(Part.MEASURE, records, RATE)
        assert aspect.counts(records) == (297, 1)
        assert ("hold", 1, GO) not in told(aspect, records), "298 cases are too few, however often they are replayed"
        assert ("more", 175, GO) in told(aspect, records)

    def test_of_a_quantile_it_is_said_how_many_samples_beyond_the_limit_it_stands(self) -> None:
        records: list[Evidence] = [sample(*[0.5] * 600), ended()]
        assert told(only(Part.MEASURE, records, P99), records) == {("fail", 2, OPEN), ("fail", 11, NO_GO)}

    def test_where_it_matters_which_sample_is_another_one_it_is_the_farthest(self) -> None:
        asked = criterion(measures=[measure("beyond", Statistic.PSEUDOMEDIAN, "<= 0")])
        records: list[Evidence] = [sample(0.001, 1.0, *[-0.05] * 6, name="beyond"), ended()]
        aspect = only(Part.MEASURE, records, asked)
        assert ("hold", 1, GO) in told(aspect, records), "the second one"
        assert not any(change == "more" for change, _, _ in told(aspect, records)), "pairs come by looks"

    def test_which_sample_decides_is_asked_of_the_statistic(self) -> None:
        asked = P99.measures[0]
        assert deciding_rank(asked, 600) == 599
        assert deciding_rank(asked, 298) is None, "so few samples bound nothing"
        assert deciding_rank(measure(statistic=Statistic.MAXIMUM), 7) == 7

    def test_of_a_maximum_one_sample_turns_it_and_more_samples_never_help(self) -> None:
        asked = criterion(measures=[measure("peak", go="<= 1")])
        records: list[Evidence] = [sample(0.5, name="peak"), sample(0.9, name="peak", case="facts/rivers"), ended()]
        assert told(only(Part.MEASURE, records, asked), records) == {("fail", 1, NO_GO)}
        records = [sample(2.0, 3.0, 0.5, name="peak"), ended()]
        assert told(only(Part.MEASURE, records, asked), records) == {("hold", 2, GO)}

    def test_of_samples_that_are_none_nothing_is_supposed(self) -> None:
        for value in (0.5, float("nan")):
            records: list[Evidence] = [sample(value, name="errors", unit="share"), ended()]
            aspect = only(Part.MEASURE, records, RATE)
            assert aspect.status(records) is OPEN
            assert turns(aspect, records) == ()

    def test_a_limit_that_nothing_can_break_is_not_turned(self) -> None:
        asked = criterion(measures=[measure("errors", Statistic.SHARE, "<= 1", "share")])
        records: list[Evidence] = [sample(0.0, 1.0, name="errors", unit="share"), ended()]
        assert turns(only(Part.MEASURE, records, asked), records) == ()

    def test_a_measure_that_the_target_cannot_give_is_not_an_aspect(self) -> None:
        asked = criterion(needs=(Ability.LIVE,), measures=[measure()])
        assert [one.part for one in rests_on([], asked)] == [Part.LOOKS]


class TestFindings:
    def test_one_more_failing_finding_is_no_go(self) -> None:
        records: list[Evidence] = [finding(), ended()]
        assert told(only(Part.FINDINGS, records, criterion()), records) == {("fail", 1, NO_GO)}

    def test_every_failing_finding_must_hold(self) -> None:
        records: list[Evidence] = [
            finding(False),
            finding(False, "facts/rivers"),
            finding(),
            ended(Outcome.FAILED, "2 findings fail"),
        ]
        aspect = only(Part.FINDINGS, records, criterion())
        [holding] = turns(aspect, records)
        assert holding.change is Change.HOLD
        assert (holding.count, holding.status, holding.claim) == (2, GO, GO)

    def test_a_test_that_failed_without_a_finding_must_pass(self) -> None:
        records: list[Evidence] = [finding(), ended(Outcome.FAILED, "assert 1 == 2")]
        assert told(only(Part.FINDINGS, records, criterion()), records) == {("hold", 1, GO)}

    def test_what_else_keeps_the_claim_from_go_is_seen(self) -> None:
        records: list[Evidence] = [
            finding(False),
            Gap(CLAIM, "facts/rivers", "prompt moved"),
            ended(Outcome.FAILED, ""),
        ]
        [turn] = turns(only(Part.FINDINGS, records, criterion()), records)
        assert (turn.status, turn.claim) == (GO, OPEN)


class TestLooks:
    @pytest.mark.parametrize(
        ("records", "count"),
        [
            ([], 3),
            ([finding()], 2),
            ([finding(), ended()], 1),
            ([Gap(CLAIM, "facts/roads", "prompt moved"), ended(Outcome.BROKEN, "1 case")], 2),
            ([finding(), finding(case="facts/rivers"), ended(Outcome.SKIPPED, "not today")], 1),
            ([finding(), finding(case="facts/rivers"), ended(Outcome.BROKEN, "KeyError")], 1),
        ],
        ids=["nothing", "no end", "a case", "a gap and a case", "skipped", "broken"],
    )
    def test_what_is_missing_is_counted(self, records: list[Evidence], count: int) -> None:
        asked = criterion(every_case=True)
        [turn] = turns(only(Part.LOOKS, records, asked), records)
        assert (turn.change, turn.count, turn.status, turn.claim) == (Change.FILL, count, GO, GO)

    def test_what_the_target_does_not_offer_is_never_filled(self) -> None:
        assert turns(only(Part.LOOKS, [], criterion(needs=(Ability.LIVE,))), []) == ()


@st.composite
def evidence(draw: st.DrawFn, asked: Measure | None) -> list[Evidence]:
    records: list[Evidence] = []
    for _ in range(draw(st.integers(0, 3))):
        records.append(finding(draw(st.booleans()), draw(st.sampled_from(CASES))))
    for _ in range(draw(st.integers(0, 2))):
        records.append(Gap(CLAIM, draw(st.sampled_from(CASES)), "prompt moved"))
    for _ in range(draw(st.integers(0, 2))):
        records.append(ended(draw(st.sampled_from(Outcome)), "so it was"))
    if asked is not None:
        shares = asked.unit == "share"
        value = st.sampled_from([0.0, 1.0]) if shares else st.floats(-3, 3, allow_nan=False)
        for number in range(draw(st.integers(0, 40))):
            case = f"facts/c{number}" if draw(st.booleans()) else "facts/roads"
            values = draw(st.lists(value, max_size=3))
            records.append(sample(*values, name=asked.sample, unit=asked.unit, case=case))
    return draw(st.permutations(records))


@given(st.data(), st.sampled_from([None, *MEASURES]), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_turn_turns_the_verdict_and_one_less_does_not(
    data: st.DataObject, asked: Measure | None, every_case: bool, computed: bool
) -> None:
    one = criterion(measures=[asked] if asked else [], every_case=every_case, computed=computed)
    records = data.draw(evidence(asked))
    found = rests_on(records, one)
    whole = judge_claim(CLAIM, one, Level.REQUIRED, FACTS, records).status
    assert Status.worst(aspect.status(records) for aspect in found) is whole
    for aspect in found:
        now = aspect.status(records)
        for turn in turns(aspect, records):
            turned = suppose(aspect, records, turn.change, turn.count)
            assert aspect.status(turned) is turn.status is not now
            assert (turn.status.rank > now.rank) is (turn.change is Change.FAIL)
            assert judge_claim(CLAIM, one, Level.REQUIRED, FACTS, turned).status is turn.claim
            before = aspect.status(suppose(aspect, records, turn.change, turn.count - 1))
            assert before is turn.before is not turn.status
            assert min(now.rank, turn.status.rank) <= before.rank <= max(now.rank, turn.status.rank)
