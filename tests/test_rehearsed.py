"""What a rehearsal says of swaps, given what users saw."""

from __future__ import annotations

from typing import Any

import pytest

from gonogo.assessment import Assessment
from gonogo.model import Status
from gonogo.probe.account import Account, Failures, Gap, Load, Schedule, Seen, Spread
from gonogo.rehearsed import Fired, Swapped, nothing_is_lost, table_of
from gonogo.triggers import Alarm, Signal, Trigger

BOTH = (Seen("1.9.0", 50, 0.0, 5.0), Seen("2.0.0", 50, 5.0, 10.0))


def account(**changed: Any) -> Account:
    usual: dict[str, Any] = {
        "load": Load("http://127.0.0.1:1"),
        "schedule": Schedule(10.0, 10.0),
        "started": "2026-01-01T00:00:00+00:00",
        "began": 0.0,
        "ended": 10.0,
        "scheduled": 100,
        "answered": 100,
        "failed": 0,
        "unsent": 0,
        "reused": 50,
        "retried": 0,
        "late": 0,
        "lag": Spread(0.001, 0.002, 0.01),
        "latency": Spread(0.01, 0.02, 0.03),
        "worst_wait": 0.03,
        "gap": Gap(5.0, 5.12),
        "releases": BOTH,
    }
    return Account(**{**usual, **changed})


def judged(asked: Account, slow: Account | None = None) -> Assessment:
    return nothing_is_lost(Swapped(3, (1.0, 1.0, 1.0), asked, slow or account()), resolution=0.5)


def test_swaps_in_which_every_request_is_answered_hold_and_the_gap_is_stated() -> None:
    found = judged(account())
    assert found.status is Status.GO
    assert "the longest time without a good answer was 120 ms in 3 swaps" in found.findings[-1].reason
    assert "can tell 110 ms apart" in found.findings[-1].reason


@pytest.mark.parametrize("which", ["reads", "slow runs"])
def test_one_failed_request_is_no_go_with_its_kind_and_moment(which: str) -> None:
    failed = account(answered=99, failed=1, failures=(Failures("connection refused", 1, 5.0, 5.1),))
    found = judged(failed) if which == "reads" else judged(account(), failed)
    assert found.status is Status.NO_GO
    assert f"{which}: 99 of 100 requests had a good answer" in found.lines[0]
    assert "1 connection refused from 5.0 to 5.1 s" in found.lines[0]


def test_a_swap_that_nobody_saw_shows_nothing() -> None:
    found = judged(account(releases=(Seen("1.9.0", 100, 0.0, 10.0),)))
    assert found.status is Status.INCONCLUSIVE
    assert "answered by 1.9.0; no swap was seen" in found.gaps[0]


def test_requests_that_the_probe_could_not_send_show_nothing() -> None:
    found = judged(account(answered=98, failed=2, unsent=2))
    assert found.status is Status.INCONCLUSIVE


def test_a_probe_that_cannot_tell_enough_apart_shows_nothing() -> None:
    found = judged(account(lag=Spread(0.1, 0.5, 0.9)))
    assert found.status is Status.INCONCLUSIVE
    assert "500 ms are asked for" in found.gaps[0]


def test_the_table_says_what_was_not_detected_and_what_only_alerts() -> None:
    errors = Trigger("errors", "Runs fail", Signal.FAILED_RUNS, 0.05, 0.1)
    memory = Trigger("memory", "Memory grows", Signal.MEMORY, 1.5, None)
    fired = [
        Fired(errors, Alarm.ROLLBACK, None, None, Assessment()),
        Fired(memory, Alarm.ALERT, 1.25, None, Assessment()),
    ]
    lines = table_of(fired).splitlines()
    assert lines[1].split() == ["errors", "NOT"]
    assert lines[2].startswith("memory   1.2 s")
    assert "(alert only)" in lines[2]
