"""An ASGI application in this process: a thread with an event loop of its own, in which the application lives throughout."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from gonogo.model import Json
from gonogo.targets.http import Answer

__all__ = ["AsgiTransport"]

_Message = MutableMapping[str, Any]
_Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]
_SHUTDOWN = 5.0  # seconds that an application has to end


class AsgiTransport:
    """Calls an ASGI application (ASGI 3.0, HTTP and lifespan), one request after the other, all in one event loop.

    Connections that the application keeps, to its model or its database, so stay usable from call to call. ``close`` lets the
    application shut down.

    Args:
        application: as ``uvicorn`` would be given it.
        headers: sent with every request, such as ``{"Authorization": "Bearer ..."}``.

    Raises:
        RuntimeError: the application does not start.
    """

    def __init__(self, application: _Application, headers: Mapping[str, str] | None = None) -> None:
        self._application = application
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
        ]
        self._state: dict[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._up: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="gonogo-asgi", daemon=True)
        self._thread.start()
        self._up.result()

    def __call__(self, method: str, path: str, body: Json = None) -> Answer:
        """Send a request.

        Raises:
            RuntimeError: the application gave no answer, or has ended.
        """
        if self._loop is None or self._ended.done():
            raise RuntimeError("the application has ended; nothing can be asked any more")
        asked = asyncio.run_coroutine_threadsafe(self._ask(method, path, body), self._loop)
        either: set[Future[Any]] = {asked, self._ended}
        wait(either, return_when=FIRST_COMPLETED)
        if not asked.done() or asked.cancelled():
            self._thread.join()  # what is asked from now on shall find it ended
            raise RuntimeError(f"{method} {path}: the application ended its event loop, as sys.exit() does")
        return asked.result()

    def close(self) -> None:
        """Let the application shut down, and wait for it. May be called twice."""
        if self._loop is not None and self._stopping is not None and not self._ended.done():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with suppress(SystemExit):  # of the application; who waits for it is told below
                asyncio.run(self._live())
        finally:
            if not self._up.done():
                self._up.set_exception(RuntimeError("the application ended its event loop while it started"))
            self._ended.set_result(None)

    async def _live(self) -> None:
        """From start to shutdown. An application that knows no lifespan events raises or returns at once, and is none the worse."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        started: asyncio.Future[str | None] = self._loop.create_future()
        events = iter(({"type": "lifespan.startup"},))

        async def receive() -> _Message:
            if (first := next(events, None)) is not None:
                return first
            assert self._stopping is not None
            await self._stopping.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: _Message) -> None:
            if not started.done():
                failed = message["type"] == "lifespan.startup.failed"
                started.set_result(str(message.get("message") or "it does not say why") if failed else None)

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        alive = _begun(self._application(scope, receive, send))
        either: set[asyncio.Future[Any]] = {alive, started}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if started.done() and (problem := started.result()) is not None:
            self._up.set_exception(RuntimeError(f"the application does not start: {problem}"))
        else:
            self._up.set_result(None)
            await self._stopping.wait()
        await asyncio.wait({alive}, timeout=_SHUTDOWN)

    async def _ask(self, method: str, path: str, body: Json) -> Answer:
        url = urlsplit(path)
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", b"localhost"), *self._headers]
        if body is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(url.path),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            "state": dict(self._state),
        }
        waiting = iter(({"type": "http.request", "body": content, "more_body": False},))
        answered = asyncio.Event()
        status, parts = 0, list[bytes]()

        async def receive() -> _Message:
            if (request := next(waiting, None)) is not None:
                return request
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    answered.set()

        running = _begun(self._application(scope, receive, send))
        await asyncio.wait({running})  # what it does after its answer, too: a suite looks at what is stored
        error = running.exception()
        if answered.is_set():  # as its client sees it; what is raised afterwards stands in a server's log
            return Answer(status, b"".join(parts))
        raise error or RuntimeError(f"{method} {path}: the application ended without an answer")


def _begun(application: Awaitable[None]) -> asyncio.Future[None]:
    """A running application whose exception asyncio does not complain of where nobody asks for it."""

    def asked_for(ended: asyncio.Future[None]) -> None:
        if not ended.cancelled():
            ended.exception()

    begun = asyncio.ensure_future(application)
    begun.add_done_callback(asked_for)
    return begun
