"""Scripts as plain data and back."""

from __future__ import annotations

import json
import re

import pytest

from gonogo.errors import DefinitionError
from gonogo.model import Frame, Reply, ToolCall
from gonogo.stub import Script
from gonogo.stub.scripts import script_from_json, script_to_json


@pytest.mark.parametrize(
    "script",
    [
        Script(Reply("Straight."), None),
        Script(Reply("half \ud83d", 503, (Frame(0.5, b"\xff"),)), "llama3.1:8b", "Find facts."),
        Script(Reply("", tool_calls=(ToolCall("look", {"up": ["roads"]}),)), None),
    ],
)
def test_a_script_survives_the_wire(script: Script) -> None:
    assert script_from_json(json.loads(json.dumps(script_to_json(script)))) == script


def test_the_text_of_the_reply_is_enough() -> None:
    assert script_from_json({"reply": {"text": "Straight."}}) == Script(Reply("Straight."), None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "KeyError: 'reply'"),
        ({"reply": "Straight."}, "TypeError"),
        ({"reply": {}}, "KeyError: 'text'"),
        ({"reply": {"text": 3}}, "text = 3 is no text"),
        ({"reply": {"text": "x", "status": 99}}, "status = 99 is no status"),
        ({"reply": {"text": "x", "status": "200"}}, "status = '200' is no status"),
        ({"reply": {"text": "x", "frames": [[0]]}}, "not enough values"),
        ({"reply": {"text": "x", "frames": [[0, "no base64"]]}}, "Error"),
        ({"reply": {"text": "x"}, "model": 3}, "model and prompt are texts, or null for any"),
    ],
)
def test_what_is_no_script_is_refused_with_a_remedy(data: dict[str, object], said: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)) as caught:
        script_from_json(data)
    assert 'write {"reply": {"text": "..."}}' in str(caught.value)
