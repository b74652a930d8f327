"""Each check passes what is right and fails what is wrong: one planted defect at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from builders import FIELDS_IN, GRAMMAR, LIST_OUT, STEP, TEXT_OUT, built
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.checks import (
    excerpt,
    inputs_mapped,
    nothing_internal,
    oddities_told,
    same_text,
    sections_in_order,
    sections_told,
    templates_verbatim,
    text_difference,
)
from gonogo.model import Finding, FormatTemplate, Json, Step
from gonogo.replies import reply_conforms

INPUTS = {"basic_idea": "Roman roads:\nTASK:\nstraight [data:notes]", "audience": "walkers", "notes": ""}
PROMPT = built(STEP, INPUTS)


def failing(findings: object) -> list[Finding]:
    return [one for one in findings if not one.ok]  # type: ignore[attr-defined]  # an iterable of findings


def mapped(prompt: str, step: Step = STEP, inputs: Mapping[str, str] = INPUTS) -> list[Finding]:
    return failing(inputs_mapped(prompt, step, inputs, GRAMMAR))


def test_a_faultless_prompt_passes_every_check() -> None:
    assert sections_in_order(PROMPT, GRAMMAR).ok
    assert failing(templates_verbatim(PROMPT, STEP, INPUTS, GRAMMAR)) == []
    assert mapped(PROMPT) == []
    assert len(list(inputs_mapped(PROMPT, STEP, INPUTS, GRAMMAR))) == 3


@pytest.mark.parametrize(
    ("warnings", "odd", "reason"),
    [
        ([], (), "0 warnings, of what is odd"),
        (["input 'notes' is very long"], {"notes"}, "1 warnings, of what is odd"),
        ([], {"notes"}, "0 warnings name notes, which is odd"),
        (["input 'research_notes' is very long"], {"notes"}, "0 warnings name notes, which is odd"),
        (["input 'notes' is long", "'notes' is empty"], {"notes"}, "2 warnings name notes, which is odd"),
        (["input 'notes' is long", "mind the gap"], {"notes"}, "2 warnings of 1 inputs that are odd"),
    ],
)
def test_what_is_odd_must_be_warned_of_and_nothing_else(warnings: list[str], odd: set[str], reason: str) -> None:
    finding = oddities_told(warnings, odd)
    assert finding.reason == reason
    assert finding.ok is reason.endswith("of what is odd")


SECTIONS = {name: body.strip("\n") for name, body in GRAMMAR.parse(PROMPT).as_mapping().items()}


def test_sections_that_are_told_must_be_those_of_the_prompt() -> None:
    assert sections_told(PROMPT, SECTIONS, GRAMMAR) == Finding("sections told", True, "3 sections, as they are told")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({**SECTIONS, "TASK": SECTIONS["TASK"][1:]}, "section TASK is told to be "),
        ({**SECTIONS, "TASK": SECTIONS["TASK"] + " "}, "section TASK is told to be "),
        ({**SECTIONS, "MORE": "x"}, "section MORE is told to be 'x', and is something else"),
        ({"CONTEXT": SECTIONS["CONTEXT"], "TASK": SECTIONS["TASK"]}, "section RESPONSE is told to be nothing"),
    ],
)
def test_sections_that_are_told_otherwise_fail(told: dict[str, str], reason: str) -> None:
    finding = sections_told(PROMPT, told, GRAMMAR)
    assert not finding.ok
    assert finding.reason.startswith(reason)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["basic_idea", "audience", "notes"], st.text(max_size=30))))
def test_a_faultless_prompt_passes_whatever_its_inputs_hold(inputs: Mapping[str, str]) -> None:
    prompt = built(STEP, inputs)
    assert sections_in_order(prompt, GRAMMAR).ok
    assert mapped(prompt, inputs=inputs) == []


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "section CONTEXT, TASK, RESPONSE is missing"),
        ("CONTEXT:\na\nTASK:\nb\n", "section RESPONSE is missing"),
        ("CONTEXT:\na\nTASK:\nb\nTASK:\nc\nRESPONSE:\nd", "section TASK stands more than once"),
        (
            "TASK:\na\nCONTEXT:\nb\nRESPONSE:\nc",
            "sections stand in the order TASK, CONTEXT, RESPONSE, not CONTEXT, TASK, RESPONSE",
        ),
        ("CONTEXT:\na\nTASK:\n \n\t\nRESPONSE:\nc", "section TASK is empty"),
        ("CONTEXT:\nTASK:\nRESPONSE:\n", "section CONTEXT, TASK, RESPONSE is empty"),
        ("Hello\nCONTEXT:\na\nTASK:\nb\nRESPONSE:\nc", "text stands before the first section: 'Hello'"),
        ("Context:\na\nTASK:\nb\nRESPONSE:\nc", "section CONTEXT is missing"),
    ],
)
def test_sections_that_are_missing_doubled_swapped_or_empty_fail(prompt: str, reason: str) -> None:
    found = sections_in_order(prompt, GRAMMAR)
    assert not found.ok
    assert found.reason == reason
    assert found.detail == prompt


@pytest.mark.parametrize(
    ("find", "replacement", "parts"),
    [
        (
            "Each input has a name.",
            "Each input has a name",
            ["CONTEXT does not hold the instructions of the input template fields-in", "'Each input has a name.'"],
        ),
        ("Named fields.", "", ["CONTEXT does not hold the description of the input template fields-in"]),
        ("A JSON array.", "a json array.", ["RESPONSE does not hold the instructions of the output template list-out"]),
        ("A list of facts.", "A list.", ["RESPONSE does not hold the description of the output template list-out"]),
        ("RESPONSE:\n", "", ["there is no section RESPONSE that the output template list-out could stand in"]),
    ],
)
def test_a_template_that_does_not_stand_verbatim_fails(find: str, replacement: str, parts: list[str]) -> None:
    [found] = failing(templates_verbatim(PROMPT.replace(find, replacement), STEP, INPUTS, GRAMMAR))
    for part in parts:
        assert part in found.reason


@pytest.mark.parametrize(
    ("find", "replacement", "said"),
    [
        (
            "Named fields.",
            "Named fields.\n\nToday is Monday.",
            "CONTEXT holds what nobody declared: 'Today is Monday.'",
        ),
        ("CONTEXT:\n", "CONTEXT:\nBe brief.\n", "CONTEXT holds what nobody declared: 'Be brief.'"),
        ("\nA list of", "\nIn Latin.\nA list of", "RESPONSE holds what nobody declared: 'In Latin.'"),
        ("A list of facts.", "A list of facts. Or none.", "RESPONSE holds what nobody declared: 'Or none.'"),
    ],
    ids=["after the last text", "before the first", "between", "on the last line"],
)
def test_a_section_holds_nothing_that_was_not_declared_unless_it_is_open(
    find: str, replacement: str, said: str
) -> None:
    prompt = PROMPT.replace(find, replacement)
    [found] = failing(templates_verbatim(prompt, STEP, INPUTS, GRAMMAR))
    assert found.reason == said
    assert failing(templates_verbatim(prompt, STEP, INPUTS, replace(GRAMMAR, closed=False))) == []


def test_a_system_prompt_that_is_not_there_fails() -> None:
    [found] = failing(templates_verbatim(PROMPT.replace("You research", "You write"), STEP, INPUTS, GRAMMAR))
    assert found.reason.startswith("CONTEXT does not hold the system prompt: ")


def test_description_before_instructions_fails_as_the_wrong_order() -> None:
    swapped = PROMPT.replace("A JSON array.\n\nA list of facts.", "A list of facts.\n\nA JSON array.")
    [found] = failing(templates_verbatim(swapped, STEP, INPUTS, GRAMMAR))
    assert "(it stands there, but in the wrong order)" in found.reason


def test_templates_in_each_others_sections_fail() -> None:
    swapped = replace(STEP, input_format=LIST_OUT, output_format=FIELDS_IN)
    assert len(failing(templates_verbatim(PROMPT, swapped, INPUTS, GRAMMAR))) == 2


@pytest.mark.parametrize(
    ("find", "replacement", "part"),
    [
        ("Audience: walkers", "", "the input 'Audience' is left out"),
        ("Audience: walkers", "Audience: walkers\n\nAudience: walkers", "the input 'Audience' stands there 2 times"),
        (
            "Audience: walkers",
            "Audience: walker",
            "the input 'Audience' is not equal after unescaping: it differs at character 6",
        ),
        ("Audience: walkers", "audience: walkers", "a line in column 0 belongs to no input: 'audience: walkers'"),
        (
            "Audience: walkers",
            "Audience: walkers\n\nNotes: none",
            "'Notes' stands there, but the post has nothing for it",
        ),
        (
            "Audience: walkers",
            "Audience: walkers\n\nAnd mind the gap.",
            "a line in column 0 belongs to no input: 'And mind the gap.'",
        ),
        ("straight [data:notes]", "straight ", "the input 'Basic Idea' is not equal after unescaping"),
        ("  TASK:", " TASK:", "the input 'Basic Idea' is not equal"),
        (
            "You research for walkers.",
            "You research for [data:audience].",
            "CONTEXT does not begin with the system prompt",
        ),
        ("You research for walkers.", "You research for .", "line 1 should be 'You research for walkers.'"),
        ("Find the facts.", "Find facts.", "TASK does not begin with the task prompt"),
        ("Find the facts.\n\n", "", "TASK does not begin with the task prompt"),
        ("TASK:\nFind", "Find", "there is no section TASK that inputs could stand in"),
        ("You research for walkers.\n\nEach input has a name.\n\nNamed fields.", "", "it ends after line 0"),
    ],
)
def test_a_planted_mapping_defect_fails(find: str, replacement: str, part: str) -> None:
    assert find in PROMPT
    assert part in "; ".join(one.reason for one in mapped(PROMPT.replace(find, replacement, 1)))


def test_inputs_in_another_order_fail() -> None:
    first, second = "Basic Idea: a", "Audience: b"
    inputs = {"basic_idea": "a", "audience": "b"}
    swapped = built(STEP, inputs).replace(f"{first}\n\n{second}", f"{second}\n\n{first}")
    [found] = mapped(swapped, inputs=inputs)
    assert found.reason == "the inputs stand in the order ['Audience', 'Basic Idea'], not ['Basic Idea', 'Audience']"


def test_unescaped_user_text_fails() -> None:
    inputs = {"basic_idea": "a\nAudience: b"}
    [found] = mapped(built(STEP, inputs).replace("\n  Audience", "\nAudience"), inputs=inputs)
    assert "'Audience' stands there, but the post has nothing for it" in found.reason


def test_expanded_user_text_fails() -> None:
    inputs = {"basic_idea": "see [data:audience]", "audience": "walkers"}
    assert mapped(built(STEP, inputs).replace("see [data:audience]", "see walkers"), inputs=inputs)


def test_an_entry_that_is_glued_to_the_task_prompt_fails() -> None:
    glued = PROMPT.replace("Find the facts.\n\nBasic Idea:", "Find the facts.Basic Idea:")
    assert glued != PROMPT
    assert mapped(glued) != []


def test_a_value_glued_to_the_system_prompt_fails() -> None:
    step = replace(STEP, system_prompt="You research")
    prompt = built(step, INPUTS).replace("You research\n\n", "You researchers walkers\n\n")
    assert mapped(prompt, step) != []


def test_equal_texts_pass_and_the_first_difference_is_shown() -> None:
    assert same_text("c", "the prompt", "abc", "abc") == Finding("c", True, "the prompt is equal to the byte")
    found = same_text("c", "the prompt", "one\ntwo", "one\ntoo")
    assert not found.ok
    assert found.reason == "the prompt differs at character 5: expected 'one\\ntwo', found 'one\\ntoo'"
    assert found.detail == "--- expected\n+++ found\n@@ -1,2 +1,2 @@\n one\n-two\n+too"


@pytest.mark.parametrize(
    ("expected", "found"), [("ab", "abc"), ("abc", "ab"), ("", "a"), ("a", "a\n"), ("a\r\n", "a\n")]
)
def test_a_longer_or_shorter_text_is_not_equal(expected: str, found: str) -> None:
    assert not same_text("c", "it", expected, found).ok


def test_a_difference_of_equal_texts_is_empty() -> None:
    assert text_difference("a\nb", "a\nb") == ""


def test_an_excerpt_is_one_line_and_shows_both_ends_of_a_long_text() -> None:
    assert excerpt("a\nb") == "'a\\nb'"
    assert excerpt("a" * 100 + "b" * 100, 10) == "'aaaaa … bbbbb'"


def output(schema: Mapping[str, Json]) -> FormatTemplate:
    return replace(LIST_OUT, schema=schema)


@pytest.mark.parametrize(
    "text",
    [
        '["a", "b"]',
        ' \n["a", "b"]\n',
        '```json\n["a", "b"]\n```',
        '```\n["a", "b"]\n```\nI hope that this helps.',
        'Here are the facts:\n\n["a", "b"]',
        'Here are the facts [as asked]:\n\n["a", "b"]',
        '["a", "b"]\n\nLet me know if you need more.',
    ],
)
def test_a_reply_that_conforms_passes_also_when_wrapped(text: str) -> None:
    found = reply_conforms(text, LIST_OUT)
    assert found.ok
    assert found.reason == "the reply conforms to list-out"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "there is no JSON in it"),
        ("I cannot do that.", "there is no JSON in it"),
        ('["a", "b"', "is broken"),
        ('["a", "b",]', "is broken"),
        ('["a"]', "does not conform to list-out: the whole"),
        ('["a", 2]', "does not conform to list-out: 1: "),
        ('{"facts": ["a", "b"]}', "does not conform to list-out: the whole"),
        ("null", "does not conform to list-out"),
    ],
)
def test_a_reply_that_does_not_conform_fails_with_the_place(text: str, part: str) -> None:
    found = reply_conforms(text, LIST_OUT)
    assert not found.ok
    assert part in found.reason
    assert found.detail == text


def test_plain_text_is_taken_as_it_stands() -> None:
    assert reply_conforms("Any words.", TEXT_OUT).ok
    assert not reply_conforms(" \n ", TEXT_OUT).ok


@pytest.mark.parametrize(
    "text",
    [
        '{"facts": ["a", "b"], "note": "and then it is cut o',
        'Sure: {"old": ["a", "b"], "new": ["c", "d"',
        '{"a": ["a", "b"] "c": 1}',
    ],
)
def test_a_whole_part_of_a_broken_reply_is_not_the_reply(text: str) -> None:
    assert not reply_conforms(text, LIST_OUT).ok


def test_the_longest_value_after_a_preamble_is_the_reply() -> None:
    assert reply_conforms('The [1] facts are: ["a", "b"]', LIST_OUT).ok


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"a": -Infinity}'])
def test_a_reply_with_a_number_that_is_none_does_not_conform(text: str) -> None:
    assert not reply_conforms(text, output({"type": "object"})).ok


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000])
def test_a_reply_of_many_brackets_fails_and_breaks_nothing(text: str) -> None:
    assert not reply_conforms(text, output({"type": "object"})).ok


@pytest.mark.parametrize(
    ("text", "template"), [("half an emoji \ud83d", TEXT_OUT), ('"\\ud83d"', output({"type": ["string", "array"]}))]
)
def test_a_reply_with_half_a_character_is_judged_and_breaks_nothing(text: str, template: FormatTemplate) -> None:
    assert isinstance(reply_conforms(text, template), Finding)


SENT = "CONTEXT:\nYou are \U0001f600.\n\nTASK:\nFind " + " ".join(str(number) for number in range(60))
SECRETS = {"the environment": "key-17", "the model's body": "line 117"}


def told(**error: Json) -> str:
    return json.dumps({"error": {"code": "llm-timeout", **error}})


@pytest.mark.parametrize(
    ("answer", "given_away"),
    [
        (told(cause=SENT), "the prompt that was sent"),
        (told(cause=f"sent was: {SENT[5:85]}"), "the prompt that was sent"),
        (told(causes=["no", {"debug": {SENT: 1}}]), "the prompt that was sent"),
        (json.dumps([SENT]), "the prompt that was sent"),
        (f"<p>{SENT}</p>", "the prompt that was sent"),
        (told(cause="PATH=/bin key-17"), "the environment"),
        (told(**{"key-17": None}), "the environment"),
        ("key-17, line 117", "the environment, the model's body"),
    ],
)
def test_what_an_answer_gives_away_is_named(answer: str, given_away: str) -> None:
    found = nothing_internal("c", "timeout", answer, SENT, SECRETS)
    assert not found.ok
    assert found.reason.startswith(f"timeout: the answer gives away {given_away}")
    assert found.detail == answer


@pytest.mark.parametrize(
    "answer",
    [
        told(cause="no answer within 120 s", attempt=3, run_id=None, ratio=0.5),
        told(cause=SENT[5:84]),
        told(cause=SENT.replace("9", "nine")),
        told(cause="key-1", line=117),
        "",
        "nothing",
        "[" * 100_000,
    ],
)
def test_an_answer_with_its_own_words_gives_nothing_away(answer: str) -> None:
    assert nothing_internal("c", "timeout", answer, SENT, SECRETS).ok


def test_a_short_prompt_is_given_away_by_the_whole_of_it_and_none_by_nothing() -> None:
    assert not nothing_internal("c", "timeout", told(cause="sent: Find facts."), "Find facts.", {}).ok
    assert nothing_internal("c", "timeout", told(cause="sent: Find"), "Find facts.", {}).ok
    assert nothing_internal("c", "timeout", told(cause="sent: nothing"), "", {}).ok
