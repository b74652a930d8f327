"""Reading what people write: YAML and TOML, strictly, with errors that say where and what to write instead.

Loading never runs code: PyYAML's safe constructors only, and a duplicate key is an error instead of a silent last-one-wins.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from gonogo.errors import DefinitionError
from gonogo.parsed import ParsedFiles

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _LIST, _MAPPING = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))

Key = str | int


class _StrictLoader(_BaseLoader):  # type: ignore[misc]  # the C loader, where PyYAML was built with it, has no stubs
    """A safe loader that refuses duplicate keys and leaves dates as the text that stands in the file.

    It takes short ways where nearly everything passes: PyYAML itself spends most of its time on deciding that a text is one.
    """

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that has none; ``implicit[0]`` says that a scalar stands there without quotes."""
        if kind is not yaml.ScalarNode:
            return _MAPPING if kind is yaml.MappingNode else _LIST
        if implicit[0]:
            for tag, form in self.yaml_implicit_resolvers.get(value[:1], ()):
                if form.match(value):
                    return str(tag)
        return _TEXT

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node."""
        if node.tag == _TEXT and type(node) is yaml.ScalarNode:
            return node.value
        return super().construct_object(node, deep)


def _list(loader: _StrictLoader, node: yaml.Node) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise yaml.constructor.ConstructorError(None, None, "marked as a list and none", node.start_mark)
    return [loader.construct_object(one, deep=True) for one in node.value]


def _mapping_without_duplicates(loader: Any, node: yaml.Node) -> dict[Any, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(None, None, "marked as a mapping and none", node.start_mark)
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = getattr(key_node, "value", None)
        if isinstance(key, str):
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here a second time; remove one of the two", key_node.start_mark
                )
            seen.add(key)
    loader.flatten_mapping(node)
    return {loader.construct_object(key, deep=True): loader.construct_object(one, deep=True) for key, one in node.value}


_StrictLoader.add_constructor(_LIST, _list)
_StrictLoader.add_constructor(_MAPPING, _mapping_without_duplicates)
_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def closest(word: str, choices: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` or nothing."""
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


@dataclass(frozen=True)
class Document:
    """A loaded file: its data, and how to find the line of a key for an error message."""

    path: Path
    data: Any
    shown: str
    yaml: bytes = field(default=b"", repr=False)
    toml: str = field(default="", repr=False)

    def fail(self, where: Sequence[Key], problem: str) -> NoReturn:
        """Raise a DefinitionError that names file, line (of YAML, and of the tables of a TOML list) and key.

        Raises:
            DefinitionError: always.
        """
        line = self._line(where)
        place = f"{self.shown}:{line}" if line else self.shown
        key = self._key(where)
        raise DefinitionError(f"{place}: {key + ': ' if key else ''}{problem}")

    def _key(self, where: Sequence[Key]) -> str:
        """The key as its author knows it: an entry of a list goes by its id where it has one."""
        key, data = "", self.data
        for part in where:
            try:
                data = data[part]
            except (KeyError, IndexError, TypeError):
                data = None
            if isinstance(part, str):
                key += f".{part}" if key else part
            elif isinstance(data, dict) and isinstance(data.get("id"), str):
                key += f" {data['id']!r}"
            else:
                key += f"[{part}]"
        return key

    def _line(self, where: Sequence[Key]) -> int | None:
        if self.toml and len(where) > 1 and isinstance(where[0], str) and isinstance(where[1], int):
            lines = table_lines(self.toml, where[0])
            return lines[where[1]] if where[1] < len(lines) else None
        if not self.yaml:
            return None
        node = yaml.compose(self.yaml, Loader=yaml.SafeLoader)
        line = 1
        for part in where:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                break
        return line


def table_lines(toml: str, name: str) -> list[int]:
    """The lines, counted from 1, on which the tables of the list ``[[name]]`` begin; none for tables written in a line."""
    found: list[int] = []
    lines = [f"{line}\n" for line in toml.split("\n")]
    for number, line in enumerate(lines, start=1):
        if re.match(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]", line):
            try:  # what stands inside a text of several lines is no table
                tables = tomllib.loads("".join(lines[:number])).get(name, [])
            except tomllib.TOMLDecodeError:
                continue
            if isinstance(tables, list) and len(tables) == len(found) + 1:
                found.append(number)
    return found


