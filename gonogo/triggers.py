"""When a live watch alerts and when it rolls back: the sections ``[watch]`` and ``[[trigger]]`` of criteria.toml."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gonogo.documents import Section
from gonogo.errors import StatisticsError
from gonogo.statistics import Limit

__all__ = ["Alarm", "Signal", "Trigger", "WatchRules", "read_watch"]

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Alarm(enum.IntEnum):
    """What a trigger says. Each includes the ones before it."""

    QUIET = 0
    ALERT = 1
    ROLLBACK = 2


class Signal(enum.StrEnum):
    """What a trigger looks at.

    ``FAILED_RUNS``: share of the runs that failed, whatever the cause. ``FALLBACKS``: share of the
    constructions that fell back to the simple prompt. ``FAILING_STEPS``: of the worst step, share of its runs that failed.
    ``CONSTRUCTION``: of the worst step, a quantile of the time of construction, in seconds. ``AWAY``: seconds without a good
    answer of every health path. ``MEMORY``: resident memory, in multiples of its median when the watch began.
    ``COMPLAINTS``: open complaints of users (``gonogo signoff complaint``); only significant ones roll back.
    """

    FAILED_RUNS = "failed-runs"
    FALLBACKS = "fallbacks"
    FAILING_STEPS = "failing-steps"
    CONSTRUCTION = "construction"
    AWAY = "away"
    MEMORY = "memory"
    COMPLAINTS = "complaints"

    @property
    def unit(self) -> str:
        """What its values are in: ``share``, ``s``, ``times`` or ``complaints``."""
        return _UNITS[self]

    @property
    def is_share(self) -> bool:
        """Whether it counts events, of which a share is bad, so that only a test tells a change from chance."""
        return self in (Signal.FAILED_RUNS, Signal.FALLBACKS, Signal.FAILING_STEPS, Signal.CONSTRUCTION)


_UNITS = {
    Signal.FAILED_RUNS: "share",
    Signal.FALLBACKS: "share",
    Signal.FAILING_STEPS: "share",
    Signal.CONSTRUCTION: "s",
    Signal.AWAY: "s",
    Signal.MEMORY: "times",
    Signal.COMPLAINTS: "complaints",
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger. ``alert`` and ``rollback`` are the limits above which it fires; none where it never does.

    Attributes:
        run_length: seconds that lie, at least and on average, between two false alarms of a service that stands right on the
            limit; of one that stands below it far more. For signals that are shares.
        quantile: of the time of construction; for ``Signal.CONSTRUCTION``.
        minimum: events below which silence means nothing.
        beyond: bytes above the reference that must be exceeded as well; for ``Signal.MEMORY``.
    """

    id: str
    title: str
    signal: Signal
    alert: float | None
    rollback: float | None
    run_length: float = 10000.0
    quantile: float = 0.99
    minimum: int = 1
    beyond: float = 0.0

    def limit(self, level: Alarm) -> float | None:
        """The limit above which it says this; none where it never does."""
        return {Alarm.ALERT: self.alert, Alarm.ROLLBACK: self.rollback}.get(level)

    def share(self, level: Alarm) -> float | None:
        """The share of bad events that must not be exceeded; none where there is no such limit.

        A quantile of times lies above a limit where more than ``1 - quantile`` of them do.
        """
        limit = self.limit(level)
        if limit is None:
            return None
        return 1.0 - self.quantile if self.signal is Signal.CONSTRUCTION else limit


@dataclass(frozen=True, slots=True)
class WatchRules:
    """How a service is watched.

    Attributes:
        interval: seconds between two looks.
        reference: seconds at the beginning of a watch whose median memory is compared with.
        runbook: where each trigger has a section of its own, headed by its id.
        triggers: in the order of the file.
    """

    interval: float
    reference: float
    runbook: str
    triggers: tuple[Trigger, ...]

    def __getitem__(self, trigger: str) -> Trigger:
        for one in self.triggers:
            if one.id == trigger:
                return one
        raise KeyError(trigger)


def read_watch(section: Section, triggers: Sequence[Section]) -> WatchRules:
    """The rules of ``[watch]`` and its triggers.

    Raises:
        DefinitionError: something is missing, an unknown word, a duplicate id, or a limit that is none.
    """
    found: dict[str, Trigger] = {}
    for entry in triggers:
        trigger = _trigger(entry)
        if trigger.id in found:
            entry.fail("id", f"the trigger {trigger.id!r} stands here a second time; give it another id")
        found[trigger.id] = trigger
    if not found:
        section.fail(None, "there is no trigger that it could look at; write at least one [[trigger]]")
    rules = WatchRules(
        interval=section.number("interval", default=2.0, low=0.1, high=300.0),
        reference=section.number("reference", default=300.0, low=1.0, high=86400.0),
        runbook=section.text("runbook", default="docs/runbook.md"),
        triggers=tuple(found.values()),
    )
    section.finish()
    return rules


def _trigger(entry: Section) -> Trigger:
    trigger_id = entry.text("id", example="errors")
    if not _ID.fullmatch(trigger_id):
        entry.fail("id", f"{trigger_id!r} is not an id; write lower-case words joined by hyphens")
    signal = Signal(entry.choice("signal", [one.value for one in Signal]))
    highest = 1.0 if signal.unit == "share" else float("inf")
    alert, rollback = (_above(entry, key, highest) if entry.has(key) else None for key in ("alert", "rollback"))
    for key, limit in (("alert", alert), ("rollback", rollback)):
        if limit == 0.0 and signal.unit == "share":
            entry.fail(key, "no test shows that a share is more than 0; write one that may be kept, such as '> 0.001'")
    entry.asked.update(("alert", "rollback"))
    if alert is None and rollback is None:
        entry.fail(None, "it never fires; write alert = '> …', rollback = '> …', or both")
    if alert is not None and rollback is not None and rollback < alert:
        entry.fail(
            "rollback", f"'> {rollback:g}' is reached before alert = '> {alert:g}'; write one that is not below it"
        )
    own = {
        "run_length": signal.is_share,
        "minimum": signal.is_share,
        "quantile": signal is Signal.CONSTRUCTION,
        "beyond": signal is Signal.MEMORY,
    }
    for key, applies in own.items():
        if entry.has(key) and not applies:
            entry.fail(key, f"a trigger of the signal {signal.value!r} has none; leave it out")
    trigger = Trigger(
        id=trigger_id,
        title=entry.text("title"),
        signal=signal,
        alert=alert,
        rollback=rollback,
        run_length=entry.number("run_length", default=10000.0, low=1.0),
        quantile=entry.number("quantile", default=0.99, low=0.5, high=0.9999),
        minimum=entry.integer("minimum", default=300 if signal.is_share else 1, low=1),
        beyond=entry.number("beyond", default=0.0, low=0.0),
    )
    entry.finish()
    return trigger


def _above(entry: Section, key: str, highest: float) -> float:
    text = entry.text(key, example="'> 0.05'")
    try:
        limit = Limit.parse(text)
    except StatisticsError as error:
        entry.fail(key, str(error))
    if limit.operator != ">" or not 0.0 <= limit.value < highest:
        below = "" if highest == float("inf") else f" and below {highest:g}"
        entry.fail(key, f"{text!r} is no limit of a trigger; write '> ' and a number of 0 or more{below}")
    return limit.value
