"""A recorded reply holds no secret in any frame, and is otherwise as it came."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from planted import PLANTED

from gonogo.errors import RecordingError
from gonogo.model import Frame, Json, Reply, Request, ToolCall
from gonogo.redaction import Redaction
from gonogo.stub.protocols import parse_reply, reply_body, reply_frames
from gonogo.stub.redacted import clean_reply

PLAIN = Redaction()
KEY = "sk-" + "proj-" + "aB3dE5gH7jK9mN1pQ2sT4vW6xY8zA0cD"
REQUESTS = [
    Request("ollama", "/api/chat", {"model": "m", "messages": []}),
    Request("ollama", "/api/generate", {"model": "m", "prompt": "", "stream": False}),
    Request("openai", "/v1/chat/completions", {"model": "m", "messages": [], "stream": True}),
    Request("openai", "/v1/chat/completions", {"model": "m", "messages": []}),
    Request("anthropic", "/v1/messages", {"model": "m", "messages": [], "stream": True}),
    Request("anthropic", "/v1/messages", {"model": "m", "messages": []}),
]
IDS = [f"{one.operation}{' streamed' if one.body.get('stream') is True else ''}" for one in REQUESTS]
CHAT, SPOKEN = REQUESTS[0], REQUESTS[2]


def cut_at(body: bytes, size: int) -> list[Frame]:
    return [Frame(start / 1000, body[start : start + size]) for start in range(0, len(body), size)]


def events(*texts: str) -> bytes:
    """A stream of OpenAI's that says these texts, an event each."""
    said: list[Json] = [
        {"model": "m", "choices": [{"index": 0, "delta": {"content": one}, "finish_reason": None}]} for one in texts
    ]
    said.append({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in said) + b"data: [DONE]\n\n"


def joined(frames: Sequence[Frame]) -> bytes:
    return b"".join(one.data for one in frames)


@pytest.mark.parametrize("request_", REQUESTS, ids=IDS)
def test_a_reply_without_secrets_keeps_its_very_frames(request_: Request) -> None:
    frames = cut_at(reply_body(request_, Reply("Straight, and é.", tool_calls=())), 11)
    clean = clean_reply(request_, 200, frames, PLAIN)
    assert clean.reply == Reply("Straight, and é.", 200, tuple(frames))
    assert not clean.remade


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("request_", REQUESTS, ids=IDS)
def test_every_kind_is_taken_out_of_texts_and_tool_calls(request_: Request, size: int) -> None:
    told = "; ".join(text for _, text, _ in PLANTED)
    calls: tuple[ToolCall, ...] = (
        ToolCall("send", {"text": told, "nested": json.dumps({"again": told}), "password": "by its name", "pin": 7}),
    )
    calls = () if request_.operation == "/api/generate" else calls
    frames = cut_at(reply_body(request_, Reply(f"Know that {told}. Done.", tool_calls=calls)), size)
    clean = clean_reply(request_, 200, frames, PLAIN)
    body = joined(clean.reply.frames)
    for _, _, secret in PLANTED:
        for shown in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3]):
            assert shown.encode() not in body
    assert b"by its name" not in body
    parsed = parse_reply(request_, body)
    assert (parsed.text, parsed.tool_calls, parsed.ended) == (
        clean.reply.text,
        clean.reply.tool_calls,
        "tools" if calls else "stop",
    )
    assert parsed.text.startswith("Know that [redacted:openai-key]; [redacted:openai-key]; ")
    assert parsed.text.endswith(" Done.")
    assert not clean.remade
    offsets = [one.offset for one in clean.reply.frames]
    assert set(offsets) <= {one.offset for one in frames}
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("size", range(1, 12))
def test_a_secret_that_comes_letter_by_letter_is_taken_out_and_everything_else_stays(size: int) -> None:
    text = f"The key is {KEY}, keep it."
    body = events(*(text[start : start + size] for start in range(0, len(text), size)))
    frames = [Frame(number / 10, one + b"\n\n") for number, one in enumerate(body.split(b"\n\n")[:-1])]
    clean = clean_reply(SPOKEN, 200, frames, PLAIN)
    assert clean.reply.text == "The key is [redacted:openai-key], keep it."
    assert [one.offset for one in clean.reply.frames] == [one.offset for one in frames]
    assert clean.reply.frames[0] == frames[0]
    assert clean.reply.frames[-1] == frames[-1]


