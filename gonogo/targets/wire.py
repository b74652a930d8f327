"""Cases, scripts and prompts as plain data and back: what goes over the pipe to a release worker, for both of its ends."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gonogo.model import Case, Frame, Json, Reply
from gonogo.stub import Script
from gonogo.targets.adapter import prompt_from_json, prompt_to_json

__all__ = [
    "case_from_json",
    "case_to_json",
    "prompt_from_json",
    "prompt_to_json",
    "script_from_json",
    "script_to_json",
]


def case_to_json(case: Case) -> dict[str, Json]:
    """What a release needs of a case: title and traits stay behind."""
    return {"id": case.id, "step": case.step, "inputs": dict(case.inputs)}


def case_from_json(data: Mapping[str, Any]) -> Case:
    """The case that ``case_to_json`` wrote."""
    return Case(data["id"], data["step"], MappingProxyType(dict(data["inputs"])))


def script_to_json(script: Script) -> dict[str, Json]:
    """A script as plain data; the bytes of frames in base64."""
    frames: list[Json] = [[frame.offset, base64.b64encode(frame.data).decode("ascii")] for frame in script.reply.frames]
    reply: dict[str, Json] = {"text": script.reply.text, "status": script.reply.status, "frames": frames}
    return {"reply": reply, "model": script.model, "prompt": script.prompt}


def script_from_json(data: Mapping[str, Any]) -> Script:
    """The script that ``script_to_json`` wrote."""
    reply = data["reply"]
    frames = tuple(Frame(offset, base64.b64decode(frame)) for offset, frame in reply["frames"])
    return Script(Reply(reply["text"], reply["status"], frames), data["model"], data["prompt"])
