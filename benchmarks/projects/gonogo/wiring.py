"""Copied as conftest.py. The wiring: the bundled constructor alone, on the cases that both projects share."""

from __future__ import annotations

from pathlib import Path

from gonogo.project import Project, Release

HERE = Path(__file__).parent
SHARED = HERE.parent / "shared"
REPOSITORY = Path((SHARED / "repository.txt").read_text(encoding="utf-8"))


def pytest_gonogo_project() -> Project:
    """The constructor of the bundled application, without a previous release."""
    return Project(
        root=HERE.parent,
        candidate=Release("2.0.0", f"{HERE / 'constructor.py'}:open_release", REPOSITORY, packages=("app",)),
        baseline=None,
        criteria=HERE / "acceptance" / "criteria.toml",
        workflows=SHARED / "workflows",
        cases=SHARED / "cases",
        recordings=SHARED / "recordings",
        reports=HERE / "reports",
    )
