"""The wire formats: which request a call is, which prompt it holds, how a reply looks."""

from __future__ import annotations

import json

import pytest

from gonogo.model import Message, Prompt, Reply, Request
from gonogo.stub.protocols import error_body, prompt_of, read_request, reply_body

OPERATIONS = {"/api/generate": "ollama", "/api/chat": "ollama", "/v1/chat/completions": "openai"}
MESSAGES = [{"role": "system", "content": "You."}, {"role": "user", "content": "Go."}]


@pytest.mark.parametrize(("operation", "provider"), OPERATIONS.items())
@pytest.mark.parametrize("base", ["http://127.0.0.1:11434", "https://proxy.example/models"])
def test_a_call_to_a_model_is_told_by_its_path(operation: str, provider: str, base: str) -> None:
    found = read_request(f"{base}{operation}?x=1", b'{"model": "m"}')
    assert found == Request(provider, operation, {"model": "m"})


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("http://x/api/embeddings", b"{}"),
        ("http://x/", b"{}"),
        ("http://x/api/generate", b""),
        ("http://x/api/generate", b"{"),
        ("http://x/api/generate", b"[]"),
        ("http://x/api/generate", b"\xff"),
        ("http://x/api/generate", b'{"options": {"top_p": 1e999}}'),
        ("http://x/api/generate", b'{"a": ' * 101 + b"{}" + b"}" * 101),
        ("http://[/api/generate", b"{}"),
    ],
)
def test_any_other_call_is_none(url: str, body: bytes) -> None:
    assert read_request(url, body) is None


def test_a_body_may_be_nested_as_deep_as_any_is() -> None:
    found = read_request("/api/generate", b'{"a": ' * 99 + b"{}" + b"}" * 99)
    assert found is not None
    assert found.key


@pytest.mark.parametrize(
    ("operation", "body", "prompt"),
    [
        ("/api/generate", {"prompt": "Go."}, Prompt.of("Go.")),
        (
            "/api/generate",
            {"prompt": "Go.", "system": "You."},
            Prompt((Message("system", "You."), Message("user", "Go."))),
        ),
        ("/api/generate", {"prompt": "Go.", "system": ""}, Prompt.of("Go.")),
        ("/api/chat", {"messages": MESSAGES}, Prompt((Message("system", "You."), Message("user", "Go.")))),
        ("/v1/chat/completions", {"messages": MESSAGES}, Prompt((Message("system", "You."), Message("user", "Go.")))),
        ("/api/generate", {}, None),
        ("/api/chat", {"messages": [{"role": "user"}]}, None),
        ("/api/chat", {"messages": "text"}, None),
        ("/api/chat", {"messages": None}, None),
        ("/api/other", {}, None),
    ],
)
def test_the_prompt_of_a_request_is_what_the_model_receives(
    operation: str, body: dict[str, object], prompt: Prompt | None
) -> None:
    assert prompt_of(Request("ollama", operation, body)) == prompt  # type: ignore[arg-type]  # plain data


def test_a_prompt_of_messages_reads_as_one_text() -> None:
    found = prompt_of(Request("openai", "/v1/chat/completions", {"messages": MESSAGES}))  # type: ignore[dict-item]  # plain data
    assert found is not None
    assert found.text == "You.\n\nGo."
    assert found.size == 9


@pytest.mark.parametrize("text", ["Straight.", "", "é \U0001f600 \u2028\n"])
def test_a_reply_stands_where_each_provider_puts_it(text: str) -> None:
    def body(operation: str) -> dict[str, object]:
        made = json.loads(
            reply_body(Request(OPERATIONS[operation], operation, {"model": "m", "stream": False}), Reply(text))
        )
        assert made["model"] == "m"
        return dict(made)

    assert body("/api/generate")["response"] == text
    assert body("/api/chat")["message"] == {"role": "assistant", "content": text}
    assert body("/v1/chat/completions")["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    ]


@pytest.mark.parametrize(
    ("ended", "ollama", "openai"),
    [
        ("stop", {"done": True, "done_reason": "stop"}, "stop"),
        ("length", {"done": True, "done_reason": "length"}, "length"),
        (None, {"done": False}, None),
    ],
)
def test_each_provider_says_in_its_own_way_why_a_reply_ended(
    ended: str | None, ollama: dict[str, object], openai: str | None
) -> None:
    for operation in ("/api/generate", "/api/chat"):
        made = json.loads(reply_body(Request("ollama", operation, {"stream": False}), Reply("x"), ended))
        assert {key: value for key, value in made.items() if key.startswith("done")} == ollama
    made = json.loads(reply_body(Request("openai", "/v1/chat/completions", {}), Reply("x"), ended))
    assert made["choices"][0]["finish_reason"] == openai


def test_equal_replies_are_equal_bytes() -> None:
    request = Request("ollama", "/api/chat", {"model": "m"})
    assert reply_body(request, Reply("x")) == reply_body(request, Reply("x"))


def test_an_error_has_the_providers_form() -> None:
    assert json.loads(error_body(Request("ollama", "/api/chat", {}), 500, "no")) == {"error": "no"}
    assert json.loads(error_body(Request("openai", "/v1/chat/completions", {}), 500, "no"))["error"]["message"] == "no"


@pytest.mark.parametrize(("operation", "provider"), OPERATIONS.items())
def test_what_is_internal_stands_beside_an_error_and_not_in_it(operation: str, provider: str) -> None:
    request = Request(provider, operation, {})
    made = json.loads(error_body(request, 500, "no", "line 117"))
    assert made.pop("trace") == "line 117"
    assert made == json.loads(error_body(request, 500, "no"))


def test_a_reply_with_half_a_character_goes_over_the_wire() -> None:
    sent = reply_body(Request("ollama", "/api/generate", {"model": "m", "stream": False}), Reply("half \ud83d"))
    assert json.loads(sent)["response"] == "half \ud83d"
