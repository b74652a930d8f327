"""What criteria.toml allows, in the figures by which a planted defect must go beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from gonogo.criteria import Criteria, Scope
from gonogo.planting import MUTANT, NOTHING, Place, Planting, find_defect

__all__ = ["margins_of", "planting_of"]

# name of a margin -> criterion and the parameter that holds it
_PARAMETERS: Mapping[str, tuple[str, str]] = {
    "ratio": ("performance-maintained", "ratio"),
    "allowance": ("performance-maintained", "allowance"),
    "prompt_factor": ("memory", "prompt_factor"),
    "constructions": ("memory", "constructions"),
}
# ... and the scope of the measure whose limit it is
_LIMITS: Mapping[str, tuple[str, Scope]] = {
    "construction": ("construction-time", Scope.STEP),
    "peak": ("memory", Scope.STEP),
    "growth": ("memory", Scope.RUN),
    "errors": ("error-rate", Scope.RUN),
}


def margins_of(criteria: Criteria) -> dict[str, float]:
    """Limits and parameters that defects go beyond, by name; without those that criteria.toml does not have.

    Seconds, bytes and shares, as there.
    """
    found: dict[str, float] = {}
    for name, (criterion, parameter) in _PARAMETERS.items():
        if criterion in criteria and parameter in criteria[criterion].parameters:
            found[name] = criteria[criterion].number(parameter)
    for name, (criterion, scope) in _LIMITS.items():
        measures = criteria[criterion].measures if criterion in criteria else ()
        limit = next((one.go.value for one in measures if one.scope is scope), None)
        if limit is not None:
            found[name] = limit
    return found


def planting_of(planted: str, criteria: Criteria) -> Planting | None:
    """What a release worker is told to plant; none where nothing is, or where a defect has its place elsewhere.

    Raises:
        DefinitionError: there is no such defect.
    """
    if planted in ("", NOTHING, MUTANT) or find_defect(planted).place is not Place.RELEASE:
        return None
    return Planting(planted, asdict(criteria.grammar), margins_of(criteria))
