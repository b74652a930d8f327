"""The external prompt constructor: a step and a post's inputs become one prompt with three sections. Pure, no I/O.

::

    CONTEXT:
    <system prompt>

    <instructions of the input format>

    <description of the input format>

    TASK:
    <task prompt>

    <Display Name>: <value>

    <Display Name>: <value>

    RESPONSE:
    <instructions of the output format>

    <description of the output format>

``[data:field]`` in a system or task prompt stands for the value of that input. Only templates are resolved, in one
pass: what a user wrote is never expanded.

Escaping keeps the sections apart whatever a value holds: two spaces follow every line boundary of a value, so that none
of its lines starts in column 0, where headings stand. Taking them away gives the value back. A value that replaces a
placeholder at the start of a template's line has no text before it; there, two spaces stand before it too.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

from app.workflow.definitions import FormatTemplate, InputField, Step

__all__ = [
    "SECTIONS",
    "ConstructedPrompt",
    "PromptConstructionError",
    "PromptMetadata",
    "construct_prompt",
    "escape",
]

SECTIONS: Final = ("CONTEXT", "TASK", "RESPONSE")
HEADINGS: Final = tuple(f"{name}:" for name in SECTIONS)
INDENT: Final = "  "
LONG_INPUT: Final = 20_000  # characters; longer inputs are written all the same, with a warning
PLANS: Final = 64  # prepared steps that are kept; a workflow has fewer

_FIELD = re.compile(r"[a-z][a-z0-9_]*")
_PLACEHOLDER = re.compile(r"\[data:([a-z][a-z0-9_]*)\]")
_MALFORMED = re.compile(r"\[data:(?![a-z][a-z0-9_]*\])[^\]\n]{0,40}\]?")
# where str.splitlines breaks, apart from the newline
_ODD_ASCII_BOUNDARIES: Final = ("\r", "\v", "\f", "\x1c", "\x1d", "\x1e")
_ODD_BOUNDARIES: Final = (*_ODD_ASCII_BOUNDARIES, "\x85", "\u2028", "\u2029")


class PromptConstructionError(ValueError):
    """No prompt can be constructed. ``problems`` are all reasons; they name fields and templates, never user text."""

    def __init__(self, step: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"step {step!r}: " + "; ".join(problems))
        self.step = step
        self.problems = problems

    def __reduce__(self) -> tuple[type[PromptConstructionError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.step, self.problems)


# named tuples, as each prompt makes two of them, and a frozen dataclass takes several times as long to be made
class PromptMetadata(NamedTuple):
    """Where a prompt came from. ``field_mapping``: post field to display name, of the entries written, in order."""

    input_format: str
    output_format: str
    field_mapping: Mapping[str, str]
    length: int  # characters


class ConstructedPrompt(NamedTuple):
    """A prompt, what it consists of, and what is odd about it."""

    text: str
    warnings: tuple[str, ...]
    metadata: PromptMetadata
    context_end: int  # offset in `text` of the end of the CONTEXT section
    task_end: int  # ... and of the TASK section

    @property
    def sections(self) -> dict[str, str]:
        """The text of each section without its heading. Cut from `text` on demand, so that no prompt is kept twice."""
        text = self.text
        return {
            "CONTEXT": text[len("CONTEXT:\n") : self.context_end],
            "TASK": text[self.context_end + len("\n\nTASK:\n") : self.task_end],
            "RESPONSE": text[self.task_end + len("\n\nRESPONSE:\n") : -1],
        }


def escape(value: str) -> str:
    """Put two spaces after every line boundary (as `str.splitlines` has them), one at the very end included."""
    return INDENT.join((value + "x").splitlines(keepends=True))[:-1]


class _Piece(NamedTuple):
    """A stretch of a template and, unless it is the last one, the placeholder that follows it."""

    literal: str
    field: str | None
    at_line_start: bool  # nothing that tells the line from a heading stands before the placeholder


class _Plan(NamedTuple):
    """All that does not depend on inputs, prepared once per step."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    mapping: dict[str, str]
    required: frozenset[str]
    referenced: tuple[str, ...]
    context: tuple[_Piece, ...]
    task: tuple[_Piece, ...]
    head: str  # both sections up to the entries, where no placeholder stands in them
    context_end: int
    tail: str
    input_format: str
    output_format: str


