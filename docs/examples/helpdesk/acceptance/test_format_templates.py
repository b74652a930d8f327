"""The instructions and descriptions of both format templates stand verbatim in their sections."""

from __future__ import annotations

import pytest

from gonogo.checks import templates_verbatim

pytestmark = pytest.mark.criterion("format-templates")


def test_both_templates_stand_verbatim_in_their_sections(step, cases, candidate, grammar, evidence):
    for case in cases:
        with evidence.about(case):
            evidence.add(case, templates_verbatim(candidate.received(case).text, step, case.inputs, grammar))
