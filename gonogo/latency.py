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


_SETTLING = 1  # runs of a release before those that count, each time it takes its turn
_COUNTED = 2


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
    """The mean seconds of a few runs of each release, one right after the other, without the model, by ``OwnClock``.

    The first run after the other release's is not among them: it finds that one's data in the processor's caches, which
    no server does, and takes about 1 ms longer here.
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
    warm_up: int = 1,
) -> list[Pair]:
    """Time runs of both releases by turns: a few of one, a few of the other; who begins changes from pair to pair.

    Args:
        processes: candidate and baseline, several times over, each a process of its own: how one process happens to lie in
            memory must not decide. Each of them gives its share of the pairs, in one piece.
        cases: taken in turn; all runs of a pair are of the same one.
        scripts: what the model answers the candidate and the baseline.
        pairs: how many pairs; a multiple of the number of processes.
        warm_up: pairs that each of the processes runs first and that are thrown away.

    Raises:
        ValueError: the pairs cannot be shared out evenly.
    """
    if pairs % len(processes):
        raise ValueError(
            f"pairs = {pairs} cannot be shared out among {len(processes)} pairs of processes; take a multiple"
        )
    found: list[Pair] = []
    for both in processes:
        for number in range(-warm_up, pairs // len(processes)):
            case = cases[number % len(cases)]
            seconds = [0.0, 0.0]
            for release in (0, 1) if number % 2 == 0 else (1, 0):
                timed = both[release].time_runs(case, scripts[release], _SETTLING + _COUNTED)
                seconds[release] = sum(timed[_SETTLING:]) / _COUNTED / 1e9
            if number >= 0:
                found.append(Pair(*seconds))
    return found
