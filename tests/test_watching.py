"""A watch from its first look to its last, with looks and a clock that the test makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gonogo.criteria import load_criteria
from gonogo.metrics import MetricSample
from gonogo.model import Evidence, Finding, Gap, Judged, Sampled
from gonogo.monitor import Monitor
from gonogo.recovery import Recovery
from gonogo.standing import Look, TriggerStanding
from gonogo.triggers import Alarm
from gonogo.watching import Watch, evidence_of, state_of

CRITERIA = load_criteria(Path(__file__).parent.parent / "acceptance" / "criteria.toml")
MEASURE = CRITERIA["live-watch"].measure("failed runs")


@dataclass
class Service:
    """A service whose every page shows ten more runs, of which so many fail."""

    failing: Callable[[float], int] = lambda at: 0
    release: str = "2.0.0"
    complaints: dict[str, bool] = field(default_factory=dict)
    health: int = 200
    counts: bool = True
    _runs: int = 0
    _failed: int = 0

    def look(self, at: float) -> Look:
        self._failed += self.failing(at)
        self._runs += 10
        samples = [
            MetricSample("blog_runs_total", {"step": "s", "status": "succeeded"}, self._runs - self._failed),
            MetricSample("blog_runs_total", {"step": "s", "status": "failed"}, self._failed),
            MetricSample("blog_fallbacks_total", {"reason": "x"}, 0),
            MetricSample("blog_resident_memory_bytes", {}, 1e8),
        ]
        for edge in ("0.001", "0.01", "0.1", "+Inf"):
            samples.append(
                MetricSample("blog_prompt_construction_seconds_bucket", {"step": "s", "le": edge}, self._runs)
            )
        return Look(
            at,
            tuple(samples) if self.counts else None,
            self.release,
            {"/healthz": self.health},
            "" if self.counts else "no page",
            dict(self.complaints),
        )


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


def watched(
    service: Service,
    duration: float = 700.0,
    roll_back: Callable[[TriggerStanding], Recovery] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Watch:
    assert CRITERIA.watch is not None
    assert CRITERIA.target is not None
    clock = Clock()
    watch = Watch(
        Monitor(CRITERIA.watch, CRITERIA.target.metrics, ["s"]),
        service.look,
        CRITERIA.watch.interval,
        duration,
        roll_back,
        stopped,
        clock,
        clock.sleep,
    )
    for _ in watch.standings():
        pass
    return watch


def shown(watch: Watch, first: str = "2.0.0") -> list[Evidence]:
    return list(evidence_of(watch, MEASURE, candidate="2.0.0", first=first))


def reasons(evidence: list[Evidence]) -> str:
    failing = [one.finding.reason for one in evidence if isinstance(one, Judged) and not one.finding.ok]
    return "; ".join([*failing, *(one.reason for one in evidence if isinstance(one, Gap))])


def verified(trigger: TriggerStanding) -> Recovery:
    return Recovery(trigger.trigger.id, 1.0, 0, 2.0, 2.5, (Finding("rollback", True, "1.9.0 answers"),))


def test_what_a_slow_look_saw_is_dated_to_its_end() -> None:
    clock = Clock()

    def look(at: float) -> Look:
        hangs = at > 60
        clock.now += 5.0 if hangs else 0.0
        return Look(at, None, None, {"/healthz": 0 if hangs else 200}, "no answer")

    assert CRITERIA.watch is not None
    watch = Watch(Monitor(CRITERIA.watch, {}, ["s"]), look, 2.0, 700.0, clock=clock, sleep=clock.sleep)
    *_, last = watch.standings()
    fired = last.fired(Alarm.ROLLBACK)
    assert fired is not None
    # good at 60; the looks that began at 62, 68 and 74 were over at 67, 73 and 79
    assert fired.fired == {Alarm.ALERT: 67.0, Alarm.ROLLBACK: 79.0}
    assert "no good answer for 19 s" in fired.says


def test_a_healthy_service_is_watched_to_the_end_and_every_run_is_a_sample() -> None:
    watch = watched(Service())
    evidence = shown(watch)
    assert reasons(evidence) == ""
    assert watch.standing is not None
    assert watch.standing.at == 700.0
    (sample,) = [one for one in evidence if isinstance(one, Sampled)]
    assert (len(sample.values), sum(sample.values)) == (watch.standing.totals["runs"], 0)


def test_a_fault_after_many_healthy_minutes_goes_back_once() -> None:
    called: list[str] = []

    def roll_back(trigger: TriggerStanding) -> Recovery:
        called.append(trigger.trigger.id)
        return verified(trigger)

    watch = watched(Service(lambda at: 3 if at > 600 else 0), 3600.0, roll_back)
    assert called == ["errors"]
    assert watch.standing is not None
    assert 600 < watch.standing.at < 690, "found late as well as at the start, and the watch has ended with it"
    assert "errors: rollback (> 0.1 share)" in reasons(shown(watch))


def test_a_rollback_that_nobody_said_how_to_do_is_said() -> None:
    assert "--on-rollback" in reasons(shown(watched(Service(lambda at: 5))))


def test_a_significant_complaint_goes_back() -> None:
    watch = watched(Service(complaints={"c1": True}), roll_back=verified)
    assert watch.recovery is not None
    assert watch.recovery.trigger == "complaints"


def test_a_minor_complaint_leaves_it_to_a_person() -> None:
    watch = watched(Service(complaints={"c1": False}), roll_back=verified)
    assert watch.recovery is None
    assert "a person has to look" in reasons(shown(watch))


@pytest.mark.parametrize(
    ("service", "duration", "said"),
    [
        (Service(counts=False), 700.0, "no page of metrics"),
        (Service(), 20.0, "silence means nothing below 300"),
        (Service(), 200.0, "memory has no reference yet"),
        (Service(release="2.1.0"), 700.0, "release 2.1.0 answered when the watch ended"),
    ],
    ids=["no metrics", "few runs", "short", "another release"],
)
def test_silence_that_means_nothing_is_a_gap(service: Service, duration: float, said: str) -> None:
    assert said in reasons(shown(watched(service, duration)))


def test_a_service_that_is_away_is_seen_by_its_health() -> None:
    watch = watched(Service(health=503), roll_back=verified)
    assert watch.recovery is not None
    assert watch.recovery.trigger == "service-away"


def test_a_watch_that_is_stopped_early_says_so() -> None:
    watch = watched(Service(), 3600.0, stopped=lambda: True)
    assert "the watch was ended after 0 of 3600 s" in reasons(shown(watch))


def test_another_release_at_the_beginning_is_not_the_one_that_is_judged() -> None:
    assert "release 1.9.0 answered when the watch began" in reasons(shown(watched(Service()), first="1.9.0"))


def test_a_failed_rollback_is_a_failing_finding() -> None:
    def fails(trigger: TriggerStanding) -> Recovery:
        return Recovery(trigger.trigger.id, 1.0, 1, 2.0, None, (Finding("rollback", False, "it ended with status 1"),))

    assert "it ended with status 1" in reasons(shown(watched(Service(lambda at: 5), roll_back=fails)))


def test_the_dashboard_is_told_of_a_rollback_that_goes_on_and_of_one_that_is_verified() -> None:
    watch = watched(Service(lambda at: 5), roll_back=verified)
    assert watch.standing is not None
    assert watch.standing.alarm is Alarm.ROLLBACK
    watch.recovery, kept = None, watch.recovery
    watch.sleep(7.0)
    going_on = state_of(watch, {}, None)
    watch.recovery = kept
    over = state_of(watch, {}, "NO-GO")
    assert isinstance(going_on["action"], dict)
    assert isinstance(over["action"], dict)
    assert (going_on["action"]["state"], over["action"]["state"], over["ended"]) == ("running", "verified", "NO-GO")
    assert going_on["elapsed"] == watch.standing.at + 7.0, "it moves on, or the page would take the watch for dead"
    assert over["action"]["recovered"] == 3.5, "a moment of the watch, as the trigger's is"
