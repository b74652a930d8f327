"""The process that records: the socket, the proxy, the one thread that writes, and what is said of it all."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from gonogo.capture import Capture, Outcome
from gonogo.errors import DefinitionError, TargetError
from gonogo.stub.recorder import Passed, Recorder
from gonogo.stub.serving import Server, listening, shown_url, when_stdin_ends

__all__ = ["Address", "read_upstream", "serve", "summary"]

_LAST_ANSWERS = 10  # seconds that answers in flight have when the recorder stops
_IDLE = 2.0  # seconds; a server that closes an idle connection sooner would lose a request
_CONNECTING = 10.0  # seconds for a connection to the model; its answer may take as long as it takes


@dataclass(frozen=True, slots=True)
class Address:
    """Where the proxy listens, and where it leads to.

    ``ca``: a file of certificates that an upstream with TLS is trusted by, or none for the usual ones.
    """

    upstream: httpx.URL
    host: str = "127.0.0.1"
    port: int = 11435
    ca: Path | None = None
    stop_with_stdin: bool = False


@dataclass
class _Keeping:
    """Exchanges on their way to the disk, one after the other."""

    capture: Capture
    complain: Callable[[str], None]
    counted: Counter[Outcome] = field(default_factory=Counter)

    def keep(self, passed: Passed) -> None:
        """Record an exchange, and say what became of it."""
        try:
            kept = self.capture.keep(passed)
        except (
            DefinitionError
        ) as error:  # the folder was made unusable by somebody else; what comes later may fare better
            self.counted[Outcome.LEFT_OUT] += 1
            self.complain(f"{passed.what}: not recorded: {error}")
            return
        self.counted[kept.outcome] += 1
        if kept.said:
            self.complain(f"{kept.outcome.value}: {kept.said}")


def read_upstream(text: str) -> httpx.URL:
    """The URL of a model's server.

    Raises:
        TargetError: it is none.
    """
    example = "write one such as http://127.0.0.1:11434"
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise TargetError(f"--upstream: {error}; {example}") from error
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise TargetError(f"--upstream {url.copy_with(userinfo=b'')}: not the address of a server; {example}")
    return url


def serve(
    address: Address, provider: str, capture: Capture, say: Callable[[str], None], complain: Callable[[str], None]
) -> Counter[Outcome]:
    """Record until a signal comes, or standard input closes where that was asked for.

    Args:
        address: where to listen, and where the model is.
        provider: whose requests are recorded.
        capture: where recordings go.
        say: told where the proxy is, as soon as it listens.
        complain: told what became of each exchange.

    Returns:
        What became of the exchanges.

    Raises:
        TargetError: the address cannot be listened on.
        DefinitionError: the file of certificates cannot be used.
    """
    trusted = _trusted(address.ca)
    keeping = _Keeping(capture, complain)
    pending: list[Future[None]] = []
    with listening(address.host, address.port) as socket, ThreadPoolExecutor(max_workers=1) as writer:
        client = httpx.AsyncClient(
            verify=trusted,
            timeout=httpx.Timeout(None, connect=_CONNECTING),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE),
            trust_env=not _is_loopback(
                address.upstream.host
            ),  # a proxy for the outside leads to no model on this machine
        )

        recorder = Recorder(
            address.upstream,
            provider,
            client,
            lambda passed: pending.append(writer.submit(keeping.keep, passed)),
            complain,
        )
        config = uvicorn.Config(
            recorder,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # an answer that breaks off is told by the recorder itself
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS,
        )
        shown = address.upstream.copy_with(userinfo=b"")
        server = Server(
            config, lambda: say(f"gonogo record: {shown_url(socket)} -> {shown}, writing {capture.folder.as_posix()}")
        )

        async def run() -> None:
            if address.stop_with_stdin:
                when_stdin_ends(server.stop)
            async with client:
                await server.serve(sockets=[socket])

        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(run())
    for one in pending:
        one.result()  # raises what was not foreseen
    return keeping.counted


def summary(counted: Counter[Outcome]) -> str:
    """What became of the exchanges, in one line."""
    return ", ".join(f"{outcome.value} {counted[outcome]}" for outcome in Outcome)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _trusted(ca: Path | None) -> ssl.SSLContext | bool:
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise DefinitionError(f"--ca {ca}: no certificates ({error}); give a file of certificates in PEM") from error
