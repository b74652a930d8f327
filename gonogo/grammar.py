"""The declared form of a prompt, and its parser. It knows nothing of the code that builds prompts, on purpose.

A prompt is a row of sections. A section begins with a heading, alone on a line in column 0. Inputs are entries of one
section: ``<display name>: <value>``, in column 0. A value is escaped by putting ``continuation`` after each line boundary
inside it (wherever ``str.splitlines`` breaks), so that no line of user text ever begins in column 0; taking it away
again gives the value back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gonogo.errors import DefinitionError
from gonogo.model import Step

__all__ = ["Entry", "Grammar", "ParsedPrompt"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One input as it stands in the prompt, unescaped. ``line`` counts from 1 within its section."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    """A prompt taken apart: headings in the order they stand, and the text below each."""

    preamble: str
    headings: tuple[str, ...]
    bodies: tuple[str, ...]

    def body(self, section: str) -> str | None:
        """The text of a section (the first one of that name), or none."""
        for heading, body in zip(self.headings, self.bodies, strict=True):
            if heading == section:
                return body
        return None

    def as_mapping(self) -> dict[str, str]:
        """Section -> text, for a reader."""
        return dict(zip(self.headings, self.bodies, strict=True))


@dataclass(frozen=True, slots=True)
class Grammar:
    """What ``[prompt]`` in criteria.toml declares. ``placeholder`` matches a reference; its group ``field`` is the field.

    ``closed``: the first and the last section hold the step's own texts and those of its format templates, and nothing else.
    """

    sections: tuple[str, ...]
    inputs: str
    heading: str = "{section}:"
    separator: str = ": "
    continuation: str = "  "
    placeholder: str = r"\[data:(?P<field>[^\[\]]*)\]"
    closed: bool = True

    def __post_init__(self) -> None:
        """Refuse a grammar that cannot tell its own parts apart."""
        if self.inputs not in self.sections:
            raise DefinitionError(
                f"[prompt] inputs = {self.inputs!r} is not one of the sections {list(self.sections)}; write one of them"
            )
        if "{section}" not in self.heading:
            raise DefinitionError(
                f"[prompt] heading = {self.heading!r} names no section; write for example '{{section}}:'"
            )
        try:
            headings = [self.heading_of(section) for section in self.sections]
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            raise DefinitionError(
                f"[prompt] heading = {self.heading!r} cannot be filled in ({type(error).__name__}: {error}); "
                "write {section} once and no other braces, for example '{section}:'"
            ) from error
        for heading in headings:
            if heading.splitlines() != [heading] or heading != heading.rstrip():
                raise DefinitionError(
                    f"[prompt] heading = {self.heading!r} makes {heading!r}, which no line of a prompt can equal; "
                    "write heading and sections within one line, without spaces at its end"
                )
            if headings.count(heading) > 1:
                raise DefinitionError(
                    f"[prompt] sections = {list(self.sections)}: the heading {heading!r} opens two of them; "
                    "give each section a name of its own"
                )
        if not self.continuation or self.continuation.splitlines() != [self.continuation]:
            raise DefinitionError(
                f"[prompt] continuation = {self.continuation!r} must be a text within one line, such as two spaces"
            )
        try:
            groups = re.compile(self.placeholder).groupindex
        except re.error as error:
            raise DefinitionError(
                f"[prompt] placeholder = {self.placeholder!r} is no regular expression: {error}"
            ) from error
        if "field" not in groups:
            raise DefinitionError(f"[prompt] placeholder = {self.placeholder!r} has no group (?P<field>...); add it")

    def heading_of(self, section: str) -> str:
        """The line that opens a section."""
        return self.heading.format(section=section)

    def escape(self, value: str) -> str:
        """The value as it must stand in a prompt."""
        # The sentinel gives the boundary at the very end of the value a line after it as well.
        return self.continuation.join((value + "x").splitlines(keepends=True))[:-1]

    def unescape(self, text: str) -> str:
        """The value that ``escape`` turned into this text."""
        first, *rest = (text + "x").splitlines(keepends=True)
        return "".join([first, *(line.removeprefix(self.continuation) for line in rest)])[:-1]

    def parse(self, text: str) -> ParsedPrompt:
        """Take a prompt apart. Any text can be parsed; what is wrong with it is for the checks to say."""
        return _parse(self.sections, self.heading, text)

    def resolve(self, template: str, inputs: Mapping[str, str]) -> str:
        """A template text with every reference replaced by the escaped value of its input, once: values are not expanded.

        A reference that opens a line has ``continuation`` before its value, so that user text stays out of column 0.
        """

        def replacement(match: re.Match[str]) -> str:
            value = inputs.get(match["field"], "")
            if not value.strip():
                return ""
            before = template[: match.start()]
            opens_a_line = not before or len((before + "x").splitlines()[-1]) == 1
            return (self.continuation if opens_a_line else "") + self.escape(value)

        return re.sub(self.placeholder, replacement, template)

    def references(self, template: str) -> tuple[str, ...]:
        """The fields that a template text refers to, in order, repetitions included."""
        return tuple(match["field"] for match in re.finditer(self.placeholder, template))

    def entries(self, body: str, names: Sequence[str]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """The entries in a text, and the lines in column 0 that belong to none."""
        entries: list[Entry] = []
        loose: list[str] = []
        current: list[str] | None = None
        name, start = "", 0

        def close() -> None:
            if current is not None:
                escaped = "".join(current)
                entries.append(Entry(name, self.unescape(_without_last_boundary(escaped)), start))

        for number, line in enumerate(body.splitlines(keepends=True), start=1):
            if current is not None and line.startswith(self.continuation):
                current.append(line)
                continue
            if not line.splitlines()[0]:
                close()
                current = None
                continue
            opened = next((one for one in names if line.startswith(one + self.separator)), None)
            close()
            current = None
            if opened is None:
                loose.append(line.splitlines()[0])
            else:
                name, start = opened, number
                current = [line[len(opened + self.separator) :]]
        close()
        return tuple(entries), tuple(loose)

    def expected_entries(self, step: Step, inputs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """(display name, value) of every input that is not empty, in the step's order."""
        return tuple(
            (one.name, inputs[one.field]) for one in step.inputs if one.field in inputs and inputs[one.field].strip()
        )


