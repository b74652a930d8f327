"""A clock of one's own time: sleeping counts, waiting for a processor does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gonogo.clock import OwnClock


@pytest.fixture
def schedstat(tmp_path: Path) -> Path:
    path = tmp_path / "schedstat"
    path.write_text("5000 0 1\n")
    return path


@pytest.fixture
def clock(schedstat: Path) -> Iterator[OwnClock]:
    clock = OwnClock(schedstat)
    yield clock
    clock.close()


def test_time_in_which_the_thread_waited_for_a_processor_is_left_out(
    clock: OwnClock, schedstat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = iter([1_000_000, 9_000_000])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(wall))
    begin = clock.now_ns()
    schedstat.write_text("6000 7000000 2\n")
    assert clock.excludes_waiting
    assert clock.now_ns() - begin == 1_000_000, "8 ms went by, 7 of them in a queue"


def test_whoever_is_pushed_aside_while_the_clock_is_read_loses_no_time_by_it(
    clock: OwnClock, schedstat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call of 1 ms that began like that would have taken -4 ms."""
    wall = iter([6_000_000, 6_100_000, 7_100_000])

    def pushed_aside() -> int:
        schedstat.write_text("6000 5000000 2\n")
        return next(wall)

    monkeypatch.setattr(time, "perf_counter_ns", pushed_aside)
    begin = clock.now_ns()
    assert clock.now_ns() - begin == 1_000_000


def test_sleeping_counts(clock: OwnClock) -> None:
    begin = clock.now_ns()
    time.sleep(0.002)
    assert clock.now_ns() - begin >= 2_000_000


def test_without_the_systems_figures_it_is_the_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = OwnClock(tmp_path / "no such file")
    monkeypatch.setattr(time, "perf_counter_ns", lambda: 42)
    assert not clock.excludes_waiting
    assert clock.now_ns() == 42
    clock.close()


def test_it_may_be_closed_twice(clock: OwnClock) -> None:
    clock.close()
    clock.close()
    assert not clock.excludes_waiting
