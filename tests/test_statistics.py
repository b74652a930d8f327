"""Bounds and decisions: known figures, edges, what is refused, monotonicity, coverage."""

from __future__ import annotations

import dataclasses
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import gonogo
from gonogo.errors import GonogoError, StatisticsError
from gonogo.statistics import (
    Bound,
    Decision,
    Limit,
    maximum,
    median,
    proportion,
    pseudomedian,
    quantile,
    samples_for_proportion,
    samples_for_quantile,
)

CONFIDENCES = st.floats(0.5, 0.9999)
SHARES = st.floats(0.01, 0.99)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SAMPLES = st.lists(NUMBERS, min_size=1, max_size=80)
quick = settings(max_examples=60, deadline=None)


def bound(lower: float, upper: float) -> Bound:
    estimate = min(max(0.0, lower), upper)
    return Bound(estimate, lower, upper, confidence=0.95, n=10, method="made up")


def binomial_tail_up_to(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) <= k), summed term by term: independent of scipy."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


class TestProportion:
    @pytest.mark.parametrize(
        ("failures", "n", "limit", "decision"),
        [
            (0, 200, "< 0.01", Decision.OPEN),
            (0, 298, "< 0.01", Decision.OPEN),
            (0, 299, "< 0.01", Decision.WITHIN),
            (0, 58, "< 0.05", Decision.OPEN),
            (0, 59, "< 0.05", Decision.WITHIN),
            (1, 300, "< 0.01", Decision.OPEN),
            (12, 600, "< 0.01", Decision.OUTSIDE),
            (600, 600, ">= 0.95", Decision.WITHIN),
        ],
    )
    def test_the_known_figures_are_decided_as_known(
        self, failures: int, n: int, limit: str, decision: Decision
    ) -> None:
        assert Limit.parse(limit).decide(proportion(failures, n)) is decision

    def test_twelve_failures_in_600_show_more_than_one_percent(self) -> None:
        result = proportion(12, 600)
        assert result.estimate == 0.02
        assert result.lower == pytest.approx(0.0115798518, rel=1e-8)
        assert result.upper == pytest.approx(0.0322032178, rel=1e-8)

    def test_the_bounds_have_exactly_the_tails_that_clopper_and_pearson_ask_for(self) -> None:
        for failures, n, confidence in [(1, 7, 0.95), (3, 40, 0.9), (12, 60, 0.99), (39, 40, 0.95), (1, 1, 0.95)]:
            result = proportion(failures, n, confidence=confidence)
            at_lower = 1 - binomial_tail_up_to(failures - 1, n, result.lower)
            assert at_lower == pytest.approx(1 - confidence, rel=1e-9)
            if failures < n:
                assert binomial_tail_up_to(failures, n, result.upper) == pytest.approx(1 - confidence, rel=1e-9)

    def test_no_failures_give_the_lower_bound_zero_and_the_closed_upper_bound(self) -> None:
        result = proportion(0, 299)
        assert (result.estimate, result.lower) == (0.0, 0.0)
        assert result.upper == pytest.approx(1 - 0.05 ** (1 / 299), rel=1e-12)

    def test_nothing_but_failures_gives_the_upper_bound_one_and_the_closed_lower_bound(self) -> None:
        result = proportion(59, 59)
        assert (result.estimate, result.upper) == (1.0, 1.0)
        assert result.lower == pytest.approx(0.05 ** (1 / 59), rel=1e-12)

    def test_the_closed_forms_agree_with_the_beta_quantiles(self) -> None:
        for n in (1, 2, 59, 299, 10**6):
            assert proportion(0, n).upper == pytest.approx(float(special.betaincinv(1, n, 0.95)), rel=1e-12)
            assert proportion(n, n).lower == pytest.approx(float(special.betaincinv(n, 1, 0.05)), rel=1e-12)

    def test_one_trial_bounds_one_side_only(self) -> None:
        assert proportion(0, 1).upper == pytest.approx(0.95)
        assert proportion(1, 1).lower == pytest.approx(0.05)

    def test_a_result_states_what_it_rests_on(self) -> None:
        result = proportion(3, 40, confidence=0.99)
        assert (result.n, result.confidence, result.method) == (40, 0.99, "Clopper-Pearson (exact)")

    @quick
    @given(st.integers(1, 3000), st.data(), CONFIDENCES)
    def test_swapping_failures_and_successes_mirrors_the_bounds(
        self, n: int, data: st.DataObject, confidence: float
    ) -> None:
        failures = data.draw(st.integers(0, n))
        here = proportion(failures, n, confidence=confidence)
        there = proportion(n - failures, n, confidence=confidence)
        assert here.lower == pytest.approx(1 - there.upper, rel=1e-7, abs=1e-12)

    @quick
    @given(st.integers(1, 3000), st.data(), CONFIDENCES)
    def test_more_failures_never_lower_a_bound_and_more_successes_never_raise_one(
        self, n: int, data: st.DataObject, confidence: float
    ) -> None:
        failures = data.draw(st.integers(0, n))
        here = proportion(failures, n, confidence=confidence)
        success_more = proportion(failures, n + 1, confidence=confidence)
        failure_more = proportion(failures + 1, n + 1, confidence=confidence)
        assert success_more.lower <= here.lower <= failure_more.lower
        assert success_more.upper <= here.upper <= failure_more.upper

    @quick
    @given(st.integers(1, 3000), st.data(), CONFIDENCES, CONFIDENCES)
    def test_more_confidence_never_narrows_the_bounds(
        self, n: int, data: st.DataObject, one: float, other: float
    ) -> None:
        failures = data.draw(st.integers(0, n))
        less = proportion(failures, n, confidence=min(one, other))
        more = proportion(failures, n, confidence=max(one, other))
        rounding = 1e-12  # where the confidences differ by a rounding error, so do the bounds
        assert more.lower - rounding <= less.lower <= less.estimate <= less.upper <= more.upper + rounding

    @pytest.mark.parametrize(
        ("failures", "n", "message"),
        [
            (0, 0, "at least one trial, not n = 0"),
            (-1, 10, "failures = -1 of n = 10"),
            (11, 10, "failures = 11 of n = 10"),
            (0.5, 10, "failures = 0.5 is not a whole number"),
            (0, math.nan, "n = nan is not a whole number"),
        ],
    )
    def test_impossible_counts_are_refused(self, failures: int, n: int, message: str) -> None:
        with pytest.raises(StatisticsError, match=message):
            proportion(failures, n)


