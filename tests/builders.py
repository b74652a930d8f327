"""Small steps, criteria and prompts that the engine's tests are written with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from gonogo.criteria import Criteria, Criterion, Measure, Scope, Statistic
from gonogo.grammar import Grammar
from gonogo.model import (
    Ability,
    Claim,
    Ended,
    Finding,
    FormatTemplate,
    InputField,
    Json,
    Judged,
    Level,
    Outcome,
    Phase,
    Sampled,
    Step,
)
from gonogo.statistics import Limit
from gonogo.verdict import Facts

GRAMMAR = Grammar(("CONTEXT", "TASK", "RESPONSE"), "TASK")
FIELDS_IN = FormatTemplate(
    "fields-in", "Fields", "Named fields.", "input", {"type": "object"}, "Each input has a name."
)
TEXT_OUT = FormatTemplate(
    "text-out", "Text", "One paragraph.", "output", {"type": "string", "minLength": 1}, "Plain text."
)
LIST_SCHEMA: Mapping[str, Json] = {"type": "array", "items": {"type": "string"}, "minItems": 2}
LIST_OUT = FormatTemplate("list-out", "List", "A list of facts.", "output", LIST_SCHEMA, "A JSON array.")
STEP = Step(
    id="facts",
    name="Facts",
    stage="Planning",
    substage="Research",
    order=1,
    model="llama3.1:8b",
    parameters={"temperature": 0.4},
    system_prompt="You research for [data:audience].\n",
    task_prompt="Find the facts.\n",
    input_format=FIELDS_IN,
    output_format=LIST_OUT,
    inputs=(
        InputField("basic_idea", "Basic Idea", required=True),
        InputField("audience", "Audience"),
        InputField("notes", "Notes"),
    ),
    output_field="facts",
)


def escaped(value: str) -> str:
    """The declared escaping, in the words of the contract; written without looking at the grammar."""
    return "  ".join((value + "x").splitlines(keepends=True))[:-1]


def built(step: Step, inputs: Mapping[str, str]) -> str:
    """A prompt as a faultless constructor builds it."""

    def resolved(template: str) -> str:
        # sections of a template between references are joined by values, which are never looked at again
        first, *rest = template.strip().split("[data:")
        parts = [first]
        for piece in rest:
            field, _, text = piece.partition("]")
            value = inputs.get(field, "")
            parts.append((escaped(value) if value.strip() else "") + text)
        return "".join(parts)

    entries = [f"{one.name}: {escaped(inputs[one.field])}" for one in step.inputs if inputs.get(one.field, "").strip()]
    context = [
        resolved(step.system_prompt),
        step.input_format.llm_instructions.strip(),
        step.input_format.description.strip(),
    ]
    task = [resolved(step.task_prompt), *entries]
    response = [step.output_format.llm_instructions.strip(), step.output_format.description.strip()]
    sections = {"CONTEXT": context, "TASK": task, "RESPONSE": response}
    return "\n\n".join(f"{name}:\n" + "\n\n".join(parts) for name, parts in sections.items()) + "\n"


def measure(
    sample: str = "seconds",
    statistic: Statistic = Statistic.MAXIMUM,
    go: str = "< 1",
    unit: str = "s",
    scope: Scope = Scope.STEP,
    quantile: float | None = None,
    minimum: int = 1,
) -> Measure:
    return Measure(sample, statistic, Limit.parse(go), unit, scope, quantile=quantile, minimum=minimum)


def criterion(
    criterion_id: str = "structure",
    *,
    scopes: tuple[Scope, ...] = (Scope.STEP,),
    needs: tuple[Ability, ...] = (),
    level: Level = Level.REQUIRED,
    levels: Mapping[Phase, Level] | None = None,
    synthetic: Level | None = None,
    every_case: bool = False,
    measured: bool = False,
    computed: bool = False,
    measures: Iterable[Measure] = (),
    parameters: Mapping[str, Json] | None = None,
) -> Criterion:
    return Criterion(
        id=criterion_id,
        title=f"The title of {criterion_id}",
        group="Prompts",
        scopes=scopes,
        needs=needs,
        levels=MappingProxyType(dict(levels) if levels else dict.fromkeys(Phase, level)),
        synthetic=synthetic,
        every_case=every_case,
        measured=measured,
        computed=computed,
        measures=tuple(measures),
        parameters=parameters or {},
    )


def criteria(*entries: Criterion) -> Criteria:
    return Criteria(entries or (criterion(),), GRAMMAR)


FACTS = Facts(
    phase=Phase.PRE,
    steps=("facts",),
    cases={"facts": ("roads", "rivers")},
    abilities=frozenset({Ability.PROMPT, Ability.WORKER}),
    synthetic=False,
)
CLAIM = Claim("structure", "facts")


def finding(
    ok: bool = True, case: str | None = "facts/roads", reason: str = "it holds", claim: Claim = CLAIM
) -> Judged:
    return Judged(claim, case, Finding("check", ok, reason))


def sample(
    *values: float, name: str = "seconds", unit: str = "s", case: str | None = "facts/roads", claim: Claim = CLAIM
) -> Sampled:
    return Sampled(claim, name, unit, values, case)


def ended(outcome: Outcome = Outcome.PASSED, reason: str = "", claim: Claim = CLAIM) -> Ended:
    return Ended(claim, outcome, reason, "acceptance/test_x.py::test_x", 0.1)


def other_phase(facts: Facts, phase: Phase) -> Facts:
    return replace(facts, phase=phase)
