"""Tests for promtool, made of the same triggers as the rules: what must fire, and what must not.

They know limits and bound, and nothing of the rules' text: a rule with another limit fails them. The input of a test runs past
the moment of its question, because promtool takes a rule whose input has ended for one that is silent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gonogo.alert_rules import Rules
from gonogo.alerting import BLIND, QUIET_WINDOWS, Alerting, limits_of, severity_of
from gonogo.metrics import Series
from gonogo.promql import LEAST_BAD, duration, lower_bound, number
from gonogo.triggers import Alarm, Signal, Trigger

__all__ = ["rule_tests"]

_LOOKS = 20  # scrapes in a window
_BUSY = 10000.0  # runs of a step between two scrapes: so many that the bound lies close to the share
_MANY = 1e9  # bytes


@dataclass(frozen=True)
class Rates:
    """What one step counts between two scrapes. ``slow`` is a limit in seconds -> the share that takes longer."""

    runs: float = _BUSY
    failed: float = 0.0
    slow: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """So many windows of a service's life. ``restarted``: its counters begin anew.

    ``fallbacks`` are counted between two scrapes, over all steps.
    """

    windows: float
    steps: Mapping[str, Rates] = field(default_factory=lambda: {"one": Rates(), "two": Rates()})
    fallbacks: float = 0.0
    restarted: bool = False


@dataclass(frozen=True)
class Question:
    """What must fire after so many seconds: severities of one trigger, or triggers where none is named."""

    at: float
    fires: tuple[str, ...]
    trigger: str | None = None


@dataclass(frozen=True)
class Scene:
    """A service's life, and the questions that are asked meanwhile."""

    name: str
    series: Mapping[str, str]
    questions: Sequence[Question]


def rule_tests(rules: Rules, rules_file: str) -> dict[str, Any]:
    """The tests of rules, as ``promtool test rules`` takes them; ``rules_file`` is named in them."""
    stage = _Stage(rules.alerting)
    scenes = [*_whole_service(stage), *(scene for one in stage.triggers for scene in _of_trigger(stage, one))]
    return {
        "rule_files": [rules_file],
        "evaluation_interval": duration(stage.scrape),
        "group_eval_order": [group["name"] for group in rules.groups],
        "tests": [_test(stage, scene) for scene in scenes],
    }


def _test(stage: _Stage, scene: Scene) -> dict[str, Any]:
    return {
        "name": scene.name,
        "interval": duration(stage.scrape),
        "input_series": [{"series": series, "values": values} for series, values in scene.series.items()],
        "promql_expr_test": [_asked(stage.alerting.job, one) for one in scene.questions],
    }


def _asked(job: str, question: Question) -> dict[str, Any]:
    alerts = {"alertstate": "firing", "job": job}
    label = "trigger"
    if question.trigger is not None:
        alerts["trigger"], label = question.trigger, "severity"
    return {
        "expr": f"group by ({label}) ({Series('ALERTS', alerts)})",
        "eval_time": duration(question.at),
        "exp_samples": [{"labels": f'{{{label}="{one}"}}', "value": 1} for one in question.fires],
    }


