"""Building a prompt takes under a millisecond: the 99th percentile, for every step, on its longest recorded case."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.criterion("construction-time")


def test_the_99th_percentile_of_construction(step, cases, criterion, stopwatch, benchmark, evidence):
    longest = max(cases, key=lambda case: sum(map(len, case.inputs.values())))
    rounds, warm_up = criterion.integer("rounds"), criterion.integer("warm_up")
    benchmark.pedantic(stopwatch.construct, (longest,), rounds=rounds, iterations=1, warmup_rounds=warm_up)
    evidence.sample("construction", benchmark.stats.stats.data, unit="s", case=longest)
