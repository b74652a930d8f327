"""Reading what an application counts: the text format of Prometheus (exposition format 0.0.4 and OpenMetrics)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

__all__ = ["MetricSample", "Series", "buckets_of", "quoted", "read_metrics"]

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WRITTEN = re.compile(rf"({_NAME.pattern})(?:\{{(.*)\}})?")
_WRITTEN_LABELS = re.compile(rf"\s*(?:{_LABEL.pattern}\s*(?:,\s*{_LABEL.pattern}\s*)*,?\s*)?")


@dataclass(frozen=True)
class Series:
    """A metric as people write it: a name, and labels that its samples must have, ``errors_total{kind="x"}``."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)  # label -> regular expression

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name, with labels or without.

        Raises:
            ValueError: it is neither.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None or not _WRITTEN_LABELS.fullmatch(found[2] or ""):
            raise ValueError(
                f'{text!r} is not a metric; write a name such as runs_total or runs_total{{status="failed"}}'
            )
        return cls(found[1], _labels(found[2] or ""))

    def __str__(self) -> str:
        """As Prometheus reads it."""
        wanted = [f"{label}={quoted(value)}" for label, value in self.labels.items()]
        wanted += [f"{label}=~{quoted(pattern)}" for label, pattern in self.patterns.items()]
        return f"{self.name}{{{','.join(wanted)}}}" if wanted else self.name

    def of(self, ending: str = "", **labels: str) -> Series:
        """The same with an ending of its name (``_count``) and more labels."""
        return Series(self.name + ending, {**self.labels, **labels}, self.patterns)


@dataclass(frozen=True)
class MetricSample:
    """One line: a name, its labels, and its value."""

    name: str
    labels: Mapping[str, str]
    value: float

    def is_of(self, metric: str) -> bool:
        """Whether it belongs to a metric, written as a name or with labels that it must have: ``errors{kind="x"}``."""
        wanted = _LINE.fullmatch(f"{metric} 0")
        if wanted is None or wanted[1] != self.name:
            return False
        return all(self.labels.get(name) == value for name, value in _labels(wanted[2] or "").items())


def quoted(text: str) -> str:
    """A text as a label's value."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _labels(text: str) -> dict[str, str]:
    return {
        name: _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value)
        for name, value in _LABEL.findall(text)
    }


def read_metrics(text: str) -> Iterator[MetricSample]:
    """The samples of a page; comments and what is no sample are left out."""
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is not None:
            try:
                yield MetricSample(found[1], _labels(found[2] or ""), float(found[3]))
            except ValueError:
                continue


def buckets_of(samples: Iterable[MetricSample], histogram: str, labels: Mapping[str, str]) -> dict[float, int]:
    """Upper edge (infinite for the last) -> how many values lie in the bucket, of all series that have these labels."""
    cumulative: dict[float, float] = {}
    for sample in samples:
        if sample.name == f"{histogram}_bucket" and labels.items() <= sample.labels.items() and "le" in sample.labels:
            edge = float(sample.labels["le"])
            cumulative[edge] = cumulative.get(edge, 0.0) + sample.value
    counts, below = {}, 0.0
    for edge in sorted(cumulative, key=lambda one: (math.isinf(one), one)):
        counts[edge], below = int(cumulative[edge] - below), cumulative[edge]
    return counts
