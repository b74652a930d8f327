"""A watch on the terminal: one table, drawn anew after each look; lines where nobody draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gonogo.model import Finding
from gonogo.standing import Standing, TriggerStanding
from gonogo.triggers import Alarm

__all__ = ["line_of", "table_of"]

_WORDS: Mapping[Alarm, tuple[str, str]] = {
    Alarm.QUIET: ("quiet", "green"),
    Alarm.ALERT: ("ALERT", "yellow"),
    Alarm.ROLLBACK: ("ROLL BACK", "bold red"),
}
_BAR = 10  # characters
_LINES = 6  # of what happened


def line_of(standing: Standing, duration: float) -> str:
    """One line: how the service stands."""
    word = _WORDS[standing.alarm][0]
    well = "well" if standing.is_good else "not well"
    counted = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in standing.totals.items())
    return f"{standing.at:.0f} of {duration:.0f} s: {word}; release {standing.release or 'unknown'}, {well}; {counted or 'nothing counted'}"


def table_of(standing: Standing, duration: float, findings: Sequence[Finding] = ()) -> RenderableType:
    """The whole: the answer, the triggers with their distance, what happened, what was found after a rollback."""
    word, colour = _WORDS[standing.alarm]
    head = Text.assemble((f" {word} ", f"reverse {colour}"), f"  {line_of(standing, duration)}")
    table = Table(box=None, pad_edge=False)
    for name in ("trigger", "now", "alert", "roll back", "on the way to it", "says"):
        table.add_column(name)
    for one in standing.triggers:
        table.add_row(*_row(one))
    parts: list[RenderableType] = [head, table]
    parts += [Text(f"{at:7.0f} s  {what}", style="dim") for at, what in standing.log[-_LINES:]]
    for found in findings:
        parts.append(
            Text(f"{'ok    ' if found.ok else 'FAILED'}  {found.reason}", style="green" if found.ok else "red")
        )
    return Group(*parts)


def _row(one: TriggerStanding) -> tuple[RenderableType, ...]:
    gravest = max(one.fired, default=Alarm.QUIET)
    word, colour = ("blind", "magenta") if one.blind and not one.fired else _WORDS[gravest]
    limits = [
        f"> {limit:g}" if (limit := one.trigger.limit(alarm)) is not None else ""
        for alarm in (Alarm.ALERT, Alarm.ROLLBACK)
    ]
    near = max(one.progress.values(), default=0.0)
    bar = "█" * round(near * _BAR) + "░" * (_BAR - round(near * _BAR))
    return (
        one.trigger.id,
        Text(word, style=colour),
        *limits,
        bar,
        Text(one.blind if one.blind and not one.fired else one.says),
    )
