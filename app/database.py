"""One engine per application, and the two kinds of transaction it offers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from app.errors import DatabaseAway
from app.models import Base, StepRow

__all__ = ["Database"]

BUSY_SECONDS = 10.0  # how long a writer waits for another one on SQLite
CHECK_SECONDS = 2.0  # how long a check waits for its answer
CONNECT_SECONDS = 5  # how long PostgreSQL's driver waits for a connection
LOST_SECONDS = 10  # after which it gives up a connection whose other end acknowledges nothing


class Database:
    """The application's database: ``reading()`` and ``writing()`` are sessions in one transaction each."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._check_lock = Lock()
        self._hanging: Thread | None = None
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
        file = _file(self.engine.url)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        Base.metadata.create_all(self.engine)

    def check(self, seconds: float = CHECK_SECONDS) -> None:
        """Read from the workflow's table, now, and wait for that no longer than this.

        Raises SQLAlchemyError where the database is away or has no tables, and DatabaseAway where it does not answer in time,
        where the check before still waits for its answer, or where its file is gone.
        """
        file = _file(self.engine.url)
        if file is not None and not file.is_file():
            raise DatabaseAway("the database's file is gone")  # an open connection would go on reading it
        with self._check_lock:
            if self._hanging is not None and self._hanging.is_alive():
                raise DatabaseAway("the database still owes an answer to the check before this one")
        failed: list[Exception] = []
        # nothing that a driver offers limits every way to wait: for a connection of the pool, for a name, for a server that hangs
        thread = Thread(target=self._read, args=(failed,), daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            with self._check_lock:
                self._hanging = thread
            raise DatabaseAway(f"the database did not answer within {seconds:g} s")
        if failed:
            raise failed[0]

    def _read(self, failed: list[Exception]) -> None:
        try:
            with self.reading() as session:
                session.execute(select(StepRow.id).limit(1)).all()
        except Exception as error:  # noqa: BLE001  # raised by the thread that waits for this one
            failed.append(error)

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    options: dict[str, Any] = {"hide_parameters": True}  # an error's message would hold them: texts of posts
    if parsed.get_backend_name() != "sqlite":
        if parsed.drivername == "postgresql+psycopg":
            limits = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": LOST_SECONDS * 1000}
            options["connect_args"] = {key: value for key, value in limits.items() if key not in parsed.query}
        return create_engine(parsed, pool_pre_ping=True, **options)
    options["connect_args"] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    if parsed.database in {None, "", ":memory:"}:
        options["poolclass"] = StaticPool  # a database in memory lives and dies with its one connection
    engine = create_engine(parsed, **options)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _file(url: URL) -> Path | None:
    """The file of an SQLite database; None for any other, for one in memory, and for one that is named as a URI."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"} or "uri" in url.query:
        return None
    return Path(str(url.database))


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
