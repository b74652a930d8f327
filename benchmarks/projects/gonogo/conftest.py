"""The wiring: the bundled constructor alone, on the cases that both projects share."""

from __future__ import annotations

from pathlib import Path

from gonogo.project import Project, Release

HERE = Path(__file__).parent
SHARED = HERE.parent / "shared"
REPO = Path(REPOSITORY)


def pytest_gonogo_project():
    return Project(
        root=HERE.parent,
        candidate=Release("2.0.0", f"{HERE / 'constructor.py'}:open_release", REPO, packages=("app",)),
        baseline=None,
        criteria=HERE / "acceptance" / "criteria.toml",
        workflows=SHARED / "workflows",
        cases=SHARED / "cases",
        recordings=SHARED / "recordings",
        reports=HERE / "reports",
    )
