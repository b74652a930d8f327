"""Reads what people write: format templates, workflow steps and seed posts (YAML). Loading never runs code."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import yaml

from app.errors import DefinitionError
from app.workflow.definitions import FormatTemplate, InputField, Step

__all__ = ["FIELD_NAME", "MODELS", "SeedPost", "Workflow", "load_posts", "load_workflow"]

MODELS: Final = ("llama3.1:8b", "llama3.1:70b")
FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where libyaml is there


@dataclass(frozen=True, slots=True)
class Workflow:
    """Everything under one workflows folder. Steps are in their order."""

    templates: tuple[FormatTemplate, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SeedPost:
    """A post that a new database starts with."""

    title: str
    fields: Mapping[str, str]


def load_workflow(folder: Path) -> Workflow:
    """Read ``formats/*.yaml`` and ``<stage>/<substage>/*.yaml`` of `folder`. Raises DefinitionError."""
    if not folder.is_dir():
        raise DefinitionError(folder, "", "there is no such folder; name the one that holds formats/ and the stages")
    templates: dict[str, FormatTemplate] = {}
    for file in sorted(folder.glob("formats/*.yaml")):
        template = _template(file)
        templates[template.id] = template  # unique, as the id is the file's name
    steps: dict[str, tuple[Step, Path]] = {}
    orders: dict[int, Path] = {}
    for file in sorted(folder.glob("*/*/*.yaml")):
        step = _step(file, templates)
        if step.id in steps:
            raise DefinitionError(file, "id", f"{step.id!r} is the id of {steps[step.id][1]} as well")
        if step.order in orders:
            raise DefinitionError(file, "order", f"{step.order} is the place of {orders[step.order]} as well")
        steps[step.id] = step, file
        orders[step.order] = file
    ordered = sorted((step for step, _ in steps.values()), key=lambda step: step.order)
    return Workflow(tuple(templates.values()), tuple(ordered))


def load_posts(folder: Path) -> tuple[SeedPost, ...]:
    """Read ``*.yaml`` of `folder`; none where there is no such folder. Raises DefinitionError."""
    posts: dict[str, tuple[SeedPost, Path]] = {}
    for file in sorted(folder.glob("*.yaml")):
        entry = _Entry(file, "", _read(file), required=("title", "fields"))
        values = _mapping(file, "fields", entry["fields"])
        for name, value in values.items():
            _check(file, f"fields.{name}", name, FIELD_NAME, "snake_case")
            _text(file, f"fields.{name}", value)
        post = SeedPost(entry.text("title"), values)
        if post.title in posts:
            raise DefinitionError(file, "title", f"{post.title!r} is the title of {posts[post.title][1]} as well")
        posts[post.title] = post, file
    return tuple(post for post, _ in posts.values())


def _template(file: Path) -> FormatTemplate:
    entry = _Entry(file, "", _read(file), required=("id", "name", "description", "fields", "llm_instructions"))
    fields = _Entry(file, "fields", entry["fields"], required=("type", "schema"))
    if fields["type"] not in {"input", "output"}:
        raise DefinitionError(file, "fields.type", f"{fields['type']!r} is not a type; write input or output")
    schema = _mapping(file, "fields.schema", fields["schema"])
    try:
        jsonschema_rs.Draft202012Validator(schema, offline=True)
    except ValueError as error:
        raise DefinitionError(file, "fields.schema", f"not a JSON Schema: {str(error).splitlines()[0]}") from error
    return FormatTemplate(
        id=entry.id(),
        name=entry.text("name"),
        description=entry.text("description"),
        type=str(fields["type"]),
        llm_instructions=entry.text("llm_instructions"),
        schema=schema,
    )


def _step(file: Path, templates: Mapping[str, FormatTemplate]) -> Step:
    texts = ("name", "stage", "substage", "system_prompt", "task_prompt")
    others = ("id", "order", "model", "parameters", "input_format", "output_format", "inputs", "output_field")
    entry = _Entry(file, "", _read(file), required=(*texts, *others))
    order = entry["order"]
    if isinstance(order, bool) or not isinstance(order, int):
        raise DefinitionError(file, "order", f"{order!r} is not a whole number")
    if entry["model"] not in MODELS:
        raise DefinitionError(file, "model", f"{entry['model']!r} is not a model; write one of {', '.join(MODELS)}")
    output_field = _check(file, "output_field", entry["output_field"], FIELD_NAME, "snake_case")
    return Step(
        id=entry.id(),
        order=order,
        model=str(entry["model"]),
        input_format=_reference(file, "input_format", entry["input_format"], templates, "input"),
        output_format=_reference(file, "output_format", entry["output_format"], templates, "output"),
        inputs=_inputs(file, entry["inputs"]),
        output_field=output_field,
        parameters=_mapping(file, "parameters", entry["parameters"]),
        **{key: entry.text(key) for key in texts},
    )


def _inputs(file: Path, value: object) -> tuple[InputField, ...]:
    if not isinstance(value, list):
        raise DefinitionError(file, "inputs", "not a list; write one entry with field and name per input")
    inputs: list[InputField] = []
    for number, item in enumerate(value):
        key = f"inputs[{number}]"
        entry = _Entry(file, key, item, required=("field", "name"), optional=("required",))
        field = _check(file, f"{key}.field", entry["field"], FIELD_NAME, "snake_case")
        required = entry.values.get("required", False)
        if not isinstance(required, bool):
            raise DefinitionError(file, f"{key}.required", f"{required!r} is neither true nor false")
        if any(field == other.field for other in inputs):
            raise DefinitionError(file, f"{key}.field", f"{field!r} is an input already")
        inputs.append(InputField(field, entry.text("name"), required))
    return tuple(inputs)


def _reference(
    file: Path, key: str, value: object, templates: Mapping[str, FormatTemplate], side: str
) -> FormatTemplate:
    if not isinstance(value, str) or value not in templates:
        raise DefinitionError(file, key, f"there is no format {value!r}{_near(str(value), templates)}")
    if templates[value].type != side:
        raise DefinitionError(file, key, f"format {value!r} is of type {templates[value].type}, and this wants {side}")
    return templates[value]


class _Entry:
    """A mapping of a file with exactly the keys it may have."""

    def __init__(
        self, file: Path, key: str, values: object, *, required: Iterable[str], optional: Iterable[str] = ()
    ) -> None:
        self.file = file
        self.key = key
        self.values = _mapping(file, key, values)
        required = tuple(required)
        known = (*required, *optional)
        for name in self.values:
            if name not in known:
                raise DefinitionError(file, self._path(name), f"an unknown key{_near(name, known)}")
        for name in required:
            if name not in self.values:
                raise DefinitionError(file, self._path(name), "missing")

    def __getitem__(self, name: str) -> object:
        return self.values[name]

    def _path(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name

    def text(self, name: str) -> str:
        return _text(self.file, self._path(name), self.values[name], blank=False)

    def id(self) -> str:
        value = _check(self.file, "id", self.values["id"], _ID, "kebab-case")
        if value != self.file.stem:
            raise DefinitionError(self.file, "id", f"{value!r} is not the file's name; write {self.file.stem!r}")
        return value


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _mapping(file: Path, key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise DefinitionError(file, key, f"{type(value).__name__}, where a mapping of names to values belongs")
    return value


def _text(file: Path, key: str, value: object, *, blank: bool = True) -> str:
    if not isinstance(value, str):
        raise DefinitionError(file, key, f"{value!r} is not text; put it in quotes")
    if not (blank or value.strip()):
        raise DefinitionError(file, key, "empty")
    if "\0" in value:
        raise DefinitionError(file, key, "holds a NUL character")
    return value


def _check(file: Path, key: str, value: object, pattern: re.Pattern[str], style: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise DefinitionError(file, key, f"{value!r} is not in {style}")
    return value


class _StrictLoader(_SafeLoader):  # type: ignore[misc, valid-type]  # chosen when the module is loaded
    """The safe loader; a key that stands twice in a mapping is an error, not the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key_node.start_mark)
            if key_node.value in seen:
                problem = f"key {key_node.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def _read(file: Path) -> object:
    load: Callable[..., object] = yaml.load
    try:
        return load(file.read_bytes(), Loader=_StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark is not None else ""
        raise DefinitionError(file, place, f"not YAML: {getattr(error, 'problem', None) or error}") from error
