"""Every input that is not empty is exactly one entry; references of templates are resolved, user text is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gonogo.checks import inputs_mapped, oddities_told

pytestmark = pytest.mark.criterion("field-mapping")


def test_every_input_is_exactly_one_entry_and_no_reference_is_left(
    step, cases, candidate, criterion, grammar, evidence
):
    for case in cases:
        with evidence.about(case):
            evidence.add(case, inputs_mapped(candidate.received(case).text, step, case.inputs, grammar))
    for case in cases[:1]:
        for odd in _odd(step, case, criterion.parameters.get("long_input"), grammar):
            with evidence.about(odd[0]):
                warnings = candidate.construct(odd[0]).warnings
                if warnings is not None:
                    evidence.add(odd[0], oddities_told(warnings, odd[1]))


def _odd(step, case, longest, grammar):
    """Cases with inputs that a release may warn of, each with the fields that are odd about it."""
    referred = {*grammar.references(step.system_prompt), *grammar.references(step.task_prompt)}
    empty = {one.field for one in step.inputs if not case.inputs.get(one.field, "").strip()} & referred
    given = [one for one in case.inputs if case.inputs[one].strip()]
    yield case, empty
    for number, one in enumerate(step.inputs):
        if not one.required and one.field in referred - empty:
            yield (
                replace(case, id=f"{case.id}-empty-{number}", inputs={**case.inputs, one.field: " "}),
                {*empty, one.field},
            )
    if longest is not None:
        text = "long " * (longest // 5 + 1)
        for much in (longest, longest + 1):
            inputs = {**case.inputs, **dict.fromkeys(given, text[:much])}
            yield (
                replace(case, id=f"{case.id}-of-{much}", inputs=inputs),
                empty if much == longest else {*empty, *given},
            )
