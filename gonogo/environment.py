"""Whether a release is installed soundly: versions, files, health. Facts in, findings out."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from gonogo.assessment import Assessment
from gonogo.documents import Section, read_toml
from gonogo.errors import DefinitionError, EvidenceGap
from gonogo.figures import quantity
from gonogo.model import Finding, Json
from gonogo.project import Project

__all__ = [
    "Asked",
    "answers_well",
    "asked_of",
    "counted_meanwhile",
    "declared_requirements",
    "deployed_well",
    "disk_is_free",
    "files_are_sound",
    "live_notes",
    "python_is_supported",
    "requirements_are_met",
    "standing",
    "still_well",
    "told",
]

CHECK = "environment"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a project asks of the place where a release stands.

    Attributes:
        version: the release that is judged.
        python: ``requires-python`` of its pyproject.toml.
        requirements: the application's, as they are declared.
        folders: its files, where they are at hand.
        places: name -> a folder on the disk that must have room.
        disk_free: bytes that must be free there, or none where nobody asks for any.
        live: whether a running service is asked; what is past and what lies on its machine is then not looked at.
    """

    version: str
    python: str
    requirements: tuple[str, ...]
    folders: tuple[Path, ...]
    places: Mapping[str, Path]
    disk_free: float | None
    live: bool


def asked_of(project: Project, parameters: Mapping[str, Json]) -> Asked:
    """What a project asks, by its pyproject.toml and by the parameters ``extra`` and ``disk_free`` of the criterion.

    Raises:
        DefinitionError: pyproject.toml or a parameter is not what it must be.
    """
    extra, disk_free = parameters.get("extra"), parameters.get("disk_free")
    if extra is not None and not isinstance(extra, str):
        raise DefinitionError(
            f"criteria.toml: criterion 'environment': parameters.extra = {extra!r} is no text; name an extra of pyproject.toml"
        )
    if disk_free is not None and (
        isinstance(disk_free, bool) or not isinstance(disk_free, int | float) or not disk_free > 0
    ):
        raise DefinitionError(
            f"criteria.toml: criterion 'environment': parameters.disk_free = {disk_free!r} is no size; write bytes, such as 1073741824"
        )
    release = project.candidate
    python, requirements = declared_requirements(project.root / "pyproject.toml", extra)
    live = release.service is not None
    return Asked(
        version=release.version,
        python=python,
        requirements=requirements,
        folders=tuple(release.tree / package for package in release.packages),
        places={} if live else {"the release": release.tree, "the reports": project.reports},
        disk_free=disk_free,
        live=live,
    )


def standing(facts: Mapping[str, Json], asked: Asked) -> Assessment:
    """Whether a release stands on what it declares. ``facts`` are what it tells of itself (``describe``)."""
    findings: list[Finding] = []
    gaps: list[str] = []
    looks: tuple[Callable[[], Iterable[Finding]], ...] = (
        lambda: [python_is_supported(told(facts, "python"), asked.python)],
        lambda: requirements_are_met(asked.requirements, told(facts, "dependencies"), python=facts.get("python")),
        lambda: answers_well(told(facts, "answers")),
        lambda: [_is_the_one(told(facts, "version_told"), asked.version)],
        lambda: deployed_well(facts, live=asked.live),
        lambda: files_are_sound(asked.folders),
        lambda: disk_is_free(asked.places, asked.disk_free),
    )
    for look in looks:
        try:
            for finding in look():  # one by one: what was found stays where the look breaks off
                findings.append(finding)
        except EvidenceGap as gap:
            gaps.append(str(gap))
    return Assessment(tuple(findings), tuple(gaps))


def _is_the_one(version: Json, judged: str) -> Finding:
    return Finding(CHECK, version == judged, f"the application says that it is {version}, judged is {judged}")


def declared_requirements(pyproject: Path, extra: str | None) -> tuple[str, tuple[str, ...]]:
    """``requires-python`` and the requirements that pyproject.toml declares: those of an extra, or the project's own.

    Raises:
        DefinitionError: the file, its dependencies or the extra are not there, or not in their form.
    """
    project = Section.of(read_toml(pyproject, root=pyproject.parent)).section("project")
    python = project.text("requires-python", example="'>=3.11'", default="")
    try:
        SpecifierSet(python)
    except InvalidSpecifier:
        project.fail("requires-python", f"{python!r} cannot be read; write for example '>=3.11'")
    if extra is None:
        return python, project.texts("dependencies")
    extras = project.section("optional-dependencies", default={})
    if not extras.has(extra):
        raise DefinitionError(
            f"{pyproject.name}: project.optional-dependencies has no {extra!r}; write the application's requirements there"
        )
    return python, extras.texts(extra)


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
    met = _meets(str(version), SpecifierSet(declared))
    return Finding(
        CHECK, met, f"Python {version} " + ("is" if met else "is not") + f" within {declared or 'any version'}"
    )


