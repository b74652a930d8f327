"""How gonogo reaches the bundled constructor. Runs inside a release worker."""

from __future__ import annotations

from typing import Any

from gonogo.model import FormatTemplate
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.constructor import FunctionAdapter


def open_release(context: WorkerContext) -> FunctionAdapter:
    """The constructor, given the definitions under judgement as its own kind of step."""
    from app.workflow import definitions
    from app.workflow.scripts.prompt_constructor import construct_prompt

    def template(one: FormatTemplate) -> Any:
        return definitions.FormatTemplate(
            one.id, one.name, one.description, one.kind, one.llm_instructions, dict(one.schema)
        )

    steps = {
        step.id: definitions.Step(
            id=step.id,
            name=step.name,
            stage=step.stage,
            substage=step.substage,
            order=step.order,
            model=step.model,
            parameters=dict(step.parameters),
            system_prompt=step.system_prompt,
            task_prompt=step.task_prompt,
            input_format=template(step.input_format),
            output_format=template(step.output_format),
            inputs=tuple(definitions.InputField(one.field, one.name, one.required) for one in step.inputs),
            output_field=step.output_field,
        )
        for step in context.steps
    }
    return FunctionAdapter(context, lambda step, inputs: construct_prompt(steps[step.id], inputs).text)
