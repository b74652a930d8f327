"""The release stands on what it declares: Python, dependencies, files, database; it starts without errors and is healthy."""

from __future__ import annotations

import pytest

from gonogo.environment import asked_of, standing

pytestmark = pytest.mark.criterion("environment")


def test_the_release_stands_on_what_it_declares(criterion, definitions, candidate, evidence):
    asked = asked_of(definitions.project, criterion.parameters)
    evidence.assess(standing(candidate.worker.describe(), asked))
