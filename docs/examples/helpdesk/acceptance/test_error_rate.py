"""Failed runs and unplanned fallbacks, over distinct cases: recorded ones and generated ones, with scripted replies."""

from __future__ import annotations

from collections import Counter

import pytest

from gonogo.generated import generated_cases

pytestmark = pytest.mark.criterion("error-rate")


def test_runs_fail_or_fall_back_in_under_one_per_cent(cases, criterion, definitions, candidate, llm, grammar, evidence):
    steps = definitions.workflow.steps
    each = -(-(criterion.integer("cases") - len(cases)) // len(steps))
    generated = [generated_cases(step, grammar, each, seed_value=criterion.integer("seed")) for step in steps]
    every = [*cases, *(case for of_step in generated for case in of_step)]
    scripts = {step.id: llm.script(step) for step in steps}
    kinds: Counter[str] = Counter()
    for case, built in zip(every, candidate.construct_all(every), strict=True):
        with evidence.about(case):
            ran = candidate.run(case, script=scripts[case.step], watched=False)
            run, failed = ran.run, not ran.run.succeeded or ran.run.fallback is not None
            evidence.sample("errors", [float(failed)], unit="share", case=case)
            if failed:
                kinds[f"{case.step}: {run.error['code'] if run.error else 'fallback ' + str(run.fallback)}"] += 1
            if isinstance(built, AssertionError):
                raise built
            # what other criteria found of the prompts that are shown holds for those that are sent
            evidence.add(case, candidate.sent(ran, built.text))
            llm.recorded_but_for_the_prompt(case.step, ran)
    evidence.attach(
        "errors by kind", "text", "\n".join(f"{count} x {kind}" for kind, count in kinds.most_common()) or "none"
    )