class TestQuantile:
    def test_p99_needs_299_samples_for_an_upper_bound(self) -> None:
        assert quantile(range(298), 0.99).upper == math.inf
        assert quantile(range(299), 0.99).upper == 298

    def test_the_ranks_are_those_of_the_binomial_distribution(self) -> None:
        for n, q, confidence in [(299, 0.99, 0.95), (60, 0.9, 0.95), (101, 0.5, 0.99), (40, 0.1, 0.9), (37, 0.25, 0.5)]:
            result = quantile(range(1, n + 1), q, confidence=confidence)
            rank_above = next(r for r in range(1, n + 1) if binomial_tail_up_to(r - 1, n, q) >= confidence)
            rank_below = max(s for s in range(n + 1) if 1 - binomial_tail_up_to(s - 1, n, q) >= confidence)
            assert result.upper == rank_above
            assert result.lower == (rank_below or -math.inf)

    def test_the_median_of_ten_lies_between_the_second_and_the_ninth(self) -> None:
        result = median([7, 3, 9, 1, 10, 5, 2, 8, 6, 4])  # the sign test's ranks at 95 %, one-sided
        assert (result.lower, result.estimate, result.upper) == (2, 5, 9)

    def test_the_median_is_the_quantile_at_one_half(self) -> None:
        samples = [0.3, 0.1, 0.2, 0.2, 0.9, 0.4]
        assert median(samples, confidence=0.9) == quantile(samples, 0.5, confidence=0.9)

    def test_five_samples_are_the_fewest_that_bound_a_median(self) -> None:
        assert (median([1, 2, 3, 4]).lower, median([1, 2, 3, 4]).upper) == (-math.inf, math.inf)
        assert (median([1, 2, 3, 4, 5]).lower, median([1, 2, 3, 4, 5]).upper) == (1, 5)

    def test_one_sample_gives_an_estimate_and_no_upper_bound(self) -> None:
        result = quantile([0.25], 0.99)
        # 0.25 is a lower bound: one draw lies above p99 in one case of a hundred only
        assert (result.lower, result.estimate, result.upper, result.n) == (0.25, 0.25, math.inf, 1)
        assert (median([0.25]).lower, median([0.25]).upper) == (-math.inf, math.inf)

    def test_the_estimate_is_the_inverse_of_the_empirical_distribution_function(self) -> None:
        assert quantile([4, 1, 3, 2], 0.5).estimate == 2
        assert quantile([4, 1, 3, 2], 0.51).estimate == 3
        assert quantile(range(1, 101), 0.99).estimate == 99

    def test_the_estimate_does_not_slip_a_rank_in_floating_point(self) -> None:
        assert math.ceil(0.07 * 100) == 8
        assert quantile(range(1, 101), 0.07).estimate == 7

    def test_a_rank_that_has_exactly_the_confidence_asked_for_will_do(self) -> None:
        halves = median([1, 2, 3], confidence=0.5)  # P(Bin(3, 1/2) <= 1) is one half
        assert (halves.lower, halves.upper) == (2, 2)
        assert median([1, 2], confidence=0.75).upper == 2
        assert samples_for_quantile(0.5, confidence=0.75) == 2

    def test_constant_samples_give_their_value_throughout(self) -> None:
        result = quantile([0.004] * 300, 0.99)
        assert (result.lower, result.estimate, result.upper) == (0.004, 0.004, 0.004)

    def test_ties_count_as_often_as_they_occur(self) -> None:
        result = median([1.0] * 4 + [2.0] * 12 + [3.0] * 4)
        assert (result.lower, result.estimate, result.upper) == (2, 2, 2)

    def test_a_result_states_what_it_rests_on(self) -> None:
        result = quantile([1, 2, 3], 0.9, confidence=0.8)
        assert (result.n, result.confidence) == (3, 0.8)
        assert result.method == "order statistics (distribution-free), q = 0.9"

    def test_numbers_of_numpy_are_numbers_and_results_are_plain(self) -> None:
        result = quantile(np.arange(300, dtype=np.float32), np.float64(0.99))  # type: ignore[arg-type]
        assert {type(result.lower), type(result.estimate), type(result.upper)} == {float}

    @quick
    @given(SAMPLES, SHARES, CONFIDENCES, st.randoms(use_true_random=False))
    def test_the_order_of_the_samples_does_not_matter(
        self, samples: list[float], q: float, confidence: float, shuffler: random.Random
    ) -> None:
        shuffled = list(samples)
        shuffler.shuffle(shuffled)
        assert quantile(shuffled, q, confidence=confidence) == quantile(samples, q, confidence=confidence)

    @quick
    @given(SAMPLES, SHARES, CONFIDENCES, CONFIDENCES)
    def test_more_confidence_never_narrows_the_bounds(
        self, samples: list[float], q: float, one: float, other: float
    ) -> None:
        less = quantile(samples, q, confidence=min(one, other))
        more = quantile(samples, q, confidence=max(one, other))
        assert more.lower <= less.lower <= less.estimate <= less.upper <= more.upper

    @quick
    @given(SAMPLES, SHARES, SHARES)
    def test_a_higher_quantile_is_never_bounded_lower(self, samples: list[float], one: float, other: float) -> None:
        low, high = quantile(samples, min(one, other)), quantile(samples, max(one, other))
        assert low.lower <= high.lower
        assert low.estimate <= high.estimate
        assert low.upper <= high.upper

    @quick
    @given(SAMPLES, SHARES, st.data())
    def test_a_slower_sample_never_lowers_a_bound(self, samples: list[float], q: float, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(samples) - 1))
        slower = list(samples)
        slower[index] = data.draw(st.floats(min_value=samples[index], allow_infinity=False))
        before, after = quantile(samples, q), quantile(slower, q)
        assert before.lower <= after.lower
        assert before.estimate <= after.estimate
        assert before.upper <= after.upper

    @pytest.mark.parametrize("q", [0, 1, -0.1, 99, math.nan, math.inf])
    def test_a_quantile_that_is_none_is_refused(self, q: float) -> None:
        with pytest.raises(StatisticsError, match=r"is not between 0 and 1; write 0\.99 for 99 %"):
            quantile([1.0], q)


