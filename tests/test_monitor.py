"""The judge of a live watch: looks go in, and what each trigger says comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import (
    ALL,
    AWAY,
    COMPLAINTS,
    ERRORS,
    FALLBACKS,
    MEMORY,
    METRICS,
    SLOW,
    STEPS_FAILING,
    Service,
    Watch,
    rules,
)

from gonogo.metrics import MetricSample
from gonogo.monitor import Monitor
from gonogo.standing import Look, Standing, TriggerStanding
from gonogo.triggers import Alarm, Signal, Trigger

SHARES = (ERRORS, FALLBACKS, STEPS_FAILING, SLOW)


def of(standing: Standing, trigger: Trigger) -> TriggerStanding:
    return next(one for one in standing.triggers if one.trigger is trigger)


def said(standing: Standing) -> list[str]:
    return [what for _, what in standing.log]


def watched(
    watch: Watch, service: Service, looks: int, *, runs: int = 10, failed: int = 0, fallbacks: int = 0, slow: int = 0
) -> Standing:
    """Serve and look so many times."""
    for _ in range(looks):
        service.serve(runs, failed, fallbacks=fallbacks, slow=slow)
        standing = watch.look(service)
    return standing


def looks_until(
    alarm: Alarm, watch: Watch, service: Service, *, failed: int = 0, runs: int = 10, fallbacks: int = 0
) -> int:
    """How many looks it takes until something fires at this level."""
    for number in range(1, 400):
        if watched(watch, service, 1, runs=runs, failed=failed, fallbacks=fallbacks).fired(alarm):
            return number
    raise AssertionError(f"nothing says {alarm.name}")


def healthy(*triggers: Trigger, looks: int = 60, metrics: Mapping[str, str] = METRICS) -> tuple[Watch, Service]:
    """A watch of a service that has done well for so many looks, and of which nothing is blind."""
    watch, service = Watch(*triggers, metrics=metrics), Service()
    service.serve(1)
    watch.look(service)
    watched(watch, service, looks)
    return watch, service


class TestShares:
    def test_a_healthy_service_is_silent_and_nothing_is_blind(self) -> None:
        watch, service = Watch(), Service()
        standing = watched(watch, service, 400)
        assert standing.alarm is Alarm.QUIET
        assert [one.blind for one in standing.triggers] == [""] * len(ALL)
        assert [dict(one.fired) for one in standing.triggers] == [{}] * len(ALL)
        assert standing.fired(Alarm.ALERT) is None

    @pytest.mark.parametrize("before", [1, 150, 1500], ids=lambda looks: f"{looks} looks before")
    def test_a_fault_is_found_late_as_well_as_at_the_start(self, before: int) -> None:
        watch, service = Watch(ERRORS), Service()
        watched(watch, service, before)
        assert looks_until(Alarm.ALERT, watch, service, failed=2) <= 20
        assert looks_until(Alarm.ROLLBACK, watch, service, failed=2) <= 40

    def test_errors_beyond_the_lower_limit_alone_alert_and_never_roll_back(self) -> None:
        watch, service = healthy(ERRORS)
        standing = watched(watch, service, 600, runs=100, failed=8)
        assert set(of(standing, ERRORS).fired) == {Alarm.ALERT}
        assert standing.alarm is Alarm.ALERT

    def test_fallbacks_are_a_share_of_the_constructions(self) -> None:
        watch, service = healthy(FALLBACKS)
        assert looks_until(Alarm.ROLLBACK, watch, service, fallbacks=3) < 40
        assert of(watched(watch, service, 1), FALLBACKS).value == pytest.approx(0.1, abs=0.1)

    def test_one_step_that_fails_is_found_among_others_that_do_not(self) -> None:
        watch, service = healthy(STEPS_FAILING, ERRORS)
        for _ in range(40):
            service.serve(50, step="b")
            standing = watched(watch, service, 1, runs=4, failed=4)
        assert set(of(standing, STEPS_FAILING).fired) == {Alarm.ALERT, Alarm.ROLLBACK}
        assert Alarm.ROLLBACK not in of(standing, ERRORS).fired
        assert of(standing, STEPS_FAILING).says.endswith("in the last 5 min (a)")

    def test_the_steps_share_the_false_alarms_of_one(self) -> None:
        def until(steps: int) -> int:
            watch, service = Watch(STEPS_FAILING, steps=[f"s{one}" for one in range(steps)]), Service()
            watched(watch, service, 30)
            return looks_until(Alarm.ROLLBACK, watch, service, runs=3, failed=3)

        assert until(1) < until(40) < until(4000)

    def test_slow_constructions_of_one_step_are_found(self) -> None:
        watch, service = healthy(SLOW)
        service.serve(1, step="b")
        watch.look(service)
        for _ in range(60):
            service.serve(10, step="b")
            standing = watched(watch, service, 1, slow=1)
        assert set(of(standing, SLOW).fired) == {Alarm.ALERT}, "0.05 s is beyond 0.01 s and within 0.1 s"
        assert of(standing, SLOW).says == "at most 100 ms (a)"
        assert of(standing, SLOW).value == 0.1

    def test_constructions_beyond_the_upper_limit_roll_back(self) -> None:
        watch, service = healthy(SLOW)
        for _ in range(30):
            service.serve(10, slow=3, took=0.5)
            standing = watch.look(service)
        assert set(of(standing, SLOW).fired) == {Alarm.ALERT, Alarm.ROLLBACK}
        assert (of(standing, SLOW).value, of(standing, SLOW).says) == (None, "beyond the last edge (a)")

    @pytest.mark.parametrize("took", [0.01, 0.1])
    def test_a_construction_of_exactly_the_limit_keeps_it(self, took: float) -> None:
        watch, service = healthy(SLOW)
        for _ in range(60):
            service.serve(10, slow=10, took=took)
            standing = watch.look(service)
        assert set(of(standing, SLOW).fired) == ({Alarm.ALERT} if took > 0.01 else set())

    def test_edges_that_were_written_and_read_again_are_still_the_limit(self) -> None:
        exact = replace(SLOW, alert=0.1 + 0.2, rollback=None)  # 0.30000000000000004
        watch, service = Watch(exact), Service(edges=(0.3,))
        for _ in range(60):
            service.serve(10, slow=10, took=0.2)
            standing = watch.look(service)
        assert (dict(of(standing, exact).fired), of(standing, exact).blind) == ({}, "")

    def test_a_service_without_events_is_never_alarmed(self) -> None:
        watch, service = healthy(*SHARES)
        for _ in range(8000):
            standing = watch.look(service)
        assert standing.alarm is Alarm.QUIET
        assert of(standing, ERRORS).says == "no events"
        assert of(standing, ERRORS).value is None

    def test_one_look_after_a_gap_covers_it_all(self) -> None:
        watch, service = healthy(ERRORS)
        for _ in range(30):
            service.serve(10, failed=3)
        standing = watch.look(service, after=60.0)
        assert of(standing, ERRORS).fired == {Alarm.ALERT: watch.at, Alarm.ROLLBACK: watch.at}
        assert of(standing, ERRORS).blind == ""

    def test_what_is_shown_is_of_late_and_what_is_counted_is_all(self) -> None:
        watch, service = healthy(ERRORS)
        watched(watch, service, 1, failed=10)
        recent = watched(watch, service, 149)
        assert of(recent, ERRORS).says == "10 of 1500 in the last 5 min"
        assert of(recent, ERRORS).value == pytest.approx(10 / 1500)
        late = watched(watch, service, 30)
        assert (of(late, ERRORS).value, of(late, ERRORS).bad) == (0.0, 10)
        assert of(late, ERRORS).events == 10 * (60 + 1 + 149 + 30)

    def test_what_is_shown_of_a_step_that_is_no_longer_told_is_forgotten(self) -> None:
        watch, service = healthy(STEPS_FAILING)
        watched(watch, service, 1, failed=10)
        other = Service()
        for _ in range(200):
            other.serve(step="b")
            standing = watch.look(other, release="3")
        assert of(standing, STEPS_FAILING).says == "0 of 1500 in the last 5 min (b)"

    def test_an_error_that_is_counted_before_its_event_is_not_lost(self) -> None:
        watch, service = healthy(FALLBACKS)
        for _ in range(20):
            service.fallbacks += 4  # the construction is counted a moment later
            watch.look(service)
            standing = watched(watch, service, 1)
        assert of(standing, FALLBACKS).bad == 80
        assert Alarm.ROLLBACK in of(standing, FALLBACKS).fired

    def test_progress_tells_how_near_each_level_is(self) -> None:
        watch, service = healthy(ERRORS)
        progress = []
        for _ in range(12):
            progress.append(of(watched(watch, service, 1, failed=3), ERRORS).progress)
        alert = [one[Alarm.ALERT] for one in progress]
        assert alert == sorted(alert)
        assert all(one[Alarm.ROLLBACK] < one[Alarm.ALERT] for one in progress[1:3])
        assert progress[-1] == {Alarm.ALERT: 1.0, Alarm.ROLLBACK: 1.0}

    def test_an_alert_goes_with_its_cause_and_its_moment_stays(self) -> None:
        watch, service = healthy(ERRORS)
        looks_until(Alarm.ALERT, watch, service, failed=3)
        first = watch.at
        standing = watched(watch, service, 40)
        assert of(standing, ERRORS).alarm is Alarm.QUIET
        assert of(standing, ERRORS).fired[Alarm.ALERT] == first
        assert standing.alarm is Alarm.ALERT, "the gravest since the watch began"
        again = watched(watch, service, 60, failed=3)
        assert of(again, ERRORS).alarm is Alarm.ROLLBACK
        assert of(again, ERRORS).fired[Alarm.ALERT] == first
        assert sum(what.startswith("ALERT: errors: ") for what in said(again)) == 1

    def test_the_first_trigger_to_fire_is_told(self) -> None:
        watch, service = healthy(ERRORS, COMPLAINTS)
        watch.look(service, complaints={"C-1": False})
        standing = watched(watch, service, 40, failed=5)
        first = standing.fired(Alarm.ALERT), standing.fired(Alarm.ROLLBACK)
        assert [one and one.trigger.id for one in first] == ["complaints", "errors"]


class TestBlindness:
    """Silence must not look like health where nothing can be seen."""

    @pytest.mark.parametrize("trigger", SHARES, ids=lambda one: one.id)
    def test_too_few_events_are_blind_and_enough_are_not(self, trigger: Trigger) -> None:
        watch, service = Watch(trigger), Service()
        service.serve(1)
        watch.look(service)
        standing = watched(watch, service, 29)
        assert of(standing, trigger).blind == "290 events of this release were seen, silence means nothing below 300"
        assert of(watched(watch, service, 1), trigger).blind == ""

    @pytest.mark.parametrize("trigger", SHARES, ids=lambda one: one.id)
    def test_no_look_at_all_is_blind(self, trigger: Trigger) -> None:
        assert of(Watch(trigger).look(None), trigger).blind.startswith("0 events of this release were seen")

    @pytest.mark.parametrize(
        ("trigger", "unnamed", "blind"),
        [
            (ERRORS, "failed_runs", "[target.metric_names] does not name failed_runs"),
            (STEPS_FAILING, "runs", "[target.metric_names] does not name runs"),
            (FALLBACKS, "construction", "[target.metric_names] does not name construction"),
            (FALLBACKS, "fallbacks", "[target.metric_names] does not name fallbacks"),
            (SLOW, "construction", "[target.metric_names] does not name construction"),
            (MEMORY, "memory", "the metrics do not tell the memory"),
        ],
        ids=lambda value: getattr(value, "id", None),
    )
    def test_a_metric_that_is_not_named_is_blind(self, trigger: Trigger, unnamed: str, blind: str) -> None:
        watch, _ = healthy(trigger, metrics={name: metric for name, metric in METRICS.items() if name != unnamed})
        assert of(watch.look(Service()), trigger).blind == blind

    def test_all_that_is_not_named_is_told(self) -> None:
        watch = Watch(ERRORS, metrics={})
        blind = of(watch.look(Service()), ERRORS).blind
        assert blind == "[target.metric_names] does not name runs and failed_runs"

    @pytest.mark.parametrize("trigger", [*SHARES, MEMORY], ids=lambda one: one.id)
    def test_no_page_for_long_is_blind(self, trigger: Trigger) -> None:
        watch, _ = healthy(trigger, looks=200)
        for _ in range(15):
            standing = watch.look(None, why="no answer")
        assert of(standing, trigger).blind == ""
        assert "for 32 s" in of(watch.look(None), trigger).blind

    def test_pages_that_are_refused_for_long_are_blind(self) -> None:
        watch, service = healthy(ERRORS)
        whole = service.page()
        for lines in range(16):
            standing = watch.look(whole[: 5 if lines % 2 else 4])
        assert of(standing, ERRORS).blind

    def test_a_long_interval_has_more_patience(self) -> None:
        watch, service = Watch(ERRORS, interval=60.0), Service()
        watched(watch, service, 31)
        for _ in range(10):
            standing = watch.look(None)
        assert of(standing, ERRORS).blind == ""
        assert "for 660 s" in of(watch.look(None), ERRORS).blind

    def test_several_processes_that_count_apart_are_blind_and_fire_nothing(self) -> None:
        watch = Watch(*SHARES)
        first, second = Service(), Service()
        first.serve(400, failed=150, step="a")  # an outage before the watch began
        second.serve(500, step="a")
        for one in (first, second) * 20:
            one.serve()
            standing = watch.look(one)
        for trigger in SHARES:
            assert of(standing, trigger).blind.startswith("the counters go back and forth: several processes count")
        assert standing.alarm is Alarm.QUIET

    @pytest.mark.parametrize(
        ("edges", "missing"), [((0.001, 0.1), "0.01"), ((0.001, 0.01), "0.1"), ((0.02, 0.2), "0.01")], ids=str
    )
    def test_a_histogram_without_the_edge_is_blind(self, edges: tuple[float, ...], missing: str) -> None:
        watch, service = Watch(SLOW), Service(edges=edges)
        standing = watched(watch, service, 60)
        assert of(standing, SLOW).blind == (
            f"the histogram has no edge at {missing} s, so that it cannot tell what lies above; give it one"
        )

    def test_a_histogram_without_its_last_edge_is_blind(self) -> None:
        watch, service = Watch(SLOW), Service()
        for _ in range(60):
            service.serve(slow=5, took=0.5)
            standing = watch.look([one for one in service.page() if one.labels.get("le") != "+Inf"])
        assert of(standing, SLOW).blind.startswith("the histogram has no edge at inf s")

    def test_a_step_without_the_edge_is_blind(self) -> None:
        watch, service = healthy(SLOW)
        other = 'build_seconds_bucket{step="b",le="0.5"} 1\nbuild_seconds_bucket{step="b",le="+Inf"} 1\n'
        assert of(watch.look(service.text() + other), SLOW).blind.startswith("the histogram has no edge at 0.01 s")

    def test_failed_runs_without_their_step_are_blind(self) -> None:
        metrics = {**METRICS, "failed_runs": "failures_total"}
        watch, service = healthy(STEPS_FAILING, ERRORS, metrics=metrics)
        assert of(watch.look(service.text() + "failures_total 0\n"), STEPS_FAILING).blind == ""
        standing = watch.look(service.text() + "failures_total 4\n")
        assert of(standing, STEPS_FAILING).blind == (
            "4 runs failed without a label 'step', so that the step is not known; give it one"
        )
        assert of(standing, ERRORS).blind == ""

    def test_more_bad_ones_than_events_are_blind(self) -> None:
        watch, service = healthy(FALLBACKS)
        for _ in range(30):  # a service that counts constructions only where they succeed
            service.fallbacks += 10
            standing = watch.look(service)
        assert of(standing, FALLBACKS).blind == (
            "300 more are bad than there were events; let every event be counted, also where it is bad"
        )

    def test_another_release_must_be_seen_enough_itself(self) -> None:
        watch, _ = healthy(*SHARES)
        new = Service()
        new.serve(1)
        standing = watch.look(new, release="3")
        for _ in range(29):
            new.serve()
            standing = watch.look(new, release="3")
        for trigger in SHARES:
            blind = of(standing, trigger).blind
            assert blind == "290 events of this release were seen, silence means nothing below 300"
        new.serve()
        standing = watch.look(new, release="3")
        assert [of(standing, trigger).blind for trigger in SHARES] == [""] * 4

    def test_a_service_that_stops_telling_its_release_is_not_counted(self) -> None:
        watch, service = healthy(ERRORS)
        for _ in range(15):
            service.serve()
            standing = watch.look(service, release=None)
        assert standing.why == "the service does not tell which release it is, as it did before"
        assert of(standing, ERRORS).events == 600
        assert "for 32 s" in of(watch.look(service, release=None), ERRORS).blind
        assert of(watch.look(service), ERRORS).events == 600 + 150, "nothing is lost, and nothing counts twice"

    def test_a_service_that_never_tells_its_release_is_counted(self) -> None:
        watch, service = Watch(ERRORS), Service()
        for _ in range(32):
            service.serve()
            standing = watch.look(service, release=None)
        assert of(standing, ERRORS).blind == ""
        assert standing.release is None

    def test_a_first_page_is_no_evidence_that_pages_can_be_counted(self) -> None:
        watch, service = healthy(ERRORS)
        for number in range(20):
            standing = watch.look(service, release=f"r{number}")
        assert of(standing, ERRORS).blind.startswith("there was no page of metrics that could be counted for")


class TestPages:
    def test_restarts_are_told_and_their_runs_counted(self) -> None:
        watch, _ = healthy(ERRORS)
        new = Service()
        standing = watched(watch, new, 2)
        assert said(standing)[-1] == "the counters began again: a process that serves was restarted"
        assert of(standing, ERRORS).events == 600 + 10

    @pytest.mark.parametrize("lines", range(10))
    def test_a_page_cut_at_a_line_is_counted_neither_twice_nor_lost(self, lines: int) -> None:
        watch, service = healthy(*SHARES)
        service.serve(failed=1, fallbacks=1, slow=1)
        standing = watch.look(service)
        service.serve(failed=2, fallbacks=2, slow=2)
        assert len(service.page()) == 10
        watch.look(service.page()[:lines])
        standing = watched(watch, service, 1, failed=3, fallbacks=3, slow=3)
        assert [of(standing, one).bad for one in SHARES] == [6, 6, 6, 6]
        assert [of(standing, one).events for one in SHARES] == [630] * 4
        assert standing.alarm is Alarm.QUIET

    def test_two_releases_that_answer_in_turn_are_counted_each(self) -> None:
        watch, old = healthy(ERRORS)
        new = Service()
        for _ in range(20):
            for one, release in ((old, "2"), (new, "3")):
                one.serve()
                standing = watch.look(one, release=release)
        assert of(standing, ERRORS).events == 600 + 20 * 10 + 19 * 10
        assert said(standing)[-1] == "release 3 answers, 2 before"
        assert standing.release == "3"

    @pytest.mark.parametrize("value", ["NaN", "-3", "+Inf"])
    def test_a_page_with_a_number_that_is_none_is_told_and_not_counted(self, value: str) -> None:
        watch, service = healthy(ERRORS)
        service.serve()
        standing = watch.look(service.text() + f'runs_total{{step="a",status="odd"}} {value}\n')
        assert "which is no count" in standing.why
        assert said(standing)[-1] == f"pages of metrics are not counted: {standing.why}"
        assert of(watch.look(service), ERRORS).events == 610

    def test_pages_that_are_refused_one_after_the_other_are_told_once(self) -> None:
        watch, service = healthy(ERRORS)
        for _ in range(5):
            standing = watch.look(service.text() + "fallbacks_total -1\n")
        assert len(said(standing)) == 1
        watch.look(service)
        assert len(said(watch.look(service.text() + "fallbacks_total -1\n"))) == 2

    def test_totals_are_those_of_the_watch(self) -> None:
        watch, service = healthy(ERRORS, looks=2)
        standing = watched(watch, service, 1, failed=2, fallbacks=1)
        assert standing.totals == {"runs": 30, "failed_runs": 2, "fallbacks": 1, "constructions": 30}
        assert (standing.errors, standing.templates) == ({"llm": 2}, {"t": 30})
        assert standing.construction == {"a": (0.001, 30)}
        assert standing.memory == 100 * 2**20


class TestMemory:
    def grown(self, megabytes: float, first: float = 100.0) -> TriggerStanding:
        """After five minutes at ``first``."""
        watch, service = Watch(MEMORY), Service(memory=first * 2**20)
        watched(watch, service, 152)
        service.memory = megabytes * 2**20
        return of(watch.look(service), MEMORY)

    def test_a_multiple_of_the_reference_alerts(self) -> None:
        standing = self.grown(170)
        assert standing.alarm is Alarm.ALERT
        assert standing.value == pytest.approx(1.7)
        assert standing.says == "170 MiB, 1.70 times the reference"

    @pytest.mark.parametrize(("now", "first"), [(150, 100), (165, 110), (110, 100)])
    def test_less_than_that_does_not(self, now: float, first: float) -> None:
        assert self.grown(now, first).fired == {}

    @pytest.mark.parametrize(("now", "alarm"), [(114, Alarm.QUIET), (114.1, Alarm.ALERT)])
    def test_a_multiple_of_little_is_little(self, now: float, alarm: Alarm) -> None:
        standing = self.grown(now, 50)
        assert (standing.alarm, standing.blind) == (alarm, "")

    def test_it_is_blind_until_the_reference_is_taken(self) -> None:
        watch, service = Watch(MEMORY), Service()
        standing = of(watched(watch, service, 150), MEMORY)
        assert standing.blind == "memory has no reference yet: it takes 2 s more"
        service.memory = 1000.0 * 2**20
        assert of(watch.look(service), MEMORY).fired != {}
        assert of(watch.look(service), MEMORY).blind == ""

    def test_the_reference_is_the_median(self) -> None:
        watch, service = Watch(MEMORY), Service()
        for one in range(151):
            service.memory = (1000.0 if one % 3 == 0 else 100.0) * 2**20
            watch.look(service)
        service.memory = 170.0 * 2**20
        assert of(watch.look(service), MEMORY).value == pytest.approx(1.7)

    def test_another_release_has_a_reference_of_its_own(self) -> None:
        watch, service = Watch(MEMORY), Service()
        watched(watch, service, 152)
        other = Service(memory=300.0 * 2**20)
        for _ in range(150):
            standing = of(watch.look(other, release="3"), MEMORY)
            assert standing.blind
        standing = of(watch.look(other, release="3"), MEMORY)
        assert (standing.value, standing.fired, standing.blind) == (1.0, {}, "")

    def test_another_release_that_is_first_seen_without_a_page_has_one_too(self) -> None:
        watch, service = Watch(MEMORY), Service()
        watched(watch, service, 152)
        assert of(watch.look(None, release="3"), MEMORY).blind == "the metrics do not tell the memory"
        standing = of(watch.look(Service(memory=300.0 * 2**20), release="3"), MEMORY)
        assert standing.fired == {}
        assert standing.blind == "memory has no reference yet: it takes 300 s more"

    def test_a_service_that_comes_late_gets_its_reference(self) -> None:
        watch, service = Watch(MEMORY), Service()
        for _ in range(300):
            watch.look(None)
        assert of(watched(watch, service, 151), MEMORY).blind == ""

    @pytest.mark.parametrize("value", [None, math.nan, math.inf, 0.0, -1.0, 1e-320])
    def test_a_memory_that_is_none_is_blind(self, value: float | None) -> None:
        watch, service = Watch(MEMORY), Service()
        watched(watch, service, 152)
        service.memory = value
        standing = of(watch.look(service), MEMORY)
        assert (standing.blind, standing.value) == ("the metrics do not tell the memory", None)

    def test_a_page_that_tells_no_release_tells_no_memory(self) -> None:
        watch, service = Watch(MEMORY), Service()
        watched(watch, service, 152)
        service.memory = 900.0 * 2**20
        assert of(watch.look(service, release=None), MEMORY).fired == {}


class TestAway:
    def away(self, *looks: tuple[float, int]) -> TriggerStanding:
        """After a good look, looks after so many seconds each, with this status."""
        watch, service = Watch(AWAY), Service()
        standing = watch.look(service)
        for after, status in looks:
            standing = watch.look(service if status == 200 else None, after=after, health=status)
        return of(standing, AWAY)

    def test_it_counts_from_the_last_good_look(self) -> None:
        standing = self.away((2, 500), (2, 0))
        assert (standing.value, standing.says, standing.fired) == (4.0, "no good answer for 4 s", {})
        assert standing.progress == {Alarm.ALERT: 0.8, Alarm.ROLLBACK: pytest.approx(4 / 15)}

    def test_it_alerts_and_then_rolls_back(self) -> None:
        assert self.away((5, 0)).fired == {}
        assert self.away((5, 0)).progress[Alarm.ALERT] < 1.0
        assert self.away((6, 0)).alarm is Alarm.ALERT
        assert self.away((6, 0), (9, 0)).fired == {Alarm.ALERT: 6.0}
        assert self.away((6, 0), (10, 0)).fired == {Alarm.ALERT: 6.0, Alarm.ROLLBACK: 16.0}

    def test_a_good_look_begins_anew(self) -> None:
        standing = self.away((4, 0), (1, 200), (4, 0))
        assert (standing.value, standing.fired) == (4.0, {})

    def test_every_health_path_must_answer(self) -> None:
        monitor = Monitor(rules(AWAY), METRICS, ())
        standing = monitor.look(Look(20.0, (), None, {"/health": 200, "/ready": 503}))
        assert not standing.is_good
        assert said(standing)[0] == "not well: /ready answers 503"
        assert of(standing, AWAY).fired == {Alarm.ALERT: 20.0, Alarm.ROLLBACK: 20.0}

    def test_without_health_paths_a_page_of_metrics_is_a_good_answer(self) -> None:
        monitor = Monitor(rules(AWAY), METRICS, ())
        assert monitor.look(Look(0.0, ())).is_good
        standing = monitor.look(Look(6.0, None, why="connection refused"))
        assert of(standing, AWAY).alarm is Alarm.ALERT
        assert said(standing)[0] == "not well: connection refused"

    def test_what_nobody_looked_at_is_not_known_to_be_away(self) -> None:
        assert self.away((60, 0)).fired == {}
        assert self.away((60, 0), (6, 0)).fired == {Alarm.ALERT: 66.0}
        assert self.away((60, 0)).says == "no good answer for 0 s"

    def test_a_service_that_is_well_again_is_told(self) -> None:
        watch = Watch(AWAY)
        watch.look(None, health=0)
        standing = watch.look(Service())
        assert said(standing) == ["not well: /health answers nothing", "the service is well again"]
        assert of(standing, AWAY).says == "answers"


class TestComplaints:
    @pytest.mark.parametrize(
        ("complaints", "fired", "says"),
        [
            ({}, set(), "0 open, 0 of them significant"),
            ({"C-1": False}, {Alarm.ALERT}, "1 open, 0 of them significant"),
            ({"C-1": True}, {Alarm.ALERT, Alarm.ROLLBACK}, "1 open, 1 of them significant"),
            ({"C-1": False, "C-2": True}, {Alarm.ALERT, Alarm.ROLLBACK}, "2 open, 1 of them significant"),
        ],
        ids=str,
    )
    def test_any_alerts_and_only_a_significant_one_rolls_back(
        self, complaints: dict[str, bool], fired: set[Alarm], says: str
    ) -> None:
        standing = of(Watch(COMPLAINTS).look(Service(), complaints=complaints), COMPLAINTS)
        assert (set(standing.fired), standing.says) == (fired, says)
        assert standing.value == len(complaints)

    def test_complaints_that_cannot_be_known_are_blind_and_leave_what_has_fired(self) -> None:
        monitor = Monitor(rules(COMPLAINTS), METRICS, ())
        monitor.look(Look(0.0, complaints={"C-1": False}))
        standing = of(monitor.look(Look(2.0, complaints=None)), COMPLAINTS)
        assert (standing.blind, standing.alarm) == ("the file of complaints cannot be read", Alarm.QUIET)
        assert standing.fired == {Alarm.ALERT: 0.0}

    def test_a_limit_is_a_number_of_complaints(self) -> None:
        three = replace(COMPLAINTS, alert=2.0, rollback=None)
        few = Watch(three).look(Service(), complaints={"1": True, "2": True})
        assert (of(few, three).fired, of(few, three).progress) == ({}, {Alarm.ALERT: 0.99})
        assert set(of(Watch(three).look(Service(), complaints=dict.fromkeys("123", False)), three).fired) == {
            Alarm.ALERT
        }

    def test_one_that_is_closed_leaves_the_moment(self) -> None:
        watch = Watch(COMPLAINTS)
        watch.look(Service(), complaints={"C-1": True})
        standing = watch.look(Service())
        assert (of(standing, COMPLAINTS).alarm, standing.alarm) == (Alarm.QUIET, Alarm.ROLLBACK)
        assert of(standing, COMPLAINTS).fired == {Alarm.ALERT: 0.0, Alarm.ROLLBACK: 0.0}


class TestTheClock:
    @pytest.mark.parametrize("backwards", [0.0, -0.5, -100.0])
    def test_a_time_that_stands_or_goes_back_counts_as_now(self, backwards: float) -> None:
        watch, service = healthy()
        now = watch.at
        service.serve()
        standing = watch.look(service, after=backwards)
        assert standing.at == now
        assert of(standing, ERRORS).events == 610
        assert of(watch.look(None, after=0.0, health=0), AWAY).value == 0.0

    def test_what_has_fired_is_never_later_than_now(self) -> None:
        watch, service = healthy(COMPLAINTS)
        standing = watch.look(service, after=-50.0, complaints={"C-1": True})
        assert of(standing, COMPLAINTS).fired[Alarm.ALERT] == standing.at == 120.0


class TestAsJson:
    def test_it_is_json_that_tells_everything(self) -> None:
        watch, service = healthy()
        service.serve(slow=10, took=5.0)
        standing = watched(watch, service, 20, failed=5)
        told = json.loads(json.dumps(standing.as_json(), allow_nan=False))
        assert told["version"] == 1
        assert told["alarm"] == "rollback"
        assert told["elapsed"] == 160.0
        assert (told["release"], told["health"], told["good"], told["why"]) == ("2", {"/health": 200}, True, "")
        assert told["construction"] == {"a": {"quantile": None, "count": 810}}
        errors = told["triggers"][0]
        assert errors["id"] == "errors"
        assert (errors["signal"], errors["unit"], errors["title"]) == ("failed-runs", "share", "Runs fail")
        assert errors["limits"] == {"alert": 0.05, "rollback": 0.1}
        assert errors["progress"] == {"alert": 1.0, "rollback": 1.0}
        assert set(errors["fired"]) == {"alert", "rollback"}
        assert (errors["alarm"], errors["blind"], errors["events"], errors["bad"]) == ("rollback", "", 810, 100)
        assert told["log"][-1]["what"].startswith("ROLLBACK: errors: ")
        assert [one["id"] for one in told["triggers"]] == [one.id for one in ALL]

    def test_the_same_looks_give_the_same_text(self) -> None:
        def text() -> str:
            watch, service = healthy()
            return json.dumps(watched(watch, service, 20, failed=5).as_json())

        assert text() == text()

    def test_the_log_is_bounded(self) -> None:
        watch = Watch(AWAY)
        for _ in range(300):
            watch.look(None, health=0)
            standing = watch.look(Service())
        assert len(standing.log) == 200


VALUES = st.one_of(st.floats(), st.integers(0, 50).map(float))
SAMPLES = st.builds(
    MetricSample,
    st.sampled_from(["runs_total", "fallbacks_total", "build_seconds_bucket", "memory_bytes", "errors_total"]),
    st.dictionaries(
        st.sampled_from(["step", "status", "le", "kind"]),
        st.sampled_from(["a", "b", "failed", "0.01", "+Inf", "NaN", "x"]),
    ),
    VALUES,
)
SOME_LOOKS = st.lists(
    st.builds(
        Look,
        at=st.floats(0.0, 1000.0),
        samples=st.none() | st.lists(SAMPLES, max_size=6).map(tuple),
        release=st.sampled_from([None, "2", "3"]),
        health=st.dictionaries(st.sampled_from(["/health", "/ready"]), st.sampled_from([0, 200, 503])),
        complaints=st.dictionaries(st.sampled_from(["1", "2"]), st.booleans()),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(SOME_LOOKS)
def test_any_looks_give_standings_that_are_json_and_counts_that_never_fall(looks: list[Look]) -> None:
    monitor = Monitor(rules(), METRICS, ("a", "b"))
    before: dict[str, int] = {}
    fired: list[dict[Alarm, float]] = [{} for _ in ALL]
    for look in looks:
        standing = monitor.look(look)
        json.dumps(standing.as_json(), allow_nan=False)
        assert all(number >= before.get(name, 0) for name, number in standing.totals.items())
        before = dict(standing.totals)
        for earlier, one in zip(fired, standing.triggers, strict=True):
            assert earlier.items() <= one.fired.items(), "what has fired keeps its first moment"
            assert 0 <= one.bad <= one.events or one.trigger.signal in (Signal.AWAY, Signal.MEMORY, Signal.COMPLAINTS)
            assert all(0.0 <= how_far <= 1.0 for how_far in one.progress.values())
            assert (one.alarm in one.fired) or one.alarm is Alarm.QUIET
        fired = [dict(one.fired) for one in standing.triggers]


@pytest.mark.parametrize("name", ["runs_total", "build_seconds_bucket", "fallbacks_total", "memory_bytes"])
def test_a_metric_that_goes_away_does_not_stay_silent(name: str) -> None:
    watch, service = healthy(looks=160)
    for _ in range(16):
        service.serve()
        standing = watch.look([one for one in service.page() if one.name != name])
    blind = {one.trigger.id: one.blind for one in standing.triggers if one.blind}
    if name == "memory_bytes":
        assert blind == {"memory": "the metrics do not tell the memory"}
    else:
        assert set(blind) == {one.id for one in SHARES}
        assert all("series that were there before; what they count is not seen" in why for why in blind.values())
    assert not [one for one in watched(watch, service, 1).triggers if one.blind], "seen again when it is back"
