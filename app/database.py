"""One engine per application, and the two kinds of transaction it offers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from app.models import Base, StepRow

__all__ = ["Database"]

BUSY_SECONDS = 10.0  # how long a writer waits for another one on SQLite


class Database:
    """The application's database: ``reading()`` and ``writing()`` are sessions in one transaction each."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are stored together when the block ends, or not at all when it raises."""
        with self._sessions.begin() as session:
            session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            yield session

    def create_tables(self) -> None:
        """Create the tables that are not there yet, and for SQLite the file's folder."""
        url = self.engine.url
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        Base.metadata.create_all(self.engine)

    def check(self) -> None:
        """Read from the workflow's table. Raises SQLAlchemyError where the database is away or has no tables."""
        with self.reading() as session:
            session.execute(select(StepRow.id).limit(1)).all()

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}
    if parsed.database in {None, "", ":memory:"}:
        options["poolclass"] = StaticPool  # a database in memory lives and dies with its one connection
    engine = create_engine(parsed, **options)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    # the driver would open transactions on its own, only before writes: _on_begin does it instead
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    # a writer takes its lock at once: one that read first and then cannot get it would have to start again
    connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("sqlite_begin", "DEFERRED"))
