"""Workflow files: what is read, and what is refused with value, place and remedy."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import STEP

from gonogo.errors import DefinitionError
from gonogo.model import InputField, Workflow
from gonogo.workflows import load_workflow, step_as_json, step_from_json

TEMPLATE: dict[str, Any] = {
    "id": "text-out",
    "name": "Text",
    "description": "One paragraph.",
    "fields": {"type": "output", "schema": {"type": "string"}},
    "llm_instructions": "Plain text.",
}
STEP_FILE: dict[str, Any] = {
    "id": "facts",
    "name": "Facts",
    "stage": "Planning",
    "substage": "Research",
    "order": 2,
    "model": "llama3.1:8b",
    "parameters": {"temperature": 0.4},
    "system_prompt": "You research.",
    "task_prompt": "Find facts.",
    "input_format": "fields-in",
    "output_format": "text-out",
    "inputs": [
        {"field": "basic_idea", "name": "Basic Idea", "required": True},
        {"field": "audience", "name": "Audience"},
    ],
    "output_field": "facts",
}
CASES: dict[str, Any] = {
    "step": "facts",
    "cases": [
        {
            "id": "roads",
            "title": "Roads",
            "traits": ["ordinary"],
            "inputs": {"basic_idea": "Roman roads", "audience": ""},
        },
        {"id": "rivers", "inputs": {"basic_idea": "Rivers"}},
    ],
}


class Files:
    """A folder of workflow files, faultless until a test changes one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.formats = {
            "text-out": copy.deepcopy(TEMPLATE),
            "fields-in": {
                **copy.deepcopy(TEMPLATE),
                "id": "fields-in",
                "fields": {"type": "input", "schema": {"type": "object"}},
            },
        }
        self.steps = {"planning/research/facts": copy.deepcopy(STEP_FILE)}
        self.cases = {"facts": copy.deepcopy(CASES)}

    def load(self) -> Workflow:
        for folder, files in (("workflows/formats", self.formats), ("workflows", self.steps), ("cases", self.cases)):
            for name, content in files.items():
                path = self.root / folder / f"{name}.yaml"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return load_workflow(self.root / "workflows", self.root / "cases", root=self.root)

    def refused(self) -> str:
        with pytest.raises(DefinitionError) as caught:
            self.load()
        return str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_workflow_is_read_with_its_templates_and_cases(files: Files) -> None:
    workflow = files.load()
    [step] = workflow.steps
    assert step.path == "Planning / Research / Facts"
    assert step.inputs == (InputField("basic_idea", "Basic Idea", True), InputField("audience", "Audience", False))
    assert step.input_format.kind == "input"
    assert step.output_format.is_plain_text
    roads, rivers = workflow.cases_of("facts")
    assert (roads.path, roads.title, roads.traits) == ("facts/roads", "Roads", ("ordinary",))
    assert dict(rivers.inputs) == {"basic_idea": "Rivers"}
    assert workflow.step("facts") is step
    assert workflow.cases_of("another") == ()
    with pytest.raises(KeyError):
        workflow.step("another")


def test_the_workflow_of_this_project_loads() -> None:
    root = Path(__file__).parent.parent
    workflow = load_workflow(root / "workflows", root / "fixtures" / "cases", root=root)
    assert len(workflow.steps) == 18
    assert all(workflow.cases_of(step.id) for step in workflow.steps)


def test_steps_come_in_their_order_and_not_in_that_of_their_files(files: Files) -> None:
    files.steps["a/b/zebra"] = {**STEP_FILE, "id": "zebra", "order": 1}
    files.steps["a/b/ant"] = {**STEP_FILE, "id": "ant", "order": 3}
    assert [step.id for step in files.load().steps] == ["zebra", "facts", "ant"]


def test_a_folder_without_steps_is_a_workflow_without_steps(tmp_path: Path) -> None:
    assert load_workflow(tmp_path / "no", tmp_path / "none").steps == ()


def test_parameters_may_be_left_out(files: Files) -> None:
    del files.steps["planning/research/facts"]["parameters"]
    assert files.load().steps[0].parameters == {}


STEP_PLACE = "workflows/planning/research/facts.yaml:"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            {"id": "other"},
            ["id: 'other' differs from the file's name", "write 'facts' or rename the file to other.yaml"],
        ),
        ({"id": "Facts!"}, ["id: 'Facts!' is not an id", "lower-case words joined by hyphens"]),
        ({"order": "first"}, ["order: 'first' is not a number"]),
        ({"order": 1.5}, ["order: 1.5 is not a whole number"]),
        ({"model": ""}, ["model: the text is empty", "write llama3.1:8b"]),
        ({"parameters": [1]}, ["parameters: [1] is a list"]),
        ({"system_prompt": " \n"}, ["system_prompt: the text is empty"]),
        (
            {"input_format": "fields-on"},
            ["input_format: there is no format template 'fields-on'", "did you mean 'fields-in'"],
        ),
        (
            {"input_format": "text-out"},
            ["input_format: 'text-out' is an output template", "whose fields.type is input"],
        ),
        (
            {"output_format": "fields-in"},
            ["output_format: 'fields-in' is an input template", "whose fields.type is output"],
        ),
        ({"output_field": "Facts"}, ["output_field: 'Facts' is not a field name", "joined by underscores"]),
        ({"colour": "red"}, ["colour: unknown key 'colour'", "known are"]),
        ({"inputs": "basic_idea"}, ["inputs: 'basic_idea' is a text", "write a list of mappings"]),
        ({"inputs": [{"field": "Basic", "name": "B"}]}, ["inputs[0].field: 'Basic' is not a field name"]),
        (
            {"inputs": [{"field": "a", "name": "A: b"}]},
            ["inputs[0].name: 'A: b' is not a display name", "without a colon"],
        ),
        ({"inputs": [{"field": "a", "name": "A\nb"}]}, ["name: 'A\\nb' is not a display name"]),
        ({"inputs": [{"field": "a", "name": " A"}]}, ["name: ' A' is not a display name", "outer spaces"]),
        (
            {"inputs": [{"field": "a", "name": "A", "requird": True}]},
            ["inputs[0].requird: unknown key", "did you mean 'required'"],
        ),
        (
            {"inputs": [{"field": "a", "name": "A", "required": "yes please"}]},
            ["required: 'yes please' is not true or false"],
        ),
        (
            {"inputs": [{"field": "a", "name": "A"}, {"field": "a", "name": "B"}]},
            ["inputs[1].field: 'a' stands here a second time"],
        ),
        (
            {"inputs": [{"field": "a", "name": "A"}, {"field": "b", "name": "A"}]},
            ["inputs[1].name: 'A' stands here a second time"],
        ),
    ],
)
def test_a_wrong_step_is_refused_with_value_place_and_remedy(
    files: Files, change: dict[str, Any], parts: list[str]
) -> None:
    files.steps["planning/research/facts"].update(change)
    said = files.refused()
    assert said.startswith(STEP_PLACE)
    for part in parts:
        assert part in said


