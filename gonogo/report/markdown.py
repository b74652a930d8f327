"""The verdict as Markdown, for a pull request or a release note."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gonogo.figures import headline, printable

__all__ = ["as_markdown", "cell", "coverage_cells", "coverage_grid", "table"]

MARKS = {"GO": "✓", "NO-GO": "✗", "INCONCLUSIVE": "?"}
NO_EVIDENCE = "∅"
NOT_CLAIMED = "·"
LEGEND = "✓ GO, ✗ NO-GO, ? INCONCLUSIVE, ∅ INCONCLUSIVE because there is no evidence at all, · not claimed."

_SPECIAL = re.compile(r"[\\`*_|\[\]#~!]")
_LIST_SIGN = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")  # what would begin a list, a rule or an underline


def cell(text: str) -> str:
    """A text inside a table cell or a line: on one line, and nothing in it is Markdown or HTML."""
    flat = printable(" ".join(text.split()))
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = _SPECIAL.sub(lambda found: f"\\{found.group()}", flat)
    return _LIST_SIGN.sub(r"\1\\\2", flat)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table. Every text in it is taken as text."""
    lines = [[cell(one) for one in header], ["---"] * len(header), *([cell(one) for one in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def as_markdown(document: Mapping[str, Any]) -> str:
    """The whole verdict: one table of criteria, what does not hold, the coverage grid, and what it rests on."""
    run = document["run"]
    versions = ", ".join(f"{role} {release['version']}" for role, release in run["releases"].items())
    lines = [f"# {document['verdict']}", "", f"Phase {run['phase']}, {cell(versions)}, run {run['id']}.", ""]
    if said := [*document["reasons"], *document["notes"]]:
        lines += [*(f"- {cell(one)}" for one in said), ""]
    rows = [(one["id"], one["level"], one["verdict"], headline(one)) for one in document["criteria"]]
    lines += [*table(("criterion", "level", "verdict", "evidence"), rows), ""]
    if "proof" in document:
        lines += [f"{cell(document['proof']['says'])}.", ""]
    if open_ones := [one for one in document["criteria"] if one["verdict"] != "GO"]:
        lines += ["## What does not hold", ""]
        for one in open_ones:
            lines += [f"**{one['id']}** ({one['verdict']}, {one['level']}): {cell(one['title'])}", ""]
            lines += [*(f"- {cell(reason)}" for reason in one["reasons"]), ""]
    lines += ["## Coverage", "", *coverage_grid(document), "", LEGEND, ""]
    return "\n".join([*lines, f"Digest of the evidence: `{run['digest']}`", ""])


def coverage_cells(document: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any] | None]]]:
    """Criterion -> its claim for each step and, last, for the whole run; none where nothing is claimed."""
    for criterion in document["criteria"]:
        claims = {claim["step"]: claim for claim in criterion["claims"]}
        yield criterion["id"], [claims.get(step) for step in (*document["steps"], None)]


def amount(claim: Mapping[str, Any]) -> int:
    """How much evidence a claim has: findings and samples."""
    return int(claim["findings"]) + sum(int(bound["n"]) for bound in claim["bounds"])


def mark(claim: Mapping[str, Any] | None) -> str:
    """The sign of a cell; no cell is blank."""
    if claim is None:
        return NOT_CLAIMED
    return MARKS[claim["verdict"]] if amount(claim) or claim["verdict"] != "INCONCLUSIVE" else NO_EVIDENCE


def coverage_grid(document: Mapping[str, Any]) -> list[str]:
    """Criterion x step, the last column is the run; see ``LEGEND``."""
    rows = [(criterion, *(mark(claim) for claim in claims)) for criterion, claims in coverage_cells(document)]
    return table(("criterion", *document["steps"], "whole run"), rows)
