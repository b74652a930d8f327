"""The stub on the wire: a bare ASGI application, without a framework on the way of a request to the model.

What was asked once is neither parsed nor hashed again: the same bytes to the same path are the same request.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gonogo.model import Frame, Request
from gonogo.recordings import RecordingSet
from gonogo.stub.control import State
from gonogo.stub.faults import FaultPlan, LlmFault
from gonogo.stub.journal import Answer, Exchange, Stub
from gonogo.stub.lease import Lease
from gonogo.stub.protocols import (
    DEEPEST,
    SERVED,
    error_body,
    is_streamed,
    listing,
    operation_at,
    read_request,
)

__all__ = ["CONNECTION", "CONTROL", "FAULT_HEADER", "KnownRequests", "StubApplication"]

CONTROL = "/_gonogo"  # below it lies the control API
CONNECTION = "gonogo.connection"  # the ASGI extension that holds the transport, which faults break
FAULT_HEADER = "x-gonogo-fault"
_FAULT = FAULT_HEADER.encode()
_KNOWN_BYTES = 256 * 1024 * 1024
_DISCARDED = 8  # times the largest body are read and thrown away, so that a client hears why
_OVERHEAD = 1024


class _Left(Exception):
    """The client has left before its request was whole."""


@dataclass(slots=True)
class _Known:
    """A request by its bytes, with the messages that its last answer was sent as."""

    request: Request
    size: int
    answer: Answer | None = None
    messages: tuple[Message, ...] = ()


@dataclass
class KnownRequests:
    """Path and body -> the request that they are; bounded, the oldest make room."""

    most_bytes: int = _KNOWN_BYTES
    size: int = 0
    known: dict[tuple[str, bytes], _Known] = field(default_factory=dict)
    recordings: RecordingSet | None = None

    def read(self, path: str, body: bytes, recordings: RecordingSet) -> _Known | None:
        """The request, or none where the call is no request to a model.

        One that was recorded is the recorded one itself, not another of the same content: of many there is one in memory.
        """
        if recordings is not self.recordings:
            self.known.clear()
            self.size, self.recordings = 0, recordings
        known = self.known.get((path, body))
        if known is None:
            request = read_request(path, body)
            if request is None:
                return None
            size = len(body) + len(path) + _OVERHEAD
            recording = recordings.find(request)
            known = _Known(request, size + len(body)) if recording is None else _Known(recording.request, size)
            if known.size <= self.most_bytes:
                self.known[path, body] = known
                self.size += known.size
            while self.size > self.most_bytes:
                self.size -= self.known.pop(next(iter(self.known))).size
        return known


@dataclass
class StubApplication:
    """What a served stub says to HTTP requests.

    Attributes:
        stub: answers requests to the model.
        lease: who may say what it answers with.
        control: answers what lies below ``/_gonogo``.
        pace: how fast recorded replies come: 1.0 as they were recorded, 2.0 twice as fast; none: without any delay. What a
            fault delays is always as late as the fault says.
        max_body: bytes of the largest body.
        state: counts the calls that were no request to the model.
        requests: what was asked before.
    """

    stub: Stub
    lease: Lease
    control: ASGIApp
    pace: float | None = None
    max_body: int = 8 * 1024 * 1024
    state: State = field(default_factory=State)
    requests: KnownRequests = field(default_factory=KnownRequests)
    _models: tuple[RecordingSet | None, tuple[str, ...]] = (None, ())

    @cached_property
    def stopping(self) -> asyncio.Event:
        """Set when the server stops; a request that only hangs then hangs no longer."""
        return asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path: str = scope["path"]
        try:
            body = await self._body(receive)
        except _Left:
            return
        if body is None:
            await self._too_large(scope, send)
        elif path.startswith(CONTROL):
            await self.control(scope, _replayed(body, receive), send)
        elif scope["method"] == "POST" and (known := self.requests.read(path, body, self.stub.loaded)):
            self.lease.lapse()
            await self._answer(known, scope, receive, send)
        else:
            await self._other(scope, send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or none where it is too large."""
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= self.max_body * _DISCARDED:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Left
            size += len(message["body"])
            if size <= self.max_body:
                parts.append(message["body"])
            more = message["more_body"]
        return b"".join(parts) if size <= self.max_body else None

    async def _answer(self, known: _Known, scope: Scope, receive: Receive, send: Send) -> None:
        asked: FaultPlan | None = None
        for name, value in scope["headers"]:
            if name == _FAULT:
                try:
                    asked = FaultPlan(LlmFault(value.decode("latin-1").strip()))
                except ValueError:
                    await self._no_such_fault(known.request, value, send)
                    return
        answer = self.stub.answer(known.request, asked)
        if answer.fault is not None:
            await self._break(answer, known.request, scope, receive, send)
            return
        if answer is known.answer:
            messages = known.messages
        else:
            messages = _messages(answer, known.request)
            if asked is None and self.stub.plan is None and self.stub.script is None:
                known.answer, known.messages = answer, messages  # faults and scripts make an answer for each request
        if answer.held or self.pace is not None:
            await self._in_time(answer, messages, receive, send)
            return
        for message in messages:
            await send(message)

    async def _in_time(self, answer: Answer, messages: Sequence[Message], receive: Receive, send: Send) -> None:
        """Send an answer as late as its frames say, until it has ended or the client has left."""
        factor = 1.0 if answer.held or self.pace is None else self.pace
        start, *bodies = messages
        offsets = [frame.offset / factor for frame in answer.frames][-len(bodies) :] or [0.0]
        gone = asyncio.ensure_future(receive())
        clock = asyncio.get_running_loop().time
        begin = clock()
        try:
            if await _passed(begin + offsets[0] - clock(), gone):
                return
            await send(start)
            for offset, message in zip(offsets, bodies, strict=True):
                if await _passed(begin + offset - clock(), gone):
                    return
                await send(message)
        finally:
            gone.cancel()

    async def _break(self, answer: Answer, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the connection fail as the fault says.

        A server that listens cannot refuse a single request: REFUSED is a connection that is closed before a byte of an answer.
        """
        assert answer.fault is not None
        transport: asyncio.Transport = scope["extensions"][CONNECTION]
        gone = asyncio.ensure_future(receive())
        try:
            match answer.fault.fault:
                case LlmFault.RESET:
                    connection = transport.get_extra_info("socket")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    transport.abort()
                case LlmFault.TIMEOUT:
                    stopping = asyncio.ensure_future(self.stopping.wait())
                    await asyncio.wait({gone, stopping}, timeout=answer.fault.hang, return_when=asyncio.FIRST_COMPLETED)
                    stopping.cancel()
                case LlmFault.TRUNCATED:
                    for message in _messages(answer, request, cut_off=True):
                        await send(message)
            transport.close()  # what was written goes out first
            await gone  # the server knows that the client is gone, and misses no end of an answer
        finally:
            gone.cancel()

    async def _no_such_fault(self, request: Request, value: bytes, send: Send) -> None:
        known = ", ".join(repr(one.value) for one in LlmFault)
        said = f"{FAULT_HEADER}: {value.decode('latin-1')!r} is no fault; write one of {known}"
        self.stub.journal.append(Exchange(request, None, None, said))
        self.state.refused += 1
        await _send_json(send, 400, error_body(request, 400, said))

    async def _too_large(self, scope: Scope, send: Send) -> None:
        said = f"the body is larger than {self.max_body} bytes; send less, or start the stub with a larger --max-body"
        await self._refuse(scope, send, 413, said)

    async def _other(self, scope: Scope, send: Send) -> None:
        """A call that is no request to the model: which models there are, a body that is none, another path."""
        method, path = scope["method"], scope["path"]
        if method == "POST" and operation_at(path) is not None:
            await self._refuse(
                scope, send, 400, f"the body is no JSON object; send one in UTF-8, of at most {DEEPEST} levels"
            )
            return
        asked = "GET" if method == "HEAD" else method
        body = listing(asked, path, [name.decode("latin-1") for name, _ in scope["headers"]], self._named_models())
        if body is not None:
            await _send_json(send, 200, body)
        elif (asked, path) == ("GET", "/"):
            await _send(send, 200, b"Ollama is running", b"text/plain; charset=utf-8")  # by which clients know Ollama
        else:
            served = ", ".join((*SERVED, CONTROL))
            await self._refuse(scope, send, 404, f"{method} {path} is not served; served are {served}")

    async def _refuse(self, scope: Scope, send: Send, status: int, said: str) -> None:
        method, path = scope["method"], scope["path"]
        self.state.refused += 1
        if not path.startswith(CONTROL):
            self.stub.note_stray(f"{method} {path}", f"was refused: {said}")
        operation = operation_at(path)
        plain = json.dumps({"error": said}).encode()
        body = plain if operation is None else error_body(Request("none", operation, {}), status, said)
        await _send_json(send, status, body, close=status == 413)

    def _named_models(self) -> Sequence[str]:
        """The models that recordings name, each once."""
        recordings = self.stub.loaded
        if self._models[0] is not recordings:
            named = (one.request.body.get("model") for one in recordings.recordings)
            self._models = recordings, tuple(sorted({one for one in named if isinstance(one, str)}))
        return self._models[1]


async def _passed(seconds: float, gone: asyncio.Future[MutableMapping[str, Any]]) -> bool:
    """Whether the client has left within this time."""
    if seconds > 0:
        await asyncio.wait({gone}, timeout=seconds)
    return gone.done()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read already."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


def _messages(answer: Answer, request: Request, *, cut_off: bool = False) -> tuple[Message, ...]:
    """An answer as ASGI messages: one for each frame where a stream was asked for, else one for all.

    ``cut_off``: more is promised than comes.
    """
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    frames = answer.frames or (Frame(0.0, b""),)  # a stream may end before it begins
    if not (is_streamed(request) and answer.status < 400):
        body = answer.body
        headers.append((b"content-length", b"%d" % (len(body) * 2 + 1 if cut_off else len(body))))
        frames = (Frame(0.0, body),)
    last = len(frames) - 1
    return (
        {"type": "http.response.start", "status": answer.status, "headers": headers},
        *(
            {"type": "http.response.body", "body": frame.data, "more_body": cut_off or number < last}
            for number, frame in enumerate(frames)
        ),
    )


async def _send(send: Send, status: int, body: bytes, media_type: bytes, *, close: bool = False) -> None:
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_json(send: Send, status: int, body: bytes, *, close: bool = False) -> None:
    await _send(send, status, body, b"application/json", close=close)
