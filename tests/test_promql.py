"""The bound of a share, how far it lies below the share, and the expressions that Prometheus computes."""

from __future__ import annotations

import random
from statistics import NormalDist

import pytest

from gonogo.metrics import Series
from gonogo.promql import LEAST_BAD, duration, fewest, increase, lower_bound, number, score
from gonogo.statistics import proportion


@pytest.mark.parametrize(
    ("seconds", "written"), [(300, "5m"), (90, "90s"), (3600, "1h"), (0.5, "500ms"), (86400, "1d"), (1.5, "1500ms")]
)
def test_a_time_is_written_as_prometheus_reads_it(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_a_number_has_no_noise_in_its_last_digits() -> None:
    assert (number(1 - 0.99), number(67108864), number(0.1 + 0.2)) == ("0.01", "67108864", "0.3")


@pytest.mark.parametrize(("bad", "events"), [(3, 10), (5, 100), (30, 300), (300, 300), (3, 3), (40, 4000)])
def test_the_bound_lies_near_the_exact_one_and_below_the_share(bad: int, events: int) -> None:
    z = 2.6723
    exact = proportion(bad, events, confidence=NormalDist().cdf(z)).lower
    bound = lower_bound(bad, events, z)
    assert bound < bad / events
    assert bound == pytest.approx(exact, rel=0.35, abs=0.03)


def test_the_bound_comes_nearer_with_more_events() -> None:
    bounds = [lower_bound(events // 10, events, 2.67) for events in (30, 300, 3000, 300000)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(0.1, rel=0.02)


def test_a_longer_run_length_takes_more_certainty() -> None:
    assert score(300, 10000) < score(300, 100000) < score(10, 100000)
    assert score(300, 10) == pytest.approx(1.6449), "the least is a bound at 95 %"


@pytest.mark.parametrize(("limit", "rate"), [(0.05, 1.0), (0.1, 5.0), (0.5, 0.5)])
def test_a_service_right_on_the_limit_alarms_no_more_often_than_the_run_length(limit: float, rate: float) -> None:
    window, look, run_length = 300, 15, 3000.0
    z, chance, looks = score(window, run_length), random.Random(20261125), 40000
    lately: list[tuple[int, int]] = []
    alarms, quiet_until = 0, 0
    for at in range(looks):
        events = int(rate * look) + (chance.random() < rate * look % 1)
        lately.append((events, sum(chance.random() < limit for _ in range(events))))
        lately = lately[-window // look :]
        seen, bad = (sum(one) for one in zip(*lately, strict=True))
        if at >= quiet_until and bad >= LEAST_BAD and lower_bound(bad, seen, z) > limit:
            alarms, quiet_until = alarms + 1, at + window // look
    assert looks * look / run_length / 3 < alarms <= looks * look / run_length * 1.1


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.5, 0.8, 0.999999])
def test_the_fewest_events_that_can_fire_fire_and_one_fewer_does_not(limit: float) -> None:
    z = score(300, 10000)
    events = fewest(limit, z)
    assert events >= LEAST_BAD
    assert lower_bound(events, events, z) > limit
    assert events == LEAST_BAD or lower_bound(events - 1, events - 1, z) <= limit


def test_a_counter_is_counted_by_a_label() -> None:
    expression = increase(Series.parse('runs_total{status="failed"}'), "5m", Series("up"), "step")
    assert expression.startswith("sum by (step) (")
    assert 'increase(runs_total{status="failed"}[5m])' in expression
