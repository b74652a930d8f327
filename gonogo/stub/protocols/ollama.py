"""Ollama: ``/api/generate`` and ``/api/chat``, as NDJSON where streamed (the default).

Source: Ollama's API reference (docs/api.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gonogo.model import Message, Prompt, Reply, ToolCall
from gonogo.stub.protocols.operation import CREATED, Listing, Operation, Parsed, as_bytes, messages_of, pieces_of

__all__ = ["LISTINGS", "OPERATIONS"]

_VERSION = "0.12.0"  # of Ollama, whose interface this is
_DETAILS = {"format": "gguf", "family": "", "families": [], "parameter_size": "", "quantization_level": ""}


def _generate_prompt(body: Mapping[str, Any]) -> Prompt:
    prompt = Message("user", str(body["prompt"]))
    return Prompt((Message("system", str(body["system"])), prompt) if body.get("system") else (prompt,))


def _chat_prompt(body: Mapping[str, Any]) -> Prompt:
    return Prompt(tuple(messages_of(body["messages"])))


def _said_by_generate(text: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    return {"response": text}


def _said_by_chat(text: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [{"function": {"name": one.name, "arguments": dict(one.arguments)}} for one in calls]
    return {"message": message}


def _end(ended: str | None) -> dict[str, Any]:
    return {"done": False} if ended is None else {"done": True, "done_reason": "stop" if ended == "tools" else ended}


def _line(value: Mapping[str, Any]) -> bytes:
    return as_bytes(value) + b"\n"


def _operation(
    prompt: Callable[[Mapping[str, Any]], Prompt], said: Callable[[str, Sequence[ToolCall]], dict[str, Any]]
) -> Operation:
    def whole(body: Mapping[str, Any], reply: Reply, ended: str | None) -> dict[str, Any]:
        head = {"model": body.get("model"), "created_at": CREATED}
        return {**head, **said(reply.text, reply.tool_calls), **_end(ended)}

    def frames(body: Mapping[str, Any], reply: Reply, ended: str | None) -> list[bytes]:
        head = {"model": body.get("model"), "created_at": CREATED}
        made = [{**head, **said(piece, ()), "done": False} for piece in pieces_of(reply.text)]
        if reply.tool_calls:
            made.append({**head, **said("", reply.tool_calls), "done": False})
        if ended is not None:
            made.append({**head, **said("", ()), **_end(ended)})
        return [_line(one) for one in made]

    return Operation(
        provider="ollama",
        prompt=prompt,
        streamed=lambda body: body.get("stream", True) is not False,
        whole=whole,
        frames=frames,
        parse=_parse,
        error=lambda status, message: {"error": message},
        framed=_line,
        stream_type="application/x-ndjson",
    )


def _parse(content: bytes, streamed: bool) -> Parsed:
    objects = [json.loads(line) for line in content.splitlines() if line.strip()] if streamed else [json.loads(content)]
    parsed = Parsed()
    texts: list[str] = []
    calls: list[ToolCall] = []
    for one in objects:
        if "error" in one:
            return Parsed("".join(texts), error=str(one["error"]))
        message = one["message"] if "message" in one else {"content": one["response"]}
        texts.append(str(message.get("content") or ""))
        for call in message.get("tool_calls") or ():
            calls.append(ToolCall(call["function"]["name"], call["function"]["arguments"]))
        ended = str(one.get("done_reason", "stop")) if one.get("done") else None
        parsed = replace(parsed, ended=ended, model=str(one.get("model", "")))
    ended = "tools" if calls and parsed.ended == "stop" else parsed.ended
    return replace(parsed, text="".join(texts), tool_calls=tuple(calls), ended=ended)


def _tags(models: Sequence[str]) -> dict[str, Any]:
    return {
        "models": [
            {"name": one, "model": one, "modified_at": CREATED, "size": 0, "digest": "", "details": _DETAILS}
            for one in models
        ]
    }


def _show() -> dict[str, Any]:
    """What clients ask before they send a prompt; the same of all models, as recordings do not tell more than the name."""
    told = {"modelfile": "", "parameters": "", "template": "{{ .Prompt }}", "model_info": {}}
    return {**told, "details": _DETAILS, "capabilities": ["completion", "tools"], "modified_at": CREATED}


OPERATIONS: Mapping[str, Operation] = {
    "/api/generate": _operation(_generate_prompt, _said_by_generate),
    "/api/chat": _operation(_chat_prompt, _said_by_chat),
}
LISTINGS = (
    Listing("GET", "/api/tags", _tags),
    Listing("GET", "/api/ps", lambda models: {"models": []}),
    Listing("GET", "/api/version", lambda models: {"version": _VERSION}),
    Listing("POST", "/api/show", lambda models: _show()),
)
