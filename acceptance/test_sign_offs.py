"""People answer for the release by name, today, and nobody who uses it has a serious complaint that is open."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gonogo.signoffs import standing

pytestmark = pytest.mark.criterion("sign-offs")


def test_everybody_who_must_has_signed_and_no_significant_complaint_is_open(criterion, definitions, evidence):
    release, today = definitions.project.candidate.version, datetime.now(UTC).date()
    stands = standing(definitions.signoffs, criterion.texts("kinds"), release, today)
    evidence.attach(f"who signed what until when, on {today}", "text", "\n".join(stands.lines))
    evidence.assess(stands)
