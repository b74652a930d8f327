"""What the stub answers, and the journal of everything it was asked. It knows no transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from gonogo.model import Json, Reply, Request
from gonogo.recordings import RecordingSet, difference
from gonogo.stub.faults import INTERNAL, LlmFault
from gonogo.stub.protocols import error_body, prompt_of, reply_body

__all__ = ["Answer", "Exchange", "Script", "Stub"]


# What the model's server says instead of a reply, and with which status.
_ERRORS: Mapping[LlmFault, tuple[int, str]] = MappingProxyType(
    {
        LlmFault.BAD_REQUEST: (400, "invalid options"),
        LlmFault.UNAUTHORIZED: (401, "unauthorized"),
        LlmFault.FORBIDDEN: (403, "this model is not open to you"),
        LlmFault.NOT_FOUND: (404, "model not found"),
        LlmFault.RATE_LIMITED: (429, "too many requests"),
        LlmFault.SERVER_ERROR: (500, "the model runner has stopped"),
        LlmFault.ERROR_WITH_200: (200, "the model runner is out of memory"),
    }
)
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
    """What goes back: a status and a body, or a fault of the transport (refused, timeout, truncated)."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: LlmFault | None = None


@dataclass
class Stub:
    """Answers requests from recordings. A script or a fault that is set stands in front of the recordings.

    A miss is answered with the provider's own error and cannot be hidden by the application: it stands in the journal.
    """

    recordings: RecordingSet | Callable[[], RecordingSet]  # called when a request first asks for one
    step: str | None = None
    script: Script | None = None
    fault: LlmFault | None = None
    base_url: str = ""  # where the application was told that its model is; a request to elsewhere is none to its model
    journal: list[Exchange] = field(default_factory=list)

    @cached_property
    def _loaded(self) -> RecordingSet:
        return self.recordings if isinstance(self.recordings, RecordingSet) else self.recordings()

    def expect(self, *, step: str | None = None, script: Script | None = None, fault: LlmFault | None = None) -> None:
        """Begin anew: an empty journal, and what the next requests are answered with."""
        self.step, self.script, self.fault = step, script, fault
        self.journal = []

    def answer(self, request: Request) -> Answer:
        """The answer to a request; always one, and always in the journal."""
        if self.fault is not None:
            return self._faulty(request, self.fault)
        if self.script is not None:
            mismatch = self.script.mismatch(request)
            if mismatch is not None:
                return self._miss(request, mismatch)
            return self._served(request, "scripted", self.script.reply)
        recording = self._loaded.find(request)
        if recording is not None:
            return self._served(request, recording.id, recording.reply)
        nearest = self._loaded.nearest(request, step=self.step)
        if nearest is None:
            return self._miss(request, "there are no recordings of this release")
        return self._miss(request, f"nearest is {nearest.id}\n{difference(nearest.request, request)}")

    def note_stray(self, call: str) -> None:
        """Keep a call that is no request to a model, so that the application cannot hide that it made one."""
        self.journal.append(Exchange(Request("none", call, {}), None, None, f"{call} is no request to a model"))

    def _served(self, request: Request, served: str, reply: Reply) -> Answer:
        self.journal.append(Exchange(request, served, reply.text))
        return Answer(reply.status, reply_body(request, reply))

    def _miss(self, request: Request, reason: str) -> Answer:
        self.journal.append(Exchange(request, None, None, reason))
        return Answer(404, error_body(request, "gonogo has no recording for this request"))

    def _faulty(self, request: Request, fault: LlmFault) -> Answer:
        self.journal.append(Exchange(request, fault.value, None))
        reply = self.script.reply if self.script else Reply("A reply that never arrives whole.")
        whole = reply_body(request, reply)
        match fault:
            case LlmFault.REFUSED | LlmFault.TIMEOUT:
                return Answer(0, b"", fault=fault)
            case LlmFault.CUT_OFF:  # its text is whole, so that only what the model says of it shows the fault
                return Answer(200, reply_body(request, Reply(reply.text), "length"))
            case LlmFault.UNFINISHED:
                return Answer(200, reply_body(request, Reply(reply.text), None))
            case LlmFault.MALFORMED_JSON:
                return Answer(200, whole.replace(b":", b"=", 1))
            case LlmFault.TRUNCATED:
                return Answer(200, whole[: len(whole) // 2], fault=fault)
            case LlmFault.EMPTY:
                return Answer(200, reply_body(request, Reply("")))
            case LlmFault.INVALID_UTF8:
                marked = reply_body(request, Reply(f"A reply with {_MARK} inside."))
                return Answer(200, marked.replace(_MARK.encode(), b"\xff\xfe"))
            case _:
                status, message = _ERRORS[fault]
                retry = {"Retry-After": "0"} if status == 429 else {}
                return Answer(status, error_body(request, message, INTERNAL), retry)
