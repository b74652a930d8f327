"""A run, without its model, is no slower than in the previous release: interleaved pairs, each release in its own process."""

from __future__ import annotations

import pytest

from gonogo.latency import Pair, interleaved_runs

pytestmark = pytest.mark.criterion("performance-maintained")


def test_a_run_is_no_slower_than_before(step, cases, criterion, lanes, llm, evidence):
    script = llm.script(step)
    margin = {name: criterion.number(name) for name in ("ratio", "allowance")}
    pairs: list[Pair] = []
    for look in criterion.parameters["looks"]:
        pairs += interleaved_runs(lanes, cases, (script, script), pairs=look - len(pairs))
        excess = [pair.excess(**margin) for pair in pairs]
        if not criterion.measure("excess").is_open(excess):
            break
    evidence.sample("candidate", [pair.candidate for pair in pairs], unit="s")
    evidence.sample("previous", [pair.baseline for pair in pairs], unit="s")
    evidence.sample("excess", excess, unit="s")
