"""Each defect, planted alone in a copy of the project, ends NO-GO and is found by the criterion that is there for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from defects import CLIENT, COMPLAINED, DEFECTS, MODEL_ELSEWHERE, SIGN_OFFS, SIGNED, Defect
from sandbox import Copy

# Criteria that decide nothing as they stand; here they do.
ADVISORY = ("sign-offs",)
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
    if defect.criterion in ADVISORY:
        copy.require(defect.criterion)
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


def test_a_margin_that_the_machine_cannot_tell_from_nothing_is_not_green(copy: Copy) -> None:
    """Four pairs of processes bound nothing at the confidence that is asked for."""
    more = """    { processes = 8, pairs = 12 },
    { processes = 8, pairs = 24 },
    { processes = 16, pairs = 24 },
    { processes = 16, pairs = 64 },
"""
    copy.replace("acceptance/criteria.toml", more, "")
    copy.replace("acceptance/criteria.toml", "{ processes = 8, pairs = 6 }", "{ processes = 4, pairs = 2 }")
    answer = copy.judge("performance-maintained")
    assert answer.status == 10, answer.output
    assert answer.verdicts["performance-maintained"] == "INCONCLUSIVE"
    assert "this machine cannot tell inf ms from nothing now, and the margin is" in answer.reasons(
        "performance-maintained"
    )


# What is planted, the words that tell of it, and what the criterion then is.
SIGNATURES = {
    "signed by everybody": (SIGNED, None, "GO"),
    "nobody signed": ("", "code-review: nobody has signed 2.0.0", "INCONCLUSIVE"),
    "expired": (SIGNED.replace("9999-12-31", "2026-01-31"), "expired on 2026-01-31", "INCONCLUSIVE"),
    "signed ahead of its day": (SIGNED.replace("2026-01-01", "9999-01-01"), "is still to come", "INCONCLUSIVE"),
    "for another release": (SIGNED.replace("2.0.0", "1.9.0"), "(signed is 1.9.0)", "INCONCLUSIVE"),
    "without a link": (SIGNED.replace("https://example.com/", ""), "is no http or https URL", "INCONCLUSIVE"),
    "without a name": (SIGNED.replace("Jo", " "), "by is blank", "INCONCLUSIVE"),
    "malformed": (SIGNED.replace("until", "untli"), "the key 'until' is missing", "INCONCLUSIVE"),
    "a minor complaint": (SIGNED + COMPLAINED.replace("significant", "minor"), None, "GO"),
    "a complaint about another release": (SIGNED + COMPLAINED.replace("2.0.0", "1.9.0"), None, "GO"),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_that_does_not_hold_is_not_green(name: str, copy: Copy) -> None:
    planted, reason, verdict = SIGNATURES[name]
    copy.append(SIGN_OFFS, planted)
    copy.require("sign-offs")
    answer = copy.judge("sign-offs")
    assert answer.status == 10, answer.output
    assert answer.verdicts["sign-offs"] == verdict
    assert (reason or "") in answer.reasons("sign-offs")
