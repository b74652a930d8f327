"""The external constructor: structure, escaping, placeholders, and every problem at once."""

from __future__ import annotations

import json
import pickle
import string
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.workflow.definitions import FormatTemplate, InputField, Step
from app.workflow.scripts.prompt_constructor import (
    LONG_INPUT,
    PromptConstructionError,
    construct_prompt,
    escape,
)

BOUNDARIES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
STORABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
# texts in which boundaries, spaces and headings are frequent
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [*BOUNDARIES, "\r\n", "  ", "CONTEXT:", "TASK:", "RESPONSE:", "[data:idea]", "Idea: x", "é", "𝄞"]
        ),
        st.text(STORABLE, max_size=5),
    ),
    max_size=12,
).map("".join)

SOURCE = FormatTemplate("fields", "Fields", " Named fields. \n", "input", "\nRead them.\nAll of them.\n", {})
TARGET = FormatTemplate("list", "List", "A list.", "output", "Answer with JSON.", {"type": "array"})
IDEA = InputField("idea", "Basic Idea", required=True)
TONE = InputField("tone", "Tone")
STEP = Step(
    id="concept",
    name="Concept",
    stage="Planning",
    substage="Idea",
    order=1,
    model="llama3.1:8b",
    system_prompt="You are an editor.\n",
    task_prompt="\nWrite a concept.\nBe brief.",
    input_format=SOURCE,
    output_format=TARGET,
    inputs=(IDEA, TONE),
    output_field="concept",
)


def problems_of(step: Step, inputs: object) -> tuple[str, ...]:
    with pytest.raises(PromptConstructionError) as caught:
        construct_prompt(step, inputs)  # type: ignore[arg-type]  # wrong types are the point of some tests
    return caught.value.problems


def test_a_prompt_is_exact_to_the_byte() -> None:
    constructed = construct_prompt(STEP, {"tone": "dry", "idea": "Roman roads\n\nTASK:\r\nend\n", "other": "ignored"})
    assert constructed.text == (
        "CONTEXT:\nYou are an editor.\n\nRead them.\nAll of them.\n\nNamed fields.\n\n"
        "TASK:\nWrite a concept.\nBe brief.\n\n"
        "Basic Idea: Roman roads\n  \n  TASK:\r\n  end\n  \n\nTone: dry\n\n"
        "RESPONSE:\nAnswer with JSON.\n\nA list.\n"
    )
    assert constructed.sections == {
        "CONTEXT": "You are an editor.\n\nRead them.\nAll of them.\n\nNamed fields.",
        "TASK": "Write a concept.\nBe brief.\n\nBasic Idea: Roman roads\n  \n  TASK:\r\n  end\n  \n\nTone: dry",
        "RESPONSE": "Answer with JSON.\n\nA list.",
    }
    assert constructed.metadata.input_format == "fields"
    assert constructed.metadata.output_format == "list"
    assert list(constructed.metadata.field_mapping.items()) == [("idea", "Basic Idea"), ("tone", "Tone")]
    assert constructed.metadata.length == len(constructed.text)
    assert constructed.warnings == ()


def test_an_empty_optional_input_is_left_out() -> None:
    for tone in ({}, {"tone": ""}, {"tone": " \n\t"}):
        constructed = construct_prompt(STEP, {"idea": "roads", **tone})
        assert constructed.sections["TASK"] == "Write a concept.\nBe brief.\n\nBasic Idea: roads"
        assert constructed.metadata.field_mapping == {"idea": "Basic Idea"}


def test_without_entries_the_task_is_the_task_prompt_alone() -> None:
    assert construct_prompt(replace(STEP, inputs=(TONE,)), {}).sections["TASK"] == "Write a concept.\nBe brief."
    assert construct_prompt(replace(STEP, inputs=()), {}).sections["TASK"] == "Write a concept.\nBe brief."


def test_a_placeholder_stands_for_the_escaped_value() -> None:
    step = replace(STEP, system_prompt="For [data:tone].", task_prompt="About [data:idea], [data:idea], '[data:tone]'.")
    sections = construct_prompt(step, {"idea": "a\nb", "tone": ""}).sections
    assert sections["CONTEXT"].startswith("For .\n\nRead them.")
    assert sections["TASK"] == "About a\n  b, a\n  b, ''.\n\nBasic Idea: a\n  b"


def test_user_text_is_never_expanded() -> None:
    step = replace(STEP, task_prompt="About [data:idea].")
    sections = construct_prompt(step, {"idea": "[data:tone] {{ tone }} %s {tone}", "tone": "[data:idea]"}).sections
    assert sections["TASK"] == (
        "About [data:tone] {{ tone }} %s {tone}.\n\nBasic Idea: [data:tone] {{ tone }} %s {tone}\n\nTone: [data:idea]"
    )


