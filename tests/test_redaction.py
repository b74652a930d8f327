"""Secrets are found by their form, whatever they stand in, and nothing else is taken for one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planted import PLANTED

from gonogo.errors import DefinitionError
from gonogo.model import Json, Request
from gonogo.recordings import load_recordings
from gonogo.redaction import MARKER, Redaction, kinds_in

RECORDED = Path(__file__).parent.parent / "fixtures" / "recordings"
PLAIN = Redaction()


@pytest.mark.parametrize(("kind", "text", "secret"), PLANTED, ids=[f"{one[0]}-{n}" for n, one in enumerate(PLANTED)])
class TestEachKind:
    def test_it_is_replaced_where_it_stands(self, kind: str, text: str, secret: str) -> None:
        redacted = PLAIN.text(f"Before it. {text} After it.")
        assert secret not in redacted
        assert kinds_in(redacted) == {kind}
        assert redacted.startswith("Before it. ")

    def test_it_is_found_behind_the_escapes_of_json(self, kind: str, text: str, secret: str) -> None:
        inner = json.dumps({"a": f'say "{text}"\n'})
        redacted = PLAIN.text(json.dumps({"b": inner}))
        assert secret not in redacted
        assert json.dumps(secret)[1:-1] not in redacted
        assert kind in kinds_in(redacted)

    def test_what_is_redacted_is_not_redacted_again(self, kind: str, text: str, secret: str) -> None:
        once = PLAIN.text(f"x {text} y")
        assert PLAIN.text(once) == once
        assert PLAIN.spans(once) == []


@pytest.mark.parametrize(
    "text",
    [
        "Write about cookies: bake them at 180 degrees, as the recipe says.",
        "The bearer of bad news was responsible; a basic understanding suffices.",
        "Password: choose one of at least twelve characters.",
        "sk-manager-with-a-rather-long-hyphenated-name and task-management-for-beginners",
        "A private key begins with -----BEGIN PRIVATE KEY----- and nobody should publish it.",
        'A field "password" of type string, {"type": "object", "properties": {"password": {"type": "string"}}}',
        "See https://example.com:8080/a?page=2&q=keys and user@example.com.",
        "max_tokens=512, temperature=0.7",
        "eyJust a word. And another. One more.",
        '{"token": "Straight", "logprob": -0.1}',
    ],
)
def test_what_only_speaks_of_secrets_stays(text: str) -> None:
    assert PLAIN.text(text) == text


@pytest.mark.parametrize("version", ["1.9.0", "2.0.0"])
def test_the_bundled_recordings_hold_nothing_that_looks_like_a_secret(version: str) -> None:
    recordings = load_recordings(RECORDED / version).recordings
    assert len(recordings) > 100
    for one in recordings:
        assert PLAIN.request(one.request) is one.request
        assert PLAIN.text(one.reply.text) == one.reply.text


@pytest.mark.parametrize(
    ("body", "redacted"),
    [
        ({"api_key": "abc"}, {"api_key": "[redacted:field]"}),
        ({"dbPassword": "a b"}, {"dbPassword": "[redacted:field]"}),
        ({"password": 12345678}, {"password": "[redacted:field]"}),
        ({"password": True, "secret": ""}, {"password": True, "secret": ""}),
        ({"list": [{"x-api-key": "abc"}]}, {"list": [{"x-api-key": "[redacted:field]"}]}),
        ({"token": "Straight"}, {"token": "Straight"}),
        ({"token": "a1b2c3d4e5f6a7b8"}, {"token": "[redacted:field]"}),
        ({"max_tokens": 5, "n": None}, {"max_tokens": 5, "n": None}),
        ({"INT-123456": 1, "INT-654321": 2}, {"[redacted:custom]": 1, "[redacted:custom] 2": 2}),
    ],
)
def test_a_body_is_redacted_by_the_names_of_its_fields(body: dict[str, Json], redacted: dict[str, Json]) -> None:
    assert Redaction(("INT-[0-9]{6}",)).value(body) == redacted


def test_a_request_without_secrets_stays_the_very_same() -> None:
    request = Request("ollama", "/api/generate", {"model": "m", "prompt": "Go.", "options": {"stop": ["x"]}})
    assert PLAIN.request(request) is request


def test_two_requests_that_differ_in_their_secret_alone_are_recorded_as_one() -> None:
    some, other = (Request("ollama", "/api/generate", {"prompt": f"Use sk-{letter * 30}1."}) for letter in ("a", "b"))
    assert some.key != other.key
    assert PLAIN.request(some).key == PLAIN.request(other).key


def test_patterns_of_ones_own_replace_their_group_or_their_match() -> None:
    redaction = Redaction(("INT-[0-9]{6}", "badge (?P<secret>[0-9]+)"))
    assert redaction.text("INT-123456 has badge 77.") == "[redacted:custom] has badge [redacted:custom]."


@pytest.mark.parametrize(
    ("pattern", "said"), [("(", "is no regular expression"), ("[0-9]*", "matches where nothing stands")]
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        Redaction((pattern,))


@pytest.mark.parametrize("form", ["tr0ub4dor/& 3", "tr0ub4dor%2F%26%203", "dHIwdWI0ZG9yLyYgMw"])
def test_an_exact_value_is_found_as_it_stands_in_a_url_and_in_base64(form: str) -> None:
    redaction = Redaction(values={"VAULT": "tr0ub4dor/& 3"})
    assert redaction.text(f"it is {form}.") == "it is [redacted:VAULT]."
    assert "tr0ub4dor" not in repr(redaction)


HARMFUL = [
    "a" * 500_000,
    "sk-" * 150_000,
    "-eyJ" * 100_000,
    "eyJ" + "a" * 500_000,
    '\\"' * 250_000,
    '"\\' * 250_000,
    '"' * 500_000,
    "-----BEGIN PRIVATE KEY-----" * 15_000,
    "-----BEGIN PRIVATE KEY-----\n" + "A" * 500_000,
    "://a:" * 100_000,
    "authorization: " * 30_000,
    "password=" * 50_000,
    'password" : "' * 30_000,
    "aws secret " * 40_000,
    "[redacted:x]" * 40_000,
    "&a=a" * 100_000,
    "cookie: a=b;" * 40_000,
    "bearer " * 70_000,
    "basic a" * 70_000,
    "secret" * 80_000,
    "\\" * 500_000,
]


@pytest.mark.parametrize("text", HARMFUL, ids=[f"{text[:16]!r}" for text in HARMFUL])
def test_no_text_takes_longer_than_its_length_allows(text: str) -> None:
    begin = time.process_time()
    PLAIN.text(text)
    assert time.process_time() - begin < 5.0, "half a megabyte takes a second at the most on a slow machine"


PIECES = st.sampled_from([*(text for _, text, _ in PLANTED), "[redacted:x]", '"', "\\", " ", "a", ":", "=", "Bearer "])


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=6).map(" ".join))
@example('password="a[redacted:x]b"')
@example("Authorization: Bearer [redacted:jwt]")
def test_redacting_ends_with_a_text_that_holds_no_secret(text: str) -> None:
    redacted = PLAIN.text(text)
    assert PLAIN.text(redacted) == redacted
    assert MARKER.sub("", redacted).count("sk-ant-api03") == 0
