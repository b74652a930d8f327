"""An account as people read it."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gonogo.figures import printable, quantity
from gonogo.model import Status
from gonogo.probe.account import LATE, Account, Connections, Spread
from gonogo.probe.tally import Judgement

__all__ = ["render", "table_of"]

_STYLE = {Status.GO: "bold green", Status.NO_GO: "bold red", Status.INCONCLUSIVE: "bold yellow"}
_NARROWEST = 80


def render(account: Account, found: Judgement, *, width: int, color: bool) -> str:
    """The account and what it says, in ``width`` columns, 80 at least; plain text where ``color`` is false."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(width, _NARROWEST),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(account)
    line = Text(found.status.value, style=_STYLE[found.status])
    line.append(f"  {printable('; '.join(found.reasons))}", style="none")
    console.print(line)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().split("\n")[:-1])


def table_of(account: Account) -> Table:
    """The figures of an account, one subject a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, told in _lines(account):
        table.add_row(Text(printable(name)), Text(printable(told)))
    return table


def _lines(account: Account) -> Iterator[tuple[str, str]]:
    load, schedule = account.load, account.schedule
    yield "asked", f"{load.method} {load.url}: {', '.join(load.paths)}; {_on(load.connections)}"
    early = f", ended after {_seconds(account.ended)}" if account.ended < schedule.duration else ""
    lag = f"; sent {_spread(account.lag)} late" if account.lag else ""
    yield "schedule", f"{schedule.rate:g}/s for {_seconds(schedule.duration)}{early}{lag}"
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
    took = f"{_spread(account.latency)} after their moment" if account.latency else "none"
    yield "answers", f"{took}; longest wait {_seconds(account.worst_wait)}"
    low, high = account.away
    gap = account.gap
    yield "longest gap", f"{_seconds(gap.length)} without a good answer, from {gap.start:.3f} s to {gap.end:.3f} s"
    yield (
        "resolution",
        f"{_seconds(account.resolution)}; in the gap the service was away for {_seconds(low)} to {_seconds(high)}",
    )
    for seen in account.releases:
        name = "no release" if seen.release is None else f"release {seen.release}"
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


def _spread(spread: Spread) -> str:
    return f"p50 {_seconds(spread.p50)}, p99 {_seconds(spread.p99)}, at most {_seconds(spread.largest)}"


def _seconds(value: float) -> str:
    return quantity(value, "s")