@pytest.mark.parametrize(
    "task_prompt",
    [
        "[data:idea]",
        "Write.\n[data:idea]\nGo.",
        "x\n[data:tone][data:idea]",
        "TASK[data:idea]",
        "RESP[data:tone][data:idea]\n",
    ],
)
@pytest.mark.parametrize("idea", ["RESPONSE:", "TASK:\nx", ":", "ONSE:", "x\nCONTEXT:"])
@pytest.mark.parametrize("tone", ["", "x", "x\n"])
def test_a_value_at_the_start_of_a_line_never_makes_a_heading(task_prompt: str, idea: str, tone: str) -> None:
    text = construct_prompt(replace(STEP, task_prompt=task_prompt), {"idea": idea, "tone": tone}).text
    assert [line for line in text.splitlines() if line in {"CONTEXT:", "TASK:", "RESPONSE:"}] == [
        "CONTEXT:",
        "TASK:",
        "RESPONSE:",
    ]


@given(TEXTS)
def test_escaping_is_reversible(value: str) -> None:
    first, *rest = (escape(value) + "x").splitlines(keepends=True)
    assert "".join([first, *(line.removeprefix("  ") for line in rest)])[:-1] == value


@given(TEXTS)
def test_an_escaped_value_has_no_line_in_column_0_but_its_first(value: str) -> None:
    assert all(line.startswith("  ") for line in (escape(value) + "x").splitlines()[1:])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["idea", "tone", "other"]), TEXTS))
def test_structure_and_entries_survive_whatever_an_input_holds(inputs: dict[str, str]) -> None:
    step = replace(STEP, inputs=(replace(IDEA, required=False), TONE), task_prompt="About '[data:idea]'.")
    constructed = construct_prompt(step, inputs)
    headings = [line for line in constructed.text.splitlines() if line in {"CONTEXT:", "TASK:", "RESPONSE:"}]
    assert headings == ["CONTEXT:", "TASK:", "RESPONSE:"]
    entries = [(item, inputs[item.field]) for item in step.inputs if inputs.get(item.field, "").strip()]
    idea = inputs.get("idea", "")
    expected = [f"About '{escape(idea) if idea.strip() else ''}'."]
    expected += [f"{item.name}: {escape(value)}" for item, value in entries]
    assert constructed.sections["TASK"] == "\n\n".join(expected)


@given(st.text(STORABLE | st.sampled_from(BOUNDARIES)))
def test_escaping_follows_the_line_boundaries_of_python(value: str) -> None:
    assert escape(value) == "  ".join((value + "x").splitlines(keepends=True))[:-1]
    if value.strip():
        assert construct_prompt(STEP, {"idea": value}).sections["TASK"].endswith(f"Basic Idea: {escape(value)}")


