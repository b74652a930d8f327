"""Prometheus' programs, where they are installed, and rules for tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from gonogo.alerting import Alerting
from gonogo.criteria import load_criteria
from gonogo.triggers import Signal, Trigger, WatchRules

ROOT = Path(__file__).parent.parent
METRICS: Mapping[str, str] = MappingProxyType(
    {
        "construction": "app_construction_seconds",
        "fallbacks": "app_fallbacks_total",
        "runs": "app_runs_total",
        "failed_runs": 'app_runs_total{status="failed"}',
        "memory": "app_memory_bytes",
        "release": "app_info",
    }
)
ERRORS = Trigger("errors", "Runs fail", Signal.FAILED_RUNS, 0.05, 0.1, minimum=300)
AWAY = Trigger("service-away", "The service is away", Signal.AWAY, 5.0, 15.0)
MEMORY = Trigger("memory", "Memory grows", Signal.MEMORY, 1.5, None, beyond=64 * 2**20)
SLOW = Trigger("slow", "Construction is slow", Signal.CONSTRUCTION, 0.01, 1.0, minimum=300)
FALLBACKS = Trigger("fallbacks", "Constructions fall back", Signal.FALLBACKS, 0.05, 0.1, minimum=300)
STEPS = Trigger("steps-failing", "A step fails", Signal.FAILING_STEPS, 0.5, 0.8, minimum=300)
COMPLAINTS = Trigger("complaints", "Users complain", Signal.COMPLAINTS, 0.0, 0.0)
ALL = (ERRORS, FALLBACKS, STEPS, SLOW, AWAY, MEMORY, COMPLAINTS)

needs_prometheus = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("prometheus", "promtool", "prometheus-alertmanager", "amtool")),
    reason="Prometheus is not installed; on Debian and Ubuntu: apt-get install prometheus prometheus-alertmanager",
)


def alerting(
    *triggers: Trigger, metrics: Mapping[str, str] = METRICS, window: float = 300.0, steps: int = 1
) -> Alerting:
    """What rules of these triggers are made of; of all of them where none is named."""
    watch = WatchRules(interval=2.0, reference=60.0, runbook="docs/runbook.md", triggers=triggers or ALL)
    return Alerting(watch, metrics, job="app", window=window, steps=steps)


def of_this_project(*, job: str = "blog", window: float = 300.0, reference: float | None = None) -> Alerting:
    """What the rules of the bundled application are made of."""
    criteria = load_criteria(ROOT / "acceptance" / "criteria.toml")
    assert criteria.watch is not None
    assert criteria.target is not None
    watch = criteria.watch if reference is None else replace(criteria.watch, reference=reference)
    return Alerting(watch, criteria.target.metrics, job=job, window=window, steps=18)


def run_tool(folder: Path, *command: str) -> tuple[int, str]:
    """The exit status of a program and what it said."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr
