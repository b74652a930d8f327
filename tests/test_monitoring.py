"""Logs that say what they are about, and give nothing away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gonogo.model import Case, Finding
from gonogo.monitoring import logs_are_structured

SECRET = "The harbour wall was poured under water by divers in 1907, by hand."
CASES = [Case("one", "s", {"idea": SECRET, "title": "short"})]
GOOD: dict[str, Any] = {"release": "2", "request_id": "r", "step": "s", "input_format": "a", "output_format": "b"}


def findings(*lines: str) -> list[Finding]:
    wherever = {"step": ["request_id", "input_format", "output_format"]}
    return list(logs_are_structured(lines, every=["release"], wherever=wherever, cases=CASES))


def failing(*lines: str) -> str:
    return "; ".join(one.reason for one in findings(*lines) if not one.ok)


def test_lines_that_say_what_they_are_about_hold() -> None:
    assert failing(json.dumps(GOOD), json.dumps({"release": "2", "event": "server.ready"})) == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Starting gunicorn", "1 of 2 lines are no JSON objects: Starting gunicorn"),
        ('["a", "list"]', "1 of 2 lines are no JSON objects"),
        (json.dumps({"event": "x"}), "1 of 2 lines lack what they are about (release): release: "),
        (json.dumps({**GOOD, "release": None}), "lack what they are about"),
        (json.dumps({**GOOD, "output_format": ""}), "output_format: "),
        (json.dumps({**GOOD, "problem": f"in {SECRET}"}), "1 of 2 lines hold what a user wrote"),
        (f"Traceback: {SECRET}", "hold what a user wrote"),
    ],
    ids=["plain text", "a list", "no release", "nobody's", "no template", "an input", "an input in plain text"],
)
def test_a_line_that_does_not_is_quoted(line: str, said: str) -> None:
    assert said in failing(json.dumps(GOOD), line)


def test_an_input_is_found_however_json_writes_it() -> None:
    text = 'Zweiundvierzig "Brücken" über den Fluß, und keine davon ist gerade gebaut.'
    case = Case("one", "s", {"idea": text})
    for ascii_only in (True, False):
        line = json.dumps({**GOOD, "idea": text}, ensure_ascii=ascii_only)
        found = logs_are_structured([line], every=[], wherever={}, cases=[case])
        assert any("1 of 1 lines hold" in one.reason for one in found), ascii_only


def test_a_log_without_a_line_shows_nothing() -> None:
    assert "0 lines were written" in failing()


def test_a_log_without_a_line_about_a_step_shows_nothing_of_steps() -> None:
    assert "0 lines tell of a step" in failing(json.dumps({"release": "2"}))
