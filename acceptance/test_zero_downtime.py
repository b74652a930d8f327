"""Releases take each other's place while users ask: reads on kept and on fresh connections, and runs that take their time."""

from __future__ import annotations

import pytest

from gonogo.rehearsed import nothing_is_lost

pytestmark = pytest.mark.criterion("zero-downtime")


def test_no_request_is_lost_while_releases_are_swapped(rehearsal, criterion, evidence):
    swapped = rehearsal.swap(
        criterion.integer("swaps"),
        rate=criterion.number("rate"),
        slow_rate=criterion.number("slow_rate"),
        delay=criterion.number("slow"),
    )
    evidence.assess(nothing_is_lost(swapped, resolution=criterion.number("resolution")))
    evidence.attach("what users saw", "text", swapped.text)
