"""What ``gonogo prove`` has shown of the gate itself: which planted defects it catches, and how often it errs, with bounds.

A proof holds for the files that it was made with (``Proof.holds_for``).
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gonogo.figures import quantity, shortened
from gonogo.model import Json, Status, canonical
from gonogo.statistics import Bound, proportion

__all__ = [
    "CONFIDENCE",
    "CriterionProof",
    "Itself",
    "Outcome",
    "Proof",
    "Seen",
    "Shown",
    "files_hash",
    "outcome_of",
]

VERSION = 1
CONFIDENCE = 0.95


class Outcome(enum.StrEnum):
    """What became of a planted defect. ``NOT_SHOWN``: it lies below what can be told from noise here."""

    CAUGHT = "caught"
    MISSED = "missed"
    NOT_SHOWN = "not shown"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Seen:
    """What a run found of one criterion. ``verdict`` is none where the run does not judge the criterion.

    ``lacking``: what the target does not offer, or why the defect cannot be planted in it. ``claims``, ``no_go`` and
    ``inconclusive`` count its claims, and those of them that were not GO; none where nothing was decided on evidence.
    """

    verdict: Status | None
    reason: str = ""
    lacking: str = ""
    claims: int = 0
    no_go: int = 0
    inconclusive: int = 0


def outcome_of(expected: Status, seen: Seen, *, measured: bool, unplanted: Status | None) -> tuple[Outcome, str]:
    """What a run with a planted defect shows, and why where it is not caught.

    Args:
        expected: the verdict that the defect must lead to; NO-GO will do as well.
        seen: what the run found.
        measured: whether the criterion rests on measurements.
        unplanted: the verdict without any planted defect; none where nothing was compared.
    """
    if seen.lacking:
        return Outcome.NOT_APPLICABLE, seen.lacking
    if seen.verdict is None:
        return Outcome.NOT_APPLICABLE, "the phase does not judge the criterion"
    if seen.verdict is unplanted and unplanted is not Status.GO:
        return Outcome.NOT_SHOWN, f"the criterion is {unplanted} without a planted defect, too: {seen.reason}"
    if seen.verdict in (expected, Status.NO_GO):
        return Outcome.CAUGHT, ""
    if measured and seen.verdict is Status.INCONCLUSIVE:
        return Outcome.NOT_SHOWN, seen.reason
    return Outcome.MISSED, seen.reason


@dataclass(frozen=True)
class Shown:
    """One planted defect, and what became of it."""

    defect: str
    criterion: str
    outcome: Outcome
    expected: str
    seen: str
    reason: str
    at: str

    def as_json(self) -> dict[str, Json]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Shown:
        """What ``as_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        texts = {name: _text(data, name) for name in ("defect", "criterion", "expected", "seen", "reason", "at")}
        return cls(outcome=Outcome(data["outcome"]), **texts)


@dataclass(frozen=True)
class Itself:
    """Claims of runs in which a release was held against itself: what is not GO among them is the gate's own error."""

    criterion: str
    claims: int
    no_go: int
    inconclusive: int
    reason: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other."""
        if min(self.claims, self.no_go, self.inconclusive) < 0 or self.no_go + self.inconclusive > self.claims:
            raise ValueError(
                f"{self.no_go} NO-GO and {self.inconclusive} INCONCLUSIVE of {self.claims} claims is impossible"
            )

    def __add__(self, other: Itself) -> Itself:
        reason = self.reason or other.reason
        counts = (self.claims + other.claims, self.no_go + other.no_go, self.inconclusive + other.inconclusive)
        return Itself(self.criterion, *counts, reason, max(self.at, other.at))

    @property
    def false_no_go(self) -> Bound | None:
        """The rate of NO-GO, with its bounds; none without a claim."""
        return proportion(self.no_go, self.claims, confidence=CONFIDENCE) if self.claims else None

    @property
    def undecided(self) -> Bound | None:
        """The rate of INCONCLUSIVE, with its bounds; none without a claim."""
        return proportion(self.inconclusive, self.claims, confidence=CONFIDENCE) if self.claims else None

    def as_json(self) -> dict[str, Json]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Itself:
        """What ``as_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        counts = (_count(data, "claims"), _count(data, "no_go"), _count(data, "inconclusive"))
        return cls(_text(data, "criterion"), *counts, _text(data, "reason"), _text(data, "at"))


