"""Every trigger of the live watch is fired on purpose, on a release that serves users, and the previous release comes back."""

from __future__ import annotations

import pytest

from gonogo.rehearsed import table_of

pytestmark = pytest.mark.criterion("rollback")


def test_every_trigger_fired_on_purpose_restores_the_previous_release(rehearsal, criterion, evidence):
    fired = rehearsal.fire_all(
        stages=criterion.integer("stages"),
        rate=criterion.number("rate"),
        reference=criterion.number("reference"),
        patience=criterion.number("patience"),
    )
    for one in fired:
        evidence.assess(one.assessment)
    evidence.attach("trigger, detected after, recovered after, previous release verified", "text", table_of(fired))
