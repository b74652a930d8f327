"""Documents against the software: is everything that exists named, and can every code block be read?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gonogo.model import Finding

__all__ = ["Block", "blocks", "mentioned", "read_documents"]

CHECK = "documentation"
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[A-Za-z]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document; ``line`` is that of its first line."""

    language: str
    text: str
    line: int

    def compiles(self, document: str) -> Finding:
        """Whether a Python block can be read as Python."""
        try:
            compile(self.text, document, "exec")
        except SyntaxError as error:
            return Finding(
                CHECK, False, f"{document}:{self.line + (error.lineno or 1) - 1}: not Python: {error.msg}", self.text
            )
        return Finding(CHECK, True, f"{document}:{self.line}: Python")

    @property
    def commands(self) -> tuple[str, ...]:
        """The command lines of a console block: what follows ``$ ``, continued lines joined."""
        joined = self.text.replace("\\\n", " ")
        return tuple(" ".join(line.split()[1:]) for line in joined.splitlines() if line.lstrip().startswith("$ "))


def read_documents(root: Path, patterns: Iterable[str]) -> dict[str, str]:
    """Path below ``root`` -> text, of every file that one of the patterns names."""
    paths = sorted({path for pattern in patterns for path in root.glob(pattern)})
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text."""
    for match in _FENCE.finditer(text):
        body = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        yield Block(match["language"], body, text.count("\n", 0, match.start("text")) + 1)


def mentioned(what: str, names: Iterable[str], documents: Mapping[str, str]) -> Iterator[Finding]:
    """Whether each name stands in one of the documents, as a word of its own."""
    asked = list(names)
    if not asked:
        yield Finding(CHECK, False, f"there is no {what} to look for; the software should tell some")
    for name in asked:
        word = re.compile(rf"(?<![\w/-]){re.escape(name)}(?![\w-])")
        place = next((document for document, text in documents.items() if word.search(text)), None)
        yield Finding(
            CHECK,
            place is not None,
            f"{what} {name}: " + (f"in {place}" if place else "in none of the documents; describe it"),
        )
