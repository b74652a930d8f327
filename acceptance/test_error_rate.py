"""Failed runs and unplanned fallbacks, over distinct cases: recorded ones and generated ones, with scripted replies."""

from __future__ import annotations

from collections import Counter

import pytest

from gonogo.generated import generated_cases
from gonogo.statistics import proportion

pytestmark = pytest.mark.criterion("error-rate")


def test_runs_fail_or_fall_back_in_under_one_per_cent(cases, criterion, definitions, candidate, llm, grammar, evidence):
    steps = definitions.workflow.steps
    each = -(-(criterion.integer("cases") - len(cases)) // len(steps))
    generated = [generated_cases(step, grammar, each, seed_value=criterion.integer("seed")) for step in steps]
    every = [*cases, *(case for of_step in generated for case in of_step)]
    scripts = {step.id: llm.script(step) for step in steps}
    kinds: Counter[str] = Counter({"fallback": 0})
    where: Counter[str] = Counter()
    for case, built in zip(every, candidate.construct_all(every), strict=True):
        with evidence.about(case):
            ran = candidate.run(case, script=scripts[case.step], watched=False)
            run, failed = ran.run, not ran.run.succeeded or ran.run.fallback is not None
            evidence.sample("errors", [float(failed)], unit="share", case=case)
            if failed:
                kind = f"error {run.error['code']}" if run.error else "fallback"
                kinds[kind] += 1
                where[f"{case.step}: {kind} {run.fallback or ''}".rstrip()] += 1
            if isinstance(built, AssertionError):
                raise built
            # what other criteria found of the prompts that are shown holds for those that are sent
            evidence.add(case, candidate.sent(ran, built.text))
            llm.recorded_but_for_the_prompt(case.step, ran)
    told = [f"{kind}: {count} of {len(every)}, {bound_of(count, len(every))}" for kind, count in kinds.most_common()]
    told += [f"{count} x {kind}" for kind, count in where.most_common()]
    evidence.attach("errors by kind", "text", "\n".join(told))


def bound_of(failures: int, n: int) -> str:
    """How rare a kind of error is known to be, each for itself."""
    bound = proportion(failures, n)
    return f"so between {bound.lower:.2%} and {bound.upper:.2%} (each end at {bound.confidence:.0%})"
