"""The words of gonogo as frozen value objects. Standard library only; behaviour lives in functions elsewhere."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Status(enum.StrEnum):
    """The answer for a claim, a criterion or a run. NO-GO > INCONCLUSIVE > GO in every aggregation."""

    GO = "GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_GO = "NO-GO"

    @property
    def rank(self) -> int:
        """How bad it is: 0 for GO, 1 for INCONCLUSIVE, 2 for NO-GO."""
        return (Status.GO, Status.INCONCLUSIVE, Status.NO_GO).index(self)

    @staticmethod
    def worst(statuses: Iterable[Status]) -> Status:
        """The worst of them; of none at all INCONCLUSIVE, because nothing was shown."""
        return max(statuses, key=lambda status: status.rank, default=Status.INCONCLUSIVE)


class Phase(enum.StrEnum):
    """When a run takes place. ``POST_STUB`` and ``POST_REAL`` differ in who answers the live service."""

    PRE = "pre"
    POST_STUB = "post-stub"
    POST_REAL = "post-real"
    NIGHTLY = "nightly"


class Level(enum.StrEnum):
    """What a phase asks of a criterion."""

    REQUIRED = "required"
    ADVISORY = "advisory"
    NOT_JUDGED = "not judged"


class Ability(enum.StrEnum):
    """What a target can do, and what a criterion needs.

    ``WORKER`` is timing and tracing in a process of its own; ``TIMING`` is there with it, or where a live service has a
    histogram of its constructions. ``STUB``: the model is a stub, whose journal tells what was sent. ``STAGE``: releases
    can be swapped on a deployment of one's own.
    """

    PROMPT = "prompt"
    REPLY = "reply"
    FAULT = "fault"
    RELEASES = "releases"
    WORKER = "worker"
    TIMING = "timing"
    STUB = "stub"
    LIVE = "live"
    STAGE = "stage"
    DEFINITIONS = "definitions"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class InputField:
    """One mapped input of a step: the post's field, its display name in the prompt, and whether it must be there."""

    field: str
    name: str
    required: bool = False