def test_texts_of_other_places_are_read_as_one_each() -> None:
    parts = [
        ("content", KEY[:9]),
        ("reasoning_content", KEY[:14]),
        ("content", KEY[9:]),
        ("reasoning_content", KEY[14:]),
    ]
    said = [
        {"model": "m", "choices": [{"index": index, "delta": {name: text}}]} for index in (0, 1) for name, text in parts
    ]
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in said) + events("")
    clean = clean_reply(SPOKEN, 200, [Frame(0.0, body)], PLAIN)
    left = joined(clean.reply.frames)
    assert left.count(b"[redacted:openai-key]") == 4
    assert KEY[9:].encode() not in left
    assert KEY[14:].encode() not in left


def test_what_repeats_the_reply_as_tokens_is_removed_with_a_secret() -> None:
    generate = Request("ollama", "/api/generate", {"model": "m", "prompt": "x", "stream": False})
    answer = {
        "model": "m",
        "response": f"It is {KEY}.",
        "done": True,
        "context": [1, 2, 3],
        "logprobs": [{"token": "sk"}],
    }
    clean = clean_reply(generate, 200, [Frame(0.0, json.dumps(answer).encode())], PLAIN)
    left = json.loads(joined(clean.reply.frames))
    assert (left["context"], left["logprobs"]) == ([], [])
    answer["response"] = "Nothing."
    frames = [Frame(0.0, json.dumps(answer).encode())]
    assert json.loads(joined(clean_reply(generate, 200, frames, PLAIN).reply.frames))["context"] == [1, 2, 3]
    asked = clean_reply(generate, 200, frames, PLAIN, spoken_of=True)
    assert json.loads(joined(asked.reply.frames))["context"] == []


@pytest.mark.parametrize(
    "body",
    [
        b": " + KEY.encode() + b"\n\n" + events("Said."),
        events("Said.").replace(b'"index": 0', b'"index": 0, "x": "%s", "x": "y"' % KEY.encode(), 1),
        events("Said.").replace(b'"model"', b'"%s": 1, "model"' % KEY.encode(), 1),
    ],
    ids=["in a comment", "under a key that stands there twice", "as a key"],
)
def test_what_cannot_be_replaced_in_its_place_has_the_frames_made_anew(body: bytes) -> None:
    clean = clean_reply(SPOKEN, 200, cut_at(body, 50), PLAIN)
    assert clean.remade
    assert KEY.encode() not in joined(clean.reply.frames)
    assert parse_reply(SPOKEN, joined(clean.reply.frames)).text == clean.reply.text == "Said."
    assert [one.data for one in clean.reply.frames] == [one.data for one in reply_frames(SPOKEN, Reply("Said."))]
    assert clean.reply.frames[-1].offset > 0.1, "at about the recorded times"


def test_a_secret_that_stays_whatever_is_done_is_not_written() -> None:
    with pytest.raises(RecordingError, match="cannot be taken out"):
        # every answer of OpenAI's says what it is
        clean_reply(SPOKEN, 200, [Frame(0.0, b": chat\n\n" + events("Said."))], Redaction(("data",)))


def test_an_error_is_cleaned_as_well() -> None:
    frames = [Frame(0.1, json.dumps({"error": f"no such key: {KEY}"}).encode())]
    clean = clean_reply(CHAT, 401, frames, PLAIN)
    assert clean.reply.text == "no such key: [redacted:openai-key]"
    assert KEY.encode() not in joined(clean.reply.frames)


def test_what_is_no_answer_is_no_reply() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        clean_reply(REQUESTS[-1], 200, [Frame(0.0, b"<html>")], PLAIN)