class TestMaximum:
    def test_the_maximum_is_its_own_bound(self) -> None:
        assert maximum([3, 9, 9, 1]) == Bound(9, 9, 9, confidence=1, n=4, method="maximum (deterministic)")

    def test_a_maximum_is_never_left_open(self) -> None:
        limit = Limit.parse("<= 262144")
        assert limit.decide(maximum([262144])) is Decision.WITHIN
        assert limit.decide(maximum([1, 262145])) is Decision.OUTSIDE


ON_SAMPLES = pytest.mark.parametrize(
    "statistic", [median, pseudomedian, maximum, lambda samples: quantile(samples, 0.99)]
)


@ON_SAMPLES
class TestSamplesThatAreRefused:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "1.0", True, 10**400])
    def test_what_is_no_finite_number_is_refused_with_its_value_and_place(
        self, statistic: Callable[[list[object]], Bound], bad: object
    ) -> None:
        with pytest.raises(StatisticsError) as caught:
            statistic([1.0, 2.0, bad, 3.0])
        assert str(caught.value).startswith(f"sample 2 is {bad!r}, not a finite number; find out why")

    def test_no_samples_are_no_evidence(self, statistic: Callable[[list[object]], Bound]) -> None:
        with pytest.raises(StatisticsError, match="zero samples show nothing"):
            statistic([])


