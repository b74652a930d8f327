"""What a watch sees of a service, and how the service stands then: plain values, for the judge, the ledger and the dashboard.

Times are seconds on a clock that never goes back, from the beginning of the watch; a clock that is set changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gonogo.metrics import MetricSample
from gonogo.model import Json
from gonogo.triggers import Alarm, Trigger

__all__ = ["Look", "Standing", "TriggerStanding"]


@dataclass(frozen=True)
class Look:
    """What one look at a service saw.

    Attributes:
        at: when it was over, in seconds from the beginning.
        samples: its page of metrics; none where there was no page.
        release: what it says that it is; none where it does not.
        health: path -> status; 0 for no answer.
        why: why there is no page.
        complaints: id -> whether it is significant, of those that are open; none where that cannot be known.
    """

    at: float
    samples: tuple[MetricSample, ...] | None = None
    release: str | None = None
    health: Mapping[str, int] = field(default_factory=dict)
    why: str = ""
    complaints: Mapping[str, bool] | None = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether every health path answered 200; without health paths, whether there was a page of metrics."""
        return all(status == 200 for status in self.health.values()) if self.health else self.samples is not None


@dataclass(frozen=True, slots=True)
class TriggerStanding:
    """What a trigger says now. ``progress``: how near each level is, 0 to 1. ``fired``: level -> seconds, once it has fired."""

    trigger: Trigger
    alarm: Alarm
    value: float | None
    says: str
    progress: Mapping[Alarm, float]
    fired: Mapping[Alarm, float]
    events: int = 0
    bad: int = 0
    blind: str = ""

    def as_json(self) -> dict[str, Json]:
        """Plain data."""
        one = self.trigger
        return {
            "id": one.id,
            "title": one.title,
            "signal": one.signal.value,
            "unit": one.signal.unit,
            "alarm": self.alarm.name.lower(),
            "value": self.value,
            "limits": {"alert": one.alert, "rollback": one.rollback},
            "progress": {alarm.name.lower(): round(value, 4) for alarm, value in self.progress.items()},
            "fired": {alarm.name.lower(): round(at, 3) for alarm, at in self.fired.items()},
            "events": self.events,
            "bad": self.bad,
            "blind": self.blind,
            "says": self.says,
        }


@dataclass(frozen=True)
class Standing:
    """How a watched service stands after a look.

    ``construction``: step -> upper edge, in seconds, of the bucket that 99 of 100 constructions of late lie below (infinite
    beyond the last edge), and how many there were. ``memory``: bytes.
    """

    at: float
    release: str | None
    health: Mapping[str, int]
    is_good: bool
    why: str
    triggers: tuple[TriggerStanding, ...]
    construction: Mapping[str, tuple[float, int]]
    totals: Mapping[str, int]
    errors: Mapping[str, int]
    templates: Mapping[str, int]
    memory: float | None
    log: tuple[tuple[float, str], ...]

    @property
    def alarm(self) -> Alarm:
        """The gravest that any trigger has said since the watch began."""
        return max((level for one in self.triggers for level in one.fired), default=Alarm.QUIET)

    def fired(self, alarm: Alarm) -> TriggerStanding | None:
        """The trigger that was the first to fire at this level."""
        found = [one for one in self.triggers if alarm in one.fired]
        return min(found, key=lambda one: one.fired[alarm], default=None)

    def as_json(self) -> dict[str, Json]:
        """Plain data, for the dashboard and the ledger."""
        return {
            "version": 1,
            "elapsed": round(self.at, 3),
            "release": self.release,
            "health": dict(self.health),
            "good": self.is_good,
            "why": self.why,
            "alarm": self.alarm.name.lower(),
            "triggers": [one.as_json() for one in self.triggers],
            "construction": {
                step: {"quantile": value if math.isfinite(value) else None, "count": count}
                for step, (value, count) in sorted(self.construction.items())
            },
            "totals": dict(self.totals),
            "errors": dict(sorted(self.errors.items())),
            "templates": dict(sorted(self.templates.items())),
            "memory": self.memory,
            "log": [{"elapsed": round(at, 3), "what": what} for at, what in self.log],
        }
