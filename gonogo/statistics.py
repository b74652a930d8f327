"""Bounds that decide, and the sample sizes they take.

A measured criterion is not judged by a point estimate. It is judged by the whole interval between a lower and an upper
confidence bound (:class:`Bound`), held against the limit that was written down beforehand (:class:`Limit`)::

    Limit.parse("< 0.01").decide(proportion(0, 299))     # Decision.WITHIN:  GO
    Limit.parse("< 0.01").decide(proportion(0, 200))     # Decision.OPEN:    INCONCLUSIVE, 299 would settle it
    Limit.parse("< 0.01").decide(proportion(12, 600))    # Decision.OUTSIDE: NO-GO

Every bound is one-sided at its stated confidence: the chance that the true value lies above ``upper`` is at most
``1 - confidence``, and likewise below ``lower``. A wrong GO and a wrong NO-GO are each as rare as that; the two bounds
together are an interval at ``2 * confidence - 1``.

All bounds but :func:`maximum` assume independent samples from one distribution. Replaying one case again is not another
sample, and looking again and again at a growing sample until it passes needs a sequential test, which this is not.

Values are in SI units (seconds, bytes), shares are fractions of 1. ``scipy`` is imported when a function needs it.

Errors: every function raises :class:`~gonogo.errors.StatisticsError` for arguments that no decision may rest on (no
samples, NaN, infinity, a confidence that is none); the message holds the value, its place and the remedy.
"""

from __future__ import annotations

import math
import operator as operators
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from numbers import Real
from typing import Self

from gonogo.errors import StatisticsError

__all__ = [
    "MOST_RANKED",
    "Bound",
    "Decision",
    "Limit",
    "maximum",
    "median",
    "proportion",
    "pseudomedian",
    "quantile",
    "samples_for_proportion",
    "samples_for_quantile",
]

# More samples than anybody will take; a limit that needs more is a limit that cannot be shown.
_MOST_SAMPLES = 10**12
MOST_RANKED = 256  # those of sixteen runs


