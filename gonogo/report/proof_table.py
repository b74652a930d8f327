"""A proof of the gate on the terminal: criteria and what was planted for them, the rates, and whatever was not caught."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.table import Table
from rich.text import Text

from gonogo.figures import printable, quantity
from gonogo.proof import CriterionProof, Itself, Outcome, Proof, Shown
from gonogo.statistics import Bound

__all__ = ["listed", "matrix", "not_caught", "result_line"]

OPEN = "open"
_STYLE: Mapping[str, str] = MappingProxyType(
    {
        Outcome.CAUGHT: "green",
        Outcome.MISSED: "bold red",
        Outcome.NOT_SHOWN: "yellow",
        Outcome.NOT_APPLICABLE: "dim",
        OPEN: "yellow",
    }
)
_WIDTH = max(len(outcome) for outcome in Outcome)


def matrix(proof: Proof) -> Table:
    """Criterion x defect: a row for each criterion, in it its defects by what became of them, and its rates."""
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("criterion", overflow="fold", min_width=12)
    table.add_column("caught", no_wrap=True)
    table.add_column("planted defects", overflow="fold", ratio=1)
    for one in proof.criteria:
        table.add_row(Text(printable(one.criterion)), Text(_kill_rate(one)), _defects(one))
    return table


def _kill_rate(one: CriterionProof) -> str:
    rate = one.kill_rate
    if rate is None:
        return "none"
    return f"{one.count(Outcome.CAUGHT)} of {one.applicable}\n>= {quantity(rate.lower, 'share')}"


def _defects(one: CriterionProof) -> Text:
    found: dict[str, list[str]] = {
        outcome: [shown.defect for shown in one.shown if shown.outcome is outcome] for outcome in Outcome
    }
    found[OPEN] = list(one.open)
    text = Text()
    for outcome, names in found.items():
        if names:
            text.append("\n" if text else "")
            text.append(f"{outcome}: ", style=_STYLE[outcome])
            text.append(printable(", ".join(names)))
    for line in _itself(one.itself):
        text.append("\n" if text else "")
        text.append(line, style="dim")
    return text


def _itself(itself: Itself | None) -> Iterator[str]:
    """The gate's own errors, in words."""
    if itself is None:
        return
    if not itself.claims:
        yield f"against itself: not decided: {printable(itself.reason)}" if itself.reason else "against itself: not yet"
        return
    rates: Sequence[tuple[str, int, Bound | None]] = (
        ("false NO-GO", itself.no_go, itself.false_no_go),
        ("INCONCLUSIVE", itself.inconclusive, itself.undecided),
    )
    for what, count, rate in rates:
        if rate is not None:
            yield f"against itself: {what} in {count} of {itself.claims} claims, <= {quantity(rate.upper, 'share')}"


def not_caught(proof: Proof, titles: Mapping[str, str]) -> list[Text]:
    """One line for each defect that was not caught: what the release did, what was expected and what was seen."""
    lines = []
    for shown in (shown for one in proof.criteria for shown in one.shown if shown.outcome is not Outcome.CAUGHT):
        line = Text()
        line.append(shown.outcome, style=_STYLE[shown.outcome])
        does = f" (the release {titles[shown.defect]})" if shown.defect in titles else ""
        line.append(f"  {shown.criterion}: {shown.defect}{does}: ")
        if shown.outcome is Outcome.NOT_APPLICABLE:
            line.append(printable(shown.reason))
        else:
            line.append(f"expected {shown.expected}, seen {shown.seen}: {printable(shown.reason) or 'no reason given'}")
        lines.append(line)
    return lines


def result_line(outcome: str, what: str) -> Text:
    """One line for a result as it comes."""
    line = Text()
    line.append(outcome.ljust(_WIDTH), style=_STYLE.get(outcome, ""))
    line.append(f"  {printable(what)}")
    return line


def listed(defects: Iterable[tuple[str, str, str]], known: Mapping[str, Shown]) -> Table:
    """What is planted and what became of it. ``defects``: id, criterion and title of each."""
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("criterion", overflow="fold", min_width=12)
    table.add_column("defect", overflow="fold", min_width=12)
    table.add_column("known", no_wrap=True)
    table.add_column("the release", overflow="fold", ratio=1)
    for defect, criterion, title in defects:
        outcome = known[defect].outcome.value if defect in known else OPEN
        table.add_row(Text(criterion), Text(defect), Text(outcome, style=_STYLE[outcome]), Text(title))
    return table
