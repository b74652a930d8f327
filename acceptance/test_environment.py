"""The release stands on what it declares: Python, dependencies, files, database; it starts without errors and is healthy."""

from __future__ import annotations

import importlib.metadata

import pytest
from packaging.requirements import Requirement

from gonogo.environment import (
    answers_well,
    declared_requirements,
    files_are_sound,
    python_is_supported,
    requirements_are_met,
)
from gonogo.model import Finding

pytestmark = pytest.mark.criterion("environment")


def test_the_release_stands_on_what_it_declares(definitions, candidate, evidence):
    facts = candidate.worker.describe()
    python, requirements = declared_requirements(definitions.project.root / "pyproject.toml", "app")
    evidence.add(None, python_is_supported(facts["python"], python))
    evidence.add(
        None, requirements_are_met(requirements, {name: _installed(name) for name in map(_name, requirements)})
    )
    evidence.add(None, answers_well(facts["answers"]))
    release = candidate.release
    told = f"the application says that it is {facts['version_told']}, judged is {release.version}"
    evidence.add(None, Finding("environment", facts["version_told"] == release.version, told))
    deployed = facts["deployed"]
    evidence.add(None, answers_well({f"deployed, {path}": status for path, status in deployed["answers"].items()}))
    for what in ("keeps_posts", "same_steps"):
        evidence.add(
            None, Finding("environment", deployed[what], f"deployed and set up twice: {what} is {deployed[what]}")
        )
    evidence.add(None, files_are_sound(release.tree / package for package in release.packages))
    errors = facts["startup_errors"]
    evidence.add(
        None,
        Finding("environment", not errors, f"errors at start-up: {errors[:3]}" if errors else "no errors at start-up"),
    )


def _name(requirement):
    return Requirement(requirement).name


def _installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
