"""What defects make of definitions and sign-offs, and that the checks that are there for them notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from builders import GRAMMAR, STEP, TEXT_OUT

from gonogo.grammar import Grammar
from gonogo.hygiene import definition_agrees
from gonogo.model import Case, Status, Workflow
from gonogo.planted_documents import SIGNOFFS, STEPS, planted_signoffs, planted_workflow
from gonogo.signoffs import Complaint, Severity, SignOff, SignOffs, standing

TODAY = date(2026, 11, 26)
SIGNED = SignOffs(
    (SignOff("code-review", "2.0", "Jo", "https://example.com/1", TODAY, TODAY),),
    (Complaint("1", "2.0", Severity.MINOR, "Ada", "Titles are in Latin.", datetime(2026, 11, 1, tzinfo=UTC)),),
)
WORKFLOW = Workflow((STEP, replace(STEP, id="more")), {"facts": (Case("roads", "facts", {}),)})
# steps as people write them: the form of the reply named in the prompt, or nowhere
ARRAY = replace(STEP, task_prompt="Find the facts. Answer with a JSON array.\n")
TEXT = replace(STEP, task_prompt="Write in plain text.\n", output_format=TEXT_OUT)
ALL_STEPS = {"silent": STEP, "array": ARRAY, "text": TEXT, "silent text": replace(STEP, output_format=TEXT_OUT)}


def failing(step_name: str, defect: str, grammar: Grammar = GRAMMAR) -> list[str]:
    step = STEPS[defect](ALL_STEPS[step_name])
    return [one.reason for one in definition_agrees(step, grammar) if not one.ok]


@pytest.mark.parametrize("name", ALL_STEPS)
@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("form-contradicted", "the prompts ask for"),
        ("templates-exchanged", "stands on the other side"),
        ("reference-malformed", "looks like a reference and is none"),
        ("reference-unmapped", "refers to audience, which the step does not map"),
    ],
)
def test_a_definition_with_a_defect_no_longer_agrees_with_itself(name: str, defect: str, said: str) -> None:
    assert [one for one in definition_agrees(ALL_STEPS[name], GRAMMAR) if not one.ok] == []
    assert any(said in reason for reason in failing(name, defect))


def test_a_defect_is_caught_however_references_are_written() -> None:
    braces = replace(GRAMMAR, placeholder=r"\{\{(?P<field>[^{}]*)\}\}")
    said = " ".join(failing("silent", "reference-malformed", braces))
    assert "the task prompt refers to planted, of no input, which the step does not map" in said


def test_every_step_has_the_defect_and_every_case_stays() -> None:
    for defect in STEPS:
        changed = planted_workflow(WORKFLOW, defect)
        assert [one.id for one in changed.steps] == ["facts", "more"]
        assert all(now != before for now, before in zip(changed.steps, WORKFLOW.steps, strict=True))
        assert changed.cases == WORKFLOW.cases


@pytest.mark.parametrize("planted", ["", "nothing", "section-missing", "hand-over-cuts"])
def test_what_people_wrote_stays_where_the_defect_has_its_place_elsewhere(planted: str) -> None:
    assert planted_workflow(WORKFLOW, planted) is WORKFLOW
    assert planted_signoffs(SIGNED, planted, "2.0") is SIGNED


@pytest.mark.parametrize(
    ("defect", "said"), [("complaint-open", "is open"), ("complaint-resolved-ahead", "that day is still to come")]
)
def test_a_complaint_that_is_planted_stands_in_the_way_of_its_release_alone(defect: str, said: str) -> None:
    assert set(SIGNOFFS) == {"complaint-open", "complaint-resolved-ahead"}
    planted = planted_signoffs(SIGNED, defect, "2.0")
    assert planted.signoffs == SIGNED.signoffs
    assert planted.complaints[:-1] == SIGNED.complaints
    stands = standing(planted, ["code-review"], "2.0", TODAY)
    assert stands.status is Status.NO_GO
    assert said in next(one.reason for one in stands.findings if not one.ok)
    assert standing(planted_signoffs(SIGNED, defect, "1.9"), ["code-review"], "2.0", TODAY).status is Status.GO
