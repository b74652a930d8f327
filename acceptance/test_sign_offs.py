"""People answer for the release by name, today, and nobody who uses it has a serious complaint that is open."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gonogo.signoffs import load_signoffs, standing

pytestmark = pytest.mark.criterion("sign-offs")


def test_everybody_who_must_has_signed_and_no_significant_complaint_is_open(criterion, definitions, evidence):
    project, today = definitions.project, datetime.now(UTC).date()
    signoffs = load_signoffs(project.signoffs_file, root=project.root, must_exist=project.signoffs is not None)
    stands = standing(signoffs, criterion.texts("kinds"), project.candidate.version, today)
    evidence.attach(f"who signed what until when, on {today}", "text", "\n".join(stands.lines))
    evidence.assess(stands)