def requirements_are_met(
    requirements: Iterable[str], installed: Mapping[str, str | None], *, python: Json = None
) -> Iterator[Finding]:
    """One finding for each declared requirement. ``installed`` maps its name, however spelt, to a version or to none.

    Raises:
        EvidenceGap: ``installed`` is no such mapping.
    """
    if not isinstance(installed, Mapping):
        raise EvidenceGap(f"the release tells its dependencies as {installed!r:.80}, not as names with their versions")
    versions = {canonicalize_name(name): version for name, version in installed.items()}
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            yield Finding(CHECK, False, f"the requirement {text!r} cannot be read: {error}")
            continue
        if requirement.marker and not requirement.marker.evaluate(_environment(python)):
            yield Finding(CHECK, True, f"{text} is not asked for here")
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            yield Finding(CHECK, False, f"{requirement.name} is not installed; {text} is declared")
        else:
            met = _meets(str(version), requirement.specifier)
            yield Finding(
                CHECK,
                met,
                f"{requirement.name} {version} " + (f"satisfies {text}" if met else f"does not satisfy {text}"),
            )


def _meets(version: str, specifier: SpecifierSet) -> bool:
    try:
        return specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _environment(python: Json) -> dict[str, str]:
    """What markers ask for, of the interpreter that the release told of."""
    if not isinstance(python, str):
        return {}
    return {"python_full_version": python, "python_version": ".".join(python.split(".")[:2])}


def files_are_sound(folders: Iterable[Path]) -> Iterator[Finding]:
    """Every file of a release can be read, can be written by nobody else, and belongs to the owner of its folder."""
    for folder in folders:
        paths = [path for path in (folder, *sorted(folder.rglob("*"))) if "__pycache__" not in path.parts]
        looked = {path: _stat(path) for path in paths}
        files = {path: found for path, found in looked.items() if found is not None}
        owner = files[folder].st_uid if folder in files else None
        unreadable = [path for path, found in files.items() if not found.st_mode & stat.S_IRUSR]
        problems = {
            "cannot be looked at, is not there, or is a link that leads nowhere": [
                path for path in paths if path not in files
            ],
            "belongs to somebody else than the folder": [
                path for path, found in files.items() if found.st_uid != owner
            ],
            "can be written by everybody; chmod o-w": [
                path for path, found in files.items() if found.st_mode & stat.S_IWOTH
            ],
            "cannot be read by its owner; chmod u+r": unreadable,
            "cannot be read by the user that looks here; correct its owner, group or mode": [
                path for path in files if path not in unreadable and not os.access(path, os.R_OK)
            ],
        }
        for problem, found in problems.items():
            shown = ", ".join(str(path.relative_to(folder.parent)) for path in found[:3])
            if found:
                yield Finding(
                    CHECK, False, f"{problem}: {shown}" + (f" and {len(found) - 3} more" if len(found) > 3 else "")
                )
        if not any(problems.values()):
            yield Finding(
                CHECK, True, f"{len(files)} files and folders of {folder.name} are owned, readable and closed to others"
            )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def disk_is_free(places: Mapping[str, Path], least: float | None) -> Iterator[Finding]:
    """Whether so many bytes are free where each place lies, or will lie. Where none are asked for, what is there is told."""
    for name, path in places.items():
        there = next((one for one in (path, *path.absolute().parents) if _stat(one)), path)
        try:
            free = shutil.disk_usage(there).free
        except OSError as error:
            yield Finding(CHECK, False, f"the disk of {name} cannot be looked at: {error}")
            continue
        asked = "nobody asks for any" if least is None else f"asked for are {quantity(least, 'B')}"
        yield Finding(CHECK, least is None or free >= least, f"{quantity(free, 'B')} are free at {name}; {asked}")


def deployed_well(facts: Mapping[str, Json], *, live: bool) -> Iterator[Finding]:
    """How the release came up on the way that operators take, and whether it logged errors while it did.

    Of a live service both are past, and its log is not at hand; what tells is how it answers now.

    Raises:
        EvidenceGap: a release that is not live does not tell.
    """
    if live:
        return
    deployed, errors = told(facts, "deployed"), told(facts, "startup_errors")
    if not isinstance(deployed, Mapping) or not {"answers", "keeps_posts", "same_steps"} <= deployed.keys():
        raise EvidenceGap(
            f"the release tells deployed = {deployed!r:.80}; let describe() tell answers, keeps_posts and same_steps in it"
        )
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
