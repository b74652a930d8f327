"""Whatever goes wrong with construction, the user gets what the previous release would have sent, and operators hear of it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby

import pytest

from acceptance.faults import combinations, trials
from gonogo.checks import same_text
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


def _is_recognised(reason, reasons):
    """A fault of definitions or inputs is told as one: a constructor that trips over it does not know what is wrong."""
    told = f"the reason of a fault in definitions or inputs is {reason!r}"
    return Finding("fallback", reason in reasons, told if reason in reasons else f"{told}, not {' or '.join(reasons)}")


def _falls_back(expected, ran):
    run = ran.run
    yield same_text("fallback", "the prompt that the model received", expected, ran.prompt or "")
    yield Finding(
        "fallback",
        run.succeeded,
        "the run succeeded" if run.succeeded else f"the run ended with {run.status}: {run.error}",
    )
    heard = run.fallback is not None and run.fallback_logged == 1 and run.fallback_counted == 1
    told = f"reason {run.fallback!r}, {run.fallback_logged} log events, counted {run.fallback_counted} times"
    yield Finding(
        "fallback", heard, f"the fallback is told: {told}" if heard else f"the fallback is not told once each: {told}"
    )
    leaked = SECRET in json.dumps(run.as_json()) or SECRET in (ran.prompt or "")
    yield Finding("fallback", not leaked, "something internal leaked out" if leaked else "nothing internal leaked out")
