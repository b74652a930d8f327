"""Plants a defect in a release worker: an adapter around the release's own, and changes on the way to its model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from gonogo.clock import OwnClock
from gonogo.errors import TargetError
from gonogo.grammar import Grammar
from gonogo.model import Ability, Case, Json, Message, Prompt, Reply, Request, Step
from gonogo.plantable import why_not
from gonogo.planting import Planting, find_defect
from gonogo.stub import Stub
from gonogo.stub.in_process import ModelClock
from gonogo.stub.protocols import prompt_of
from gonogo.targets.adapter import Adapter, Built, Run, TimesItself
from gonogo.targets.planted_prompts import AFTERWARDS, PROMPTS, Text
from gonogo.targets.planted_runs import CALLS, FACTS, REPLIES, REQUESTS, RUNS, Scene
from gonogo.targets.standin import ModelStub

__all__ = ["PlantedAdapter", "plant", "shared_out", "with_texts"]


def plant(
    adapter: Adapter,
    stub: ModelStub,
    planting: Planting,
    steps: Sequence[Step],
    own_clock: OwnClock,
    model_clock: ModelClock,
) -> PlantedAdapter:
    """The release with a defect in it.

    Raises:
        DefinitionError: there is no such defect.
        TargetError: it cannot be planted in this release; the message says why.
    """
    defect = find_defect(planting.defect)
    inside = isinstance(stub, Stub)
    abilities = set(adapter.abilities)
    if Ability.WORKER in abilities:
        abilities.add(Ability.TIMING)
    if stub.base_url is not None:
        abilities.add(Ability.STUB)
    why = why_not(defect, abilities, stub_inside=inside)
    if not why and isinstance(adapter, TimesItself) and planting.defect in CALLS:
        why = "the release times itself, so that nothing here makes it slower"
    if why:
        raise TargetError(f"the defect {defect.id} cannot be planted: {why}")
    scene = Scene(
        adapter=adapter,
        stub=stub,
        steps={step.id: step for step in steps},
        margins=planting.margins,
        now_ns=own_clock.now_ns,
        waited_ns=lambda: model_clock.waited_ns,
    )
    planted = PlantedAdapter(adapter, planting.defect, _grammar(planting), scene)
    if isinstance(stub, Stub):
        stub.received, stub.replied = planted.received, planted.replied
    return planted


def _grammar(planting: Planting) -> Grammar:
    fields: dict[str, Any] = {**planting.grammar, "sections": tuple(planting.grammar["sections"])}
    return Grammar(**fields)


@dataclass
class PlantedAdapter:
    """An ``Adapter`` around that of a release, which does what a defect of the catalogue does."""

    adapter: Adapter
    defect: str
    grammar: Grammar
    scene: Scene
    _case: Case | None = None  # the one that is run now
    _kept: dict[object, str] = field(default_factory=dict)
    _number: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def __post_init__(self) -> None:
        """Offer what the release offers."""
        self.abilities = self.adapter.abilities
        self.seam = self.adapter.seam
        self.model_url = getattr(self.adapter, "model_url", "")

    def _changed(self, changes: Mapping[str, Callable[[Text], str]], case: Case, text: str) -> str:
        if self.defect not in changes:
            return text
        return changes[self.defect](
            Text(text, self.scene.steps[case.step], case, self.grammar, self._kept, self._number)
        )

    def _changed_prompt(self, case: Case, prompt: Prompt) -> Prompt:
        texts = shared_out([one.content for one in prompt.messages], self._changed(PROMPTS, case, prompt.text))
        pairs = zip(prompt.messages, texts, strict=True)
        return Prompt(tuple(Message(message.role, text) for message, text in pairs if text is not None))

    def received(self, request: Request) -> Request:
        """A request as the model gets it."""
        request = REQUESTS[self.defect](request) if self.defect in REQUESTS else request
        prompt = prompt_of(request)
        if self._case is None or prompt is None:
            return request
        text = self._changed(AFTERWARDS, self._case, self._changed(PROMPTS, self._case, prompt.text))
        return with_texts(request, shared_out([one.content for one in prompt.messages], text))

    def replied(self, reply: Reply) -> Reply:
        """A reply as the model gives it."""
        step = self.scene.steps[self._case.step] if self._case else None
        return REPLIES[self.defect](reply, step) if self.defect in REPLIES else reply

    def construct(self, case: Case) -> Built:
        """The prompt that the release shows."""
        built = self.adapter.construct(case)
        # what is told of sections would give every change of them away, and few releases tell it
        return replace(built, prompt=self._changed_prompt(case, built.prompt), sections=MappingProxyType({}))

    def run(self, case: Case, *, watched: bool) -> Run:
        """A run as it looks from outside."""
        self._case = case
        try:
            run = self.adapter.run(case, watched=watched)
        finally:
            self._case = None
        recorded = (run.record or {}).get("prompt")
        if isinstance(recorded, str):
            sent = self._changed(AFTERWARDS, case, self._changed(PROMPTS, case, recorded))
            run = replace(run, record={**(run.record or {}), "prompt": sent})
        return RUNS[self.defect](self.scene, self.scene.steps[case.step], run) if self.defect in RUNS else run

    def constructor(self, case: Case) -> Callable[[], object]:
        """A call that builds the prompt of a case."""
        call = self.adapter.constructor(case)
        slow = self.defect in CALLS and find_defect(self.defect).criterion != "performance-maintained"
        return CALLS[self.defect](self.scene, case, call) if slow else call

    def runner(self, case: Case) -> Callable[[], object]:
        """A call that runs the step of a case."""
        call = partial(self._run_again, case, self.adapter.runner(case))
        slow = self.defect in CALLS and find_defect(self.defect).criterion == "performance-maintained"
        return CALLS[self.defect](self.scene, case, call) if slow else call

    def _run_again(self, case: Case, call: Callable[[], object]) -> object:
        self._case = case
        try:
            return call()
        finally:
            self._case = None

    def define(self, steps: Sequence[Step]) -> None:
        """Replace definitions."""
        self.adapter.define(steps)
        self.scene.steps.update({step.id: step for step in steps})

    def describe(self) -> Mapping[str, Json]:
        """What the release says of itself."""
        facts = dict(self.adapter.describe())
        return FACTS[self.defect](facts) if self.defect in FACTS else facts

    def close(self) -> None:
        """Let the release go."""
        self.adapter.close()


def shared_out(texts: Sequence[str], changed: str) -> list[str | None]:
    """The messages of a prompt whose text was changed; none for one that is gone.

    Those before and after the change stay as they are. What was changed becomes one message, the first of those that it was in.
    """
    start, end, rest = 0, len(texts), changed
    while start < end - 1 and rest.startswith(f"{texts[start]}\n\n"):
        rest = rest[len(texts[start]) + 2 :]
        start += 1
    while start < end - 1 and rest.endswith(f"\n\n{texts[end - 1]}"):
        rest = rest[: len(rest) - len(texts[end - 1]) - 2]
        end -= 1
    if start == end:
        return []
    return [*texts[:start], rest, *[None] * (end - start - 1), *texts[end:]]


def with_texts(request: Request, texts: Sequence[str | None]) -> Request:
    """A request whose messages hold these texts, in their order; those that are none are gone.

    A message in parts that is changed becomes one text; one that stays the same stays in its parts.
    """
    prompt = prompt_of(request)
    before = [one.content for one in prompt.messages] if prompt else []
    if before == list(texts):
        return request
    body = dict(request.body)
    messages = body.get("messages")
    own = len(messages) if isinstance(messages, list) else 1
    if len(texts) > own:  # a system prompt stands beside them
        if texts[0] is None:
            del body["system"]
        elif texts[0] != before[0]:
            body["system"] = texts[0]
    after, was = texts[len(texts) - own :], before[len(before) - own :]
    if not isinstance(messages, list):
        body["prompt"] = after[0] or ""
        return replace(request, body=body)
    body["messages"] = [
        message if text == old or not isinstance(message, dict) else {**message, "content": text}
        for message, text, old in zip(messages, after, was, strict=True)
        if text is not None
    ]
    return replace(request, body=body)
