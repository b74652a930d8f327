"""Every input that is not empty is exactly one entry; references of templates are resolved, user text is left alone."""

from __future__ import annotations

import pytest

from gonogo.checks import inputs_mapped

pytestmark = pytest.mark.criterion("field-mapping")


def test_every_input_is_exactly_one_entry_and_no_reference_is_left(step, cases, candidate, grammar, evidence):
    for case in cases:
        with evidence.about(case):
            evidence.add(case, inputs_mapped(candidate.received(case).text, step, case.inputs, grammar))
