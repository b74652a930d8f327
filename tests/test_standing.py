"""How something stands: the verdict of one look, and its lines."""

from __future__ import annotations

import pytest

from gonogo.model import Finding, Status
from gonogo.standing import Standing

GOOD, BAD = Finding("check", True, "fine"), Finding("check", False, "broken\n  in two")


@pytest.mark.parametrize(
    ("standing", "status"),
    [
        (Standing((GOOD,)), Status.GO),
        (Standing((GOOD, BAD)), Status.NO_GO),
        (Standing((GOOD,), ("not told",)), Status.INCONCLUSIVE),
        (Standing((BAD,), ("not told",)), Status.NO_GO),
        (Standing((), ("not told",)), Status.INCONCLUSIVE),
        (Standing(), Status.INCONCLUSIVE),
    ],
)
def test_nothing_is_green_without_a_finding_or_with_a_gap(standing: Standing, status: Status) -> None:
    assert standing.status is status


def test_what_fails_is_told_first_and_each_in_one_line() -> None:
    assert Standing((GOOD, BAD), ("not told",)).lines == [
        "failed  broken in two",
        "open    not told",
        "ok      fine",
    ]
