"""One test per case, written as the documents of PyYAML, responses and allure-pytest show it."""

from __future__ import annotations

from pathlib import Path

import allure
import pytest
import requests
import responses
import yaml
from responses import matchers

from app.workflow.loader import load_workflow as load_app_workflow
from app.workflow.scripts.prompt_constructor import construct_prompt
from gonogo.checks import inputs_mapped, sections_in_order, templates_verbatim
from gonogo.grammar import Grammar
from gonogo.model import Case
from gonogo.replies import reply_conforms
from gonogo.workflows import load_workflow

SHARED = Path(__file__).parents[1] / "shared"
MODEL = "http://127.0.0.1:11434/api/generate"
GRAMMAR = Grammar(("CONTEXT", "TASK", "RESPONSE"), "TASK")
WORKFLOW = load_workflow(SHARED / "workflows", SHARED / "cases")
STEPS = {step.id: step for step in WORKFLOW.steps}
CONSTRUCTED_FROM = {step.id: step for step in load_app_workflow(SHARED / "workflows").steps}
CASES = [case for step in WORKFLOW.steps for case in WORKFLOW.cases_of(step.id)]
RECORDED = {
    f"{file['step']}/{case}": one
    for path in sorted((SHARED / "recordings" / "2.0.0").glob("*.yaml"))
    for file in [yaml.safe_load(path.read_text(encoding="utf-8"))]
    for one in file["recordings"]
    for case in one["cases"]
}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.path) for case in CASES])
@responses.activate
def test_the_prompt_is_well_formed_and_its_reply_conforms(case: Case) -> None:
    step, recorded = STEPS[case.step], RECORDED[case.path]
    prompt = construct_prompt(CONSTRUCTED_FROM[case.step], case.inputs).text
    allure.attach(prompt, "prompt", allure.attachment_type.TEXT)
    responses.post(
        MODEL,
        json={"model": step.model, "response": recorded["reply"]["text"], "done": True},
        match=[matchers.json_params_matcher(recorded["request"]["body"])],
    )
    body = {"model": step.model, "prompt": prompt, "stream": False, "options": dict(step.parameters)}
    answered = requests.post(MODEL, json=body, timeout=10)
    assert answered.status_code == 200
    findings = [
        sections_in_order(prompt, GRAMMAR),
        *templates_verbatim(prompt, step, case.inputs, GRAMMAR),
        *inputs_mapped(prompt, step, case.inputs, GRAMMAR),
        reply_conforms(answered.json()["response"], step.output_format),
    ]
    failing = [finding.reason for finding in findings if not finding.ok]
    assert not failing, "\n".join(failing)
