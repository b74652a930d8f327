"""Memory by tracemalloc: the peak of a call, what stays after many, and where."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from gonogo.memory import allocation_sites, growth, held, peak

KIB = 1024


def test_the_peak_is_what_a_call_holds_at_once() -> None:
    found = peak(lambda: bytes(512 * KIB))
    assert 512 * KIB <= found <= 516 * KIB


def test_what_is_let_go_within_a_call_counts_while_it_is_held() -> None:
    def call() -> None:
        bytes(256 * KIB)
        bytes(256 * KIB)

    assert 256 * KIB <= peak(call) <= 300 * KIB


def test_equal_calls_have_equal_peaks() -> None:
    def call() -> list[str]:
        return [f"line {number}" for number in range(1000)]

    assert peak(call) == peak(call)


def test_one_call_that_is_disturbed_does_not_count() -> None:
    sizes = iter([1, 1, 1, 900, 1, 1])

    def call() -> bytes:
        return bytes(KIB * next(sizes))

    assert peak(call) < 10 * KIB


def test_calls_that_keep_nothing_do_not_grow() -> None:
    found = growth([lambda: bytes(KIB)], total=300, every=100, limit=64 * KIB)
    assert found.calls == 300
    assert found.bytes <= KIB
    assert len(found.series) == 3


def test_a_leak_is_stopped_at_the_first_look_that_proves_it() -> None:
    kept: list[bytes] = []
    found = growth([lambda: kept.append(bytes(KIB))], total=10_000, every=100, limit=64 * KIB)
    assert found.calls == 100
    assert found.bytes > 64 * KIB
    assert found.series == (found.bytes,)


def test_a_small_leak_is_seen_at_the_end() -> None:
    kept: list[bytes] = []
    found = growth([lambda: kept.append(bytes(KIB))], total=50, every=100, limit=256 * KIB)
    assert 50 * KIB <= found.bytes <= 60 * KIB
    assert found.calls == 50


def test_cycles_that_the_collector_takes_are_no_leak() -> None:
    def call() -> None:
        cycle: list[object] = [bytes(KIB)]
        cycle.append(cycle)

    found = growth([call], total=400, every=100, limit=64 * KIB)
    assert found.calls == 400
    assert found.bytes <= 8 * KIB


def test_several_calls_take_turns() -> None:
    made: list[int] = []
    growth([lambda: made.append(0), lambda: made.append(1)], total=10, every=5, limit=KIB * KIB)
    assert made.count(0) == made.count(1) == 8, "two warm-up calls, one thrown away, five that count"


@pytest.mark.parametrize("total", [0, -1])
def test_growth_over_no_calls_is_refused(total: int) -> None:
    with pytest.raises(ValueError, match="total"):
        growth([lambda: None], total=total, every=1, limit=0)


def test_growth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="calls"):
        growth([], total=1, every=1, limit=0)


def test_the_lines_that_allocate_most_are_named() -> None:
    here = Path(__file__)

    def call() -> tuple[bytes, bytes]:
        large = bytes(64 * KIB)
        return large, bytes(8 * KIB)

    first, second, *_ = allocation_sites(call, below=here.parent)
    assert first.place == f"{here.name}:{call.__code__.co_firstlineno + 1}"
    assert second.place == f"{here.name}:{call.__code__.co_firstlineno + 2}"
    assert first.bytes >= 64 * KIB
    assert first.blocks == 1
    assert len(allocation_sites(call, most=1)) == 1


@pytest.mark.parametrize("measure", [peak, lambda call: growth([call], total=1, every=1, limit=0), allocation_sites])
def test_what_a_call_raises_comes_through_and_leaves_no_tracer_behind(measure: object) -> None:
    calls = iter(range(100))

    def call() -> None:
        if next(calls) > 2:
            raise KeyError("x")

    enabled = gc.isenabled()
    with pytest.raises(KeyError):
        measure(call)  # type: ignore[operator]  # each takes a call
    assert not tracemalloc.is_tracing()
    assert gc.isenabled() is enabled


def test_what_the_process_holds_grows_with_what_is_kept() -> None:
    kept: list[bytes] = []
    large = 40 * KIB * KIB  # more than 32 MiB come from the system, never from what was given back (mallopt(3))
    before, after = held([lambda: kept.append(b"x" * large)], total=2)
    assert after - before > large, "twice as much was kept"


def test_where_no_system_tells_nothing_is_said(tmp_path: Path) -> None:
    assert held([lambda: None], total=1, statm=tmp_path / "statm") == ()
