"""The bundled constructor alone, as a release that is quick to start; a case says how much slower it is to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat

from gonogo.model import Ability, Case, Json, Step
from gonogo.targets.adapter import Built, Run, WorkerContext

__all__ = ["Constructor", "burdened", "open_release"]


def burdened(build: Callable[[], object], loops: int) -> Callable[[], object]:
    """A construction that goes round in circles ``loops`` times more; with 0, the construction itself."""
    if not loops:
        return build

    def slower() -> object:
        for _ in repeat(None, loops):
            pass
        return build()

    return slower


def open_release(context: WorkerContext) -> Constructor:
    """The constructor with the material of the benchmarks."""
    return Constructor()


class Constructor:
    """Constructs one and the same prompt; a case's input ``loops`` says what it does besides."""

    abilities = frozenset({Ability.PROMPT, Ability.WORKER})
    seam = None

    def constructor(self, case: Case) -> Callable[[], object]:
        """A construction of the material with four inputs."""
        from app.workflow.scripts.prompt_constructor import construct_prompt
        from benchmarks.material import PLAIN, material

        made = material(4, PLAIN)
        return burdened(lambda: construct_prompt(made.step, made.inputs), int(case.inputs["loops"]))

    def construct(self, case: Case) -> Built:
        """Not asked for here."""
        raise NotImplementedError

    def run(self, case: Case, *, watched: bool) -> Run:
        """Not asked for here."""
        raise NotImplementedError

    def runner(self, case: Case) -> Callable[[], object]:
        """Not asked for here."""
        raise NotImplementedError

    def define(self, steps: Sequence[Step]) -> None:
        """There are no definitions."""

    def describe(self) -> Mapping[str, Json]:
        """There is nothing to tell."""
        return {}

    def close(self) -> None:
        """Nothing is held."""
