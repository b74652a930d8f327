"""A test of a share that may be looked at as often as one likes, and that sees a change late as well as at the start.

Events come in looks: of ``events`` since the last one, ``bad`` are bad. As long as the share of bad ones is at most the
limit, each likelihood ratio

    L_j = (q_j / limit)^bad * ((1 - q_j) / (1 - limit))^(events - bad),    q_j > limit

has an expectation of at most 1, whatever was seen before. The evidence is a mixture of Shiryaev-Roberts statistics,

    R_j <- (R_j + 1) * L_j,    M = mean of the R_j,

which sums the evidence for "the share is q_j since look k" over all k: a fault is found as quickly after an hour as at once,
where an average since the start would be blind to it. M minus the number of looks is a supermartingale as long as the share
keeps the limit, so that the mean number of looks until M first reaches a threshold is at least that threshold, however often
one looks and however the traffic varies (Pollak 1985; e-detectors: Shin, Ramdas and Rinaldo 2024). Looks without an event
are none: they would add to M, and a service that nobody uses would be alarmed in the end. It is an average run length, not a
chance per watch: a service that stands right on the limit for ever is alarmed at some time. One that stands well below it,
as a healthy one does, practically never is; docs/watching.md has the figures.

What lies beyond the threshold is forgotten, so that the evidence goes soon after the fault has gone, however long it lasted.

Assumes that events are independent given the share. Errors often are not: a network that is away for a moment fails all
requests of that moment. So one look multiplies the evidence by at most 10, whatever it shows, and a fault must last for some
looks to fire. A smaller ratio has a smaller expectation: what is promised above stays true.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gonogo.errors import StatisticsError

__all__ = ["LEAP", "ShareState", "ShareTest"]

# odds of the alternatives, as multiples of the odds of the limit: a share of 10 % against 5 %, 20 % against 10 % and total
# failure are all found about as quickly as if each had been the only alternative
_ODDS = (1.8, 2.25, 3.5)
LEAP = 10.0  # what one look multiplies the evidence by at most


@dataclass(frozen=True, slots=True)
class ShareState:
    """What a test has seen so far. ``evidence`` is log M; ``events`` and ``bad`` are totals."""

    logs: tuple[float, ...]
    events: int = 0
    bad: int = 0

    @property
    def evidence(self) -> float:
        """The logarithm of the evidence that the share lies above the limit since some moment; -inf before any."""
        largest = max(self.logs)
        if largest == -math.inf:
            return -math.inf
        return largest + math.log(sum(math.exp(one - largest) for one in self.logs) / len(self.logs))


@dataclass(frozen=True, slots=True)
class ShareTest:
    """Whether a share has come to lie above a limit. ``looks``: the least mean number of looks between two false alarms.

    Errors: StatisticsError for a limit that is no share, for fewer than one look.
    """

    limit: float
    looks: float

    def __post_init__(self) -> None:
        if not 0.0 < self.limit < 1.0:
            raise StatisticsError(f"{self.limit!r} is no limit of a share; give a number between 0 and 1, such as 0.05")
        if not 1.0 <= self.looks < math.inf:
            raise StatisticsError(f"{self.looks!r} looks between two false alarms are none; give a number of 1 or more")

    @property
    def begin(self) -> ShareState:
        """Nothing seen yet."""
        return ShareState((-math.inf,) * len(_ODDS))

    def after(self, state: ShareState, events: int, bad: int, *, covers: int = 1) -> ShareState:
        """What is known after one more look; one after a gap ``covers`` so many looks, and counts as much as they could.

        Errors: StatisticsError where more events are bad than there are, or there are fewer than none.
        """
        if not 0 <= bad <= events:
            raise StatisticsError(f"{bad} of {events} events cannot be bad; give counts since the last look")
        if events == 0:
            return state
        logs = []
        for share, log in zip(self.alternatives, state.logs, strict=True):
            ratio = bad * math.log(share / self.limit) + (events - bad) * math.log((1.0 - share) / (1.0 - self.limit))
            ratio = min(ratio, covers * math.log(LEAP))
            larger, smaller = max(log, 0.0), min(log, 0.0)
            logs.append(min(self.most, larger + math.log1p(math.exp(smaller - larger)) + ratio))
        return replace(state, logs=tuple(logs), events=state.events + events, bad=state.bad + bad)

    @property
    def alternatives(self) -> tuple[float, ...]:
        """The shares that it looks for."""
        odds = self.limit / (1.0 - self.limit)
        return tuple(factor * odds / (1.0 + factor * odds) for factor in _ODDS)

    @property
    def most(self) -> float:
        """What each log R is cut to: enough for M to reach the threshold if all others are at nothing, and a bit more."""
        return math.log(self.looks * len(_ODDS)) + 1.0

    def fires(self, state: ShareState) -> bool:
        """Whether the evidence reaches the threshold."""
        return state.evidence >= math.log(self.looks)

    def progress(self, state: ShareState) -> float:
        """How far the evidence has come on its way to the threshold: 0 for none, 1 where it fires, and only there."""
        if self.fires(state):
            return 1.0
        whole = math.log(self.looks)
        return max(0.0, state.evidence / whole) if whole > 0 else 0.0
