"""The verdict table at the end of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gonogo.report.document import headline_figure

__all__ = ["render"]

_STYLE = {"GO": "bold green", "NO-GO": "bold red", "INCONCLUSIVE": "bold yellow"}


def render(document: Mapping[str, Any], run: Path, *, width: int, color: bool) -> str:
    """The table, the verdict, and where to read on. Plain text where ``color`` is false."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=max(width, 80), force_terminal=color, color_system="standard" if color else None, highlight=False)
    table = Table(title=None, pad_edge=False, box=None, header_style="bold")
    for column in ("criterion", "", "verdict", "claims", "evidence"):
        table.add_column(column, overflow="fold")
    for criterion in document["criteria"]:
        verdict = criterion["verdict"]
        held = sum(claim["verdict"] == "GO" for claim in criterion["claims"])
        evidence = headline_figure(criterion) if verdict == "GO" else "\n".join(criterion["reasons"])
        table.add_row(
            Text(criterion["id"]),
            Text("" if criterion["level"] == "required" else criterion["level"], style="dim"),
            Text(verdict, style=_STYLE[verdict]),
            Text(f"{held}/{len(criterion['claims'])}"),
            Text(evidence),
        )
    console.print(table)
    console.print()
    for note in document["notes"]:
        console.print(Text(f"note: {note}"))
    verdict = document["verdict"]
    line = Text()
    line.append(verdict, style=_STYLE[verdict])
    reasons = "; ".join(document["reasons"]) or f"all {sum(c['level'] == 'required' for c in document['criteria'])} required criteria hold"
    line.append(f"  {reasons}")
    console.print(line)
    console.print(Text(f"evidence: {run}"))
    console.print(Text(f"digest:   {document['run']['digest']}"))
    return buffer.getvalue()
