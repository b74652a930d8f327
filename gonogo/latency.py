"""Timing through release workers: the clock runs in the worker, around the call and nothing else.

Releases are compared by turns (:func:`by_turns`), in several processes each, all of them fresh: how one process happens to lie in
memory makes it faster or slower by a few per cent for as long as it lives, so it is processes that are the samples. Each pair of
them gives one figure, the median of its turns. The difference of two fresh processes scatters symmetrically about the difference of
their releases, and so ``statistics.pseudomedian`` bounds it.
"""

from __future__ import annotations

import math
import os
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from gonogo.model import Case
from gonogo.statistics import Bound, Decision, pseudomedian
from gonogo.stub import Script
from gonogo.targets.client import ReleaseWorker

__all__ = [
    "Both",
    "Pair",
    "Race",
    "Stopwatch",
    "against_itself",
    "by_turns",
    "interleaved_runs",
    "lanes_of",
    "ratio_bound",
    "typical",
    "until_clear",
]


Both = tuple[ReleaseWorker, ReleaseWorker]  # candidate and baseline

_SETTLING = 1  # runs of a release before those that count, each time it takes its turn; also where it comes to another processor
_COUNTED = 2
_IN_A_LANE = 4  # pairs of processes that a processor has at least; they come in twos, each the other's fellow


