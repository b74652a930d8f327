"""A service that is watched, as its pages of metrics show it; and rules to watch it by."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gonogo.metrics import MetricSample, read_metrics
from gonogo.monitor import Monitor
from gonogo.standing import Look, Standing
from gonogo.triggers import Signal, Trigger, WatchRules

METRICS = {
    "runs": "runs_total",
    "failed_runs": 'runs_total{status="failed"}',
    "fallbacks": "fallbacks_total",
    "construction": "build_seconds",
    "errors": "errors_total",
    "templates": "templates_total",
    "memory": "memory_bytes",
}
STEPS = ("a", "b")
EDGES = (0.001, 0.01, 0.1)

ERRORS = Trigger("errors", "Runs fail", Signal.FAILED_RUNS, 0.05, 0.1, minimum=300)
FALLBACKS = Trigger("fallbacks", "Fallbacks", Signal.FALLBACKS, 0.05, 0.1, minimum=300)
STEPS_FAILING = Trigger("steps-failing", "A step fails", Signal.FAILING_STEPS, 0.5, 0.8, minimum=300)
SLOW = Trigger("slow", "Construction is slow", Signal.CONSTRUCTION, 0.01, 0.1, minimum=300)
AWAY = Trigger("away", "Away", Signal.AWAY, 5.0, 15.0)
MEMORY = Trigger("memory", "Memory grows", Signal.MEMORY, 1.5, None, beyond=64 * 2**20)
COMPLAINTS = Trigger("complaints", "Complaints", Signal.COMPLAINTS, 0.0, 0.0)
ALL = (ERRORS, FALLBACKS, STEPS_FAILING, SLOW, AWAY, MEMORY, COMPLAINTS)


def rules(*triggers: Trigger, interval: float = 2.0) -> WatchRules:
    return WatchRules(interval, 300.0, "docs/runbook.md", triggers or ALL)


@dataclass
class Service:
    """Counts what it is told to have done, and writes pages."""

    runs: Count[tuple[str, str]] = field(default_factory=Count)
    built: Count[tuple[str, float]] = field(default_factory=Count)  # step, seconds
    fallbacks: int = 0
    memory: float | None = 100.0 * 2**20
    edges: Sequence[float] = EDGES

    def serve(
        self, runs: int = 10, failed: int = 0, *, step: str = "a", fallbacks: int = 0, slow: int = 0, took: float = 0.05
    ) -> None:
        """``failed``, ``fallbacks`` and ``slow`` (which ``took`` so many seconds) of the runs."""
        self.runs[step, "failed"] += failed
        self.runs[step, "well"] += runs - failed
        self.built[step, 0.0005] += runs - slow
        self.built[step, took] += slow
        self.fallbacks += fallbacks

    def text(self) -> str:
        lines = [f'runs_total{{step="{step}",status="{status}"}} {n}' for (step, status), n in self.runs.items()]
        for step in dict.fromkeys(step for step, _ in self.built):
            for edge in (*self.edges, float("inf")):
                below = sum(n for (one, took), n in self.built.items() if one == step and took <= edge)
                written = "+Inf" if edge == float("inf") else f"{edge:g}"
                lines.append(f'build_seconds_bucket{{step="{step}",le="{written}"}} {below}')
        lines.append(f"fallbacks_total {self.fallbacks}")
        failed = sum(n for (_, status), n in self.runs.items() if status == "failed")
        lines.append(f'errors_total{{kind="llm"}} {failed}')
        lines.append(f'templates_total{{template="t"}} {sum(self.runs.values())}')
        if self.memory is not None:
            lines.append(f"memory_bytes {self.memory}")
        return "".join(f"{line}\n" for line in lines)

    def page(self) -> tuple[MetricSample, ...]:
        return tuple(read_metrics(self.text()))


class Watch:
    """A monitor and the time. ``interval`` seconds pass before each look but the first."""

    def __init__(
        self,
        *triggers: Trigger,
        metrics: Mapping[str, str] = METRICS,
        steps: Sequence[str] = STEPS,
        interval: float = 2.0,
    ) -> None:
        self.monitor = Monitor(rules(*triggers, interval=interval), metrics, steps)
        self.interval = interval
        self.at = -interval

    def look(
        self,
        page: Service | str | Sequence[MetricSample] | None,
        *,
        after: float | None = None,
        release: str | None = "2",
        health: int = 200,
        why: str = "",
        complaints: Mapping[str, bool] | None = None,
    ) -> Standing:
        self.at += self.interval if after is None else after
        if isinstance(page, Service):
            page = page.page()
        elif isinstance(page, str):
            page = tuple(read_metrics(page))
        samples = None if page is None else tuple(page)
        return self.monitor.look(Look(self.at, samples, release, {"/health": health}, why, complaints or {}))
