"""Who may say at the moment what a served stub answers with, and until when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gonogo.stub.faults import FaultPlan
from gonogo.stub.journal import Script, Stub

__all__ = ["Lease"]


@dataclass
class Lease:
    """One holder at a time. What the holder has set goes when the lease ends, by its own word or because time is over.

    Attributes:
        stub: what is set.
        now: a clock in seconds that never goes back.
        holder: who has it, or none.
        until: when it is over, by that clock.
    """

    stub: Stub
    now: Callable[[], float] = time.monotonic
    holder: str | None = None
    until: float = 0.0

    @property
    def left(self) -> float:
        """Seconds that it lasts."""
        return max(0.0, self.until - self.now()) if self.holder is not None else 0.0

    def held_by_another(self, holder: str | None) -> bool:
        """Whether somebody else has it."""
        self.lapse()
        return self.holder is not None and self.holder != holder

    def take(
        self, holder: str, ttl: float, *, step: str | None, script: Script | None, fault: FaultPlan | None
    ) -> None:
        """Take or renew it, and set what the next requests are answered with."""
        self.holder, self.until = holder, self.now() + ttl
        self.stub.answer_with(step=step, script=script, fault=fault)

    def end(self) -> None:
        """End it, and clear what was set."""
        self.holder = None
        self.stub.answer_with()

    def lapse(self) -> None:
        """End it where its time is over."""
        if self.holder is not None and self.now() >= self.until:
            self.end()
