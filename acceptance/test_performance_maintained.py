"""A run, without its model, is no slower than in the previous release: by turns, each release in several fresh processes."""

from __future__ import annotations

import math

import pytest

from gonogo.assessment import Assessment
from gonogo.latency import ratio_bound, typical

pytestmark = pytest.mark.criterion("performance-maintained")


def test_a_run_is_no_slower_than_before(step, cases, criterion, race, llm, evidence):
    script, measure = llm.script(step), criterion.measure("excess")
    margin = {name: criterion.number(name) for name in ("ratio", "allowance")}
    looks = criterion.parameters["looks"]

    def beyond_margin(timed):
        return typical(timed, lambda pair: pair.excess(**margin))

    timed, taken = race.looked_at(cases, (script, script), looks, lambda timed: measure.decide(beyond_margin(timed)))
    before = typical(timed, lambda pair: pair.baseline)
    allowed = max(margin["ratio"] * min(before), margin["allowance"])
    sees = math.inf
    for look in looks[taken - 1 :]:  # each is taken once in a session, and only where the one before was not enough
        if sees > allowed:
            sees = race.sees(cases, script, **look, confidence=measure.confidence)
    evidence.sample("candidate", typical(timed, lambda pair: pair.candidate), unit="s")
    evidence.sample("previous", before, unit="s")
    evidence.sample("excess", beyond_margin(timed), unit="s")
    ratio = ratio_bound(timed, confidence=measure.confidence)
    evidence.attach(
        "how it was timed",
        "text",
        f"the candidate took {ratio.estimate:.3f} times as long as the previous release, in "
        f"[{ratio.lower:.3f}, {ratio.upper:.3f}], each end at {ratio.confidence * 100:g} %\n"
        f"{len(timed)} pairs of fresh processes, {len(timed[0])} turns each, without the model and without waiting for a processor; "
        f"the collector was on, as in production\n"
        f"margin {allowed * 1e3:.3f} ms; this machine can tell {sees * 1e3:.3f} ms from nothing, each release held against itself",
    )
    if sees > allowed:
        gap = f"this machine cannot tell {sees * 1e3:.2f} ms from nothing now, and the margin is {allowed * 1e3:.2f} ms"
        evidence.assess(Assessment(gaps=(f"{gap}; use a quieter machine, or let looks take more turns",)))
