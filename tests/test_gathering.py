"""The evidence of one item: each record is written at once, and the end of the item says what fails."""

from __future__ import annotations

import pytest
from builders import CLAIM

from gonogo.assessment import Assessment
from gonogo.errors import EvidenceGap, MissingReply, OutboundConnection, ProductError, ProductFailure, WorkerDied
from gonogo.gathering import Attachment, ClaimEvidence
from gonogo.model import Case, Evidence, Finding, Gap, Judged, Outcome, Sampled

ROADS = Case("roads", "facts", {})
GOOD, BAD = Finding("check", True, "fine"), Finding("check", False, "TASK is missing", "the whole\nprompt")


@pytest.fixture
def written() -> list[Evidence]:
    return []


@pytest.fixture
def evidence(written: list[Evidence]) -> ClaimEvidence:
    return ClaimEvidence(CLAIM, "test_x.py::test_x", written.extend)


def test_findings_are_written_at_once_with_claim_and_case(evidence: ClaimEvidence, written: list[Evidence]) -> None:
    evidence.add(ROADS, GOOD)
    evidence.add(None, [GOOD, BAD])
    assert written == [Judged(CLAIM, "facts/roads", GOOD), Judged(CLAIM, None, GOOD), Judged(CLAIM, None, BAD)]


def test_what_one_look_found_and_could_not_judge_is_kept(evidence: ClaimEvidence, written: list[Evidence]) -> None:
    evidence.assess(Assessment((GOOD,), ("nobody has signed",)))
    assert written == [Judged(CLAIM, None, GOOD), Gap(CLAIM, None, "nobody has signed")]
    with pytest.raises(EvidenceGap, match="nobody has signed"):
        evidence.conclude()


def test_samples_and_gaps_are_written_at_once(evidence: ClaimEvidence, written: list[Evidence]) -> None:
    evidence.sample("seconds", [0.1, 0.2], unit="s", case=ROADS)
    evidence.gap(ROADS, "prompt moved", "the diff")
    assert written == [
        Sampled(CLAIM, "seconds", "s", (0.1, 0.2), "facts/roads"),
        Gap(CLAIM, "facts/roads", "prompt moved", "the diff"),
    ]


def test_an_item_whose_findings_hold_ends_quietly(evidence: ClaimEvidence) -> None:
    evidence.add(ROADS, GOOD)
    evidence.conclude()


def test_failing_findings_fail_the_item_all_in_one_message(evidence: ClaimEvidence) -> None:
    for number in range(5):
        evidence.add(Case(f"c{number}", "facts", {}), BAD)
    evidence.add(None, Finding("check", False, "the whole is bad"))
    with pytest.raises(ProductFailure) as caught:
        evidence.conclude()
    lines = str(caught.value).splitlines()
    assert lines[0] == "structure/facts: 6 findings fail"
    assert [line for line in lines if "TASK is missing" in line] == [f"  facts/c{i}: TASK is missing" for i in range(5)]
    assert "  the whole is bad" in lines
    assert lines.count("      prompt") == 3, "the details of three are enough for a message"


def test_gaps_end_the_item_as_evidence_missing(evidence: ClaimEvidence) -> None:
    evidence.add(ROADS, GOOD)
    evidence.gap(ROADS, "prompt moved", "the diff")
    evidence.gap(None, "no network")
    with pytest.raises(EvidenceGap) as caught:
        evidence.conclude()
    assert str(caught.value).splitlines() == [
        "structure/facts: 2 cases could not be judged",
        "  facts/roads: prompt moved",
        "      the diff",
        "  no network",
    ]


def test_what_fails_is_said_before_what_is_missing(evidence: ClaimEvidence) -> None:
    evidence.gap(ROADS, "prompt moved")
    evidence.add(ROADS, BAD)
    with pytest.raises(ProductFailure):
        evidence.conclude()


@pytest.mark.parametrize("kind", [ProductError, ProductFailure])
def test_what_the_product_raises_or_does_not_do_is_a_failing_finding_of_its_case(
    evidence: ClaimEvidence, written: list[Evidence], kind: type[ProductFailure]
) -> None:
    error = kind("the release raised: KeyError: 'x'")
    error.add_note("Traceback …")
    with evidence.about(ROADS):
        raise error
    assert written == [
        Judged(CLAIM, "facts/roads", Finding("raised", False, "the release raised: KeyError: 'x'", "Traceback …"))
    ]


