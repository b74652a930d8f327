"""The wire formats of model providers: which request a call is, which prompt it holds, how a reply looks on the wire.

One module for each provider, of operations that are pure functions over bodies. Another provider is another module, and a
line in ``_PROVIDERS``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import urlsplit

from gonogo.model import Frame, Json, Prompt, Reply, Request
from gonogo.stub.protocols import anthropic, ollama, openai
from gonogo.stub.protocols.operation import Operation, Parsed, as_bytes

__all__ = [
    "DEEPEST",
    "PROVIDERS",
    "SERVED",
    "Parsed",
    "error_body",
    "is_streamed",
    "listing",
    "media_type",
    "operation_at",
    "parse_reply",
    "prompt_of",
    "read_request",
    "reply_body",
    "reply_frames",
]

DEEPEST = 100  # levels of a body
_PROVIDERS = (ollama, openai, anthropic)
_OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {path: operation for provider in _PROVIDERS for path, operation in provider.OPERATIONS.items()}
)
# those that a header tells apart stand before those that take whoever asks
_LISTINGS = sorted((one for provider in _PROVIDERS for one in provider.LISTINGS), key=lambda one: one.header is None)
SERVED = (
    *(f"POST {path}" for path in _OPERATIONS),
    *dict.fromkeys(f"{one.method} {one.path}" for one in _LISTINGS),
)
PROVIDERS = tuple(dict.fromkeys(operation.provider for operation in _OPERATIONS.values()))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def operation_at(url: str) -> str | None:
    """The operation that a URL or a path leads to, whatever stands before it (a proxy's own path); or none."""
    try:
        path = urlsplit(url).path.rstrip("/")
    except ValueError:  # brackets that hold no address
        return None
    return next((known for known in _OPERATIONS if path.endswith(known)), None)


def _is_deep(data: Json) -> bool:
    """Whether a value is nested deeper than any request is. Who reads, compares or sends it on would exceed a limit of Python."""
    level: list[Json] = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def read_request(url: str, body: bytes) -> Request | None:
    """The request to a model that a call is, or none: another path, or a body that is no JSON object.

    One that is nested deeper than ``DEEPEST`` is none either.
    """
    operation = operation_at(url)
    if operation is None:
        return None
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or _is_deep(data):
        return None
    request = Request(_OPERATIONS[operation].provider, operation, data)
    try:
        _ = request.key  # kept from here on
    except ValueError:  # a number such as 1e999, which Python reads as infinite
        return None
    return request


def prompt_of(request: Request) -> Prompt | None:
    """The prompt that a request holds, or none where the body is not formed as its operation asks."""
    try:
        return _OPERATIONS[request.operation].prompt(request.body)
    except (KeyError, TypeError, AttributeError):
        return None


def is_streamed(request: Request) -> bool:
    """Whether the request asks for a stream."""
    return _OPERATIONS[request.operation].streamed(request.body)


def media_type(request: Request, status: int = 200) -> str:
    """The media type of the answer; an error is never a stream."""
    streamed = is_streamed(request) and status < 400
    return _OPERATIONS[request.operation].stream_type if streamed else "application/json"


def reply_frames(request: Request, reply: Reply, ended: str | None = "stop") -> tuple[Frame, ...]:
    """The reply as the provider sends it: the recorded frames where there are any, else made from the text, without delay.

    ``ended`` is why the model wrote no more: ``stop`` or ``length``, by one name with all providers; none: it has not ended.
    """
    if reply.frames:
        return reply.frames
    operation = _OPERATIONS[request.operation]
    if ended == "stop" and reply.tool_calls:
        ended = "tools"
    if reply.status >= 400:
        return (Frame(0.0, error_body(request, reply.status, reply.text)),)
    if operation.streamed(request.body):
        return tuple(Frame(0.0, data) for data in operation.frames(request.body, reply, ended))
    return (Frame(0.0, as_bytes(operation.whole(request.body, reply, ended))),)


def reply_body(request: Request, reply: Reply, ended: str | None = "stop") -> bytes:
    """All frames of a reply in one piece; see ``reply_frames``."""
    return b"".join(frame.data for frame in reply_frames(request, reply, ended))


def parse_reply(request: Request, body: bytes, status: int = 200) -> Parsed:
    """What a client makes of an answer.

    Raises:
        ValueError: it is no answer to this request.
    """
    operation = _OPERATIONS[request.operation]
    try:
        return operation.parse(body, operation.streamed(request.body) and status < 400)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not formed as {request.operation} answers: {type(error).__name__}: {error}") from error


def error_body(request: Request, status: int, message: str, internal: str | None = None) -> bytes:
    """An error in the provider's own format; with something internal beside it, as a server in debug mode tells it.

    An error with status 200 comes as a frame of the stream where the request asks for one.
    """
    operation = _OPERATIONS[request.operation]
    error = operation.error(status, message)
    whole = error if internal is None else {**error, "trace": internal}
    return operation.framed(whole) if status < 400 and is_streamed(request) else as_bytes(whole)


def listing(method: str, path: str, headers: Sequence[str], models: Sequence[str]) -> bytes | None:
    """The answer to a question that is no request to a model, such as which models there are; none for any other.

    Args:
        method: of the call.
        path: of the call.
        headers: names of its headers, in lower case.
        models: names of the models that the recordings name.
    """
    for one in _LISTINGS:
        if (method, path.rstrip("/")) == (one.method, one.path) and (one.header is None or one.header in headers):
            return as_bytes(one.body(models))
    return None
