"""The release stands on what it declares: Python, dependencies, files, database; it starts without errors and is healthy."""

from __future__ import annotations

import pytest

from gonogo.environment import (
    answers_well,
    declared_requirements,
    deployed_well,
    files_are_sound,
    python_is_supported,
    requirements_are_met,
    told,
)
from gonogo.model import Ability, Finding

pytestmark = pytest.mark.criterion("environment")


def test_the_release_stands_on_what_it_declares(definitions, candidate, evidence):
    facts, release = candidate.worker.describe(), candidate.release
    python, requirements = declared_requirements(definitions.project.root / "pyproject.toml", "app")
    evidence.add(None, python_is_supported(told(facts, "python"), python))
    evidence.add(None, requirements_are_met(requirements, told(facts, "dependencies")))
    evidence.add(None, answers_well(told(facts, "answers")))
    version = told(facts, "version_told")
    said = f"the application says that it is {version}, judged is {release.version}"
    evidence.add(None, Finding("environment", version == release.version, said))
    evidence.add(None, deployed_well(facts, live=Ability.LIVE in candidate.worker.abilities))
    evidence.add(None, files_are_sound(release.tree / package for package in release.packages))
