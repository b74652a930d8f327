"""The simplest target: a function that builds a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gonogo.errors import TargetError
from gonogo.model import Ability, Case, Json, Message, Prompt, Step
from gonogo.targets.adapter import Built, Run, WorkerContext

__all__ = ["FunctionAdapter"]


@dataclass
class FunctionAdapter:
    """A release that is one function: step and inputs in, prompt out (a text, or a ``gonogo.Prompt``).

    Args:
        context: what the worker opened the release with.
        build: called with a ``Step`` and the case's inputs (post field -> text).
        facts: what ``describe`` gives.
    """

    context: WorkerContext
    build: Callable[[Step, Mapping[str, str]], str | Prompt]
    facts: Mapping[str, Json] = field(default_factory=dict)
    abilities: frozenset[Ability] = frozenset({Ability.PROMPT, Ability.WORKER, Ability.DEFINITIONS})
    seam: str | None = None

    def __post_init__(self) -> None:
        """Index the steps."""
        self._steps = {step.id: step for step in self.context.steps}

    def construct(self, case: Case) -> Built:
        """Call the function.

        Raises:
            TypeError: it returned something that is no prompt.
        """
        built: object = self.build(self._steps[case.step], case.inputs)
        if isinstance(built, str):
            return Built(Prompt.of(built))
        if isinstance(built, Prompt) and all(isinstance(one, Message) for one in built.messages):
            return Built(built)
        raise TypeError(f"it returned {built!r:.80}; return a text, or Prompt((Message(role, content), ...))")

    def constructor(self, case: Case) -> Callable[[], object]:
        """The function with its arguments."""
        step, inputs, build = self._steps[case.step], dict(case.inputs), self.build
        return lambda: build(step, inputs)

    def run(self, case: Case, *, watched: bool) -> Run:
        """Not offered.

        Raises:
            TargetError: always; a function alone runs nothing.
        """
        raise TargetError(f"a constructor alone cannot run {case.path}")

    def runner(self, case: Case) -> Callable[[], object]:
        """Not offered.

        Raises:
            TargetError: always.
        """
        raise TargetError(f"a constructor alone cannot run {case.path}")

    def define(self, steps: Sequence[Step]) -> None:
        """Use other definitions from now on."""
        self._steps.update({step.id: step for step in steps})

    def describe(self) -> Mapping[str, Json]:
        """The facts it was made with."""
        return self.facts

    def close(self) -> None:
        """Nothing to let go of."""
