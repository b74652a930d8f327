"""The verdict as plain data: ``verdict.json``, described by docs/verdict.schema.json. Every other report is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gonogo.model import CriterionVerdict, Decided, Verdict
from gonogo.runs import LoadedRun

__all__ = ["VERSION", "figure", "verdict_document"]

VERSION = 1


def verdict_document(run: LoadedRun, verdict: Verdict, digest: str) -> dict[str, Any]:
    """The whole verdict of a run, JSON-ready."""
    return {
        "version": VERSION,
        "run": {
            "id": run.info.id,
            "started": run.info.started,
            "phase": verdict.phase.value,
            "digest": digest,
            "synthetic": run.info.facts.synthetic,
            "releases": {role: dict(release) for role, release in run.info.releases.items()},
        },
        "verdict": verdict.status.value,
        "reasons": list(verdict.reasons),
        "notes": list(verdict.notes),
        "steps": {step: run.info.titles.get(step, step) for step in run.info.facts.steps},
        "criteria": [_criterion(one) for one in verdict.criteria],
    }


def _criterion(verdict: CriterionVerdict) -> dict[str, Any]:
    return {
        "id": verdict.criterion,
        "title": verdict.title,
        "group": verdict.group,
        "level": verdict.level.value,
        "verdict": verdict.status.value,
        "reasons": list(verdict.reasons),
        "claims": [_claim(one) for one in verdict.claims],
    }


def _claim(decided: Decided) -> dict[str, Any]:
    return {
        "claim": str(decided.claim),
        "step": decided.claim.step,
        "verdict": decided.status.value,
        "reasons": list(decided.reasons),
        "findings": decided.findings,
        "failing": decided.failing,
        "cases": len(decided.cases),
        "bounds": [dict(bound) for bound in decided.bounds],
    }


_SCALES = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")), "B": ((2.0**20, "MiB"), (1024.0, "KiB"), (1.0, "B"))}


def figure(value: float | None, unit: str) -> str:
    """A value with three digits in the unit that suits it; ``unbounded`` for none."""
    if value is None:
        return "unbounded"
    if unit == "share":
        return f"{100 * value:.3g} %"
    for scale, name in _SCALES.get(unit, ()):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value:.3g} {unit}"


def headline_figure(criterion: Mapping[str, Any]) -> str:
    """The figure of the claim that lies nearest to its limit, or how many findings there are."""
    bounds = [(bound, claim) for claim in criterion["claims"] for bound in claim["bounds"] if "upper" in bound]
    if bounds:
        bound, claim = max(bounds, key=lambda pair: pair[0]["upper"] if pair[0]["upper"] is not None else float("inf"))
        unit = bound["unit"]
        where = f" ({claim['step']})" if claim["step"] else ""
        limit = bound["limit"].split()
        return f"{bound['statistic']} <= {figure(bound['upper'], unit)}, limit {limit[0]} {figure(float(limit[1]), unit)}, n = {bound['n']}{where}"
    findings = sum(claim["findings"] for claim in criterion["claims"])
    failing = sum(claim["failing"] for claim in criterion["claims"])
    return f"{findings - failing} of {findings} findings ok"
