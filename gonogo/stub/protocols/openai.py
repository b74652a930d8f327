"""OpenAI: ``/v1/chat/completions``, as server-sent events where streamed.

Source: OpenAI's API reference (chat completions, streaming).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gonogo.model import Prompt, Reply, ToolCall
from gonogo.stub.protocols.operation import Listing, Operation, Parsed, as_bytes, events_of, messages_of, pieces_of

__all__ = ["LISTINGS", "OPERATIONS"]

_HEAD = {"id": "chatcmpl-recorded", "created": 0}
_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_ENDED = {"tools": "tool_calls"}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def _calls(calls: Sequence[ToolCall], *, indexed: bool) -> list[dict[str, Any]]:
    made = []
    for number, one in enumerate(calls):
        function = {"name": one.name, "arguments": json.dumps(dict(one.arguments), ensure_ascii=False)}
        index = {"index": number} if indexed else {}
        made.append({**index, "id": f"call_{number}", "type": "function", "function": function})
    return made


def _finish(ended: str | None) -> str | None:
    return None if ended is None else _ENDED.get(ended, ended)


def _whole(body: Mapping[str, Any], reply: Reply, ended: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.tool_calls:
        message |= {"content": reply.text or None, "tool_calls": _calls(reply.tool_calls, indexed=False)}
    choice = {"index": 0, "message": message, "finish_reason": _finish(ended)}
    head = {**_HEAD, "object": "chat.completion", "model": body.get("model")}
    return {**head, "choices": [choice], "usage": _USAGE}


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + as_bytes(value) + b"\n\n"


def _frames(body: Mapping[str, Any], reply: Reply, ended: str | None) -> list[bytes]:
    head = {**_HEAD, "object": "chat.completion.chunk", "model": body.get("model")}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    made = [chunk({"role": "assistant", "content": ""})]
    made += [chunk({"content": piece}) for piece in pieces_of(reply.text)]
    made += [chunk({"tool_calls": [call]}) for call in _calls(reply.tool_calls, indexed=True)]
    if ended is None:
        return made
    made.append(chunk({}, _finish(ended)))
    if (body.get("stream_options") or {}).get("include_usage"):
        made.append(_event({**head, "choices": [], "usage": _USAGE}))
    return [*made, b"data: [DONE]\n\n"]


def _parse(content: bytes, streamed: bool) -> Parsed:
    return _parse_stream(content) if streamed else _parse_whole(json.loads(content))


def _parse_whole(answer: Mapping[str, Any]) -> Parsed:
    if "error" in answer:
        return Parsed(error=str(answer["error"]["message"]))
    choice = answer["choices"][0]
    message = choice["message"]
    calls = [
        _read_call(one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls") or ()
    ]
    return Parsed(
        message.get("content") or "", tuple(calls), _ended(choice["finish_reason"]), str(answer.get("model", ""))
    )


def _read_call(name: str, arguments: str) -> ToolCall:
    return ToolCall(name, json.loads(arguments or "{}"))


def _ended(finish: str | None) -> str | None:
    return "tools" if finish == "tool_calls" else finish


def _parse_stream(content: bytes) -> Parsed:
    parsed, done = Parsed(), False
    texts: list[str] = []
    calls: dict[int, list[str]] = {}  # index -> name, arguments
    for data in events_of(content):
        if data == "[DONE]":
            done = True
            continue
        one = json.loads(data)
        if "error" in one:
            return Parsed("".join(texts), error=str(one["error"]["message"]))
        parsed = replace(parsed, model=str(one.get("model", "")))
        for choice in one["choices"][:1]:
            delta = choice.get("delta") or {}
            texts.append(delta.get("content") or "")
            for call in delta.get("tool_calls") or ():
                known = calls.setdefault(call.get("index", 0), ["", ""])
                known[0] += call["function"].get("name") or ""
                known[1] += call["function"].get("arguments") or ""
            if choice.get("finish_reason"):
                parsed = replace(parsed, ended=_ended(choice["finish_reason"]))
    if not done:  # cut off before its last line, whatever the last chunk says
        return replace(parsed, text="".join(texts), ended=None)
    read = tuple(_read_call(name, arguments) for name, arguments in calls.values())
    return replace(parsed, text="".join(texts), tool_calls=read)


def _error(status: int, message: str) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _models(models: Sequence[str]) -> dict[str, Any]:
    data = [{"id": one, "object": "model", "created": 0, "owned_by": "recorded"} for one in models]
    return {"object": "list", "data": data}


OPERATIONS: Mapping[str, Operation] = {
    "/v1/chat/completions": Operation(
        provider="openai",
        prompt=lambda body: Prompt(tuple(messages_of(body["messages"]))),
        streamed=lambda body: body.get("stream") is True,
        whole=_whole,
        frames=_frames,
        parse=_parse,
        error=_error,
        framed=_event,
        stream_type="text/event-stream",
    )
}
LISTINGS = (Listing("GET", "/v1/models", _models),)
