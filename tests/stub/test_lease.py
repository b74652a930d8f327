"""Who has the stub: one at a time, until time is over."""

from __future__ import annotations

import pytest

from gonogo.model import Reply
from gonogo.recordings import RecordingSet
from gonogo.stub import FaultPlan, LlmFault, Script, Stub
from gonogo.stub.lease import Lease

PLAN = FaultPlan(LlmFault.EMPTY)
SCRIPT = Script(Reply("x"), None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    made = Lease(Stub(RecordingSet.of([])), clock)
    made.take("one", 10.0, step="facts", script=SCRIPT, fault=PLAN)
    return made


def set_in(lease: Lease) -> tuple[object, ...]:
    return lease.stub.step, lease.stub.script, lease.stub.plan


def test_the_holder_sets_everything_at_once(lease: Lease) -> None:
    assert set_in(lease) == ("facts", SCRIPT, PLAN)


def test_another_waits_until_the_time_is_over(lease: Lease, clock: Clock) -> None:
    assert lease.held_by_another("two")
    assert not lease.held_by_another("one")
    clock.now += 9.5
    assert lease.held_by_another("two")
    assert lease.left == 0.5
    clock.now += 0.5
    assert not lease.held_by_another("two")
    assert lease.left == 0.0


def test_what_was_set_goes_with_the_lease(lease: Lease, clock: Clock) -> None:
    clock.now += 10
    lease.lapse()
    assert set_in(lease) == (None, None, None)
    assert lease.holder is None


def test_to_renew_it_makes_it_last_longer(lease: Lease, clock: Clock) -> None:
    clock.now += 9
    lease.take("one", 10.0, step=None, script=SCRIPT, fault=None)
    clock.now += 9
    lease.lapse()
    assert set_in(lease) == (None, SCRIPT, None)


def test_what_nobody_holds_does_not_lapse(lease: Lease, clock: Clock) -> None:
    lease.end()
    assert set_in(lease) == (None, None, None)
    lease.stub.answer_with(fault=PLAN)
    clock.now += 100
    lease.lapse()
    assert lease.stub.plan == PLAN