def construct_prompt(step: Step, inputs: Mapping[str, str]) -> ConstructedPrompt:
    """Build the prompt of `step` for `inputs` (post field to text; fields that the step does not map are ignored).

    Raises PromptConstructionError with every problem of the step and of the inputs at once.
    """
    plan = _plan(step)
    if plan.problems:
        raise PromptConstructionError(step.id, (*plan.problems, *_input_problems(step, inputs)))
    get = inputs.get
    values = [get(field, "") for field in plan.fields]
    try:
        blank = any(list(map(str.isspace, values))) or "" in values  # the whole list, as it checks the types as well
    except TypeError:
        raise PromptConstructionError(step.id, _input_problems(step, inputs)) from None
    labels, mapping = plan.labels, plan.mapping.copy()
    if blank:
        kept = [bool(value) and not value.isspace() for value in values]
        for field, keep in zip(plan.fields, kept, strict=True):
            if not keep:
                del mapping[field]
        if not plan.required <= mapping.keys():
            raise PromptConstructionError(step.id, _input_problems(step, inputs))
        labels = tuple(label for label, keep in zip(plan.labels, kept, strict=True) if keep)
        values = [value for value, keep in zip(values, kept, strict=True) if keep]

    joined = "".join(values)
    ascii_only = joined.isascii()
    if "\0" in joined or not (ascii_only or _encodable(joined)):
        raise PromptConstructionError(step.id, _input_problems(step, inputs))
    if any(boundary in joined for boundary in (_ODD_ASCII_BOUNDARIES if ascii_only else _ODD_BOUNDARIES)):
        escaped = [escape(value) for value in values]
    else:
        escaped = [value.replace("\n", "\n  ") for value in values]  # the same where newlines are the only boundaries
    del joined  # long inputs would stand in memory once more
    text, context_end = _write(plan, mapping, labels, escaped)

    warnings = plan.warnings
    if (blank and plan.referenced) or len(text) > LONG_INPUT:
        warnings += tuple(_input_warnings(plan, mapping, values))
    length = len(text)
    return ConstructedPrompt(
        text,
        warnings,
        PromptMetadata(plan.input_format, plan.output_format, mapping, length),
        context_end,
        length - len(plan.tail),
    )


def _write(plan: _Plan, mapping: dict[str, str], labels: tuple[str, ...], escaped: list[str]) -> tuple[str, int]:
    """The whole prompt and the offset of the end of its CONTEXT section."""
    entries = chain.from_iterable(zip(labels, escaped, strict=True))
    if not plan.referenced:
        return "".join([plan.head, *entries, plan.tail]), plan.context_end
    given = dict(zip(mapping, escaped, strict=True))
    head = "CONTEXT:\n" + "".join(_resolve(plan.context, given))
    return "".join([head, "\n\nTASK:\n", *_resolve(plan.task, given), *entries, plan.tail]), len(head)


