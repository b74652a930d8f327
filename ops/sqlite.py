"""Backups of SQLite databases, with SQLite's own online backup."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ops.contents import Contents, table_of
from ops.errors import Refused

__all__ = ["SqliteDatabase"]

COPY = "database.sqlite3"
_BUSY_SECONDS = 30.0


class SqliteDatabase:
    """A database in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def columns(self) -> dict[str, set[str]]:
        """The columns of each table."""
        with self._reading(self.path) as connection:
            return {
                table: {str(row[1]) for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")}
                for table in _tables(connection)
            }

    def size(self) -> int:
        """Bytes of the file and of its write-ahead log."""
        parts = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def problems(self) -> list[str]:
        """None: SQLite is a part of Python."""
        return []

    def back_up(self, folder: Path) -> Contents:
        """Copy the database in one transaction that sees one state of it, and read the rows in the same one.

        Those who write go on: in the journal mode WAL a reader keeps nobody waiting.
        """
        copy = folder / COPY
        with self._reading(self.path) as source:
            contents = _contents(source)
            with closing(sqlite3.connect(copy)) as target:
                copy.chmod(0o600)
                source.backup(target)  # in the open transaction: the same state as was read above
                target.execute("PRAGMA journal_mode = DELETE")  # one file, with no log beside it
        return contents

    def rehearse(self, folder: Path, scratch: str) -> Contents:
        """Restore the copy into a fresh file beside it, and read that."""
        fresh = folder / scratch
        try:
            return self._restored(folder / COPY, fresh)
        finally:
            fresh.unlink(missing_ok=True)

    def discard(self, scratch: str) -> None:
        """Nothing: the file of a rehearsal lies in the folder of its backup, which goes with it."""

    def restore(self, folder: Path) -> Contents:
        """Put the copy in the place of this database, which must not be there."""
        if self.path.exists() and self.path.stat().st_size:
            raise Refused(f"{self.path} is there already, and nothing is overwritten; name a file that is not there")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.restoring")
        beside.unlink(missing_ok=True)
        try:
            contents = self._restored(folder / COPY, beside)
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)
        return contents

    def _restored(self, copy: Path, target: Path) -> Contents:
        if not copy.is_file():
            raise Refused(f"{copy}: there is no such file; the backup is not whole: choose another")
        shutil.copyfile(copy, target)
        target.chmod(0o600)
        with self._reading(target) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            if found != ["ok"]:
                raise Refused(f"{copy}: damaged ({'; '.join(found[:3])}); choose another backup")
            return _contents(connection)

    @contextmanager
    def _reading(self, path: Path) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the database."""
        try:
            # mode=rw: a database that is not there is not made; a reader of a WAL needs to write beside it
            with closing(
                sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # here the state is taken
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise Refused(
                f"{path}: SQLite cannot use it ({error}); make the database with `migrate VERSION`, or correct its path"
            ) from error


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return sorted(str(row[0]) for row in rows)


def _contents(connection: sqlite3.Connection) -> Contents:
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    tables = {
        # a value's repr tells its type as well: 1, 1.0, '1' and b'1' are four values
        table: table_of(repr(row).encode() for row in connection.execute(f"SELECT * FROM {_quoted(table)}"))
        for table in _tables(connection)
    }
    return Contents(hashlib.sha256(repr(schema).encode()).hexdigest(), tables)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