class _Stage:
    """Writes a service's life as promtool reads it."""

    def __init__(self, alerting: Alerting) -> None:
        self.alerting = alerting
        self.window = alerting.window
        self.scrape = alerting.window / _LOOKS
        self.triggers = alerting.triggers

    def life(self, *spans: Span) -> dict[str, str]:
        """What is counted, span after span, and a window beyond the last one; a service that is up and steady."""
        spans = (*spans, replace(spans[-1], windows=1.0, restarted=False))
        counted = [(round(span.windows * _LOOKS), self._counted(span), span.restarted) for span in spans]
        names = dict.fromkeys(name for _, increments, _ in counted for name in increments)
        scrapes = sum(length for length, _, _ in counted)
        gauges = {name: f"{number(value)}+0x{scrapes}" for name, value in self.gauges().items()}
        return gauges | {name: _values([(n, some.get(name), new) for n, some, new in counted]) for name in names}

    def gauges(self, memory: float = _MANY, instance: str = "a", version: str = "1") -> dict[str, float]:
        """The series that do not count."""
        found = {str(self.alerting.up.of(instance=instance)): 1.0}
        if "memory" in self.alerting.metrics:
            found[str(self.alerting.series("memory").of(instance=instance))] = memory
        if "release" in self.alerting.metrics:
            found[str(self.alerting.series("release").of(instance=instance, version=version))] = 1.0
        return found

    def _counted(self, span: Span) -> dict[str, float]:
        """Series -> what it counts between two scrapes; of failures, only where there are any."""
        found: list[tuple[Series, float]] = []
        has = self.alerting.metrics
        for step, rates in span.steps.items():
            if "runs" in has:
                found += self._runs(step, rates.runs, rates.runs * rates.failed)
            if "construction" in has:
                construction = self.alerting.series("construction")
                found.append((construction.of("_count", step=step), rates.runs))
                found.append((construction.of("_bucket", step=step, le="+Inf"), rates.runs))
                for limit in self.alerting.edges:
                    bucket = construction.of("_bucket", step=step, le=number(limit))
                    found.append((bucket, rates.runs * (1 - rates.slow.get(limit, 0.0))))
        if span.fallbacks and "fallbacks" in has:
            found.append((self.alerting.series("fallbacks"), span.fallbacks))
        return {str(series.of(instance="a")): increment for series, increment in found}

    def _runs(self, step: str, runs: float, failed: float) -> Iterator[tuple[Series, float]]:
        """Runs as the application counts them: failed ones among all runs, told by a label, or in a metric of their own."""
        every, good = self.alerting.series("runs"), runs
        labels: dict[str, str] = {}
        if "failed_runs" in self.alerting.metrics:
            bad = self.alerting.series("failed_runs")
            if failed:
                yield bad.of(step=step), failed
            if bad.name == every.name:
                good = runs - failed
                labels = dict.fromkeys(bad.labels.keys() - every.labels.keys(), "other")
        yield every.of(step=step, **labels), good


def _values(spans: Iterable[tuple[int, float | None, bool]]) -> str:
    """A counter's values: (scrapes, increment or none where nothing is counted, whether the service begins anew).

    A counter is there from the first event on, until its service ends.
    """
    written: list[str] = []
    last: float | None = None
    for scrapes, counted, anew in spans:
        if anew and counted is None:
            last = None
        increment = 0.0 if counted is None and last is not None else counted
        if increment is None:
            written.append(f"_x{scrapes}")
            continue
        first = increment if last is None or anew else last + increment
        written.append(f"{number(first)}+{number(increment)}x{scrapes - 1}")
        last = first + increment * (scrapes - 1)
    return " ".join(written)


def _whole_service(stage: _Stage) -> Iterator[Scene]:
    window = stage.window
    long = QUIET_WINDOWS + 2.0
    yield Scene("a healthy service", stage.life(Span(long)), [Question(window * at, ()) for at in (1, 2, long)])
    restarted = stage.life(Span(2), Span(0.5, restarted=True), Span(1, restarted=True))
    yield Scene("a healthy service that restarts", restarted, [Question(window * at, ()) for at in (2, 2.25, 2.5, 3)])
    for series in stage.alerting.always_there():
        some = {name: values for name, values in stage.life(Span(1.25)).items() if not _is(name, series)}
        yield Scene(f"a service without {series}", some, [Question(window * 1.25, (BLIND,))])
    for counter in sorted({"runs", "constructions"} & stage.alerting.counters().keys()):
        apart = stage.life(Span(1.25))
        name = next(one for one in apart if _is(one, stage.alerting.counters()[counter]))
        apart[name] = " ".join(f"{1000 + at} {at}" for at in range(2 * _LOOKS))
        yield Scene(
            f"a service whose processes count {counter} apart",
            apart,
            [Question(window * 1.25, _severities([Alarm.ALERT]), BLIND)],
        )
    past = round((stage.alerting.watch.reference / window + 4) * _LOOKS)
    up = {str(stage.alerting.up.of(instance="a")): f"1+0x{past}"}
    yield Scene("a service without metrics", up, [Question(window * 2, (BLIND,))])
    elsewhere = {'up{job="gonogo-no-such-job"}': f"1+0x{past}"}
    yield Scene("a service that is not scraped", elsewhere, [Question(window * 2, (BLIND,))])
    idle = stage.life(Span(1), Span(long, {"one": Rates(0.0), "two": Rates(0.0)}))
    counts = any(one.signal.is_share for one in stage.triggers)
    yield Scene("a service that nobody uses", idle, [Question(window * (long + 0.5), (BLIND,) if counts else ())])


