"""What the live watch promises, held against many simulated watches with the limits of the bundled criteria.toml.

The full numbers of watches are run by make exhaustive; what docs/watching.md says is printed by scripts/watch_simulation.py.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from watch_simulation import (
    HOUR,
    Averages,
    Peeks,
    Tests,
    Traffic,
    always,
    fault,
    first_alarms,
    promised,
    share_test,
    within,
)
from watched import METRICS, STEPS, Service

from gonogo.metrics import read_metrics
from gonogo.monitor import Monitor
from gonogo.sequential import ShareTest
from gonogo.standing import Look, Standing
from gonogo.statistics import proportion
from gonogo.triggers import Alarm

RULES = promised()
ALERT, ROLLBACK = share_test(RULES, Alarm.ALERT), share_test(RULES, Alarm.ROLLBACK)
PROMISES = [(0.2, ROLLBACK, 90.0), (0.1, ALERT, 180.0)]
MOST_MISSED = 0.01


def is_shown(test: ShareTest, share: float, begins: float, seconds: float, watches: int, seed: int) -> bool:
    """Whether the exact 95 % bound on the share of watches that miss the promise lies within 1 %."""
    found, _ = within(test, share, begins, seconds, watches, seed)
    return proportion(watches - found, watches).upper <= MOST_MISSED


def test_the_promises_are_about_the_bundled_limits() -> None:
    assert (ALERT.limit, ROLLBACK.limit, ALERT.looks) == (0.05, 0.1, 5000.0)
    assert (RULES.interval, RULES["errors"].run_length) == (2.0, 10000.0)


@pytest.mark.parametrize("test", [ALERT, ROLLBACK, ShareTest(0.5, 90000.0)], ids=["alert", "rollback", "steps"])
def test_many_watches_at_once_are_judged_by_the_same_arithmetic(test: ShareTest) -> None:
    random = np.random.default_rng(7)
    watches, looks = 20, 150
    many, states = Tests(test, watches), [test.begin] * watches
    fired = 0
    for look in range(looks):
        share = test.limit * (0.2 if look < 50 else 2.0 if look < 110 else 0.05)
        events = random.poisson(4.0, size=watches) * (random.random(watches) < 0.8)
        bad = random.binomial(events, share)
        fires = many.take(events, bad)
        for watch in range(watches):
            states[watch] = test.after(states[watch], int(events[watch]), int(bad[watch]))
            assert fires[watch] == test.fires(states[watch])
            logs = np.log(np.maximum(many.statistics[watch], 1e-300))
            assert np.allclose(np.maximum(states[watch].logs, math.log(1e-300)), logs, rtol=1e-9, atol=1e-9)
        fired += int(fires.sum())
    assert fired > 0, "the comparison went as far as alarms"
    assert not fires.all(), "and back"


@pytest.mark.parametrize("minute", [0, 5])
@pytest.mark.parametrize(("share", "test", "seconds"), PROMISES, ids=["20 % rolls back", "10 % alerts"])
def test_a_fault_is_found_in_time(share: float, test: ShareTest, seconds: float, minute: int) -> None:
    assert is_shown(test, share, minute * 60.0, seconds, watches=12000, seed=11)


@pytest.mark.exhaustive
@pytest.mark.parametrize("minute", [0, 5, 50])
@pytest.mark.parametrize(("share", "test", "seconds"), PROMISES, ids=["20 % rolls back", "10 % alerts"])
@pytest.mark.parametrize("seed", [21, 22])
def test_a_fault_is_found_in_time_whenever_it_begins(
    share: float, test: ShareTest, seconds: float, minute: int, seed: int
) -> None:
    assert is_shown(test, share, minute * 60.0, seconds, watches=20000, seed=seed)


def test_a_judge_that_is_too_slow_would_be_seen() -> None:
    slow = replace(ROLLBACK, looks=ROLLBACK.looks * 20)
    assert not is_shown(slow, 0.2, 0.0, 90.0, watches=6000, seed=11)
    assert not is_shown(ROLLBACK, 0.2, 0.0, 60.0, watches=6000, seed=11)


def test_an_alarm_before_the_fault_is_no_success() -> None:
    eager = ShareTest(0.001, 2.0)
    found, took = within(eager, 0.2, 300.0, 90.0, watches=200, seed=1)
    assert found < 20
    assert np.isinf(took).sum() > 180


def false_alarms(test: ShareTest, share: float, hours: int, seed: int) -> int:
    return int(np.isfinite(first_alarms(Tests(test, hours), hours, Traffic(), always(share), HOUR, seed)).sum())


def test_a_thousand_healthy_hours_are_silent() -> None:
    assert false_alarms(ALERT, 0.005, 1000, seed=31) <= 10
    assert false_alarms(ROLLBACK, 0.005, 1000, seed=32) == 0


def test_a_thousand_hours_just_within_the_lower_limit_are_never_rolled_back() -> None:
    assert false_alarms(ROLLBACK, 0.04, 1000, seed=33) == 0


@pytest.mark.exhaustive
def test_ten_thousand_hours_keep_it_too() -> None:
    assert false_alarms(ALERT, 0.005, 10000, seed=34) <= 1
    assert false_alarms(ROLLBACK, 0.04, 10000, seed=35) == 0
    assert false_alarms(ALERT, 0.03, 10000, seed=36) <= 10


def mean_run_length(
    test: ShareTest, rate: float, watches: int, seed: int, *, longest: float = 1e9
) -> tuple[float, float]:
    """Seconds, and their standard error; a watch that has gone on for the ``longest`` counts as if it ended there."""
    alarms = first_alarms(Tests(test, watches), watches, Traffic(rate), always(test.limit), longest, seed)
    ends = np.minimum(alarms, longest)
    return float(ends.mean()), float(ends.std() / math.sqrt(watches))


@pytest.mark.parametrize("test", [ALERT, ROLLBACK], ids=["alert", "rollback"])
def test_a_service_right_on_the_limit_is_alarmed_no_more_often_than_is_promised(test: ShareTest) -> None:
    mean, error = mean_run_length(test, 5.0, 300, seed=41)
    assert mean - 3.0 * error >= RULES["errors"].run_length
    assert mean + 3.0 * error <= 4.0 * RULES["errors"].run_length, "nor so seldom that it would be found late"


@pytest.mark.exhaustive
@pytest.mark.parametrize("test", [ALERT, ROLLBACK], ids=["alert", "rollback"])
@pytest.mark.parametrize("rate", [0.1, 1.0, 5.0, 50.0])
def test_so_it_is_whatever_the_traffic(test: ShareTest, rate: float) -> None:
    wanted = RULES["errors"].run_length
    # a mean that is cut off is below the whole one, and the few that go on for long take most of the time
    mean, error = mean_run_length(test, rate, 1000, seed=42, longest=3.0 * wanted)
    assert mean - 3.0 * error >= wanted


def test_an_average_since_the_beginning_is_blind_after_an_hour() -> None:
    def took(judge: Tests | Averages) -> float:
        alarms = first_alarms(judge, 200, Traffic(), fault(0.2, 3000.0), 3000.0 + HOUR, seed=51)
        return float(np.median(alarms)) - 3000.0

    assert took(Tests(ROLLBACK, 200)) < 60.0
    assert took(Averages(ROLLBACK.limit, 200)) > 40 * 60.0


def test_a_binomial_test_that_is_done_anew_at_each_look_alarms_without_a_cause() -> None:
    def alarms(judge: Tests | Peeks) -> float:
        return float(np.isfinite(first_alarms(judge, 300, Traffic(), always(ROLLBACK.limit), HOUR, seed=52)).mean())

    assert alarms(Peeks(ROLLBACK.limit, 300, 0.01)) > 5 * 0.01
    assert alarms(Peeks(ROLLBACK.limit, 300, 0.01)) < 1.0


class TestWholeWatches:
    """The same through pages of text and the judge, trigger by trigger."""

    def watch(self, share: float, begins: float, seconds: float, seed: int) -> tuple[Standing, dict[Alarm, float]]:
        """The last standing, and when the arithmetic alone says each level."""
        random = np.random.default_rng(seed)
        monitor, service = Monitor(RULES, METRICS, STEPS), Service()
        for step in STEPS:
            service.serve(1, step=step)
        monitor.look(self.seen(service, 0.0))
        tests = {level: Tests(share_test(RULES, level), 1) for level in (Alarm.ALERT, Alarm.ROLLBACK)}
        alone: dict[Alarm, float] = {}
        for look in range(1, round(seconds / RULES.interval) + 1):
            at = look * RULES.interval
            events = [int(one) for one in random.poisson(Traffic().rate * RULES.interval / len(STEPS), size=len(STEPS))]
            failed = [int(random.binomial(one, fault(share, begins)(at))) for one in events]
            for step, runs, bad in zip(STEPS, events, failed, strict=True):
                service.serve(runs, bad, step=step)
            standing = monitor.look(self.seen(service, at))
            for level, test in tests.items():
                if test.take(np.array([sum(events)]), np.array([sum(failed)])).any():
                    alone.setdefault(level, at)
        return standing, alone

    @staticmethod
    def seen(service: Service, at: float) -> Look:
        return Look(at, tuple(read_metrics(service.text())), "2", {"/health": 200})

    @pytest.mark.parametrize("begins", [0.0, 300.0, 1500.0])
    @pytest.mark.parametrize("share", [0.1, 0.2])
    def test_a_fault_fires_the_trigger_of_errors_when_the_arithmetic_says_so(self, share: float, begins: float) -> None:
        standing, alone = self.watch(share, begins, begins + 240.0, seed=61)
        assert standing.triggers[0].fired == alone
        assert begins < alone[Alarm.ALERT] <= begins + 180.0
        assert Alarm.ROLLBACK not in alone if share == 0.1 else alone[Alarm.ROLLBACK] <= begins + 90.0
        assert [one.trigger.id for one in standing.triggers if one.fired] == ["errors"]

    def test_a_healthy_hour_is_silent_and_seen(self) -> None:
        standing, alone = self.watch(0.005, 0.0, HOUR, seed=62)
        assert (standing.alarm, alone) == (Alarm.QUIET, {})
        assert [one.blind for one in standing.triggers] == [""] * len(RULES.triggers)
        assert standing.totals["runs"] == pytest.approx(5 * HOUR, rel=0.05)


def test_the_documented_share_of_watches_is_the_least_that_is_shown() -> None:
    text = (Path(__file__).parent.parent / "docs" / "watching.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| (\d+) % \| (\d+) \| (alert|roll back) \| (\d+) s \| ([\d.]+) % \| ([\d.]+) % \|", text)
    assert {(int(share), says, float(seconds)) for share, _, says, seconds, *_ in rows} == {
        (20, "roll back", 90.0),
        (10, "alert", 180.0),
    }
    assert {int(minute) for _, minute, *_ in rows} == {0, 5, 50}
    assert all(99.0 <= float(least) <= float(found) for *_, found, least in rows)
