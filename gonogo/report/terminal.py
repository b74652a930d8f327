"""The verdict table at the end of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gonogo.figures import headline, printable, shortened
from gonogo.verdict import NOT_EXECUTED

__all__ = ["render"]

_STYLE = {"GO": "bold green", "NO-GO": "bold red", "INCONCLUSIVE": "bold yellow"}
_NARROWEST = 80
_LONGEST = 100


def render(document: Mapping[str, Any], run: Path, *, width: int, color: bool) -> str:
    """The table, the reasons of what does not hold, the verdict, and where to read on.

    Plain text where ``color`` is false. Lines fit into ``width`` columns, 80 at least; only the path of the run and the
    digest stay on one line whatever it takes, so that they can be copied.
    """
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
    untouched = [criterion["id"] for criterion in document["criteria"] if _is_untouched(criterion)]
    console.print(_table([criterion for criterion in document["criteria"] if criterion["id"] not in untouched]))
    if "proof" in document:
        console.print(Text(f"\n{printable(document['proof']['says'])}"))
    console.print()
    for criterion in document["criteria"]:
        if criterion["verdict"] != "GO" and criterion["id"] not in untouched:
            console.print(_why(criterion))
    if untouched:
        console.print(Text(f"not executed: {printable(', '.join(untouched))}\n"))
    for note in document["notes"]:
        console.print(Text(f"note: {printable(note)}"))
    console.print(_verdict(document))
    console.print(Text(f"evidence: {printable(str(run))}"), soft_wrap=True)
    console.print(Text(f"digest:   {document['run']['digest']}"), soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().split("\n")[:-1])


def _table(criteria: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("criterion", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("claims", no_wrap=True)
    table.add_column("evidence", overflow="fold", ratio=1)
    for criterion in criteria:
        claims = criterion["claims"]
        held = sum(claim["verdict"] == "GO" for claim in claims)
        # the reasons of what does not hold are told in full below the table
        evidence = shortened(headline(criterion), _LONGEST)
        if criterion["level"] != "required":
            evidence = f"{criterion['level']}; {evidence}"
        table.add_row(
            Text(printable(criterion["id"])),
            Text(criterion["verdict"], style=_STYLE[criterion["verdict"]]),
            Text(f"{held}/{len(claims)}"),
            Text(printable(evidence)),
        )
    return table


def _is_untouched(criterion: Mapping[str, Any]) -> bool:
    """Whether not one test of the criterion was executed, as in a run of a single suite."""
    return bool(criterion["claims"]) and all(claim["reasons"][:1] == [NOT_EXECUTED] for claim in criterion["claims"])


def _why(criterion: Mapping[str, Any]) -> Padding:
    text = Text()
    text.append(criterion["verdict"], style=_STYLE[criterion["verdict"]])
    text.append(f"  {criterion['id']}: {printable(criterion['title'])}")
    for reason in criterion["reasons"]:
        text.append("\n- " + printable(reason).replace("\n", "\n  "))
    return Padding(text, (0, 0, 1, 0))


def _verdict(document: Mapping[str, Any]) -> Text:
    required = [criterion for criterion in document["criteria"] if criterion["level"] == "required"]
    advisory = [criterion for criterion in document["criteria"] if criterion["level"] != "required"]
    said = []
    for verdict in ("NO-GO", "INCONCLUSIVE"):
        if found := [criterion["id"] for criterion in required if criterion["verdict"] == verdict]:
            are = "is" if len(found) == 1 else "are"
            said.append(f"{len(found)} of {len(required)} required criteria {are} {verdict}: {', '.join(found)}")
    told = {f"{criterion['id']} is {criterion['verdict']}" for criterion in required}
    said += [reason for reason in document["reasons"] if reason not in told]
    said = said or [f"all {len(required)} required criteria hold"]
    if found := [criterion["id"] for criterion in advisory if criterion["verdict"] != "GO"]:
        said.append(f"advisory and not GO: {', '.join(found)}")
    line = Text()
    line.append(document["verdict"], style=_STYLE[document["verdict"]])
    line.append(f"  {printable('; '.join(said))}")
    return line