@pytest.mark.parametrize("confidence", [0, 1, 0.49, -0.95, 95, math.nan, math.inf, None])
class TestConfidenceThatIsRefused:
    def test_every_function_refuses_it(self, confidence: float) -> None:
        calls: list[Callable[[], object]] = [
            lambda: proportion(0, 10, confidence=confidence),
            lambda: quantile([1.0], 0.5, confidence=confidence),
            lambda: median([1.0], confidence=confidence),
            lambda: samples_for_proportion(0.01, confidence=confidence),
            lambda: samples_for_quantile(0.99, confidence=confidence),
        ]
        for call in calls:
            with pytest.raises(StatisticsError, match=r"is not in \[0\.5, 1\); write 0\.95 for 95 %"):
                call()


class TestSampleSizes:
    @pytest.mark.parametrize(
        ("limit", "failures", "n"), [(0.01, 0, 299), (0.05, 0, 59), (0.01, 1, 473), (0.05, 1, 93), (0.001, 0, 2995)]
    )
    def test_the_known_sizes_for_a_share(self, limit: float, failures: int, n: int) -> None:
        assert samples_for_proportion(limit, failures) == n

    @pytest.mark.parametrize(("q", "n"), [(0.99, 299), (0.95, 59), (0.9, 29), (0.5, 5), (0.04, 1)])
    def test_the_known_sizes_for_a_quantile(self, q: float, n: int) -> None:
        assert samples_for_quantile(q) == n

    def test_a_tie_with_the_limit_takes_one_more_sample_if_the_limit_is_strict(self) -> None:
        # with no failure in 2, the upper 75 % bound is one half exactly
        assert samples_for_proportion(0.5, confidence=0.75, strict=False) == 2
        assert samples_for_proportion(0.5, confidence=0.75) == 3

    @quick
    @given(st.floats(0.001, 0.999), st.integers(0, 30), CONFIDENCES, st.booleans())
    def test_the_size_for_a_share_is_the_smallest_that_decides(
        self, limit: float, failures: int, confidence: float, strict: bool
    ) -> None:
        n = samples_for_proportion(limit, failures, confidence=confidence, strict=strict)
        written = Limit("<" if strict else "<=", limit)
        assert written.decide(proportion(failures, n, confidence=confidence)) is Decision.WITHIN
        if n > max(failures, 1):
            assert written.decide(proportion(failures, n - 1, confidence=confidence)) is not Decision.WITHIN

    @quick
    @given(st.floats(0.001, 0.995), CONFIDENCES)
    def test_the_size_for_a_quantile_is_the_smallest_with_an_upper_bound(self, q: float, confidence: float) -> None:
        n = samples_for_quantile(q, confidence=confidence)
        assert quantile([1.0] * n, q, confidence=confidence).upper == 1
        if n > 1:
            assert quantile([1.0] * (n - 1), q, confidence=confidence).upper == math.inf

    def test_a_rare_event_takes_many_samples_and_the_answer_comes_at_once(self) -> None:
        # e to the minus 3: the "rule of three", sharpened
        assert samples_for_proportion(1e-9) == pytest.approx(-math.log(0.05) * 1e9, rel=1e-6)

    def test_what_no_sample_shows_is_said(self) -> None:
        with pytest.raises(StatisticsError, match="choose a limit that can be measured"):
            samples_for_proportion(1e-300)
        with pytest.raises(StatisticsError, match="choose a limit that can be measured"):
            samples_for_quantile(math.nextafter(1, 0))

    @pytest.mark.parametrize("limit", [0, 1, -1, 5, math.nan, math.inf])
    def test_a_share_that_is_none_is_refused(self, limit: float) -> None:
        with pytest.raises(StatisticsError, match="is not between 0 and 1"):
            samples_for_proportion(limit)

    def test_negative_failures_are_refused(self) -> None:
        with pytest.raises(StatisticsError, match="failures = -1 is impossible"):
            samples_for_proportion(0.01, -1)


