"""How something stands: the verdict of one look, and its lines."""

from __future__ import annotations

import pytest

from gonogo.assessment import Assessment
from gonogo.model import Finding, Status

GOOD, BAD = Finding("check", True, "fine"), Finding("check", False, "broken\n  in two")


@pytest.mark.parametrize(
    ("standing", "status"),
    [
        (Assessment((GOOD,)), Status.GO),
        (Assessment((GOOD, BAD)), Status.NO_GO),
        (Assessment((GOOD,), ("not told",)), Status.INCONCLUSIVE),
        (Assessment((BAD,), ("not told",)), Status.NO_GO),
        (Assessment((), ("not told",)), Status.INCONCLUSIVE),
        (Assessment(), Status.INCONCLUSIVE),
    ],
)
def test_nothing_is_green_without_a_finding_or_with_a_gap(standing: Assessment, status: Status) -> None:
    assert standing.status is status


def test_what_fails_is_told_first_and_each_in_one_line() -> None:
    assert Assessment((GOOD, BAD), ("not told",)).lines == [
        "failed  broken in two",
        "open    not told",
        "ok      fine",
    ]