def _is(written: str, series: Series) -> bool:
    found = Series.parse(written)
    return (
        found.name == series.name
        and series.labels.items() <= found.labels.items()
        and all(re.fullmatch(pattern, found.labels.get(label, "")) for label, pattern in series.patterns.items())
    )


def _of_trigger(stage: _Stage, trigger: Trigger) -> Iterator[Scene]:
    match trigger.signal:
        case Signal.AWAY:
            yield from _away(stage, trigger)
        case Signal.MEMORY:
            yield from _memory(stage, trigger)
        case _:
            yield from _shares(stage, trigger)


def _severities(levels: Iterable[Alarm]) -> tuple[str, ...]:
    return tuple(severity_of(level) for level in levels)


class _Shares:
    """Lives of a service in which a share of the events of one trigger is bad."""

    def __init__(self, stage: _Stage, trigger: Trigger) -> None:
        self.trigger = trigger
        self.z = stage.alerting.score(trigger)

    def span(self, windows: float, share: float, events: float, *, limit: float = math.inf) -> Span:
        """A span with so many events between two scrapes, of which this share is bad; of times, beyond the limit."""
        match self.trigger.signal:
            case Signal.FAILED_RUNS:
                return Span(windows, {"one": Rates(events, failed=share)})
            case Signal.FAILING_STEPS:
                return Span(windows, {"one": Rates(events, failed=share), "two": Rates(events)})
            case Signal.FALLBACKS:
                return Span(windows, {"one": Rates(events)}, fallbacks=events * share)
            case _:
                slow = {one: share for one in limits_of(self.trigger).values() if one <= limit}
                return Span(windows, {"one": Rates(events, slow=slow), "two": Rates(events)})

    def fires(self, bad: float, events: float, *, limit: float = math.inf) -> tuple[str, ...]:
        """The severities that must fire when a window holds this; of times, when the bad ones are beyond the limit."""
        times = self.trigger.signal is Signal.CONSTRUCTION
        return _severities(
            level
            for level, one in limits_of(self.trigger).items()
            if (one <= limit or not times)
            and bad >= LEAST_BAD
            and lower_bound(bad, events, self.z) > (self.trigger.share(level) or 0.0)
        )


def _shares(stage: _Stage, trigger: Trigger) -> Iterator[Scene]:
    shares, window, name = _Shares(stage, trigger), stage.window, trigger.id
    for level, limit in limits_of(trigger).items():
        share = trigger.share(level) or 0.0
        room = 0.1 * min(share, 1 - share) or 0.001
        busy = max(_BUSY, 100 / room)
        for told, at in {"above": share + room, "below": max(0.0, share - room)}.items():
            fires = shares.fires(at * busy * _LOOKS, busy * _LOOKS, limit=limit)
            life = stage.life(shares.span(1.25, at, busy, limit=limit))
            title = f"{name}: {severity_of(level)}, just {told} the limit"
            yield Scene(title, life, [Question(window * 1.25, fires, name)])
        above = shares.span(1.5, share + room, busy, limit=limit)
        fires = shares.fires((share + room) * busy * _LOOKS, busy * _LOOKS, limit=limit)
        life = stage.life(above, replace(above, restarted=True))
        title = f"{name}: {severity_of(level)}, just above the limit, with a restart"
        yield Scene(title, life, [Question(window * at, fires, name) for at in (1.5, 1.75, 2)])
        few = trigger.minimum / _LOOKS
        fires = shares.fires((share + room) * trigger.minimum, trigger.minimum, limit=limit)
        life = stage.life(shares.span(1.25, share + room, few, limit=limit))
        title = f"{name}: {severity_of(level)}, above the limit as chance has it in {trigger.minimum} events"
        yield Scene(title, life, [Question(window * 1.25, fires, name)])
    quiet, once = shares.span(0.25, 0.0, 0.0), shares.span(1 / _LOOKS, 1.0, 1.0)
    thin = stage.life(replace(quiet, windows=1.5), once, quiet, once, quiet)
    yield Scene(f"{name}: two bad events, and no others", thin, [Question(window * 2, (), name)])
    if trigger.signal is not Signal.CONSTRUCTION:  # the first failures make the series of failures begin to exist
        few, many = trigger.minimum / _LOOKS, 100.0 * trigger.minimum
        well = shares.span(1.25, 0.0, few)
        burst = stage.life(well, shares.span(1 / _LOOKS, many / (many + few), many + few), replace(well, windows=0.5))
        fires = shares.fires(many, many + trigger.minimum)
        yield Scene(f"{name}: the first failures, all within one scrape", burst, [Question(window * 1.5, fires, name)])


