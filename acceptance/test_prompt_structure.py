"""Every prompt has its sections: once each, in the declared order, none of them empty."""

from __future__ import annotations

import pytest

from gonogo.checks import sections_in_order, sections_told

pytestmark = pytest.mark.criterion("prompt-structure")


def test_each_section_stands_once_in_order_and_is_not_empty(step, cases, candidate, grammar, evidence):
    for case in cases:
        with evidence.about(case):
            evidence.add(case, sections_in_order(candidate.received(case).text, grammar))
            shown = candidate.construct(case)
            if shown.sections:
                evidence.add(case, sections_told(shown.text, shown.sections, grammar))
    for case in cases[:1]:
        with evidence.about(case):
            for section, body in grammar.parse(candidate.received(case).text).as_mapping().items():
                evidence.attach(f"{case.path}: {section} (source: {candidate.source})", "text", body)
