"""What must hold before a release may go into service: one finding for each thing that was looked at."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from ops.databases import open_database, without_password
from ops.errors import Refused
from ops.releases import Manifest, installed, problems_of_files, read_manifest
from ops.servers import environment
from ops.site import Site

__all__ = ["Finding", "check"]

_MIB = 1024 * 1024
_SHOWN = 5
_PATIENCE = 60  # seconds
# run in the release's tree: which tables and columns does its code rely on?
_SCHEMA = """
import json, sys
sys.path.insert(0, sys.argv[1])
from app.models import Base
print(json.dumps({table.name: [column.name for column in table.columns] for table in Base.metadata.sorted_tables}))
"""


@dataclass(frozen=True)
class Finding:
    """Whether one thing holds, and what was found; for what does not hold, value, place and remedy."""

    subject: str  # python, dependencies, files, database, disk
    ok: bool
    text: str


def check(site: Site, version: str) -> list[Finding]:
    """Look at everything that can be known before the release is started.

    Raises:
        UsageError: there is no such release.
    """
    manifest = read_manifest(site, version)
    return [*_installed(site, manifest), *_files(site, manifest), *_database(site, manifest), *_disk(site)]


def _installed(site: Site, manifest: Manifest) -> Iterator[Finding]:
    try:
        found = installed(site)
    except Refused as problem:
        yield Finding("python", False, str(problem))
        return
    wanted = manifest.installed.python
    same = found.python.split(".")[:2] == wanted.split(".")[:2]
    remedy = "" if same else f"; {manifest.version} was added with {wanted}: correct site.toml: python, or add it again"
    yield Finding("python", same, f"Python {found.python} at {site.settings.python}{remedy}")
    differing = []
    for name, version in manifest.installed.dependencies.items():
        now = found.dependencies.get(name)
        if version is None:
            differing.append(
                f"{name} was not installed when {manifest.version} was added; install it and add the release again"
            )
        elif now != version:
            differing.append(
                f"{name} is {now or 'not installed'}, {manifest.version} was added with {version}; install {name}=={version}"
            )
    yield from _each(
        "dependencies", differing, f"{len(manifest.installed.dependencies)} have the versions of the manifest"
    )


def _files(site: Site, manifest: Manifest) -> Iterator[Finding]:
    found = list(problems_of_files(site, manifest))
    yield from _each("files", found, f"{len(manifest.files)} are as they were added, and closed to others")


def _database(site: Site, manifest: Manifest) -> Iterator[Finding]:
    shown = without_password(site.settings.database)
    try:
        database = open_database(site.settings.database)
        there = database.columns()
        problems = database.problems()
    except Refused as problem:
        yield Finding("database", False, str(problem))
        return
    try:
        needed = _needed(site, manifest.version)
    except Refused as problem:
        yield Finding("database", False, str(problem))
        return
    for table, columns in needed.items():
        missing = sorted(set(columns) - there.get(table, set()))
        if table not in there:
            problems.append(f"{shown} has no table {table!r}; make it with `migrate {manifest.version}`")
        elif missing:
            problems.append(
                f"{shown}: the table {table!r} has no column {', '.join(missing)}, which {manifest.version} needs; migrate it"
            )
    yield from _each("database", problems, f"{shown} has the {len(needed)} tables that {manifest.version} needs")


def _needed(site: Site, version: str) -> dict[str, list[str]]:
    """The columns of each table, as the release's own code declares them."""
    command = [site.settings.python, "-P", "-c", _SCHEMA, str(site.releases / version)]
    try:
        done = subprocess.run(
            command,
            cwd=site.releases / version,
            env=environment(site),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Refused(
            f"{site.releases / version}: loading its models takes more than {_PATIENCE} s; correct the release"
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["(nothing)"])[-1]
        raise Refused(f"{site.releases / version}: its models cannot be loaded: {last[:300]}; correct the release")
    tables: dict[str, list[str]] = json.loads(done.stdout)
    return tables


def _disk(site: Site) -> Iterator[Finding]:
    free = shutil.disk_usage(site.folder).free // _MIB
    try:
        database = open_database(site.settings.database).size() // _MIB + 1
    except Refused:
        database = 0  # said where the database is looked at
    needed = site.settings.free_mib + 2 * database  # a backup, and the database that it is restored into
    enough = free >= needed
    remedy = "" if enough else "; remove old backups, or lower free_mib in site.toml"
    yield Finding("disk", enough, f"{free} MiB are free at {site.folder}, {needed} are needed{remedy}")


def _each(subject: str, problems: list[str], good: str) -> Iterator[Finding]:
    """A finding for each problem, not too many of them; one that says what is well where there is none."""
    for problem in problems[:_SHOWN]:
        yield Finding(subject, False, problem)
    if len(problems) > _SHOWN:
        yield Finding(subject, False, f"and {len(problems) - _SHOWN} more of this kind")
    if not problems:
        yield Finding(subject, True, good)
