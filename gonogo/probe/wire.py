"""One HTTP request over one connection, and what exactly became of it: asyncio and llhttp, nothing in between.

A client library would do, but for two things. Its pool takes longer with every request that waits, so that it could not keep
a schedule just when a service is away; and whether a byte of an answer had come before a connection broke is what decides
about a second try.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from gonogo.errors import TargetError

__all__ = ["Address", "Answer", "Broken", "Connection", "connect", "read_address"]

_LONGEST_RELEASE = 100  # characters
_KINDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ECONNABORTED: "connection reset",
    errno.ETIMEDOUT: "connection timed out",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
}
_OWN_LIMITS = {
    errno.EMFILE: "not sent: too many open files",
    errno.ENFILE: "not sent: too many open files",
    errno.EADDRNOTAVAIL: "not sent: no local port left",
}


class Broken(Exception):
    """There was no answer. ``heard``: a part of one had come; ``unsent``: the request could not even be sent from here."""

    def __init__(self, kind: str, *, heard: bool = False, unsent: bool = False) -> None:
        super().__init__(kind)
        self.kind, self.heard, self.unsent = kind, heard, unsent


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is: a host, a port, with TLS or not, and the path that all others follow.

    ``is_literal``: the host is an address, not a name.
    """

    host: str
    port: int
    tls: bool
    base: str
    is_literal: bool = False

    @property
    def host_header(self) -> str:
        """Host and port as a request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def read_address(text: str) -> Address:
    """The address in a URL.

    Raises:
        TargetError: it is none.
    """
    example = "write one such as http://127.0.0.1:8000"
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
        host.encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise TargetError(f"{text!r} is no URL ({error}); {example}") from error
    if url.username is not None or url.password is not None:
        raise TargetError(
            f"the URL of {host} holds a password; put it into an environment variable and use --token-env"
        )
    if url.scheme not in ("http", "https") or not host or url.query or url.fragment or port == 0:
        raise TargetError(f"{text!r} is not the address of a service; {example}")
    if not (url.path.isascii() and url.path.isprintable()) or " " in text:
        raise TargetError(f"{text!r} holds what no URL may; write it percent-encoded")
    tls = url.scheme == "https"
    return Address(host, port or (443 if tls else 80), tls, url.path.rstrip("/"), _is_literal(host))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that came whole: its status, the release that it tells, and when its last byte came (``time.monotonic``)."""

    status: int
    release: str | None
    done: float


class Connection(asyncio.Protocol):
    """A connection to the service; it carries one request at a time.

    Args:
        release_header: in lower case, or empty.
    """

    def __init__(self, release_header: bytes) -> None:
        self._release_header = release_header
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._bodiless = False
        self._heard = False  # bytes of this answer
        self._bounded = False  # its head says where it ends
        self._ends_with_connection = False
        self._release: str | None = None
        self._status = 0
        self._keeps = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on it, as far as is known here."""
        return self._keeps and self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes, *, bodiless: bool) -> asyncio.Future[Answer]:
        """Send a request; ``bodiless`` where its answer has no body whatever its headers say (HEAD)."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless, self._heard, self._keeps = bodiless, False, False
        if self._transport.is_closing():
            self._fail(Broken("connection closed before an answer"))
        else:
            self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Let go of it; at once where an answer is still awaited."""
        if self._transport is not None:
            waiting, self._answer = self._answer, None
            if waiting is None:
                self._transport.close()
            else:
                self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has all that it takes, and another base

    def data_received(self, data: bytes) -> None:
        """Bytes of the service."""
        if self._answer is None or self._parser is None:  # nobody has asked for them
            self._keeps = False
            self.close()
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._complete(keeps=False)
        except httptools.HttpParserError:
            self._fail(Broken("no HTTP in the answer", heard=True))

    def connection_lost(self, error: Exception | None) -> None:
        """It is no more."""
        if self._answer is None:
            return
        if error is None and self._ends_with_connection:
            self._complete(keeps=False)
        elif isinstance(error, OSError):
            self._fail(Broken(_kind(error), heard=self._heard))
        else:
            kind = "answer cut off" if self._heard else "connection closed before an answer"
            self._fail(Broken(kind, heard=self._heard))

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._release, self._bounded, self._ends_with_connection = None, False, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of it."""
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._bounded = True
        if lower == self._release_header:
            self._release = value.decode("latin-1").strip()[:_LONGEST_RELEASE] or None

    def on_headers_complete(self) -> None:
        """Its head has ended."""
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        self._ends_with_connection = not self._bounded
        if self._bodiless and self._status >= 200:
            self._complete(keeps=self._parser.should_keep_alive())

    def on_message_complete(self) -> None:
        """It has ended."""
        assert self._parser is not None
        if self._status >= 200:  # those before are no answer yet
            self._complete(keeps=self._parser.should_keep_alive())

    def _complete(self, *, keeps: bool) -> None:
        answer, self._answer = self._answer, None
        self._keeps = keeps
        if answer is not None and not answer.done():
            answer.set_result(Answer(self._status, self._release, time.monotonic()))

    def _fail(self, broken: Broken) -> None:
        answer, self._answer = self._answer, None
        if self._transport is not None:
            self._transport.abort()
        if answer is not None and not answer.done():
            answer.set_exception(broken)


async def connect(address: Address, release_header: str, tls: ssl.SSLContext | None) -> Connection:
    """A connection to the first address of the host that takes it.

    Raises:
        Broken: none does.
    """
    loop = asyncio.get_running_loop()
    header = release_header.lower().encode("latin-1", "replace")
    problem: OSError | None = None
    for host in await _hosts(address):
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(header), host, address.port, ssl=tls, server_hostname=address.host if tls else None
            )
            return connection
        except ssl.SSLCertVerificationError as error:
            raise Broken("certificate not trusted") from error
        except ssl.SSLError as error:
            raise Broken("TLS failed") from error
        except OSError as error:
            problem = error
    assert problem is not None
    limit = _OWN_LIMITS.get(problem.errno or 0)
    raise Broken(limit or _kind(problem), unsent=limit is not None) from problem


async def _hosts(address: Address) -> list[str]:
    """The addresses of a host, asked for anew each time: a service may move by its name."""
    if address.is_literal:
        return [address.host]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Broken("name not resolved") from error
    return [str(where[0]) for *_, where in found]


def _kind(error: OSError) -> str:
    return _KINDS.get(error.errno or 0) or f"connection failed: {error.strerror or error}"[:100]
