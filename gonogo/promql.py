"""Expressions in Prometheus' language: counted events, and the lower bound of a share.

The rules of ``alerting`` and their tests are made of these; nothing here knows a trigger.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from gonogo.metrics import Series

__all__ = [
    "LEAST_BAD",
    "duration",
    "fewest",
    "increase",
    "lower_bound",
    "lower_bound_expression",
    "number",
    "score",
]

LEAST_BAD = 3  # bad events below which no share is told: two errors of two runs at night are no trend
_CERTAIN = 1.6449  # of a one-sided bound at 95 %, which is the least
_LARGEST = 100.0
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}  # in milliseconds, the longest first


def duration(seconds: float) -> str:
    """A time as Prometheus writes it: 300 is ``5m``, 90 is ``90s``; a thousandth of a second is the least."""
    milliseconds = max(1, round(seconds * 1000))
    for unit, length in _UNITS.items():
        whole, rest = divmod(milliseconds, length)
        if whole and not rest:
            return f"{whole}{unit}"
    return f"{milliseconds}ms"


def number(value: float) -> str:
    """A number without the noise of its last digit."""
    return format(float(f"{value:.12g}"), ".12g")


def score(window: float, run_length: float) -> float:
    """How many standard errors the bound lies below the share that was seen.

    A share that is looked at in a sliding window crosses a level of z standard errors about ``z * phi(z)`` times in a window
    (the clumps of a process whose correlation falls off linearly: Aldous, *Probability Approximations via the Poisson
    Clumping Heuristic*, 1989, section D). So a service that stands right on the limit raises an alarm about every
    ``window / (z * phi(z))`` seconds, which must be the run length. It is 1.6449 at the least, the bound at 95 %.
    """
    wanted = math.log(window / run_length)

    def crossings(z: float) -> float:
        return math.log(z) - z * z / 2 - math.log(math.sqrt(2 * math.pi))

    low, high = _CERTAIN, _LARGEST
    if crossings(low) <= wanted:
        return low
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if crossings(middle) <= wanted else (middle, high)
    return math.ceil(high * 1e4) / 1e4


def lower_bound(bad: float, events: float, z: float) -> float:
    """The lower bound of the share that is behind so many bad events: Wilson's score bound, corrected for continuity.

    After Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), 857-872,
    method 4. The correction keeps it near the exact bound where there are few events.
    """
    square = z * z
    inside = square - 2 - 1 / events + 4 * bad * (events - bad + 1) / events
    return (2 * bad + square - 1 - z * math.sqrt(max(inside, 0.0))) / (2 * (events + square))


def lower_bound_expression(bad: str, events: str, z: float) -> str:
    """The same, computed by Prometheus from two series; nothing where there are no events."""
    square = number(z * z)
    return (
        "(\n"
        f"  2 * {bad} + {square} - 1\n"
        f"  - {number(z)} * sqrt(clamp_min(\n"
        f"      {square} - 2 - 1 / {events} + 4 * {bad} * ({events} - {bad} + 1) / {events}, 0))\n"
        f") / (2 * (({events} > 0) + {square}))"
    )


def fewest(limit: float, z: float) -> int:
    """The fewest events that can show a share above a limit: so many, all of them bad."""
    enough = LEAST_BAD
    while lower_bound(enough, enough, z) <= limit:
        enough *= 2
    candidates = range(LEAST_BAD, enough)  # enough is known to do
    return LEAST_BAD + bisect_left(candidates, True, key=lambda events: lower_bound(events, events, z) > limit)


def increase(counter: Series, window: str, up: Series, by: str) -> str:
    """Events that a counter has counted in a window, by a label; nothing where there is no counter.

    ``increase()`` alone leaves out the first value of a series, and most counters of failures begin to exist with the first
    failure. A series that came into being within the window, while its target had been scraped without it before, therefore
    counts from zero.
    """
    ranged = f"{counter}[{window}]"
    return (
        f"sum by ({by}) (\n"
        f"  increase({ranged})\n"
        "  or label_replace(\n"
        f"    min_over_time({ranged})\n"
        f"    and {counter}\n"
        f"    unless {counter} offset {window}\n"
        f"    and (count_over_time({ranged}) < on (job, instance) group_left () sum_over_time({up}[{window}])),\n"
        '    "gonogo", "new", "", "")\n'
        ")"
    )
