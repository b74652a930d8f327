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
    """One run of each release, one right after the other; seconds without the model."""

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
    warm_up: int = 3,
) -> list[Pair]:
    """Time runs of both releases alternately, the order within a pair turned round from pair to pair.

    Args:
        candidate, baseline: two workers, each with one release.
        cases: taken in turn; both releases of a pair run the same one.
        scripts: what the model answers the candidate and the baseline.
        pairs: how many pairs.
        warm_up: pairs that are run and thrown away.
    """
    found: list[Pair] = []
    for number in range(-warm_up, pairs):
        case = cases[number % len(cases)]
        if number % 2:
            second = baseline.time_run(case, scripts[1])
            first = candidate.time_run(case, scripts[0])
        else:
            first = candidate.time_run(case, scripts[0])
            second = baseline.time_run(case, scripts[1])
        if number >= 0:
            found.append(Pair(first / 1e9, second / 1e9))
    return found
