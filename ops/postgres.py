"""Backups of PostgreSQL databases, with pg_dump and pg_restore."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from ops.contents import Contents, Table, table_of
from ops.errors import Refused

__all__ = ["PostgresDatabase"]

COPY = "database.dump"
_CONNECT_SECONDS = 10
_NAMESPACES = "n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'"
_TABLES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND {_NAMESPACES} ORDER BY 1, 2
"""
_COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND {_NAMESPACES} ORDER BY 1, 2, 3
"""
_CONSTRAINTS = f"""
SELECT n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_NAMESPACES} ORDER BY 1, 2, 3
"""


class PostgresDatabase:
    """A database of a server. The server's own programs of at least its version copy it."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.name = unquote(parts.path.removeprefix("/")) or unquote(parts.username or "")
        self.shown = f"postgresql://{parts.netloc.rpartition('@')[2]}/{self.name}"

    def columns(self) -> dict[str, set[str]]:
        """The columns of each table of the schema public, and of others under ``schema.table``."""
        found: dict[str, set[str]] = {}
        with self._reading() as connection:
            for schema, table, column, _, _ in connection.execute(_COLUMNS):
                found.setdefault(_named(schema, table), set()).add(column)
        return found

    def size(self) -> int:
        """Bytes that the server keeps the database in."""
        with self._reading() as connection:
            return int(_value(connection, "SELECT pg_database_size(current_database())"))

    def problems(self) -> list[str]:
        """Whether the programs are there and new enough, and whether a fresh database may be made."""
        found = []
        with self._reading() as connection:
            server = connection.info.server_version // 10000
            may = _value(connection, "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
            role = _value(connection, "SELECT current_user")
        for program in ("pg_dump", "pg_restore"):
            path = _program(program)
            version = _version(path) if path else None
            if version is None:
                found.append(
                    f"{program} is not installed; install PostgreSQL's client programs, version {server} or newer"
                )
            elif version < server:
                found.append(f"{path} has version {version}, the server {server}; install version {server} or newer")
        if not may:
            found.append(f"the role {role!r} may make no database to compare a backup in; ALTER ROLE {role} CREATEDB")
        return found

    def back_up(self, folder: Path) -> Contents:
        """Dump the database as one snapshot shows it, and read the rows in the same snapshot."""
        with self._reading() as connection:
            snapshot = _value(connection, "SELECT pg_export_snapshot()")
            copy = folder / COPY
            copy.touch(mode=0o600)
            self._run(
                "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={copy}", "--dbname", self._safe()
            )
            return _contents(connection)

    def rehearse(self, folder: Path, scratch: str) -> Contents:
        """Restore the copy into a database of its own on the same server, read that, and drop it."""
        other = self._named(scratch)
        try:
            self._make(scratch)
            return other.restore(folder)
        finally:
            self.discard(scratch)

    def discard(self, scratch: str) -> None:
        """Drop the database of a rehearsal, if it is there."""
        with self._acting() as connection:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(scratch))
            connection.execute(statement)

    def restore(self, folder: Path) -> Contents:
        """Fill this database from the copy; it is made where it is not there, and must hold no tables where it is."""
        copy = folder / COPY
        if not copy.is_file():
            raise Refused(f"{copy}: there is no such file; the backup is not whole: choose another")
        if not self._exists():
            self._named("postgres")._make(self.name)
        if self.columns():
            raise Refused(f"{self.shown} holds tables already, and nothing is overwritten; name an empty database")
        options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        self._run("pg_restore", *options, "--dbname", self._safe(), str(copy))
        with self._reading() as connection:
            return _contents(connection)

    def _exists(self) -> bool:
        try:
            with psycopg.connect(self._url, connect_timeout=_CONNECT_SECONDS):
                return True
        except psycopg.OperationalError as error:
            # the error of a refused connection carries no SQLSTATE
            if f'database "{self.name}" does not exist' in str(error):
                return False
            raise self._problem(error) from error

    def _make(self, name: str) -> None:
        with self._acting() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))

    def _named(self, name: str) -> PostgresDatabase:
        """Another database on the same server."""
        return PostgresDatabase(urlunsplit(urlsplit(self._url)._replace(path=f"/{name}")))

    def _safe(self) -> str:
        """The URL without its password: a command line can be read by everybody."""
        parts = urlsplit(self._url)
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=user.partition(":")[0] + at + host))

    def _run(self, program: str, *arguments: str) -> None:
        path = _program(program)
        if path is None:
            raise Refused(f"{program} is not installed; install PostgreSQL's client programs")
        password = urlsplit(self._url).password
        extra = {"PGPASSWORD": unquote(password)} if password else {}
        done = subprocess.run(
            [path, "--no-password", *arguments],
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise Refused(f"{self.shown}: {program} ended with status {done.returncode}: {said[:500]}")

    @contextmanager
    def _reading(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction that sees one state of the database."""
        with self._connected() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            # how values become text must not depend on who asks
            for setting in (
                "TimeZone = 'UTC'",
                "DateStyle = 'ISO'",
                "IntervalStyle = 'postgres'",
                "extra_float_digits = 1",
            ):
                connection.execute(f"SET LOCAL {setting}")
            yield connection

    @contextmanager
    def _acting(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection outside of any transaction."""
        with self._connected() as connection:
            connection.autocommit = True
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(self._url, connect_timeout=_CONNECT_SECONDS) as connection:
                yield connection
        except psycopg.Error as error:
            raise self._problem(error) from error

    def _problem(self, error: psycopg.Error) -> Refused:
        said = " ".join(str(error).split())
        return Refused(f"{self.shown}: PostgreSQL says: {said[:300]}; see that it runs, and correct the URL")


def _contents(connection: psycopg.Connection[Any]) -> Contents:
    schema = [connection.execute(query).fetchall() for query in (_COLUMNS, _CONSTRAINTS)]
    tables = {_named(*row): _table(connection, *row) for row in connection.execute(_TABLES).fetchall()}
    return Contents(hashlib.sha256(repr(schema).encode()).hexdigest(), tables)


def _table(connection: psycopg.Connection[Any], schema: str, name: str) -> Table:
    query = sql.SQL("SELECT t::text FROM ONLY {} t").format(sql.Identifier(schema, name))
    with connection.cursor(name="rows") as cursor:  # on the server, so that a large table is not held in memory
        cursor.execute(query)
        return table_of(str(row[0]).encode() for row in cursor)


def _named(schema: str, table: str) -> str:
    return table if schema == "public" else f"{schema}.{table}"


def _value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def _program(name: str) -> str | None:
    """The newest of its kind: Debian keeps those of each version in a folder of its own."""
    found: Sequence[Path] = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4])
    )
    return str(found[-1]) if found else shutil.which(name)


def _version(path: str) -> int | None:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.search(r"\b(\d+)", done.stdout)
    return int(found[1]) if found else None
