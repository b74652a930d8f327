"""Backups of both kinds of database, taken while others write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ops import postgres, sqlite
from ops.contents import Contents, Table, differences, table_of
from ops.databases import Database, open_database, without_password
from ops.errors import Refused, UsageError

SCRATCH = "ops_check_20260101t000000000000"


class Kind:
    """A database with posts, and a user who keeps writing into it."""

    def __init__(self, url: str, connect: Callable[[], sqlite3.Connection | psycopg.Connection]) -> None:
        self.url = url
        self.connect = connect
        self.database: Database = open_database(url)

    def execute(self, *statements: str) -> None:
        with closing(self.connect()) as connection:
            for statement in statements:
                connection.execute(statement)
                connection.commit()

    def write_until(self, over: threading.Event, begun: threading.Event) -> None:
        number = 0
        while not over.is_set():
            number += 1
            self.execute(
                f"INSERT INTO posts VALUES ({number + 1000}, 'written meanwhile')",
                f"UPDATE posts SET title = 'now {number}' WHERE id = 1",
            )
            begun.set()


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    if request.param == "sqlite":
        path = tmp_path / "live.sqlite3"
        made = Kind(f"sqlite:///{path}", lambda: sqlite3.connect(path, timeout=20))
        made.execute("PRAGMA journal_mode = WAL")
    else:
        server: str = request.getfixturevalue("postgres_server")
        plain = server.replace("+psycopg", "")
        made = Kind(server, lambda: psycopg.connect(plain))
        made.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    made.execute(
        "CREATE TABLE posts (id integer PRIMARY KEY, title text)",
        "CREATE TABLE notes (post integer REFERENCES posts (id), weight double precision, text text)",
        *(f"INSERT INTO posts VALUES ({number}, 'post {number}')" for number in range(1, 20)),
        "INSERT INTO notes VALUES (1, 0.1, NULL), (1, 0.1, NULL), (2, 1e300, ''), (3, -0.5, 'ö\n\"')",
    )
    yield made
    if request.param == "postgresql":
        with closing(made.connect()) as connection:
            left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'ops_check%'").fetchall()
        assert left == [], "a rehearsal leaves nothing in the server"


def backed_up(kind: Kind, folder: Path) -> Contents:
    folder.mkdir()
    return kind.database.back_up(folder)


class TestBackups:
    def test_a_backup_shows_one_moment_however_much_is_written_meanwhile(self, kind: Kind, tmp_path: Path) -> None:
        over, begun = threading.Event(), threading.Event()
        writer = threading.Thread(target=kind.write_until, args=(over, begun))
        writer.start()
        try:
            assert begun.wait(20)
            for number in range(3):
                folder = tmp_path / f"backup{number}"
                contents = backed_up(kind, folder)
                assert list(differences(contents, kind.database.rehearse(folder, SCRATCH))) == []
                assert contents.tables["notes"].rows == 4
                assert contents.tables["posts"].rows >= 20
        finally:
            over.set()
            writer.join()

    def test_a_row_that_changed_is_seen(self, kind: Kind, tmp_path: Path) -> None:
        before = backed_up(kind, tmp_path / "before")
        kind.execute("UPDATE notes SET text = '' WHERE post = 1 AND text IS NULL")
        after = backed_up(kind, tmp_path / "after")
        assert list(differences(before, after)) == ["table 'notes' has 4 rows in both, and they are not equal"]

    def test_a_change_of_the_schema_is_seen(self, kind: Kind, tmp_path: Path) -> None:
        before = backed_up(kind, tmp_path / "before")
        kind.execute("ALTER TABLE notes ADD COLUMN more integer", "CREATE TABLE extra (id integer)")
        found = list(differences(before, backed_up(kind, tmp_path / "after")))
        assert "the schemas differ" in found
        assert "table 'extra' is in one of them only" in found

    def test_a_damaged_copy_does_not_pass_for_a_backup(self, kind: Kind, tmp_path: Path) -> None:
        folder = tmp_path / "backup"
        expected = backed_up(kind, folder)
        [copy] = folder.iterdir()
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
        try:
            problems = list(differences(expected, kind.database.rehearse(folder, SCRATCH)))
        except Refused as refused:
            problems = [str(refused)]
        assert problems

    def test_a_copy_that_is_gone_is_told(self, kind: Kind, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(Refused, match="there is no such file; the backup is not whole: choose another"):
            kind.database.rehearse(tmp_path / "empty", SCRATCH)

    def test_columns_and_size_are_told(self, kind: Kind) -> None:
        assert kind.database.columns() == {"posts": {"id", "title"}, "notes": {"post", "weight", "text"}}
        assert kind.database.size() > 0
        assert kind.database.problems() == []

    def test_nothing_is_restored_over_what_is_there(self, kind: Kind, tmp_path: Path) -> None:
        backed_up(kind, tmp_path / "backup")
        with pytest.raises(Refused, match=r"nothing is overwritten; name (a file that is not there|an empty database)"):
            kind.database.restore(tmp_path / "backup")


class TestRestoring:
    def test_a_file_that_is_not_there_is_filled(self, tmp_path: Path) -> None:
        source = Kind(f"sqlite:///{tmp_path}/live.sqlite3", lambda: sqlite3.connect(tmp_path / "live.sqlite3"))
        source.execute("CREATE TABLE posts (id integer)", "INSERT INTO posts VALUES (1)")
        contents = backed_up(source, tmp_path / "backup")
        target = open_database(f"sqlite:///{tmp_path}/below/new.sqlite3")
        assert target.restore(tmp_path / "backup") == contents
        assert [path.name for path in (tmp_path / "below").iterdir()] == ["new.sqlite3"]

    def test_a_database_is_made_where_it_is_not_there(self, postgres_server: str, tmp_path: Path) -> None:
        plain = postgres_server.replace("+psycopg", "")
        source = Kind(postgres_server, lambda: psycopg.connect(plain))
        source.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CREATE TABLE posts AS SELECT 7 AS id")
        contents = backed_up(source, tmp_path / "backup")
        target = open_database(f"{plain.rpartition('/')[0]}/restored")
        try:
            assert target.restore(tmp_path / "backup") == contents
        finally:
            open_database(postgres_server).discard("restored")


class TestWhatIsSaid:
    def test_a_database_that_is_away_is_named_without_its_password(self) -> None:
        database = open_database("postgresql+psycopg://blog:hunter2@127.0.0.1:1/blog")
        with pytest.raises(
            Refused, match=r"postgresql://127.0.0.1:1/blog: PostgreSQL says: .*; see that it runs"
        ) as caught:
            database.columns()
        assert "hunter2" not in str(caught.value)

    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"nowhere.sqlite3: SQLite cannot use it \(unable to open database file\)"):
            open_database(f"sqlite:///{tmp_path}/nowhere.sqlite3").columns()
        assert list(tmp_path.iterdir()) == []

    def test_a_password_is_never_shown(self) -> None:
        assert without_password("postgresql://blog:hunter2@host/blog") == "postgresql://blog:***@host/blog"
        assert without_password("sqlite:////a/b") == "sqlite:////a/b"

    def test_another_kind_of_database_is_refused(self) -> None:
        with pytest.raises(UsageError, match="'mysql://host/blog' is no database; write sqlite:"):
            open_database("mysql://host/blog")

    def test_missing_programs_and_rights_are_told(self, postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = postgres_server.replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("DROP ROLE IF EXISTS narrow")
            connection.execute("CREATE ROLE narrow LOGIN")
        monkeypatch.setattr(postgres, "_program", lambda name: None)
        found = open_database(plain.replace("//postgres@", "//narrow@")).problems()
        assert [one.partition(" ")[0] for one in found] == ["pg_dump", "pg_restore", "the"]
        assert found[2].endswith("ALTER ROLE narrow CREATEDB")

    def test_programs_that_are_too_old_are_told(self, postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres, "_version", lambda path: 9)
        found = open_database(postgres_server).problems()
        assert "has version 9, the server" in found[0]


class TestDigests:
    def test_rows_count_in_any_order_and_as_often_as_they_stand_there(self) -> None:
        assert table_of([b"a", b"b", b"b"]) == table_of([b"b", b"a", b"b"])
        assert table_of([b"a", b"b", b"b"]) != table_of([b"a", b"b"])
        assert table_of([b"a", b"a"]) != table_of([b"b", b"b"])
        assert table_of([]) == Table(0, "0" * 64)

    @pytest.mark.parametrize("pair", [("1", "1.0"), ("1", "'1'"), ("'1'", "x'31'"), ("NULL", "''"), ("NULL", "'None'")])
    def test_values_of_different_types_are_different_rows(self, pair: tuple[str, str], tmp_path: Path) -> None:
        made = Kind(f"sqlite:///{tmp_path}/one.sqlite3", lambda: sqlite3.connect(tmp_path / "one.sqlite3"))
        made.execute("CREATE TABLE one (value)", f"INSERT INTO one VALUES ({pair[0]})")
        before = backed_up(made, tmp_path / "before")
        made.execute(f"UPDATE one SET value = {pair[1]}")
        assert list(differences(before, backed_up(made, tmp_path / "after"))) != []

    def test_a_count_that_differs_is_told(self) -> None:
        one = Contents("s", {"posts": Table(2, "a")})
        assert list(differences(one, replace(one, tables={"posts": Table(1, "b")}))) == [
            "table 'posts' has 1 rows, not 2"
        ]

    def test_names_are_quoted(self, tmp_path: Path) -> None:
        odd = Kind(f"sqlite:///{tmp_path}/odd.sqlite3", lambda: sqlite3.connect(tmp_path / "odd.sqlite3"))
        odd.execute('CREATE TABLE "a ""b" (id)', 'INSERT INTO "a ""b" VALUES (1)')
        assert backed_up(odd, tmp_path / "backup").tables['a "b'].rows == 1
        assert (tmp_path / "backup" / sqlite.COPY).stat().st_mode & 0o077 == 0, "for its owner alone"
