"""The recorded-response LLM as suites see it."""

from __future__ import annotations

from dataclasses import dataclass

from gonogo.errors import EvidenceGap, MissingReply
from gonogo.model import Json, Reply, Request, Step
from gonogo.recordings import RecordingSet
from gonogo.replies import reply_conforms
from gonogo.stub import Script
from gonogo.targets.client import Ran

__all__ = ["Llm"]


@dataclass(frozen=True)
class Llm:
    """The recorded-response LLM as a suite sees it: replies to script with, and the recordings of one release."""

    recordings: RecordingSet

    def reply_to(self, step: Step) -> str:
        """A recorded reply that conforms to the step's output format.

        Raises:
            MissingReply: no recording of the step has one.
        """
        for recording in self.recordings.recordings:
            if recording.step == step.id and reply_conforms(recording.reply.text, step.output_format).ok:
                return recording.reply.text
        raise MissingReply(
            f"no recording of the step {step.id} has a reply that conforms to {step.output_format.id}; record one"
        )

    def recorded_but_for_the_prompt(self, step: str, ran: Ran) -> None:
        """See that model, parameters and whatever else a run sent beside its prompt are as a recording of the step has them.

        A script answers any request with its prompt, so nothing else would notice that the rest has moved.

        Raises:
            EvidenceGap: no recording of the step has them so.
        """
        known = [_but_for_the_prompt(one.request) for one in self.recordings.recordings if one.step == step]
        for sent in (_but_for_the_prompt(one.request) for one in ran.exchanges):
            if known and sent not in known:
                raise EvidenceGap(f"the request moved: beside its prompt it is {sent}, recorded is {known[0]}")

    def script(
        self, step: Step, text: str | None = None, *, prompt: str | None = None, any_model: bool = False
    ) -> Script:
        """A scripted reply for a step: this text, or a recorded one that conforms; for this prompt, or for any."""
        return Script(Reply(self.reply_to(step) if text is None else text), None if any_model else step.model, prompt)


def _but_for_the_prompt(request: Request) -> tuple[str, str, dict[str, Json]]:
    rest = {name: value for name, value in request.body.items() if name not in ("prompt", "messages", "system")}
    return request.provider, request.operation, rest
