"""Mutants: a release's own source with one small change each, and the file that says which sources, and what may survive.

The changes are those of cosmic-ray, whose operators replace, negate or remove one thing at a time. A change that leaves the
program the same program (a type's name, say) is no mutant, and of two changes that come to the same, one is.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gonogo.documents import Section, read_toml
from gonogo.errors import DefinitionError, StatisticsError
from gonogo.statistics import Limit

__all__ = ["Explained", "Mutant", "MutationRules", "load_mutation_rules", "mutants_of", "places_of"]

_CONTEXT = 1  # lines of a diff before and after a change


class Change(Protocol):
    """A mutant, or what is known of one."""

    @property
    def file(self) -> str: ...
    @property
    def was(self) -> str: ...
    @property
    def becomes(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Mutant:
    """A source file with one change.

    Attributes:
        file: its path below the release's folder.
        line: of the change, from 1.
        operator: cosmic-ray's name of what was done.
        text: the whole file with the change in it.
        was, becomes: the lines that differ, without the white space around them.
        diff: of the change, as ``diff -u`` writes it.
    """

    file: str
    line: int
    operator: str
    text: str
    was: str
    becomes: str
    diff: str

    @property
    def id(self) -> str:
        """A name for it: the same for the same change of the same file."""
        return hashlib.sha256(f"{self.file}\0{self.text}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a change need not be noticed, or cannot be, as the program does the same (``equivalent``): of a file, these lines to those."""

    file: str
    was: str
    becomes: str
    why: str
    equivalent: bool = False


@dataclass(frozen=True, slots=True)
class MutationRules:
    """What mutants.toml says.

    Attributes:
        files: the sources that are changed, as paths below the release's folder.
        killed: the share of the mutants that must be noticed, of all but the equivalent ones.
        survivors: those that are known to survive, and why.
    """

    files: tuple[str, ...]
    killed: Limit
    survivors: tuple[Explained, ...] = ()

    def explained(self, change: Change) -> Explained | None:
        """Why a mutant survives; none where nobody has said it."""
        wanted = (change.file, change.was, change.becomes)
        return next((one for one in self.survivors if (one.file, one.was, one.becomes) == wanted), None)


def load_mutation_rules(path: Path, *, root: Path | None = None) -> MutationRules:
    """Read mutants.toml.

    Raises:
        DefinitionError: it is not there, malformed, or its limit is none.
    """
    if not path.is_file():
        raise DefinitionError(
            f'{path}: no such file; write version = 1 and files = ["app/prompts.py"] into it, the sources to be changed'
        )
    section = Section.of(read_toml(path, root=root))
    if section.integer("version") != 1:
        section.fail("version", f"{section.data['version']!r} is not a version that this gonogo reads; write 1")
    try:
        killed = Limit.parse(section.text("killed", example="'>= 0.95'", default=">= 0.95"))
    except StatisticsError as error:
        section.fail("killed", str(error))
    survivors = []
    for entry in section.sections("survivor", default=()):
        file, was, why = (entry.text(name, example="'...'") for name in ("file", "was", "why"))
        becomes = entry.text("becomes", default="")  # left out where the change takes the line away
        survivors.append(Explained(file, was, becomes, why, entry.flag("equivalent", default=False)))
        entry.finish()
    rules = MutationRules(tuple(section.texts("files")), killed, tuple(survivors))
    section.finish()
    return rules


def places_of(text: str) -> list[tuple[str, Any, int]]:
    """Where a source can be changed: the operator's name, the operator, and which of its places.

    Of the arithmetic operators that can take the place of another one, the first does. What adds texts fails with any of them,
    so eleven mutants of one place would be eleven times the same, and hide in their share whatever is not noticed.

    Raises:
        DefinitionError: cosmic-ray is not installed.
    """
    _tool()
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    tree = get_ast(text)
    places = []
    replaced: set[str] = set()
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():
            continue  # it changes what it is told to change, and nobody told it
        if "BinaryOperator" in name:
            before = name.rpartition("_")[0]
            if before in replaced:
                continue
            replaced.add(before)
        operator = kind()
        number = sum(1 for node in ast_nodes(tree) for _ in operator.mutation_positions(node))
        places += [(name.rpartition("/")[2], operator, occurrence) for occurrence in range(number)]
    return places


def mutants_of(file: str, text: str, places: Sequence[tuple[str, Any, int]]) -> Iterator[Mutant | None]:
    """The source with each change in turn; none for a change that makes no other program, or one that was there before.

    Args:
        file: its path below the release's folder.
        text: the source.
        places: ``places_of`` it.
    """
    _tool()
    from cosmic_ray.mutating import mutate_code

    known = {_program(text)}
    for name, operator, occurrence in places:
        changed: str | None = mutate_code(text, operator, occurrence)
        try:
            program = None if changed is None else _program(changed)
        except SyntaxError:
            program = None
        if changed is None or program is None or program in known:
            yield None
            continue
        known.add(program)
        yield _mutant(file, name, text, changed)


def _tool() -> None:
    try:
        import cosmic_ray  # noqa: F401
    except ImportError as error:
        raise DefinitionError(
            "cosmic-ray, which makes mutants, is not installed; install it with pip install 'gonogo[mutants]'"
        ) from error


def _mutant(file: str, operator: str, text: str, changed: str) -> Mutant:
    before, after = text.splitlines(), changed.splitlines()
    differing = [
        one for one in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if one[0] != "equal"
    ]
    was = _on_one_line(line for _, low, high, _, _ in differing for line in before[low:high])
    becomes = _on_one_line(line for _, _, _, low, high in differing for line in after[low:high])
    diff = difflib.unified_diff(before, after, file, file, n=_CONTEXT, lineterm="")
    return Mutant(file, differing[0][1] + 1, operator, changed, was, becomes, "\n".join(diff))


def _on_one_line(lines: Iterable[str]) -> str:
    return " ".join(filter(None, map(str.strip, lines)))


def _program(text: str) -> str:
    """What a source does, as far as its syntax tells: equal for sources that are the same program.

    Raises:
        SyntaxError: it is no program.
    """
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    futures = [one for one in nodes if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
    if any(name.name == "annotations" for one in futures for name in one.names):
        # they are never evaluated, so what they say is nothing that is done; that there is one makes a dataclass's field
        for node in nodes:
            if isinstance(node, ast.AnnAssign):
                node.annotation = ast.Constant(None)
            elif isinstance(node, ast.arg):
                node.annotation = None
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.returns = None
    return ast.dump(tree)
