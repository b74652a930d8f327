"""A relay on loopback: passes connections on to a service as they are, and breaks them on purpose when it is told to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gonogo.errors import TargetError

__all__ = ["Relay"]

_PIECE = 64 * 1024  # bytes
_LOOK = 0.02  # seconds between two looks at what is under way
_T = TypeVar("_T")


@dataclass(eq=False)
class _Connection:
    """One connection of a user, and the one to the service that it is passed on by.

    ``asked``: something was asked on it, and no byte of an answer has come yet.
    """

    user: asyncio.StreamWriter
    service: asyncio.StreamWriter
    asked: bool = False

    def cut(self) -> None:
        """End both, at once."""
        self.user.transport.abort()
        self.service.transport.abort()


class Relay:
    """Serves on a port of 127.0.0.1, in a thread of its own, what a service serves. ``close`` ends it.

    Args:
        url: of the service, over plain HTTP.
        withheld: a path for which it answers 404 instead of passing the request on; empty: none.

    Raises:
        TargetError: the address is none of a service over plain HTTP, or no port is free.
    """

    def __init__(self, url: str, *, withheld: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise TargetError(f"the stage's url = {url!r} cannot be relayed; write one like http://127.0.0.1:8000")
        self._service = (parts.hostname, parts.port or 80)
        self._path = parts.path
        self._withheld = f"GET {withheld}".encode() if withheld else b""
        self._answer = 0  # the status that fresh connections are answered with; none: they are passed on
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gonogo-relay", daemon=True)
        self._thread.start()
        try:
            self._server = self._done(self._listen(0))
        except TargetError:
            self._stop()
            raise
        self._port = int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where it is, whatever it does."""
        return f"http://127.0.0.1:{self._port}{self._path}"

    def refuse(self, seconds: float) -> None:
        """Accept no connection for a time; those that there are stay.

        Raises:
            TargetError: somebody else has taken its port meanwhile.
        """
        self._done(self._refuse(seconds))

    def cut(self, seconds: float) -> None:
        """For a time, cut each connection on which something was asked and nothing was answered yet."""
        self._done(self._cut(seconds))

    def answer(self, status: int, seconds: float) -> None:
        """Answer each fresh connection with this status, for a time; those that there are go on."""
        self._answer = status
        time.sleep(seconds)
        self._answer = 0

    def close(self) -> None:
        """Listen no more, and cut what there is."""
        self._done(self._end())
        self._stop()

    def _done(self, what: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, port: int) -> asyncio.Server:
        try:
            return await asyncio.start_server(self._take, "127.0.0.1", port)
        except OSError as error:
            raise TargetError(f"nothing can listen on 127.0.0.1:{port} ({error.strerror}); run again") from error

    async def _refuse(self, seconds: float) -> None:
        self._server.close()
        await asyncio.sleep(seconds)
        self._server = await self._listen(self._port)

    async def _cut(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        while self._loop.time() < until:
            for connection in self._connections:
                if connection.asked:
                    connection.cut()
            await asyncio.sleep(_LOOK)

    async def _end(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # either side may go at any time
                if self._answer:
                    await reader.readuntil(b"\r\n\r\n")
                    await _say(writer, self._answer)
                else:
                    await self._pass_on(reader, writer)
        finally:
            await _closed(writer)
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, service = await asyncio.open_connection(*self._service)
        connection = _Connection(writer, service)
        self._connections.add(connection)
        ways = [
            asyncio.create_task(self._ask(reader, connection)),
            asyncio.create_task(self._bring_back(answers, connection)),
        ]
        try:
            # a user who asks no more may still wait for an answer; a service that answers no more is done
            await ways[1]
        finally:
            self._connections.discard(connection)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await _closed(service)

    async def _ask(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        try:
            while piece := await reader.read(_PIECE):
                connection.asked = True
                if self._withheld and piece.startswith(self._withheld):
                    await _say(connection.user, 404)
                    return connection.service.transport.abort()
                connection.service.write(piece)
                await connection.service.drain()
            connection.service.write_eof()
        except OSError:  # one of the two is gone, and nobody waits for an answer any more
            connection.service.transport.abort()

    async def _bring_back(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while piece := await reader.read(_PIECE):
            connection.asked = False
            connection.user.write(piece)
            await connection.user.drain()


async def _say(writer: asyncio.StreamWriter, status: int) -> None:
    writer.write(b"HTTP/1.1 %d Planted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
    await writer.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
