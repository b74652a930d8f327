"""What was read once need not be parsed again: the values of YAML files, kept as JSON and found by the file's bytes.

Parsing YAML is the slowest part of a start (a thousand recordings: 0.2 s, a tenth of it from here). Nothing rests on what
is kept: where it is missing, damaged or of another file, the file is parsed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ParsedFiles"]

_FORMAT = 1  # to be raised where documents.py makes something else of the same bytes


@dataclass(frozen=True)
class ParsedFiles:
    """A folder that holds one file for each file that was parsed: the hash of its bytes, and its value as JSON.

    It may be removed at any time, and keeps itself out of git.
    """

    folder: Path

    def find(self, path: Path, content: bytes) -> dict[str, Any] | None:
        """The value of a file that holds exactly these bytes, or none."""
        try:
            head, _, kept = self._place(path).read_bytes().partition(b"\n")
            value = json.loads(kept) if head == _head(content) else None
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def keep(self, path: Path, content: bytes, value: dict[str, Any]) -> None:
        """Keep the value of a file. What JSON cannot give back as it was, or what cannot be written, is not kept."""
        try:
            kept = json.dumps(value, ensure_ascii=False, allow_nan=False)
            if json.loads(kept) != value:
                return
            self._make()
            place = self._place(path)
            # several processes may read the same files at the same time
            beside = place.with_suffix(f".{hashlib.sha256(kept.encode()).hexdigest()[:16]}")
            beside.write_bytes(_head(content) + b"\n" + kept.encode())
            beside.replace(place)
        except (OSError, TypeError, ValueError):
            return

    def _make(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / ".gitignore").write_text("*\n", encoding="ascii")

    def _place(self, path: Path) -> Path:
        return self.folder / f"{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"


def _head(content: bytes) -> bytes:
    return f"{_FORMAT} {yaml.__version__} {hashlib.sha256(content).hexdigest()}".encode()