@pytest.mark.parametrize("key", [key for key in STEP_FILE if key != "parameters"])
def test_a_step_without_one_of_its_keys_is_refused(files: Files, key: str) -> None:
    del files.steps["planning/research/facts"][key]
    assert f"the key {key!r} is missing; write {key}" in files.refused()


def test_two_steps_of_one_id_or_one_order_are_refused(files: Files) -> None:
    files.steps["a/b/facts"] = copy.deepcopy(STEP_FILE)
    assert (
        "the step 'facts' is also defined in workflows/a/b/facts.yaml; give one of them another id" in files.refused()
    )
    files.steps["a/b/facts"].update(id="others")
    files.steps["a/b/others"] = files.steps.pop("a/b/facts")
    (files.root / "workflows/a/b/facts.yaml").unlink()
    assert "order: 2 is also the order of 'others'; give one of them another number" in files.refused()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"id": "text"}, ["id: 'text' differs from the file's name"]),
        ({"fields": {"type": "both", "schema": {}}}, ["fields.type: 'both' is not one of input, output"]),
        ({"fields": {"type": "output"}}, ["fields: the key 'schema' is missing"]),
        (
            {"fields": {"type": "output", "schema": {"type": "strin"}}},
            ["fields.schema: not a JSON Schema", "correct the schema"],
        ),
        (
            {"fields": {"type": "output", "schema": {"pattern": "("}}},
            ["fields.schema: not a JSON Schema", "correct the schema"],
        ),
        ({"fields": {"type": "output", "schema": {}, "size": 1}}, ["fields.size: unknown key 'size'"]),
        ({"llm_instructions": ""}, ["llm_instructions: the text is empty"]),
        ({"instructions": "x"}, ["unknown key 'instructions'", "did you mean 'llm_instructions'"]),
    ],
)
def test_a_wrong_template_is_refused_with_value_place_and_remedy(
    files: Files, change: dict[str, Any], parts: list[str]
) -> None:
    files.formats["text-out"].update(change)
    said = files.refused()
    assert said.startswith("workflows/formats/text-out.yaml:")
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"id": "Roads"}, ["cases 'Roads'.id: 'Roads' is not an id"]),
        ({"id": "rivers"}, ["the case 'rivers' stands here a second time", "another id"]),
        ({"traits": ["unicorn"]}, ["traits: 'unicorn' is not a trait", "did you mean 'unicode'", "known are ordinary"]),
        (
            {"inputs": {"basic_idee": "x"}},
            ["the step 'facts' maps no field 'basic_idee'", "did you mean 'basic_idea'", "add it to the step's inputs"],
        ),
        ({"inputs": {"basic_idea": "Rivers"}}, ["the case 'roads' has the same inputs; change one of them"]),
        ({"inputs": {"basic_idea": 7}}, ["inputs: basic_idea: 7 is not a text", "put it in quotes"]),
        ({"inputs": {"audience": "x"}}, ["the required field 'basic_idea' is missing or empty", "write its text"]),
        ({"inputs": {"basic_idea": " \n"}}, ["the required field 'basic_idea' is missing or empty"]),
        ({"input": {}}, ["unknown key 'input'", "did you mean 'inputs'"]),
    ],
)
def test_a_wrong_case_is_refused_with_value_place_and_remedy(
    files: Files, change: dict[str, Any], parts: list[str]
) -> None:
    files.cases["facts"]["cases"][0].update(change)
    said = files.refused()
    assert said.startswith("cases/facts.yaml:")
    for part in parts:
        assert part in said


def test_cases_of_a_step_that_is_not_there_are_refused(files: Files) -> None:
    files.cases = {"fact": {**CASES, "step": "fact"}}
    said = files.refused()
    assert "there is no step 'fact' (did you mean 'facts'?); write the id of a file below workflows/" in said


def test_cases_in_a_file_of_another_name_are_refused(files: Files) -> None:
    files.cases = {"others": CASES}
    assert "step: 'facts' differs from the file's name; write 'others' or rename the file" in files.refused()


def test_a_step_survives_the_wire() -> None:
    assert step_from_json(json.loads(json.dumps(step_as_json(STEP)))) == STEP


@pytest.mark.parametrize("key", ["name", "inputs", "output_format"])
def test_a_step_that_lost_a_key_on_the_wire_is_refused(key: str) -> None:
    data = step_as_json(STEP)
    del data[key]
    with pytest.raises(DefinitionError, match=r"step 'facts': not what step_as_json writes"):
        step_from_json(data)
