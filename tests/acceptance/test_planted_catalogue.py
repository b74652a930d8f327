"""Every defect of the catalogue, planted in the bundled application, is caught by the criterion that is there for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sandbox import ROOT, Copy
from test_planted_defects import STEPS

from gonogo.planting import CATALOGUE, Defect, Place

# Half a reply is a regression that only many cases show; the others are shown by three steps.
WITH_ALL_STEPS = ("response-quality",)
# Beside other tests, a time may be too uncertain to say anything: that must never be the wrong thing. `gonogo prove` is the measure.
TIMED = {"construction-time": {"INCONCLUSIVE"}, "performance-maintained": {"INCONCLUSIVE"}}
# Nobody has signed for the bundled application.
UNSIGNED = {"sign-offs": {"INCONCLUSIVE"}}
# Those of a stage take a deployment: tests/acceptance/test_planted_stages.py has them.
PLANTED = [defect for defect in CATALOGUE.values() if defect.place is not Place.STAGE]


def of_project(folder: Path, criterion: str) -> Copy:
    """Three steps of the project, and less of what is only repeated."""
    copy = Copy.of_project(folder, steps=None if criterion in WITH_ALL_STEPS else STEPS)
    copy.set_parameter("error-rate", "cases", 500)
    copy.set_parameter("memory", "constructions", 2000)
    if criterion == "documentation":
        shutil.copytree(ROOT / "docs", folder / "docs")
        for name in ("README.md", "Makefile"):
            shutil.copy2(ROOT / name, folder / name)
    return copy


@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", PLANTED, ids=lambda defect: defect.id)
def test_a_defect_is_caught_by_its_criterion(defect: Defect, tmp_path: Path) -> None:
    copy = of_project(tmp_path, defect.criterion)
    options = [f"--gonogo-planted={defect.id}", f"--gonogo-criterion={defect.criterion}"]
    allowed = {defect.expected.value} | TIMED.get(defect.criterion, set())
    answer = copy.judge(defect.criterion, options=[*options, "-x"])
    if answer.verdicts[defect.criterion] not in allowed:  # what is INCONCLUSIVE may stand before what is NO-GO
        answer = copy.judge(defect.criterion, options=options)
    assert answer.verdicts[defect.criterion] in allowed, answer.output
    assert answer.document["run"]["planted"] == defect.id


@pytest.mark.exhaustive
@pytest.mark.parametrize("criterion", sorted({defect.criterion for defect in PLANTED}))
def test_the_candidate_held_against_itself_is_well(criterion: str, tmp_path: Path) -> None:
    copy = of_project(tmp_path, criterion)
    answer = copy.judge(criterion, options=["--gonogo-planted=nothing", f"--gonogo-criterion={criterion}"])
    assert answer.status == 10, answer.output
    wanted = UNSIGNED.get(criterion, {"GO"}) | TIMED.get(criterion, set())
    assert answer.verdicts[criterion] in wanted, answer.output
