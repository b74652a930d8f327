"""What the deployer asks of a database, whichever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from ops.contents import Contents
from ops.errors import UsageError
from ops.sqlite import SqliteDatabase

__all__ = ["Database", "open_database", "without_password"]


class Database(Protocol):
    """A database by its URL. Every method raises Refused where it cannot do what it should."""

    def columns(self) -> dict[str, set[str]]:
        """The columns of each table."""

    def size(self) -> int:
        """Bytes on the disk."""

    def problems(self) -> list[str]:
        """Why a backup could not be made or compared; nothing where it could."""

    def back_up(self, folder: Path) -> Contents:
        """Copy the database into ``folder`` while others write; what it held at the moment that the copy shows."""

    def rehearse(self, folder: Path, scratch: str) -> Contents:
        """Restore the copy into a fresh database, read it, and remove that database. ``scratch`` is its name."""

    def discard(self, scratch: str) -> None:
        """Remove the fresh database of a rehearsal that was ended, if it is there."""

    def restore(self, folder: Path) -> Contents:
        """Fill this database, which must hold nothing, from the copy in ``folder``; what it holds then."""


def open_database(url: str) -> Database:
    """The database of an URL, not connected to yet.

    Raises:
        UsageError: neither SQLite's nor PostgreSQL's.
    """
    if url.startswith("sqlite:////"):
        return SqliteDatabase(Path(url.removeprefix("sqlite:///").partition("?")[0]))
    if url.startswith(("postgresql://", "postgresql+psycopg://")):
        from ops.postgres import PostgresDatabase  # its driver takes longer to load than all the rest

        return PostgresDatabase("postgresql://" + url.partition("://")[2])
    raise UsageError(
        f"{without_password(url)!r} is no database; write sqlite:////absolute/path or postgresql+psycopg://user@host/name"
    )


def without_password(url: str) -> str:
    """An URL as it may be shown."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    shown = user.partition(":")[0] + (":***" if ":" in user else "") + at + host
    return url if shown == parts.netloc else urlunsplit(parts._replace(netloc=shown))