def _away(stage: _Stage, trigger: Trigger) -> Iterator[Scene]:
    up, steady = stage.alerting.up, stage.life(Span(2))
    gone = 2 * _LOOKS  # the first scrape that is not answered
    longest = max(limits_of(trigger).values())
    away = f"1+0x{gone - 1} 0+0x{_LOOKS + math.ceil(longest / stage.scrape)}"
    after = sorted({at for limit in limits_of(trigger).values() for at in _around(limit, stage.scrape)})
    told = [
        (gone * stage.scrape + at, _severities(one for one, limit in limits_of(trigger).items() if limit <= at))
        for at in after
    ]
    questions = [Question(at, fires, trigger.id) for at, fires in told]
    yield Scene(f"{trigger.id}: no instance answers", steady | {str(up.of(instance="a")): away}, questions)
    alone = [Question(at, tuple(one for one in fires if one == "alert"), trigger.id) for at, fires in told]
    yield Scene(f"{trigger.id}: one of two instances answers", steady | {str(up.of(instance="b")): away}, alone)


def _around(limit: float, scrape: float) -> tuple[float, float]:
    """The last look before a time has passed, and the first one after."""
    after = math.ceil(limit / scrape - 1e-9)
    return (after - 1) * scrape, after * scrape


def _memory(stage: _Stage, trigger: Trigger) -> Iterator[Scene]:
    base = max(_MANY, 100 * trigger.beyond)
    first = math.ceil(stage.alerting.watch.reference / stage.scrape) + 2 * _LOOKS  # scrapes until it grows
    then = first + _LOOKS
    resident = str(stage.alerting.series("memory").of(instance="a"))
    at = (first + 1.5 * _LOOKS) * stage.scrape

    def life(before: float, after: float) -> dict[str, str]:
        steady = {name: f"{number(value)}+0x{first + then}" for name, value in stage.gauges().items()}
        return steady | {resident: f"{number(before)}+0x{first - 1} {number(after)}+0x{then}"}

    def fires(before: float, after: float) -> tuple[str, ...]:
        return _severities(
            level
            for level, limit in limits_of(trigger).items()
            if after > limit * before and after - before > trigger.beyond
        )

    cases = {}
    for level, limit in limits_of(trigger).items():
        for told, factor in {"above": 1.05, "below": 0.95}.items():
            cases[f"{severity_of(level)}, just {told} the limit"] = (base, base * limit * factor)
        if trigger.beyond:
            small = trigger.beyond / (10 * max(1.0, limit))
            cases[f"{severity_of(level)}, many times as much, and yet little"] = (small, small + 0.9 * trigger.beyond)
    for name, (before, after) in cases.items():
        question = Question(at, fires(before, after), trigger.id)
        yield Scene(f"{trigger.id}: {name}", life(before, after), [question])
    release = stage.alerting.series("release").of(instance="a")
    others = {
        str(release.of(version="1")): f"1+0x{first - 1} stale _x{then}",
        str(release.of(version="2")): f"_x{first} 1+0x{then}",
    }
    highest = max(limits_of(trigger).values())
    bigger = life(base, base * highest * 2 + trigger.beyond) | others
    ends = (2 * first - 1) * stage.scrape
    yield Scene(
        f"{trigger.id}: another release that needs more",
        bigger,
        [Question(at, (), trigger.id), Question(ends, (), trigger.id)],
    )