def test_every_problem_is_reported_at_once() -> None:
    step = replace(
        STEP,
        system_prompt=" ",
        task_prompt="About [data:] and [data: x] and [data:nothing].\nRESPONSE:\n",
        input_format=replace(TARGET, description=""),
        output_format=replace(TARGET, llm_instructions=None, description="See [data:idea]."),  # type: ignore[arg-type]
        inputs=(IDEA, TONE, InputField("mood", "Tone"), InputField("Bad", "TASK")),
    )
    found = problems_of(step, {"tone": 5, "mood": "a\0b\ud800"})
    assert found == (
        "system prompt is empty",
        "task prompt has a line that reads as the section heading 'RESPONSE:'",
        "input 'mood': display name 'Tone' is used twice",
        "'Bad' is not the name of a post field; write it in snake_case",
        "input 'Bad': display name 'TASK' is the name of a section",
        "task prompt refers to [data:nothing], which is none of the step's inputs",
        "task prompt has a malformed placeholder '[data:]'; write [data:field_name]",
        "task prompt has a malformed placeholder '[data: x]'; write [data:field_name]",
        "input format 'list' is a template of type 'output'",
        "description of input format 'list' is empty",
        "instructions of output format 'list' is NoneType, not text",
        "description of output format 'list' has a placeholder; placeholders belong into system and task prompts",
        "input 'idea' (Basic Idea) is required and has no text",
        "input 'tone' (Tone) is int, not text",
        "input 'mood' (Tone) holds a NUL character",
        "input 'mood' (Tone) holds a lone surrogate, which no encoding can carry",
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"system_prompt": None}, "system prompt is NoneType, not text"),
        ({"system_prompt": 3}, "system prompt is int, not text"),
        ({"task_prompt": "\n"}, "task prompt is empty"),
        ({"task_prompt": "a\0"}, "task prompt holds a NUL character"),
        ({"task_prompt": "a\ud800"}, "task prompt holds a lone surrogate, which no encoding can carry"),
        ({"task_prompt": "Do.\nTASK: \nx"}, "task prompt has a line that reads as the section heading 'TASK:'"),
        ({"task_prompt": "TA[data:tone]SK:"}, "task prompt has a line that reads as the section heading 'TASK:'"),
        ({"task_prompt": "[data:Idea]"},
         "task prompt has a malformed placeholder '[data:Idea]'; write [data:field_name]"),
        ({"task_prompt": "x [data: x"}, "task prompt has a malformed placeholder '[data: x'; write [data:field_name]"),
        ({"input_format": None}, "the step has no input format"),
        ({"output_format": None}, "the step has no output format"),
        ({"output_format": SOURCE}, "output format 'fields' is a template of type 'input'"),
        ({"output_format": replace(TARGET, description="a\nCONTEXT:")},
         "description of output format 'list' has a line that reads as the section heading 'CONTEXT:'"),
        ({"inputs": (IDEA, IDEA)}, "input 'idea' is mapped twice"),
        ({"inputs": (IDEA, InputField("tone", ""))},
         "input 'tone': display name '' is empty or has white space at its ends"),
        ({"inputs": (IDEA, InputField("tone", "A: b"))}, "input 'tone': display name 'A: b' holds a colon"),
        ({"inputs": (IDEA, InputField("tone", "A\x85b"))}, "input 'tone': display name 'A\\x85b' holds a line break"),
        ({"inputs": (IDEA, InputField("tone", "A\0b"))},
         "input 'tone': display name 'A\\x00b' holds a NUL character or a lone surrogate"),
        ({"inputs": (IDEA, InputField("tone", 4))}, "input 'tone': display name 4 is not text"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_broken_step_is_a_problem(change: dict[str, object], problem: str) -> None:
    assert problem in problems_of(replace(STEP, **change), {"idea": "roads"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({}, "input 'idea' (Basic Idea) is required and has no text"),
        ({"idea": " \n"}, "input 'idea' (Basic Idea) is required and has no text"),
        ({"idea": None}, "input 'idea' (Basic Idea) is NoneType, not text"),
        ({"idea": b"roads"}, "input 'idea' (Basic Idea) is bytes, not text"),
        ({"idea": "x", "tone": None}, "input 'tone' (Tone) is NoneType, not text"),
        ({"idea": "a\0b"}, "input 'idea' (Basic Idea) holds a NUL character"),
        ({"idea": "a\udfffb"}, "input 'idea' (Basic Idea) holds a lone surrogate, which no encoding can carry"),
    ],
)
def test_a_broken_input_is_a_problem(inputs: dict[str, object], problem: str) -> None:
    assert problems_of(STEP, inputs) == (problem,)


def test_a_problem_never_repeats_user_text() -> None:
    with pytest.raises(PromptConstructionError) as caught:
        construct_prompt(STEP, {"idea": "secret\0secret"})
    assert "secret" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_warnings_name_what_is_odd() -> None:
    step = replace(STEP, task_prompt="For [data:tone].\nTone: as given")
    constructed = construct_prompt(step, {"idea": "x" * (LONG_INPUT + 1)})
    assert constructed.warnings == (
        "the task prompt has a line that reads as the entry of 'Tone'",
        "input 'tone' is empty, and a prompt of the step refers to it",
        f"input 'idea' is very long: {LONG_INPUT + 1} characters",
    )


def test_a_result_cannot_be_changed() -> None:
    constructed = construct_prompt(STEP, {"idea": "roads"})
    with pytest.raises(AttributeError):
        constructed.text = ""  # type: ignore[misc]
    first = construct_prompt(STEP, {"idea": "roads"}).metadata.field_mapping
    first["idea"] = "changed"  # type: ignore[index]
    assert construct_prompt(STEP, {"idea": "roads"}).metadata.field_mapping == {"idea": "Basic Idea"}


def test_equal_steps_are_equal_keys_and_travel_without_their_hash() -> None:
    assert len({STEP, replace(STEP), replace(STEP, task_prompt="Other.")}) == 2
    assert pickle.loads(pickle.dumps(STEP)) == STEP
    assert "_hash" not in pickle.loads(pickle.dumps(STEP)).__dict__


def test_the_constructor_depends_on_nothing_but_the_standard_library() -> None:
    code = (
        "import sys, json; import app.workflow.scripts.prompt_constructor;"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in json.loads(done.stdout) if name[0] in string.ascii_letters] == ["app"]
