"""What the benchmarks keep of each run, and the table that is printed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType
from typing import Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture


class Keep(Protocol):
    """Keeps a time for the table: the median of what was timed, or the time that a tool has measured itself."""

    def __call__(self, table: str, group: str, name: str, seconds: float | None = None) -> None:
        """``seconds``: none where it is what ``benchmark`` has timed."""
        ...


@dataclass(frozen=True)
class Taken:
    """The median of one run of one thing. ``table`` is where it is printed, ``seconds`` is wall clock."""

    table: str
    group: str
    name: str
    seconds: float


@dataclass(frozen=True)
class Table:
    """How times are printed.

    Attributes:
        ours: what ratios are taken of: time of the other / time of ours.
        unit: of the figures.
        scale: what a second is in this unit; of a rate, how many there are in a second.
        least: the ratio to reach, or more; none where the others stand there for scale.
        rate: whether figures are how many there are in a second, not how long one takes.
        own: of some others, the least ratio, the largest one, and none where it stands there for scale.
    """

    ours: str
    unit: str
    scale: float
    least: float | None
    rate: bool = False
    own: Mapping[str, tuple[float | None, float | None]] = field(default_factory=lambda: MappingProxyType({}))

    def figure(self, seconds: float) -> float:
        """A time in the unit of the table."""
        return self.scale / seconds if self.rate else self.scale * seconds

    def judged(self, name: str, ratio: float) -> str:
        """What is said of a ratio."""
        least, most = self.own.get(name, (self.least, None))
        if least is None and most is None:
            return "for scale"
        if least is not None and ratio < least:
            return f"MISSED (at least {least:.3g})"
        if most is not None and ratio > most:
            return f"MISSED (at most {most:.3g})"
        return "reached"


KEPT = pytest.StashKey[list[Taken]]()
FOR_SCALE = (None, None)
TABLES = {
    # bare Jinja2 builds another text where an input needs escaping
    "constructor": Table("constructor", "µs", 1e6, 1.0, own={"Jinja2, bare": FOR_SCALE}),
    "verification": Table("gonogo", "s", 1.0, 5.0),
    "stub": Table(
        "gonogo, 1 recording",
        "/s",
        1.0,
        None,
        rate=True,
        own={"aimock, 1 recording": (2.0, None), "gonogo, 10,000 recordings": (None, 1 / 0.9)},
    ),
}


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing."""
    config.stash[KEPT] = []


@pytest.fixture
def keep(pytestconfig: pytest.Config, benchmark: BenchmarkFixture) -> Keep:
    """Keep what ``benchmark`` has just measured, for the table."""

    def take(table: str, group: str, name: str, seconds: float | None = None) -> None:
        if benchmark.stats is not None:  # none with --benchmark-disable
            taken = benchmark.stats.stats.median if seconds is None else seconds
            pytestconfig.stash[KEPT].append(Taken(table, group, name, taken))

    return take


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print medians and ratios over the runs."""
    kept = config.stash[KEPT]
    for table in dict.fromkeys(one.table for one in kept):
        terminalreporter.section(f"{table}: medians and ratios over runs")
        for line in _lines(table, [one for one in kept if one.table == table]):
            terminalreporter.write_line(line)


def _lines(name: str, taken: Sequence[Taken]) -> Iterator[str]:
    table = TABLES[name]
    ours = table.ours
    yield f"ratio: time of the other / time of {ours}, run by run; more than 1 means that {ours} is faster"
    for group in dict.fromkeys(one.group for one in taken):
        yield ""
        yield f"{group:<30} {'median':>10} {'fastest':>10} {'slowest':>10}    {'ratio':>6}  {'of all runs'}"
        names = dict.fromkeys(one.name for one in taken if one.group == group)
        seconds = {name: [one.seconds for one in taken if (one.group, one.name) == (group, name)] for name in names}
        for name, values in seconds.items():
            shown = (table.figure(value) for value in (median(values), min(values), max(values)))
            figures = " ".join(f"{value:>7.{0 if table.rate else 2}f} {table.unit:<2}" for value in shown)
            ratio = "" if name == ours else _ratio(table, name, values, seconds.get(ours, []))
            yield f"  {name:<28} {figures}    {ratio}".rstrip()


def _ratio(table: Table, name: str, values: Sequence[float], ours: Sequence[float]) -> str:
    if len(values) != len(ours):
        return f"{median(values) / median(ours):>6.2f}  of medians" if values and ours else ""
    ratios = [other / mine for other, mine in zip(values, ours, strict=True)]
    figures = f"{median(ratios):>6.2f}  {min(ratios):.2f} to {max(ratios):.2f}"
    return f"{figures}  {table.judged(name, median(ratios))}"
