"""The steps and inputs that prompts are built from: a step of the repository's workflow with 1, 4 or 100 inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from app.workflow.definitions import InputField, Step
from app.workflow.loader import load_workflow

__all__ = ["LOADED_ANEW", "PLAIN", "SIZES", "VARIANTS", "Material", "material"]

SIZES = (1, 4, 100)
PLAIN = "plain"
LOADED_ANEW = "step loaded anew"  # an equal step, another object at each call, as an application loads it
VARIANTS = (PLAIN, "with a reference", "beyond ASCII", LOADED_ANEW)

_STEP = "idea-scope"  # full-length prompts and format templates, no references of its own
_SENTENCES = (
    "The salt road ran from the pans at the estuary to the abbey, and the carter was paid by the wall he had to pass.",
    "Nobody wrote down who had opened the sluice in the night of the flood of 1717.",
    "A toll of two pfennigs for each barrel was raised at the bridge until the railway made it pointless.",
    "Three of the seven lighthouses are still manned, though for visitors rather than for ships.",
    "What the miller called a bad year was a year without frost, because the millrace silted up.",
)
_ACCENTED = "Przełęcz, façade, Århus, naïveté, Ωκεανός, 茶馬古道 - the names stay as their owners write them. "
_LENGTH = 170


@dataclass(frozen=True)
class Material:
    """A step and inputs for it. ``group`` is what a reader calls it."""

    group: str
    step: Step
    inputs: Mapping[str, str]


@cache
def _base() -> Step:
    steps = load_workflow(Path(__file__).parents[1] / "workflows").steps
    return next(step for step in steps if step.id == _STEP)


@cache
def material(size: int, variant: str) -> Material:
    """A step with `size` inputs of about 170 characters each, every fourth of two lines or more.

    Always the same object for the same arguments: the constructor finds its plan of that very step at once, and of an
    equal one by comparing.
    """
    fields = tuple(InputField(f"field_{number}", f"Field {number}", number == 0) for number in range(size))
    base = _base()
    task = base.task_prompt
    if variant == "with a reference":
        task += '\nThe working title is "[data:field_0]"; let it guide the choice.\n'
    accented = _ACCENTED if variant == "beyond ASCII" else ""
    inputs = {item.field: _text(number, accented) for number, item in enumerate(fields)}
    group = f"{size} input{'s' if size > 1 else ''}, {variant}"
    step = replace(base, id=f"{base.id}-{size}-{VARIANTS.index(variant)}", inputs=fields, task_prompt=task)
    return Material(group, step, inputs)


def _text(number: int, begin: str) -> str:
    sentences = [_SENTENCES[(number + offset) % len(_SENTENCES)] for offset in range(len(_SENTENCES))]
    text = (begin + " ".join(sentences))[:_LENGTH].rstrip()
    if number % 4 == 0:
        text = text.replace(". ", ".\n", 1) if ". " in text else text[:80] + "\n" + text[81:]
    return text
