"""What a service counted between two looks at its metrics: restarts, other releases, gaps and pages cut in half told apart.

Only what grew between two pages of the same process counts. What a page shows of a time that was not watched is history:
to take it for growth would fire alarms for faults that were over long before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gonogo.metrics import MetricSample

__all__ = ["Counted", "Counter", "PageRefused", "Series"]

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # name, and labels in order

_BREAKS = 5  # within so many looks ...
_LOOKS = 20
_MOST = 2.0**53  # beyond it a float does not count by ones


class PageRefused(Exception):
    """A page of metrics shows nothing that may be counted; the message says why."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Series -> by how much it grew since the last look at this release. ``restarted``: it counts from its beginning again.

    ``first``: the release was not seen before, so that nothing is known of what its counters grew by.
    """

    grown: Mapping[Series, float]
    restarted: bool = False
    first: bool = False

    def total(self, metric: str, **labels: str) -> int:
        """Growth of all series of a metric, written as a name or with labels that it must have."""
        return round(
            sum(
                growth
                for (name, own), growth in self.grown.items()
                if MetricSample(name, dict(own), growth).is_of(metric) and labels.items() <= dict(own).items()
            )
        )

    def by(self, metric: str, label: str) -> dict[str, int]:
        """Value of a label -> growth of the series of a metric that have it."""
        found: dict[str, float] = {}
        for (name, own), growth in self.grown.items():
            labels = dict(own)
            if label in labels and MetricSample(name, labels, growth).is_of(metric):
                found[labels[label]] = found.get(labels[label], 0.0) + growth
        return {value: round(growth) for value, growth in found.items()}


@dataclass
class _Process:
    """What is known of a process that counts.

    Attributes:
        page: its last page.
        seen: the last value of every series that it ever showed, also of those that its last page lacked.
        is_new: whether only one page of it was seen, which may have been cut in half.
        other: a page that did not follow from the last one; the first page of a process that took its place, perhaps.
    """

    page: Mapping[Series, float]
    seen: Mapping[Series, float]
    is_new: bool = True
    other: Mapping[Series, float] | None = None

    def growth(self, now: Mapping[Series, float]) -> dict[Series, float]:
        """Series -> growth. One that the last page lacked begins at 0 if it is new, and else where it is now."""
        begun = {series: value if self.is_new or series in self.seen else 0.0 for series, value in now.items()}
        return {series: value - self.page.get(series, begun[series]) for series, value in now.items()}


@dataclass
class Counter:
    """Remembers the last page of each release. ``names``: of the series that count.

    A page that goes back, or lacks series that the last one had, is cut in half or of another process. It counts for
    nothing; if the next page follows from it, a process has begun, and that page counts with this one as its beginning.
    """

    names: frozenset[str]
    _known: dict[str | None, _Process] = field(default_factory=dict)
    _breaks: deque[bool] = field(default_factory=lambda: deque(maxlen=_LOOKS))

    @property
    def are_several(self) -> bool:
        """Whether pages so often do not follow from each other that several processes must count, each for itself."""
        return sum(self._breaks) >= _BREAKS

    def take(self, release: str | None, samples: Iterable[MetricSample]) -> Counted:
        """Growth since the last page of this release.

        Raises:
            PageRefused: it holds a number that is no count, it does not follow from the last page, or too many of late
                did not.
        """
        now = {_series(one): one.value for one in samples if one.name in self.names}
        for (name, labels), value in now.items():
            _refuse_what_is_no_count(name, dict(labels), value)
        known = self._known.get(release)
        if known is None:
            self._known[release] = _Process(now, now)
            return Counted({}, first=True)
        why = _break(known.page, known.seen, now)
        begins = bool(why) and known.other is not None and not _break(known.other, known.other, now)
        self._breaks.append(bool(why) and not begins)  # a restart is one break, whatever it takes to see it
        if not why:
            counted = Counted(known.growth(now))
            self._known[release] = _Process(now, {**known.seen, **now}, is_new=False)
        elif begins and known.other is not None:
            counted = Counted(_Process(known.other, known.other).growth(now), restarted=True)
            # counters that only vanished may come back as they were; those that went back began anew
            before = {} if _goes_back(known.seen, now) else known.seen
            self._known[release] = _Process(now, {**before, **now}, is_new=False)
        else:
            known.other = now
            raise PageRefused(why)
        if self.are_several:
            raise PageRefused(f"{sum(self._breaks)} of the last {_LOOKS} pages do not follow from those before them")
        return counted


def _refuse_what_is_no_count(name: str, labels: Mapping[str, str], value: float) -> None:
    if not 0 <= value <= _MOST:
        raise PageRefused(f"{name}{dict(labels)} is {value}, which is no count")
    if "le" in labels:
        try:
            edge = float(labels["le"])
        except ValueError:
            edge = math.nan
        if math.isnan(edge):
            raise PageRefused(f"{name}{dict(labels)} has the edge {labels['le']!r}, which is no number")


def _break(page: Mapping[Series, float], seen: Mapping[Series, float], now: Mapping[Series, float]) -> str:
    """Why a page does not follow from the last one; nothing where it does."""
    missing = page.keys() - now.keys()
    if missing:
        return f"the page lacks {len(missing)} of {len(page)} series that the last one had"
    return "its counters are less than they were" if _goes_back(seen, now) else ""


def _goes_back(seen: Mapping[Series, float], now: Mapping[Series, float]) -> bool:
    return any(value < seen[series] for series, value in now.items() if series in seen)


def _series(sample: MetricSample) -> Series:
    return sample.name, tuple(sorted(sample.labels.items()))
