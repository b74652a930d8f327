"""Fewer calls of the system for an answer: head and body, and all frames that come at once, go out in one piece.

uvicorn writes each of them by itself, and each such call takes longer than everything else that the stub does for an answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["InOnePiece"]

_AT_ONCE = 64 * 1024  # bytes that wait at the most


class InOnePiece(asyncio.Transport):
    """Sends in one piece what is written before the loop turns."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send soon; at once where there is much, so that the one who writes is told to wait."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(bytes(data))
        self._size += len(data)
        if self._size > _AT_ONCE:
            self._send()

    def _send(self) -> None:
        if self._written:
            self._transport.write(b"".join(self._written))
            self._written.clear()
            self._size = 0

    def close(self) -> None:
        """Close when everything is sent."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close, whatever is not sent."""
        self._written.clear()
        self._size = 0
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> Any:
        """What the transport knows."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()