@dataclass(frozen=True, slots=True)
class Bound:
    """A statistic of ``n`` samples and how far it may be off.

    ``lower <= estimate <= upper``. The bounds are one-sided, each at ``confidence``; a bound that the sample is too
    small to give is ``-inf`` or ``inf``. ``confidence`` is 1 for deterministic quantities. ``method`` names the
    procedure for the report.

    Errors: StatisticsError for NaN, for an infinite estimate, for bounds that do not enclose the estimate, for n < 1.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    n: int
    method: str

    def __post_init__(self) -> None:
        # Every comparison with NaN is false, so this refuses NaN in any of the three.
        if not (math.isfinite(self.estimate) and self.lower <= self.estimate <= self.upper):
            raise StatisticsError(
                f"a bound must enclose its finite estimate, not lower = {self.lower}, estimate = {self.estimate}, "
                f"upper = {self.upper}; an unknown bound is -inf or inf, never NaN"
            )
        if self.confidence != 1:
            _checked_confidence(self.confidence)
        if self.n < 1:
            raise StatisticsError(f"a bound rests on at least one sample, not n = {self.n}; zero samples show nothing")


def proportion(failures: int, n: int, *, confidence: float = 0.95) -> Bound:
    """Bound the failure rate behind ``failures`` failures in ``n`` independent trials; the estimate is failures / n.

    The exact bounds of Clopper & Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934), 404-413: the upper bound is the rate at which so few failures would have the
    probability ``1 - confidence``, the lower one that at which so many would. No failures give exactly the
    lower bound 0, nothing but failures exactly the upper bound 1. Whatever the true rate is, each bound covers it with
    at least the stated confidence.

    Assumes independent trials with one failure rate: n counts distinct cases.
    """
    _checked_confidence(confidence)
    failures = _whole("failures", failures)
    n = _whole("n", n)
    if n < 1:
        raise StatisticsError(f"a proportion needs at least one trial, not n = {n}; zero samples show nothing")
    if not 0 <= failures <= n:
        raise StatisticsError(f"failures = {failures} of n = {n} trials is impossible; it must be from 0 to n")
    return Bound(
        estimate=failures / n,
        lower=_proportion_lower(failures, n, confidence),
        upper=_proportion_upper(failures, n, confidence),
        confidence=confidence,
        n=n,
        method="Clopper-Pearson (exact)",
    )


def quantile(samples: Sequence[float], q: float, *, confidence: float = 0.95) -> Bound:
    """Bound the ``q``-quantile of the distribution behind ``samples``, whatever that distribution is.

    ``samples``: one finite number per independent draw, in any order and in one unit, which is the unit of the result.
    The estimate is the inverse of the empirical distribution function, the ``ceil(q * n)``-th smallest sample, ``q``
    taken as the decimal number that is written. The bounds are order statistics (David & Nagaraja, *Order Statistics*,
    3rd ed. 2003, section 7.1): the number of samples below the quantile is binomial, so the smallest rank ``r`` with
    ``P(Bin(n, q) <= r - 1) >= confidence`` gives the upper bound, the largest ``s`` with ``P(Bin(n, q) >= s) >=
    confidence`` the lower one. Where no rank will do, the bound is infinite: an upper bound of p99 at 95 % takes 299
    samples, see :func:`samples_for_quantile`.

    Assumes independent draws from one distribution, and nothing about its shape: ties and constants make the bounds
    only safer.
    """
    _checked_confidence(confidence)
    _checked_share("q", q)
    ordered = sorted(_checked_samples(samples))
    n = len(ordered)
    rank = math.ceil(Fraction(repr(float(q))) * n)  # in floating point, 0.07 * 100 would be rank 8
    low = _lower_rank(n, q, confidence, rank)
    high = _upper_rank(n, q, confidence, rank)
    return Bound(
        estimate=ordered[rank - 1],
        lower=-math.inf if low is None else ordered[low - 1],
        upper=math.inf if high is None else ordered[high - 1],
        confidence=confidence,
        n=n,
        method=f"order statistics (distribution-free), q = {float(q)!r}",
    )


def median(samples: Sequence[float], *, confidence: float = 0.95) -> Bound:
    """Bound the median: ``quantile(samples, 0.5)``, which is the interval of the sign test.

    For paired measurements, pass the differences or ratios of the pairs. The estimate is the lower of the two middle
    samples where n is even. Five samples are the fewest with finite bounds at 95 %.
    """
    return quantile(samples, 0.5, confidence=confidence)


def pseudomedian(samples: Sequence[float], *, confidence: float = 0.95) -> Bound:
    """Bound the centre of a symmetric distribution, of which a few samples are at hand.

    ``samples``: one finite number per independent draw, such as the difference that one pair of processes showed. The estimate
    is the median of all averages of two samples (each with itself too): Hodges & Lehmann, "Estimates of location based on rank
    tests", Annals of Mathematical Statistics 34 (1963), 598-611. The bounds are the order statistics of those averages that
    Wilcoxon's signed-rank test does not reject, by its exact distribution (Hollander, Wolfe & Chicken, *Nonparametric
    Statistical Methods*, 3rd ed. 2014, section 3.4).

    Assumes independent draws from one distribution that is symmetric, whatever else its shape; ties make the bounds only safer.
    The difference of two independent draws from distributions that differ by a shift is symmetric, however skewed they are.
    For as many samples it is narrower than :func:`median`: five samples have finite bounds at 95 %, eight at 99.6 %.

    Errors: StatisticsError also for more than 256 samples, of which the median is known well enough.
    """
    _checked_confidence(confidence)
    values = _checked_samples(samples)
    n = len(values)
    if n > MOST_RANKED:
        raise StatisticsError(
            f"a pseudomedian of n = {n} samples is not computed; for more than {MOST_RANKED} take the median"
        )
    averages = sorted((values[i] + values[j]) / 2 for i in range(n) for j in range(i + 1))
    rejected = _rejected_ranks(n, confidence)
    middle = len(averages) // 2
    estimate = averages[middle] if len(averages) % 2 else (averages[middle - 1] + averages[middle]) / 2
    return Bound(
        estimate=estimate,
        lower=averages[rejected] if rejected is not None else -math.inf,
        upper=averages[-1 - rejected] if rejected is not None else math.inf,
        confidence=confidence,
        n=n,
        method="Hodges-Lehmann (Wilcoxon signed ranks, exact)",
    )


@lru_cache(maxsize=8)  # half a second for the most
def _rejected_ranks(n: int, confidence: float) -> int | None:
    """The largest c with P(W <= c) <= 1 - confidence for the sum W of signed ranks; none where not even 0 is so rare."""
    ways = [1]  # ways[w]: how many subsets of the ranks so far have the sum w
    for rank in range(1, n + 1):
        longer = ways + [0] * rank
        for total, count in enumerate(ways):
            longer[total + rank] += count
        ways = longer
    allowed = (1 - Fraction(repr(float(confidence)))) * 2**n
    below = 0
    for total, count in enumerate(ways):
        below += count
        if below > allowed:
            return total - 1 if total else None
    raise AssertionError("the ways of all sums are more than are allowed")


def maximum(samples: Sequence[float]) -> Bound:
    """The largest sample of a deterministic quantity, as its estimate and both of its bounds, at confidence 1.

    Only for quantities that come out the same whenever they are measured (the traced memory peak of a case): the claim
    is about the cases that were measured, and nothing is inferred about others.
    """
    values = _checked_samples(samples)
    largest = max(values)
    return Bound(largest, largest, largest, confidence=1.0, n=len(values), method="maximum (deterministic)")


def samples_for_proportion(limit: float, failures: int = 0, *, confidence: float = 0.95, strict: bool = True) -> int:
    """The smallest n for which ``proportion(failures, n)`` lies below ``limit`` (at or below it unless ``strict``).

    299 for no failure and 0.01, 59 for no failure and 0.05. ``failures`` are those already seen: no n settles it if
    further ones come.

    Errors: StatisticsError also for a limit outside (0, 1), and for one that takes more than 10**12 samples.
    """
    _checked_confidence(confidence)
    _checked_share("limit", limit)
    failures = _whole("failures", failures)
    if failures < 0:
        raise StatisticsError(f"failures = {failures} is impossible; count the failures seen so far, 0 or more")
    holds = operators.lt if strict else operators.le

    def shows(n: int) -> bool:
        return bool(holds(_proportion_upper(failures, n, confidence), limit))

    return _smallest(max(failures, 1), shows, f"a share below {limit!r} with {failures} failures")


def samples_for_quantile(q: float, *, confidence: float = 0.95) -> int:
    """The smallest n for which ``quantile(samples, q)`` has a finite upper bound: 299 for 0.99, 59 for 0.95.

    It is the number that can show something at all, when even the largest sample keeps the limit; a sample with
    outliers takes more.

    Errors: StatisticsError also for a q that takes more than 10**12 samples.
    """
    _checked_confidence(confidence)
    _checked_share("q", q)
    return _smallest(1, lambda n: _largest_is_above(n, q, confidence), f"an upper bound of the {q!r}-quantile")


class Decision(StrEnum):
    """Where a bound lies, seen from a limit."""

    WITHIN = "within"
    OUTSIDE = "outside"
    OPEN = "open"


_COMPARISONS = {"<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}
_LIMIT = re.compile(r"(?P<operator>[<>]=?)\s*(?P<value>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_LIMIT_WITH_UNIT = re.compile(_LIMIT.pattern + r"\s*(?P<unit>[A-Za-zµ%]+)")
_SECONDS = {"ns": "1e-9", "us": "1e-6", "µs": "1e-6", "ms": "1e-3", "s": "1"}
_BYTES = {"B": "1", "kB": "1e3", "MB": "1e6", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824"}
_UNITS = _SECONDS | _BYTES | {"%": "0.01"}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as people write it: ``< 0.001``, ``<= 262144``, ``> 0``, ``>= 0.95``; values in SI units.

    ``str`` writes it the way :meth:`parse` reads it. Errors: StatisticsError for another operator, for a value that is
    not a finite number.
    """

    operator: str
    value: float

    def __post_init__(self) -> None:
        if self.operator not in _COMPARISONS:
            raise StatisticsError(f"{self.operator!r} is not an operator of a limit; write one of <, <=, >, >=")
        value = _finite(self.value)
        if value is None:
            raise StatisticsError(f"{self.value!r} is not the value of a limit; give a finite number, such as 0.001")
        object.__setattr__(self, "value", value + 0.0)  # + 0.0 turns -0.0 into 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an operator and a number. Errors: StatisticsError with what to write instead."""
        found = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise StatisticsError(f"{text!r} is not a limit; {_remedy(text)}")
        value = float(found["value"])
        if math.isinf(value) or (value == 0 and Decimal(found["value"]) != 0):
            raise StatisticsError(f"{text!r} is not a limit: its value is beyond what a float can hold; {_EXAMPLE}")
        return cls(found["operator"], value)

    def __str__(self) -> str:
        return f"{self.operator} {_plain(self.value)}"

    def admits(self, value: float) -> bool:
        """Whether one number keeps the limit. Infinite ones may be asked about; NaN raises StatisticsError."""
        if math.isnan(value):
            raise StatisticsError(f"whether nan is {self} cannot be said; find out why the measurement gave no number")
        return bool(_COMPARISONS[self.operator](value, self.value))

    def decide(self, bound: Bound) -> Decision:
        """Hold the whole interval ``[lower, upper]`` against the limit; the estimate plays no part.

        For ``<`` and ``<=``: WITHIN if and only if the upper bound keeps the limit, OUTSIDE if and only if the lower
        bound breaks it, else OPEN. For ``>`` and ``>=`` the other way round. As ``lower <= upper``, that is: WITHIN
        if both bounds keep it, OUTSIDE if both break it.
        """
        lower_keeps, upper_keeps = self.admits(bound.lower), self.admits(bound.upper)
        if lower_keeps and upper_keeps:
            return Decision.WITHIN
        if lower_keeps or upper_keeps:
            return Decision.OPEN
        return Decision.OUTSIDE


