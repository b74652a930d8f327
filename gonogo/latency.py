"""Timing through release workers: the clock runs in the worker, around the call and nothing else."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gonogo.model import Case
from gonogo.stub import Script
from gonogo.targets.client import ReleaseWorker

__all__ = ["Pair", "Stopwatch", "interleaved_runs", "pin_together"]


@dataclass
class Stopwatch:
    """Counts the seconds that a worker spent constructing. ``clock`` is a timer for pytest-benchmark.

    The way to the worker and back is not counted; the collector of the worker stays on, as in production. The worker is
    asked for ``batch`` constructions at a time, as the way to it takes longer than one of them.
    """

    worker: ReleaseWorker
    batch: int = 100
    _elapsed: float = 0.0
    _case: Case | None = None
    _timed: deque[int] = field(
        default_factory=deque
    )  # nanoseconds of constructions of the case that are not counted yet

    def clock(self) -> float:
        """Seconds spent in constructions so far."""
        return self._elapsed

    def construct(self, case: Case) -> None:
        """One construction."""
        if case is not self._case or not self._timed:
            self._case, self._timed = case, deque(self.worker.time_construct(case, self.batch))
        self._elapsed += self._timed.popleft() / 1e9


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of each release in the order A B B A; the mean seconds of each, without the model, by ``OwnClock``.

    A run right after one of the same release is faster than one after the other's (warm caches, about 1 ms here). Pair after
    pair in this order, each release has one run of either kind, and a drift of the machine cancels out.
    """

    candidate: float
    baseline: float

    def excess(self, *, ratio: float, allowance: float) -> float:
        """Seconds by which the candidate took longer than the baseline and its margin (the larger of share and allowance)."""
        return self.candidate - self.baseline - max(ratio * self.baseline, allowance)


def pin_together(workers: Iterable[ReleaseWorker]) -> bool:
    """Keep workers that run by turns on one processor, so that its neighbours and its caches are the same for all of them.

    Returns:
        Whether the system allows it (Linux does).
    """
    if not hasattr(os, "sched_setaffinity"):
        return False
    processor = max(os.sched_getaffinity(0))
    for worker in workers:
        os.sched_setaffinity(worker.pid, {processor})
    return True


def interleaved_runs(
    processes: Sequence[tuple[ReleaseWorker, ReleaseWorker]],
    cases: Sequence[Case],
    scripts: tuple[Script, Script],
    *,
    pairs: int,
    warm_up: int = 3,
) -> list[Pair]:
    """Time runs of both releases by turns: A B B A, A B B A, and so on.

    Args:
        processes: candidate and baseline, several times over, each a process of its own: how one process happens to lie in
            memory must not decide. Each of them gives its share of the pairs, in one piece.
        cases: taken in turn; all runs of a pair are of the same one.
        scripts: what the model answers the candidate and the baseline.
        pairs: how many pairs, of four runs each; a multiple of the number of processes.
        warm_up: pairs that each of the processes runs first and that are thrown away.

    Raises:
        ValueError: the pairs cannot be shared out evenly.
    """
    if pairs % len(processes):
        raise ValueError(
            f"pairs = {pairs} cannot be shared out among {len(processes)} pairs of processes; take a multiple"
        )
    found: list[Pair] = []
    for candidate, baseline in processes:
        for number in range(-warm_up, pairs // len(processes)):
            case = cases[number % len(cases)]
            first = candidate.time_run(case, scripts[0])
            second = baseline.time_run(case, scripts[1])
            third = baseline.time_run(case, scripts[1])
            fourth = candidate.time_run(case, scripts[0])
            if number >= 0:
                found.append(Pair((first + fourth) / 2e9, (second + third) / 2e9))
    return found