def test_a_missing_reply_is_a_moved_prompt(evidence: ClaimEvidence, written: list[Evidence]) -> None:
    with evidence.about(ROADS):
        raise MissingReply("nearest is facts/roads\n--- recorded\n+++ sent")
    [gap] = written
    assert gap == Gap(
        CLAIM,
        "facts/roads",
        "prompt moved: no recording answers the request",
        "nearest is facts/roads\n--- recorded\n+++ sent",
    )


@pytest.mark.parametrize("error", [WorkerDied("the worker ended"), OutboundConnection("tried to reach 'x'")])
def test_what_gonogo_lacks_is_a_gap_of_its_case(
    evidence: ClaimEvidence, written: list[Evidence], error: Exception
) -> None:
    with evidence.about(ROADS):
        raise error
    assert written == [Gap(CLAIM, "facts/roads", str(error))]


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError("no"), KeyboardInterrupt()])
def test_anything_else_is_let_through(evidence: ClaimEvidence, written: list[Evidence], error: BaseException) -> None:
    with pytest.raises(type(error)), evidence.about(ROADS):
        raise error
    assert written == []


def test_details_of_what_fails_or_is_missing_are_attached(evidence: ClaimEvidence) -> None:
    evidence.attach("the prompt", "text", "CONTEXT:")
    evidence.add(ROADS, [GOOD, BAD, Finding("check", False, "no detail")])
    evidence.gap(ROADS, "prompt moved", "nearest is x\n--- recorded")
    assert evidence.attachments() == (
        Attachment("the prompt", "text", "CONTEXT:"),
        Attachment("facts/roads: TASK is missing", "text", "the whole\nprompt"),
        Attachment("facts/roads: prompt moved", "diff", "nearest is x\n--- recorded"),
    )


def test_an_item_that_passed_every_stage_and_was_concluded_has_ended(evidence: ClaimEvidence) -> None:
    evidence.note(Outcome.PASSED, "", 0.5)
    evidence.add(ROADS, GOOD)
    evidence.conclude()
    evidence.note(Outcome.PASSED, "", 1.0)
    evidence.complete = True
    ended = evidence.ended()
    assert ended is not None
    assert (ended.claim, ended.outcome, ended.item, ended.seconds) == (CLAIM, Outcome.PASSED, "test_x.py::test_x", 1.5)


def test_the_worst_stage_decides_how_an_item_ended(evidence: ClaimEvidence) -> None:
    evidence.note(Outcome.PASSED, "", 0.0)
    evidence.note_error(AssertionError("assert 1 == 2\nmore"), 0.0)
    evidence.note_error(KeyError("teardown"), 0.0)
    evidence.complete = True
    ended = evidence.ended()
    assert ended is not None
    assert (ended.outcome, ended.reason) == (Outcome.FAILED, "assert 1 == 2")


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (ProductFailure("short"), Outcome.FAILED, "short"),
        (AssertionError(), Outcome.FAILED, "assertion without a message"),
        (WorkerDied("gone"), Outcome.BROKEN, "WorkerDied: gone"),
        (ValueError(), Outcome.BROKEN, "ValueError: "),
    ],
)
def test_an_assertion_is_the_products_failure_and_anything_else_the_tools(
    evidence: ClaimEvidence, error: Exception, outcome: Outcome, reason: str
) -> None:
    evidence.note_error(error, 0.1)
    evidence.complete = True
    ended = evidence.ended()
    assert ended is not None
    assert (ended.outcome, ended.reason) == (outcome, reason)


def test_an_item_that_was_cut_off_before_any_stage_has_not_ended(evidence: ClaimEvidence) -> None:
    evidence.complete = True
    assert evidence.ended() is None


def test_an_item_that_was_cut_off_after_its_setup_has_not_passed(evidence: ClaimEvidence) -> None:
    evidence.note(Outcome.PASSED, "", 0.1)  # the setup; then Ctrl-C in the call, after some findings
    evidence.add(ROADS, GOOD)
    ended = evidence.ended()
    assert ended is None or ended.outcome is not Outcome.PASSED