_EXAMPLE = "write an operator (<, <=, >, >=) and a number in SI units, such as '< 0.001' for one millisecond"


def _remedy(text: object) -> str:
    """What to write instead: the value converted, if all that is wrong is that it carries a unit."""
    found = _LIMIT_WITH_UNIT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found["unit"] not in _UNITS:
        return _EXAMPLE
    value = float(Decimal(found["value"]) * Decimal(_UNITS[found["unit"]]))
    if not math.isfinite(value):
        return _EXAMPLE
    return f"write '{found['operator']} {_plain(value)}': values are in seconds and bytes, shares are fractions of 1"


def _plain(value: float) -> str:
    """The shortest decimal that reads back as ``value``: without exponent in everyday ranges, without ``.0``."""
    shortest = repr(value)
    if value != 0 and not 1e-12 <= abs(value) < 1e16:
        return shortest
    digits = format(Decimal(shortest), "f")
    return digits.removesuffix(".0")


def _proportion_upper(failures: int, n: int, confidence: float) -> float:
    if failures == n:
        return 1.0
    if failures == 0:
        return -math.expm1(math.log1p(-confidence) / n)  # the closed form; exact also for large n
    from scipy import special

    return float(special.betaincinv(failures + 1, n - failures, confidence))


def _proportion_lower(failures: int, n: int, confidence: float) -> float:
    if failures == 0:
        return 0.0
    if failures == n:
        return math.exp(math.log1p(-confidence) / n)
    from scipy import special

    return float(special.betaincinv(failures, n - failures + 1, 1 - confidence))


