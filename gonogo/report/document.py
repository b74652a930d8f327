"""The verdict as plain data: ``verdict.json``, described by docs/verdict.schema.json. Every other report is made from it."""

from __future__ import annotations

from typing import Any

from gonogo.model import CriterionVerdict, Decided, Verdict
from gonogo.runs import LoadedRun

__all__ = ["VERSION", "verdict_document"]

VERSION = 1


def verdict_document(run: LoadedRun, verdict: Verdict, digest: str) -> dict[str, Any]:
    """The whole verdict of a run, JSON-ready. It has the key ``proof`` where the run looked for a proof of the gate."""
    proof = {} if run.proof is None else {"proof": run.proof.as_json()}
    return {
        "version": VERSION,
        "run": {
            "id": run.info.id,
            "started": run.info.started,
            "phase": verdict.phase.value,
            "digest": digest,
            "synthetic": run.info.facts.synthetic,
            "planted": run.info.planted,
            "releases": {role: dict(release) for role, release in run.info.releases.items()},
        },
        "verdict": verdict.status.value,
        "reasons": list(verdict.reasons),
        "notes": list(verdict.notes),
        "steps": {step: run.info.titles.get(step, step) for step in run.info.facts.steps},
        "criteria": [_criterion(one) for one in verdict.criteria],
        **proof,
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
