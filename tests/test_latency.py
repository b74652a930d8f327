"""Timing: what is counted, in which order releases take turns, what processes are worth, and the margin a candidate has."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from gonogo.latency import (
    Both,
    Pair,
    Race,
    Stopwatch,
    against_itself,
    by_turns,
    interleaved_runs,
    lanes_of,
    ratio_bound,
    typical,
)
from gonogo.model import Case, Reply
from gonogo.statistics import Decision
from gonogo.stub import Script
from gonogo.targets.client import ReleaseWorker

CASES = [Case("roads", "facts", {}), Case("rivers", "facts", {}), Case("seas", "facts", {})]
SCRIPTS = Script(Reply("new"), "m"), Script(Reply("old"), "m")


@dataclass
class Clockwork:
    """A worker that takes as many nanoseconds as it is told."""

    name: str
    nanoseconds: int
    log: list[tuple[str, str, str]] = field(default_factory=list)
    pid: int = 1
    settling: int = 9_000_000  # of the first run after the other release's

    def time_construct(self, cases: Sequence[Case], rounds: int, *, limit: float | None = None) -> list[int]:
        self.log.append((self.name, " ".join(case.id for case in cases), f"{rounds} rounds"))
        return [self.nanoseconds + number for number in range(rounds)]

    def time_runs(self, case: Case, script: Script, rounds: int) -> list[int]:
        self.log += [(self.name, case.id, script.reply.text)] * rounds
        return [self.settling] + [self.nanoseconds] * (rounds - 1)


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """Two processors, and which process is kept on which."""
    kept: dict[int, set[int]] = {}
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 3}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, where: kept.update({pid: where}), raising=False)
    return kept


def worker(clockwork: Clockwork) -> ReleaseWorker:
    return cast(ReleaseWorker, clockwork)


def both(new: int = 3_000_000, old: int = 2_000_000, log: list[tuple[str, str, str]] | None = None) -> Both:
    kept: list[tuple[str, str, str]] = [] if log is None else log
    return worker(Clockwork("new", new, kept)), worker(Clockwork("old", old, kept))


class TestAStopwatch:
    def test_it_counts_the_seconds_in_the_worker(self) -> None:
        watch = Stopwatch([worker(Clockwork("c", 250_000))])
        assert watch.clock() == 0
        watch.construct(CASES[:1])
        watch.construct(CASES[1:])
        assert watch.clock() == pytest.approx(0.0005)

    def test_it_counts_every_construction_once_and_asks_for_many_at_a_time(self) -> None:
        clockwork = Clockwork("c", 1_000_000)
        watch = Stopwatch([worker(clockwork)], batch=3)
        counted = []
        first, others = CASES[:1], CASES[1:]
        for cases in (first, first, first, first, others):
            before = watch.clock()
            watch.construct(cases)
            counted.append(round((watch.clock() - before) * 1e9))
        assert counted == [1_000_000, 1_000_001, 1_000_002, 1_000_000, 1_000_000]
        # the first batch of these cases warms the process up; whole turns, so that each case comes as often as the others
        asked = [(cases, rounds) for _, cases, rounds in clockwork.log]
        assert asked == [("roads", "3 rounds")] * 3 + [("rivers seas", "4 rounds")] * 2

    def test_processes_take_turns_so_that_no_single_one_decides(self) -> None:
        log: list[tuple[str, str, str]] = []
        watch = Stopwatch([worker(Clockwork(name, 1_000_000, log)) for name in "abc"], batch=1)
        cases = CASES[:1]
        for _ in range(6):
            watch.construct(cases)
        assert [name for name, _, _ in log] == ["a", "a", "b", "b", "c", "c", "a", "b", "c"]


@pytest.mark.parametrize(
    ("candidate", "baseline", "excess"),
    [
        (0.0100, 0.0100, -0.001),
        (0.0111, 0.0100, 0.0001),
        (0.0010, 0.0010, -0.00025),
        (0.0013, 0.0010, 0.00005),
    ],
)
def test_the_margin_is_the_larger_of_share_and_allowance(candidate: float, baseline: float, excess: float) -> None:
    assert Pair(candidate, baseline).excess(ratio=0.1, allowance=0.00025) == pytest.approx(excess)


class TestTurns:
    def test_the_releases_of_a_pair_run_one_case_by_turns_and_each_begins_as_often(self) -> None:
        log: list[tuple[str, str, str]] = []
        interleaved_runs([both(log=log)], CASES, SCRIPTS, pairs=4)
        turns = [log[start : start + 6] for start in range(0, len(log), 6)]
        assert len(turns) == 5, "one that warms up, and four that count"
        for runs in turns:
            assert len({case for _, case, _ in runs}) == 1
            assert all(name == reply for name, _, reply in runs)
        orders = [[name for name, _, _ in runs] for runs in turns]
        assert orders == [["old"] * 3 + ["new"] * 3, ["new"] * 3 + ["old"] * 3] * 2 + [["old"] * 3 + ["new"] * 3]
        assert [runs[0][1] for runs in turns] == ["seas", "roads", "rivers", "seas", "roads"]

    def test_the_first_run_after_the_other_release_s_does_not_count(self) -> None:
        assert interleaved_runs([both()], CASES, SCRIPTS, pairs=4) == [[Pair(0.003, 0.002)] * 4]

    def test_no_pairs_are_no_samples(self) -> None:
        log: list[tuple[str, str, str]] = []
        assert interleaved_runs([both(log=log)], CASES, SCRIPTS, pairs=0) == [[]]
        assert log == []

    def test_what_is_known_is_kept_and_only_what_is_missing_is_taken(self) -> None:
        known = [Pair(1.0, 1.0)]
        assert interleaved_runs([both(), both()], CASES, SCRIPTS, pairs=2, timed=[known]) == [
            [Pair(1.0, 1.0), Pair(0.003, 0.002)],
            [Pair(0.003, 0.002)] * 2,
        ]

    def test_what_has_given_turns_already_is_warm_and_goes_on_where_it_stopped(self) -> None:
        log: list[tuple[str, str, str]] = []
        interleaved_runs([both(log=log)], CASES, SCRIPTS, pairs=3, timed=[[Pair(1.0, 1.0)]])
        turns = [log[start : start + 6] for start in range(0, len(log), 6)]
        assert [(runs[0][0], runs[0][1]) for runs in turns] == [("old", "rivers"), ("new", "seas")]

    def test_processors_work_at_the_same_time(self) -> None:
        together = threading.Barrier(2, timeout=10)

        def spent(one: ReleaseWorker, release: int, number: int) -> float:
            together.wait()
            return 1.0

        found = by_turns([both() for _ in range(8)], spent, pairs=2)
        assert found == [[Pair(1.0, 1.0)] * 2] * 8

    def test_each_pair_of_processes_gives_one_figure_whatever_one_turn_was_like(self) -> None:
        timed = [[Pair(1.0, 1.0), Pair(1.0, 1.0), Pair(50.0, 1.0)], [Pair(2.0, 1.0)]]
        assert typical(timed, lambda pair: pair.ratio) == [1.0, 2.0]


class TestTheRatio:
    def test_it_is_the_centre_over_pairs_of_processes_with_its_interval(self) -> None:
        candidates = (1.0, 1.1, 1.21, 1.21, 1.331, 1.21, 1.21, 1.21)
        bound = ratio_bound([[Pair(one, 1.0)] * 3 for one in candidates], confidence=0.995)
        assert bound.estimate == pytest.approx(1.21)
        assert (bound.lower, bound.upper) == pytest.approx((1.0, 1.331))
        assert bound.n == 8

    def test_twice_as_long_and_half_as_long_are_the_same_distance(self) -> None:
        bound = ratio_bound([[Pair(2.0, 1.0)], [Pair(1.0, 2.0)]] * 4, confidence=0.995)
        assert bound.estimate == pytest.approx(1.0)
        assert bound.lower * bound.upper == pytest.approx(1.0)

    def test_one_turn_that_no_clock_should_show_spoils_nothing(self) -> None:
        bound = ratio_bound([[Pair(-1.0, 1.0), *[Pair(1.1, 1.0)] * 4]] * 8, confidence=0.995)
        assert (bound.lower, bound.upper) == pytest.approx((1.1, 1.1))

    def test_too_few_processes_bound_nothing(self) -> None:
        bound = ratio_bound([[Pair(1.0, 1.0)]] * 3, confidence=0.995)
        assert (bound.lower, bound.upper) == (0.0, math.inf)


class TestProcessors:
    def test_each_candidate_stays_on_one_processor_with_its_baseline(self, pinned: dict[int, set[int]]) -> None:
        workers = [
            (worker(Clockwork("n", 1, pid=one)), worker(Clockwork("o", 1, pid=one + 1))) for one in range(10, 90, 10)
        ]
        assert lanes_of(workers) == [[0, 1, 4, 5], [2, 3, 6, 7]]
        assert pinned == {
            pid: {5} if number in (2, 3, 6, 7) else {3}
            for number in range(8)
            for pid in (10 + 10 * number, 11 + 10 * number)
        }

    @pytest.mark.parametrize("processors", [1, 2, 3, 5, 8, 64])
    @pytest.mark.parametrize("processes", [2, 4, 8, 16, 24, 32])
    def test_every_release_finds_a_fellow_however_many_processors_there_are(
        self, processes: int, processors: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)), raising=False)
        workers = [both() for _ in range(processes)]
        assert len(lanes_of(workers)) == max(1, min(processors, processes // 4))
        assert len(against_itself(workers)) == processes

    def test_there_is_a_single_lane_where_the_system_pins_no_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "sched_setaffinity")
        assert lanes_of([both(), both()]) == [[0, 1]]


class TestAgainstItself:
    def test_each_release_is_paired_with_itself_on_the_same_processor(self) -> None:
        processes = [
            (worker(Clockwork(f"new {n}", 1, pid=n)), worker(Clockwork(f"old {n}", 1, pid=n))) for n in range(8)
        ]
        paired = [(cast(Clockwork, one).name, cast(Clockwork, other).name) for one, other in against_itself(processes)]
        assert paired == [
            ("new 0", "new 1"),
            ("old 0", "old 1"),
            ("new 4", "new 5"),
            ("old 4", "old 5"),
            ("new 2", "new 3"),
            ("old 2", "old 3"),
            ("new 6", "new 7"),
            ("old 6", "old 7"),
        ]

    def test_what_a_machine_cannot_tell_is_the_wider_end_of_the_bound_and_is_measured_once(self) -> None:
        """Process 0 is 0.4 ms slower than its fellow, everybody else takes 2 ms."""
        started: list[int] = []
        slow = {0: 2_400_000}

        def processes(count: int) -> list[Both]:
            started.append(count)
            return [both(slow.get(number, 2_000_000), 2_000_000) for number in range(count)]

        race = Race(processes)
        seen = race.sees(CASES, SCRIPTS[0], processes=8, pairs=2, confidence=0.983)
        assert seen == pytest.approx(0.0002), "the third largest average of two of the eight"
        assert race.sees(CASES, SCRIPTS[0], processes=8, pairs=2, confidence=0.983) == seen
        assert started == [8]

    def test_too_few_processes_show_nothing(self) -> None:
        race = Race(lambda count: [both() for _ in range(count)])
        assert race.sees(CASES, SCRIPTS[0], processes=4, pairs=2, confidence=0.983) == float("inf")


class TestLooking:
    LOOKS = tuple({"processes": 4, "pairs": pairs} for pairs in (2, 4, 6, 8))

    def turns(self, *decisions: Decision) -> int:
        """How many turns each pair of processes has had when the looking ends, if it says this look after look."""
        race, said = Race(lambda count: [both() for _ in range(count)]), iter(decisions)
        timed, taken = race.looked_at(CASES, SCRIPTS, self.LOOKS, lambda timed: next(said))
        assert taken == len(decisions)
        return len(timed[0])

    def test_it_ends_when_two_looks_on_end_give_the_same_answer(self) -> None:
        assert self.turns(Decision.WITHIN, Decision.WITHIN) == 4
        assert self.turns(Decision.OUTSIDE, Decision.OUTSIDE) == 4
        assert self.turns(Decision.OPEN, Decision.WITHIN, Decision.WITHIN) == 6

    def test_what_a_disturbance_made_of_one_look_is_no_answer(self) -> None:
        assert self.turns(Decision.OUTSIDE, Decision.WITHIN, Decision.WITHIN) == 6
        assert self.turns(Decision.WITHIN, Decision.OUTSIDE, Decision.OUTSIDE) == 6
        assert self.turns(Decision.OUTSIDE, Decision.OPEN, Decision.OUTSIDE, Decision.OUTSIDE) == 8

    def test_the_last_look_has_the_last_word(self) -> None:
        assert self.turns(Decision.OPEN, Decision.OPEN, Decision.OPEN, Decision.OPEN) == 8
        assert self.turns(Decision.OPEN, Decision.OPEN, Decision.OPEN, Decision.OUTSIDE) == 8