@dataclass(frozen=True)
class FormatTemplate:
    """How inputs come or how the reply must look. ``kind`` is ``input`` or ``output``; ``schema`` is a JSON Schema."""

    id: str
    name: str
    description: str
    kind: str
    schema: Mapping[str, Json]
    llm_instructions: str

    @property
    def is_plain_text(self) -> bool:
        """Whether a reply in this format is text as it stands, not JSON."""
        return self.schema.get("type") == "string"

    @cached_property
    def schema_text(self) -> str:
        """The schema as JSON, by which a validator of it can be found again."""
        return json.dumps(dict(self.schema), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One workflow step with everything that goes into its prompt. ``parameters`` go to the model unchanged."""

    id: str
    name: str
    stage: str
    substage: str
    order: int
    model: str
    parameters: Mapping[str, Json]
    system_prompt: str
    task_prompt: str
    input_format: FormatTemplate
    output_format: FormatTemplate
    inputs: tuple[InputField, ...]
    output_field: str

    @property
    def path(self) -> str:
        """Stage / substage / name, as people say it."""
        return f"{self.stage} / {self.substage} / {self.name}"


@dataclass(frozen=True)
class Case:
    """A step with concrete inputs (post field -> text)."""

    id: str
    step: str
    inputs: Mapping[str, str]
    title: str = ""
    traits: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """``step/case``: unique in a project."""
        return f"{self.step}/{self.id}"

    @cached_property
    def key(self) -> tuple[str, bytes]:
        """What a prompt of this case depends on: step and inputs. Two cases of one name may differ in it."""
        return self.step, canonical(dict(self.inputs))


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the model."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model receives: one text, or messages with roles."""

    messages: tuple[Message, ...]

    @classmethod
    def of(cls, text: str) -> Prompt:
        """A prompt that is one text."""
        return cls((Message("user", text),))

    @property
    def text(self) -> str:
        """The contents of all messages, in order, a blank line between them."""
        return "\n\n".join(message.content for message in self.messages)

    @property
    def transcript(self) -> str:
        """The messages with their roles, for comparison: two prompts of one text may speak in other voices."""
        return "\n\n".join(f"{message.role}: {message.content}" for message in self.messages)

    @property
    def size(self) -> int:
        """Length in bytes of UTF-8; lone surrogates count as three bytes."""
        return len(self.text.encode("utf-8", "surrogatepass"))


# made once: json.dumps would make one for each call
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Json) -> bytes:
    """Canonical JSON: sorted keys, no white space, UTF-8. Equal values give equal bytes.

    Raises:
        ValueError: for NaN and infinities, which JSON does not know.
    """
    return _CANONICAL.encode(value).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Request:
    """A request to a model: provider, operation (the path, such as ``/api/generate``) and the whole body. No headers."""

    provider: str
    operation: str
    body: Mapping[str, Json]

    @cached_property
    def key(self) -> str:
        """SHA-256 over the canonical JSON of the whole request; what a recording is found by."""
        return self._hashed[0]

    @cached_property
    def size(self) -> int:
        """Length of the canonical JSON of the whole request, in bytes."""
        return self._hashed[1]

    @cached_property
    def _hashed(self) -> tuple[str, int]:
        whole: Json = {"provider": self.provider, "operation": self.operation, "body": dict(self.body)}
        content = canonical(whole)
        return hashlib.sha256(content).hexdigest(), len(content)


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of a reply as it came over the wire, ``offset`` seconds after the request was sent."""

    offset: float
    data: bytes


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called, with arguments by name."""

    name: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answered: its text, the tools it wants called, the HTTP status, and the raw frames where recorded."""

    text: str
    status: int = 200
    frames: tuple[Frame, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


class Provenance(enum.StrEnum):
    """Where a recording came from."""

    CAPTURED = "captured"
    SYNTHETIC = "synthetic"
    REKEYED = "rekeyed"


@dataclass(frozen=True)
class Recording:
    """A request and its reply. ``origin`` says where a re-keyed reply came from; none for the others.

    ``model``, ``model_version`` and ``server`` are what the model's server said of itself when the reply was recorded.
    """

    id: str
    step: str
    cases: tuple[str, ...]
    request: Request
    reply: Reply
    provenance: Provenance
    recorded: str
    note: str = ""
    origin: Provenance | None = None
    model: str = ""
    model_version: str = ""
    server: str = ""

    @property
    def from_a_model(self) -> bool:
        """Whether a model gave the reply, be it to this prompt or to the one before a re-keying."""
        return Provenance.CAPTURED in (self.provenance, self.origin)


@dataclass(frozen=True, slots=True)
class Finding:
    """Ok or not, with a reason, from one check. ``detail`` is text for a reader: a diff, the place, the prompt."""

    check: str
    ok: bool
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """Criterion x step, or a criterion alone: what one pytest item shows."""

    criterion: str
    step: str | None = None

    def __str__(self) -> str:
        return f"{self.criterion}/{self.step}" if self.step else self.criterion


WHOLE = Claim("the run")  # no criterion: what is known of the run as a whole
ENVIRONMENT = Claim("environment")  # whether what was deployed is there and well; also told by who asks a live service


class Outcome(enum.StrEnum):
    """How the pytest item of a claim ended."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Judged:
    """Evidence: one finding on one case (or on none, for a claim about the whole)."""

    claim: Claim
    case: str | None
    finding: Finding


@dataclass(frozen=True, slots=True)
class Sampled:
    """Evidence: measured values of one quantity, in SI units (seconds, bytes) or 0/1 for errors."""

    claim: Claim
    name: str
    unit: str
    values: tuple[float, ...]
    case: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Evidence that could not be had, and why. A gap keeps its claim from GO. ``detail`` is text for a reader (a diff)."""

    claim: Claim
    case: str | None
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The pytest item of a claim came to its end."""

    claim: Claim
    outcome: Outcome
    reason: str
    item: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Collected:
    """The claims that one pytest process collected, after selection."""

    claims: tuple[Claim, ...]
    deselected: int = 0


Evidence: TypeAlias = Judged | Sampled | Gap | Ended | Collected


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict for one claim, with its reasons and figures (name -> text for a reader)."""

    claim: Claim
    level: Level
    status: Status
    reasons: tuple[str, ...]
    findings: int = 0
    failing: int = 0
    cases: tuple[str, ...] = ()
    bounds: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class CriterionVerdict:
    """The verdict for one criterion: the worst of its claims."""

    criterion: str
    title: str
    group: str
    level: Level
    status: Status
    reasons: tuple[str, ...]
    claims: tuple[Decided, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict for a run: the worst of its required criteria."""

    phase: Phase
    status: Status
    reasons: tuple[str, ...]
    criteria: tuple[CriterionVerdict, ...]
    notes: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[Decided, ...]:
        """Every claim of every criterion, in order."""
        return tuple(claim for criterion in self.criteria for claim in criterion.claims)


@dataclass(frozen=True)
class Workflow:
    """Everything that is replayed: steps in their order, and the cases of each."""

    steps: tuple[Step, ...]
    cases: Mapping[str, tuple[Case, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def step(self, step_id: str) -> Step:
        """The step with that id.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def cases_of(self, step_id: str) -> tuple[Case, ...]:
        """The recorded cases of a step; none where it has none."""
        return self.cases.get(step_id, ())
