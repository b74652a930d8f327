"""What a watched service has counted since the watch began, and of late: runs, errors, templates, times of construction."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gonogo.counted import Counted

__all__ = ["RECENT", "Grown", "Tally", "counting"]

RECENT = 300.0  # seconds that the figures of a table are about
_COUNTS = ("runs", "failed_runs", "fallbacks", "unexpected")
_BY_LABEL = {"errors": "kind", "templates": "template"}


def counting(metrics: Mapping[str, str]) -> frozenset[str]:
    """The names of the series that count, given ``[target.metric_names]``."""
    names = [metrics[one].partition("{")[0] for one in (*_COUNTS, *_BY_LABEL) if one in metrics]
    if "construction" in metrics:
        names += [f"{metrics['construction']}_{part}" for part in ("bucket", "count")]
    return frozenset(names)


@dataclass(frozen=True)
class Grown:
    """What was counted between two looks.

    Attributes:
        totals: ``runs``, ``failed_runs`` … -> how many; only what ``[target.metric_names]`` names.
        runs, failed: step -> how many.
        buckets: step -> upper edge in seconds -> constructions that lie in the bucket.
    """

    totals: Mapping[str, int]
    runs: Mapping[str, int]
    failed: Mapping[str, int]
    buckets: Mapping[str, Mapping[float, int]]

    @property
    def constructions(self) -> int:
        """How many prompts were constructed."""
        return sum(sum(counts.values()) for counts in self.buckets.values())


@dataclass
class Tally:
    """Adds up what pages tell.

    Attributes:
        metrics: name -> metric, as ``[target.metric_names]`` has them.
        totals, by_label: since the beginning.
        edges: of the histogram, those that it has for every step.
    """

    metrics: Mapping[str, str]
    totals: dict[str, int] = field(default_factory=dict)
    by_label: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in _BY_LABEL})
    edges: frozenset[float] = frozenset()
    _recent: deque[tuple[float, Grown]] = field(default_factory=deque)

    def add(self, at: float, counted: Counted) -> Grown:
        """Add what was counted up to a moment, in seconds from the beginning."""
        grown = Grown(
            totals={name: counted.total(self.metrics[name]) for name in _COUNTS if name in self.metrics},
            runs=counted.by(self.metrics["runs"], "step") if "runs" in self.metrics else {},
            failed=counted.by(self.metrics["failed_runs"], "step") if "failed_runs" in self.metrics else {},
            buckets=self._buckets(counted),
        )
        for name, number in {**grown.totals, "constructions": grown.constructions}.items():
            self.totals[name] = self.totals.get(name, 0) + number
        for name, label in _BY_LABEL.items():
            for value, number in (counted.by(self.metrics[name], label) if name in self.metrics else {}).items():
                self.by_label[name][value] = self.by_label[name].get(value, 0) + number
        self._recent.append((at, grown))
        while self._recent[0][0] < at - RECENT:
            self._recent.popleft()
        return grown

    def _buckets(self, counted: Counted) -> dict[str, dict[float, int]]:
        histogram = self.metrics.get("construction")
        cumulative: dict[str, dict[float, float]] = {}
        for (name, own), growth in counted.grown.items():
            labels = dict(own)
            if name == f"{histogram}_bucket" and "le" in labels:
                edges = cumulative.setdefault(labels.get("step", ""), {})
                edge = float(labels["le"])
                edges[edge] = edges.get(edge, 0.0) + growth
        found = {}
        for step, edges in cumulative.items():
            counts, below = {}, 0.0
            for edge in sorted(edges):
                counts[edge] = max(0, round(edges[edge] - below))
                below = max(below, edges[edge])
            found[step] = counts
        if found:
            self.edges = frozenset.intersection(*(frozenset(counts) for counts in found.values()))
        return found

    def constructions(self, quantile: float) -> dict[str, tuple[float, int]]:
        """Step -> upper edge (may be infinite) of the bucket that the quantile lies in, and how many there were, of late."""
        whole: dict[str, dict[float, int]] = {}
        for _, grown in self._recent:
            for step, counts in grown.buckets.items():
                edges = whole.setdefault(step, {})
                for edge, count in counts.items():
                    edges[edge] = edges.get(edge, 0) + count
        found = {}
        for step, counts in whole.items():
            total, seen = sum(counts.values()), 0
            for edge in sorted(counts):
                seen += counts[edge]
                if total and seen >= math.ceil(quantile * total):
                    found[step] = (edge, total)
                    break
        return found
