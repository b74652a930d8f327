"""What the benchmarks keep of each run, and the table that is printed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

Keep: TypeAlias = "Callable[[str, str, str], None]"


@dataclass(frozen=True)
class Taken:
    """The median of one run of one thing. ``table`` is where it is printed, ``seconds`` is wall clock."""

    table: str
    group: str
    name: str
    seconds: float


KEPT = pytest.StashKey[list[Taken]]()
# table -> what its ratios are taken of, the unit, and the ratio to reach (more is better)
TABLES = {"constructor": ("constructor", "µs", 1e6, 1.0), "verification": ("gonogo", "s", 1.0, 5.0)}
FOR_SCALE = frozenset({"Jinja2, bare"})  # builds another text where an input needs escaping; no ratio to reach


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing."""
    config.stash[KEPT] = []


@pytest.fixture
def keep(pytestconfig: pytest.Config, benchmark: BenchmarkFixture) -> Keep:
    """Keep the median of what ``benchmark`` has just measured, for the table: table, group, name."""

    def take(table: str, group: str, name: str) -> None:
        if benchmark.stats is not None:  # none with --benchmark-disable
            pytestconfig.stash[KEPT].append(Taken(table, group, name, benchmark.stats.stats.median))

    return take


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print medians and ratios over the runs."""
    kept = config.stash[KEPT]
    for table in dict.fromkeys(one.table for one in kept):
        terminalreporter.section(f"{table}: medians and ratios over runs")
        for line in _lines(table, [one for one in kept if one.table == table]):
            terminalreporter.write_line(line)


def _lines(table: str, taken: Sequence[Taken]) -> Iterator[str]:
    ours, unit, scale, wanted = TABLES[table]
    yield f"ratio: time of the other / time of {ours}, run by run; more than 1 means that {ours} is faster"
    for group in dict.fromkeys(one.group for one in taken):
        yield ""
        yield f"{group:<30} {'median':>10} {'fastest':>10} {'slowest':>10}    {'ratio':>6}  {'of all runs'}"
        names = dict.fromkeys(one.name for one in taken if one.group == group)
        seconds = {name: [one.seconds for one in taken if (one.group, one.name) == (group, name)] for name in names}
        for name, values in seconds.items():
            figures = " ".join(
                f"{value * scale:>7.2f} {unit:<2}" for value in (median(values), min(values), max(values))
            )
            ratio = "" if name == ours else _ratio(values, seconds.get(ours, []), None if name in FOR_SCALE else wanted)
            yield f"  {name:<28} {figures}    {ratio}".rstrip()


def _ratio(values: Sequence[float], ours: Sequence[float], wanted: float | None) -> str:
    if len(values) != len(ours):
        return "  (not all runs were taken)"
    ratios = [other / mine for other, mine in zip(values, ours, strict=True)]
    figures = f"{median(ratios):>6.2f}  {min(ratios):.2f} to {max(ratios):.2f}"
    if wanted is None:
        return f"{figures}  for scale"
    return f"{figures}  {'reached' if median(ratios) >= wanted else f'MISSED (at least {wanted:g})'}"
