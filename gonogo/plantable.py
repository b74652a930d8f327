"""Whether a defect of the catalogue can be planted, given what a release and its project offer."""

from __future__ import annotations

from collections.abc import Set

from gonogo.errors import TargetError
from gonogo.model import Ability
from gonogo.planting import CATALOGUE, Defect, Place

__all__ = ["check_planted", "why_not"]

# Their suites look at prompts as the release shows them; those of others, at what the model receives.
_SHOWN_ALONE = frozenset({"hostile-inputs", "determinism"})


def why_not(defect: Defect, abilities: Set[Ability], *, stub_inside: bool) -> str:
    """Why a defect cannot be planted in a release; empty where it can be.

    Args:
        defect: of the catalogue.
        abilities: what the release offers.
        stub_inside: whether the stub of its model is in the release worker (``Release.stub`` is ``requests``).
    """
    if Ability.LIVE in abilities:
        return "it is a running service, in which nothing can be planted"
    missing = sorted(ability.value for ability in defect.needs - abilities)
    if missing:
        return f"the release does not offer: {', '.join(missing)}"
    on_the_way = defect.between and Ability.REPLY in abilities and defect.criterion not in _SHOWN_ALONE
    if on_the_way and not stub_inside:
        return "its model is not a stub in the release worker, so nothing can be changed on the way to it"
    return ""


def check_planted(planted: str, abilities: Set[Ability]) -> None:
    """See that a defect outside of the release worker, which refuses its own, can be planted. ``abilities``: of the run.

    Raises:
        TargetError: it cannot; the message says why.
    """
    defect = CATALOGUE.get(planted)
    if defect is None or defect.place is Place.RELEASE:
        return
    if why := why_not(defect, abilities, stub_inside=True):
        raise TargetError(f"the defect {defect.id} cannot be planted: {why}")