@dataclass(frozen=True)
class CriterionProof:
    """What was shown of one criterion. ``open``: ids of defects that were not yet planted."""

    criterion: str
    shown: tuple[Shown, ...] = ()
    open: tuple[str, ...] = ()
    itself: Itself | None = None

    def count(self, outcome: Outcome) -> int:
        """How many defects became that."""
        return sum(one.outcome is outcome for one in self.shown)

    @property
    def applicable(self) -> int:
        """How many defects were planted and could be caught."""
        return len(self.shown) - self.count(Outcome.NOT_APPLICABLE)

    @property
    def kill_rate(self) -> Bound | None:
        """The share of the applicable defects that is caught, with its bounds; none where there is none.

        What is not shown counts as not caught.
        """
        if not self.applicable:
            return None
        return proportion(self.count(Outcome.CAUGHT), self.applicable, confidence=CONFIDENCE)

    def completed(self, older: CriterionProof) -> CriterionProof:
        """With what an older proof has shown of what is open here."""
        known = tuple(one for one in older.shown if one.defect in self.open)
        still = tuple(one for one in self.open if one not in {each.defect for each in known})
        itself = older.itself if self.errors_are_unknown and older.itself is not None else self.itself
        return CriterionProof(self.criterion, (*self.shown, *known), still, itself)

    @property
    def errors_are_unknown(self) -> bool:
        """Whether it is measured, and nobody knows how often it errs; where a release offers nothing to measure, it cannot err."""
        return self.itself is not None and not self.itself.claims and not self.itself.reason

    @property
    def catches_nothing(self) -> str:
        """Why the criterion may not be relied on: defects were missed and none was caught. Empty where it may."""
        missed = [one for one in self.shown if one.outcome is Outcome.MISSED]
        if not missed or self.count(Outcome.CAUGHT):
            return ""
        return (
            "of the defects that gonogo prove planted for it, it caught none "
            f"({shortened(', '.join(one.defect for one in missed), 100)}); correct its suite, and run gonogo prove"
        )

    @property
    def says(self) -> str:
        """The rates in one line."""
        said = []
        if (rate := self.kill_rate) is not None:
            caught = f"{self.count(Outcome.CAUGHT)} of {self.applicable} planted defects caught"
            said.append(f"{caught} (rate >= {quantity(rate.lower, 'share')})")
        said += _left([self])
        if self.itself is not None and (no_go := self.itself.false_no_go) and (undecided := self.itself.undecided):
            said.append(f"false NO-GO <= {quantity(no_go.upper, 'share')}")
            said.append(f"INCONCLUSIVE <= {quantity(undecided.upper, 'share')} (n = {self.itself.claims})")
        elif self.errors_are_unknown:
            said.append("false NO-GO not known")
        return ", ".join(said) or "nothing was planted"

    def as_json(self) -> dict[str, Json]:
        """Plain data, with the rates worked out for a reader."""
        itself = self.itself
        return {
            "id": self.criterion,
            "defects": [one.as_json() for one in self.shown],
            "open": list(self.open),
            "kill_rate": _rate(self.kill_rate),
            "itself": None if itself is None else itself.as_json(),
            "false_no_go": _rate(itself.false_no_go if itself else None),
            "inconclusive": _rate(itself.undecided if itself else None),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CriterionProof:
        """What ``as_json`` wrote; the rates are worked out anew.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        shown = tuple(Shown.from_json(one) for one in _list(data, "defects"))
        itself = None if data["itself"] is None else Itself.from_json(data["itself"])
        return cls(_text(data, "id"), shown, tuple(str(one) for one in _list(data, "open")), itself)


@dataclass(frozen=True)
class Proof:
    """Everything that was shown. ``holds_for``: name (``suites`` …) -> hash of the files; ``made``: ISO 8601, in UTC."""

    made: str
    holds_for: Mapping[str, str]
    criteria: tuple[CriterionProof, ...] = ()

    def __getitem__(self, criterion: str) -> CriterionProof:
        for one in self.criteria:
            if one.criterion == criterion:
                return one
        raise KeyError(criterion)

    def __contains__(self, criterion: object) -> bool:
        return any(one.criterion == criterion for one in self.criteria)

    def completed(self, older: Proof) -> Proof:
        """With what an older proof of the same files has shown of what is open here: of another release, but by the same gate."""
        criteria = tuple(
            one.completed(older[one.criterion]) if one.criterion in older else one for one in self.criteria
        )
        return replace(self, criteria=criteria)

    @property
    def says(self) -> str:
        """The whole proof in one line, with its date."""
        caught = sum(one.count(Outcome.CAUGHT) for one in self.criteria)
        said = [f"{caught} of {sum(one.applicable for one in self.criteria)} planted defects caught"]
        said += _left(self.criteria)
        rates = [rate.upper for one in self.criteria if one.itself and (rate := one.itself.false_no_go)]
        unknown = [one.criterion for one in self.criteria if one.errors_are_unknown]
        known = f"false NO-GO <= {quantity(max(rates), 'share')}" if rates else "false NO-GO not known"
        said.append(f"{known}, not known of {' and '.join(unknown)}" if rates and unknown else known)
        return f"{', '.join(said)} ({self.made[:10]})"

    def as_json(self) -> dict[str, Json]:
        """Plain data, for proof.json."""
        return {
            "version": VERSION,
            "made": self.made,
            "hash": files_hash(self.holds_for),
            "holds_for": dict(self.holds_for),
            "says": self.says,
            "confidence": CONFIDENCE,
            "criteria": [one.as_json() for one in self.criteria],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proof:
        """What ``as_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r} is not one that this gonogo reads ({VERSION})")
        holds_for = {str(name): str(value) for name, value in data["holds_for"].items()}
        if data["hash"] != files_hash(holds_for):
            raise ValueError("the hash is not that of holds_for")
        return cls(
            _text(data, "made"), holds_for, tuple(CriterionProof.from_json(one) for one in _list(data, "criteria"))
        )


def files_hash(holds_for: Mapping[str, str]) -> str:
    """One hash over those of all files that a proof holds for."""
    return hashlib.sha256(canonical(dict(holds_for))).hexdigest()


def _left(criteria: Sequence[CriterionProof]) -> list[str]:
    """What was not caught, in words."""
    counts = {
        outcome.value: sum(one.count(outcome) for one in criteria)
        for outcome in (Outcome.MISSED, Outcome.NOT_SHOWN, Outcome.NOT_APPLICABLE)
    }
    counts["not yet planted"] = sum(len(one.open) for one in criteria)
    return [f"{count} {what}" for what, count in counts.items() if count]


def _rate(bound: Bound | None) -> Json:
    if bound is None:
        return None
    return {"estimate": bound.estimate, "lower": bound.lower, "upper": bound.upper, "n": bound.n}


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r:.80}, not a text")
    return value


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r:.80}, not a number")
    return value


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is {value!r:.80}, not a list")
    return value
