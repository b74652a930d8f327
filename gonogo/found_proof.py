"""A proof of the gate as a run finds it: fresh, of other files, or none.

A run keeps what it found, so that its verdict can be derived again whatever is proven later.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gonogo.model import Json
from gonogo.proof import Proof

__all__ = ["FoundProof", "State", "find_proof"]


class State(enum.StrEnum):
    """How a proof stands towards a run."""

    FRESH = "fresh"
    STALE = "stale"
    NONE = "none"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class FoundProof:
    """The newest proof as a run found it. ``differing``: the names of the files that it does not hold for."""

    state: State
    proof: Proof | None = None
    differing: tuple[str, ...] = ()
    damage: str = ""

    @property
    def says(self) -> str:
        """One line for a reader."""
        match self.state:
            case State.FRESH if self.proof is not None:
                return f"proof: {self.proof.says}"
            case State.STALE:
                return f"proof is of other {' and '.join(self.differing)}: run gonogo prove"
            case State.DAMAGED:
                return f"proof: {self.damage}"
            case _:
                return "no proof: run gonogo prove"

    def of(self, criterion: str) -> str:
        """One line about one criterion."""
        if self.state is not State.FRESH or self.proof is None:
            return self.says
        if criterion not in self.proof:
            return "proof: no defect is planted for this criterion"
        return f"proof: {self.proof[criterion].says} ({self.proof.made[:10]})"

    @property
    def unproven(self) -> dict[str, str]:
        """Criterion -> why it may not be relied on. Only a fresh proof speaks against a criterion."""
        if self.state is not State.FRESH or self.proof is None:
            return {}
        return {one.criterion: why for one in self.proof.criteria if (why := one.catches_nothing)}

    def as_json(self) -> dict[str, Json]:
        """Plain data, for a run's folder and for verdict.json."""
        return {
            "state": self.state.value,
            "says": self.says,
            "differing": list(self.differing),
            "damage": self.damage,
            "rates": None if self.proof is None else self.proof.as_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FoundProof:
        """What ``as_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        proof = None if data["rates"] is None else Proof.from_json(data["rates"])
        return cls(State(data["state"]), proof, tuple(str(one) for one in data["differing"]), str(data["damage"]))


def find_proof(path: Path, holds_for: Mapping[str, str]) -> FoundProof:
    """How the proof in a file stands towards these files; a file that cannot be read is said, and decides nothing."""
    try:
        proof = Proof.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return FoundProof(State.NONE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return FoundProof(
            State.DAMAGED,
            damage=f"{path.name} is not what gonogo prove writes ({error!r}); remove it, and run gonogo prove",
        )
    differing = tuple(name for name in holds_for if proof.holds_for.get(name) != holds_for[name])
    return FoundProof(State.STALE if differing else State.FRESH, proof, differing)
