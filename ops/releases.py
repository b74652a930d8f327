"""Releases on disk: a tree that does not change any more, and the manifest that tells when it did."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.errors import Refused, UsageError
from ops.files import write_whole
from ops.site import Site

__all__ = ["Entry", "Installed", "Manifest", "add", "installed", "known_versions", "problems_of_files", "read_manifest"]

MANIFEST = "manifest.json"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")
_ASK = """
import importlib.metadata, json, platform, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        versions[name] = None
print(json.dumps({"python": platform.python_version(), "dependencies": versions}))
"""


@dataclass(frozen=True)
class Installed:
    """The interpreter's version and those of the dependencies; None for one that is not installed."""

    python: str
    dependencies: dict[str, str | None]


@dataclass(frozen=True)
class Entry:
    """A file of a release, or a folder, which has no hash."""

    mode: str  # octal
    sha256: str | None


@dataclass(frozen=True)
class Manifest:
    """What a release was when it was added."""

    version: str
    uid: int
    gid: int
    installed: Installed
    files: dict[str, Entry]  # by path below the release's folder


def add(site: Site, tree: Path, version: str, overlays: Sequence[Path]) -> Manifest:
    """Copy what belongs to a release out of ``tree``, then lay ``overlays`` over it, and write its manifest.

    Raises:
        UsageError: the version is no name, or a folder is not there.
        Refused: the site has this version, or the tree holds what is neither file nor folder.
    """
    if not _VERSION.fullmatch(version):
        raise UsageError(f"--version {version!r} is not a version; write letters, digits, '.', '_', '+', '-', as 2.0.0")
    target = site.releases / version
    if target.exists():
        raise Refused(f"{target}: this release is there, and a release does not change; choose another version")
    for left in site.releases.glob(".adding-*"):
        shutil.rmtree(left)  # of a call that was ended
    making = site.releases / f".adding-{version}"
    for folder in site.settings.folders:
        if not (tree / folder).is_dir():
            raise UsageError(
                f"{tree / folder}: there is no such folder; name the tree that holds it, or correct site.toml: folders"
            )
        _copy(tree / folder, making / folder)
    for overlay in overlays:
        _copy(overlay, making)
    _compile(site, making, target)
    files = {}
    for path in (making, *sorted(making.rglob("*"))):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        if path != making:
            files[path.relative_to(making).as_posix()] = _entry(path)
    manifest = Manifest(version, os.getuid(), os.getgid(), installed(site), files)
    write_whole(making / MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n", mode=0o644)
    making.rename(target)
    return manifest


def _compile(site: Site, making: Path, target: Path) -> None:
    """Compile the modules once, so that no start has to, and none writes into the release."""
    options = ["-q", "--invalidation-mode", "checked-hash", "-s", str(making), "-p", str(target)]
    done = subprocess.run(
        [site.settings.python, "-I", "-m", "compileall", *options, str(making)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stdout.replace(str(making), str(target)).split())
        raise Refused(f"the tree cannot be compiled: {said[:500]}; correct it")


def _copy(source: Path, target: Path) -> None:
    for folder, names, files in os.walk(source):
        for name in (*names, *files):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise Refused(
                    f"{path}: is neither a file nor a folder; a release holds its files itself: replace it by a copy"
                )
    shutil.copytree(source, target, ignore=_IGNORED, dirs_exist_ok=True)


def _entry(path: Path) -> Entry:
    mode = f"{stat.S_IMODE(path.lstat().st_mode):04o}"
    return Entry(mode, None if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest())


def installed(site: Site) -> Installed:
    """What the interpreter of the site is, and what it finds installed.

    Raises:
        Refused: it cannot be run.
    """
    command = [site.settings.python, "-I", "-c", _ASK, *site.settings.dependencies]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"site.toml: python = {site.settings.python!r} cannot be run ({error}); correct it") from error
    return Installed(**json.loads(done.stdout))


def known_versions(site: Site) -> list[str]:
    """The versions that have been added."""
    return sorted(
        path.parent.name for path in site.releases.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")
    )


def read_manifest(site: Site, version: str) -> Manifest:
    """The manifest of a release.

    Raises:
        UsageError: there is no such release.
        Refused: the manifest is damaged.
    """
    path = site.releases / version / MANIFEST
    if version not in known_versions(site):
        raise UsageError(
            f"{version!r} is not a release of {site.folder}; there are {', '.join(known_versions(site)) or 'none'}: "
            "add it with `add TREE --version VERSION`"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        files = {name: Entry(**entry) for name, entry in data.pop("files").items()}
        return Manifest(**{**data, "installed": Installed(**data["installed"]), "files": files})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path}: damaged ({error!r}); remove the release's folder and add it again") from error


def problems_of_files(site: Site, manifest: Manifest) -> Iterator[str]:
    """What differs between a release's files and its manifest, and who could change them."""
    folder = site.releases / manifest.version
    paths = [path for path in sorted(folder.rglob("*")) if path != folder / MANIFEST]
    there = {path.relative_to(folder).as_posix(): path for path in paths}
    for name in sorted(manifest.files.keys() - there.keys()):
        yield f"{folder / name} is missing; remove the release and add it again"
    for name in sorted(there.keys() - manifest.files.keys()):
        yield f"{there[name]} is not in the manifest; remove it"
    for path in (folder, folder / MANIFEST, *there.values()):
        kept = path.lstat()
        if stat.S_ISLNK(kept.st_mode):
            yield f"{path} is a link; remove the release and add it again"
            continue
        if kept.st_mode & stat.S_IWOTH:
            yield f"{path} can be written by everybody (mode {stat.S_IMODE(kept.st_mode):04o}); chmod o-w"
        if (kept.st_uid, kept.st_gid) != (manifest.uid, manifest.gid):
            yield f"{path} belongs to {kept.st_uid}:{kept.st_gid}, not {manifest.uid}:{manifest.gid}; chown it"
    for name in sorted(manifest.files.keys() & there.keys()):
        if there[name].is_symlink():
            continue
        expected, found = manifest.files[name], _entry(there[name])
        if found.sha256 != expected.sha256:
            yield f"{there[name]} has changed since it was added (SHA-256); remove the release and add it again"
        elif found.mode != expected.mode and not int(found.mode, 8) & stat.S_IWOTH:
            yield f"{there[name]} has mode {found.mode}, not {expected.mode}; chmod {expected.mode}"
