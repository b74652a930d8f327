"""The process that serves a stub: the socket, the server, signals, and recordings that change meanwhile."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gonogo.errors import TargetError
from gonogo.recordings import RecordingSet
from gonogo.stub.control import Control, State, is_loopback
from gonogo.stub.journal import Stub
from gonogo.stub.keeping import BoundedJournal
from gonogo.stub.lease import Lease
from gonogo.stub.library import Library, Loaded
from gonogo.stub.sending import InOnePiece
from gonogo.stub.server import CONNECTION, CONTROL, StubApplication
from gonogo.stub.serving import Server, listening, shown_url, when_stdin_ends

__all__ = ["Settings", "serve"]

_LARGEST_HEAD = 64 * 1024  # bytes of a request's first line and headers
_SHOWN = 5  # recordings that are named where several are not served
_IDLE = 300  # seconds that a connection without a request is kept
_LAST_REQUESTS = 10  # seconds that requests in flight have when the server stops


@dataclass(frozen=True)
class Settings:
    """How a stub is served.

    Attributes:
        folders: of recordings, one release each.
        host: the address to listen on; without a token one of this machine's own.
        port: 0 takes a free one.
        pace: see ``StubApplication``.
        token: what the control API asks for, or none.
        max_body: bytes of the largest body of a request.
        journal_bytes: bytes that the journal keeps, about.
        stop_with_stdin: end when standard input closes.
    """

    folders: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 11434
    pace: float | None = None
    token: str | None = field(default=None, repr=False)
    max_body: int = 8 * 1024 * 1024
    journal_bytes: int = 64 * 1024 * 1024
    stop_with_stdin: bool = False

    def __post_init__(self) -> None:
        """Refuse to be open to others without a token."""
        if self.token is None and not is_loopback(self.host):
            raise TargetError(
                f"the stub would be open to others on {self.host}; keep 127.0.0.1, or put a token into an environment "
                "variable and name it with --token-env"
            )


class _Protocol(HttpToolsProtocol):
    """Lets the application break the connection that a request came on, and bounds the head of a request."""

    _head: int | None = None  # bytes of a head that is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has come."""
        super().connection_made(InOnePiece(transport))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head = 0
        self.scope["extensions"] = {CONNECTION: self.transport}  # type: ignore[dict-item]  # uvicorn knows two levels only

    def on_headers_complete(self) -> None:
        """Its head has ended."""
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > _LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response(f"The headers are larger than {_LARGEST_HEAD} bytes.")


def serve(settings: Settings, say: Callable[[str], None], complain: Callable[[str], None]) -> None:
    """Serve recordings until a signal comes, or standard input closes where that was asked for.

    Args:
        settings: what is served, and where.
        say: told where the stub is, as soon as it listens.
        complain: told what is wrong with recordings, and what is not served of them.

    Raises:
        DefinitionError: the recordings cannot be loaded.
        TargetError: the address cannot be listened on.
    """
    with listening(settings.host, settings.port) as socket_:
        library = Library(settings.folders)
        journal, state = BoundedJournal(settings.journal_bytes), State()
        stub = Stub(_taken(library.load(), complain), journal=journal)
        gc.freeze()  # recordings stay: looking through all of them for garbage would delay requests
        lease = Lease(stub)
        control = Control(stub, journal, lease, state, settings.token).application(CONTROL)
        application = StubApplication(stub, lease, control, pace=settings.pace, max_body=settings.max_body, state=state)
        config = uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE,  # a client that uses a connection again must not find it closed just then
            timeout_graceful_shutdown=_LAST_REQUESTS,
        )
        server = Server(
            config,
            lambda: say(f"gonogo stub: {len(stub.loaded.recordings)} recordings on {shown_url(socket_)}"),
            application.stopping.set,
        )

        def take(found: Loaded | str) -> None:
            if isinstance(found, str):
                state.problem = found
                complain(found)
            else:
                stub.exchange_recordings(_taken(found, complain))
                state.problem = None
                complain(f"{len(found.recordings.recordings)} recordings, loaded anew")

        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, socket_, library.watch(take), settings.stop_with_stdin))


async def _run(
    server: Server, socket_: socket.socket, watch: Coroutine[object, object, None], stop_with_stdin: bool
) -> None:
    if stop_with_stdin:
        when_stdin_ends(server.stop)
    watching = asyncio.ensure_future(watch)
    try:
        await server.serve(sockets=[socket_])
    finally:
        watching.cancel()


def _taken(loaded: Loaded, complain: Callable[[str], None]) -> RecordingSet:
    for folder, ids in loaded.shadowed.items():
        shown = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
        complain(f"{folder}: {len(ids)} not served, as an earlier folder has recordings of the same requests: {shown}")
    return loaded.recordings
