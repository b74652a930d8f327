"""What is known of a proof: every result on the disk as it comes.

Results of one state of the files that they rest on lie in one folder, named after their hash. A proof that was broken off goes on
from there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gonogo.errors import EvidenceError
from gonogo.model import Status
from gonogo.proof import Itself, Shown
from gonogo.result_lines import set_aside, whole_lines

__all__ = ["Control", "Record", "Results"]

VERSION = 1


@dataclass(frozen=True)
class Control:
    """What a criterion is without a planted defect."""

    criterion: str
    verdict: Status | None
    reason: str
    at: str

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        verdict = None if self.verdict is None else self.verdict.value
        return {"criterion": self.criterion, "verdict": verdict, "reason": self.reason, "at": self.at}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Control:
        """What ``as_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        verdict = None if data["verdict"] is None else Status(data["verdict"])
        return cls(str(data["criterion"]), verdict, str(data["reason"]), str(data["at"]))


Record = Shown | Itself | Control
_KINDS: Mapping[str, type[Shown] | type[Itself] | type[Control]] = {
    "defect": Shown,
    "itself": Itself,
    "control": Control,
}


@dataclass
class Results:
    """The results in a folder: ``results.jsonl``, to which lines are added and from which none is ever taken."""

    path: Path
    rest_on: Mapping[str, str]
    records: list[Record] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, rest_on: Mapping[str, str]) -> Results:
        """Read what is there, and touch nothing.

        Raises:
            EvidenceError: a line is no result, or the results are of other files.
        """
        results = cls(path, rest_on)
        try:
            results._read(whole_lines(path.read_bytes()))
        except FileNotFoundError:
            return results
        except OSError as error:
            raise EvidenceError(f"{path}: cannot be read ({error.strerror}); correct its permissions") from error
        return results

    @classmethod
    def open(cls, path: Path, rest_on: Mapping[str, str], *, again: bool = False) -> Results:
        """Read what is there already, and go on from there; with ``again`` begin anew, and keep the old file beside the new one.

        A last line that was cut short by the end of its process is no result yet, and is made again. Nobody else may write there.

        Raises:
            EvidenceError: a line is no result, or the results are of other files. The file stays as it is.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and again:
                set_aside(path)
            results = cls.read(path, rest_on)
            content = path.read_bytes() if path.exists() else b""
            whole = whole_lines(content)
            if whole != content:
                path.write_bytes(whole)
            if not whole:
                results._begin()
        except OSError as error:
            raise EvidenceError(f"{path}: cannot be written ({error.strerror}); correct its permissions") from error
        return results

    def add(self, record: Record) -> None:
        """Keep a result; it is on disk when this returns."""
        kind = next(name for name, one in _KINDS.items() if isinstance(record, one))
        self._write({"kind": kind, **record.as_json()})
        self.records.append(record)

    def of(self, criterion: str) -> list[Record]:
        """The results about a criterion."""
        return [one for one in self.records if one.criterion == criterion]

    def shown(self, criterion: str) -> dict[str, Shown]:
        """Defect -> what became of it."""
        return {one.defect: one for one in self.of(criterion) if isinstance(one, Shown)}

    def itself(self, criterion: str) -> Itself | None:
        """All claims of runs of the release against itself; none where there was no such run."""
        runs = [one for one in self.of(criterion) if isinstance(one, Itself)]
        return sum(runs[1:], start=runs[0]) if runs else None

    def control(self, criterion: str) -> Control | None:
        """What the criterion is without a planted defect, as it was seen last; none while nobody has looked."""
        return next((one for one in reversed(self.of(criterion)) if isinstance(one, Control)), None)

    def _begin(self) -> None:
        self._write({"kind": "proof", "version": VERSION, "rest_on": dict(self.rest_on)})

    def _write(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def _read(self, content: bytes) -> None:
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                data = json.loads(line)
                if number == 1:
                    if data != {"kind": "proof", "version": VERSION, "rest_on": dict(self.rest_on)}:
                        raise ValueError("the first line is not the head of results of these files")
                    continue
                self.records.append(_KINDS[data["kind"]].from_json(data))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise EvidenceError(
                    f"{self.path}:{number}: no result of gonogo prove ({type(error).__name__}: {error}); correct the line, "
                    "or begin anew with --again, which keeps this file"
                ) from error
