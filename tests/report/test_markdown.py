"""gonogo.report.markdown: a verdict that can be pasted, in which nothing of others is Markdown."""

from __future__ import annotations

import re

import pytest
from sample_run import CRITERIA, STEPS, MakeRun, good_evidence, without

from gonogo.model import Claim, Finding, Judged
from gonogo.report.markdown import as_markdown, cell, coverage_grid, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", "a \\| b"),
        ("**bold** _it_ `code` ~~gone~~ # no", "\\*\\*bold\\*\\* \\_it\\_ \\`code\\` \\~\\~gone\\~\\~ \\# no"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("![x](http://y) [z](http://y)", "\\!\\[x\\](http://y) \\[z\\](http://y)"),
        ("&lt; stays what it was", "&amp;lt; stays what it was"),
        ("two\nlines\r\nand \ta tab", "two lines and a tab"),
        ("back\\slash", "back\\\\slash"),
        ("- no list", "\\- no list"),
        ("1. no list", "1\\. no list"),
        ("---", "\\---"),
        ("3 of 4, -1", "3 of 4, -1"),
        ("0.746 %", "0.746 %"),
        ("-12 µs", "-12 µs"),
        ("\x1b[31mred", "\\\\x1b\\[31mred"),
    ],
)
def test_a_text_in_a_cell_is_text(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    lines = table(("a|b", "c"), [("1 | 2", "3"), ("\n4", "")])
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3, 3]


def test_the_verdict_comes_first_and_every_criterion_has_a_line(make_run: MakeRun) -> None:
    text = as_markdown(make_run(good_evidence()).document)
    assert text.startswith("# GO\n")
    assert [criterion for criterion in CRITERIA if f"| {criterion} |" not in text] == []
    assert "What does not hold" not in text
    assert "\n\n\n" not in text


def test_what_does_not_hold_is_told_with_title_and_reasons(make_run: MakeRun) -> None:
    bad = Judged(Claim("prompt-structure", "meta"), "meta/one", Finding("check", False, "<b>no</b> [x](y)\n# head"))
    text = as_markdown(make_run([*good_evidence(), bad], notes=["a *note*"]).document)
    assert text.startswith("# NO-GO\n")
    assert "**prompt-structure** (NO-GO, required): Every prompt has its \\*sections\\*" in text
    assert "&lt;b&gt;no&lt;/b&gt; \\[x\\](y) \\# head" in text
    assert "- a \\*note\\*" in text
    assert "<b>" not in text


def test_no_cell_of_the_coverage_grid_is_blank(make_run: MakeRun) -> None:
    gone = Claim("prompt-structure", "structure")
    grid = coverage_grid(make_run(without(good_evidence(), gone)).document)
    rows = [[one.strip() for one in line.strip("|").split("|")] for line in grid]
    assert all(all(row) for row in rows)
    assert rows[0] == ["criterion", *STEPS, "whole run"]
    assert rows[2] == ["prompt-structure", "✓", "∅", "✓", "·"]
    assert next(row for row in rows if row[0] == "error-rate") == ["error-rate", "·", "·", "·", "✓"]
