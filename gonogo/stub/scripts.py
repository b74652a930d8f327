"""Scripts as plain data and back: over the pipe to a release worker, and over HTTP to a stub that serves."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from gonogo.errors import DefinitionError
from gonogo.model import Frame, Json, Reply, ToolCall
from gonogo.stub.journal import Script

__all__ = ["script_from_json", "script_to_json"]


def script_to_json(script: Script) -> dict[str, Json]:
    """A script as plain data; the bytes of frames in base64."""
    frames: list[Json] = [[frame.offset, base64.b64encode(frame.data).decode("ascii")] for frame in script.reply.frames]
    calls: list[Json] = [[call.name, dict(call.arguments)] for call in script.reply.tool_calls]
    reply: dict[str, Json] = {
        "text": script.reply.text,
        "status": script.reply.status,
        "frames": frames,
        "tool_calls": calls,
    }
    return {"reply": reply, "model": script.model, "prompt": script.prompt}


def script_from_json(data: Mapping[str, Any]) -> Script:
    """The script that ``script_to_json`` wrote, or that somebody else did; only the reply's text must be there.

    Raises:
        DefinitionError: it is none.
    """
    try:
        reply = data["reply"]
        if not isinstance(reply["text"], str):
            raise TypeError(f"text = {reply['text']!r:.40} is no text")
        status = reply.get("status", 200)
        if type(status) is not int or not 100 <= status <= 599:
            raise ValueError(f"status = {status!r:.40} is no status")
        model, prompt = data.get("model"), data.get("prompt")
        if not all(one is None or isinstance(one, str) for one in (model, prompt)):
            raise TypeError("model and prompt are texts, or null for any")
        frames = tuple(
            Frame(float(offset), base64.b64decode(frame, validate=True)) for offset, frame in reply.get("frames", ())
        )
        calls = tuple(ToolCall(str(name), dict(arguments)) for name, arguments in reply.get("tool_calls", ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DefinitionError(
            f'script: {type(error).__name__}: {error}; write {{"reply": {{"text": "..."}}}}, "model" and "prompt"'
        ) from error
    return Script(Reply(reply["text"], status, frames, calls), model, prompt)
