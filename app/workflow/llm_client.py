"""The language model over HTTP: three APIs, retries, and an error of its own type for everything that can go wrong."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError

from app.errors import (
    LLMBadResponse,
    LLMConnectionError,
    LLMEmptyReply,
    LLMError,
    LLMRateLimited,
    LLMServerError,
    LLMTimeout,
)
from app.settings import Settings

__all__ = ["LLMClient", "Question", "Reply"]

RETRIED_STATUS: Final = frozenset({429, 500, 503})
MAX_ANSWER: Final = 8 * 1024 * 1024  # bytes; the answer of a server that never ends must not fill the memory
CONNECTIONS: Final = 32  # kept open at most; more threads than that open their own


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is asked, and for which step."""

    step: str
    model: str
    prompt: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, with the step, the model and the attempt (from 1) that it came from."""

    text: str
    step: str
    model: str
    attempt: int


@dataclass(frozen=True, slots=True)
class _Api:
    """One way to ask: where, with which body, and where the answer's text stands."""

    path: str
    body: Callable[[Question], dict[str, object]]
    text: Callable[[dict[str, Any]], object]  # may raise LookupError or TypeError
    cut_off: Callable[[dict[str, Any]], bool]


def _generate_body(question: Question) -> dict[str, object]:
    return {
        "model": question.model,
        "prompt": question.prompt,
        "stream": False,
        "options": dict(question.parameters),
    }


def _chat_body(question: Question) -> dict[str, object]:
    return {
        "model": question.model,
        "messages": [{"role": "user", "content": question.prompt}],
        "stream": False,
        "options": dict(question.parameters),
    }


def _openai_body(question: Question) -> dict[str, object]:
    # Ollama's names for what this API has as well; its other options have no counterpart
    same = ("temperature", "seed", "top_p", "stop")
    names = {"num_predict": "max_tokens", **{name: name for name in same}}
    return {
        "model": question.model,
        "messages": [{"role": "user", "content": question.prompt}],
        "stream": False,
        **{names[key]: value for key, value in question.parameters.items() if key in names},
    }


def _ollama_cut_off(answer: dict[str, Any]) -> bool:
    return answer.get("done") is False or answer.get("done_reason") == "length"


def _openai_cut_off(answer: dict[str, Any]) -> bool:
    # null is not the same as left out, as some servers do: it stands there until the reply has ended
    return answer["choices"][0].get("finish_reason", "stop") in ("length", None)


_APIS: Final[Mapping[str, _Api]] = {
    "ollama-generate": _Api("/api/generate", _generate_body, lambda answer: answer["response"], _ollama_cut_off),
    "ollama-chat": _Api("/api/chat", _chat_body, lambda answer: answer["message"]["content"], _ollama_cut_off),
    "openai-chat": _Api(
        "/v1/chat/completions", _openai_body, lambda answer: answer["choices"][0]["message"]["content"], _openai_cut_off
    ),
}