def _largest_is_above(n: int, q: float, confidence: float) -> bool:
    """Whether the largest of n samples is an upper bound of the q-quantile: P(Bin(n, q) <= n - 1) >= confidence."""
    return 1 - q**n >= confidence


def _upper_rank(n: int, q: float, confidence: float, estimate: int) -> int | None:
    """The smallest rank r, from the estimate's on, with P(Bin(n, q) <= r - 1) >= confidence; ranks count from 1."""
    if not _largest_is_above(n, q, confidence):
        return None
    from scipy import special

    def is_above(rank: int) -> bool:
        return bool(special.betaincc(rank, n - rank + 1, q) >= confidence)

    ranks = range(estimate, n)  # rank n is known to do
    return estimate + bisect_left(ranks, True, key=is_above)


def _lower_rank(n: int, q: float, confidence: float, estimate: int) -> int | None:
    """The largest rank s, up to the estimate's, with P(Bin(n, q) >= s) >= confidence; ranks count from 1."""
    from scipy import special

    def is_too_high(rank: int) -> bool:
        return bool(special.betainc(rank, n - rank + 1, q) < confidence)

    return bisect_left(range(1, estimate + 1), True, key=is_too_high) or None


def _smallest(fewest: int, shows: Callable[[int], bool], what: str) -> int:
    """The smallest n from ``fewest`` on for which ``shows(n)``, which stays true once it is."""
    enough = fewest
    while not shows(enough):
        if enough >= _MOST_SAMPLES:
            raise StatisticsError(f"no sample of up to 10**12 can show {what}; choose a limit that can be measured")
        enough = min(2 * enough, _MOST_SAMPLES)
    candidates = range(fewest, enough)  # enough is known to do
    return fewest + bisect_left(candidates, True, key=shows)


def _checked_confidence(confidence: float) -> None:
    # Below one half the lower bound would lie above the upper one, and an interval turned inside out decides nothing.
    value = _finite(confidence)
    if value is None or not 0.5 <= value < 1:
        raise StatisticsError(f"confidence = {confidence!r} is not in [0.5, 1); write 0.95 for 95 %")


def _checked_share(name: str, share: float) -> None:
    value = _finite(share)
    if value is None or not 0 < value < 1:
        raise StatisticsError(f"{name} = {share!r} is not between 0 and 1; write 0.99 for 99 %")


def _checked_samples(samples: Iterable[float]) -> list[float]:
    values: list[float] = []
    for index, sample in enumerate(samples):
        value = _finite(sample)
        if value is None:
            raise StatisticsError(
                f"sample {index} is {sample!r}, not a finite number; find out why the measurement gave it: "
                "leaving it out would hide what happened there"
            )
        values.append(value)
    if not values:
        raise StatisticsError("there are no samples, and zero samples show nothing; measure at least once")
    return values


def _finite(value: object) -> float | None:
    """The number as a float; None if it is no number, NaN, infinite or too large. Yes and no are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, (float, Real)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(name: str, value: int) -> int:
    try:
        return operators.index(value)
    except TypeError as exc:
        raise StatisticsError(f"{name} = {value!r} is not a whole number; give a count") from exc
