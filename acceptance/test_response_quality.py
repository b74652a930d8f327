"""Paired by case: how often the previous release makes something of its model's reply and the candidate does not."""

from __future__ import annotations

import pytest

from gonogo.errors import EvidenceGap
from gonogo.model import Provenance
from gonogo.replies import reply_conforms

pytestmark = pytest.mark.criterion("response-quality")


def test_replies_conform_wherever_they_did_before(cases, definitions, candidate, baseline, evidence):
    for case in cases:
        with evidence.about(case):
            now, before = (_conforms(case, release, definitions) for release in (candidate, baseline))
            evidence.sample("regressions", [float(before and not now)], unit="share", case=case)


def _conforms(case, release, definitions):
    recordings = definitions.recordings[release.release.version]
    recording = recordings.of_case(case.step, case.id)
    if recording is not None and recording.provenance is Provenance.REKEYED:
        raise EvidenceGap("its recording was re-keyed to a changed prompt; no model has answered that prompt")
    if recording is not None and not recording.from_a_model and not recordings.synthetic:
        raise EvidenceGap("its reply was written, while others were captured; record it from a model")
    ran = release.run(case, watched=False)
    conforms = reply_conforms(ran.reply or "", definitions.workflow.step(case.step).output_format).ok
    return conforms and ran.run.succeeded
