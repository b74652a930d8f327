"""Keeps a release from reaching anything but its stub, and remembers what it tried."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from gonogo.errors import OutboundConnection
from gonogo.model import Json

__all__ = ["Gate"]


class Gate:
    """Refuses every outbound connection and remembers it, because an application may swallow the refusal."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        self.refused: list[str] = []
        self._stub = ""  # the URL of one that serves HTTP
        self._stub_at: set[tuple[str, str]] = set()

    def let_through(self, url: str) -> None:
        """Let the release reach a stub that serves HTTP, by its name and by the addresses of it; nothing else there."""
        parts = urlsplit(url)
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port)}
        except OSError:
            addresses = set()  # who asks the stub will say that it cannot be found
        self._stub, self._stub_at = url, {(one, str(port)) for one in {host, *addresses}}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = args[1]
            host, port = (str(address[0]), address[1]) if isinstance(address, tuple) else (str(address), None)
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host, port = str(args[0]), args[1] if len(args) > 1 else None
        else:
            return
        if host not in self.allowed and (host, str(port)) not in self._stub_at:
            self.refused.append(host)
            raise OutboundConnection(
                f"the release tried to reach {host!r}; open to it are {list(self.allowed)}, and its stub {self._way}"
            )

    @property
    def _way(self) -> str:
        return f"at {self._stub}" if self._stub else "by way of requests"

    def stray(self, call: str) -> None:
        """A call over HTTP that no model is asked by."""
        self.refused.append(call)

    def report(self) -> dict[str, Json] | None:
        """The answer that names what the release tried to reach since the last one, or none."""
        if not self.refused:
            return None
        places, self.refused = sorted(set(self.refused)), []
        return {
            "broken": f"the release tried to reach {', '.join(places)}; its stub answers {self._way}",
            "kind": OutboundConnection.__name__,
        }
