"""How far a change reaches: the prompts of two releases for the same cases, held beside each other. It decides nothing.

What was added to a section and taken away from it is counted in characters, word by word: a word that was replaced counts
with all of its characters on both sides. A long stretch in which every line was replaced counts as a whole, so the figures are
never too small.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gonogo.checks import text_difference
from gonogo.grammar import Grammar
from gonogo.model import Prompt

__all__ = ["AROUND", "ROLES", "WHOLE_TEXT", "BlastRadius", "Pair", "Reach", "blast_radius"]

AROUND = "around the sections"
ROLES = "roles of messages"
WHOLE_TEXT = "whole text"
MOST_SHOWN = 10  # prompts that are shown as diffs
MOST_LINES = 100  # of one diff

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_MOST_WORDS = 250_000  # words of one side times words of the other; beyond, a replaced stretch counts as a whole


@dataclass(frozen=True, slots=True)
class Pair:
    """The prompts of one case: of the previous release and of the candidate; for one that is missing, why."""

    case: str
    before: Prompt | str
    after: Prompt | str


@dataclass(frozen=True, slots=True)
class Reach:
    """Characters that were added to a part of a prompt, and taken away from it."""

    added: int = 0
    removed: int = 0

    @property
    def size(self) -> int:
        """Both together."""
        return self.added + self.removed

    def __add__(self, other: Reach) -> Reach:
        return Reach(self.added + other.added, self.removed + other.removed)


@dataclass(frozen=True)
class Changed:
    """A case whose prompt differs: the parts that do, and the unified diff."""

    case: str
    parts: Mapping[str, Reach]
    diff: str

    @property
    def size(self) -> int:
        """Characters added and removed in all parts."""
        return sum(part.size for part in self.parts.values())


@dataclass(frozen=True)
class BlastRadius:
    """What a change does to the recorded cases. ``left``: case -> why it could not be compared.

    ``unparsed`` is the number of compared cases whose previous prompt has no section, so that whole texts are compared.
    """

    compared: int
    changed: tuple[Changed, ...]
    left: Mapping[str, str] = field(default_factory=dict)
    unparsed: int = 0

    @property
    def share(self) -> float:
        """Changed cases among the compared ones; 0 where none could be compared."""
        return len(self.changed) / self.compared if self.compared else 0.0

    @property
    def parts(self) -> dict[str, tuple[int, Reach]]:
        """Part -> the number of cases in which it differs, and how much in all of them."""
        found: dict[str, tuple[int, Reach]] = {}
        for one in self.changed:
            for part, reach in one.parts.items():
                number, before = found.get(part, (0, Reach()))
                found[part] = number + 1, before + reach
        return found

    @property
    def text(self) -> str:
        """All of it as plain text: the share, a line for each part, and the most changed prompts as unified diffs.

        Prompts stand in it as they are: show it as text alone.
        """
        lines = ["Prompts of the candidate beside those of the previous release, same inputs. Decides nothing.", ""]
        if self.compared:
            lines.append(f"{len(self.changed)} of {self.compared} prompts differ ({100 * self.share:.3g} %)")
        else:
            lines.append("no case could be compared: nothing is known of what the change reaches")
        if self.unparsed:
            lines.append(
                f"in {self.unparsed} of them the previous prompt has no sections; there, whole texts are compared"
            )
        if self.left:
            lines.append(f"{len(self.left)} not compared:")
            lines += [f"    {case}: {' '.join(reason.split())}" for case, reason in self.left.items()]
        if self.changed:
            lines += ["", *_table(self.parts)]
        shown = sorted(self.changed, key=lambda one: (-one.size, one.case))[:MOST_SHOWN]
        for one in shown:
            lines += ["", f"=== {one.case}: {one.size} characters", *_cut(one.diff.split("\n"))]
        if len(self.changed) > len(shown):
            lines += ["", f"and {len(self.changed) - len(shown)} more that are changed less"]
        return "\n".join([*lines, ""])


def blast_radius(grammar: Grammar, pairs: Iterable[Pair]) -> BlastRadius:
    """Compare the prompts of cases, section by section where both have sections."""
    changed: list[Changed] = []
    left: dict[str, str] = {}
    known: dict[tuple[str, str], Reach] = {}  # most cases of a step share their sections
    compared = unparsed = 0
    for pair in pairs:
        reasons = [
            f"{release}: {prompt}"
            for release, prompt in (("previous release", pair.before), ("candidate", pair.after))
            if isinstance(prompt, str)
        ]
        if isinstance(pair.before, str) or isinstance(pair.after, str):
            left[pair.case] = "; ".join(reasons)
            continue
        compared += 1
        form = grammar.parse(pair.before.text)
        # inputs of a prompt that has no sections may hold headings: what stands before them gives it away
        bare = not form.headings or bool(form.preamble)
        unparsed += bare
        if pair.before == pair.after:
            continue
        before, after = (
            {WHOLE_TEXT: prompt.text} if bare else _parts(grammar, prompt.text) for prompt in (pair.before, pair.after)
        )
        parts = {
            part: _reach(before.get(part, ""), after.get(part, ""), known)
            for part in {**before, **after}
            if before.get(part) != after.get(part)
        }
        texts = pair.before.text, pair.after.text
        if texts[0] == texts[1]:
            texts = pair.before.transcript, pair.after.transcript
            parts = {ROLES: _reach(*texts, known)}
        parts = parts or {AROUND: _reach(*texts, known)}  # two texts that differ do so somewhere
        changed.append(Changed(pair.case, parts, text_difference(*texts, "previous release", "candidate")))
    return BlastRadius(compared, tuple(changed), left, unparsed)


def _parts(grammar: Grammar, text: str) -> dict[str, str]:
    """Section -> its text, and last what stands outside: everything before the first, the order, blank lines."""
    parsed = grammar.parse(text)
    parts: dict[str, str] = {section: "" for section in grammar.sections if section in parsed.headings}
    for section, body in zip(parsed.headings, parsed.bodies, strict=True):
        parts[section] += body + "\n"
    parts[AROUND] = _around(text, parsed.bodies)
    return parts


def _around(text: str, bodies: Sequence[str]) -> str:
    """The text without the bodies of its sections."""
    left, place = [], 0
    for body in bodies:
        start = text.find(body, place) if body else place
        left.append(text[place:start])
        place = start + len(body)
    return "".join([*left, text[place:]])


def _reach(before: str, after: str, known: dict[tuple[str, str], Reach]) -> Reach:
    if (before, after) not in known:
        known[before, after] = _by_lines(before, after)
    return known[before, after]


def _by_lines(before: str, after: str) -> Reach:
    lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found = Reach()
    for tag, start, end, to_start, to_end in difflib.SequenceMatcher(None, *lines, autojunk=False).get_opcodes():
        old, new = "".join(lines[0][start:end]), "".join(lines[1][to_start:to_end])
        if tag == "replace":
            found += _by_words(old, new)
        elif tag != "equal":
            found += Reach(len(new), len(old))
    return found


def _by_words(before: str, after: str) -> Reach:
    words = _WORDS.findall(before), _WORDS.findall(after)
    if len(words[0]) * len(words[1]) > _MOST_WORDS:
        return Reach(len(after), len(before))
    found = Reach()
    for tag, start, end, to_start, to_end in difflib.SequenceMatcher(None, *words, autojunk=False).get_opcodes():
        if tag != "equal":
            found += Reach(sum(map(len, words[1][to_start:to_end])), sum(map(len, words[0][start:end])))
    return found


def _table(parts: Mapping[str, tuple[int, Reach]]) -> list[str]:
    rows = [("part", "prompts", "added", "removed")]
    rows += [(part, str(number), f"+{reach.added}", f"-{reach.removed}") for part, (number, reach) in parts.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(one.rjust(width) for one, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _cut(lines: Sequence[str]) -> list[str]:
    more = [f"... and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return [*lines[:MOST_LINES], *more]
