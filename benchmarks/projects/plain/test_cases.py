"""One test per case: build the prompt, ask the model, check prompt and reply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import allure
import pytest

from app.workflow.loader import load_workflow as load_app_workflow
from app.workflow.scripts.prompt_constructor import construct_prompt
from gonogo.checks import inputs_mapped, sections_in_order, templates_verbatim
from gonogo.grammar import Grammar
from gonogo.model import Case
from gonogo.replies import reply_conforms
from gonogo.workflows import load_workflow

SHARED = Path(__file__).parents[1] / "shared"
GRAMMAR = Grammar(("CONTEXT", "TASK", "RESPONSE"), "TASK")
WORKFLOW = load_workflow(SHARED / "workflows", SHARED / "cases")
STEPS = {step.id: step for step in WORKFLOW.steps}
CONSTRUCTED_FROM = {step.id: step for step in load_app_workflow(SHARED / "workflows").steps}
CASES = [case for step in WORKFLOW.steps for case in WORKFLOW.cases_of(step.id)]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.path) for case in CASES])
def test_the_prompt_is_well_formed_and_its_reply_conforms(
    case: Case, ask: Callable[[dict[str, Any]], str | None], pytestconfig: pytest.Config
) -> None:
    step = STEPS[case.step]
    prompt = construct_prompt(CONSTRUCTED_FROM[case.step], case.inputs).text
    if pytestconfig.getoption("--attach-prompts"):
        allure.attach(prompt, "prompt", allure.attachment_type.TEXT)
    body = {"model": step.model, "prompt": prompt, "stream": False, "options": dict(step.parameters)}
    reply = ask(body)
    assert reply is not None, "the prompt is not the one that was recorded"
    findings = [
        sections_in_order(prompt, GRAMMAR),
        *templates_verbatim(prompt, step, case.inputs, GRAMMAR),
        *inputs_mapped(prompt, step, case.inputs, GRAMMAR),
        reply_conforms(reply, step.output_format),
    ]
    failing = [finding.reason for finding in findings if not finding.ok]
    assert not failing, "\n".join(failing)