class TestLimit:
    @pytest.mark.parametrize("text", ["< 0.001", "<= 262144", "> 0", ">= 0.95", "< -1.5", "< 0.000001", "<= 1e+300"])
    def test_a_limit_is_given_back_as_it_was_written(self, text: str) -> None:
        assert str(Limit.parse(text)) == text

    @pytest.mark.parametrize(
        ("text", "canonical"),
        [("<0.001", "< 0.001"), ("  >=  1.0 ", ">= 1"), ("< 1e-3", "< 0.001"), ("> -0", "> 0"), ("< .5", "< 0.5")],
    )
    def test_other_spellings_come_out_in_the_usual_one(self, text: str, canonical: str) -> None:
        assert str(Limit.parse(text)) == canonical

    @quick
    @given(st.sampled_from(["<", "<=", ">", ">="]), NUMBERS)
    def test_every_limit_reads_back_as_itself(self, operator: str, value: float) -> None:
        limit = Limit(operator, value)
        assert Limit.parse(str(limit)) == limit

    @pytest.mark.parametrize(
        "text",
        [
            *("", "<", "0.5", "0 < 1", "== 3", "= 3", "!= 3", "=< 3", "< one", "< nan", "< inf", "<= -inf"),
            *("< 1 2", "< 0,5", "< 0x10", "< 1_000", "< \u0661", "< 1 parsec", "< 1e999", "< 1e-999", "< 1e999 ms"),
        ],
    )
    def test_what_is_no_limit_is_refused_with_what_to_write(self, text: str) -> None:
        with pytest.raises(StatisticsError) as caught:
            Limit.parse(text)
        assert str(caught.value).startswith(f"{text!r} is not a limit")
        assert "such as '< 0.001' for one millisecond" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "instead"),
        [
            ("<1ms", "< 0.001"),
            ("< 250 µs", "< 0.00025"),
            ("<= 256 KiB", "<= 262144"),
            ("< 1 %", "< 0.01"),
            (">= 95%", ">= 0.95"),
            ("< 2 s", "< 2"),
        ],
    )
    def test_a_value_with_a_unit_is_converted_in_the_message(self, text: str, instead: str) -> None:
        with pytest.raises(StatisticsError, match=f"write '{instead}'"):
            Limit.parse(text)

    def test_a_bare_number_from_a_file_is_refused(self) -> None:
        with pytest.raises(StatisticsError, match=r"^0\.5 is not a limit"):
            Limit.parse(0.5)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("operator", "value"), [("==", 1.0), ("", 1.0), ("<", math.nan), (">", math.inf)])
    def test_a_limit_cannot_be_made_wrong(self, operator: str, value: float) -> None:
        with pytest.raises(StatisticsError, match="limit"):
            Limit(operator, value)

    def test_a_limit_cannot_be_changed(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            Limit.parse("< 1").value = 2  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("text", "lower", "upper", "decision"),
        [
            ("< 2", 0, 1.99, Decision.WITHIN),
            ("< 2", 0, 2, Decision.OPEN),
            ("< 2", 2, 3, Decision.OUTSIDE),
            ("< 2", -math.inf, 1, Decision.WITHIN),
            ("< 2", -math.inf, math.inf, Decision.OPEN),
            ("< 2", 0, math.inf, Decision.OPEN),
            ("< 2", 2, math.inf, Decision.OUTSIDE),
            ("<= 2", 0, 2, Decision.WITHIN),
            ("<= 2", 2, 3, Decision.OPEN),
            ("<= 2", 2.01, 3, Decision.OUTSIDE),
            ("> 2", 2, 3, Decision.OPEN),
            ("> 2", 2.01, math.inf, Decision.WITHIN),
            ("> 2", -math.inf, 2, Decision.OUTSIDE),
            (">= 2", 2, 3, Decision.WITHIN),
            (">= 2", 1, 2, Decision.OPEN),
            (">= 2", 1, 1.99, Decision.OUTSIDE),
            (">= 2", -math.inf, math.inf, Decision.OPEN),
        ],
    )
    def test_the_whole_interval_decides(self, text: str, lower: float, upper: float, decision: Decision) -> None:
        assert Limit.parse(text).decide(bound(lower, upper)) is decision

    def test_a_good_estimate_alone_does_not_decide(self) -> None:
        assert Limit.parse("< 0.001").decide(quantile([0.0001] * 298, 0.99)) is Decision.OPEN
        assert Limit.parse("< 0.001").decide(quantile([0.0001] * 299, 0.99)) is Decision.WITHIN

    @quick
    @given(NUMBERS, st.tuples(NUMBERS, NUMBERS).map(sorted), st.sampled_from([("<", ">="), ("<=", ">")]))
    def test_a_limit_and_its_opposite_are_decided_oppositely(
        self, value: float, ends: list[float], operators: tuple[str, str]
    ) -> None:
        opposite = {Decision.WITHIN: Decision.OUTSIDE, Decision.OUTSIDE: Decision.WITHIN, Decision.OPEN: Decision.OPEN}
        one, other = (Limit(operator, value).decide(bound(*ends)) for operator in operators)
        assert other is opposite[one]

    def test_nan_keeps_no_limit_and_breaks_none(self) -> None:
        with pytest.raises(StatisticsError, match="find out why"):
            Limit.parse("< 1").admits(math.nan)


