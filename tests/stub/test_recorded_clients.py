"""What the official clients make of a reply: the same behind the recorder and at replay as from the model itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest
from recorded_clients import CALLS, TEXT, recorded_and_replayed

from gonogo.model import Json, Reply

MESSAGES: list[dict[str, str]] = [{"role": "user", "content": "Go."}]
PARAMETERS: dict[str, Json] = {"type": "object", "properties": {"query": {"type": "string"}}}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "search", "description": "d", "parameters": PARAMETERS},
}


def of_ollama(url: str, streamed: bool) -> object:
    client = ollama.Client(host=url)
    chat: Callable[..., Any] = client.chat
    with client._client:
        if streamed:
            return [one.model_dump() for one in chat("m", MESSAGES, tools=[TOOL], stream=True)]
        return chat("m", MESSAGES, tools=[TOOL]).model_dump()


def of_openai(url: str, streamed: bool) -> object:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        create: Callable[..., Any] = client.chat.completions.create
        asked = {"model": "m", "messages": MESSAGES, "tools": [TOOL]}
        if streamed:
            return [one.model_dump() for one in create(**asked, stream=True)]
        return create(**asked).model_dump()


def of_anthropic(url: str, streamed: bool) -> object:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        create: Callable[..., Any] = client.messages.create
        tool = {"name": "search", "description": "d", "input_schema": PARAMETERS}
        asked = {"model": "m", "messages": MESSAGES, "max_tokens": 9, "tools": [tool]}
        if streamed:
            return [one.model_dump() for one in create(**asked, stream=True)]
        return create(**asked).model_dump()


@pytest.mark.parametrize("reply", [TEXT, CALLS], ids=["text", "tool calls"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("client", "provider"), [(of_ollama, "ollama"), (of_openai, "openai"), (of_anthropic, "anthropic")]
)
def test_a_client_is_told_the_same_by_the_model_the_recorder_and_the_recording(
    client: Callable[[str, bool], object], provider: str, streamed: bool, reply: Reply, tmp_path: Path
) -> None:
    found = recorded_and_replayed(client, provider, reply, streamed, tmp_path)
    assert found.model == "m"
