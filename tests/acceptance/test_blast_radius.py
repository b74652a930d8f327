"""What a change reaches is attached to the claim of the whole run, and decides nothing there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from builders import GRAMMAR, STEP, built

from acceptance import test_no_breaking_changes as suite
from gonogo.errors import ProductError, ProductFailure, TargetError, WorkerDied
from gonogo.gathering import ClaimEvidence
from gonogo.model import Case, Claim, Evidence, Json, Judged, Prompt
from gonogo.targets.adapter import Built

CASES = (Case("roads", "facts", {"basic_idea": "Roman roads"}), Case("rivers", "facts", {"basic_idea": "Rivers"}))
SUITE: Callable[..., None] = suite.test_endpoints_and_definitions_of_the_previous_release_are_still_there
TOLD: Mapping[str, Json] = {kind: {"one": 1} for kind in ("endpoints", "answers", "steps", "metrics")}


class Release:
    """A release that tells the same as every other, and builds prompts in a way of its own."""

    def __init__(self, build: Callable[[Case], str]) -> None:
        self._build = build
        self.asked = 0

    def describe(self) -> Mapping[str, Json]:
        return TOLD

    def construct(self, case: Case) -> Built:
        self.asked += 1
        return Built(Prompt.of(self._build(case)))


def usual(case: Case) -> str:
    return built(STEP, case.inputs)


def raising(error: Exception) -> Callable[[Case], str]:
    def build(case: Case) -> str:
        raise error

    return build


def attached(candidate: Release, baseline: Release) -> str:
    """What the suite attaches; every finding must hold, whatever happens to the prompts."""
    written: list[Evidence] = []
    evidence = ClaimEvidence(Claim("no-breaking-changes"), "item", written.extend)
    SUITE(candidate, baseline, CASES, GRAMMAR, evidence)
    assert [type(one) for one in written] == [Judged] * 4
    evidence.conclude()
    [one] = evidence.attachments()
    assert (one.name, one.kind) == ("blast-radius.txt", "text")
    assert isinstance(one.content, str)
    return one.content


def test_the_radius_is_attached_as_text() -> None:
    assert "0 of 2 prompts differ (0 %)" in attached(Release(usual), Release(usual))
    changed = attached(Release(lambda case: usual(case).replace("Rivers", "Streams")), Release(usual))
    assert "1 of 2 prompts differ (50 %)" in changed
    assert "+Basic Idea: Streams" in changed


@pytest.mark.parametrize("error", [ProductError("KeyError: idea"), TargetError("the previous release failed")])
def test_a_release_that_raises_is_said_and_decides_nothing_here(error: Exception) -> None:
    for releases in ((Release(raising(error)), Release(usual)), (Release(usual), Release(raising(error)))):
        text = attached(*releases)
        assert "2 not compared:" in text
        assert str(error) in text
        assert releases[0].asked == releases[1].asked == 2


def test_a_worker_that_dies_is_not_started_again_for_every_case() -> None:
    dying = Release(raising(WorkerDied("release 2.0.0: it ended")))
    assert "facts/rivers: candidate: release 2.0.0: it ended" in attached(dying, Release(usual))
    assert dying.asked == 1


def test_what_neither_the_release_nor_the_tool_raised_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        attached(Release(raising(ZeroDivisionError())), Release(usual))


def test_a_lost_endpoint_is_still_found() -> None:
    candidate = Release(usual)
    candidate.describe = lambda: {**TOLD, "endpoints": {}}  # type: ignore[method-assign]  # a planted defect
    written: list[Evidence] = []
    evidence = ClaimEvidence(Claim("no-breaking-changes"), "item", written.extend)
    SUITE(candidate, Release(usual), CASES, GRAMMAR, evidence)
    with pytest.raises(ProductFailure, match="endpoints: changed or gone: one"):
        evidence.conclude()
