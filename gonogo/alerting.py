"""What alerting rules are made of: the triggers of a live watch, and the metrics that Prometheus has of the service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gonogo.errors import DefinitionError
from gonogo.metrics import Series
from gonogo.promql import duration, number, score
from gonogo.triggers import Alarm, Signal, Trigger, WatchRules

__all__ = ["BLIND", "QUIET_WINDOWS", "Alerting", "alert_name", "limits_of", "severity_of", "within"]

BLIND = "blind"  # the trigger of what cannot be seen
QUIET_WINDOWS = 12  # windows that may hold too few events before that is told
_SHORTEST, _LONGEST = 1.0, 86400.0  # seconds of a window
_JOB = re.compile(r"[A-Za-z0-9_.:/-]+")
_PER_STEP = (Signal.FAILING_STEPS, Signal.CONSTRUCTION)
_NEEDED: Mapping[Signal, tuple[str, ...]] = {
    Signal.FAILED_RUNS: ("runs", "failed_runs"),
    Signal.FAILING_STEPS: ("runs", "failed_runs"),
    Signal.FALLBACKS: ("construction", "fallbacks"),
    Signal.CONSTRUCTION: ("construction",),
    Signal.MEMORY: ("memory", "release"),
    Signal.AWAY: (),
    Signal.COMPLAINTS: (),
}


@dataclass(frozen=True)
class Alerting:
    """A watch, as Prometheus is to keep it.

    Attributes:
        watch: the triggers and their limits.
        metrics: ``[target.metric_names]``.
        job: the label ``job`` under which Prometheus scrapes the service.
        window: how far back the rules look, in seconds.
        steps: how many steps share the run length of a trigger that judges each of them.
    """

    watch: WatchRules
    metrics: Mapping[str, str]
    job: str = "application"
    window: float = 300.0
    steps: int = 1

    def __post_init__(self) -> None:
        """Refuse what no rule can be made of.

        Raises:
            DefinitionError: the job, the window or a metric is none, or a trigger has the name of what cannot be seen.
        """
        if not _JOB.fullmatch(self.job):
            raise DefinitionError(
                f"the job {self.job!r} is not a name; write the job_name of the scrape configuration: letters, digits and _.:/-"
            )
        if not _SHORTEST <= self.window <= _LONGEST:
            raise DefinitionError(
                f"a window of {self.window:g} s shows nothing of use; write one of {duration(_SHORTEST)} to {duration(_LONGEST)}"
            )
        if any(trigger.id == BLIND for trigger in self.watch.triggers):
            raise DefinitionError(
                f"criteria.toml: trigger {BLIND!r}: by this name the rules tell what cannot be seen; give it another id"
            )
        for name in self.metrics:
            self.series(name)

    def series(self, name: str) -> Series:
        """A metric of this job.

        Raises:
            DefinitionError: what is written for it is no metric.
        """
        try:
            return Series.parse(self.metrics[name]).of(job=self.job)
        except ValueError as error:
            raise DefinitionError(f"criteria.toml: target.metric_names: {name} = {error}") from None

    def edge(self, limit: float) -> Series:
        """The bucket of the time of construction that ends at a limit. Applications write a whole number as 1 or as 1.0."""
        bucket = self.series("construction").of("_bucket")
        if limit == int(limit):
            return replace(bucket, patterns={"le": f"{int(limit)}([.]0)?"})
        return bucket.of(le=number(limit))

    @property
    def up(self) -> Series:
        """Whether the last scrape was answered, as Prometheus itself writes it down."""
        return Series("up", {"job": self.job})

    @property
    def span(self) -> str:
        """The window, as Prometheus writes it."""
        return duration(self.window)

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """Those that rules can be made of."""
        return tuple(
            one for one in self.watch.triggers if one.signal is not Signal.COMPLAINTS and not self._lacking(one)
        )

    @property
    def edges(self) -> tuple[float, ...]:
        """The limits of times of construction, in seconds."""
        times = [one for one in self.triggers if one.signal is Signal.CONSTRUCTION]
        return tuple(sorted({limit for one in times for limit in limits_of(one).values()}))

    def is_per_step(self, trigger: Trigger) -> bool:
        """Whether each step is judged for itself."""
        return trigger.signal in _PER_STEP

    def score(self, trigger: Trigger) -> float:
        """How many standard errors the bound of a trigger's share lies below the share that was seen."""
        return score(self.window, trigger.run_length * (self.steps if self.is_per_step(trigger) else 1))

    def counters(self) -> dict[str, Series]:
        """What is counted, by the names that the recorded series have for it."""
        signals = {one.signal for one in self.triggers}
        found: dict[str, Series] = {}
        if signals & {Signal.FAILED_RUNS, Signal.FAILING_STEPS}:
            found |= {name: self.series(name) for name in ("runs", "failed_runs")}
        if signals & {Signal.FALLBACKS, Signal.CONSTRUCTION}:
            found["constructions"] = self.series("construction").of("_count")
        if Signal.FALLBACKS in signals:
            found["fallbacks"] = self.series("fallbacks")
        return found | {within(limit): self.edge(limit) for limit in self.edges}

    def always_there(self) -> tuple[Series, ...]:
        """What a healthy service that is used has. Counters of failures may be missing, for want of failures."""
        counters = self.counters()
        found = [counters[name] for name in ("runs", "constructions") if name in counters]
        found += [self.edge(limit) for limit in self.edges]
        if any(one.signal is Signal.MEMORY for one in self.triggers):
            found += [self.series("memory"), self.series("release")]
        return tuple(found)

    def remarks(self) -> Iterator[str]:
        """Which rules cannot be made, and why."""
        for trigger in self.watch.triggers:
            lacking = " and ".join(self._lacking(trigger))
            if trigger.signal is Signal.COMPLAINTS:
                yield f"{trigger.id}: no rule, as complaints are no metric; gonogo watch looks at them"
            elif lacking:
                yield f"{trigger.id}: no rule, as criteria.toml does not name {lacking}; add it to [target.metric_names]"

    def _lacking(self, trigger: Trigger) -> tuple[str, ...]:
        return tuple(name for name in _NEEDED[trigger.signal] if name not in self.metrics)


def limits_of(trigger: Trigger) -> dict[Alarm, float]:
    """Level -> the limit above which a trigger says it, from the lower level to the higher."""
    levels = (Alarm.ALERT, Alarm.ROLLBACK)
    return {level: limit for level in levels if (limit := trigger.limit(level)) is not None}


def severity_of(level: Alarm) -> str:
    """The label ``severity`` of an alert."""
    return level.name.lower()


def within(limit: float) -> str:
    """The name of the constructions that took no longer than a limit in seconds."""
    return f"constructions within {number(limit)} s"


def alert_name(trigger: str) -> str:
    """The name of a trigger's alerts: ``steps-failing`` is ``GonogoStepsFailing``."""
    return "Gonogo" + "".join(part.capitalize() for part in trigger.split("-"))
