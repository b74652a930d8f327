"""The sequential test of a share: its arithmetic, when it fires, and when it must not."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.errors import StatisticsError
from gonogo.sequential import ShareState, ShareTest

ERRORS = ShareTest(limit=0.1, looks=5000.0)
LOOKS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda two: (max(two), min(two))), max_size=80)


def after(test: ShareTest, *looks: tuple[int, int], state: ShareState | None = None) -> ShareState:
    found = test.begin if state is None else state
    for events, bad in looks:
        found = test.after(found, events, bad)
    return found


def looks_until_it_fires(test: ShareTest, look: tuple[int, int], state: ShareState | None = None) -> int:
    found = test.begin if state is None else state
    for number in range(1, 2000):
        found = test.after(found, *look)
        if test.fires(found):
            return number
    raise AssertionError(f"{look} never fires")


def test_nothing_seen_is_no_evidence() -> None:
    assert ERRORS.begin.evidence == -math.inf
    assert (ERRORS.progress(ERRORS.begin), ERRORS.fires(ERRORS.begin)) == (0.0, False)


def test_the_evidence_is_the_mixture_that_is_written_down() -> None:
    # in exact fractions: the odds of the alternatives are 1.8, 2.25 and 3.5 times those of the limit
    limit, statistics = Fraction(1, 10), [Fraction(0)] * 3
    looks = [(10, 1), (7, 0), (12, 5), (3, 3)]
    for events, bad in looks:
        for one, factor in enumerate((Fraction(9, 5), Fraction(9, 4), Fraction(7, 2))):
            odds = factor * limit / (1 - limit)
            share = odds / (1 + odds)
            ratio = (share / limit) ** bad * ((1 - share) / (1 - limit)) ** (events - bad)
            statistics[one] = (statistics[one] + 1) * ratio
    mixture = sum(statistics) / 3
    state = after(ERRORS, *looks)
    assert math.exp(state.evidence) == pytest.approx(float(mixture), rel=1e-12)
    assert (state.events, state.bad) == (32, 9)


def test_one_look_on_average_adds_one_to_the_evidence_of_a_share_at_the_limit() -> None:
    state = after(ERRORS, (10, 2), (10, 0), (9, 3))
    for test in (ShareTest(0.1, 1e12), ShareTest(0.05, 1e12), ShareTest(0.5, 1e12)):
        n = 12
        chances = [math.comb(n, bad) * test.limit**bad * (1 - test.limit) ** (n - bad) for bad in range(n + 1)]
        mean = sum(chance * math.exp(test.after(state, n, bad).evidence) for bad, chance in enumerate(chances))
        assert mean == pytest.approx(math.exp(state.evidence) + 1, rel=1e-9)


def test_a_service_that_nobody_uses_is_never_alarmed() -> None:
    state = after(ERRORS, *[(0, 0)] * 20000)
    assert state == ERRORS.begin
    seen = after(ERRORS, (10, 4))
    assert after(ERRORS, *[(0, 0)] * 20000, state=seen) == seen


def test_a_fault_is_found_as_quickly_after_hours_as_at_once() -> None:
    healthy = after(ERRORS, *[(10, 0)] * 7200)
    assert looks_until_it_fires(ERRORS, (10, 2), healthy) <= looks_until_it_fires(ERRORS, (10, 2)) + 1


def test_a_share_below_the_limit_stays_far_from_the_threshold() -> None:
    state = ERRORS.begin
    for _ in range(2000):
        state = after(ERRORS, (10, 1), (10, 0), state=state)
        assert ERRORS.progress(state) < 0.6


def test_a_few_errors_in_a_row_are_not_enough() -> None:
    healthy = after(ERRORS, *[(10, 0)] * 100)
    assert not ERRORS.fires(after(ERRORS, (8, 8), state=healthy))
    assert ERRORS.fires(after(ERRORS, (10, 10), state=healthy))


def test_a_burst_that_lies_in_one_look_counts_as_one_that_is_spread() -> None:
    once = after(ERRORS, (40, 12))
    spread = after(ERRORS, (10, 3), (10, 3), (10, 3), (10, 3))
    assert spread.evidence >= once.evidence
    assert spread.evidence - once.evidence < math.log(4)
    assert (once.events, once.bad) == (spread.events, spread.bad)


def test_it_fires_exactly_where_the_evidence_reaches_the_threshold() -> None:
    test = ShareTest(0.1, 5000.0)
    threshold = math.log(5000.0)
    assert test.fires(ShareState((threshold,) * 3))
    below = ShareState((threshold - 1e-9,) * 3)
    assert not test.fires(below)
    assert test.progress(below) < 1.0
    assert test.progress(ShareState((threshold / 2,) * 3)) == pytest.approx(0.5)


def test_evidence_against_a_fault_is_no_progress() -> None:
    assert ERRORS.progress(ShareState((-5.0,) * 3)) == 0.0


def test_an_alarm_goes_soon_after_its_cause_however_long_that_lasted() -> None:
    short, long = after(ERRORS, *[(10, 5)] * 10), after(ERRORS, *[(10, 5)] * 5000)
    for state in (short, long):
        assert ERRORS.fires(state)
        assert not ERRORS.fires(after(ERRORS, *[(10, 0)] * 10, state=state))


def test_what_is_forgotten_never_hides_an_alarm() -> None:
    # total failure makes the other alternatives as unlikely as they become; what is left must do alone
    for looks in (1.0, 2.0, 5000.0, 1e9):
        for limit in (0.001, 0.5, 0.99):
            test = ShareTest(limit, looks)
            state = after(test, *[(10000, 10000)] * 50)
            assert test.fires(state)
            one_alone = ShareState((-math.inf, -math.inf, state.logs[2]))
            assert test.fires(one_alone)


def test_one_look_between_two_false_alarms_alarms_at_the_first_evidence_and_not_before() -> None:
    test = ShareTest(0.1, 1.0)
    assert (test.fires(test.begin), test.progress(test.begin)) == (False, 0.0)
    assert test.fires(after(test, (1, 1)))
    assert not test.fires(after(test, (1, 0)))


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_a_limit_that_is_no_share_is_refused(limit: float) -> None:
    with pytest.raises(StatisticsError, match=r"is no limit of a share; give a number between 0 and 1"):
        ShareTest(limit, 5000.0)


@pytest.mark.parametrize("looks", [0.0, 0.99, -1.0, math.nan, math.inf])
def test_fewer_looks_than_one_are_refused(looks: float) -> None:
    with pytest.raises(StatisticsError, match=r"give a number of 1 or more"):
        ShareTest(0.1, looks)


@pytest.mark.parametrize(("events", "bad"), [(3, 4), (0, 1), (3, -1), (-1, -1), (-1, 0)])
def test_counts_that_cannot_be_are_refused(events: int, bad: int) -> None:
    with pytest.raises(StatisticsError, match="counts since the last look"):
        ERRORS.after(ERRORS.begin, events, bad)


@settings(max_examples=100, deadline=None)
@given(LOOKS, st.sampled_from([0.001, 0.05, 0.1, 0.5, 0.99]), st.sampled_from([1.0, 5000.0, 1e9]))
def test_any_looks_give_evidence_that_is_a_number_and_progress_that_agrees(
    looks: list[tuple[int, int]], limit: float, between: float
) -> None:
    test = ShareTest(limit, between)
    state = test.begin
    for events, bad in looks:
        state = test.after(state, events, bad)
        assert not math.isnan(state.evidence)
        assert state.evidence < math.inf
        assert 0.0 <= test.progress(state) <= 1.0
        assert (test.progress(state) == 1.0) == test.fires(state)
    assert (state.events, state.bad) == (sum(one[0] for one in looks), sum(one[1] for one in looks))


@settings(max_examples=100, deadline=None)
@given(LOOKS, st.integers(1, 40), st.data())
def test_one_more_bad_event_is_never_less_evidence(
    looks: list[tuple[int, int]], events: int, data: st.DataObject
) -> None:
    state = after(ERRORS, *looks)
    bad = data.draw(st.integers(0, events - 1))
    assert ERRORS.after(state, events, bad + 1).evidence >= ERRORS.after(state, events, bad).evidence


@pytest.mark.parametrize("count", [10**9, 2**53])
def test_counts_of_any_size_are_taken(count: int) -> None:
    assert ERRORS.fires(after(ERRORS, (count, count)))
    assert not ERRORS.fires(after(ERRORS, (count, 0), (count, 0)))
