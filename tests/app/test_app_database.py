"""Readiness: a real query at every call, and an answer within seconds whatever the database does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.database import Database
from app.errors import DatabaseAway

SOON = 0.3  # seconds


def ready(app: Any) -> int:
    return int(app.test_client().get("/readyz").status_code)


def test_every_call_asks_the_database(make_app: Any, database_url: str) -> None:
    app = make_app(DATABASE_URL=database_url)
    database: Database = app.extensions["blog"].database
    assert ready(app) == 200
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE steps RENAME TO lost"))
    assert ready(app) == 503
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE lost RENAME TO steps"))
    assert ready(app) == 200


def test_a_file_that_is_gone_is_no_database_though_a_connection_still_reads_it(make_app: Any, tmp_path: Path) -> None:
    file = tmp_path / "gone.sqlite3"
    app = make_app(DATABASE_URL=f"sqlite:///{file}")
    client = app.test_client()
    assert ready(app) == 200
    file.rename(tmp_path / "elsewhere")
    assert client.get("/api/steps").status_code == 200  # the connection does not notice
    assert ready(app) == 503
    (tmp_path / "elsewhere").rename(file)
    assert ready(app) == 200


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_database_that_says_nothing_is_not_waited_for(silent_port: int) -> None:
    database = Database(f"postgresql+psycopg://nobody@127.0.0.1:{silent_port}/none?connect_timeout=2")
    with pytest.raises(DatabaseAway, match=r"within 0\.3 s"):
        database.check(SOON)
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(DatabaseAway, match="check before"):
            database.check(SOON)
    assert threading.active_count() <= before  # no threads pile up
    database.close()


def test_a_database_that_hangs_is_away_until_it_answers(make_app: Any, postgres_server: str) -> None:
    with psycopg.connect(postgres_server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    database: Database = make_app(DATABASE_URL=postgres_server).extensions["blog"].database
    database.check()
    with database.engine.connect() as connection:
        connection.execute(text("LOCK TABLE steps IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DatabaseAway):
            database.check(SOON)
    assert database._hanging is not None
    database._hanging.join(30)
    database.check()


def test_the_check_s_own_failure_is_told_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "no.sqlite3"
    file.write_bytes(b"this is no database, whatever it is called" * 50)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(Exception, match="not a database"):
        database.check()
    database.close()


def test_an_error_of_the_database_does_not_hold_what_was_to_be_stored(database: Database) -> None:
    database.create_tables()
    statement = text("INSERT INTO posts (id, title, created_at) VALUES (1, :title, '2026-01-01')")
    with database.engine.connect() as connection:
        connection.execute(statement, {"title": "a private title"})
        with pytest.raises(IntegrityError) as caught:
            connection.execute(statement, {"title": "a private title"})
    assert "private" not in str(caught.value)
