"""The same prompt built in four ways from the same step: the constructor, Jinja2 twice, LangChain; and Jinja2 bare.

Every way is prepared for a step beforehand, outside the timing: templates are compiled, the constructor has its plan.
None of the rivals validates anything; the constructor does. A rival does not even look at the step it is called with:
its template was made for that step. The constructor finds its plan by the step, as the application calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jinja2
from langchain_core.prompts import PromptTemplate

from app.workflow.definitions import FormatTemplate, Step
from app.workflow.scripts.prompt_constructor import construct_prompt, escape

__all__ = ["BARE", "BUILDERS", "CONSTRUCTOR", "Build", "prepare"]

Build = Callable[[Step, Mapping[str, str]], str]
CONSTRUCTOR = "constructor"
BARE = "Jinja2, bare"


def _head_and_tail(step: Step) -> tuple[str, str]:
    """What stands before and after the entries; a reference still as ``[data:field]``."""
    source, target = _template(step.input_format), _template(step.output_format)
    context = (step.system_prompt, source.llm_instructions, source.description)
    response = (target.llm_instructions, target.description)
    head = "CONTEXT:\n" + "\n\n".join(part.strip() for part in context) + f"\n\nTASK:\n{step.task_prompt.strip()}"
    return head, "\n\nRESPONSE:\n" + "\n\n".join(part.strip() for part in response) + "\n"


def _template(template: FormatTemplate | None) -> FormatTemplate:
    if template is None:
        raise ValueError("a step of the benchmark has both format templates")
    return template


def _constructor(step: Step) -> Build:
    return lambda step, inputs: construct_prompt(step, inputs).text


@dataclass(frozen=True)
class _Jinja:
    """Writes Jinja2 source: texts of the step raw, references and entries as expressions."""

    neutral: str = "|neutral"

    def text(self, step: Step, text: str) -> str:
        raw = "{% raw %}" + text + "{% endraw %}"
        for item in step.inputs:
            expression = "{% endraw %}{{ " + item.field + self.neutral + " }}{% raw %}"
            raw = raw.replace(f"[data:{item.field}]", expression)
        return raw

    def compiled(self, source: str) -> jinja2.Template:
        environment = jinja2.Environment(autoescape=False, keep_trailing_newline=True)
        environment.filters["neutral"] = escape
        return environment.from_string(source)

    def loop(self, step: Step) -> Build:
        """One loop over the entries that are not empty, as one template for every step would be written."""
        head, tail = _head_and_tail(step)
        entry = "{% for name, value in entries %}\n\n{{ name }}: {{ value" + self.neutral + " }}{% endfor %}"
        template = self.compiled(self.text(step, head) + entry + self.text(step, tail))
        names = [(item.name, item.field) for item in step.inputs]

        def build(_: Step, inputs: Mapping[str, str]) -> str:
            entries = [(name, inputs[field]) for name, field in names if inputs[field].strip()]
            return template.render(inputs, entries=entries)

        return build

    def unrolled(self, step: Step) -> Build:
        """Every entry written out, which is quicker where there are few; an empty input would be written as well."""
        head, tail = _head_and_tail(step)
        entries = "".join(f"\n\n{item.name}: {{{{ {item.field}{self.neutral} }}}}" for item in step.inputs)
        template = self.compiled(self.text(step, head) + entries + self.text(step, tail))
        return lambda _, inputs: template.render(inputs)


def _langchain(step: Step) -> Build:
    """An f-string template with one variable for each input; an empty input would be written as well."""
    head, tail = (text.replace("{", "{{").replace("}", "}}") for text in _head_and_tail(step))
    for item in step.inputs:
        head = head.replace(f"[data:{item.field}]", f"{{{item.field}}}")
    entries = "".join(f"\n\n{item.name}: {{{item.field}}}" for item in step.inputs)
    fields = [item.field for item in step.inputs]
    template = PromptTemplate(template=head + entries + tail, input_variables=fields)

    def build(_: Step, inputs: Mapping[str, str]) -> str:
        return template.format(**{field: escape(inputs[field]) for field in fields})

    return build


BUILDERS: Mapping[str, Callable[[Step], Build]] = {
    CONSTRUCTOR: _constructor,
    "Jinja2, loop": _Jinja().loop,
    "Jinja2, unrolled": _Jinja().unrolled,
    "LangChain": _langchain,
    BARE: _Jinja(neutral="").unrolled,
}


def prepare(name: str, step: Step) -> Build:
    """One of ``BUILDERS`` for a step, used once so that nothing is left to be prepared."""
    build = BUILDERS[name](step)
    build(step, {item.field: "x" for item in step.inputs})
    return build
