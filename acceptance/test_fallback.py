"""Whatever goes wrong with construction, the user gets what the previous release would have sent, and operators hear of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import groupby

import pytest

from acceptance.faults import combinations, trials
from gonogo.checks import excerpt, same_text
from gonogo.model import Finding
from gonogo.targets.faults import SECRET

pytestmark = pytest.mark.criterion("fallback")


def test_every_fault_yields_the_simple_prompt(step, cases, criterion, definitions, candidate, baseline, llm, evidence):
    matrix = combinations()
    evidence.add(
        None,
        Finding("matrix", len(matrix) >= criterion.integer("combinations"), f"{len(matrix)} combinations of faults"),
    )
    steps = definitions.workflow.steps
    mine = trials(matrix, steps.index(step), len(steps), cases)
    if not mine:
        evidence.gap(None, f"no combination of faults is tried on {step.id}")
    script = llm.script(step)
    for _, same_template in groupby(mine, key=lambda one: one[0].template):
        group = list(same_template)
        faulty = group[0][0].defined(step)
        with candidate.redefined(faulty), baseline.redefined(faulty):
            for combination, usual in group:
                case = replace(
                    usual, id=f"{usual.id} with {combination}", inputs=combination.changed(step, usual.inputs)
                )
                with evidence.about(case):
                    expected = baseline.construct(case).text
                    ran = candidate.run(case, script=script, constructor=combination.planted)
                    evidence.add(case, _falls_back(expected, ran))
                    if combination.planted is None:
                        evidence.add(case, _is_recognised(ran.run.fallback, criterion.texts("reasons")))
                    if combination.is_of_inputs:
                        evidence.add(case, _names_the_input(step, case.inputs, ran.run.fallback_logged))


def _is_recognised(reason, reasons):
    """A fault of definitions or inputs is told as one: a constructor that trips over it does not know what is wrong."""
    told = f"the reason of a fault in definitions or inputs is {reason!r}"
    return Finding("fallback", reason in reasons, told if reason in reasons else f"{told}, not {' or '.join(reasons)}")


def _names_the_input(step, inputs, logged):
    """Who reads the log is told which input is wrong, and of none that is not."""
    wrong = {item.field for item in step.inputs if item.required and not inputs.get(item.field, "").strip()}
    named = {item.field for item in step.inputs if _tells_of(item, logged)}
    told = f"the log of a fallback ({excerpt('; '.join(logged))})"
    if untold := wrong - named:
        return Finding("fallback", False, f"{told} does not name what is wrong: {', '.join(sorted(untold))}")
    if blamed := named - wrong:
        return Finding("fallback", False, f"{told} names what is not wrong: {', '.join(sorted(blamed))}")
    return Finding("fallback", True, f"{told} names what is wrong, and nothing else")


def _tells_of(item, logged):
    names = "|".join(map(re.escape, (item.field, item.name)))
    return any(re.search(rf"(?<![\w-])(?:{names})(?![\w-])", text) for text in logged)


def _falls_back(expected, ran):
    run = ran.run
    yield same_text("fallback", "the prompt that the model received", expected, ran.prompt or "")
    yield Finding(
        "fallback",
        run.succeeded,
        "the run succeeded" if run.succeeded else f"the run ended with {run.status}: {run.error}",
    )
    heard = run.fallback is not None and len(run.fallback_logged) == 1 and run.fallback_counted == 1
    told = f"reason {run.fallback!r}, {len(run.fallback_logged)} log events, counted {run.fallback_counted} times"
    yield Finding(
        "fallback", heard, f"the fallback is told: {told}" if heard else f"the fallback is not told once each: {told}"
    )
    leaked = SECRET in json.dumps(run.as_json()) or SECRET in (ran.prompt or "")
    yield Finding("fallback", not leaked, "something internal leaked out" if leaked else "nothing internal leaked out")
