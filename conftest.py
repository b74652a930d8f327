"""The wiring: which application is judged, against which release, on which workflows and recordings."""

from __future__ import annotations

from pathlib import Path

from gonogo import Project, Release

ROOT = Path(__file__).parent
ADAPTER = f"{ROOT / 'acceptance' / 'application.py'}:open_release"


def pytest_gonogo_project() -> Project:
    """The bundled application against its previous release."""
    return Project(
        root=ROOT,
        candidate=Release("2.0.0", ADAPTER, ROOT, packages=("app",)),
        baseline=Release(
            "1.9.0",
            ADAPTER,
            ROOT,
            packages=("app",),
            overlay=ROOT / "fixtures" / "releases" / "1.9.0",
            facts=ROOT / "fixtures" / "releases" / "1.9.0.json",
        ),
        criteria=ROOT / "acceptance" / "criteria.toml",
        workflows=ROOT / "workflows",
        cases=ROOT / "fixtures" / "cases",
        recordings=ROOT / "fixtures" / "recordings",
        reports=ROOT / "reports",
        stage=f"{ROOT / 'acceptance' / 'stage.py'}:open_stage",
    )