def _read(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DefinitionError(
            f"{shown}: there is no such file; create it, or correct the path in conftest.py"
        ) from error
    except OSError as error:
        raise DefinitionError(
            f"{shown}: cannot be read ({error.strerror}); correct the path or its permissions"
        ) from error


def _decoded(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"{shown}: byte {error.start} is not UTF-8 ({content[error.start : error.start + 1]!r}); save the file as UTF-8"
        ) from error


def read_yaml(path: Path, *, root: Path | None = None, parsed: ParsedFiles | None = None) -> Document:
    """Load one YAML file whose top level is a mapping; from ``parsed`` where that has it, which is faster.

    Raises:
        DefinitionError: unreadable, not UTF-8, not YAML, a duplicate key, an unsafe tag, or not a mapping.
    """
    shown = show(path, root)
    content = _read(path, shown)
    data = parsed.find(path, content) if parsed else None
    if data is None:
        data = _parse(content, shown)
        if parsed:
            parsed.keep(path, content, data)
    return Document(path, data, shown, content)


def parse_yaml(content: bytes, path: Path) -> Document:
    """What ``read_yaml`` would make of a file that holds these bytes.

    Raises:
        DefinitionError: see ``read_yaml``.
    """
    return Document(path, _parse(content, path.as_posix()), path.as_posix(), content)


def _parse(content: bytes, shown: str) -> dict[str, Any]:
    _decoded(content, shown)
    try:
        data = yaml.load(content, Loader=_StrictLoader)  # libyaml reads bytes; a text it would have to encode first
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise DefinitionError(f"{shown}{line}: not usable YAML: {error.problem}; correct this line") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise DefinitionError(f"{shown}: not usable YAML: {error}; correct the file") from error
    if not isinstance(data, dict):
        raise DefinitionError(f"{shown}:1: the file holds {kind(data)}; write a mapping (key: value lines)")
    return data


def read_toml(path: Path, *, root: Path | None = None) -> Document:
    """Load one TOML file.

    Raises:
        DefinitionError: unreadable, not UTF-8 or not TOML.
    """
    return parse_toml(_read(path, show(path, root)), path, root=root)


def parse_toml(content: bytes, path: Path, *, root: Path | None = None) -> Document:
    """What ``read_toml`` would make of a file that holds these bytes.

    Raises:
        DefinitionError: see ``read_toml``.
    """
    shown = show(path, root)
    text = _decoded(content, shown)
    try:
        return Document(path, tomllib.loads(text), shown, toml=text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{shown}: not usable TOML: {error}; correct this place") from error


def show(path: Path, root: Path | None) -> str:
    """The path as a reader knows it: relative to the project where it lies inside it."""
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.as_posix()


def kind(value: object) -> str:
    """What a loaded value is, in the words of the file's author."""
    names: dict[type, str] = {
        dict: "a mapping",
        list: "a list",
        str: "a text",
        bool: "true/false",
        type(None): "nothing",
    }
    return names.get(type(value), f"a number ({value!r})")


@dataclass
class Section:
    """A mapping that is read key by key; ``finish`` refuses what nobody asked for."""

    document: Document
    data: dict[str, Any]
    where: tuple[Key, ...] = ()
    asked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, document: Document) -> Section:
        """The whole document."""
        return cls(document, document.data)

    def fail(self, key: Key | None, problem: str) -> NoReturn:
        """Raise a DefinitionError at a key of this section (or at the section)."""
        self.document.fail(self.where if key is None else (*self.where, key), problem)

    def has(self, key: str) -> bool:
        """Whether the key stands there."""
        return key in self.data

    def value(self, key: str, expected: str) -> Any:
        """The value of a key that must be there."""
        self.asked.add(key)
        if key not in self.data:
            self.fail(None, f"the key {key!r} is missing; write {expected}")
        return self.data[key]

    def text(self, key: str, *, example: str = "a text", default: str | None = None) -> str:
        """A non-empty text."""
        if default is not None and key not in self.data:
            self.asked.add(key)
            return default
        value = self.value(key, f"{key}: {example}")
        if not isinstance(value, str):
            self.fail(key, f"{value!r} is {kind(value)}; write {example} (in quotes if need be)")
        if not value.strip():
            self.fail(key, f"the text is empty; write {example}")
        return value

    def choice(self, key: str, choices: Sequence[str], *, default: str | None = None) -> str:
        """One word of a list."""
        value = self.text(key, example=" or ".join(choices), default=default)
        if value not in choices:
            self.fail(key, f"{value!r} is not one of {', '.join(choices)}{closest(value, choices)}")
        return value

    def number(
        self, key: str, *, default: float | None = None, low: float = -math.inf, high: float = math.inf
    ) -> float:
        """A finite number between two bounds, both included."""
        if default is not None and key not in self.data:
            self.asked.add(key)
            return default
        value = self.value(key, f"{key}: a number")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fail(key, f"{value!r} is not a number; write one such as 1")
        if not low <= value <= high:
            self.fail(key, f"{value!r} lies outside {low} to {high}; write a number between them")
        return float(value)

    def integer(self, key: str, *, default: int | None = None, low: int = 0) -> int:
        """A whole number of at least ``low``."""
        value = self.number(key, default=default, low=low)
        if value != int(value):
            self.fail(key, f"{value!r} is not a whole number; write one such as {low}")
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        self.asked.add(key)
        value = self.data.get(key, default)
        if not isinstance(value, bool):
            self.fail(key, f"{value!r} is not true or false; write one of them")
        return value

    def texts(self, key: str, *, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        if default is not None and key not in self.data:
            self.asked.add(key)
            return tuple(default)
        value = self.value(key, f"{key}: a list of texts")
        if not isinstance(value, list):
            self.fail(key, f"{value!r} is {kind(value)}; write a list of texts")
        for index, entry in enumerate(value):
            if not isinstance(entry, str) or not entry.strip():
                self.document.fail(
                    (*self.where, key, index), f"{entry!r} is {kind(entry)}; write a text that is not empty"
                )
        return tuple(value)

    def mapping(self, key: str, *, default: dict[str, Any] | None = None) -> dict[str, Any]:
        """A mapping with text keys, as it stands."""
        if default is not None and key not in self.data:
            self.asked.add(key)
            return dict(default)
        value = self.value(key, f"{key}: a mapping")
        if not isinstance(value, dict):
            self.fail(key, f"{value!r} is {kind(value)}; write a mapping (key: value lines)")
        for name in value:
            if not isinstance(name, str):
                self.fail(key, f"the key {name!r} is {kind(name)}; put it in quotes")
        return value

    def section(self, key: str, *, default: dict[str, Any] | None = None) -> Section:
        """A mapping that is read key by key in turn."""
        return Section(self.document, self.mapping(key, default=default), (*self.where, key))

    def sections(self, key: str, *, default: Sequence[dict[str, Any]] | None = None) -> tuple[Section, ...]:
        """A list of mappings."""
        if default is not None and key not in self.data:
            self.asked.add(key)
            return tuple(Section(self.document, dict(entry), (*self.where, key)) for entry in default)
        value = self.value(key, f"{key}: a list of mappings")
        if not isinstance(value, list):
            self.fail(key, f"{value!r} is {kind(value)}; write a list of mappings")
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                self.document.fail(
                    (*self.where, key, index), f"{entry!r} is {kind(entry)}; write a mapping (key: value lines)"
                )
        return tuple(Section(self.document, entry, (*self.where, key, index)) for index, entry in enumerate(value))

    def finish(self) -> None:
        """Refuse every key that was not asked for."""
        for key in self.data:
            if key not in self.asked:
                self.fail(
                    str(key),
                    f"unknown key {key!r}{closest(str(key), self.asked)}; known are {', '.join(sorted(self.asked))}",
                )
