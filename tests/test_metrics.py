"""Reading a page of metrics: names, labels, values, and the buckets of a histogram."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gonogo.metrics import buckets_of, read_metrics


def test_what_a_prometheus_client_writes_is_read() -> None:
    registry = CollectorRegistry()
    counter = Counter("runs", "Runs.", ["step", "status"], registry=registry)
    counter.labels('quo"te\\ and\nline', "failed").inc(3)
    counter.labels("facts", "failed").inc()
    samples = [one for one in read_metrics(generate_latest(registry).decode()) if one.is_of("runs_total")]
    assert [one.value for one in samples] == [3, 1]
    assert samples[0].labels == {"step": 'quo"te\\ and\nline', "status": "failed"}


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("errors_total", [1, 2]),
        ('errors_total{kind="internal"}', [2]),
        ('errors_total{kind="other"}', []),
        ("errors", []),
        ("not a metric", []),
    ],
)
def test_a_metric_is_named_with_or_without_its_labels(metric: str, values: list[float]) -> None:
    page = 'errors_total{kind="llm"} 1\nerrors_total{kind="internal",host="a"} 2.0\n'
    assert [one.value for one in read_metrics(page) if one.is_of(metric)] == values


def test_what_is_no_sample_is_left_out() -> None:
    assert list(read_metrics("# HELP a b\n\nnonsense\na{ x\na nothing\n<html>\n")) == []


def test_the_buckets_of_a_histogram_are_told_apart_and_added_up_over_series() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "Time.", ["step", "host"], buckets=(0.001, 0.01), registry=registry)
    for host, value in (("a", 0.0005), ("a", 0.001), ("b", 0.002), ("b", 5.0)):
        histogram.labels("facts", host).observe(value)
    histogram.labels("other", "a").observe(0.0005)
    samples = list(read_metrics(generate_latest(registry).decode()))
    assert buckets_of(samples, "seconds", {"step": "facts"}) == {0.001: 2, 0.01: 1, math.inf: 1}
    assert buckets_of(samples, "seconds", {"step": "none"}) == {}
