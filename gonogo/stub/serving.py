"""What a server of this package needs of its process: a socket, signals, and an end together with standard input."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from gonogo.errors import TargetError

__all__ = ["Server", "listening", "shown_url", "when_stdin_ends"]


class Server(uvicorn.Server):
    """Says when it listens, and ends with status 0 where a signal ends it."""

    def __init__(
        self, config: uvicorn.Config, on_start: Callable[[], None], on_stop: Callable[[], None] | None = None
    ) -> None:
        super().__init__(config)
        self._on_start, self._on_stop = on_start, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM; uvicorn's own way would raise them again at the end."""
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, self.handle_exit, one, None)
        try:
            yield
        finally:
            for one in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(one)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        super().handle_exit(sig, frame)
        if self._on_stop is not None:
            self._on_stop()

    def stop(self) -> None:
        """Stop after the requests that are in flight."""
        self.handle_exit(signal.SIGTERM, None)


def listening(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """A socket that listens; 0 takes a free port. ``option`` is what another port is chosen with.

    Raises:
        TargetError: the address cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on ({error.strerror or error})"
        raise TargetError(f"{host}:{port} {why}; choose another with {option}, 0 takes a free one") from error


def shown_url(socket_: socket.socket) -> str:
    """The URL of a socket that listens."""
    host, port = socket_.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def when_stdin_ends(stop: Callable[[], object]) -> None:
    """Call ``stop`` in the running loop when standard input closes."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        # the descriptor, not sys.stdin: a thread that waits in there holds a lock that the interpreter wants when it ends
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, daemon=True).start()
