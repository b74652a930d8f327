"""A small project that is GO as it stands, and pytest over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from constructor_project import write_project
from sandbox import Judge, run_in_process


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """A project that is GO as it stands."""
    write_project(pytester.path)
    return pytester.path


@pytest.fixture
def judge(project: Path, pytester: pytest.Pytester) -> Judge:
    """Run pytest over the project with these arguments."""
    return lambda *arguments: run_in_process(pytester, *(arguments or ("acceptance",)))