def _resolve(pieces: tuple[_Piece, ...], given: Mapping[str, str]) -> Iterator[str]:
    for literal, field, at_line_start in pieces:
        yield literal
        if field is not None and (value := given.get(field)):
            if at_line_start:
                yield INDENT
            yield value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _input_problems(step: Step, inputs: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(problem for item in step.inputs for problem in _problems_of_input(item, inputs))


def _problems_of_input(item: InputField, inputs: Mapping[str, str]) -> Iterator[str]:
    value: object = inputs.get(item.field, "")
    who = f"input {item.field!r} ({item.name})"
    if not isinstance(value, str):
        yield f"{who} is {type(value).__name__}, not text"
        return
    if item.required and not value.strip():
        yield f"{who} is required and has no text"
    if "\0" in value:
        yield f"{who} holds a NUL character"
    if not _encodable(value):
        yield f"{who} holds a lone surrogate, which no encoding can carry"


def _input_warnings(plan: _Plan, mapping: Mapping[str, str], values: list[str]) -> Iterator[str]:
    for field in plan.referenced:
        if field not in mapping:
            yield f"input {field!r} is empty, and a prompt of the step refers to it"
    for field, value in zip(mapping, values, strict=True):
        if len(value) > LONG_INPUT:
            yield f"input {field!r} is very long: {len(value)} characters"


@lru_cache(maxsize=PLANS)
def _plan(step: Step) -> _Plan:
    problems = [*_text_problems("system prompt", step.system_prompt), *_text_problems("task prompt", step.task_prompt)]
    problems += _input_definition_problems(step.inputs)
    mapped = {item.field for item in step.inputs}
    for where, text in (("system prompt", step.system_prompt), ("task prompt", step.task_prompt)):
        problems += _placeholder_problems(where, text, mapped)
    problems += _template_problems("input", step.input_format)
    problems += _template_problems("output", step.output_format)
    if problems or step.input_format is None or step.output_format is None:
        return _Plan(tuple(problems), (), (), (), {}, frozenset(), (), (), (), "", 0, "", "", "")

    source, target = step.input_format, step.output_format
    context = _pieces(
        "\n\n".join(text.strip() for text in (step.system_prompt, source.llm_instructions, source.description))
    )
    task = _pieces(step.task_prompt.strip())
    head = "CONTEXT:\n" + "".join(piece.literal for piece in context)
    return _Plan(
        problems=(),
        warnings=tuple(_step_warnings(step)),
        fields=tuple(item.field for item in step.inputs),
        labels=tuple(f"\n\n{item.name}: " for item in step.inputs),
        mapping={item.field: item.name for item in step.inputs},
        required=frozenset(item.field for item in step.inputs if item.required),
        referenced=tuple(dict.fromkeys(piece.field for piece in context + task if piece.field is not None)),
        context=context,
        task=task,
        head=head + "\n\nTASK:\n" + "".join(piece.literal for piece in task),
        context_end=len(head),
        tail=f"\n\nRESPONSE:\n{target.llm_instructions.strip()}\n\n{target.description.strip()}\n",
        input_format=source.id,
        output_format=target.id,
    )


def _pieces(template: str) -> tuple[_Piece, ...]:
    literals = _PLACEHOLDER.split(template)  # literal, field, literal, field, ..., literal
    pieces = []
    line = ""  # literal text of the current line so far
    for literal, field in zip(literals[::2], [*literals[1::2], None], strict=True):
        line = (line + literal + "x").splitlines()[-1][:-1]
        pieces.append(_Piece(literal, field, any(heading.startswith(line) for heading in HEADINGS)))
    return tuple(pieces)


def _text_problems(where: str, text: object) -> Iterator[str]:
    if not isinstance(text, str):
        yield f"{where} is {type(text).__name__}, not text"
        return
    if not text.strip():
        yield f"{where} is empty"
    if "\0" in text:
        yield f"{where} holds a NUL character"
    if not _encodable(text):
        yield f"{where} holds a lone surrogate, which no encoding can carry"
    # an optional input may leave nothing of its placeholder, so the line is looked at without any
    for line in dict.fromkeys(_PLACEHOLDER.sub("", text).splitlines()):
        if line.rstrip() in HEADINGS:
            yield f"{where} has a line that reads as the section heading {line.rstrip()!r}"


def _placeholder_problems(where: str, text: object, mapped: set[str]) -> Iterator[str]:
    if not isinstance(text, str):
        return
    for field in dict.fromkeys(_PLACEHOLDER.findall(text)):
        if field not in mapped:
            yield f"{where} refers to [data:{field}], which is none of the step's inputs"
    for found in dict.fromkeys(_MALFORMED.findall(text)):
        yield f"{where} has a malformed placeholder {found!r}; write [data:field_name]"


def _template_problems(side: str, template: FormatTemplate | None) -> Iterator[str]:
    if template is None:
        yield f"the step has no {side} format"
        return
    where = f"{side} format {template.id!r}"
    if template.type != side:
        yield f"{where} is a template of type {template.type!r}"
    for part, text in (("instructions", template.llm_instructions), ("description", template.description)):
        yield from _text_problems(f"{part} of {where}", text)
        if isinstance(text, str) and "[data:" in text:
            yield f"{part} of {where} has a placeholder; placeholders belong into system and task prompts"


def _input_definition_problems(inputs: tuple[InputField, ...]) -> Iterator[str]:
    fields: set[str] = set()
    names: set[str] = set()
    for item in inputs:
        if not isinstance(item.field, str) or not _FIELD.fullmatch(item.field):
            yield f"{item.field!r} is not the name of a post field; write it in snake_case"
        elif item.field in fields:
            yield f"input {item.field!r} is mapped twice"
        else:
            fields.add(item.field)
        if reason := _display_name_problem(item.name, names):
            yield f"input {item.field!r}: display name {item.name!r} {reason}"
        else:
            names.add(item.name)


def _display_name_problem(name: object, used: Container[str]) -> str | None:
    if not isinstance(name, str):
        return "is not text"
    if name in used:
        return "is used twice"
    if not name or name != name.strip():
        return "is empty or has white space at its ends"
    if ":" in name:
        return "holds a colon"
    if len(name.splitlines()) > 1:
        return "holds a line break"
    if name in SECTIONS:
        return "is the name of a section"
    if "\0" in name or not _encodable(name):
        return "holds a NUL character or a lone surrogate"
    return None


def _step_warnings(step: Step) -> Iterator[str]:
    names = {item.name for item in step.inputs}
    for line in step.task_prompt.splitlines():
        name, colon, _ = line.partition(":")
        if colon and name in names:
            yield f"the task prompt has a line that reads as the entry of {name!r}"
