"""Runs a step for a post: construct the prompt, ask the model, check the reply, store the output.

A user never goes without a prompt: where the constructor fails, in whatever way, the simple prompt of the previous
release is sent instead, and log and metrics say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.failures import Failure
from app.services import Services
from app.workflow.definitions import Step
from app.workflow.replies import parse_reply
from app.workflow.runs import FALLBACK, BuiltPrompt, Outcome, Task, ask, attempt, build, load_task, store
from app.workflow.scripts.prompt_constructor import (
    SECTIONS,
    ConstructedPrompt,
    PromptConstructionError,
    construct_prompt,
)

__all__ = ["RELEASE", "BuiltPrompt", "build_prompt", "preview_step", "run_step", "simple_prompt"]

RELEASE: Final = "2.0.0"

_REFERENCE = re.compile(r"\[data:([^\[\]]*)\]")


def run_step(services: Services, post_id: int, step_id: str) -> Outcome:
    """Run a step and store its output.

    Raises NotFound, and LLMError where the model gave nothing usable: then the post's fields are as they were.
    """
    task = load_task(services, post_id, step_id, RELEASE)
    built = build(services, task, build_prompt)
    with attempt(services, task, built) as current:
        reply = ask(services, current)
        assert task.step.output_format is not None  # a stored step has both formats
        output = parse_reply(reply, task.step.output_format)
    return store(services, current, output, task.step.output_field)


def preview_step(services: Services, post_id: int, step_id: str) -> tuple[Task, BuiltPrompt]:
    """Build the prompt that `run_step` would send, and send nothing. Raises NotFound."""
    task = load_task(services, post_id, step_id, RELEASE)
    return task, build(services, task, build_prompt)


def build_prompt(step: Step, inputs: Mapping[str, str]) -> BuiltPrompt:
    """The constructed prompt; the simple one where there is none, with the kind of failure as the reason."""
    try:
        constructed = construct_prompt(step, MappingProxyType(inputs))  # the fallback needs the inputs as they are
    # Whatever is wrong with the constructor, the user gets a prompt. A server that is told to stop while a prompt is built
    # stops all the same: it notes that before it raises SystemExit.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        problems = error.problems if isinstance(error, PromptConstructionError) else ()
        failure = Failure.of(FALLBACK, error)
        return BuiltPrompt(simple_prompt(step, inputs), None, type(error).__name__, problems, failure)
    if not _has_its_sections(constructed):
        return BuiltPrompt(simple_prompt(step, inputs), fallback_reason="invalid-result")
    return BuiltPrompt(constructed.text, constructed)


def simple_prompt(step: Step, inputs: Mapping[str, str]) -> str:
    """System prompt, task prompt and ``field: value`` lines, as the previous release joined them. Never raises."""
    values = {item.field: _text(inputs.get(item.field)) for item in step.inputs}

    def resolve(reference: re.Match[str]) -> str:
        return values.get(reference[1], reference[0])

    lines = [f"{field}: {value}" for field, value in values.items() if value.strip()]
    system_prompt, task_prompt = _text(step.system_prompt).strip(), _text(step.task_prompt).strip()
    parts = [system_prompt, _REFERENCE.sub(resolve, task_prompt), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part)


def _text(value: object) -> str:
    # a broken definition or input must not keep the simple prompt from being built
    if isinstance(value, str):
        return value
    return "" if value is None else str(value)


def _has_its_sections(constructed: object) -> bool:
    """Whether this is a prompt that can be sent: each heading on a line of its own, once, in order, with something below the last."""
    if not isinstance(constructed, ConstructedPrompt) or not isinstance(constructed.text, str):
        return False
    text = constructed.text
    places = []
    for name in SECTIONS:  # looked for in place: a prompt may be long, and framing it in line breaks would copy it
        at_start = text.startswith(f"{name}:\n")
        if at_start + text.count(f"\n{name}:\n") != 1 or text.endswith(f"\n{name}:"):
            return False
        places.append(-1 if at_start else text.find(f"\n{name}:\n"))
    return places == sorted(places)
