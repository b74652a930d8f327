"""A relay on loopback: passes connections on to a service as they are, and breaks them on purpose when it is told to."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

from gonogo.errors import TargetError

__all__ = ["Relay"]

_PIECE = 64 * 1024  # bytes
_LOOK = 0.02  # seconds between two looks at what is under way, or at whether to end
_PATIENCE = 5.0  # seconds for the head of a request that is not passed on, and for the service to accept


@dataclass(eq=False)
class _Connection:
    """One connection of a user, and the one to the service that it is passed on by.

    ``asked``: something was asked on it, and no byte of an answer has come yet.
    """

    user: socket.socket
    service: socket.socket
    asked: bool = False

    def cut(self) -> None:
        """End both, at once; whoever carries pieces between them finds their ends."""
        for one in (self.user, self.service):
            with suppress(OSError):  # it has ended already
                one.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True  # a port is taken again while connections of before are still there
    request_queue_size = 128


class Relay:
    """Serves on a port of 127.0.0.1, in threads of its own, what a service serves. ``close`` ends it.

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
        self._status = 0  # that fresh connections are answered with; 0: they are passed on
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._ended = False
        self._servers = [self._listening(0)]
        self._port = int(self._servers[0].server_address[1])

    @property
    def url(self) -> str:
        """Where it is, whatever it does."""
        return f"http://127.0.0.1:{self._port}{self._path}"

    def refuse(self, seconds: float) -> None:
        """Accept no connection for a time; those that there are stay.

        Raises:
            TargetError: somebody else has taken its port meanwhile.
        """
        server = self._servers[-1]
        server.shutdown()
        server.socket.close()
        time.sleep(seconds)
        self._servers.append(self._listening(self._port))

    def cut(self, seconds: float) -> None:
        """For a time, cut each connection on which something was asked and nothing was answered yet."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for connection in self._open():
                if connection.asked:
                    connection.cut()
            time.sleep(_LOOK)

    def answer(self, status: int, seconds: float) -> None:
        """Answer each fresh connection with this status, for a time; those that there are go on."""
        self._status = status
        time.sleep(seconds)
        self._status = 0

    def close(self) -> None:
        """Listen no more, cut what there is, and wait for it to end."""
        with self._lock:
            self._ended = True
        self._servers[-1].shutdown()
        for connection in self._open():
            connection.cut()
        for server in self._servers:
            server.server_close()

    def _open(self) -> list[_Connection]:
        with self._lock:
            return list(self._connections)

    def _listening(self, port: int) -> _Server:
        try:
            server = _Server(("127.0.0.1", port), _handler(self._take))
        except OSError as error:
            raise TargetError(f"nothing can listen on 127.0.0.1:{port} ({error.strerror}); run again") from error
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": _LOOK}, name="gonogo-relay", daemon=True
        ).start()
        return server

    def _take(self, user: socket.socket) -> None:
        with suppress(OSError):  # either side may go at any time
            if self._status:
                _say(user, self._status, heard=_head(user))
                return
            with socket.create_connection(self._service, timeout=_PATIENCE) as service:
                service.settimeout(None)
                connection = _Connection(user, service)
                with self._lock:
                    if self._ended:  # whoever ends it would not find this one any more
                        return
                    self._connections.add(connection)
                try:
                    self._carry(connection)
                finally:
                    with self._lock:
                        self._connections.discard(connection)

    def _carry(self, connection: _Connection) -> None:
        """Carry what comes from either side to the other one, until the service says no more."""
        user, service = connection.user, connection.service
        with selectors.DefaultSelector() as sides:
            sides.register(user, selectors.EVENT_READ)
            sides.register(service, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in sides.select()]
                if service in ready:
                    if not (piece := service.recv(_PIECE)):
                        return
                    connection.asked = False
                    user.sendall(piece)
                elif piece := user.recv(_PIECE):
                    connection.asked = True
                    if self._withheld and piece.startswith(self._withheld):
                        _say(user, 404, heard=piece)
                        return
                    service.sendall(piece)
                else:  # who asks no more may still wait for an answer
                    sides.unregister(user)
                    service.shutdown(socket.SHUT_WR)


def _handler(take: Callable[[socket.socket], None]) -> type[BaseRequestHandler]:
    class Handler(BaseRequestHandler):
        def handle(self) -> None:  # the name that socketserver asks for
            take(self.request)

    return Handler


def _head(user: socket.socket) -> bytes:
    """What is asked; as far as it has come when the user goes."""
    user.settimeout(_PATIENCE)
    heard = b""
    while b"\r\n\r\n" not in heard and (piece := user.recv(_PIECE)):
        heard += piece
    return heard


def _say(user: socket.socket, status: int, *, heard: bytes) -> None:
    """Answer what was heard; nothing where nothing was."""
    if heard:
        user.sendall(b"HTTP/1.1 %d Planted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
