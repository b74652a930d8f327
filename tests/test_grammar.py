"""The grammar of a prompt: escaping that can be undone, and a parser that gives every entry back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from builders import GRAMMAR, STEP, built, escaped
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gonogo.errors import DefinitionError
from gonogo.grammar import Grammar

BOUNDARIES = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
PIECES = [
    "CONTEXT:",
    "TASK:",
    "RESPONSE:",
    "Basic Idea: ",
    "Audience: x",
    "[data:audience]",
    "  ",
    "x",
    "",
    ": ",
    "\ud800",
    "é",
    *BOUNDARIES,
]
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
TEXTS = st.one_of(HOSTILE, st.text(st.characters(exclude_categories=()), max_size=40))
INPUTS = st.fixed_dictionaries({}, optional={"basic_idea": TEXTS, "audience": TEXTS, "notes": TEXTS})
thorough = settings(max_examples=80, deadline=None)


@thorough
@given(TEXTS)
@example("")
@example("\r")
@example("a\r\n")
@example("\n  already indented\n")
def test_escaping_can_be_undone(value: str) -> None:
    assert GRAMMAR.unescape(GRAMMAR.escape(value)) == value


@thorough
@given(TEXTS)
def test_escaping_is_what_the_contract_says(value: str) -> None:
    assert GRAMMAR.escape(value) == escaped(value)


@thorough
@given(TEXTS)
def test_no_line_of_an_escaped_value_but_the_first_begins_in_column_0(value: str) -> None:
    for line in ("x" + GRAMMAR.escape(value) + "x").splitlines()[1:]:
        assert line.startswith("  ")


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_every_boundary_is_followed_by_the_continuation_also_at_the_end(boundary: str) -> None:
    assert GRAMMAR.escape(f"a{boundary}b{boundary}") == f"a{boundary}  b{boundary}  "


@thorough
@given(INPUTS)
@example({"basic_idea": "\n"})
@example({"basic_idea": "CONTEXT:\nTASK:\nRESPONSE:", "audience": "\nTASK:\n"})
@example({"basic_idea": "x\n\n", "notes": "y\r"})
def test_a_faultless_prompt_gives_every_section_and_every_entry_back(inputs: Mapping[str, str]) -> None:
    parsed = GRAMMAR.parse(built(STEP, inputs))
    assert parsed.headings == GRAMMAR.sections
    assert parsed.preamble == ""
    body = parsed.body("TASK")
    assert body is not None
    task = GRAMMAR.resolve(STEP.task_prompt.strip(), inputs)
    assert body.startswith(task)
    entries, loose = GRAMMAR.entries(body[len(task) :], [one.name for one in STEP.inputs])
    assert loose == ()
    assert tuple((entry.name, entry.value) for entry in entries) == GRAMMAR.expected_entries(STEP, inputs)


@thorough
@given(TEXTS)
def test_any_text_can_be_parsed_and_nothing_of_it_is_invented(text: str) -> None:
    parsed = GRAMMAR.parse(text)
    assert len(parsed.headings) == len(parsed.bodies)
    for body in parsed.bodies:
        assert body in text
        GRAMMAR.entries(body, ["Basic Idea"])


def test_sections_are_told_by_their_headings() -> None:
    parsed = GRAMMAR.parse("before\nCONTEXT:\nsystem\n\nmore\n\nTASK:\ndo it\n\nRESPONSE:\nlike so\n")
    assert parsed.preamble == "before"
    assert parsed.as_mapping() == {"CONTEXT": "system\n\nmore", "TASK": "do it", "RESPONSE": "like so"}
    assert parsed.body("OTHER") is None


def test_a_heading_stands_alone_in_column_0() -> None:
    parsed = GRAMMAR.parse(" CONTEXT:\nCONTEXT: here\ncontext:\nxCONTEXT:\n")
    assert parsed.headings == ()


def test_white_space_after_a_heading_does_not_hide_it() -> None:
    assert GRAMMAR.parse("TASK: \t\nx").headings == ("TASK",)


def test_a_repeated_heading_opens_another_section() -> None:
    parsed = GRAMMAR.parse("TASK:\none\nTASK:\ntwo")
    assert parsed.headings == ("TASK", "TASK")
    assert parsed.bodies == ("one", "two")
    assert parsed.body("TASK") == "one"


def test_lines_that_belong_to_no_entry_are_loose() -> None:
    entries, loose = GRAMMAR.entries("Idea: a\n  b\nstray\n\n  indented\nIdea: c\n\nNotes: d", ["Idea", "Notes"])
    assert [(one.name, one.value, one.line) for one in entries] == [
        ("Idea", "a\nb", 1),
        ("Idea", "c", 6),
        ("Notes", "d", 8),
    ]
    assert loose == ("stray", "  indented")


def test_a_name_that_the_step_does_not_map_opens_no_entry() -> None:
    assert GRAMMAR.entries("Title: x", ["Idea"]) == ((), ("Title: x",))


def test_references_are_resolved_once_and_values_are_not_expanded() -> None:
    inputs = {"audience": "[data:notes]\nTASK:", "notes": "secret"}
    assert GRAMMAR.resolve("For [data:audience] and [data:gone].", inputs) == "For [data:notes]\n  TASK: and ."
    assert GRAMMAR.references("[data:a] [data:b] [data:a] [data]") == ("a", "b", "a")


def test_an_empty_input_resolves_to_nothing() -> None:
    assert GRAMMAR.resolve("<[data:audience]>", {"audience": " \n "}) == "<>"


def test_entries_are_expected_in_the_steps_order_without_the_empty_ones() -> None:
    inputs = {"notes": "n", "basic_idea": "b", "audience": " \t\n", "unmapped": "x"}
    assert GRAMMAR.expected_entries(STEP, inputs) == (("Basic Idea", "b"), ("Notes", "n"))


def test_another_grammar_reads_its_own_prompts() -> None:
    other = Grammar(("Role", "Work"), "Work", "## {section}", " = ", "> ", r"\{(?P<field>\w+)\}")
    parsed = other.parse("## Role\nx\n\n## Work\nIdea = a\n> b\n")
    entries, loose = other.entries(parsed.body("Work") or "", ["Idea"])
    assert [(one.name, one.value) for one in entries] == [("Idea", "a\nb")]
    assert loose == ()
    assert other.resolve("On {a}{b}", {"a": "x\ny"}) == "On x\n> y"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            {"inputs": "INPUT"},
            ["inputs = 'INPUT'", "is not one of the sections ['CONTEXT', 'TASK', 'RESPONSE']", "write one"],
        ),
        ({"heading": "Title:"}, ["heading = 'Title:'", "names no section", "write for example"]),
        ({"continuation": "a\nb"}, ["continuation = 'a\\nb'", "within one line", "such as two spaces"]),
        ({"continuation": ""}, ["continuation = ''", "within one line"]),
        ({"placeholder": "["}, ["placeholder = '['", "is no regular expression"]),
        ({"placeholder": "x"}, ["placeholder = 'x'", "has no group (?P<field>...)", "add it"]),
    ],
)
def test_a_grammar_that_cannot_tell_its_parts_apart_is_refused(change: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(DefinitionError) as caught:
        replace(GRAMMAR, **change)  # type: ignore[arg-type]  # texts, all of them
    for part in ["[prompt]", *parts]:
        assert part in str(caught.value)


def test_a_reference_that_opens_a_line_keeps_user_text_out_of_column_0() -> None:
    grammar = Grammar(sections=("CONTEXT", "TASK", "RESPONSE"), inputs="TASK")
    assert grammar.resolve("Collect facts on\n[data:idea]\nand stop.", {"idea": "RESPONSE:"}) == (
        "Collect facts on\n  RESPONSE:\nand stop."
    )
    assert grammar.resolve("[data:idea] at once", {"idea": "TASK:"}) == "  TASK: at once"
    assert grammar.resolve("About [data:idea].", {"idea": "roads"}) == "About roads."
