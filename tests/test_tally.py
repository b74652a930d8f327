"""What a watched service has counted since the beginning and of late."""

from __future__ import annotations

import math

import pytest

from gonogo.counted import Counted, Counter
from gonogo.metrics import read_metrics
from gonogo.tally import RECENT, Grown, Tally, counting

METRICS = {
    "runs": "runs_total",
    "failed_runs": 'runs_total{status="failed"}',
    "fallbacks": "fallbacks_total",
    "unexpected": 'errors_total{kind="internal"}',
    "errors": "errors_total",
    "templates": "templates_total",
    "construction": "build_seconds",
    "memory": "memory_bytes",
}


def grew(text: str, metrics: dict[str, str] | None = None) -> Counted:
    """As if every series of a page had been at 0 at the last look."""
    counter = Counter(counting(METRICS if metrics is None else metrics))
    samples = list(read_metrics(text))
    for page in (
        "".join(f"{line.rpartition(' ')[0]} 0\n" for line in text.splitlines()),
        text,
    ):
        counted = counter.take(None, list(read_metrics(page)))
    assert samples
    return counted


def buckets(step: str, **counts: int) -> str:
    """Lines of a histogram; ``le_0_01=3``: so many lie at or below 0.01."""
    edges = {name.removeprefix("le_").replace("_", "."): count for name, count in counts.items()}
    return "".join(f'build_seconds_bucket{{step="{step}",le="{edge}"}} {count}\n' for edge, count in edges.items())


def test_the_names_that_count_are_those_of_counters_and_of_the_histogram() -> None:
    assert counting(METRICS) == {
        "runs_total",
        "fallbacks_total",
        "errors_total",
        "templates_total",
        "build_seconds_bucket",
        "build_seconds_count",
    }
    assert counting({}) == frozenset()


def test_runs_and_failures_are_told_by_step_and_together() -> None:
    grown = Tally(METRICS).add(
        0.0,
        grew(
            'runs_total{step="a",status="failed"} 2\nruns_total{step="a",status="well"} 5\n'
            'runs_total{step="b",status="well"} 3\nfallbacks_total{reason="x"} 1\nerrors_total{kind="internal"} 2\n'
        ),
    )
    assert grown.totals == {"runs": 10, "failed_runs": 2, "fallbacks": 1, "unexpected": 2}
    assert (dict(grown.runs), dict(grown.failed)) == ({"a": 7, "b": 3}, {"a": 2})


def test_only_what_is_named_is_told() -> None:
    named = {"runs": "runs_total"}
    tally = Tally(named)
    grown = tally.add(0.0, grew('runs_total{step="a"} 2\nfallbacks_total 3\n', named))
    assert (grown.totals, grown.failed, grown.buckets) == ({"runs": 2}, {}, {})
    assert tally.totals == {"runs": 2, "constructions": 0}


def test_totals_add_up_over_looks() -> None:
    tally = Tally(METRICS)
    for at in (0.0, 2.0, 4.0):
        tally.add(
            at,
            grew(
                'runs_total{step="a"} 3\nerrors_total{kind="x"} 1\ntemplates_total{template="t"} 2\n'
                + buckets("a", le_1=4)
            ),
        )
    assert tally.totals["runs"] == 9
    assert tally.totals["constructions"] == 12
    assert tally.by_label == {"errors": {"x": 3}, "templates": {"t": 6}}


class TestConstruction:
    def test_buckets_are_told_apart_by_step(self) -> None:
        grown = Tally(METRICS).add(0.0, grew(buckets("a", le_0_01=3, le_0_1=5, le_inf=6) + buckets("b", le_0_01=1)))
        assert grown.buckets == {"a": {0.01: 3, 0.1: 2, math.inf: 1}, "b": {0.01: 1}}
        assert grown.constructions == 7

    def test_series_of_one_step_are_added_up(self) -> None:
        text = 'build_seconds_bucket{step="a",host="x",le="1"} 3\nbuild_seconds_bucket{step="a",host="y",le="1"} 4\n'
        assert Tally(METRICS).add(0.0, grew(text)).buckets == {"a": {1.0: 7}}

    def test_a_histogram_without_steps_is_one(self) -> None:
        assert Tally(METRICS).add(0.0, grew('build_seconds_bucket{le="1"} 3\n')).buckets == {"": {1.0: 3}}

    def test_a_bucket_that_grew_by_less_than_the_one_below_makes_none_up(self) -> None:
        grown = Tally(METRICS).add(0.0, grew(buckets("a", le_0_01=5, le_0_1=4, le_inf=5)))
        assert grown.buckets == {"a": {0.01: 5, 0.1: 0, math.inf: 0}}

    def test_the_edges_are_those_that_every_step_has(self) -> None:
        tally = Tally(METRICS)
        assert tally.edges == frozenset()
        tally.add(0.0, grew(buckets("a", le_0_01=3, le_0_1=5) + buckets("b", le_0_01=1, le_0_2=2)))
        assert tally.edges == {0.01}

    def test_the_edges_are_those_of_now(self) -> None:
        tally = Tally(METRICS)
        tally.add(0.0, grew(buckets("a", le_0_01=3)))
        tally.add(2.0, grew(buckets("a", le_0_02=3)))
        assert tally.edges == {0.02}
        tally.add(4.0, grew("fallbacks_total 1\n"))
        assert tally.edges == {0.02}, "a page without the histogram tells nothing of its edges"

    @pytest.mark.parametrize(
        ("quantile", "edge"), [(0.5, 0.01), (0.9, 0.01), (0.91, 0.1), (0.98, 0.1), (0.99, math.inf), (1.0, math.inf)]
    )
    def test_a_quantile_lies_in_the_bucket_that_so_many_reach(self, quantile: float, edge: float) -> None:
        tally = Tally(METRICS)
        tally.add(0.0, grew(buckets("a", le_0_01=90, le_0_1=98, le_inf=100)))
        assert tally.constructions(quantile) == {"a": (edge, 100)}

    def test_a_step_without_constructions_has_no_quantile(self) -> None:
        tally = Tally(METRICS)
        tally.add(0.0, grew(buckets("a", le_1=0) + buckets("b", le_1=1)))
        assert tally.constructions(0.99) == {"b": (1.0, 1)}

    def test_what_was_long_ago_is_forgotten_and_the_totals_are_not(self) -> None:
        tally = Tally(METRICS)
        tally.add(0.0, grew(buckets("a", le_0_01=0, le_inf=50)))
        tally.add(RECENT - 1, grew(buckets("a", le_0_01=10, le_inf=10)))
        assert tally.constructions(0.99) == {"a": (math.inf, 60)}
        tally.add(RECENT, grew(buckets("a", le_0_01=10, le_inf=10)))
        assert tally.constructions(0.99) == {"a": (0.01, 20)}
        assert tally.totals["constructions"] == 70


def test_constructions_of_what_grew_are_those_of_all_steps() -> None:
    assert Grown({}, {}, {}, {"a": {1.0: 2}, "b": {1.0: 3, math.inf: 4}}).constructions == 9
