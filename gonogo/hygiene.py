"""Whether the parts of a definition agree with each other. Pure; advisory by nature, as it reads prose."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gonogo.grammar import Grammar
from gonogo.model import Finding, Step

__all__ = ["definition_agrees"]

_CHECK = "hygiene"
_FORMS = {
    "array": re.compile(r"\bJSON (?:array|list)\b", re.IGNORECASE),
    "object": re.compile(r"\bJSON object\b", re.IGNORECASE),
    "string": re.compile(r"\b(?:plain text|plain prose|no JSON|not JSON|without JSON)\b", re.IGNORECASE),
}
_ALMOST = re.compile(r"\[\s*data\s*:\s*[^\]]*\]?|\{\{.*?\}\}")


def definition_agrees(step: Step, grammar: Grammar) -> Iterator[Finding]:
    """Task prompt and output format ask for the same form; templates stand on their side; references name inputs."""
    yield _same_form(step)
    yield _sides(step)
    yield from _references(step, grammar)


def _same_form(step: Step) -> Finding:
    form = str(step.output_format.schema.get("type"))
    wording = f"{step.task_prompt}\n{step.system_prompt}"
    said = {name for name, pattern in _FORMS.items() if pattern.search(wording)}
    if said and form not in said:
        return Finding(
            _CHECK,
            False,
            f"the prompts ask for {' and '.join(sorted(said))}, the output format {step.output_format.id} is of type {form}; "
            "reword the one or choose another for the other",
        )
    return Finding(_CHECK, True, f"the prompts do not contradict the output format {step.output_format.id} ({form})")


def _sides(step: Step) -> Finding:
    wrong = [
        f"{one.id} is an {one.kind} template"
        for one, kind in ((step.input_format, "input"), (step.output_format, "output"))
        if one.kind != kind
    ]
    if wrong:
        return Finding(_CHECK, False, f"{'; '.join(wrong)} and stands on the other side")
    return Finding(_CHECK, True, "both templates stand on their side")


def _references(step: Step, grammar: Grammar) -> Iterator[Finding]:
    fields = {one.field for one in step.inputs}
    for what, text in (("system prompt", step.system_prompt), ("task prompt", step.task_prompt)):
        unknown = [field for field in grammar.references(text) if field not in fields]
        rest = re.sub(grammar.placeholder, "", text)
        malformed = _ALMOST.findall(rest)
        if unknown:
            yield Finding(
                _CHECK,
                False,
                f"the {what} refers to {', '.join(unknown)}, which the step does not map; map it or remove it",
            )
        elif malformed:
            yield Finding(_CHECK, False, f"the {what} holds {malformed[0]!r}, which looks like a reference and is none")
        else:
            yield Finding(_CHECK, True, f"every reference of the {what} names an input")
