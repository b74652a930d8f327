"""Timing through release workers: the clock runs in the worker, around the call and nothing else."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gonogo.model import Case
from gonogo.stub import Script
from gonogo.targets.client import ReleaseWorker

__all__ = ["Pair", "Stopwatch", "interleaved_runs", "lanes_of"]


Both = tuple[ReleaseWorker, ReleaseWorker]  # candidate and baseline

_SETTLING = 1  # runs of a release before those that count, each time it takes its turn
_COUNTED = 2


@dataclass
class Stopwatch:
    """Counts the seconds that a worker spent constructing. ``clock`` is a timer for pytest-benchmark.

    The way to the worker and back is not counted; the collector of the worker stays on, as in production. The worker is
    asked for at least ``batch`` constructions at a time, as the way to it takes longer than one of them.
    ``limit``: the seconds that are asked about, for a release that knows its times by buckets only.
    """

    worker: ReleaseWorker
    limit: float | None = None
    batch: int = 100
    _elapsed: float = 0.0
    _cases: Sequence[Case] = ()
    _timed: deque[int] = field(default_factory=deque)  # nanoseconds of constructions that are not counted yet

    def clock(self) -> float:
        """Seconds spent in constructions so far."""
        return self._elapsed

    def construct(self, cases: Sequence[Case]) -> None:
        """One construction; of the cases in turn, from call to call."""
        if cases is not self._cases or not self._timed:
            whole_turns = -(-self.batch // len(cases)) * len(cases)
            self._cases, self._timed = cases, deque(self.worker.time_construct(cases, whole_turns, limit=self.limit))
        self._elapsed += self._timed.popleft() / 1e9


@dataclass(frozen=True, slots=True)
class Pair:
    """The mean seconds of a few runs of each release, one right after the other, without the model, by ``OwnClock``.

    The first run after the other release's is not among them: it finds that one's data in the processor's caches, which
    no server does, and takes about 1 ms longer here.
    """

    candidate: float
    baseline: float

    def excess(self, *, ratio: float, allowance: float) -> float:
        """Seconds by which the candidate took longer than the baseline and its margin (the larger of share and allowance)."""
        return self.candidate - self.baseline - max(ratio * self.baseline, allowance)


def lanes_of(processes: Sequence[Both]) -> list[list[Both]]:
    """Share the processes out among the processors, and keep each candidate on one processor with its baseline.

    So the two of a pair have the same neighbours and caches, and the pairs of different processors can run at the same time.
    That disturbs both releases alike, and not measurably: here, two lanes took half the time of one, and the pairs of both
    scattered by the same 0.6 ms.

    Returns:
        One list for each processor; a single one where the system pins no processes (Linux does).
    """
    if not hasattr(os, "sched_setaffinity"):
        return [list(processes)]
    processors = sorted(os.sched_getaffinity(0))
    lanes: list[list[Both]] = [[] for _ in processors[: len(processes)]]
    for number, both in enumerate(processes):
        lane = number % len(lanes)
        lanes[lane].append(both)
        for worker in both:
            os.sched_setaffinity(worker.pid, {processors[lane]})
    return lanes


def interleaved_runs(
    lanes: Sequence[Sequence[Both]],
    cases: Sequence[Case],
    scripts: tuple[Script, Script],
    *,
    pairs: int,
    warm_up: int = 1,
) -> list[Pair]:
    """Time runs of both releases by turns: a few of one, a few of the other; who begins changes from pair to pair.

    Args:
        lanes: candidate and baseline, several times over, each a process of its own: how one process happens to lie in memory
            must not decide. Each two of them give their share of the pairs, in one piece; lanes run at the same time.
        cases: taken in turn; all runs of a pair are of the same one.
        scripts: what the model answers the candidate and the baseline.
        pairs: how many pairs; a multiple of the number of processes of a release.
        warm_up: pairs that each of the processes runs first and that are thrown away.

    Raises:
        ValueError: the pairs cannot be shared out evenly.
    """
    processes = sum(map(len, lanes))
    if pairs % processes:
        raise ValueError(f"pairs = {pairs} cannot be shared out among {processes} pairs of processes; take a multiple")

    def along(lane: Sequence[Both]) -> list[Pair]:
        timed: list[Pair] = []
        for both in lane:
            ordered = [
                _timed(both, cases[number % len(cases)], scripts, number)
                for number in range(-warm_up, pairs // processes)
            ]
            timed += ordered[warm_up:]
        return timed

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [pair for timed in pool.map(along, lanes) for pair in timed]


def _timed(both: Both, case: Case, scripts: tuple[Script, Script], number: int) -> Pair:
    seconds = [0.0, 0.0]
    for release in (0, 1) if number % 2 == 0 else (1, 0):
        spent = both[release].time_runs(case, scripts[release], _SETTLING + _COUNTED)
        seconds[release] = sum(spent[_SETTLING:]) / _COUNTED / 1e9
    return Pair(*seconds)