class TestBound:
    @pytest.mark.parametrize(
        ("estimate", "lower", "upper"),
        [(math.nan, 0, 1), (0, math.nan, 1), (0, -1, math.nan), (2, 0, 1), (-1, 0, 1), (math.inf, 0, math.inf)],
    )
    def test_bounds_that_do_not_enclose_a_finite_estimate_are_refused(
        self, estimate: float, lower: float, upper: float
    ) -> None:
        with pytest.raises(StatisticsError, match="must enclose its finite estimate"):
            Bound(estimate, lower, upper, confidence=0.95, n=1, method="made up")

    def test_a_bound_of_no_samples_is_refused(self) -> None:
        with pytest.raises(StatisticsError, match="zero samples show nothing"):
            Bound(0, 0, 1, confidence=0.95, n=0, method="made up")

    def test_a_bound_without_a_confidence_is_refused(self) -> None:
        with pytest.raises(StatisticsError, match="confidence = 0"):
            Bound(0, 0, 1, confidence=0, n=1, method="made up")

    def test_a_refusal_is_a_failure_of_the_tool_and_not_of_the_product(self) -> None:
        assert issubclass(StatisticsError, GonogoError)
        assert not issubclass(StatisticsError, AssertionError)


DRAWS = 10_000
SHAPES: dict[str, Callable[[float], float]] = {  # nondecreasing, so they map normal quantiles to their own
    "normal": float,
    "lognormal": math.exp,
    "tied": lambda z: float(round(1.5 * z)),
    "constant": lambda z: 3.0,
}


def covered_text(upper: Any, lower: Any) -> str:
    return ", ".join("100 %" if one == 1 else f"{one * 100:.1f} %" for one in (upper, lower))


def told_in_docs(row: str, column: int) -> str:
    """What docs/verdicts.md says of a bound: the row by its first cell, and the column after that."""
    text = (Path(__file__).parent.parent / "docs" / "verdicts.md").read_text(encoding="utf-8")
    [found] = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
    return found.split("|")[2 + column].strip()


