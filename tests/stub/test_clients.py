"""The clients that applications use, against the served stub: what it says is what they understand."""

from __future__ import annotations

from collections.abc import Callable

import anthropic
import ollama
import openai
import pytest

from gonogo.model import Reply
from gonogo.stub import Script
from gonogo.stub.remote import RemoteStub

TEXT = "Straight and paved."


def of_ollama(url: str, streamed: bool) -> str:
    client = ollama.Client(host=url)
    with client._client:
        assert [one.model for one in client.list().models] == ["llama3.1:8b"]
        assert client.ps().models == []
        assert client.show("llama3.1:8b").capabilities == ["completion", "tools"]
        if streamed:
            return "".join(
                one.message.content or "" for one in client.chat("m", [{"role": "user", "content": "Go."}], stream=True)
            )
        return client.generate("m", "Go.").response or ""


def of_openai(url: str, streamed: bool) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        assert [one.id for one in client.models.list()] == ["llama3.1:8b"]
        if streamed:
            with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "Go."}]) as events:
                return events.get_final_completion().choices[0].message.content or ""
        said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Go."}])
        return said.choices[0].message.content or ""


def of_anthropic(url: str, streamed: bool) -> str:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        assert [one.id for one in client.models.list()] == ["llama3.1:8b"]
        if streamed:
            with client.messages.stream(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "Go."}]
            ) as stream:
                return "".join(stream.text_stream)
        said = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Go."}])
        return "".join(one.text for one in said.content if one.type == "text")


CLIENTS = [of_ollama, of_openai, of_anthropic]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_reads_the_reply(
    url: str, remote: RemoteStub, client: Callable[[str, bool], str], streamed: bool
) -> None:
    remote.expect(script=Script(Reply(TEXT), None))
    assert client(url, streamed) == TEXT
    assert [one.served for one in remote.journal] == ["scripted"]


@pytest.mark.parametrize(
    ("client", "error"),
    [(of_ollama, ollama.ResponseError), (of_openai, openai.NotFoundError), (of_anthropic, anthropic.NotFoundError)],
)
def test_a_client_tells_a_miss_with_its_remedy(
    url: str, remote: RemoteStub, client: Callable[[str, bool], str], error: type[Exception]
) -> None:
    with pytest.raises(error, match="gonogo has no recording for this request; nearest is facts/"):
        client(url, False)
    assert [one.served for one in remote.journal] == [None]
