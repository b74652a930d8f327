"""What an answer is written as, and what goes out of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from gonogo.stub.sending import InOnePiece


@dataclass
class Wire(asyncio.Transport):
    """Keeps what happens to it."""

    seen: list[bytes | str] = field(default_factory=list)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.seen.append(bytes(data))

    def close(self) -> None:
        self.seen.append("closed")

    def abort(self) -> None:
        self.seen.append("aborted")


async def in_one_turn(transport: InOnePiece) -> None:
    transport.write(b"head ")
    transport.write(b"body")
    await asyncio.sleep(0)
    transport.write(b" more")


async def much(transport: InOnePiece) -> None:
    transport.write(b"a")
    transport.write(b"b" * 100_000)
    transport.write(b"c")


async def closed(transport: InOnePiece) -> None:
    transport.write(b"last")
    transport.close()


async def aborted(transport: InOnePiece) -> None:
    transport.write(b"last")
    transport.abort()


@pytest.mark.parametrize(
    ("use", "seen"),
    [
        (in_one_turn, [b"head body", b" more"]),
        (much, [b"a" + b"b" * 100_000, b"c"]),
        (closed, [b"last", "closed"]),
        (aborted, ["aborted"]),
    ],
)
def test_what_is_written_before_the_loop_turns_is_one_piece(
    use: Callable[[InOnePiece], Awaitable[None]], seen: list[bytes | str]
) -> None:
    wire = Wire()

    async def run() -> None:
        await use(InOnePiece(wire))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert wire.seen == seen
