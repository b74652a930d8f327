"""The model, by way of the official client. Whatever goes wrong with it is a ``ModelProblem``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, DefaultAsyncHttpxClient

__all__ = ["Model", "ModelProblem"]

MOST_BYTES = 1024 * 1024  # of an answer; a model that never ends must not fill the memory


class ModelProblem(Exception):
    """The model gave no answer that can be used: ``kind`` for programs, ``because`` for people, ``tries`` from 1."""

    def __init__(self, kind: str, because: str, tries: int, answer: str | None = None) -> None:
        super().__init__(because)
        self.kind, self.because, self.tries, self.answer = kind, because, tries, answer


@dataclass(frozen=True)
class Model:
    """Asks for chat completions, whole ones; a try that may be repeated is repeated by the client."""

    client: AsyncOpenAI

    @classmethod
    def at(cls, url: str, key: str, timeout: float, retries: int) -> Model:
        """The model that answers at a URL."""
        http = DefaultAsyncHttpxClient(trust_env=False)  # the URL says where it is, no proxy from elsewhere
        return cls(AsyncOpenAI(base_url=url, api_key=key, timeout=timeout, max_retries=retries, http_client=http))

    async def ask(self, model: str, messages: list[Any]) -> tuple[str, int]:
        """The text of the answer, and with which try it came.

        Raises:
            ModelProblem: there is none.
        """
        tries = 1
        asked = self.client.chat.completions.with_streaming_response.create(
            model=model, messages=messages, temperature=0.2
        )
        try:
            async with asked as response:
                tries += response.retries_taken
                content = b""
                async for part in response.iter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise ModelProblem("model-garbled", f"its answer is longer than {MOST_BYTES} bytes", tries)
        except (APITimeoutError, httpx2.TimeoutException) as error:
            raise ModelProblem("model-late", "it did not answer in time", _tries(error, tries)) from error
        except (APIConnectionError, httpx2.TransportError) as error:
            raise ModelProblem("model-away", "the connection to it broke", _tries(error, tries)) from error
        except APIStatusError as error:
            kind = "model-busy" if error.status_code == 429 else "model-refused"
            raise ModelProblem(kind, f"it answered with status {error.status_code}", _tries(error, tries)) from error
        return _text_in(content, tries), tries


def _tries(error: Exception, tries: int) -> int:
    """With which try a request failed: the client counts repetitions in a header of its own."""
    request = getattr(error, "request", None)
    return tries if request is None else int(request.headers.get("x-stainless-retry-count", 0)) + 1


def _text_in(content: bytes, tries: int) -> str:
    try:
        answer = json.loads(content.decode())
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        text.encode()  # half a character could neither be sent nor stored
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelProblem("model-garbled", "its answer is none that this API has", tries) from error
    if not text.strip():
        raise ModelProblem("model-silent", "its answer is empty", tries, text)
    if choice.get("finish_reason") != "stop":
        raise ModelProblem("model-cut-off", "its answer has no end", tries, text)
    return str(text)
