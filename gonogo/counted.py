"""What a service counted between two looks at its metrics: restarts, other releases, gaps and pages cut in half told apart."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gonogo.metrics import MetricSample

__all__ = ["Counted", "Counter", "PageRefused", "Series"]

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # name, and labels in order

_RESTARTS = 5  # within so many looks ...
_LOOKS = 20


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
class Counter:
    """Remembers the last page of each release. Counters that go back began again: what they show is what they grew by.

    ``names``: of the series that count.
    """

    names: frozenset[str]
    _last: dict[str | None, dict[Series, float]] = field(default_factory=dict)
    _shorter: set[str | None] = field(default_factory=set)
    _restarts: deque[bool] = field(default_factory=lambda: deque(maxlen=_LOOKS))

    @property
    def are_several(self) -> bool:
        """Whether the counters go back so often that several processes must count, each for itself."""
        return sum(self._restarts) >= _RESTARTS

    def take(self, release: str | None, samples: Iterable[MetricSample]) -> Counted:
        """Growth since the last page of this release.

        Raises:
            PageRefused: it holds a number that is none, or lacks series that the last page had; that is once a page cut in
                half, and twice a service that began anew.
        """
        now = {_series(one): one.value for one in samples if one.name in self.names}
        for (name, labels), value in now.items():
            if not math.isfinite(value) or value < 0:
                raise PageRefused(f"{name}{dict(labels)} is {value}, which is no count")
        last = self._last.get(release)
        if last is None:
            self._last[release] = now
            return Counted({}, first=True)
        went_back = any(value < last[series] for series, value in now.items() if series in last)
        missing = last.keys() - now.keys()
        if missing and not went_back and release not in self._shorter:
            self._shorter.add(release)
            raise PageRefused(f"the page lacks {len(missing)} of {len(last)} series that the last one had")
        self._shorter.discard(release)
        restarted = went_back or bool(missing)
        self._restarts.append(restarted)
        self._last[release] = now
        before = {} if restarted else last
        return Counted({series: value - before.get(series, 0.0) for series, value in now.items()}, restarted)


def _series(sample: MetricSample) -> Series:
    return sample.name, tuple(sorted(sample.labels.items()))