@dataclass
class Stopwatch:
    """Counts the seconds that workers spent constructing. ``clock`` is a timer for pytest-benchmark.

    The way to a worker and back is not counted; the collector of a worker stays on, as in production. A worker is asked for at
    least ``batch`` constructions at a time, as the way to it takes longer than one of them; then it is the next one's turn.
    ``limit``: the seconds that are asked about, for a release that knows its times by buckets only.
    """

    workers: Sequence[ReleaseWorker]
    limit: float | None = None
    batch: int = 100
    _elapsed: float = 0.0
    _cases: Sequence[Case] = ()
    _batches: int = 0
    _timed: deque[int] = field(default_factory=deque)  # nanoseconds of constructions that are not counted yet
    _warm: set[int] = field(default_factory=set)  # places of workers that have constructed these cases before

    def clock(self) -> float:
        """Seconds spent in constructions so far."""
        return self._elapsed

    def construct(self, cases: Sequence[Case]) -> None:
        """One construction; of the cases in turn, from call to call."""
        if cases is not self._cases or not self._timed:
            whole_turns = -(-self.batch // len(cases)) * len(cases)
            if cases is not self._cases:
                self._cases, self._warm = cases, set()
            place = self._batches % len(self.workers)
            self._batches += 1
            for _ in range(1 if place in self._warm else 2):  # the first batch of a process fills its caches
                self._timed = deque(self.workers[place].time_construct(cases, whole_turns, limit=self.limit))
            self._warm.add(place)
        self._elapsed += self._timed.popleft() / 1e9


@dataclass(frozen=True, slots=True)
class Pair:
    """The seconds that each release took, one right after the other, without the model, by ``OwnClock``."""

    candidate: float
    baseline: float

    @property
    def ratio(self) -> float:
        """How many times as long as the baseline the candidate took."""
        return self.candidate / self.baseline

    def excess(self, *, ratio: float, allowance: float) -> float:
        """Seconds by which the candidate took longer than the baseline and its margin (the larger of share and allowance)."""
        return self.candidate - self.baseline - max(ratio * self.baseline, allowance)


def typical(timed: Sequence[Sequence[Pair]], figure: Callable[[Pair], float]) -> list[float]:
    """One figure for each pair of processes: the median over its turns."""
    return [statistics.median(map(figure, pairs)) for pairs in timed]


def ratio_bound(timed: Sequence[Sequence[Pair]], *, confidence: float) -> Bound:
    """How many times as long as the baseline the candidate took: the centre over pairs of processes, with its one-sided bounds.

    Each pair of processes gives the median of its turns. Their logarithms are what ``statistics.pseudomedian`` bounds: those of
    two releases that differ by a factor scatter symmetrically about it.
    """
    bound = pseudomedian([math.log(ratio) for ratio in typical(timed, lambda pair: pair.ratio)], confidence=confidence)
    estimate, lower, upper = map(math.exp, (bound.estimate, bound.lower, bound.upper))
    return replace(bound, estimate=estimate, lower=lower, upper=upper)


def against_itself(processes: Sequence[Both]) -> list[Both]:
    """The same processes, each release paired with itself, and with what runs on the same processor: what such pairs show is no effect.

    Args:
        processes: an even number of pairs, so that nobody is left over.
    """
    lanes = lanes_of(processes)
    return [
        (processes[one][role], processes[other][role])
        for lane in lanes
        for one, other in zip(lane[::2], lane[1::2], strict=False)
        for role in (0, 1)
    ]


def lanes_of(processes: Sequence[Both]) -> list[list[int]]:
    """Share the processes out among the processors, and keep each candidate on one processor with its baseline.

    So the two of a pair have the same neighbours and caches, and the pairs of different processors can run at the same time.
    That disturbs both releases alike, and not measurably: here, two lanes took half the time of one, and the pairs of both
    scattered by the same 0.6 ms.

    Returns:
        The places in ``processes``, one list for each processor; a single one where the system pins no processes (Linux does).
    """
    if not hasattr(os, "sched_setaffinity"):
        return [list(range(len(processes)))]
    processors = sorted(os.sched_getaffinity(0))[: max(1, len(processes) // _IN_A_LANE)]
    lanes: list[list[int]] = [[] for _ in processors]
    for number, both in enumerate(processes):
        lane = number // 2 % len(lanes)
        lanes[lane].append(number)
        for worker in both:
            os.sched_setaffinity(worker.pid, {processors[lane]})
    return lanes


def by_turns(
    processes: Sequence[Both],
    spent: Callable[[ReleaseWorker, int, int], float],
    *,
    pairs: int,
    timed: Sequence[Sequence[Pair]] = (),
    warm_up: int = 1,
) -> list[list[Pair]]:
    """Time both releases by turns; who begins changes from turn to turn, so that neither profits from being the second.

    Args:
        processes: candidate and baseline, several times over, each a process of its own. Those of different processors run at
            the same time.
        spent: seconds that a worker takes in a turn; told the worker, which of the two it is (0, 1), and the number of the turn.
        pairs: how many turns each of the processes shall have had.
        timed: what they have given already; processes beyond those have given nothing yet.
        warm_up: turns that those which have given nothing yet take first, and that are thrown away.

    Returns:
        The pairs of each, as in ``processes``.
    """
    known = [list(one) for one in timed] + [[] for _ in processes[len(timed) :]]

    def along(lane: Sequence[int]) -> None:
        for place in lane:
            had = len(known[place])
            if had < pairs:
                begin = had or -warm_up  # what has given nothing yet is cold
                turns = [_turn(processes[place], spent, number) for number in range(begin, pairs)]
                known[place] += turns[had - begin :]

    lanes = lanes_of(processes)
    with ThreadPoolExecutor(max(1, len(lanes))) as pool:
        for _ in pool.map(along, lanes):
            pass
    return known


def _turn(both: Both, spent: Callable[[ReleaseWorker, int, int], float], number: int) -> Pair:
    seconds = [0.0, 0.0]
    for release in (0, 1) if number % 2 == 0 else (1, 0):
        seconds[release] = spent(both[release], release, number)
    return Pair(*seconds)


def until_clear(
    look_at: Callable[..., list[list[Pair]]],
    looks: Sequence[Mapping[str, int]],
    decide: Callable[[Sequence[Sequence[Pair]]], Decision],
) -> tuple[list[list[Pair]], int]:
    """Look until the answer is clear, each look adding to the one before.

    An answer is clear when two looks on end give it: the processes of a look are timed within a second or two, and whatever
    disturbs the machine for so long disturbs them all. The last look has the last word.

    Args:
        look_at: times what a look asks for; told ``processes``, ``pairs``, and what was ``timed`` already.
        looks: ``processes`` and ``pairs`` of each.
        decide: what all that was timed so far says of the limit.

    Returns:
        What was timed, and in how many looks.
    """
    timed: list[list[Pair]] = []
    before = Decision.OPEN
    taken = 0
    for look in looks:
        timed = look_at(**look, timed=timed)
        taken += 1
        decision = decide(timed)
        if decision is before is not Decision.OPEN:
            break
        before = decision
    return timed, taken


def interleaved_runs(
    processes: Sequence[Both],
    cases: Sequence[Case],
    scripts: tuple[Script, Script],
    *,
    pairs: int,
    timed: Sequence[Sequence[Pair]] = (),
) -> list[list[Pair]]:
    """Time runs of both releases, see ``by_turns``; a turn is a few runs of one case, and its seconds are their mean.

    The first run after the other release's is not among them: it finds that one's data in the processor's caches, which no
    server does, and takes about 1 ms longer here.

    Args:
        processes, pairs, timed: as for ``by_turns``.
        cases: taken in turn; all runs of a pair are of the same one.
        scripts: what the model answers the candidate and the baseline.
    """

    def spent(worker: ReleaseWorker, release: int, number: int) -> float:
        runs = worker.time_runs(cases[number % len(cases)], scripts[release], _SETTLING + _COUNTED)
        return statistics.fmean(runs[_SETTLING:]) / 1e9

    return by_turns(processes, spent, pairs=pairs, timed=timed)


@dataclass
class Race:
    """Candidate and baseline, each in several fresh processes that all comparisons of a session share.

    ``processes``: so many pairs of them; those that were there before stay.
    """

    processes: Callable[[int], Sequence[Both]]
    _sees: dict[tuple[int, int], float] = field(default_factory=dict)

    def runs(
        self,
        cases: Sequence[Case],
        scripts: tuple[Script, Script],
        *,
        processes: int,
        pairs: int,
        timed: Sequence[Sequence[Pair]] = (),
    ) -> list[list[Pair]]:
        """Runs by turns, see ``interleaved_runs``."""
        return interleaved_runs(self.processes(processes), cases, scripts, pairs=pairs, timed=timed)

    def looked_at(
        self,
        cases: Sequence[Case],
        scripts: tuple[Script, Script],
        looks: Sequence[Mapping[str, int]],
        decide: Callable[[Sequence[Sequence[Pair]]], Decision],
    ) -> tuple[list[list[Pair]], int]:
        """Runs by turns, see ``runs``, more of them from look to look, see ``until_clear``."""
        return until_clear(partial(self.runs, cases, scripts), looks, decide)

    def sees(self, cases: Sequence[Case], script: Script, *, processes: int, pairs: int, confidence: float) -> float:
        """Seconds of a run that this machine can tell from nothing now: each release is held against itself.

        That is done once in a session for so many processes and pairs.

        It is the end of the bound over processes (``statistics.pseudomedian``) that lies further from zero; what is smaller could
        be the machine.
        """
        if (processes, pairs) not in self._sees:
            timed = interleaved_runs(against_itself(self.processes(processes)), cases, (script, script), pairs=pairs)
            bound = pseudomedian(typical(timed, lambda pair: pair.candidate - pair.baseline), confidence=confidence)
            self._sees[processes, pairs] = max(-bound.lower, bound.upper)
        return self._sees[processes, pairs]
