"""gonogo.report.proof_table: what the command that proves shows on the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from gonogo.proof import CriterionProof, Itself, Outcome, Proof, Shown
from gonogo.report.proof_table import listed, matrix, not_caught, result_line

AT = "2026-11-26T18:00:00+00:00"


def shown(defect: str, outcome: Outcome, reason: str = "") -> Shown:
    return Shown(defect, "structure", outcome, "NO-GO", "GO", reason, AT)


def printed(what: RenderableType, width: int = 100) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width, highlight=False, markup=False, emoji=False).print(what)
    return buffer.getvalue()


def proof(*results: Shown, itself: Itself | None = None, left: tuple[str, ...] = ()) -> Proof:
    return Proof(AT, {}, (CriterionProof("structure", results, left, itself),))


def test_defects_stand_beside_their_criterion_by_what_became_of_them() -> None:
    whole = proof(
        shown("a", Outcome.CAUGHT),
        shown("b", Outcome.MISSED),
        shown("c", Outcome.CAUGHT),
        shown("d", Outcome.NOT_SHOWN),
        shown("e", Outcome.NOT_APPLICABLE),
        left=("f",),
    )
    lines = [line.rstrip() for line in printed(matrix(whole)).splitlines()]
    assert lines[1].split() == ["structure", "2", "of", "4", "caught:", "a,", "c"]
    assert [line.split(maxsplit=2)[-1] for line in lines[1:2]] == ["of 4     caught: a, c"]
    assert [" ".join(line.split()) for line in lines[2:]] == [
        ">= 9.76 % missed: b",
        "not shown: d",
        "not applicable: e",
        "open: f",
    ]


def test_a_criterion_that_nothing_was_planted_for_has_no_rate() -> None:
    assert printed(matrix(proof(left=("f",)))).splitlines()[1].split() == ["structure", "none", "open:", "f"]


def test_claims_against_itself_that_were_not_decided_say_why() -> None:
    text = printed(matrix(proof(itself=Itself("structure", 0, 0, 0, "the target does not offer: timing"))))
    assert "against itself: not decided: the target does not offer: timing" in text


def test_what_was_not_caught_is_told_with_what_the_release_did() -> None:
    whole = proof(
        shown("a", Outcome.CAUGHT),
        shown("b", Outcome.MISSED, "3 of 3 claims hold"),
        shown("e", Outcome.NOT_APPLICABLE, "it is live"),
    )
    assert [line.plain for line in not_caught(whole, {"b": "swaps two sections"})] == [
        "missed  structure: b (the release swaps two sections): expected NO-GO, seen GO: 3 of 3 claims hold",
        "not applicable  structure: e: it is live",
    ]


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "[bold]x[/bold]\r", "a\u202eb"])
def test_nothing_in_a_reason_is_markup_or_a_control_sequence(hostile: str) -> None:
    [line] = not_caught(proof(shown("b", Outcome.MISSED, hostile)), {})
    for text in (printed(line), printed(result_line("broke", hostile))):
        assert not {"\x1b", "\r", "\u202e"} & {*text}
        assert "red" in text or "[bold]x[/bold]" in text or "a\\u202eb" in text


def test_a_list_tells_what_is_known_and_what_is_open() -> None:
    rows = [("a", "structure", "leaves it out"), ("b", "structure", "swaps it")]
    text = printed(listed(rows, {"a": shown("a", Outcome.CAUGHT)}))
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["structure", "a", "caught", "leaves", "it", "out"],
        ["structure", "b", "open", "swaps", "it"],
    ]
