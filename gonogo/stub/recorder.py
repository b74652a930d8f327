"""A proxy between an application and its model: everything goes through unchanged, and what went through is handed on.

A bare ASGI application in front, httpx behind. A chunk of an answer is sent to the client before the next one is awaited.
"""

from __future__ import annotations

import asyncio
import enum
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from gonogo.model import Frame, Request
from gonogo.stub.protocols import error_body, parse_reply, read_request

__all__ = ["Ending", "Limits", "Passed", "Recorder", "Versions"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# Between two neighbours only (RFC 9110, 7.6.1), and what is made anew for the next one.
_NEIGHBOURS = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()
)
_ANEW = frozenset({b"host", b"accept-encoding", b"expect"})
_ANY_OPERATION = {"ollama": "/api/chat", "openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
_FINGERPRINT = re.compile(rb'(?<!\\)"system_fingerprint"\s{0,8}:\s{0,8}"([\w.-]{1,80})"')
_READ_ON = 0.5  # seconds that the end of an answer is waited for when its client has left
_PATIENCE = 5.0  # seconds for questions about versions


class Ending(enum.Enum):
    """How an exchange ended."""

    WHOLE = "the answer ended"
    CLIENT_LEFT = "the client left"
    BROKEN = "the model's server broke off"
    UNREACHABLE = "the model's server cannot be reached"
    STOPPED = "the recorder was stopped"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of the largest bodies that are recorded; larger ones only go through."""

    request: int = 8 * 1024 * 1024
    reply: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Passed:
    """One exchange as it went through.

    Attributes:
        what: method and path, for a reader; never a query, which may hold a key.
        request: to a model, or none: another path, or another provider's.
        status: of the answer; 0 where none came.
        frames: the chunks of the answer as they came, with seconds since the request was sent.
        ending: how it ended.
        unfit: why it cannot be recorded, whatever it says.
        sent: when the request was sent.
        model_version: of the model, as far as its server says.
        server: name and version of the model's server, as far as it says.
    """

    what: str
    request: Request | None
    status: int
    frames: tuple[Frame, ...]
    ending: Ending
    unfit: str
    sent: datetime
    model_version: str = ""
    server: str = ""

    @property
    def body(self) -> bytes:
        """All frames in one piece."""
        return b"".join(frame.data for frame in self.frames)


class _ClientLeft(Exception):
    """While its request was read."""


@dataclass
class _Passing:
    """An exchange that is going through."""

    what: str
    limit: int
    request: Request | None = None
    status: int = 0
    frames: list[Frame] = field(default_factory=list)
    size: int = 0
    ending: Ending = Ending.STOPPED
    unfit: str = ""
    sent: datetime = field(default_factory=lambda: datetime.now(UTC))
    read: asyncio.Event = field(default_factory=asyncio.Event)  # the request's body has been read

    def take(self, data: bytes, offset: float) -> None:
        """One more chunk."""
        self.size += len(data)
        if self.request is None:
            return
        if self.size > self.limit:
            self.unfit = f"the answer is larger than {self.limit} bytes"
            self.frames.clear()
        else:
            self.frames.append(Frame(round(offset, 6), data))

    @property
    def whole(self) -> bool:
        """Whether the model has said that it ended, be the connection still open or not."""
        if self.request is None:
            return False
        try:
            return parse_reply(self.request, b"".join(one.data for one in self.frames), self.status).ended is not None
        except ValueError:
            return False


@dataclass
class Versions:
    """What Ollama says of a model and of itself; each model is asked for once. Other servers say it in their answers."""

    ask: Callable[[str], Awaitable[Mapping[str, Any]]]
    complain: Callable[[str], None]
    _known: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def of(self, model: str) -> tuple[str, str]:
        """The digest of a model, and the server's name with its version; empty where they are not told."""
        if model not in self._known:
            listed, told = await self.ask("/api/tags"), await self.ask("/api/version")
            digest = next((_text(one, "digest") for one in listed.get("models") or () if _names(one, model)), "")
            version = _text(told, "version")
            if not digest:
                self.complain(f"the model's server does not say which version of {model} it runs; recordings name none")
            self._known[model] = digest, f"ollama {version}" if version else ""
        return self._known[model]


def _text(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def _names(entry: Any, model: str) -> bool:
    return _text(entry, "name") in (model, f"{model}:latest")


@dataclass
class Recorder:
    """The proxy.

    Attributes:
        upstream: where the model is; what stands after its host is put before each path.
        provider: whose operations are recorded.
        client: how the model is reached.
        keep: told of every exchange, when it has ended.
        complain: told what a user should know.
    """

    upstream: httpx.URL
    provider: str
    client: httpx.AsyncClient
    keep: Callable[[Passed], None]
    complain: Callable[[str], None]
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Nothing is known of any model yet."""
        self._versions = Versions(self._ask, self.complain)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Let one request through."""
        passing = _Passing(f"{scope['method']} {quote(scope['path'])}", self.limits.reply)
        told = ("", "")
        try:
            await self._pass(passing, scope, receive, send)
            if passing.request is not None and passing.ending in (Ending.WHOLE, Ending.CLIENT_LEFT):
                told = await self._told(passing)
        finally:
            if passing.ending is Ending.CLIENT_LEFT and passing.whole:
                passing.ending = Ending.WHOLE  # it left with all that the model had to say
            self.keep(
                Passed(
                    passing.what,
                    passing.request,
                    passing.status,
                    tuple(passing.frames),
                    passing.ending,
                    passing.unfit,
                    passing.sent,
                    *told,
                )
            )

    async def _pass(self, passing: _Passing, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            content = await self._content(passing, scope, receive)
        except _ClientLeft:
            passing.ending = Ending.CLIENT_LEFT
            return
        request = httpx.Request(
            scope["method"], self._url(scope), headers=_for_upstream(scope["headers"]), content=content
        )
        relaying = asyncio.ensure_future(self._relay(passing, request, send))
        leaving = asyncio.ensure_future(_left(passing, receive))
        try:
            await asyncio.wait({relaying, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not relaying.done() and passing.frames:
                # clients leave as soon as they know enough, which is before the very last event
                await asyncio.wait({relaying}, timeout=_READ_ON)
            if not relaying.done():
                passing.ending = Ending.CLIENT_LEFT
        finally:
            relaying.cancel()
            leaving.cancel()
            await asyncio.wait({relaying, leaving})
        if not relaying.cancelled():
            relaying.result()

    def _url(self, scope: Mapping[str, Any]) -> httpx.URL:
        path = self.upstream.raw_path.rstrip(b"/") + (scope.get("raw_path") or quote(scope["path"]).encode())
        return self.upstream.copy_with(raw_path=path + (b"?" + scope["query_string"] if scope["query_string"] else b""))

    async def _content(
        self, passing: _Passing, scope: Mapping[str, Any], receive: Receive
    ) -> bytes | AsyncIterator[bytes]:
        """The request's body: all of it, or where it is larger than what is recorded, as it comes."""
        begun = bytearray()
        while len(begun) <= self.limits.request:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            begun += message.get("body", b"")
            if not message.get("more_body", False):
                passing.read.set()
                self._recognise(passing, scope, bytes(begun))
                return bytes(begun)
        passing.unfit = f"the request is larger than {self.limits.request} bytes"
        return self._rest(passing, bytes(begun), receive)

    async def _rest(self, passing: _Passing, begun: bytes, receive: Receive) -> AsyncIterator[bytes]:
        yield begun
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            yield message.get("body", b"")
            more = message.get("more_body", False)
        passing.read.set()

    def _recognise(self, passing: _Passing, scope: Mapping[str, Any], body: bytes) -> None:
        request = read_request(scope["path"], body) if scope["method"] == "POST" else None
        if request is not None and request.provider != self.provider:
            passing.unfit = f"it is a request of {request.provider}; give --provider {request.provider} to record it"
        elif request is not None:
            passing.request = request

    async def _relay(self, passing: _Passing, request: httpx.Request, send: Send) -> None:
        begin = time.perf_counter()
        passing.sent = datetime.now(UTC)
        try:
            response = await self.client.send(request, stream=True)
        except _ClientLeft:
            passing.ending = Ending.CLIENT_LEFT
            return
        except httpx.TransportError as error:
            passing.ending = Ending.UNREACHABLE
            passing.unfit = f"{type(error).__name__}: {error}"
            await self._answer_unreachable(passing, send)
            return
        passing.status = response.status_code
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            passing.unfit = "the answer is compressed although that was not asked for"
        headers = _without_neighbours(response.headers.raw)
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.aiter_raw():
                if chunk:
                    passing.take(chunk, time.perf_counter() - begin)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.TransportError as error:
            # the answer stays unfinished, so the server breaks its connection off too, as the client would have seen it
            passing.ending = Ending.BROKEN
            passing.unfit = f"{type(error).__name__}: {error}"
            return
        finally:
            await response.aclose()
        passing.ending = Ending.WHOLE
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _answer_unreachable(self, passing: _Passing, send: Send) -> None:
        asked = passing.request or Request(self.provider, _ANY_OPERATION[self.provider], {})
        body = error_body(asked, 502, f"gonogo record: the model's server cannot be reached: {passing.unfit}")
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 502, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _told(self, passing: _Passing) -> tuple[str, str]:
        """The version of the model and of its server."""
        if self.provider == "ollama":
            model = passing.request.body.get("model") if passing.request else None
            return await self._versions.of(model) if isinstance(model, str) else ("", "")
        found = _FINGERPRINT.search(b"".join(one.data for one in passing.frames))
        return found[1].decode("ascii", "replace") if found else "", ""

    async def _ask(self, path: str) -> Mapping[str, Any]:
        url = self.upstream.copy_with(raw_path=self.upstream.raw_path.rstrip(b"/") + path.encode())
        try:
            answer = (await self.client.get(url, timeout=_PATIENCE)).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return answer if isinstance(answer, dict) else {}


async def _left(passing: _Passing, receive: Receive) -> None:
    """Return when the client has left. Nobody else may wait for its messages meanwhile."""
    await passing.read.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


def _for_upstream(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    kept = [(name, value) for name, value in _without_neighbours(headers) if name not in _ANEW]
    return [*kept, (b"accept-encoding", b"identity")]  # so that frames are text


def _without_neighbours(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    lowered = [(name.lower(), value) for name, value in headers]
    named = {one.strip().lower() for name, value in lowered if name == b"connection" for one in value.split(b",")}
    return [(name, value) for name, value in lowered if name not in _NEIGHBOURS and name not in named]
