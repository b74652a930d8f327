"""An account as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from gonogo.figures import printable, quantity
from gonogo.probe.account import LATE, Account, Connections, Spread

__all__ = ["table_of"]


def table_of(account: Account) -> Table:
    """The figures of an account, one subject a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, told in _lines(account):
        table.add_row(Text(name), Text(printable(told)))
    return table


def _lines(account: Account) -> Iterator[tuple[str, str]]:
    load, schedule = account.load, account.schedule
    yield "asked", f"{load.method} {load.url}: {', '.join(load.paths)}; {_on(load.connections)}"
    early = f", ended after {_seconds(account.ended)}" if account.ended < schedule.duration else ""
    yield "schedule", f"{schedule.rate:g}/s for {_seconds(schedule.duration)}{early}; sent {_spread(account.lag)} late"
    lost = f", {account.lost:,} lost" if account.lost else ""
    yield (
        "requests",
        f"{account.scheduled:,} scheduled, {account.sent:,} sent: {account.answered:,} answered, {account.failed:,} failed{lost}",
    )
    if account.late:
        yield "late", f"{account.late:,} sent more than {_seconds(LATE)} after their moment"
    yield (
        "reused",
        f"{account.reused:,} on a connection that was used again, {account.retried:,} of them sent once more",
    )
    yield "answers", f"{_spread(account.latency)} after their moment; longest wait {_seconds(account.worst_wait)}"
    low, high = account.away
    yield "longest gap", f"{_seconds(account.gap.length)}, from {account.gap.start:.3f} s to {account.gap.end:.3f} s"
    yield "resolution", f"{_seconds(account.resolution)}: without a good answer for {_seconds(low)} to {_seconds(high)}"
    for seen in account.releases:
        name = "release not told" if seen.release is None else f"release {seen.release}"
        yield name, f"{seen.count:,} answers, from {seen.first:.3f} s to {seen.last:.3f} s"
    for one in account.failures:
        when = f"from {one.first:.3f} s to {one.last:.3f} s"
        yield "failed", f"{one.count:,} {one.kind}, {when}: {', '.join(one.paths)}"


def _on(connections: Connections) -> str:
    return {
        Connections.KEPT: "on connections that are kept",
        Connections.FRESH: "on fresh connections",
        Connections.BOTH: "on kept and on fresh connections in turn",
    }[connections]


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "unknown time"
    return f"p50 {_seconds(spread.p50)}, p99 {_seconds(spread.p99)}, at most {_seconds(spread.largest)}"


def _seconds(value: float) -> str:
    return quantity(value, "s")
