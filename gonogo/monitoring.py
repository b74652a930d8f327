"""Whether a service that breaks is seen: alerts that arrive, and logs that can be read and give nothing away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from gonogo.alert_files import rules_text
from gonogo.alert_inbox import Received
from gonogo.alert_rules import alerting_rules
from gonogo.alerting import Alerting
from gonogo.assessment import Assessment
from gonogo.errors import TargetError
from gonogo.model import Case, Finding
from gonogo.prometheus_stack import PrometheusStack, running_stack
from gonogo.rehearsal import Rehearsal
from gonogo.triggers import Signal, Trigger

__all__ = ["alerts_arrive", "logs_are_structured"]

CHECK = "monitoring"
_JOB = "rehearsal"
_TELLING = 40  # characters of an input that no log line may hold; shorter ones may stand there by chance


def alerts_arrive(rehearsal: Rehearsal, *, rate: float, window: float, quiet: float, patience: float) -> Assessment:
    """Break a service that Prometheus scrapes, by each trigger, and see the alerts arrive at a webhook; and none before.

    What breaks runs, constructions and memory is planted together; the service goes away by itself, last.

    Args:
        rehearsal: with its stage.
        rate: runs a second that users ask for.
        window: seconds that the rules look back.
        quiet: seconds in which all is well and no alert may arrive.
        patience: seconds within which each alert must arrive.

    Raises:
        StackMissing: Prometheus or Alertmanager is not installed.
        TargetError: they do not come up.
        ProductFailure: a release cannot be put in service.
    """
    rules = replace(rehearsal.rules, reference=min(rehearsal.rules.reference, quiet))
    alerting = Alerting(rules, rehearsal.contract.metrics, _JOB, window)
    away = [one for one in rules.triggers if one.signal is Signal.AWAY]
    others = [one for one in rules.triggers if one.signal not in (Signal.AWAY, Signal.COMPLAINTS)]
    findings: list[Finding] = []
    strike = rehearsal.plant(*(one.id for one in others))
    with running_stack([rules_text(alerting_rules(alerting), "criteria.toml")], {_JOB: rehearsal.stage.url}) as stack:
        with rehearsal.users(rate):
            time.sleep(quiet)
            early = [one for one in stack.alerts() if one.firing]
            said = f"no alert arrived in {quiet:g} s while all was well"
            if early:
                said = f"while all was well, there arrived {', '.join(sorted({_name(one) for one in early}))}"
            findings.append(Finding(CHECK, not early, said))
            strike()
            findings += [_arrives(stack, one, patience) for one in others]
        if away:
            rehearsal.plant(*(one.id for one in away))()
            findings += [_arrives(stack, one, patience) for one in away]
    return Assessment(tuple(findings))


def _arrives(stack: PrometheusStack, trigger: Trigger, patience: float) -> Finding:
    severity = "alert" if trigger.rollback is None else "rollback"
    began = time.monotonic()
    try:
        stack.wait_for(trigger.id, severity, patience, job=_JOB)
    except TargetError as error:
        return Finding(CHECK, False, f"{trigger.id}: no {severity} arrived within {patience:g} s: {error}")
    return Finding(CHECK, True, f"{trigger.id}: {severity} arrived after {time.monotonic() - began:.0f} s of waiting")


def _name(alert: Received) -> str:
    return f"{alert.trigger} ({alert.severity})"


def logs_are_structured(
    lines: Iterable[str], *, every: Sequence[str], wherever: Mapping[str, Sequence[str]], cases: Sequence[Case]
) -> Iterator[Finding]:
    """Whether each line is a JSON object that says what it is about, and none holds what a user wrote.

    Args:
        lines: of the log.
        every: keys that each line has.
        wherever: key -> further keys of every line that has it, such as ``step`` -> the ids of its templates.
        cases: whose inputs users gave.
    """
    inputs = {text[:200] for case in cases for text in case.inputs.values() if len(text) >= _TELLING}
    # as they are, and as JSON writes them in either way
    texts = inputs | {json.dumps(text, ensure_ascii=one)[1:-1] for text in inputs for one in (True, False)}
    count, kinds = 0, dict.fromkeys(wherever, 0)
    broken: list[str] = []
    bare: list[str] = []
    telling: list[str] = []
    for line in lines:
        count += 1
        if any(text in line for text in texts):
            telling.append(line)
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            broken.append(line)
            continue
        missing = [key for key in every if told.get(key) in (None, "")]
        for key, more in wherever.items():
            if told.get(key) not in (None, ""):
                kinds[key] += 1
                missing += [one for one in more if told.get(one) in (None, "")]
        if missing:
            bare.append(f"{', '.join(missing)}: {line}")
    yield Finding(CHECK, count > 0, f"{count} lines were written")
    yield _none(broken, count, "are no JSON objects")
    yield _none(bare, count, f"lack what they are about ({', '.join(every)})")
    yield _none(telling, count, "hold what a user wrote")
    for key, number in kinds.items():
        yield Finding(CHECK, number > 0, f"{number} lines tell of a {key}")


def _none(lines: Sequence[str], count: int, what: str) -> Finding:
    shown = f": {lines[0][:300]}" if lines else ""
    return Finding(CHECK, not lines, f"{len(lines)} of {count} lines {what}{shown}")
