"""The commands and options that this project has, for comparison with what its documents name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gonogo.cli import main
from gonogo.documentation import Block
from gonogo.model import Finding

CHECK = "documentation"
# Programs that documents may call and that are not ours to describe.
FOREIGN = frozenset(
    {
        *("amtool", "cd", "cp", "curl", "flask", "git", "gunicorn", "mkdir", "pip", "promtool", "python", "python3"),
        *("uvicorn", "."),
    }
)


def known_commands(config: pytest.Config) -> tuple[list[str], list[str]]:
    """The options of the plugin, and the commands of the command line."""
    group = next(group for group in config._parser._groups if group.name == "gonogo")
    options = [name for option in group.options for name in option.names() if name != "--gonogo-measured-run"]
    commands = list(_commands(main, ()))
    options += {
        name
        for _, command in commands
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }
    return sorted(options), sorted(f"gonogo {' '.join(path)}" for path, _ in commands)


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _commands(one, (*path, name))
    else:
        yield path, command


def commands_of(document: str, block: Block, config: pytest.Config) -> Iterator[Finding]:
    """Whether every command of a console block, and every option of ours in it, exists."""
    for line in block.commands:
        problem = _problem(shlex.split(line, comments=True), config)
        yield Finding(CHECK, problem is None, f"{document}:{block.line}: {line!r}: {problem or 'exists'}")


def _problem(words: list[str], config: pytest.Config) -> str | None:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return "an empty command"
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "make":
        targets = re.findall(
            r"^([a-z][\w-]*):", (Path(config.rootpath) / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
        unknown = [word for word in arguments if "=" not in word and not word.startswith("-") and word not in targets]
        return f"the Makefile has no target {unknown[0]}" if unknown else None
    if program == "pytest":
        known = known_commands(config)[0]
        unknown = [word for word in arguments if word.startswith("--gonogo") and word.split("=")[0] not in known]
        return f"there is no option {unknown[0]}" if unknown else None
    if program == "gonogo":
        return _gonogo_problem(arguments)
    return None if program in FOREIGN else f"the program {program!r} is unknown"


def _gonogo_problem(arguments: list[str]) -> str | None:
    command: click.Command = main
    for word in arguments:
        if isinstance(command, click.Group):
            if word.startswith("-"):
                continue
            found = command.get_command(click.Context(command), word)  # a group may know more words than it lists
            if found is None:
                return f"gonogo has no command {word!r}"
            command = found
        elif word.startswith("--") and word.split("=")[0] not in {
            name for one in command.params for name in one.opts
        } | {"--help"}:
            return f"there is no option {word}"
    return None