class LLMClient:
    """Asks the model that the settings name. One per application, safe to share between threads."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._api = _APIS[settings.llm_api]
        self._url = settings.llm_base_url + self._api.path
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = False  # the settings say where the model is; no proxy or password from elsewhere
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS))

    def model_for(self, step_model: str) -> str:
        """The model that a step's prompt goes to: the configured one, else the step's own."""
        return self._settings.llm_model or step_model

    def ask(self, question: Question) -> Reply:
        """Ask, and ask again where that may help. Raises LLMError; takes as long as the model does."""
        body = json.dumps(self._api.body(question), ensure_ascii=False).encode()
        attempt = 1
        while True:
            try:
                return self._ask_once(question, body, attempt)
            except _Retryable as failure:
                if attempt > self._settings.llm_retries:
                    raise failure.error from failure.__cause__
                self._wait(attempt, failure.retry_after)
            attempt += 1

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _ask_once(self, question: Question, body: bytes, attempt: int) -> Reply:
        def failed(kind: type[LLMError], cause: str, reply: str | None = None) -> LLMError:
            return kind(cause, step=question.step, model=question.model, attempt=attempt, reply=reply)

        timeout = self._settings.llm_timeout
        try:
            response = self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _at_most(response, MAX_ANSWER)
        except requests.Timeout as error:
            raise failed(LLMTimeout, f"no answer within {timeout:g} s") from error
        except requests.exceptions.ChunkedEncodingError as error:
            root = _root(error)
            if isinstance(root, ConnectionError):
                raise _Retryable(failed(LLMConnectionError, f"the connection broke: {_named(root)}")) from error
            raise failed(LLMBadResponse, "the answer was truncated: the connection closed before its end") from error
        except requests.ConnectionError as error:
            if any(isinstance(argument, ReadTimeoutError) for argument in error.args):
                # requests' name for a timeout after the answer's headers
                raise failed(LLMTimeout, f"the answer stopped for {timeout:g} s") from error
            raise _Retryable(failed(LLMConnectionError, f"no connection: {_named(_root(error))}")) from error
        except requests.RequestException as error:
            raise failed(LLMBadResponse, f"the answer is not HTTP as it should be: {type(error).__name__}") from error

        if response.status_code != 200:
            kind = LLMRateLimited if response.status_code == 429 else LLMServerError
            refusal = failed(kind, f"the model's server answered with status {response.status_code}")
            if response.status_code in RETRIED_STATUS:
                raise _Retryable(refusal, _retry_after(response.headers.get("Retry-After")))
            raise refusal
        if content is None:
            raise failed(LLMBadResponse, f"the answer is longer than {MAX_ANSWER} bytes")
        try:
            text, cut_off = self._read(content)
        except UnicodeDecodeError as error:
            raise failed(LLMBadResponse, f"the answer is not UTF-8 at byte {error.start}") from error
        except _Malformed as error:
            raise failed(LLMBadResponse, str(error)) from error
        if not text.strip():
            raise failed(LLMEmptyReply, "the model's reply is empty", text)
        if cut_off:
            raise failed(
                LLMBadResponse, "the reply is cut off: the model reached its limit of tokens, or has not ended", text
            )
        return Reply(text, question.step, question.model, attempt)

    def _read(self, content: bytes) -> tuple[str, bool]:
        """The reply in an answer, and whether it was cut off. Raises UnicodeDecodeError and _Malformed."""
        try:
            answer = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise _Malformed("the answer is not JSON, or not all of it") from error
        if not isinstance(answer, dict):
            raise _Malformed(f"the answer is a JSON {type(answer).__name__}, not an object")
        if "error" in answer:
            raise _Malformed("the answer is an error message in a body with status 200")
        try:
            text = self._api.text(answer)
            cut_off = self._api.cut_off(answer)
        except (LookupError, TypeError, AttributeError) as error:
            raise _Malformed(f"the answer has no reply where {self._settings.llm_api} has it") from error
        if not isinstance(text, str):
            raise _Malformed(f"the reply is {type(text).__name__}, not text")
        if "\0" in text or not _encodable(text):
            raise _Malformed("the reply holds a NUL character or a lone surrogate, which cannot be stored")
        return text, cut_off

    def _wait(self, attempt: int, retry_after: float | None) -> None:
        backoff = self._settings.llm_backoff
        if backoff > 0:
            wanted = max(backoff * 2 ** (attempt - 1), retry_after or 0.0)
            self._sleep(min(wanted, self._settings.llm_max_wait))


def _at_most(response: requests.Response, limit: int) -> bytes | None:
    """The body of an answer, or None where it is longer; the rest is not read."""
    parts, length = [], 0
    for part in response.iter_content(64 * 1024):
        parts.append(part)
        length += len(part)
        if length > limit:
            return None
    return b"".join(parts)


class _Retryable(Exception):
    """An attempt failed in a way that the next one may not."""

    def __init__(self, error: LLMError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after  # seconds


class _Malformed(Exception):
    """An answer is not what the API promises."""


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _root(error: BaseException) -> BaseException:
    """The innermost cause: what requests and urllib3 wrap around it says nothing more."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number of seconds or a date; None where the header says neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
