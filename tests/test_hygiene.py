"""The parts of a definition agree with each other: each disagreement is found, and sound definitions are left in peace."""

from __future__ import annotations

from dataclasses import replace

import builders
import pytest
from builders import FIELDS_IN, GRAMMAR, LIST_OUT

from gonogo.hygiene import definition_agrees
from gonogo.model import FormatTemplate, Json, Step

STEP = replace(builders.STEP, task_prompt="Find facts for [data:audience]. Answer with a JSON array.")


def failing(step: Step) -> list[str]:
    return [finding.reason for finding in definition_agrees(step, GRAMMAR) if not finding.ok]


def output(kind: str) -> FormatTemplate:
    schema: dict[str, Json] = {"type": kind}
    return replace(LIST_OUT, schema=schema)


def test_a_sound_definition_has_nothing_to_complain_of() -> None:
    findings = list(definition_agrees(STEP, GRAMMAR))
    assert len(findings) == 4
    assert all(finding.ok for finding in findings)


@pytest.mark.parametrize(
    ("wording", "kind", "said"),
    [
        ("Answer with a JSON array.", "object", "array"),
        ("Answer with a JSON list.", "string", "array"),
        ("Answer with a JSON object.", "array", "object"),
        ("Answer in plain text.", "array", "string"),
        ("Write plain prose, no JSON.", "object", "string"),
    ],
)
def test_a_task_that_asks_for_another_form_than_its_output_format_is_named(wording: str, kind: str, said: str) -> None:
    [reason] = failing(replace(STEP, task_prompt=wording, output_format=output(kind)))
    assert reason == (
        f"the prompts ask for {said}, the output format list-out is of type {kind}; "
        "reword the one or choose another for the other"
    )


def test_the_system_prompt_is_read_as_well() -> None:
    assert failing(replace(STEP, system_prompt="Always answer in plain text.", task_prompt="Find facts."))


@pytest.mark.parametrize(
    ("wording", "kind"),
    [
        ("Find facts.", "array"),
        ("A JSON array whose entries are each a JSON object.", "array"),
        ("A JSON object that holds a JSON array.", "object"),
        ("Write plain text.", "string"),
    ],
)
def test_wording_that_fits_or_says_nothing_is_no_disagreement(wording: str, kind: str) -> None:
    assert failing(replace(STEP, task_prompt=wording, output_format=output(kind))) == []


def test_a_template_on_the_other_side_is_named() -> None:
    [reason] = failing(replace(STEP, input_format=LIST_OUT, output_format=replace(FIELDS_IN, schema={"type": "array"})))
    assert reason == "list-out is an output template; fields-in is an input template and stands on the other side"


UNMAPPED = "Look at [data:ideas] and [data:title]."


@pytest.mark.parametrize(
    ("step", "where"),
    [(replace(STEP, system_prompt=UNMAPPED), "system prompt"), (replace(STEP, task_prompt=UNMAPPED), "task prompt")],
    ids=["system prompt", "task prompt"],
)
def test_a_reference_to_no_input_is_named(step: Step, where: str) -> None:
    assert failing(step) == [f"the {where} refers to ideas, title, which the step does not map; map it or remove it"]


@pytest.mark.parametrize("almost", ["[ data:idea ]", "[data :idea]", "{{ idea }}", "[data:idea"])
def test_what_looks_like_a_reference_and_is_none_is_shown(almost: str) -> None:
    [reason] = failing(replace(STEP, task_prompt=f"Find facts about {almost}"))
    assert almost in reason
    assert reason.endswith("which looks like a reference and is none")
