"""The files that a run is about, by their hashes: whether two runs judged the same, and one run the same throughout.

A version is what people call a release; only its files say which code it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gonogo.model import canonical
from gonogo.project import Project, Release

__all__ = ["Contents", "change_notes"]

# the files of a project that decide what its gate catches
_PROVEN = ("suites", "criteria", "recordings", "cases", "workflows")
_SHOWN = 3
_WRITTEN_BY_TOOLS = frozenset({".git", ".gonogo_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
_WORDS = {
    "candidate": "the candidate's files",
    "baseline": "the previous release's files",
    "suites": "the suites",
    "criteria": "the criteria",
    "signoffs": "the sign-offs",
    "cases": "the cases",
    "workflows": "the workflows",
    "recordings": "the recordings",
}


@dataclass(frozen=True)
class Contents:
    """The files of a project as they were at one moment: name (``candidate``, ``suites`` …) -> path -> SHA-256.

    Byte code does not count. A file that cannot be read counts by its name. ``gonogo`` is a hash of gonogo's own files.
    """

    project: Project
    suites: tuple[Path, ...]
    files: Mapping[str, Mapping[str, str]]
    gonogo: str

    @classmethod
    def of(cls, project: Project, suites: Sequence[Path]) -> Contents:
        """The files as they are now. ``suites``: the folders whose Python files judge the releases."""
        releases = {"candidate": project.candidate, "baseline": project.baseline}
        found = {
            name: _release_files(release, project.reports) for name, release in releases.items() if release is not None
        }
        found["suites"] = _hashed(_suite_files(project, suites), project.root)
        found["criteria"] = _hashed([project.criteria], project.root)
        found["signoffs"] = _hashed(_files_below(project.signoffs_file), project.root)  # a project may have none
        found["cases"] = _hashed(_files_below(project.cases), project.cases)
        found["workflows"] = _hashed(_files_below(project.workflows), project.workflows)
        folders = {project.recordings_of(release) for release in releases.values() if release is not None}
        recordings = [path for folder in folders for path in _files_below(folder)]
        found["recordings"] = _hashed(recordings, project.recordings)
        package = Path(__file__).parent
        own = _hashed(_files_below(package), package)
        return cls(project, tuple(suites), found, hashlib.sha256(canonical(dict(own))).hexdigest())

    @property
    def hashes(self) -> dict[str, str]:
        """Name -> one hash over the paths and bytes of its files; for run.json."""
        return {name: hashlib.sha256(canonical(dict(files))).hexdigest() for name, files in self.files.items()}

    @property
    def proven(self) -> dict[str, str]:
        """The hashes of what a proof of the gate holds for, gonogo's own files among them, whatever release is judged by it.

        Adapters and a stage that lie outside the suites do not count: a live service has another adapter and no stage, and the
        suites stay the same.
        """
        project = self.project
        outside = {
            _named(path, project.root)
            for path in _wiring(project)
            if not any(path.is_relative_to(suite) for suite in self.suites)
        }
        own = {path: found for path, found in self.files["suites"].items() if path not in outside}
        files = {name: own if name == "suites" else self.files[name] for name in _PROVEN}
        hashes = {name: hashlib.sha256(canonical(dict(found))).hexdigest() for name, found in files.items()}
        return {**hashes, "gonogo": self.gonogo}

    @property
    def tried(self) -> dict[str, str]:
        """The hashes of what the runs of a proof rest on: all files of the project that are known here, and gonogo's own.

        What a stage starts, documents, and the packages that are installed are not among them.
        """
        return {**self.hashes, "gonogo": self.gonogo}

    def changed(self) -> dict[str, set[str]]:
        """Name -> paths of the files that are by now changed, gone or new; only names that have such files."""
        now = Contents.of(self.project, self.suites).files
        return {
            name: paths
            for name, files in self.files.items()
            if (paths := {path for path in {*files, *now[name]} if files.get(path) != now[name].get(path)})
        }


def change_notes(changed: Mapping[str, Iterable[str]]) -> list[str]:
    """What to say of files that were changed while a run went on: one sentence for each name."""
    notes = []
    for name, paths in changed.items():
        ordered = sorted(paths)
        more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
        notes.append(
            f"{_WORDS[name]} were changed while the run went on: {', '.join(ordered[:_SHOWN])}{more}; "
            "let nothing write there, and run again"
        )
    return notes


def _release_files(release: Release, reports: Path) -> dict[str, str]:
    """Path below the release's folder -> hash, with the overlay laid over it as ``Release.laid_out`` does; and its facts."""
    packages = (path for name in release.packages for path in _files_below(release.tree / name))
    # a package may be the whole project: what runs and tools write there is no part of a release
    own = (path for path in packages if not path.is_relative_to(reports) and not _WRITTEN_BY_TOOLS & {*path.parts})
    files = _hashed(own, release.tree)
    if release.overlay is not None:
        files |= _hashed(_files_below(release.overlay), release.overlay)
    return files if release.facts is None else files | {f"facts in {release.facts.name}": _hash(release.facts)}


def _suite_files(project: Project, suites: Sequence[Path]) -> Iterator[Path]:
    """Python files of the suites, and what stands between them and a release: conftest.py, the adapters, the stage."""
    for suite in suites:
        yield from (path for path in _files_below(suite, hidden=False) if path.suffix == ".py")
    above = {parent for suite in suites for parent in suite.parents if parent.is_relative_to(project.root)}
    conftests = [folder / "conftest.py" for folder in {project.root, *above}]
    yield from (path for path in (*conftests, *_wiring(project)) if path.is_file())


def _wiring(project: Project) -> Iterator[Path]:
    """The files of the adapters and of the stage."""
    for release in (project.candidate, project.baseline):
        if release is not None:
            yield _file_of(release.adapter, release.tree)
    if project.stage:
        yield _file_of(project.stage, project.root)


def _file_of(function: str, root: Path) -> Path:
    """The file of ``path.py:function``, or of ``package.module:function`` below a folder."""
    place = function.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else root.joinpath(*place.split(".")).with_suffix(".py")


def _files_below(place: Path, *, hidden: bool = True) -> Iterator[Path]:
    """A file itself, or all files of a folder, byte code excepted; none where there is neither."""
    if place.is_file():
        yield place
    seen = set()
    for folder, folders, names in os.walk(place, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name != "__pycache__" and (hidden or name[0] != "."))
        yield from (Path(folder, name) for name in names if not name.endswith(".pyc"))


def _hashed(paths: Iterable[Path], root: Path) -> dict[str, str]:
    return {_named(path, root): _hash(path) for path in paths}


def _named(path: Path, root: Path) -> str:
    """The path as it is in another checkout as well."""
    return Path(os.path.relpath(path, root)).as_posix()


def _hash(path: Path) -> str:
    try:
        if not path.is_file():
            return "no file"
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
