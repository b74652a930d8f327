"""A small HTTP service that can be away in several ways, and knows for how long it was."""

from __future__ import annotations

import asyncio
import enum
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = Path(__file__).parent / "targets" / "loopback.pem"
_ANSWER = b"HTTP/1.1 %d Told\r\nContent-Length: 2\r\nX-Release: %s\r\n\r\nok"


class Does(enum.Enum):
    """What becomes of a request."""

    ANSWERS = enum.auto()
    SAYS_503 = enum.auto()
    WAITS = enum.auto()  # nothing is accepted and nothing answered; when it goes on, all of it is
    RESETS = enum.auto()
    IS_CLOSED = enum.auto()  # no socket listens
    BREAKS_OFF = enum.auto()  # half of an answer
    BABBLES = enum.auto()  # no HTTP
    TAKES_ONE = enum.auto()  # the second request on a connection finds it closed
    TAKES_ONE_AND_A_HALF = enum.auto()  # half of the second answer comes
    CLOSES_IDLE = enum.auto()  # a connection is closed right after its answer, without a word about it


@dataclass
class Service:
    """The service; ``said`` are whole answers, in the words of the wire, that replace the usual one, by path."""

    does: Does = Does.ANSWERS
    release: str = "1.9.0"
    takes: float = 0.0  # seconds for an answer
    said: dict[str, bytes] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    most_at_once: int = 0
    away: tuple[float, float] = (0.0, 0.0)  # from, to: by time.monotonic
    _at_once: int = 0
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: socket.socket | None = None
    _accepting: asyncio.Task[None] | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Listen, where it was listened before."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(1024)
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        self._socket = listening
        self._goes_on.set()
        self._accepting = asyncio.create_task(self._accept(listening))

    def end(self) -> None:
        """Listen no more, and break every connection."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._socket is not None:
            self._socket.close()
        for writer in self._open:
            writer.transport.abort()

    async def be_away(self, how: Does, seconds: float) -> None:
        """Be away, and note from when to when."""
        since = time.monotonic()
        if how is Does.WAITS:
            self._goes_on.clear()
        elif how is Does.IS_CLOSED:
            self.end()
        else:
            self.does = how
        await asyncio.sleep(seconds)  # this is what is asked for, not a wait for something
        if how is Does.WAITS:
            self._goes_on.set()
        elif how is Does.IS_CLOSED:
            self.begin()
        else:
            self.does = Does.ANSWERS
        self.away = (since, time.monotonic())

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._goes_on.wait()
            connection, _ = await loop.sock_accept(listening)
            self.connections += 1
            task = asyncio.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        if self.does is Does.RESETS:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self.tls)
        except OSError:  # a client that does not trust the certificate, or has gone
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._open.add(writer)
        try:
            number = 0
            while await self._answer(reader, writer, number):
                number += 1
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """Answer one request of a connection; whether there may be more."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = lines[0].split(" ")
        self.asked.append((f"{method} {path}", headers, body))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        if self.takes:
            await asyncio.sleep(self.takes)
        await self._goes_on.wait()
        self._at_once -= 1
        whole = self.said.get(path) or _ANSWER % (503 if self.does is Does.SAYS_503 else 200, self.release.encode())
        if self.does is Does.RESETS:
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if self.does is Does.TAKES_ONE and number:
            return False
        half = self.does is Does.BREAKS_OFF or (self.does is Does.TAKES_ONE_AND_A_HALF and number > 0)
        if half:
            whole = whole[: len(whole) // 2]
        if self.does is Does.BABBLES:
            whole = b"Good morning!\r\n\r\n"
        writer.write(whole.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else whole)
        await writer.drain()
        return not half and self.does is not Does.CLOSES_IDLE and headers.get("connection") != "close"


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    """The service, in the running loop, until the block ends."""
    service.begin()
    try:
        yield service
    finally:
        service.end()
        for task in service._tasks:
            task.cancel()
        await asyncio.gather(*service._tasks, return_exceptions=True)


@contextmanager
def served(service: Service) -> Iterator[Service]:
    """The service, in a thread, until the block ends."""
    ready, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(service):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
