"""What a construction allocates at its peak, and what stays after ten thousand of them, by tracemalloc."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.criterion("memory")


def test_the_peak_of_a_construction(step, cases, criterion, candidate, evidence):
    longest = max(cases, key=lambda case: sum(map(len, case.inputs.values())))
    [built] = candidate.traced.construct([longest])
    if isinstance(built, AssertionError):
        raise built
    size, traced = built.prompt.size, candidate.traced.trace_peak(longest)
    evidence.sample("prompt", [size], unit="B", case=longest)
    evidence.sample("peak", [traced["peak"]], unit="B", case=longest)
    evidence.sample(
        "peak beyond prompt", [traced["peak"] - criterion.number("prompt_factor") * size], unit="B", case=longest
    )
    lines = [f"{site['bytes']:>10,} B in {site['blocks']:>4} blocks  {site['place']}" for site in traced["sites"]]
    title = f"{longest.path}: peak {traced['peak']:,} B for a prompt of {size:,} B; alive while the prompt is held, by line:"
    evidence.attach("tracemalloc report", "text", "\n".join([title, *lines]))


def test_what_stays_after_ten_thousand_constructions(cases, criterion, candidate, evidence):
    limit = criterion.measure("growth").go.value
    grown = candidate.traced.trace_growth(
        cases, total=criterion.integer("constructions"), every=criterion.integer("check_every"), limit=int(limit)
    )
    evidence.sample("growth", [grown["bytes"]], unit="B")
    evidence.sample("kept at each look", grown["series"], unit="B")
    told = [f"{grown['bytes']:,} B kept after {grown['calls']:,} constructions, by tracemalloc"]
    if grown["resident"]:
        before, after = grown["resident"]
        told.append(f"{after - before:+,} B resident after as many untraced ones, from {before:,} B; decides nothing")
    evidence.attach("growth", "text", "\n".join(told))
