"""The bundled constructor alone, as a release that is quick to start; a case says what it does besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat

from gonogo.model import Step
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.constructor import FunctionAdapter

__all__ = ["burdened", "open_release"]


def burdened(build: Callable[[], str], loops: int) -> str:
    """A construction after going round in circles ``loops`` times."""
    for _ in repeat(None, loops):
        pass
    return build()


def open_release(context: WorkerContext) -> FunctionAdapter:
    """A prompt with four inputs, whatever the step; the case's input ``loops`` is its burden."""
    from app.workflow.scripts.prompt_constructor import construct_prompt
    from benchmarks.material import PLAIN, material

    made = material(4, PLAIN)

    def build(step: Step, inputs: Mapping[str, str]) -> str:
        return burdened(lambda: construct_prompt(made.step, made.inputs).text, int(inputs["loops"]))

    return FunctionAdapter(context, build)
