"""The journal of a stub that serves: bounded in bytes and in number, and it counts what falls out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from gonogo.stub.faults import LlmFault
from gonogo.stub.journal import Exchange

__all__ = ["BoundedJournal", "Page"]

_FAULTS = frozenset(one.value for one in LlmFault)
_OVERHEAD = 512  # bytes of an exchange beside its texts, about


@dataclass(frozen=True, slots=True)
class Page:
    """Exchanges from a serial number on.

    ``next`` is the serial number to go on with, ``more`` whether there is something behind it, ``lost`` how many that were
    asked for are kept no longer.
    """

    exchanges: tuple[Exchange, ...]
    next: int
    lost: int
    more: bool = False


@dataclass
class BoundedJournal:
    """Keeps the newest exchanges. Each has a serial number, from 0, that never comes again, whatever falls out.

    Attributes:
        most_bytes: about how many bytes are kept; the newest exchange is kept whatever its size.
        most: how many exchanges are kept.
        requests: all that ever came; also the serial number of the next one. It never falls, nor do the following.
        hits: of these, the requests that a recording answered.
        scripted: the requests that a script answered.
        misses: the requests that nothing answered.
        size: bytes that are kept, about. A request counts in full each time that it comes.
    """

    most_bytes: int = 64 * 1024 * 1024
    most: int = 100_000
    requests: int = 0
    hits: int = 0
    scripted: int = 0
    misses: int = 0
    size: int = 0
    _kept: deque[tuple[int, Exchange]] = field(default_factory=deque, init=False)

    def append(self, exchange: Exchange) -> None:
        """Keep one more; the oldest ones make room."""
        size = _OVERHEAD + exchange.request.size + len(exchange.reply or "") + len(exchange.miss)
        self.requests += 1
        if exchange.served is None:
            self.misses += 1
        elif exchange.served == "scripted":
            self.scripted += 1
        elif exchange.served not in _FAULTS:
            self.hits += 1
        kept = self._kept
        kept.append((size, exchange))
        self.size += size
        while len(kept) > 1 and (self.size > self.most_bytes or len(kept) > self.most):
            self.size -= kept.popleft()[0]

    def clear(self) -> None:
        """Forget all exchanges; what was counted stays."""
        self._kept.clear()
        self.size = 0

    @property
    def lost(self) -> int:
        """How many exchanges are kept no longer."""
        return self.requests - len(self._kept)

    def since(self, serial: int, most_bytes: int | None = None) -> Page:
        """What came from a serial number on, as much as about ``most_bytes`` hold, and at least one exchange."""
        first = self.lost
        found: list[Exchange] = []
        left = self.size if most_bytes is None else most_bytes
        begin = min(max(serial, first), self.requests)
        for size, exchange in islice(self._kept, begin - first, None):
            if found and size > left:
                break
            left -= size
            found.append(exchange)
        end = begin + len(found)
        return Page(tuple(found), end, max(0, begin - serial), end < self.requests)

    def __iter__(self) -> Iterator[Exchange]:
        """From the oldest that is kept to the newest."""
        return (exchange for _, exchange in self._kept)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def __getitem__(self, number: int) -> Exchange:
        """One of those that are kept, from 0; from the newest where negative."""
        return self._kept[number][1]
