"""Loading the workflow that is replayed: format templates, steps, and the cases of each step, from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import jsonschema_rs

from gonogo.documents import Document, Section, closest, read_yaml, show
from gonogo.errors import DefinitionError
from gonogo.model import Case, FormatTemplate, InputField, Json, Step, Workflow
from gonogo.parsed import ParsedFiles

__all__ = ["TRAITS", "load_workflow", "step_as_json", "step_from_json"]

TRAITS = ("ordinary", "unicode", "long", "empty-optional", "json-in-text", "headings", "placeholder", "whitespace")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FIELD = re.compile(r"[a-z_][a-z0-9_]*")


def load_workflow(
    workflows: Path, cases: Path, *, root: Path | None = None, parsed: ParsedFiles | None = None
) -> Workflow:
    """Load every step below ``workflows`` and the cases that ``cases`` holds for them.

    A folder without steps gives a workflow without steps, which no run can end GO with.

    Raises:
        DefinitionError: a file is malformed, an id stands there twice, or a reference leads nowhere.
    """
    templates = _templates(workflows / "formats", root)
    steps: dict[str, tuple[Step, Document]] = {}
    orders: dict[int, str] = {}
    for path in sorted(workflows.rglob("*.yaml")):
        if path.parent == workflows / "formats":
            continue
        document = read_yaml(path, root=root, parsed=parsed)
        step = _step(document, templates)
        if step.id in steps:
            document.fail(
                ("id",),
                f"the step {step.id!r} is also defined in {steps[step.id][1].shown}; give one of them another id",
            )
        if step.order in orders:
            document.fail(
                ("order",), f"{step.order} is also the order of {orders[step.order]!r}; give one of them another number"
            )
        steps[step.id] = (step, document)
        orders[step.order] = step.id
    ordered = tuple(sorted((step for step, _ in steps.values()), key=lambda step: step.order))
    return Workflow(ordered, MappingProxyType(_cases(cases, {step.id: step for step in ordered}, root, parsed)))


def _id_matching_file(section: Section, path: Path) -> str:
    value = section.text("id", example=path.stem)
    if not _ID.fullmatch(value):
        section.fail("id", f"{value!r} is not an id; write lower-case words joined by hyphens, such as {path.stem}")
    if value != path.stem:
        section.fail(
            "id", f"{value!r} differs from the file's name; write {path.stem!r} or rename the file to {value}.yaml"
        )
    return value


def _templates(folder: Path, root: Path | None) -> dict[str, FormatTemplate]:
    templates = {}
    for path in sorted(folder.glob("*.yaml")):
        document = read_yaml(path, root=root)
        section = Section.of(document)
        template_id = _id_matching_file(section, path)
        fields = section.section("fields")
        schema = fields.mapping("schema")
        try:
            jsonschema_rs.meta.validate(schema)
            jsonschema_rs.validator_for(schema)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            fields.fail("schema", f"not a JSON Schema: {str(error).splitlines()[0]}; correct the schema")
        templates[template_id] = FormatTemplate(
            id=template_id,
            name=section.text("name"),
            description=section.text("description"),
            kind=fields.choice("type", ("input", "output")),
            schema=schema,
            llm_instructions=section.text("llm_instructions"),
        )
        fields.finish()
        section.finish()
    return templates


def _template(section: Section, key: str, kind: str, templates: Mapping[str, FormatTemplate]) -> FormatTemplate:
    name = section.text(key, example="the id of a format template")
    if name not in templates:
        section.fail(
            key, f"there is no format template {name!r}{closest(name, templates)}; write the id of a file in formats/"
        )
    if templates[name].kind != kind:
        section.fail(key, f"{name!r} is an {templates[name].kind} template; write one whose fields.type is {kind}")
    return templates[name]


def _step(document: Document, templates: Mapping[str, FormatTemplate]) -> Step:
    section = Section.of(document)
    inputs: list[InputField] = []
    for entry in section.sections("inputs"):
        one = InputField(
            entry.text("field", example="the name of a post field"),
            entry.text("name", example="a display name"),
            entry.flag("required", default=False),
        )
        entry.finish()
        if not _FIELD.fullmatch(one.field):
            entry.fail("field", f"{one.field!r} is not a field name; write lower-case words joined by underscores")
        if len(one.name.splitlines()) != 1 or ":" in one.name or one.name != one.name.strip():
            entry.fail("name", f"{one.name!r} is not a display name; write one line without a colon or outer spaces")
        for key, value, taken in (
            ("field", one.field, [other.field for other in inputs]),
            ("name", one.name, [other.name for other in inputs]),
        ):
            if value in taken:
                entry.fail(key, f"{value!r} stands here a second time; every input has a {key} of its own")
        inputs.append(one)
    output_field = section.text("output_field", example="the post field that takes the reply")
    if not _FIELD.fullmatch(output_field):
        section.fail(
            "output_field", f"{output_field!r} is not a field name; write lower-case words joined by underscores"
        )
    step = Step(
        id=_id_matching_file(section, document.path),
        name=section.text("name"),
        stage=section.text("stage"),
        substage=section.text("substage"),
        order=section.integer("order"),
        model=section.text("model", example="llama3.1:8b"),
        parameters=section.mapping("parameters", default={}),
        system_prompt=section.text("system_prompt"),
        task_prompt=section.text("task_prompt"),
        input_format=_template(section, "input_format", "input", templates),
        output_format=_template(section, "output_format", "output", templates),
        inputs=tuple(inputs),
        output_field=output_field,
    )
    section.finish()
    return step


def _cases(
    folder: Path, steps: Mapping[str, Step], root: Path | None, parsed: ParsedFiles | None
) -> dict[str, tuple[Case, ...]]:
    cases: dict[str, tuple[Case, ...]] = {}
    for path in sorted(folder.glob("*.yaml")):
        section = Section.of(read_yaml(path, root=root, parsed=parsed))
        step_id = section.text("step", example=path.stem)
        if step_id != path.stem:
            section.fail("step", f"{step_id!r} differs from the file's name; write {path.stem!r} or rename the file")
        if step_id not in steps:
            section.fail(
                "step",
                f"there is no step {step_id!r}{closest(step_id, steps)}; write the id of a file below workflows/",
            )
        found: dict[str, Case] = {}
        alike: dict[bytes, Case] = {}
        for entry in section.sections("cases"):
            case = _case(entry, steps[step_id])
            if case.id in found:
                entry.fail("id", f"the case {case.id!r} stands here a second time; give one of them another id")
            twin = alike.setdefault(case.key[1], case)
            if twin is not case:
                entry.fail(
                    "inputs",
                    f"the case {twin.id!r} has the same inputs; change one of them, replaying a case is not another sample",
                )
            found[case.id] = case
        section.finish()
        cases[step_id] = tuple(found.values())
    return cases


def _case(entry: Section, step: Step) -> Case:
    case_id = entry.text("id", example="roman-roads")
    if not _ID.fullmatch(case_id):
        entry.fail("id", f"{case_id!r} is not an id; write lower-case words joined by hyphens")
    traits = entry.texts("traits", default=())
    for trait in traits:
        if trait not in TRAITS:
            entry.fail("traits", f"{trait!r} is not a trait{closest(trait, TRAITS)}; known are {', '.join(TRAITS)}")
    mapped = {one.field: one for one in step.inputs}
    inputs = entry.mapping("inputs")
    for name, value in inputs.items():
        if name not in mapped:
            entry.fail(
                "inputs",
                f"the step {step.id!r} maps no field {name!r}{closest(name, mapped)}; add it to the step's inputs",
            )
        if not isinstance(value, str):
            entry.fail("inputs", f"{name}: {value!r} is not a text; put it in quotes")
    for name, one in mapped.items():
        if one.required and not inputs.get(name, "").strip():
            entry.fail("inputs", f"the required field {name!r} is missing or empty; write its text")
    title = entry.text("title", default="")
    entry.finish()
    return Case(case_id, step.id, MappingProxyType(dict(inputs)), title, traits)


def step_as_json(step: Step) -> dict[str, Json]:
    """A step as plain data, for the wire to a release worker."""
    return {
        "id": step.id,
        "name": step.name,
        "stage": step.stage,
        "substage": step.substage,
        "order": step.order,
        "model": step.model,
        "parameters": dict(step.parameters),
        "system_prompt": step.system_prompt,
        "task_prompt": step.task_prompt,
        "input_format": _template_as_json(step.input_format),
        "output_format": _template_as_json(step.output_format),
        "inputs": [{"field": one.field, "name": one.name, "required": one.required} for one in step.inputs],
        "output_field": step.output_field,
    }


def _template_as_json(template: FormatTemplate) -> dict[str, Json]:
    return {
        "id": template.id,
        "name": template.name,
        "description": template.description,
        "kind": template.kind,
        "schema": dict(template.schema),
        "llm_instructions": template.llm_instructions,
    }


def step_from_json(data: Mapping[str, object]) -> Step:
    """The step that ``step_as_json`` wrote.

    Raises:
        DefinitionError: the data did not come from ``step_as_json``.
    """
    try:
        values = dict(data)
        for key in ("input_format", "output_format"):
            values[key] = FormatTemplate(**values[key])  # type: ignore[arg-type]  # what step_as_json wrote
        values["inputs"] = tuple(InputField(**one) for one in values["inputs"])  # type: ignore[attr-defined]  # same
        return Step(**values)  # type: ignore[arg-type]  # same
    except (KeyError, TypeError) as error:
        raise DefinitionError(
            f"{show(Path('step'), None)} {data.get('id')!r}: not what step_as_json writes ({error})"
        ) from error
