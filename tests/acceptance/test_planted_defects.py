"""Each defect, planted alone in a copy of the project, ends NO-GO and is found by the criterion that is there for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from defects import CLIENT, DEFECTS, MODEL_ELSEWHERE, Defect
from sandbox import Copy

# One has a reference in its task prompt, one cases with forged headings, one cases with placeholders in user text.
STEPS = ("initial-concept", "section-headings", "meta")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Three steps of the project, and less of what is only repeated: that makes a defect harder to show, not easier."""
    copy = Copy.of_project(tmp_path, steps=STEPS)
    copy.set_parameter("construction-time", "rounds", 100)
    copy.set_parameter("error-rate", "cases", 500)
    copy.set_parameter("memory", "constructions", 2000)
    return copy


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_defect_ends_no_go_and_is_named_by_its_criterion(defect: Defect, copy: Copy) -> None:
    copy.append(defect.file, defect.code)
    answer = copy.judge(defect.criterion)
    assert answer.status == 1, answer.output
    assert answer.verdicts.pop(defect.criterion) == "NO-GO"
    assert {name: verdict for name, verdict in answer.verdicts.items() if verdict != "INCONCLUSIVE"} == {
        defect.criterion: "NO-GO"
    }
    assert defect.reason in answer.reasons(defect.criterion)
    assert f"{defect.criterion} is NO-GO" in answer.document["reasons"]


def test_a_model_that_is_asked_elsewhere_is_named_and_not_green(copy: Copy) -> None:
    copy.append(CLIENT, MODEL_ELSEWHERE)
    answer = copy.judge("prompt-structure")
    assert answer.status == 10, answer.output
    assert "the release tried to reach POST http://models.dev.example" in answer.reasons("prompt-structure")


# The others take longer; the acceptance suites of the project itself end GO with all of them.
CONTROLLED = (
    "prompt-structure",
    "format-templates",
    "field-mapping",
    "hostile-inputs",
    "fallback",
    "error-handling",
    "no-breaking-changes",
)


def test_without_a_defect_the_same_criteria_are_go(copy: Copy) -> None:
    answer = copy.judge(*CONTROLLED)
    assert answer.status == 10, answer.output  # a part of what is owed is never enough
    assert {name for name, verdict in answer.verdicts.items() if verdict == "GO"} == set(CONTROLLED)
    assert "NO-GO" not in answer.verdicts.values()


def test_a_step_on_which_no_fault_is_tried_is_not_green(copy: Copy) -> None:
    copy.append("acceptance/faults.py", "def trials(matrix, place, steps, cases):\n    return ()")
    answer = copy.judge("fallback")
    assert answer.status == 10, answer.output
    assert answer.verdicts["fallback"] == "INCONCLUSIVE"
    assert "no combination of faults is tried on meta" in answer.reasons("fallback")


def test_a_changed_task_prompt_moves_the_prompts_and_breaks_no_structure(copy: Copy) -> None:
    (step,) = copy.root.glob("workflows/*/*/meta.yaml")
    copy.replace(str(step.relative_to(copy.root)), "task_prompt: |\n", "task_prompt: |\n  Take your time.\n")
    structure = ("prompt-structure", "format-templates", "field-mapping")
    answer = copy.judge(*structure, "response-quality")
    assert answer.status == 10, answer.output
    assert [answer.verdicts[criterion] for criterion in structure] == ["GO", "GO", "GO"]
    assert answer.verdicts["response-quality"] == "INCONCLUSIVE"
    assert "prompt moved" in answer.reasons("response-quality")
    assert "meta/" in answer.reasons("response-quality")
    assert "NO-GO" not in answer.verdicts.values()
