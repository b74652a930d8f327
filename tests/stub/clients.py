"""The clients that applications use, each asked in its own words; only the URL of the stub is set.

litellm is imported when it is first asked: that takes seconds.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import anthropic
import ollama
import openai

__all__ = ["CLIENTS", "MODEL", "Client", "Said"]

MODEL = "m"
_MESSAGES: list[Any] = [{"role": "user", "content": "Go."}]
_SCHEMA = {"type": "object", "properties": {"road": {"type": "string"}}, "additionalProperties": False}
_LOOK_UP = {"name": "look_up", "description": "Looks a road up."}
_FUNCTION: Any = [{"type": "function", "function": {**_LOOK_UP, "parameters": _SCHEMA}}]


@dataclass(frozen=True)
class Said:
    """What a client has read: the text, and the tools to call with their arguments, as the client gives them."""

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Said]) -> Said:
        """Of the parts of a stream: texts one behind the other, all calls."""
        several = list(parts)
        return cls("".join(one.text for one in several), tuple(call for one in several for call in one.calls))


class Client(Protocol):
    """One client.

    Attributes:
        name: by which the documentation names it.
        package: that holds it.
        tools: what asks for tool calls, in its words; none where it has none.
        json: what asks for JSON; none where it has nothing.
        not_found: what it raises for status 404.
        rate_limited: what it raises for status 429.
        attempts: how often it asks until it gives a 404 up.
    """

    name: str
    package: str
    tools: Mapping[str, Any] | None
    json: Mapping[str, Any] | None
    attempts: int

    @property
    def not_found(self) -> type[Exception]: ...

    @property
    def rate_limited(self) -> type[Exception]: ...

    def whole(self, url: str, **more: Any) -> Said: ...

    def streamed(self, url: str, **more: Any) -> Said: ...

    async def whole_async(self, url: str, **more: Any) -> Said: ...

    async def streamed_async(self, url: str, **more: Any) -> Said: ...

    def impatient(self, url: str) -> Said:
        """As ``whole``, without a second attempt."""
        ...

    def models(self, url: str) -> list[str]: ...


class OfOllama:
    name = package = "ollama"
    tools: Mapping[str, Any] | None = {"tools": _FUNCTION}
    json: Mapping[str, Any] | None = {"format": "json"}
    not_found: type[Exception] = ollama.ResponseError
    rate_limited: type[Exception] = ollama.ResponseError
    attempts = 1

    @staticmethod
    def _said(answer: ollama.ChatResponse) -> Said:
        calls = answer.message.tool_calls or ()
        return Said(answer.message.content or "", tuple((one.function.name, one.function.arguments) for one in calls))

    def whole(self, url: str, **more: Any) -> Said:
        with ollama.Client(host=url) as client:
            return self._said(client.chat(MODEL, _MESSAGES, **more))

    impatient = whole

    def streamed(self, url: str, **more: Any) -> Said:
        with ollama.Client(host=url) as client:
            return Said.joined(map(self._said, client.chat(MODEL, _MESSAGES, stream=True, **more)))

    async def whole_async(self, url: str, **more: Any) -> Said:
        async with ollama.AsyncClient(host=url) as client:
            return self._said(await client.chat(MODEL, _MESSAGES, **more))

    async def streamed_async(self, url: str, **more: Any) -> Said:
        async with ollama.AsyncClient(host=url) as client:
            return Said.joined(
                [self._said(one) async for one in await client.chat(MODEL, _MESSAGES, stream=True, **more)]
            )

    def models(self, url: str) -> list[str]:
        with ollama.Client(host=url) as client:
            return [one.model or "" for one in client.list().models]


def _said_by_openai(answer: Any) -> Said:
    message = answer.choices[0].message
    calls = message.tool_calls or ()
    return Said(message.content or "", tuple((one.function.name, one.function.arguments) for one in calls))


class OfOpenAI:
    name = package = "openai"
    tools: Mapping[str, Any] | None = {"tools": _FUNCTION}
    json: Mapping[str, Any] | None = {"response_format": {"type": "json_object"}}
    not_found: type[Exception] = openai.NotFoundError
    rate_limited: type[Exception] = openai.RateLimitError
    attempts = 1

    @staticmethod
    def _client(url: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{url}/v1", api_key="none")

    @staticmethod
    def _async_client(url: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none")

    def whole(self, url: str, **more: Any) -> Said:
        with self._client(url) as client:
            return _said_by_openai(client.chat.completions.create(model=MODEL, messages=_MESSAGES, **more))

    def impatient(self, url: str) -> Said:
        with self._client(url).with_options(max_retries=0) as client:
            return _said_by_openai(client.chat.completions.create(model=MODEL, messages=_MESSAGES))

    def streamed(self, url: str, **more: Any) -> Said:
        with (
            self._client(url) as client,
            client.chat.completions.stream(model=MODEL, messages=_MESSAGES, **more) as events,
        ):
            return _said_by_openai(events.get_final_completion())

    async def whole_async(self, url: str, **more: Any) -> Said:
        async with self._async_client(url) as client:
            return _said_by_openai(await client.chat.completions.create(model=MODEL, messages=_MESSAGES, **more))

    async def streamed_async(self, url: str, **more: Any) -> Said:
        async with (
            self._async_client(url) as client,
            client.chat.completions.stream(model=MODEL, messages=_MESSAGES, **more) as events,
        ):
            return _said_by_openai(await events.get_final_completion())

    def models(self, url: str) -> list[str]:
        with self._client(url) as client:
            return [one.id for one in client.models.list()]


class OfAnthropic:
    name = package = "anthropic"
    tools: Mapping[str, Any] | None = {"tools": [{**_LOOK_UP, "input_schema": _SCHEMA}]}
    json: Mapping[str, Any] | None = {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}}
    not_found: type[Exception] = anthropic.NotFoundError
    rate_limited: type[Exception] = anthropic.RateLimitError
    attempts = 1

    @staticmethod
    def _client(url: str) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=url, api_key="none")

    @staticmethod
    def _async_client(url: str) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=url, api_key="none")

    @staticmethod
    def _said(message: Any) -> Said:
        texts = [one.text for one in message.content if one.type == "text"]
        return Said("".join(texts), tuple((one.name, one.input) for one in message.content if one.type == "tool_use"))

    def whole(self, url: str, **more: Any) -> Said:
        with self._client(url) as client:
            return self._said(client.messages.create(model=MODEL, max_tokens=9, messages=_MESSAGES, **more))

    def impatient(self, url: str) -> Said:
        with self._client(url).with_options(max_retries=0) as client:
            return self._said(client.messages.create(model=MODEL, max_tokens=9, messages=_MESSAGES))

    def streamed(self, url: str, **more: Any) -> Said:
        with (
            self._client(url) as client,
            client.messages.stream(model=MODEL, max_tokens=9, messages=_MESSAGES, **more) as stream,
        ):
            return self._said(stream.get_final_message())

    async def whole_async(self, url: str, **more: Any) -> Said:
        async with self._async_client(url) as client:
            return self._said(await client.messages.create(model=MODEL, max_tokens=9, messages=_MESSAGES, **more))

    async def streamed_async(self, url: str, **more: Any) -> Said:
        async with (
            self._async_client(url) as client,
            client.messages.stream(model=MODEL, max_tokens=9, messages=_MESSAGES, **more) as stream,
        ):
            return self._said(await stream.get_final_message())

    def models(self, url: str) -> list[str]:
        with self._client(url) as client:
            return [one.id for one in client.models.list()]


class OfLiteLLM:
    """litellm, which speaks the protocol of the provider that stands before the model's name."""

    package = "litellm"
    attempts = 3  # it is told to ask twice again, whatever the error

    def __init__(self, provider: str, path: str = "", *, has_tools: bool = True, has_json: bool = True) -> None:
        self.name = f"litellm, `{provider}/`"
        self.tools: Mapping[str, Any] | None = {"tools": _FUNCTION} if has_tools else None
        self.json: Mapping[str, Any] | None = {"response_format": {"type": "json_object"}} if has_json else None
        self._provider, self._path = provider, path

    @cached_property
    def _litellm(self) -> Any:
        return importlib.import_module("litellm")

    @property
    def not_found(self) -> type[Exception]:
        found: type[Exception] = self._litellm.NotFoundError
        return found

    @property
    def rate_limited(self) -> type[Exception]:
        found: type[Exception] = self._litellm.RateLimitError
        return found

    def _words(self, url: str, **more: Any) -> dict[str, Any]:
        return {
            "model": f"{self._provider}/{MODEL}",
            "api_base": f"{url}{self._path}",
            "api_key": "none",
            "messages": _MESSAGES,
            **more,
        }

    def whole(self, url: str, **more: Any) -> Said:
        return _said_by_openai(self._litellm.completion(num_retries=2, **self._words(url, **more)))

    def impatient(self, url: str) -> Said:
        return _said_by_openai(self._litellm.completion(num_retries=0, **self._words(url)))

    def streamed(self, url: str, **more: Any) -> Said:
        chunks = list(self._litellm.completion(stream=True, **self._words(url, **more)))
        return _said_by_openai(self._litellm.stream_chunk_builder(chunks))

    async def whole_async(self, url: str, **more: Any) -> Said:
        return _said_by_openai(await self._litellm.acompletion(**self._words(url, **more)))

    async def streamed_async(self, url: str, **more: Any) -> Said:
        stream: AsyncIterator[Any] = await self._litellm.acompletion(stream=True, **self._words(url, **more))
        return _said_by_openai(self._litellm.stream_chunk_builder([one async for one in stream]))

    def models(self, url: str) -> list[str]:
        provider = self._provider.removesuffix("_chat")
        found = self._litellm.get_valid_models(
            check_provider_endpoint=True, custom_llm_provider=provider, api_key="none", api_base=f"{url}{self._path}"
        )
        return [one.removeprefix(f"{provider}/") for one in found]


CLIENTS: tuple[Client, ...] = (
    OfOllama(),
    OfOpenAI(),
    OfAnthropic(),
    OfLiteLLM("openai", "/v1"),
    OfLiteLLM("ollama_chat"),
    OfLiteLLM("ollama", has_tools=False),
    OfLiteLLM("anthropic", has_json=False),  # sends nothing of it for a model that it does not know
)
