"""A backup: the database as it was at one moment, proved to restore, and what ran on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.contents import Contents, differences
from ops.databases import open_database, without_password
from ops.errors import Refused, UsageError
from ops.files import write_whole
from ops.journal import State
from ops.releases import MANIFEST
from ops.site import Site

__all__ = ["Backup", "drop_unfinished", "known_backups", "new_id", "restore", "snapshot", "take", "unfinished"]


@dataclass(frozen=True)
class Backup:
    """What the manifest of a backup says."""

    id: str
    time: str
    database: str  # its URL without the password
    contents: Contents


def new_id() -> str:
    """An id that sorts by time and is a name that databases take as well."""
    return datetime.now(UTC).strftime("%Y%m%dt%H%M%S%f")


def scratch_of(id: str) -> str:
    """The name of the database that a backup is restored into."""
    return f"ops_check_{id}"


def take(site: Site, id: str) -> Backup:
    """Back the database up while it is in use, restore the copy into a fresh one, and compare every row.

    Raises:
        Refused: the database cannot be copied, or the copy does not hold what the database held.
    """
    database = open_database(site.settings.database)
    folder = unfinished(site, id)
    folder.mkdir(mode=0o700)
    contents = database.back_up(folder)
    found = list(differences(contents, database.rehearse(folder, scratch_of(id))))
    if found:
        raise Refused(
            f"{folder}: restored, the backup is not what the database was: {'; '.join(found)}; nothing was changed"
        )
    backup = Backup(
        id, datetime.now(UTC).isoformat(timespec="seconds"), without_password(site.settings.database), contents
    )
    write_whole(folder / MANIFEST, json.dumps(asdict(backup), indent=1) + "\n")
    folder.rename(site.backups / id)
    return backup


def snapshot(site: Site, id: str, state: State, version: str | None) -> None:
    """Keep in a backup what code and settings ran when it was taken: state, site.toml, the release's manifest."""
    folder = site.backups / id / "state"
    folder.mkdir(mode=0o700)
    write_whole(folder / "state.json", json.dumps({**asdict(state), "release": version}, indent=1) + "\n")
    write_whole(folder / "site.toml", (site.folder / "site.toml").read_text(encoding="utf-8"))
    if version is not None:
        write_whole(folder / MANIFEST, (site.releases / version / MANIFEST).read_text(encoding="utf-8"))


def unfinished(site: Site, id: str) -> Path:
    """Where a backup lies until it has been proved to restore."""
    return site.backups / f".{id}"


def drop_unfinished(site: Site, id: str) -> None:
    """Remove what a backup that was broken off has left, in the server as well."""
    if unfinished(site, id).exists():
        open_database(site.settings.database).discard(scratch_of(id))
        shutil.rmtree(unfinished(site, id))


def known_backups(site: Site) -> list[str]:
    """The ids of the backups that are whole, the oldest first."""
    return sorted(
        path.parent.name for path in site.backups.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")
    )


def restore(site: Site, id: str, url: str) -> Backup:
    """Fill the database at ``url``, which must be empty, from a backup, and compare it with what was backed up.

    Raises:
        UsageError: there is no such backup.
        Refused: the database holds something, or cannot be filled; or it does not hold what was backed up.
    """
    if id not in known_backups(site):
        raise UsageError(
            f"{id!r} is not a backup of {site.folder}; there are {', '.join(known_backups(site)) or 'none'}"
        )
    folder = site.backups / id
    backup = _read(folder)
    if url.partition(":")[0].partition("+")[0] != backup.database.partition(":")[0].partition("+")[0]:
        raise UsageError(
            f"--into {without_password(url)!r}: the backup is one of {backup.database}; name a database of the same kind"
        )
    found = list(differences(backup.contents, open_database(url).restore(folder)))
    if found:
        raise Refused(f"{without_password(url)} does not hold what was backed up: {'; '.join(found)}; do not use it")
    return backup


def _read(folder: Path) -> Backup:
    try:
        data: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Backup(data["id"], data["time"], data["database"], Contents.read(data["contents"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{folder / MANIFEST}: damaged ({error!r}); choose another backup") from error
