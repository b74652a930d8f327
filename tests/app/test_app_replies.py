"""From a reply to a value: fences, preambles, and what is never taken for the whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ReplyInvalid
from app.workflow.definitions import FormatTemplate
from app.workflow.llm_client import Reply
from app.workflow.replies import find_json, parse_reply

LIST = FormatTemplate("list", "List", "A list.", "output", "JSON.", {"type": "array", "items": {"type": "string"}})
TEXT = FormatTemplate("text", "Text", "A text.", "output", "Text.", {"type": "string", "minLength": 1, "maxLength": 9})


def reply(text: str) -> Reply:
    return Reply(text, "facts", "llama3.1:8b", 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' ["a", "b"]\n', ["a", "b"]),
        ('"a"', "a"),
        ("3", 3),
        ('```json\n["a"]\n```', ["a"]),
        ('```\n["a"]\n```\nI hope this helps [a bit].', ["a"]),
        ('Here you are:\n\n```json\n["a", "```"]\n```\n', ["a", "```"]),
        ('```json\n["a"]', ["a"]),
        ('```python\nprint()\n```\n```json\n["a"]\n```', ["a"]),
        ('Here are the facts:\n\n["a", "b"]', ["a", "b"]),
        ('Here are the facts [as requested]:\n\n["a", "b"]\n\nEnjoy!', ["a", "b"]),
        ('Following {title} and [ 1 ]: {"b": [1, 2, 3]}', {"b": [1, 2, 3]}),
        ('["a"] [is all]', ["a"]),
        ('Sure. {"a": {"b": "]}"}} Done.', {"a": {"b": "]}"}}),
    ],
)
def test_json_is_found_in_what_a_model_wraps_around_it(text: str, value: object) -> None:
    assert find_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "I cannot do that.",
        "",
        '["a", "b"',
        'Here: ["a", {"b": 1}, {"c": 2}',
        '[{"a": 1}, {"b": 2} {"c": 3}]',
        '{"a": "never closed {"b": 1}',
        '["a",]',
        "{'a': 1}",
        "[NaN]",
        "[1e999" + "0" * 5000,
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
    ],
)
def test_a_part_of_broken_json_is_never_taken_for_the_whole(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        find_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(JSON.filter(lambda value: isinstance(value, list | dict)), st.sampled_from(["", "```json\n", "Here it is:\n\n"]))
def test_any_array_or_object_is_found(value: Any, before: str) -> None:
    after = "\n```" if before.startswith("`") else ""
    assert find_json(before + json.dumps(value, indent=1) + after) == value


def test_plain_text_is_stripped_and_otherwise_kept() -> None:
    output = parse_reply(reply("\n a  b\n"), TEXT)
    assert output.value == output.text == "a  b"


def test_json_is_stored_in_canonical_form() -> None:
    output = parse_reply(reply('Sure:\n[ "é",\n"\\u0000" ]'), LIST)
    assert output.value == ["é", "\0"]
    assert output.text == '["é", "\\u0000"]'


@pytest.mark.parametrize(
    ("text", "template", "cause"),
    [
        (
            "more than nine",
            TEXT,
            "the reply does not satisfy format 'text': at /: the value is longer than 9 characters",
        ),
        ('["a", 5]', LIST, "the reply does not satisfy format 'list': at /1: the value is not of type \"string\""),
        (json.dumps(list(range(7))), LIST, "; and 2 more"),
        ("No.", LIST, "the reply holds no JSON"),
        ('["\\ud800"]', LIST, "the reply's JSON holds a lone surrogate, which cannot be stored"),
        ("[1e999]", LIST, "the reply's JSON holds a number beyond all bounds"),
        ('["a"', LIST, "the reply's JSON is broken: Expecting ',' delimiter at character 4"),
    ],
)
def test_a_reply_that_is_not_in_the_format_is_an_error_that_says_why(
    text: str, template: FormatTemplate, cause: str
) -> None:
    with pytest.raises(ReplyInvalid) as caught:
        parse_reply(reply(text), template)
    error = caught.value
    assert cause in error.cause
    assert (error.step, error.model, error.attempt, error.reply) == ("facts", "llama3.1:8b", 2, text)
    assert str(error).startswith("step 'facts', model 'llama3.1:8b', attempt 2: ")
