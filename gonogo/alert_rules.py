"""The triggers of a live watch as alerting rules for Prometheus: plain data, the same for the same criteria.

Each trigger that counts events becomes three recorded series (``gonogo:events``, ``gonogo:bad`` and ``gonogo:lower``, the lower
bound of their share) and an alert for each of its limits. What Prometheus would not notice by itself, a metric that is gone or
a service that nobody uses, becomes an alert of its own: no data must never look healthy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from gonogo.alerting import BLIND, QUIET_WINDOWS, Alerting, alert_name, limits_of, severity_of, within
from gonogo.errors import DefinitionError
from gonogo.metrics import Series
from gonogo.promql import LEAST_BAD, duration, fewest, increase, lower_bound_expression, number
from gonogo.triggers import Alarm, Signal, Trigger

__all__ = ["Rules", "alerting_rules"]

_KEPT = "1d"  # how long the reference of a release outlives a pause in its metrics
_RESTARTS = 5  # within a window; more are no restarts
_LONGEST = 15.0  # seconds between two evaluations, at the most

_Rule = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """Alerting rules as Prometheus has them.

    Attributes:
        groups: plain data, in the order in which they are evaluated.
        remarks: which rules are not there, and why, in sentences.
        alerting: what they were made of.
    """

    groups: tuple[dict[str, Any], ...]
    remarks: tuple[str, ...]
    alerting: Alerting = field(repr=False)


@dataclass(frozen=True)
class _Measured:
    """A share that a trigger looks at: which events are bad, and what it is labelled with.

    Attributes:
        labels: of the recorded series, beside job and trigger.
        limits: level -> the share above which it fires.
        events, bad: expressions.
    """

    trigger: Trigger
    labels: Mapping[str, str]
    limits: Mapping[Alarm, float]
    events: str
    bad: str


def alerting_rules(alerting: Alerting) -> Rules:
    """The rules of all triggers, an alert for each of their limits.

    Raises:
        DefinitionError: no trigger can be made a rule.
    """
    remarks = tuple(alerting.remarks())
    if not alerting.triggers:
        raise DefinitionError(f"there is no rule to write; {'; '.join(remarks)}")
    measured = [one for trigger in alerting.triggers for one in _measured(alerting, trigger)]
    memory, away = (
        [one for one in alerting.triggers if one.signal is signal] for signal in (Signal.MEMORY, Signal.AWAY)
    )
    often = alerting.window / 20
    shortest = min((limit for one in away for limit in limits_of(one).values()), default=0.0)
    groups = (
        # counters and shares in one group, because a group is evaluated in order and at one moment
        _group("shares", often, chain(_counter_rules(alerting), *(_share_rules(alerting, one) for one in measured))),
        _group("memory", often, _memory_rules(alerting, memory)),
        _group("away", shortest / 2, chain(*(_away_rules(alerting, one) for one in away))),
        _group(
            "blind", often, chain(_missing_rules(alerting), _thin_rules(alerting, measured), _apart_rules(alerting))
        ),
    )
    return Rules(tuple(one for one in groups if one["rules"]), remarks, alerting)


def _group(name: str, often: float, rules: Iterable[_Rule]) -> dict[str, Any]:
    return {
        "name": f"gonogo {name}",
        "interval": duration(min(_LONGEST, max(1.0, float(int(often))))),
        "rules": list(rules),
    }


def _counted(alerting: Alerting, counter: str) -> Series:
    return Series("gonogo:counted", {"job": alerting.job, "counter": counter})


def _counter_rules(alerting: Alerting) -> Iterator[_Rule]:
    for name, counter in alerting.counters().items():
        recorded = _counted(alerting, name)
        counted = increase(counter, alerting.span, alerting.up, "step")
        yield {"record": recorded.name, "expr": counted, "labels": dict(recorded.labels)}


def _measured(alerting: Alerting, trigger: Trigger) -> Iterator[_Measured]:
    limits = limits_of(trigger)
    shares = {level: trigger.share(level) or 0.0 for level in limits}

    def total(counter: str) -> str:
        return f"sum({_counted(alerting, counter)})"

    def bad(counter: str) -> str:
        # no series is no event: a counter of failures often begins to exist with the first failure
        return f"({total(counter)} or vector(0))"

    def by_step(counter: str) -> str:
        return f"sum by (step) ({_counted(alerting, counter)})"

    match trigger.signal:
        case Signal.FAILED_RUNS:
            yield _Measured(trigger, {}, shares, total("runs"), bad("failed_runs"))
        case Signal.FALLBACKS:
            yield _Measured(trigger, {}, shares, total("constructions"), bad("fallbacks"))
        case Signal.FAILING_STEPS:
            yield _Measured(trigger, {}, shares, by_step("runs"), by_step("failed_runs"))
        case Signal.CONSTRUCTION:
            for limit in sorted(set(limits.values())):
                own = {level: shares[level] for level in limits if limits[level] == limit}
                slow = f"{by_step('constructions')} - {by_step(within(limit))}"
                yield _Measured(trigger, {"above": number(limit)}, own, by_step("constructions"), slow)


def _share_rules(alerting: Alerting, measured: _Measured) -> Iterator[_Rule]:
    trigger = measured.trigger
    labels = {"job": alerting.job, "trigger": trigger.id, **measured.labels}
    events, bad, lower = (Series(f"gonogo:{name}", labels) for name in ("events", "bad", "lower"))
    z = alerting.score(trigger)
    expression = measured.bad
    if alerting.is_per_step(trigger):
        expression = f"{measured.bad}\nor 0 * sum by (step) ({events})"
    yield {"record": events.name, "expr": measured.events, "labels": labels}
    yield {"record": bad.name, "expr": expression, "labels": labels}
    yield {"record": lower.name, "expr": lower_bound_expression(str(bad), str(events), z), "labels": labels}
    for level, share in measured.limits.items():
        yield _alert(
            alerting,
            trigger,
            level,
            f"{lower} > {number(share)}\nand {bad} >= {LEAST_BAD}",
            summary=_summary(trigger, level),
            description=_told_share(alerting, measured, share),
        )


def _told_share(alerting: Alerting, measured: _Measured, share: float) -> str:
    trigger = measured.trigger
    events = "constructions" if trigger.signal in (Signal.FALLBACKS, Signal.CONSTRUCTION) else "runs"
    step = " of the step {{ $labels.step }}" if alerting.is_per_step(trigger) else ""
    did = {Signal.FALLBACKS: "fell back", Signal.CONSTRUCTION: f"took longer than {measured.labels.get('above')} s"}
    told = (
        f"Within {alerting.span}, at least {{{{ $value | humanizePercentage }}}} of the {events}{step} "
        f"{did.get(trigger.signal, 'failed')}: this is the lower bound of their share, and the limit is {number(100 * share)}%."
    )
    return told + _told_quantile(alerting, trigger) if trigger.signal is Signal.CONSTRUCTION else told


def _told_quantile(alerting: Alerting, trigger: Trigger) -> str:
    """What Prometheus makes of the histogram, when the alert is told."""
    bucket = str(alerting.series("construction").of("_bucket"))[:-1].replace("\\", "\\\\").replace('"', '\\"')
    rate = f"sum by (le) (rate({bucket},step=%q}}[{alerting.span}]))"
    query = f"histogram_quantile({number(trigger.quantile)}, {rate})"
    return (
        f' {{{{ with printf "{query}" $labels.step | query }}}}The {number(100 * trigger.quantile)}th percentile is about '
        "{{ . | first | value | humanizeDuration }}.{{ end }}"
    )


def _memory_rules(alerting: Alerting, triggers: Sequence[Trigger]) -> Iterator[_Rule]:
    """Memory against its median when the release had just begun, which is kept as long as that release runs."""
    if not triggers:
        return
    memory, release, kept = alerting.series("memory"), alerting.series("release"), _reference(alerting)
    span = duration(alerting.watch.reference)
    yield {
        "record": kept.name,
        "expr": (
            f"(\n  max by (job, instance, version) (last_over_time({kept}[{_KEPT}]))\n"
            f"  and max by (job, instance, version) ({release})\n)\nor\n"
            f"(\n  max by (job, instance) (quantile_over_time(0.5, {memory}[{span}]))\n"
            f"  * on (job, instance) group_right () max by (job, instance, version) ({release})\n"
            f"  and max by (job, instance, version) ({release} offset {span})\n)"
        ),
    }
    resident = f"max by (job, instance) (quantile_over_time(0.5, {memory}[{alerting.span}]))"
    usual = f"max by (job, instance) ({kept})"
    for trigger in triggers:
        for level, limit in limits_of(trigger).items():
            yield _alert(
                alerting,
                trigger,
                level,
                f"{resident} / {usual} > {number(limit)}\nand {resident} - {usual} > {number(trigger.beyond)}",
                summary=_summary(trigger, level),
                description=(
                    "{{ $labels.instance }} holds {{ $value | humanize }} times what its release held in its first "
                    f"{span} (median over {alerting.span}); the limits are {number(limit)}, and "
                    f"{number(trigger.beyond)} bytes more."
                ),
            )


def _reference(alerting: Alerting) -> Series:
    """The recorded series of what a release held in memory when it had just begun."""
    return Series("gonogo:memory:reference", {"job": alerting.job})


def _away_rules(alerting: Alerting, trigger: Trigger) -> Iterator[_Rule]:
    """One instance that does not answer alerts; only a service of which none answers is rolled back."""
    for level, limit in limits_of(trigger).items():
        every = level is Alarm.ROLLBACK
        who = "No scrape of any instance" if every else "No scrape of the instance {{ $labels.instance }}"
        yield _alert(
            alerting,
            trigger,
            level,
            f"max by (job) ({alerting.up}) == 0" if every else f"{alerting.up} == 0",
            wait=limit,
            summary=_summary(trigger, level),
            description=f"{who} of {alerting.job} has been answered for {duration(limit)}, which is the limit.",
        )


def _missing_rules(alerting: Alerting) -> Iterator[_Rule]:
    wanted = [(one, alerting.window) for one in (alerting.up, *alerting.always_there())]
    if any(one.signal is Signal.MEMORY for one in alerting.triggers):
        wanted.append((_reference(alerting), alerting.window + alerting.watch.reference))
    # a service that is away has no metrics either; that is told already, where a trigger looks at it
    is_told = any(one.signal is Signal.AWAY for one in alerting.triggers)
    for one, wait in wanted:
        answers = f"\nand on () max({alerting.up}) == 1" if is_told and one != alerting.up else ""
        yield _blind(
            alerting,
            f"absent({one}){answers}",
            wait,
            {"reason": "missing", "metric": str(replace(one, labels=_but_job(one)))},
            f"{one.name} is missing",
            f"Prometheus has had no {one.name} of {alerting.job} for {duration(wait)}, so that its rules are blind: a wrong job, "
            "a wrong name in [target.metric_names], no scrape, or no use of the service since it began.",
        )


def _but_job(series: Series) -> dict[str, str]:
    return {label: value for label, value in series.labels.items() if label != "job"}


def _thin_rules(alerting: Alerting, measured: Sequence[_Measured]) -> Iterator[_Rule]:
    """A rule that could not fire for many windows, for want of events, has shown nothing."""
    for trigger in {one.trigger.id: one.trigger for one in measured}.values():
        own = [one for one in measured if one.trigger is trigger]
        z = alerting.score(trigger)
        least = min(fewest(share, z) for one in own for share in one.limits.values())
        events = Series("gonogo:events", {"job": alerting.job, "trigger": trigger.id})
        wait = duration(QUIET_WINDOWS * alerting.window)
        yield _blind(
            alerting,
            f"max({events}) < {least}",
            QUIET_WINDOWS * alerting.window,
            {"reason": "thin", "of": trigger.id},
            f"too little traffic for {trigger.id}",
            f"For {wait}, no {alerting.span} held the {least} events that {trigger.id} needs to fire "
            "(now {{ $value | humanize }}): its silence shows nothing.",
        )


def _apart_rules(alerting: Alerting) -> Iterator[_Rule]:
    """Counters that go back and forth are those of several processes, each with a page of its own: nothing they show adds up."""
    counters = alerting.counters()
    for counter in (counters[name] for name in ("runs", "constructions") if name in counters):
        yield _blind(
            alerting,
            f"max(resets({counter}[{alerting.span}])) > {_RESTARTS}",
            0.0,
            {"reason": "apart", "metric": counter.name},
            f"{counter.name} goes back and forth",
            f"{counter.name} of {alerting.job} began anew {{{{ $value }}}} times within {alerting.span}: several processes count, each "
            "for itself, or the service restarts again and again. Let their metrics be one.",
        )


def _blind(
    alerting: Alerting, expression: str, wait: float, labels: Mapping[str, str], summary: str, description: str
) -> _Rule:
    return {
        "alert": alert_name(BLIND),
        "expr": expression,
        **({"for": duration(wait)} if wait else {}),
        "labels": {"job": alerting.job, "severity": severity_of(Alarm.ALERT), "trigger": BLIND, **labels},
        "annotations": {
            "summary": f"The rules of {alerting.job} are blind: {summary}; find out why before you trust their silence",
            "description": description,
            "runbook": f"{alerting.watch.runbook}#{BLIND}",
        },
    }


def _alert(
    alerting: Alerting,
    trigger: Trigger,
    level: Alarm,
    expression: str,
    *,
    summary: str,
    description: str,
    wait: float = 0.0,
) -> _Rule:
    return {
        "alert": alert_name(trigger.id),
        "expr": expression,
        **({"for": duration(wait)} if wait else {}),
        "labels": {"job": alerting.job, "severity": severity_of(level), "trigger": trigger.id},
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook": f"{alerting.watch.runbook}#{trigger.id}",
        },
    }


def _summary(trigger: Trigger, level: Alarm) -> str:
    remedy = "roll back to the previous release" if level is Alarm.ROLLBACK else "find out why, be ready to roll back"
    return f"{trigger.title}: beyond {number(trigger.limit(level) or 0.0)} ({trigger.signal.unit}); {remedy}"
