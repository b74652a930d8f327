"""What the stub answers, and the journal of everything it was asked. It knows no transport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from gonogo.model import Frame, Json, Reply, Request
from gonogo.recordings import RecordingSet, difference
from gonogo.stub.faults import INTERNAL, OVERSIZE, FaultPlan, LlmFault
from gonogo.stub.protocols import error_body, media_type, prompt_of, reply_frames

__all__ = ["MISS_HEADER", "Answer", "Exchange", "Journal", "Script", "Stub"]


# What the model's server says instead of a reply, and with which status.
_ERRORS: Mapping[LlmFault, tuple[int, str]] = MappingProxyType(
    {
        LlmFault.BAD_REQUEST: (400, "invalid options"),
        LlmFault.UNAUTHORIZED: (401, "unauthorized"),
        LlmFault.FORBIDDEN: (403, "this model is not open to you"),
        LlmFault.NOT_FOUND: (404, "model not found"),
        LlmFault.RATE_LIMITED: (429, "too many requests"),
        LlmFault.SERVER_ERROR: (500, "the model runner has stopped"),
        LlmFault.UNAVAILABLE: (503, "the server is busy, try again later"),
        LlmFault.ERROR_WITH_200: (200, "the model runner is out of memory"),
    }
)
MISS_HEADER = "X-Gonogo-Miss"  # of the answer to a miss: the id of the nearest recording, or nothing
_EXPLAINED = 256  # misses whose reasons are kept; a reason holds a diff
_COMPARED = 512 * 1024  # bytes of a request beyond which a comparison would keep all other requests waiting
_Passed = TypeVar("_Passed")
_MARK = "\ue000"  # a private character whose bytes are replaced by bytes that are not UTF-8


@dataclass(frozen=True, slots=True)
class Script:
    """A scripted reply with the request it expects: the model's name, and the prompt to the byte. None: any."""

    reply: Reply
    model: str | None
    prompt: str | None = None

    def mismatch(self, request: Request) -> str | None:
        """Why this request is not the one that the script expects, or none where it is."""
        model = request.body.get("model")
        if self.model is not None and model != self.model:
            return f"the script expects the model {self.model!r}, the request names {model!r}"
        prompt = prompt_of(request)
        if prompt is None:
            return f"the body is not formed as {request.operation} asks"
        if self.prompt is not None and prompt.text != self.prompt:
            return f"the script expects another prompt ({len(self.prompt)} characters, sent were {len(prompt.text)})"
        return None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that reached the stub. ``served`` names the recording, ``scripted`` or the fault; none is a miss."""

    request: Request
    served: str | None
    reply: str | None
    miss: str = ""

    def as_json(self) -> dict[str, Json]:
        """Plain data, for the wire."""
        request: Json = {
            "provider": self.request.provider,
            "operation": self.request.operation,
            "body": dict(self.request.body),
        }
        return {"request": request, "served": self.served, "reply": self.reply, "miss": self.miss}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Exchange:
        """The exchange that ``as_json`` wrote."""
        return cls(Request(**data["request"]), data["served"], data["reply"], data["miss"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status and frames, or a fault of the transport (refused, reset, timeout, truncated).

    ``held``: the frames' offsets are a fault, and kept however fast replies are replayed otherwise.
    """

    status: int
    frames: tuple[Frame, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: FaultPlan | None = None
    held: bool = False

    @property
    def body(self) -> bytes:
        """All frames in one piece."""
        return b"".join(frame.data for frame in self.frames)


class Journal(Protocol):
    """Where exchanges are kept; a list is one."""

    def append(self, exchange: Exchange, /) -> None:
        """Keep one more."""
        ...

    def clear(self) -> None:
        """Forget all."""
        ...

    def __iter__(self) -> Iterator[Exchange]:
        """From the first to the last."""
        ...

    def __len__(self) -> int:
        """How many are kept."""
        ...

    def __getitem__(self, number: int, /) -> Exchange:
        """One of them, from 0; from the end where negative."""
        ...


def _as_it_is(passed: _Passed) -> _Passed:
    return passed


@dataclass
class Stub:
    """Answers requests from recordings. A script or a plan of faults that is set stands in front of the recordings.

    A miss is answered with the provider's own error and cannot be hidden by the application: it stands in the journal.

    ``received`` and ``replied`` are what becomes of requests and replies on their way; here nothing, unless a defect is planted.
    """

    recordings: RecordingSet | Callable[[], RecordingSet]  # called when a request first asks for one
    step: str | None = None
    script: Script | None = None
    base_url: str | None = (
        ""  # where the application was told that its model is; a request to elsewhere is none to its model
    )
    journal: Journal = field(default_factory=list[Exchange])
    plan: FaultPlan | None = None
    struck: Counter[LlmFault] = field(default_factory=Counter)  # how often each fault has struck, ever
    received: Callable[[Request], Request] = _as_it_is
    replied: Callable[[Reply], Reply] = _as_it_is
    _asked: int = 0  # requests since the plan was made
    _struck: int = 0

    @cached_property
    def loaded(self) -> RecordingSet:
        """The recordings that it answers from."""
        return self.recordings if isinstance(self.recordings, RecordingSet) else self.recordings()

    @cached_property
    def _prepared(self) -> dict[str, Answer]:
        """Key of a request -> the answer from its recording, made once."""
        return {}

    @cached_property
    def _explained(self) -> dict[tuple[str, str | None], tuple[str, str | None]]:
        """Key of a request that missed, step -> the reason and the nearest recording; clients ask again and again."""
        return {}

    def exchange_recordings(self, recordings: RecordingSet) -> None:
        """Answer from another set from now on; journal, script and plan stay."""
        self.recordings = recordings
        for made in ("loaded", "_prepared", "_explained"):
            self.__dict__.pop(made, None)

    def expect(
        self, *, step: str | None = None, script: Script | None = None, fault: LlmFault | FaultPlan | None = None
    ) -> None:
        """Begin anew: an empty journal, and what the next requests are answered with."""
        self.answer_with(step=step, script=script, fault=fault)
        self.journal.clear()

    def answer_with(
        self, *, step: str | None = None, script: Script | None = None, fault: LlmFault | FaultPlan | None = None
    ) -> None:
        """What the next requests are answered with; the journal stays."""
        self.step, self.script = step, script
        self.plan = FaultPlan(fault) if isinstance(fault, LlmFault) else fault
        self._asked = self._struck = 0

    def release(self) -> None:
        """Nobody else waits for a stub in one's own process."""

    def answer(self, request: Request, asked_for: FaultPlan | None = None) -> Answer:
        """The answer to a request; always one, and always in the journal.

        ``asked_for``: a fault that strikes this request alone, whatever the plan says. The plan does not count the request.
        """
        request = self.received(request)
        plan = self._strikes() if asked_for is None else asked_for
        if plan is None:
            return self._faultless(request)
        self.struck[plan.fault] += 1
        return _late(self._faultless(request), plan) if plan.fault.only_delays else self._faulty(request, plan)

    def _strikes(self) -> FaultPlan | None:
        """The plan, where it strikes this request."""
        plan = self.plan
        if plan is None or (plan.times is not None and self._struck >= plan.times):
            return None
        number, self._asked = self._asked, self._asked + 1
        if not plan.strikes(number):
            return None
        self._struck += 1
        return plan

    def _faultless(self, request: Request) -> Answer:
        if self.script is not None:
            mismatch = self.script.mismatch(request)
            if mismatch is not None:
                return self._miss(request, mismatch)
            reply = self.replied(self.script.reply)
            self.journal.append(Exchange(request, "scripted", reply.text))
            return _answer(request, reply)
        recording = self.loaded.find(request)
        if recording is not None:
            reply = self.replied(recording.reply)
            self.journal.append(Exchange(request, recording.id, reply.text))
            if request.key not in self._prepared:
                self._prepared[request.key] = _answer(request, reply)
            return self._prepared[request.key]
        if prompt_of(request) is None:
            reason = f"the body is not formed as {request.operation} asks"
            self.journal.append(Exchange(request, None, None, reason))
            return _error(request, 400, f"{reason}; send the prompt where the operation has it")
        return self._miss(request, *self._explain(request))

    def note_stray(self, call: str, reason: str = "is no request to a model") -> None:
        """Keep a call that is no request to a model, so that the application cannot hide that it made one."""
        self.journal.append(Exchange(Request("none", call, {}), None, None, f"{call} {reason}"))

    def _explain(self, request: Request) -> tuple[str, str | None]:
        """Why there is no recording for a request, and the id of the nearest one."""
        place = (request.key, self.step)
        if place not in self._explained:
            if len(self._explained) >= _EXPLAINED:
                self._explained.clear()
            self._explained[place] = self._compare(request)
        return self._explained[place]

    def _compare(self, request: Request) -> tuple[str, str | None]:
        if request.size > _COMPARED:
            return f"nothing so large was recorded ({request.size} bytes), and no diff is made of it", None
        nearest = self.loaded.nearest(request, step=self.step)
        if nearest is None:
            return "there are no recordings of this release", None
        return f"nearest is {nearest.id}\n{difference(nearest.request, request)}", nearest.id

    def _miss(self, request: Request, reason: str, nearest: str | None = None) -> Answer:
        self.journal.append(Exchange(request, None, None, reason))
        said = "" if nearest is None else f"; nearest is {nearest}, and the stub's journal holds the difference"
        told = {MISS_HEADER: quote(nearest or "", safe="/", errors="replace")}
        return _error(request, 404, f"gonogo has no recording for this request{said}", asked=told)

    def _faulty(self, request: Request, plan: FaultPlan) -> Answer:
        fault = plan.fault
        self.journal.append(Exchange(request, fault.value, None))
        reply = self.script.reply if self.script else Reply("A reply that never arrives whole.")
        match fault:
            case LlmFault.REFUSED | LlmFault.RESET | LlmFault.TIMEOUT:
                return Answer(0, fault=plan)
            case LlmFault.CUT_OFF:  # its text is whole, so that only what the model says of it shows the fault
                return _answer(request, Reply(reply.text), "length")
            case LlmFault.UNFINISHED:
                return _answer(request, Reply(reply.text), None)
            case LlmFault.MALFORMED_JSON:
                whole = _answer(request, Reply(reply.text))
                return _with_body(whole, whole.body.replace(b'":', b'"=', 1))
            case LlmFault.TRUNCATED:
                whole = _answer(request, reply)
                cut = _with_body(whole, whole.body[: len(whole.body) // 2])
                return replace(cut, fault=plan)
            case LlmFault.EMPTY:
                return _answer(request, Reply(""))
            case LlmFault.EMPTY_BODY:
                return _with_body(_answer(request, Reply("")), b"")
            case LlmFault.OVERSIZED:
                return _answer(request, Reply("x" * OVERSIZE))
            case LlmFault.INVALID_UTF8:
                marked = _answer(request, Reply(f"A reply with {_MARK} inside."))
                return _with_body(marked, marked.body.replace(_MARK.encode(), b"\xff\xfe"))
            case _:
                status, message = _ERRORS[fault]
                asked = {"Retry-After": str(plan.retry_after)} if status in (429, 503) else {}
                return _error(request, status, message, INTERNAL, asked)


def _answer(request: Request, reply: Reply, ended: str | None = "stop") -> Answer:
    headers = {"Content-Type": media_type(request, reply.status)}
    return Answer(reply.status, reply_frames(request, reply, ended), headers)


def _with_body(answer: Answer, body: bytes) -> Answer:
    return replace(answer, frames=(Frame(0.0, body),))


def _error(
    request: Request, status: int, message: str, internal: str | None = None, asked: Mapping[str, str] | None = None
) -> Answer:
    body = error_body(request, status, message, internal)
    return Answer(status, (Frame(0.0, body),), {"Content-Type": media_type(request, status), **(asked or {})})


def _late(answer: Answer, plan: FaultPlan) -> Answer:
    """The answer with its first frame, or with all of them, late by what the plan says."""
    first, frames = plan.fault is LlmFault.SLOW_FIRST, answer.frames
    shares = [1.0 if first else (number + 1) / len(frames) for number in range(len(frames))]
    late = tuple(Frame(plan.delay * share, frame.data) for share, frame in zip(shares, frames, strict=True))
    return replace(answer, frames=late, held=True)
