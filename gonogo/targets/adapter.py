"""What a release must offer so that a worker can ask it: the adapter, written in a few lines for each application."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from gonogo.contract import Contract
from gonogo.model import Ability, Case, Json, Message, Prompt, Step
from gonogo.project import Service

__all__ = ["Adapter", "Built", "Run", "TimesItself", "WorkerContext", "prompt_from_json", "prompt_to_json"]


@dataclass(frozen=True)
class WorkerContext:
    """What an adapter is opened with: a scratch folder of its own, the steps, and the release's options.

    ``contract`` is the section ``[target]`` of criteria.toml, none where there is no such section. ``model_url`` is where the
    model answers, where a stub serves HTTP; empty where the stub is in this process or there is none. ``service`` is the running
    deployment that a live target asks.
    """

    scratch: Path
    steps: tuple[Step, ...]
    options: Mapping[str, Json]
    contract: Contract | None = None
    model_url: str = ""
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A prompt as the release built it.

    ``fallback`` is the reason why it is the simple prompt, or none. ``sections`` are what the release says that its sections
    are, empty where it does not say it; ``warnings`` what it says is odd about the inputs, none where it never says it.
    """

    prompt: Prompt
    fallback: str | None = None
    sections: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """The text of the prompt."""
        return self.prompt.text


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a step through the whole application.

    Attributes:
        status: HTTP status, or 200/500 where the application has no HTTP.
        output: the parsed output of a run that succeeded.
        error: code, message and whatever else the application says of a failure; none for a success.
        state_before, state_after: name -> digest of everything that is stored (post fields, tables), without run records.
        runs_recorded: how many run records this run left behind; none where nothing tells.
        fallback: the reason of a fallback, or none.
        fallback_logged: of each log event that speaks of a fallback, what it says is wrong.
        fallback_counted: metric increments that speak of a fallback.
        stored: the fields of the post after a run that succeeded; empty where nobody looked.
        answer: the whole answer to a run that failed, as its user gets it; empty where there is none beside ``error``.
        record: what the application says of this run when asked afterwards: ``status`` (succeeded or failed), ``prompt``,
            ``error`` (its code) and ``reply``; empty where it knows of no such run, none where it cannot be asked.
    """

    status: int
    output: Json
    error: Mapping[str, Json] | None
    state_before: Mapping[str, str]
    state_after: Mapping[str, str]
    runs_recorded: int | None
    fallback: str | None
    fallback_logged: Sequence[str]
    fallback_counted: int
    stored: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    record: Mapping[str, Json] | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the run ended well: no error was told, and the status is none of an error."""
        return self.error is None and self.status < 400

    def as_json(self) -> dict[str, Json]:
        """Plain data, for the wire."""
        return asdict(self)


class Adapter(Protocol):
    """A release inside its worker. ``abilities`` says which of the methods may be called.

    ``seam`` is ``package.module:attribute`` of the function that builds prompts, as the application calls it; faults are
    injected there. An adapter may say as ``model_url`` where it told its release that the model is; a request to a model
    elsewhere is refused and named.
    """

    abilities: frozenset[Ability]
    seam: str | None

    def construct(self, case: Case) -> Built:
        """The prompt of a case, as the application would send it (PROMPT)."""
        ...

    def run(self, case: Case, *, watched: bool) -> Run:
        """Run the step of a case through the whole application; the model is the worker's stub (REPLY).

        Not watched: what is stored, recorded, logged and counted need not be looked at, and stays empty.
        """
        ...

    def constructor(self, case: Case) -> Callable[[], object]:
        """A call that does nothing but build the prompt of a case, everything loaded beforehand (WORKER)."""
        ...

    def runner(self, case: Case) -> Callable[[], object]:
        """A call that runs the step of a case end to end and leaves nothing behind that slows the next (WORKER, REPLY)."""
        ...

    def define(self, steps: Sequence[Step]) -> None:
        """Replace the definitions of these steps and of their format templates (FAULT)."""
        ...

    def describe(self) -> Mapping[str, Json]:
        """Facts about the release: version, dependencies, endpoints, health, whatever a suite asks for by name."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@runtime_checkable
class TimesItself(Protocol):
    """An adapter whose release measures its own constructions, as a live service does."""

    def timed_constructions(self, cases: Sequence[Case], rounds: int, limit: float | None) -> list[float]:
        """Seconds of each of at least ``rounds`` constructions of cases of one step.

        Raises:
            TargetError: the release measures none, or not so that ``limit`` (seconds) could be told from less.
        """
        ...


def prompt_to_json(prompt: Prompt) -> list[Json]:
    """A prompt as plain data."""
    return [[message.role, message.content] for message in prompt.messages]


def prompt_from_json(data: Sequence[Any]) -> Prompt:
    """The prompt that ``prompt_to_json`` wrote."""
    return Prompt(tuple(Message(role, content) for role, content in data))
