"""Paired by case: how often the previous release's reply conforms to the output format and the candidate's does not."""

from __future__ import annotations

import pytest

from gonogo.errors import MissingReply
from gonogo.model import Provenance
from gonogo.replies import reply_conforms

pytestmark = pytest.mark.criterion("response-quality")


def test_replies_conform_wherever_they_did_before(cases, definitions, candidate, baseline, evidence):
    for case in cases:
        with evidence.about(case):
            now, before = (_conforms(case, release, definitions) for release in (candidate, baseline))
            evidence.sample("regressions", [float(before and not now)], unit="share", case=case)


def _conforms(case, release, definitions):
    recording = definitions.recordings[release.release.version].of_case(case.step, case.id)
    if recording is not None and recording.provenance is Provenance.REKEYED:
        raise MissingReply(
            f"recording {recording.id} was re-keyed to a changed prompt; no model has answered that prompt"
        )
    reply = release.run(case, watched=False).exchanges[-1].reply or ""
    return reply_conforms(reply, definitions.workflow.step(case.step).output_format).ok
