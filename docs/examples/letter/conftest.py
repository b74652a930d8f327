"""The wiring: what is judged, on which steps and cases, by which criteria."""

from __future__ import annotations

from pathlib import Path

from gonogo import Project, Release

ROOT = Path(__file__).parent


def pytest_gonogo_project() -> Project:
    """One function, without a previous release and without a model."""
    return Project(
        root=ROOT,
        candidate=Release(
            "1.0.0", f"{ROOT / 'acceptance' / 'adapter.py'}:open_release", ROOT, packages=("letters.py",)
        ),
        baseline=None,
        criteria=ROOT / "acceptance" / "criteria.toml",
        workflows=ROOT / "workflows",
        cases=ROOT / "cases",
        recordings=ROOT / "recordings",
        reports=ROOT / "reports",
    )
