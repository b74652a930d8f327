"""The ledger: append-only JSON lines, one shard per process that gathers evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import IO, Any

from gonogo.errors import EvidenceError
from gonogo.model import Claim, Collected, Ended, Evidence, Finding, Gap, Json, Judged, Outcome, Sampled

__all__ = ["Shard", "ShardContent", "decode", "encode", "read_shard"]

VERSION = 1


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that evidence may hold")


# made once, as there are thousands of lines. Escapes keep lone surrogates and control characters of hostile inputs out
# of a file's bytes.
_LINE = json.JSONEncoder(ensure_ascii=True, allow_nan=False)
_LINE_READ = json.JSONDecoder(parse_constant=_refuse_constant)


def encode(record: Evidence) -> dict[str, Json]:
    """A record as plain data, which ``decode`` takes; true and false among a sample's values become 1.0 and 0.0.

    Raises:
        EvidenceError: the record holds a value that is none: NaN or an infinity in a sample, or one of another type.
    """
    try:
        data = _plain(record)
        decode(data)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        what = "Collected" if isinstance(record, Collected) else f"{type(record).__name__} of {record.claim!r}"
        raise EvidenceError(
            f"{what}: no record of evidence ({type(error).__name__}: {error}); correct what the suite adds"
        ) from error
    return data


def _plain(record: Evidence) -> dict[str, Json]:
    if isinstance(record, Collected):
        return {
            "kind": "collected",
            "claims": [[claim.criterion, claim.step] for claim in record.claims],
            "deselected": record.deselected,
        }
    data: dict[str, Json] = {"criterion": record.claim.criterion, "step": record.claim.step}
    match record:
        case Judged(case=case, finding=finding):
            data |= {
                "kind": "finding",
                "case": case,
                "check": finding.check,
                "ok": finding.ok,
                "reason": finding.reason,
            }
            if finding.detail:
                data["detail"] = finding.detail
        case Sampled():
            values = [float(value) if isinstance(value, bool) else value for value in record.values]
            for index, value in enumerate(values):
                if not math.isfinite(value):
                    raise EvidenceError(
                        f"sample {record.name!r} of {record.claim} holds {value!r} at index {index}; a measurement is a finite number"
                    )
            data |= {
                "kind": "sample",
                "case": record.case,
                "name": record.name,
                "unit": record.unit,
                "values": list(values),
            }
        case Gap():
            data |= {"kind": "gap", "case": record.case, "reason": record.reason}
            if record.detail:
                data["detail"] = record.detail
        case Ended():
            data |= {
                "kind": "ended",
                "outcome": record.outcome.value,
                "reason": record.reason,
                "item": record.item,
                "seconds": record.seconds,
            }
    return data


def decode(data: Mapping[str, Any]) -> Evidence:
    """The record that ``encode`` wrote.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: the data is nothing that ``encode`` writes.
    """
    kind = data["kind"]
    if kind == "collected":
        claims = [_typed("a claim", claim, list) for claim in _typed("claims", data["claims"], list)]
        return Collected(
            tuple(_claim(criterion, step) for criterion, step in claims), _typed("deselected", data["deselected"], int)
        )
    return _DECODERS[kind](_claim(data["criterion"], data["step"]), data)


def _finding(claim: Claim, data: Mapping[str, Any]) -> Judged:
    finding = Finding(
        _typed("check", data["check"], str),
        _typed("ok", data["ok"], bool),
        _typed("reason", data["reason"], str),
        _detail(data),
    )
    return Judged(claim, _case(data), finding)


def _sample(claim: Claim, data: Mapping[str, Any]) -> Sampled:
    return Sampled(
        claim,
        _typed("name", data["name"], str),
        _typed("unit", data["unit"], str),
        tuple(_finite(value) for value in _typed("values", data["values"], list)),
        _case(data),
    )


def _gap(claim: Claim, data: Mapping[str, Any]) -> Gap:
    return Gap(claim, _case(data), _typed("reason", data["reason"], str), _detail(data))


def _ended(claim: Claim, data: Mapping[str, Any]) -> Ended:
    return Ended(
        claim,
        Outcome(data["outcome"]),
        _typed("reason", data["reason"], str),
        _typed("item", data["item"], str),
        _finite(data["seconds"]),
    )


_DECODERS: Mapping[str, Callable[[Claim, Mapping[str, Any]], Evidence]] = MappingProxyType(
    {"finding": _finding, "sample": _sample, "gap": _gap, "ended": _ended}
)


def _case(data: Mapping[str, Any]) -> Any:
    return _typed("case", data["case"], str, NoneType)


def _detail(data: Mapping[str, Any]) -> Any:
    return _typed("detail", data.get("detail", ""), str)


def _claim(criterion: object, step: object) -> Claim:
    return Claim(_typed("criterion", criterion, str), _typed("step", step, str, NoneType))


def _typed(name: str, value: Any, *kinds: type) -> Any:
    """The value, which is of one of these types; true and false are no numbers."""
    if not isinstance(value, kinds) or (type(value) is bool and bool not in kinds):
        raise TypeError(f"{name} is {value!r:.80}, not {' or '.join(kind.__name__ for kind in kinds)}")
    return value


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return value


class Shard:
    """One process's part of the ledger. Records are on disk, whole, when ``extend`` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("x", encoding="utf-8", newline="\n")
        self._write([{"kind": "shard", "version": VERSION}])

    def extend(self, records: Sequence[Evidence]) -> None:
        """Add records, all of them or none.

        Raises:
            EvidenceError: one of them holds a value that is none (see ``encode``); nothing is written then.
        """
        self._write([encode(record) for record in records])

    def append(self, record: Evidence) -> None:
        """Add one record; see ``extend``."""
        self.extend([record])

    def _write(self, lines: Sequence[Mapping[str, Json]]) -> None:
        self._file.write("".join(f"{_LINE.encode(line)}\n" for line in lines))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class ShardContent:
    """What a shard holds; ``torn`` says that the process died while it wrote the last line."""

    name: str
    records: tuple[Evidence, ...]
    torn: bool


def read_shard(path: Path) -> ShardContent:
    """Read one shard.

    Raises:
        EvidenceError: a line other than an unfinished last one is no record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(
            f"{path.name}: cannot be read as a shard of evidence: {error}; the run is damaged"
        ) from error
    lines = text.split("\n")
    torn = lines.pop() != ""
    records: list[Evidence] = []
    for number, line in enumerate(lines, start=1):
        try:
            data = _LINE_READ.decode(line)
            if number == 1:
                if data != {"kind": "shard", "version": VERSION}:
                    raise ValueError(f"the first line is {line!r}, not the head of a shard of version {VERSION}")
                continue
            records.append(decode(data))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise EvidenceError(
                f"{path.name}:{number}: no record of evidence ({type(error).__name__}: {error}); the run is damaged, run it again"
            ) from error
    if not lines:
        torn = True
    return ShardContent(path.stem, tuple(records), torn)


def by_claim(records: Iterable[Evidence]) -> dict[Claim, list[Evidence]]:
    """The records of each claim, in the order they were written."""
    found: dict[Claim, list[Evidence]] = {}
    for record in records:
        if not isinstance(record, Collected):
            found.setdefault(record.claim, []).append(record)
    return found