_BOUNDARIES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # where str.splitlines breaks


@lru_cache(maxsize=16)
def _headings(sections: tuple[str, ...], heading: str) -> re.Pattern[str]:
    """Finds a heading that ends its line, white space after it and the boundary included. Where it begins is for others."""
    names = "|".join(re.escape(heading.format(section=section)) for section in sections)
    return re.compile(rf"({names})[^\S{_BOUNDARIES}]*(?:\r\n|[{_BOUNDARIES}]|\Z)")


@lru_cache(maxsize=1024)  # several criteria parse the same prompts, one criterion after the other
def _parse(sections: tuple[str, ...], heading: str, text: str) -> ParsedPrompt:
    opened = {heading.format(section=section): section for section in sections}
    # a look behind in the pattern itself would be tried at every character
    found = [
        one
        for one in _headings(sections, heading).finditer(text)
        if not one.start() or text[one.start() - 1] in _BOUNDARIES
    ]
    ends = [*(one.start() for one in found), len(text)]
    return ParsedPrompt(
        text[: ends[0]].strip(),
        tuple(opened[one[1]] for one in found),
        tuple(_trim(text[one.end() : end]) for one, end in zip(found, ends[1:], strict=True)),
    )


def _trim(body: str) -> str:
    """The body without the blank lines around it. Spaces stay: they may belong to a value."""
    return body.strip("\n")


def _without_last_boundary(text: str) -> str:
    """The text of an entry without the boundary that ends its last line."""
    last = text.splitlines(keepends=True)[-1] if text else ""
    return text[: len(text) - len(last)] + (last.splitlines()[0] if last else "")
