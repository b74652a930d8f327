"""The parts of a definition agree with each other."""

from __future__ import annotations

import pytest

from gonogo.hygiene import definition_agrees

pytestmark = pytest.mark.criterion("prompt-hygiene")


def test_wording_templates_and_references_agree(step, grammar, evidence):
    evidence.add(None, definition_agrees(step, grammar))
