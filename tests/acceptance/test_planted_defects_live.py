"""What the suites find before a deploy they find after it: each defect, deployed, by the same criterion in the same words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_live import deployed
from defects import DEFECTS, Defect
from sandbox import ROOT, Copy
from test_planted_defects import STEPS

from gonogo.stub.remote import served_stub

_CRITERIA = tomllib.loads((ROOT / "acceptance" / "criteria.toml").read_text(encoding="utf-8"))["criterion"]
REQUIRED = {one["id"] for one in _CRITERIA if one["post-stub"] == "required"}
# One or more for each criterion; the others take minutes together, and are run by continuous integration (make exhaustive).
USUAL = (
    "sections swapped",
    "RESPONSE dropped",
    "an input left out",
    "an input twice",
    "description missing",
    "placeholder unresolved",
    "user text expanded",
    "heading not neutralised",
    "2 ms sleep",
    "output stored too early",
    "2 % of runs failing",
    "another version",
)
VISIBLE = [one for one in DEFECTS if one.criterion in REQUIRED and one.live_reason is not None]
ROWS = [pytest.param(one, id=one.name, marks=() if one.name in USUAL else pytest.mark.exhaustive) for one in VISIBLE]


def test_the_usual_rows_are_rows() -> None:
    assert set(USUAL) <= {one.name for one in VISIBLE}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Three steps, and less of what is only repeated."""
    copy = Copy.of_project(tmp_path, steps=STEPS)
    copy.set_parameter("construction-time", "rounds", 100)
    copy.set_parameter("error-rate", "cases", 500)
    copy.replace("acceptance/criteria.toml", "histogram\nrounds = 600", "histogram\nrounds = 300")
    return copy


@pytest.fixture(scope="session")
def stub() -> Iterator[str]:
    with served_stub([ROOT / "fixtures" / "recordings" / "2.0.0"]) as url:
        yield url


@pytest.mark.parametrize("defect", ROWS)
def test_a_deployed_defect_ends_no_go_by_the_same_criterion_in_the_same_words(
    defect: Defect, copy: Copy, stub: str
) -> None:
    copy.append(defect.file, defect.code)
    with deployed(copy.root, stub) as live:
        options = ("--gonogo-phase=post", f"--gonogo-target={live.url}", f"--gonogo-stub={live.stub}")
        answer = copy.judge(defect.criterion, options=options)
    assert answer.status == 1, answer.output
    assert {name: verdict for name, verdict in answer.verdicts.items() if verdict != "INCONCLUSIVE"} == {
        defect.criterion: "NO-GO"
    }
    assert defect.live_reason is not None
    assert defect.live_reason in answer.reasons(defect.criterion)
