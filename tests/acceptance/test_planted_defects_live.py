"""What the suites find before a deploy they find after it: each defect, deployed, by the same criterion in the same words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from defects import DEFECTS, Defect
from sandbox import ROOT, Copy
from test_planted_defects import STEPS

_CRITERIA = tomllib.loads((ROOT / "acceptance" / "criteria.toml").read_text(encoding="utf-8"))["criterion"]
REQUIRED = {one["id"] for one in _CRITERIA if one["post-stub"] == "required"}
VISIBLE = [one for one in DEFECTS if one.criterion in REQUIRED and one.live_reason is not None]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Three steps, and less of what is only repeated."""
    copy = Copy.of_project(tmp_path, steps=STEPS)
    copy.set_parameter("construction-time", "rounds", 100)
    copy.set_parameter("error-rate", "cases", 500)
    copy.replace("acceptance/criteria.toml", "histogram\nrounds = 600", "histogram\nrounds = 300")
    return copy


@pytest.mark.parametrize("defect", VISIBLE, ids=lambda defect: defect.name)
def test_a_deployed_defect_ends_no_go_by_the_same_criterion_in_the_same_words(defect: Defect, copy: Copy) -> None:
    copy.append(defect.file, defect.code)
    answer = copy.judge_live(defect.criterion)
    assert answer.status == 1, answer.output
    assert {name: verdict for name, verdict in answer.verdicts.items() if verdict != "INCONCLUSIVE"} == {
        defect.criterion: "NO-GO"
    }
    assert defect.live_reason is not None
    assert defect.live_reason in answer.reasons(defect.criterion)