class TestCoverage:
    """Seeded simulation: a bound at nominal 95 % covers the true value in at least 94.5 % of 10,000 draws."""

    @pytest.mark.parametrize(("q", "n"), [(0.5, 25), (0.9, 60), (0.99, 299)])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_bounds_of_a_quantile_cover_it_whatever_the_shape(self, shape: str, q: float, n: int) -> None:
        normal = np.random.default_rng(20240607).standard_normal((DRAWS, n))
        transforms: dict[str, Callable[[], np.ndarray]] = {
            "normal": lambda: normal,
            "lognormal": lambda: np.exp(normal),
            "tied": lambda: np.rint(1.5 * normal),
            "constant": lambda: np.full_like(normal, 3.0),
        }
        # the ranks that quantile() uses for this n, read off samples that are their own ranks
        ranks = quantile(range(1, n + 1), q)
        low, high = int(ranks.lower) - 1, int(ranks.upper) - 1
        draws = np.partition(transforms[shape](), (low, high), axis=1)
        true = SHAPES[shape](float(special.ndtri(q)))
        covered = np.mean(draws[:, high] >= true), np.mean(draws[:, low] <= true)
        assert min(covered) >= 0.945
        assert quantile(draws[0].tolist(), q).upper == draws[0, high]
        name = "median" if q == 0.5 else f"{q:.0%}".removesuffix("%") + "th percentile"
        assert told_in_docs(f"{name}, n = {n}", list(SHAPES).index(shape)) == covered_text(*covered)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_bounds_of_a_pseudomedian_cover_the_shift_between_two_distributions(self, shape: str) -> None:
        random, n = np.random.default_rng(20240607), 8
        transform = np.vectorize(SHAPES[shape])
        new, old = (transform(random.standard_normal((DRAWS, n))) for _ in range(2))
        differences = new - old  # the shift is none
        rows, columns = np.tril_indices(n)
        averages = np.sort((differences[:, rows] + differences[:, columns]) / 2, axis=1)
        # the ranks that pseudomedian() uses for this n, found where its averages have no ties
        one = [float(value) for value in random.standard_normal(n)]
        ordered = sorted((a + b) / 2 for i, a in enumerate(one) for b in one[: i + 1])
        bound = pseudomedian(one)
        low, high = ordered.index(bound.lower), ordered.index(bound.upper)
        covered = np.mean(averages[:, high] >= 0), np.mean(averages[:, low] <= 0)
        assert min(covered) >= 0.945
        column = list(SHAPES).index(shape)
        assert told_in_docs("pseudomedian, n = 8, of differences", column) == covered_text(*covered)

    @pytest.mark.parametrize(("rate", "n"), [(0.01, 300), (0.01, 473), (0.05, 59), (0.3, 40), (0.97, 100)])
    def test_the_bounds_of_a_proportion_cover_it(self, rate: float, n: int) -> None:
        bounds = [proportion(failures, n) for failures in range(n + 1)]
        failures = np.random.default_rng(20240607).binomial(n, rate, DRAWS)
        upper = np.mean(np.array([b.upper for b in bounds])[failures] >= rate)
        lower = np.mean(np.array([b.lower for b in bounds])[failures] <= rate)
        assert min(upper, lower) >= 0.945
        row = f"{rate * 100:g} %, n = {n}"
        assert f"{told_in_docs(row, 0)}, {told_in_docs(row, 1)}" == covered_text(upper, lower)


LOOKS = ((8, 6), (8, 12), (8, 24), (16, 24), (16, 64))  # pairs of processes, turns that each of them has had
EFFECTS: dict[
    str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
] = {  # of a process; each has the median 0
    "normal": lambda random, size: random.normal(0, 1, size),
    "skewed": lambda random, size: random.exponential(1, size) - math.log(2),
    "two kinds": lambda random, size: random.choice([-1.0, 1.0], size) + random.normal(0, 0.1, size),
    "constant": lambda random, size: np.zeros(size),
}


