"""Anthropic: ``/v1/messages``, as named server-sent events where streamed.

Source: Anthropic's API reference (messages, streaming messages, errors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gonogo.model import Prompt, Reply, ToolCall
from gonogo.stub.protocols.operation import (
    CREATED,
    Listing,
    Operation,
    Parsed,
    as_bytes,
    events_of,
    messages_of,
    pieces_of,
)

__all__ = ["LISTINGS", "OPERATIONS"]

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}
_ENDED = {reason: ended for ended, reason in _REASONS.items()}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def _prompt(body: Mapping[str, Any]) -> Prompt:
    messages = list(messages_of(body["messages"]))
    system = body.get("system")
    if system:
        messages[:0] = messages_of([{"role": "system", "content": system}])
    return Prompt(tuple(messages))


def _message(body: Mapping[str, Any], content: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    head = {"id": "msg_recorded", "type": "message", "role": "assistant", "model": body.get("model")}
    usage = {"input_tokens": 0, "output_tokens": 0}
    return {**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}


def _reason(ended: str | None) -> str | None:
    return None if ended is None else _REASONS.get(ended, ended)


def _whole(body: Mapping[str, Any], reply: Reply, ended: str | None) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if reply.text or not reply.tool_calls:
        content.append({"type": "text", "text": reply.text})
    for number, one in enumerate(reply.tool_calls):
        content.append({"type": "tool_use", "id": f"toolu_{number}", "name": one.name, "input": dict(one.arguments)})
    return _message(body, content, _reason(ended))


def _event(value: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (str(value["type"]).encode(), as_bytes(value))


def _frames(body: Mapping[str, Any], reply: Reply, ended: str | None) -> list[bytes]:
    made = [_event({"type": "message_start", "message": _message(body, [], None)})]

    def block(index: int, begin: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> None:
        made.append(_event({"type": "content_block_start", "index": index, "content_block": begin}))
        made.extend(_event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas)
        made.append(_event({"type": "content_block_stop", "index": index}))

    first = 0
    if reply.text or not reply.tool_calls:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces_of(reply.text)]
        block(0, {"type": "text", "text": ""}, deltas)
        first = 1
    for number, one in enumerate(reply.tool_calls):
        begin = {"type": "tool_use", "id": f"toolu_{number}", "name": one.name, "input": {}}
        arguments = json.dumps(dict(one.arguments), ensure_ascii=False)
        block(first + number, begin, [{"type": "input_json_delta", "partial_json": arguments}])
    if ended is None:
        return made
    delta = {"stop_reason": _reason(ended), "stop_sequence": None}
    made.append(_event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0}}))
    return [*made, _event({"type": "message_stop"})]


def _parse(content: bytes, streamed: bool) -> Parsed:
    return _parse_stream(content) if streamed else _parse_whole(json.loads(content))


def _parse_whole(answer: Mapping[str, Any]) -> Parsed:
    if answer.get("type") == "error":
        return Parsed(error=str(answer["error"]["message"]))
    texts = [one["text"] for one in answer["content"] if one["type"] == "text"]
    calls = [ToolCall(one["name"], one["input"]) for one in answer["content"] if one["type"] == "tool_use"]
    return Parsed("".join(texts), tuple(calls), _ended(answer["stop_reason"]), str(answer.get("model", "")))


def _ended(reason: str | None) -> str | None:
    return None if reason is None else _ENDED.get(reason, reason)


def _parse_stream(content: bytes) -> Parsed:
    parsed, done = Parsed(), False
    texts: list[str] = []
    calls: dict[int, list[str]] = {}  # index -> name, arguments
    for data in events_of(content):
        one = json.loads(data)
        match one["type"]:
            case "error":
                return Parsed("".join(texts), error=str(one["error"]["message"]))
            case "message_start":
                parsed = replace(parsed, model=str(one["message"].get("model", "")))
            case "content_block_start" if one["content_block"]["type"] == "tool_use":
                calls[one["index"]] = [one["content_block"]["name"], ""]
            case "content_block_start":
                texts.append(one["content_block"].get("text", ""))
            case "content_block_delta":
                delta = one["delta"]
                if delta["type"] == "input_json_delta":
                    calls[one["index"]][1] += delta["partial_json"]
                else:
                    texts.append(delta.get("text", ""))
            case "message_delta":
                parsed = replace(parsed, ended=_ended(one["delta"].get("stop_reason")))
            case "message_stop":
                done = True
    if not done:  # cut off before its last event
        return replace(parsed, text="".join(texts), ended=None)
    read = tuple(ToolCall(name, json.loads(arguments or "{}")) for name, arguments in calls.values())
    return replace(parsed, text="".join(texts), tool_calls=read)


def _error(status: int, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": _TYPES.get(status, "api_error"), "message": message}}


def _models(models: Sequence[str]) -> dict[str, Any]:
    data = [{"type": "model", "id": one, "display_name": one, "created_at": CREATED} for one in models]
    first, last = (models[0], models[-1]) if models else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


OPERATIONS: Mapping[str, Operation] = {
    "/v1/messages": Operation(
        provider="anthropic",
        prompt=_prompt,
        streamed=lambda body: body.get("stream") is True,
        whole=_whole,
        frames=_frames,
        parse=_parse,
        error=_error,
        framed=_event,
        stream_type="text/event-stream",
    )
}
LISTINGS = (Listing("GET", "/v1/models", _models, header="anthropic-version"),)
