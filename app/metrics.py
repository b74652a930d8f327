"""What Prometheus reads: one registry per application."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
CONSTRUCTION_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)  # seconds


class Metrics:
    """The application's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.construction = Histogram(
            "blog_prompt_construction_seconds",
            "Time to build a prompt, the fallback to the simple one included.",
            ["step"],
            buckets=CONSTRUCTION_BUCKETS,
            registry=self.registry,
        )
        self.runs = Counter("blog_runs", "Runs of a step.", ["step", "status"], registry=self.registry)
        self.errors = Counter("blog_errors", "Errors by their code.", ["kind"], registry=self.registry)
        self.fallbacks = Counter("blog_fallbacks", "Simple prompts, by reason.", ["reason"], registry=self.registry)
        self.template_usage = Counter(
            "blog_template_usage", "Constructed prompts, by format template.", ["template"], registry=self.registry
        )

    def render(self, names: Sequence[str] = ()) -> bytes:
        """The text format of Prometheus: all metrics, or those that have one of these names (``blog_fallbacks_total``)."""
        return generate_latest(self.registry.restricted_registry(names) if names else self.registry)
