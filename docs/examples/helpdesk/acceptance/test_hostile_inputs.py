"""Structure and mapping hold whatever an input contains: forged headings and entries, references, control characters."""

from __future__ import annotations

import pytest

from gonogo.checks import inputs_mapped, sections_in_order
from gonogo.generated import generated_cases, hostile_references
from gonogo.model import Ability

pytestmark = pytest.mark.criterion("hostile-inputs")


def test_no_input_breaks_out_of_its_entry(step, criterion, candidate, grammar, evidence):
    cases = generated_cases(step, grammar, criterion.integer("cases"), seed_value=criterion.integer("seed"))
    for case, built in zip(cases, candidate.construct_all(cases), strict=True):
        with evidence.about(case):
            if isinstance(built, AssertionError):
                raise built
            evidence.add(case, sections_in_order(built.text, grammar))
            evidence.add(case, inputs_mapped(built.text, step, case.inputs, grammar))
    if Ability.FAULT in candidate.worker.abilities:  # else definitions cannot be replaced
        for moved, case in hostile_references(step, grammar):
            with candidate.redefined(moved), evidence.about(case):
                text = candidate.construct(case).text
                evidence.add(case, sections_in_order(text, grammar))
                evidence.add(case, inputs_mapped(text, moved, case.inputs, grammar))
