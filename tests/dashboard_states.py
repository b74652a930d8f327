"""States of a watch for the dashboard's tests and its picture: looks at a made-up service, judged by the bundled criteria."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gonogo.criteria import load_criteria
from gonogo.metrics import read_metrics
from gonogo.model import Json
from gonogo.monitor import Monitor
from gonogo.standing import Look

CRITERIA = Path(__file__).parent.parent / "acceptance" / "criteria.toml"
STEPS = (
    "initial-concept", "idea-scope", "provisional-title", "interesting-facts", "research-notes", "topics-to-cover",
    "section-headings", "section-order", "allocate-facts", "structure", "sections", "meta", "images", "seo-optimization",
    "self-review", "peer-review", "final-check", "content-distribution",
)  # fmt: skip
TEMPLATES = ("plain-text", "json-fields", "fact-list", "heading-list", "title-list", "meta-object", "markdown-text")
EDGES = (0.0001, 0.0005, 0.001, 0.01, 0.1, 1.0)
INTERVAL = 2.0
RUNS = 9  # between two looks


@dataclass
class Service:
    """A service that counts; every so-manieth run fails, or falls back."""

    runs: list[int] = field(default_factory=lambda: [0] * len(STEPS))
    failed: list[int] = field(default_factory=lambda: [0] * len(STEPS))
    fallbacks: int = 0

    def run(self, failing: int, falling_back: int) -> None:
        """Serve for one interval."""
        for _ in range(RUNS):
            number = sum(self.runs) + 1
            self.runs[number * 5 % len(STEPS)] += 1
            self.failed[number * 5 % len(STEPS)] += number % failing == 0
            self.fallbacks += number % falling_back == 0

    def page(self, at: float) -> str:
        """Its page of metrics."""
        failed = sum(self.failed)
        lines = [
            f'blog_fallbacks_total{{reason="template-missing"}} {self.fallbacks}',
            f'blog_errors_total{{kind="llm-timeout"}} {failed - failed // 4}',
            f'blog_errors_total{{kind="llm-unavailable"}} {failed // 4}',
            'blog_errors_total{kind="internal-error"} 0',
            f"blog_resident_memory_bytes {91e6 + at * 4e3}",
        ]
        for place, template in enumerate(TEMPLATES):
            lines += [f'blog_template_usage_total{{template="{template}"}} {sum(self.runs) // (2 + place)}']
        for index, (step, runs, failing) in enumerate(zip(STEPS, self.runs, self.failed, strict=True)):
            lines += [f'blog_runs_total{{step="{step}",status="succeeded"}} {runs - failing}']
            lines += [f'blog_runs_total{{step="{step}",status="failed"}} {failing}']
            for place, edge in enumerate(EDGES):  # all of a step lie in one bucket
                bucket = f'blog_prompt_construction_seconds_bucket{{step="{step}",le="{edge:g}"}}'
                lines += [f"{bucket} {runs * (place >= index % 3)}"]
            lines += [f'blog_prompt_construction_seconds_bucket{{step="{step}",le="+Inf"}} {runs}']
        return "\n".join(lines) + "\n"


@cache
def _watched(seconds: float, failing: int, broken_from: float, breaking: int, falling_back: int) -> Mapping[str, Json]:
    criteria = load_criteria(CRITERIA)
    assert criteria.watch is not None
    assert criteria.target is not None
    monitor, service = Monitor(criteria.watch, criteria.target.metrics, STEPS), Service()
    for look in range(1, int(seconds / INTERVAL) + 1):
        at = look * INTERVAL
        service.run(breaking if at >= broken_from else failing, falling_back)
        samples = tuple(read_metrics(service.page(at)))
        standing = monitor.look(Look(at, samples, "2.0.0", {"/healthz": 200, "/readyz": 200}))
    return standing.as_json()


def watched(
    seconds: float = 400.0,
    *,
    broken_from: float = float("inf"),
    breaking: int = 13,
    falling_back: int = 60,
    **own: Json,
) -> dict[str, Json]:
    """What a watch tells after so many seconds.

    Args:
        seconds: how long it has watched.
        broken_from: when the service begins to fail.
        breaking: from then on, every so-manieth run fails.
        falling_back: every so-manieth prompt is the simple one.
        own: what the watch tells otherwise than here.
    """
    told: dict[str, Json] = {
        "target": "http://127.0.0.1:8080",
        "for": 1800.0,
        "interval": INTERVAL,
        "candidate": "2.0.0",
        "previous": "1.9.0",
        "started": "2026-11-25T02:04:10Z",
        "runbook": "docs/runbook.md",
        "ended": None,
        "action": None,
    }
    return {**_watched(seconds, 250, broken_from, breaking, falling_back), **told, **own}
