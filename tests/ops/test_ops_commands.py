"""The command line: statuses, what is printed, and backups that are taken and restored by it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from deployed_site import NEW, OLD, DeployedSite

MakeSite = Callable[..., DeployedSite]


class TestStatuses:
    def test_wrong_usage_is_told_in_one_line(self, make_site: MakeSite, tmp_path: Path) -> None:
        site = make_site()
        for arguments, said in (
            (("deploy", "9.9.9"), "'9.9.9' is not a release of"),
            (("rollback", "--to", "9.9.9"), "'9.9.9' is not a release of"),
            (("check",), "no release is current; say which one is to be checked"),
            (("restore", "none", "--into", f"sqlite:///{tmp_path}/x"), "'none' is not a backup of"),
        ):
            assert said in site.refused(*arguments, status=2)
        assert "there is no such file; make a site" in DeployedSite(tmp_path / "nowhere").refused("status", status=2)
        assert site.status()["change"] is None

    def test_init_needs_a_database_and_tells_a_setting_that_is_none(self, tmp_path: Path) -> None:
        site = DeployedSite(tmp_path / "site")
        assert "environment.BLOG_DATABASE_URL is not there" in site.refused("init", status=2)
        assert "'NAME' is no setting; write NAME=VALUE" in site.refused("init", "--env", "NAME", status=2)
        site.done("init", "--port", "0", "--env", f"BLOG_DATABASE_URL=sqlite:///{tmp_path}/blog.sqlite3")
        found = json.loads(site.run("status", "--json").stdout)
        assert found["problem"].startswith("nothing listens")
        assert not found["well"]

    def test_status_is_1_until_the_current_release_answers(self, serving: DeployedSite) -> None:
        shown = serving.run("status")
        assert shown.returncode == 0
        assert OLD in shown.stdout
        serving.done("stop")
        shown = serving.run("status")
        assert shown.returncode == 1
        assert "nothing listens" in shown.stdout

    def test_a_check_that_does_not_hold_is_status_1(self, make_site: MakeSite) -> None:
        site = make_site()
        assert site.done("check", NEW).count("ok") == 5
        (site.folder / "releases" / NEW / "app" / "views.py").unlink()
        done = site.run("check", NEW)
        assert done.returncode == 1
        assert "NOT OK  files:" in done.stdout

    def test_a_deployment_that_is_refused_leaves_no_trace(self, make_site: MakeSite) -> None:
        site = make_site()
        (site.folder / "releases" / NEW / "app" / "views.py").unlink()
        assert "nothing served before, and nothing serves" in site.refused("deploy", NEW)
        status = site.status()
        assert (status["change"], status["current"], status["running"], status["backups"]) == (None, None, (), ())
        assert "way back" in site.done("logs", "--lines", "2")

    def test_an_address_that_is_taken_is_told(self, make_site: MakeSite, serving: DeployedSite) -> None:
        other = make_site(port=int(serving.url.rpartition(":")[2]))
        said = other.refused("rollback", "--to", OLD)
        assert "cannot listen there" in said
        assert "end what listens there, or write another address" in said


class TestBackups:
    def test_a_backup_is_taken_restored_and_switched_to(self, make_site: MakeSite, tmp_path: Path) -> None:
        site = make_site()
        said = site.done("backup")
        assert "restored and compared: equal" in said
        [id] = site.status()["backups"]
        kept = site.folder / "backups" / id
        manifest = json.loads((kept / "manifest.json").read_text())
        assert manifest["contents"]["tables"]["steps"]["rows"] == 18
        assert (kept / "state" / "site.toml").read_text() == (site.folder / "site.toml").read_text()
        target = tmp_path / "restored.sqlite3"
        said = site.done("restore", id, "--into", f"sqlite:///{target}")
        assert "to switch: write BLOG_DATABASE_URL of this database into" in said
        with closing(sqlite3.connect(target)) as connection:
            assert connection.execute("SELECT count(*) FROM steps").fetchone() == (18,)
        assert "nothing is overwritten" in site.refused("restore", id, "--into", f"sqlite:///{target}")
        said = site.refused("restore", id, "--into", "postgresql://a@127.0.0.1/b", status=2)
        assert "name a database of the same kind" in said

    def test_a_backup_that_was_changed_since_is_not_restored_in_silence(
        self, make_site: MakeSite, tmp_path: Path
    ) -> None:
        site = make_site()
        site.done("backup")
        [id] = site.status()["backups"]
        with closing(sqlite3.connect(site.folder / "backups" / id / "database.sqlite3")) as connection:
            connection.execute("UPDATE posts SET title = 'another'")
            connection.commit()
        said = site.refused("restore", id, "--into", f"sqlite:///{tmp_path}/new.sqlite3")
        assert "does not hold what was backed up: table 'posts' has 2 rows in both, and they are not equal" in said


class TestPostgres:
    def test_a_release_is_deployed_over_it_and_a_backup_restored(
        self, make_site: MakeSite, postgres_server: str
    ) -> None:
        plain = postgres_server.replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS site")
            connection.execute("DROP DATABASE IF EXISTS second")
            connection.execute("CREATE DATABASE site")
        server = postgres_server.rpartition("/")[0]
        site = make_site(environment={"BLOG_DATABASE_URL": f"{server}/site", "BLOG_LLM_BASE_URL": "http://127.0.0.1:9"})
        site.done("migrate", OLD)
        site.killed("after:backup", "deploy", OLD)
        site.done("deploy", OLD)
        assert site.status()["well"]
        id = site.status()["backups"][-1]
        said = site.done("restore", id, "--into", f"{server}/second")
        assert "restored and compared: equal" in said
        with psycopg.connect(plain) as connection:
            names = {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database")}
        assert names == {"postgres", "template0", "template1", "site", "second"}, "no scratch database is left"

    @pytest.mark.exhaustive
    def test_a_scratch_database_of_a_killed_deployment_is_dropped(
        self, make_site: MakeSite, postgres_server: str
    ) -> None:
        plain = postgres_server.replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS site")
            connection.execute("CREATE DATABASE site")
        server = postgres_server.rpartition("/")[0]
        site = make_site(environment={"BLOG_DATABASE_URL": f"{server}/site"})
        site.done("migrate", OLD)
        site.killed("before:backup", "deploy", OLD)
        id = site.status()["change"]["id"]
        (site.folder / "backups" / f".{id}").mkdir()
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE ops_check_{id}")
        site.done("recover")
        with psycopg.connect(plain) as connection:
            assert not connection.execute("SELECT 1 FROM pg_database WHERE datname LIKE 'ops_check%'").fetchall()
        assert list((site.folder / "backups").iterdir()) == []
