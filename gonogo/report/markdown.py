"""The verdict as Markdown, for a pull request or a release note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gonogo.report.document import headline_figure

__all__ = ["as_markdown", "cell", "coverage_grid"]

_MARKS = {"GO": "✓", "NO-GO": "✗", "INCONCLUSIVE": "?"}


def cell(text: str) -> str:
    """A text inside a table cell: on one line, and nothing in it is Markdown or HTML."""
    flat = " ".join(text.split())
    for character in "\\`*_|[]<>#":
        flat = flat.replace(character, f"\\{character}" if character not in "<>" else {"<": "&lt;", ">": "&gt;"}[character])
    return flat


def as_markdown(document: Mapping[str, Any]) -> str:
    """The whole verdict: one table of criteria, what does not hold, the coverage grid, and what it rests on."""
    run = document["run"]
    versions = ", ".join(f"{role} {release['version']}" for role, release in run["releases"].items())
    lines = [
        f"# {document['verdict']}",
        "",
        f"Phase {run['phase']}, {cell(versions)}, run {run['id']}.",
        "",
        *(f"- {cell(reason)}" for reason in (*document["reasons"], *document["notes"])),
        "",
        "| criterion | level | verdict | evidence |",
        "|---|---|---|---|",
    ]
    for criterion in document["criteria"]:
        evidence = headline_figure(criterion) if criterion["verdict"] == "GO" else "; ".join(criterion["reasons"])
        lines.append(f"| {criterion['id']} | {criterion['level']} | {criterion['verdict']} | {cell(evidence)} |")
    lines += ["", "## Coverage", "", *coverage_grid(document), "", f"Digest of the evidence: `{run['digest']}`", ""]
    return "\n".join(lines)


def coverage_grid(document: Mapping[str, Any]) -> list[str]:
    """Criterion x step: ✓ GO, ✗ NO-GO, ? INCONCLUSIVE, an empty cell where nothing is claimed; the last column is the run."""
    steps = list(document["steps"])
    lines = [f"| criterion | {' | '.join(steps)} | whole run |", "|---" * (len(steps) + 2) + "|"]
    for criterion in document["criteria"]:
        marks = {claim["step"]: _MARKS[claim["verdict"]] for claim in criterion["claims"]}
        lines.append(f"| {criterion['id']} | " + " | ".join(marks.get(step, "") for step in [*steps, None]) + " |")
    return lines
