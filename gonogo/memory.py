"""What a call allocates, by ``tracemalloc``: peak, growth over many calls, and where. Run it in a process that times nothing.

Figures are equal to the byte on every run of the same code: two warm-up calls fill the caches, the collector is off, and
one traced call is thrown away, as it still allocates what the tracer itself keeps.
"""

from __future__ import annotations

import gc
import resource
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Growth", "Site", "allocation_sites", "growth", "held", "peak"]

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Site:
    """A line that allocated: ``bytes`` in ``blocks`` still alive when the picture was taken."""

    place: str
    bytes: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes kept after ``calls`` calls; ``series`` has the value at each check. ``calls`` is short where it was stopped."""

    calls: int
    bytes: int
    series: tuple[int, ...]


@contextmanager
def _traced(calls: Sequence[Call]) -> Iterator[None]:
    for call in calls:
        call()
        call()
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    tracemalloc.start(1)
    try:
        for call in calls:
            call()
        yield
    finally:
        tracemalloc.stop()
        if was_enabled:
            gc.enable()


def peak(call: Call, *, repeats: int = 3) -> int:
    """The most bytes that were alive at once during one call, above what was alive before it.

    The smallest of ``repeats`` calls, because a background thread can add to one of them.
    """
    with _traced([call]):
        peaks = []
        for _ in range(repeats):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            call()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        return min(peaks)


def growth(calls: Sequence[Call], *, total: int, every: int, limit: int) -> Growth:
    """Bytes that stay alive after ``total`` calls, taken in turn; looked at every ``every`` calls.

    It ends early at the first look at which more than ``limit`` bytes are still alive after a full collection.

    Raises:
        ValueError: there is nothing to call, or ``total`` asks for no call.
    """
    if not calls:
        raise ValueError("calls is empty; give at least one call")
    if total <= 0:
        raise ValueError(f"total = {total!r} asks for no call; give at least 1")
    with _traced(calls):
        gc.freeze()  # what was alive before needs no second look in each collection below
        try:
            base, _ = tracemalloc.get_traced_memory()
            series: list[int] = []
            for number in range(1, total + 1):
                calls[number % len(calls)]()
                if number % every == 0 or number == total:
                    kept = tracemalloc.get_traced_memory()[0] - base
                    if kept > limit or number == total:
                        gc.collect()
                        kept = tracemalloc.get_traced_memory()[0] - base
                    series.append(kept)
                    if kept > limit:
                        break
            return Growth(number, series[-1], tuple(series))
        finally:
            gc.unfreeze()


def held(calls: Sequence[Call], *, total: int, statm: Path = Path("/proc/self/statm")) -> tuple[int, ...]:
    """Resident bytes of this process before and after ``total`` untraced calls, taken in turn; empty where no system tells (Linux does).

    They stand beside what is traced and decide nothing: the allocator keeps what was freed, and gives it back when it likes.
    Source: field 2 of /proc/self/statm, in pages (proc(5)).
    """

    def resident() -> int:
        return int(statm.read_text().split()[1]) * resource.getpagesize()

    if not statm.exists():
        return ()
    for call in calls:
        call()
        call()
    gc.collect()
    before = resident()
    for number in range(total):
        calls[number % len(calls)]()
    gc.collect()
    return before, resident()


def allocation_sites(call: Call, *, most: int = 10, below: Path | None = None) -> tuple[Site, ...]:
    """The lines whose allocations are still alive while the result of one call is held, the largest first.

    Args:
        call: what to look at.
        most: how many lines.
        below: paths inside this folder are shown relative to it.
    """
    with _traced([call]):
        tracemalloc.clear_traces()
        result = call()
        snapshot = tracemalloc.take_snapshot()
        del result
    own = (tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, __file__))
    sites = []
    for line in snapshot.filter_traces(own).statistics("lineno")[:most]:
        frame = line.traceback[0]
        path = Path(frame.filename)
        shown = path.relative_to(below).as_posix() if below and path.is_relative_to(below) else path.name
        sites.append(Site(f"{shown}:{frame.lineno}", line.size, line.count))
    return tuple(sites)
