"""Cases, scripts and prompts as plain data and back: what goes over the pipe to a release worker, for both of its ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gonogo.model import Case, Json
from gonogo.stub.scripts import script_from_json, script_to_json
from gonogo.targets.adapter import prompt_from_json, prompt_to_json

__all__ = [
    "case_from_json",
    "case_to_json",
    "prompt_from_json",
    "prompt_to_json",
    "script_from_json",
    "script_to_json",
]


def case_to_json(case: Case) -> dict[str, Json]:
    """What a release needs of a case: title and traits stay behind."""
    return {"id": case.id, "step": case.step, "inputs": dict(case.inputs)}


def case_from_json(data: Mapping[str, Any]) -> Case:
    """The case that ``case_to_json`` wrote."""
    return Case(data["id"], data["step"], MappingProxyType(dict(data["inputs"])))
