"""Building a prompt takes under a millisecond: the 99th percentile, for every step, over all of its recorded cases."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.criterion("construction-time")


def test_the_99th_percentile_of_construction(step, cases, criterion, stopwatch, benchmark, evidence):
    # round after round another case: what is slow for one kind of input, or after another one, counts as often as it comes
    rounds, warm_up = criterion.integer("rounds"), criterion.integer("warm_up")
    benchmark.pedantic(stopwatch.construct, (cases,), rounds=rounds, iterations=1, warmup_rounds=warm_up)
    evidence.sample("construction", benchmark.stats.stats.data, unit="s")