class TestStopping:
    """Seeded simulation: a comparison of processes that ends as soon as its answer is clear is wrong in 5 % at the most."""

    @pytest.mark.parametrize("shape", EFFECTS)
    def test_looking_up_to_five_times_does_not_make_a_wrong_answer_more_likely(self, shape: str) -> None:
        random, draws = np.random.default_rng(20240607), 10_000
        confidence = 1 - 0.05 / len(LOOKS)
        new, old = (
            EFFECTS[shape](random, (draws, 16)) for _ in range(2)
        )  # the shift lies on the limit: whoever decides is wrong
        turns = np.cumsum(random.normal(0, 4, (draws, 16, 64)), axis=2)
        answer: np.ndarray = np.zeros(draws)  # 1: the limit is broken, -1: it is kept, 0: open
        before: np.ndarray = np.zeros(draws)
        for processes, taken in LOOKS:
            found = (new - old + turns[:, :, taken - 1] / taken)[:, :processes]
            rows, columns = np.tril_indices(processes)
            averages = np.sort((found[:, rows] + found[:, columns]) / 2, axis=1)
            one = [float(2**rank) for rank in range(processes)]
            ordered = sorted((a + b) / 2 for i, a in enumerate(one) for b in one[: i + 1])
            bound = pseudomedian(one, confidence=confidence)
            says = 1.0 * (averages[:, ordered.index(bound.lower)] > 0) - (averages[:, ordered.index(bound.upper)] < 0)
            is_last = (processes, taken) == LOOKS[-1]
            answer = np.where((answer == 0) & ((says == before) | is_last), says, answer)  # two looks on end
            before = says
        assert np.mean(answer > 0) <= 0.05
        assert np.mean(answer < 0) <= 0.05


class TestThePseudomedian:
    def test_its_estimate_is_the_median_of_all_averages_of_two(self) -> None:
        # 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, and 3 once more of 1 and 5 ...: the middle of fifteen is 3
        assert pseudomedian([1, 2, 3, 4, 5]).estimate == 3
        assert pseudomedian([0, 10]).estimate == 5

    def test_its_bounds_are_those_of_the_signed_rank_test(self) -> None:
        # Hollander, Wolfe & Chicken, table A.4: P(W >= 31) = 0.039 for n = 8, so five averages are cut off at 95 %
        bound = pseudomedian([1, 2, 4, 8, 16, 32, 64, 128])
        averages = sorted(
            (a + b) / 2 for i, a in enumerate(2.0**k for k in range(8)) for b in [2.0**k for k in range(i + 1)]
        )
        assert (bound.lower, bound.upper) == (averages[5], averages[-6])

    def test_five_samples_are_the_fewest_that_bound_it(self) -> None:
        assert pseudomedian([1, 2, 3, 4]).upper == math.inf
        assert (pseudomedian([1, 2, 3, 4, 5]).lower, pseudomedian([1, 2, 3, 4, 5]).upper) == (1, 5)

    def test_more_samples_than_it_is_computed_for_are_refused(self) -> None:
        with pytest.raises(StatisticsError, match="n = 257 samples is not computed; for more than 256 take the median"):
            pseudomedian([0.0] * 257)

    def test_so_many_as_sixteen_runs_have_are_computed(self) -> None:
        bound = pseudomedian([float(one) for one in range(256)])
        assert bound.lower < 127.5 < bound.upper


def exit_status(program: str) -> int:
    root = Path(gonogo.__file__).parents[1]  # so that it is found from wherever the tests are started
    return subprocess.run([sys.executable, "-c", program], check=False, cwd=root, timeout=60).returncode


def test_importing_the_module_does_not_import_scipy() -> None:
    program = (
        "import sys, gonogo.statistics as s; "
        "s.Limit.parse('< 1').decide(s.maximum([0.5])); "
        "sys.exit(bool({'scipy', 'numpy'} & set(sys.modules)))"
    )
    assert exit_status(program) == 0


def test_the_bounds_need_scipy_special_and_never_scipy_stats() -> None:
    program = (
        "import sys, gonogo.statistics as s; "
        "s.proportion(3, 600); s.quantile(range(300), 0.99); s.samples_for_proportion(0.01, 2); "
        "sys.exit('scipy.stats' in sys.modules)"
    )
    assert exit_status(program) == 0
