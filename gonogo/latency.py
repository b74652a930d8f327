"""Timing through release workers: the clock runs in the worker, around the call and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gonogo.model import Case
from gonogo.stub import Script
from gonogo.targets.client import ReleaseWorker

__all__ = ["Pair", "Stopwatch", "interleaved_runs"]


@dataclass
class Stopwatch:
    """Counts the seconds that a worker spent constructing. ``clock`` is a timer for pytest-benchmark.

    The way to the worker and back is not counted; the collector of the worker stays on, as in production.
    """

    worker: ReleaseWorker
    _elapsed: float = 0.0

    def clock(self) -> float:
        """Seconds spent in constructions so far."""
        return self._elapsed

    def construct(self, case: Case) -> None:
        """One construction."""
        self._elapsed += self.worker.time_construct(case) / 1e9


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


def interleaved_runs(
    candidate: ReleaseWorker,
    baseline: ReleaseWorker,
    cases: Sequence[Case],
    scripts: tuple[Script, Script],
    *,
    pairs: int,
    warm_up: int = 2,
) -> list[Pair]:
    """Time runs of both releases in turn: A B B A, A B B A, and so on.

    Args:
        candidate, baseline: two workers, each with one release.
        cases: taken in turn; all runs of a pair are of the same one.
        scripts: what the model answers the candidate and the baseline.
        pairs: how many pairs, of four runs each.
        warm_up: pairs that are run and thrown away.
    """
    found: list[Pair] = []
    for number in range(-warm_up, pairs):
        case = cases[number % len(cases)]
        first = candidate.time_run(case, scripts[0])
        second = baseline.time_run(case, scripts[1])
        third = baseline.time_run(case, scripts[1])
        fourth = candidate.time_run(case, scripts[0])
        if number >= 0:
            found.append(Pair((first + fourth) / 2e9, (second + third) / 2e9))
    return found
