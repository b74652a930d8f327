"""The wire formats of model providers: which request this is, what prompt it holds, how a reply looks on the wire.

Sources: Ollama's API reference (``/api/generate``, ``/api/chat``); OpenAI's API reference (chat completions).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from gonogo.model import Message, Prompt, Reply, Request

__all__ = ["error_body", "prompt_of", "read_request", "reply_body"]

_CREATED = "2026-01-01T00:00:00Z"  # fixed, so that equal replies are equal bytes


@dataclass(frozen=True, slots=True)
class _Operation:
    provider: str
    prompt: Callable[[Mapping[str, Any]], Prompt]
    reply: Callable[[Mapping[str, Any], str, str | None], dict[str, Any]]
    error: Callable[[str], dict[str, Any]]


def _messages(body: Mapping[str, Any]) -> Prompt:
    return Prompt(tuple(Message(str(one["role"]), str(one["content"])) for one in body["messages"]))


def _generate_prompt(body: Mapping[str, Any]) -> Prompt:
    prompt = Message("user", str(body["prompt"]))
    return Prompt((Message("system", str(body["system"])), prompt) if body.get("system") else (prompt,))


def _ollama_generate(body: Mapping[str, Any], text: str, ended: str | None) -> dict[str, Any]:
    return {"model": body.get("model"), "created_at": _CREATED, "response": text, **_ollama_end(ended)}


def _ollama_chat(body: Mapping[str, Any], text: str, ended: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": body.get("model"), "created_at": _CREATED, "message": message, **_ollama_end(ended)}


def _ollama_end(ended: str | None) -> dict[str, Any]:
    return {"done": False} if ended is None else {"done": True, "done_reason": ended}


def _openai_chat(body: Mapping[str, Any], text: str, ended: str | None) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ended}
    return {
        "id": "chatcmpl-recorded",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model"),
        "choices": [choice],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def _ollama_error(message: str) -> dict[str, Any]:
    return {"error": message}


def _openai_error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


_OPERATIONS: Mapping[str, _Operation] = MappingProxyType(
    {
        "/api/generate": _Operation("ollama", _generate_prompt, _ollama_generate, _ollama_error),
        "/api/chat": _Operation("ollama", _messages, _ollama_chat, _ollama_error),
        "/v1/chat/completions": _Operation("openai", _messages, _openai_chat, _openai_error),
    }
)


def read_request(url: str, body: bytes) -> Request | None:
    """The request to a model that a call is, or none where it is not one that this stub knows."""
    path = urlsplit(url).path
    operation = next((one for one in _OPERATIONS if path.endswith(one)), None)
    if operation is None:
        return None
    try:
        data = json.loads(body)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return Request(_OPERATIONS[operation].provider, operation, data)


def prompt_of(request: Request) -> Prompt | None:
    """The prompt that a request holds, or none where the body is not formed as its operation asks."""
    try:
        return _OPERATIONS[request.operation].prompt(request.body)
    except (KeyError, TypeError):
        return None


def reply_body(request: Request, reply: Reply, ended: str | None = "stop") -> bytes:
    """The reply as the provider sends it: the recorded frames where there are any, else made from the text.

    ``ended`` is why the model wrote no more: ``stop`` or ``length``, by one name with all providers; none: it has not ended.
    """
    if reply.frames:
        return b"".join(frame.data for frame in reply.frames)
    made = json.dumps(_OPERATIONS[request.operation].reply(request.body, reply.text, ended), ensure_ascii=False)
    return made.encode("utf-8", "backslashreplace")  # half a character becomes the escape that JSON has for it


def error_body(request: Request, message: str, internal: str | None = None) -> bytes:
    """An error in the provider's own format; with something internal beside it, as a server in debug mode tells it."""
    error = _OPERATIONS[request.operation].error(message)
    return json.dumps(error if internal is None else {**error, "trace": internal}, ensure_ascii=False).encode()
