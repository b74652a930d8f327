"""Whether a release is installed soundly: versions, files, health. Facts in, findings out."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from gonogo.documents import read_toml
from gonogo.errors import DefinitionError, EvidenceGap
from gonogo.model import Finding, Json

__all__ = [
    "answers_well",
    "counted_meanwhile",
    "declared_requirements",
    "deployed_well",
    "files_are_sound",
    "live_notes",
    "python_is_supported",
    "requirements_are_met",
    "still_well",
    "told",
]

CHECK = "environment"


def declared_requirements(pyproject: Path, extra: str) -> tuple[str, tuple[str, ...]]:
    """``requires-python`` and the requirements of an extra, as pyproject.toml declares them.

    Raises:
        DefinitionError: the file or the extra is not there.
    """
    project = read_toml(pyproject).data.get("project", {})
    extras = project.get("optional-dependencies", {})
    if extra not in extras:
        raise DefinitionError(
            f"{pyproject.name}: project.optional-dependencies has no {extra!r}; write the application's requirements there"
        )
    return project.get("requires-python", ""), tuple(extras[extra])


def told(facts: Mapping[str, Json], name: str) -> Any:
    """What a release tells of itself by this name.

    Raises:
        EvidenceGap: it tells nothing.
    """
    if facts.get(name) is None:
        raise EvidenceGap(
            f"the release does not tell {name}; let describe() of its adapter tell it, or where a service answers it, name "
            "the place in [target]"
        )
    return facts[name]


def python_is_supported(version: str, declared: str) -> Finding:
    """Whether the interpreter is one that the release declares."""
    met = SpecifierSet(declared).contains(version, prereleases=True)
    return Finding(
        CHECK, met, f"Python {version} " + ("is" if met else "is not") + f" within {declared or 'any version'}"
    )


def requirements_are_met(requirements: Iterable[str], installed: Mapping[str, str | None]) -> Iterator[Finding]:
    """One finding for each declared requirement. ``installed`` maps its name to a version, or to none."""
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            yield Finding(CHECK, False, f"the requirement {text!r} cannot be read: {error}")
            continue
        version = installed.get(requirement.name)
        if version is None:
            yield Finding(CHECK, False, f"{requirement.name} is not installed; {text} is declared")
        else:
            met = requirement.specifier.contains(version, prereleases=True)
            yield Finding(
                CHECK,
                met,
                f"{requirement.name} {version} " + (f"satisfies {text}" if met else f"does not satisfy {text}"),
            )


def files_are_sound(folders: Iterable[Path]) -> Iterator[Finding]:
    """Every file of a release can be read, can be written by nobody else, and belongs to the owner of its folder."""
    for folder in folders:
        files = [path for path in (folder, *sorted(folder.rglob("*"))) if "__pycache__" not in path.parts]
        owner = folder.stat().st_uid
        foreign = [path for path in files if path.stat().st_uid != owner]
        writable = [path for path in files if path.stat().st_mode & stat.S_IWOTH]
        unreadable = [path for path in files if not path.stat().st_mode & stat.S_IRUSR]
        for problem, paths in (
            ("belongs to somebody else than the folder", foreign),
            ("can be written by everybody; chmod o-w", writable),
            ("cannot be read by its owner; chmod u+r", unreadable),
        ):
            shown = ", ".join(str(path.relative_to(folder.parent)) for path in paths[:3])
            if paths:
                yield Finding(
                    CHECK, False, f"{problem}: {shown}" + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
                )
        if not (foreign or writable or unreadable):
            yield Finding(
                CHECK, True, f"{len(files)} files and folders of {folder.name} are owned, readable and closed to others"
            )


def deployed_well(facts: Mapping[str, Json], *, live: bool) -> Iterator[Finding]:
    """How the release came up on the way that operators take, and whether it logged errors while it did.

    Of a live service both are past, and its log is not at hand; what tells is how it answers now.

    Raises:
        EvidenceGap: a release that is not live does not tell.
    """
    if live:
        return
    deployed, errors = told(facts, "deployed"), told(facts, "startup_errors")
    yield from answers_well({f"deployed, {path}": status for path, status in deployed["answers"].items()})
    for what in ("keeps_posts", "same_steps"):
        yield Finding(CHECK, deployed[what], f"deployed and set up twice: {what} is {deployed[what]}")
    yield Finding(CHECK, not errors, f"errors at start-up: {errors[:3]}" if errors else "no errors at start-up")


def still_well(after: Mapping[str, Json]) -> Iterator[Finding]:
    """Whether a live service is well when a run has ended."""
    answers = after.get("answers")
    for path, status in answers.items() if isinstance(answers, dict) else ():
        yield Finding(CHECK, status == 200, f"when the run had ended, {path} answers {status}")


def counted_meanwhile(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, int]:
    """Name -> by how much a live service counted more while a run went on; empty where it counts nothing that is known."""
    first, last = before.get("counted"), after.get("counted")
    if not isinstance(first, dict) or not isinstance(last, dict):
        return {}
    pairs = {name: (then, last.get(name)) for name, then in first.items()}
    return {name: now - then for name, (then, now) in pairs.items() if isinstance(then, int) and isinstance(now, int)}


def live_notes(facts: Mapping[str, Json]) -> list[str]:
    """What a reader must know of a run that judged a live service, by what is known of its release; none of other runs."""
    if "service" not in facts:
        return []
    notes = [f"judged is what answers at {facts['service']}", f"source: {facts.get('source')}"]
    if facts.get("stub") == "none":
        notes[1] += "; its model is a real one, so prompts are those that it shows, not those that a model received"
    if facts.get("read_only"):
        notes.append(
            "read only: previews alone were asked for; nothing is known of runs, of what they store, and of their errors"
        )
    return notes


def answers_well(answers: Mapping[str, int]) -> Iterator[Finding]:
    """Path -> status of the health endpoints: each must be 200."""
    if not answers:
        yield Finding(CHECK, False, "the application has no health endpoints that could be asked")
    for path, status in answers.items():
        yield Finding(CHECK, status == 200, f"{path} answers {status}")
