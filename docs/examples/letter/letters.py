"""A small application that writes letters with a language model. It knows nothing of gonogo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REFERENCE = re.compile(r"\{([a-z_]+)\}")


def build_prompt(step: Any, inputs: Mapping[str, str]) -> str:
    """Three sections: who the model is, what it is to write, and what its answer looks like."""
    given = {one.field: escape(inputs[one.field]) for one in step.inputs if inputs.get(one.field, "").strip()}

    def resolved(template: str) -> str:
        return REFERENCE.sub(lambda reference: given.get(reference[1], ""), template.strip())

    entries = [f"{one.name} = {given[one.field]}" for one in step.inputs if one.field in given]
    sections = {
        "Role": [resolved(step.system_prompt), *texts_of(step.input_format)],
        "Letter": [resolved(step.task_prompt), *entries],
        "Answer": texts_of(step.output_format),
    }
    return "\n\n".join(f"# {name}\n" + "\n\n".join(parts) for name, parts in sections.items())


def texts_of(template: Any) -> list[str]:
    """What a format template says to the model."""
    return [template.llm_instructions.strip(), template.description.strip()]


def escape(value: str) -> str:
    """Indent every line after the first, so that no line of a user's text can pass for a heading or an entry."""
    return "    ".join((value + "x").splitlines(keepends=True))[:-1]
