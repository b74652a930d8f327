"""The model over HTTP: three APIs, and when and how long is waited between attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from app.errors import LLMBadResponse, LLMEmptyReply, LLMRateLimited
from app.settings import Settings
from app.workflow.llm_client import LLMClient, Question

QUESTION = Question(
    "facts", "llama3.1:8b", "Häuser?", {"temperature": 0.4, "num_predict": 64, "seed": 7, "mirostat": 1}
)


def client(wire: Any, sleeps: list[float] | None = None, **config: object) -> LLMClient:
    settings = Settings.from_mapping({"LLM_BASE_URL": wire.url + "/", "LLM_TIMEOUT": 5, **config})
    return LLMClient(settings, sleep=(sleeps if sleeps is not None else []).append)


APIS: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "ollama-generate": (
        "/api/generate",
        {"prompt": "Häuser?", "options": dict(QUESTION.parameters)},
        {"response": "Ja.", "done": True, "done_reason": "stop"},
    ),
    "ollama-chat": (
        "/api/chat",
        {"messages": [{"role": "user", "content": "Häuser?"}], "options": dict(QUESTION.parameters)},
        {"message": {"role": "assistant", "content": "Ja."}, "done": True},
    ),
    "openai-chat": (
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": "Häuser?"}],
            "temperature": 0.4,
            "max_tokens": 64,
            "seed": 7,
        },
        {"choices": [{"message": {"role": "assistant", "content": "Ja."}, "finish_reason": "stop"}]},
    ),
}


@pytest.mark.parametrize("api", APIS)
def test_each_api_has_its_path_its_body_and_its_place_for_the_reply(wire: Any, http: Any, api: str) -> None:
    path, body, answer = APIS[api]
    wire.script = [http(answer)]
    reply = client(wire, LLM_API=api).ask(QUESTION)
    assert (reply.text, reply.attempt, reply.step, reply.model) == ("Ja.", 1, "facts", "llama3.1:8b")
    assert wire.requests == [(path, {"model": "llama3.1:8b", "stream": False, **body})]


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        ("ollama-chat", {"message": {"content": "J"}, "done_reason": "length"}),
        ("ollama-chat", {"message": {"content": "J"}, "done": False}),
        ("ollama-chat", {"error": "out of memory"}),
        ("openai-chat", {"choices": [{"message": {"content": "J"}, "finish_reason": "length"}]}),
        ("openai-chat", {"choices": [{"message": {"content": "J"}, "finish_reason": None}]}),
        ("openai-chat", {"error": {"message": "out of memory"}, "choices": [{"message": {"content": "J"}}]}),
        ("ollama-chat", {"message": "Ja."}),
        ("openai-chat", {"choices": []}),
        ("openai-chat", {"choices": [{"message": {"content": None}}]}),
        ("openai-chat", {"choices": {"message": 1}}),
    ],
)
def test_an_answer_that_is_not_what_its_api_promises_is_bad(wire: Any, http: Any, api: str, answer: object) -> None:
    wire.script = [http(answer)]
    with pytest.raises(LLMBadResponse):
        client(wire, LLM_API=api).ask(QUESTION)


def test_a_server_that_does_not_say_why_a_reply_ended_is_believed(wire: Any, http: Any) -> None:
    wire.script = [http({"choices": [{"message": {"content": "Ja."}}]}), http({"response": "Ja."})]
    assert client(wire, LLM_API="openai-chat").ask(QUESTION).text == "Ja."
    assert client(wire).ask(QUESTION).text == "Ja."


def test_an_empty_reply_keeps_what_was_said(wire: Any, http: Any) -> None:
    wire.script = [http({"response": " \n"})]
    with pytest.raises(LLMEmptyReply) as caught:
        client(wire).ask(QUESTION)
    assert caught.value.reply == " \n"


def test_the_waits_double_and_have_a_bound(wire: Any, http: Any) -> None:
    sleeps: list[float] = []
    wire.script = [http({}, 500)] * 5 + [http({"response": "Ja."})]
    reply = client(wire, sleeps, LLM_RETRIES=5, LLM_BACKOFF=0.5, LLM_MAX_WAIT=3).ask(QUESTION)
    assert sleeps == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert reply.attempt == 6


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("3", 3, 3),
        ("0", 0.5, 0.5),
        ("9999", 10, 10),
        ("nan", 0.5, 0.5),
        ("soon", 0.5, 0.5),
        ("an hour ago", 0.5, 0.5),
        ("in an hour", 10, 10),
        ("Tue, 01 Jan 2999 00:00:00 -0000", 10, 10),
    ],
)
def test_retry_after_is_honoured_up_to_the_bound(wire: Any, http: Any, header: str, low: float, high: float) -> None:
    sleeps: list[float] = []
    hours = {"an hour ago": -1, "in an hour": 1}
    if header in hours:
        header = format_datetime(datetime.now(UTC) + timedelta(hours=hours[header]))
    wire.script = [http({}, 429, f"Retry-After: {header}\r\n"), http({"response": "Ja."})]
    client(wire, sleeps, LLM_RETRIES=1, LLM_BACKOFF=0.5).ask(QUESTION)
    assert len(sleeps) == 1
    assert low <= sleeps[0] <= high


def test_without_backoff_nothing_is_waited_for(wire: Any, http: Any) -> None:
    sleeps: list[float] = []
    wire.script = [http({}, 429, "Retry-After: 3\r\n")]
    with pytest.raises(LLMRateLimited) as caught:
        client(wire, sleeps, LLM_RETRIES=2, LLM_BACKOFF=0).ask(QUESTION)
    assert sleeps == []
    assert caught.value.attempt == 3


def test_a_proxy_of_the_environment_is_not_used(wire: Any, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    wire.script = [http({"response": "Ja."})]
    assert client(wire).ask(QUESTION).text == "Ja."
