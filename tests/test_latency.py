"""Timing: what is counted, in which order releases take turns, and the margin a candidate has."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from gonogo.latency import Pair, Stopwatch, interleaved_runs, lanes_of
from gonogo.model import Case, Reply
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


def worker(clockwork: Clockwork) -> ReleaseWorker:
    return cast(ReleaseWorker, clockwork)


def test_a_stopwatch_counts_the_seconds_in_the_worker() -> None:
    watch = Stopwatch(worker(Clockwork("c", 250_000)))
    assert watch.clock() == 0
    watch.construct(CASES[:1])
    watch.construct(CASES[1:])
    assert watch.clock() == pytest.approx(0.0005)


def test_a_stopwatch_counts_every_construction_once_and_asks_for_many_at_a_time() -> None:
    clockwork = Clockwork("c", 1_000_000)
    watch = Stopwatch(worker(clockwork), batch=3)
    counted = []
    first, others = CASES[:1], CASES[1:]
    for cases in (first, first, first, first, others):
        before = watch.clock()
        watch.construct(cases)
        counted.append(round((watch.clock() - before) * 1e9))
    assert counted == [1_000_000, 1_000_001, 1_000_002, 1_000_000, 1_000_000]
    assert clockwork.log == [
        ("c", "roads", "3 rounds"),
        ("c", "roads", "3 rounds"),
        ("c", "rivers seas", "4 rounds"),  # whole turns, so that each case comes as often as the others
    ]


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


def test_the_releases_of_a_pair_run_one_case_by_turns_and_each_begins_as_often() -> None:
    log: list[tuple[str, str, str]] = []
    new, old = Clockwork("new", 3_000_000, log), Clockwork("old", 2_000_000, log)
    interleaved_runs([[(worker(new), worker(old))]], CASES, SCRIPTS, pairs=4, warm_up=2)
    assert len(log) == 6 * 6
    pairs = [log[start : start + 6] for start in range(0, len(log), 6)]
    for runs in pairs:
        assert len({case for _, case, _ in runs}) == 1
        assert all(name == reply for name, _, reply in runs)
    assert [[name for name, _, _ in runs] for runs in pairs] == [
        ["new"] * 3 + ["old"] * 3,
        ["old"] * 3 + ["new"] * 3,
    ] * 3
    assert [runs[0][1] for runs in pairs] == ["rivers", "seas", "roads", "rivers", "seas", "roads"]


def test_the_first_run_after_the_other_release_s_does_not_count() -> None:
    new, old = Clockwork("new", 3_000_000, settling=50_000_000), Clockwork("old", 2_000_000)
    found = interleaved_runs([[(worker(new), worker(old))]], CASES, SCRIPTS, pairs=4)
    assert found == [Pair(0.003, 0.002)] * 4


def test_no_pairs_are_no_samples() -> None:
    clockwork = Clockwork("c", 1)
    assert interleaved_runs([[(worker(clockwork), worker(clockwork))]], CASES, SCRIPTS, pairs=0) == []


def test_each_pair_of_processes_gives_its_share_in_one_piece() -> None:
    log: list[tuple[str, str, str]] = []
    clocks = [Clockwork(name, 1_000_000, log) for name in ("new", "old", "new again", "old again")]
    new, old, new_again, old_again = map(worker, clocks)
    found = interleaved_runs([[(new, old), (new_again, old_again)]], CASES, SCRIPTS, pairs=4, warm_up=1)
    assert len(found) == 4
    names = [name for name, _, _ in log]
    assert names[: len(names) // 2].count("new") == names[: len(names) // 2].count("old") == 9
    assert names[len(names) // 2 :].count("new again") == names[len(names) // 2 :].count("old again") == 9


def test_pairs_that_cannot_be_shared_out_evenly_are_refused() -> None:
    both = worker(Clockwork("a", 1)), worker(Clockwork("b", 1))
    with pytest.raises(ValueError, match="pairs = 3 cannot be shared out among 2 pairs of processes; take a multiple"):
        interleaved_runs([[both], [both]], CASES, SCRIPTS, pairs=3)


def test_lanes_run_at_the_same_time_and_each_gives_its_share() -> None:
    met = threading.Barrier(2, timeout=5)

    @dataclass
    class Waiting(Clockwork):
        def time_runs(self, case: Case, script: Script, rounds: int) -> list[int]:
            met.wait()
            return super().time_runs(case, script, rounds)

    lanes = [
        [(worker(Waiting(name, time)), worker(Waiting(name, 1_000_000)))]
        for name, time in (("a", 2_000_000), ("b", 3_000_000))
    ]
    found = interleaved_runs(lanes, CASES, SCRIPTS, pairs=4)
    assert found == [Pair(0.002, 0.001)] * 2 + [Pair(0.003, 0.001)] * 2


def test_the_processes_of_a_pair_share_a_processor_and_the_pairs_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: dict[int, set[int]] = {}
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", pinned.__setitem__, raising=False)
    one, two, three = [
        (worker(Clockwork("c", 1, pid=pid)), worker(Clockwork("b", 1, pid=pid + 1))) for pid in (10, 20, 30)
    ]
    assert lanes_of([one, two, three]) == [[one, three], [two]]
    assert pinned == {10: {3}, 11: {3}, 20: {5}, 21: {5}, 30: {3}, 31: {3}}


def test_there_are_no_more_lanes_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, processors: None, raising=False)
    both = worker(Clockwork("c", 1)), worker(Clockwork("b", 1))
    assert lanes_of([both, both]) == [[both], [both]]


def test_where_no_process_can_be_pinned_there_is_one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    both = worker(Clockwork("c", 1)), worker(Clockwork("b", 1))
    assert lanes_of([both, both]) == [[both, both]]
