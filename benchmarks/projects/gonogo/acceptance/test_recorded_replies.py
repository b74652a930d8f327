"""The prompt is the one that was recorded, to the byte, and the reply that was recorded for it conforms."""

from __future__ import annotations

import pytest

from gonogo.definitions import Definitions
from gonogo.errors import MissingReply
from gonogo.gathering import ClaimEvidence
from gonogo.model import Case, Json, Request, Step
from gonogo.replies import reply_conforms
from gonogo.workbench import Target

pytestmark = pytest.mark.criterion("recorded-replies")


def test_the_recorded_reply_to_each_prompt_conforms(
    step: Step, cases: tuple[Case, ...], candidate: Target, definitions: Definitions, evidence: ClaimEvidence
) -> None:
    recordings = definitions.recordings[candidate.release.version]
    for case in cases:
        with evidence.about(case):
            body: dict[str, Json] = {
                "model": step.model,
                "prompt": candidate.construct(case).text,
                "stream": False,
                "options": dict(step.parameters),
            }
            recording = recordings.find(Request("ollama", "/api/generate", body))
            if recording is None:
                raise MissingReply(f"{case.path}: no recording answers its prompt")
            evidence.add(case, reply_conforms(recording.reply.text, step.output_format))
