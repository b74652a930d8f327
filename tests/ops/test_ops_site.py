"""site.toml, the journal, processes and logs: what the deployer stands on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ops.errors import Refused, UsageError
from ops.files import link_target, replace_link, write_whole
from ops.journal import Change, Journal, State, locked, read_state
from ops.processes import Process, this_process
from ops.reasons import reason_in
from ops.site import Settings, Site, create_site, open_site, read_settings

DATABASE = {"BLOG_DATABASE_URL": "sqlite:////tmp/blog.sqlite3"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return create_site(tmp_path / "site", {"environment": DATABASE})


class TestSettings:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        values = {"environment": {**DATABASE, "BLOG_LLM_MODEL": 'a "quoted" \\ ö'}, "port": 8000, "workers": 3}
        made = create_site(tmp_path / "site", values)
        assert open_site(tmp_path / "site").settings == made.settings
        assert made.settings.port == 8000
        assert (tmp_path / "site" / "site.toml").stat().st_mode & 0o077 == 0, "it may hold a password"

    def test_a_site_is_not_made_twice(self, site: Site) -> None:
        with pytest.raises(UsageError, match="this site is there already"):
            create_site(site.folder, {"environment": DATABASE})

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("prot = 1", "prot = 1 is not a setting; did you mean 'port'?"),
            ("unheard_of = 1", "unheard_of = 1 is not a setting; known are "),
            ("port = 70000", "port = 70000 is not a port; write 0 (any) to 65535"),
            ("port = true", "port = True is not a port"),
            ("host = ''", "host = '' is not an address; write one such as '127.0.0.1'"),
            ("python = 'python3'", "python = 'python3' is not a program; write the absolute path"),
            ("workers = 0", "workers = 0 is not a count; write 1 to 256"),
            ("free_mib = -1", "free_mib = -1 is not a number of MiB"),
            ("folders = []", "folders = [] is not a list of names"),
            ("folders = ['../up']", "leads out of the tree; write paths below it"),
            ("drain_seconds = nan", "drain_seconds = nan is not a time; write seconds above 0"),
            ("ready_seconds = 0", "ready_seconds = 0 is not a time"),
            ("environment = {A = 1}", "environment = {'A': 1} is not a table of texts"),
            ("environment = {}", "environment.BLOG_DATABASE_URL is not there"),
            ("environment = {BLOG_DATABASE_URL = 'sqlite:///blog.sqlite3'}", "names no database that releases share"),
            ("port = ", "cannot be read as TOML"),
        ],
    )
    def test_a_mistake_is_told_with_its_place_and_its_remedy(self, line: str, said: str, tmp_path: Path) -> None:
        path = tmp_path / "site.toml"
        path.write_text(line + "\n")
        with pytest.raises(UsageError) as caught:
            read_settings(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert said in str(caught.value)

    def test_a_folder_that_is_no_site_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"site\.toml: there is no such file; make a site"):
            open_site(tmp_path)

    def test_every_setting_has_a_default(self) -> None:
        assert Settings().port == 0


class TestFiles:
    def test_a_file_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        write_whole(path, "one")
        write_whole(path, "two")
        assert path.read_text() == "two"
        assert [one.name for one in tmp_path.iterdir()] == ["state.json"]

    def test_a_link_is_replaced_by_a_relative_one_and_removed(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        link = tmp_path / "current"
        assert link_target(link) is None
        replace_link(link, tmp_path / "b")
        replace_link(link, tmp_path / "a")
        assert os.readlink(link) == "a"
        assert link_target(link) == tmp_path / "a"
        replace_link(link, None)
        replace_link(link, None)
        assert not link.is_symlink()


CHANGE = Change("1", "deploy", "begun", "2.0.0", "1.9.0", "000001-1.9.0", None)


class TestJournal:
    def test_what_was_noted_is_there_for_the_next_call(self, site: Site) -> None:
        assert read_state(site) == State()
        journal = Journal(site)
        journal.begin(CHANGE)
        journal.note(step="trial", trial="000002-2.0.0")
        assert read_state(site).change == replace(CHANGE, step="trial", trial="000002-2.0.0")
        journal.finish("000003-2.0.0", "running")
        assert read_state(site) == State("running", "000003-2.0.0")

    def test_steps_have_an_order(self) -> None:
        assert not replace(CHANGE, step="ready").has_reached("hand-over")
        assert replace(CHANGE, step="drain").has_reached("hand-over")
        assert not CHANGE.has_reached("check")

    def test_a_step_is_noted_before_it_is_done_and_told_twice(
        self, site: Site, capsys: pytest.CaptureFixture[str]
    ) -> None:
        points: list[str] = []
        journal = Journal(site, points.append)
        journal.begin(CHANGE)
        with journal.step("check", "everything") as details:
            assert read_state(site).change == replace(CHANGE, step="check")
            details.append("all well")
        told = [json.loads(line) for line in site.steps.read_text().splitlines()]
        assert [(one["step"], one["outcome"], one["detail"]) for one in told] == [
            ("check", "started", ""),
            ("check", "done", "all well"),
        ]
        assert told[1]["seconds"] >= 0
        assert {"time", "change", "kind", "what"} <= told[0].keys()
        assert capsys.readouterr().err.startswith("check: everything ...\ncheck: done (")
        assert points == ["before:check", "after:check"]

    def test_an_error_of_the_operating_system_fails_the_step(self, site: Site) -> None:
        journal = Journal(site)
        journal.begin(CHANGE)
        with pytest.raises(Refused, match="backup: no room; see to it and call again"), journal.step("backup", "it"):
            raise OSError("no room")
        assert json.loads(site.steps.read_text().splitlines()[-1])["outcome"] == "failed"

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"wanted": 1, "serving": null, "change": {"id": 1}}'])
    def test_a_damaged_state_is_told(self, text: str, site: Site) -> None:
        site.state.write_text(text)
        with pytest.raises(UsageError, match=r"state\.json: damaged"):
            read_state(site)

    def test_one_call_at_a_time(self, site: Site) -> None:
        with locked(site), pytest.raises(Refused, match=f"process {os.getpid()} is changing this site"), locked(site):
            pass
        with locked(site):
            pass


@contextmanager
def leader(script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that leads a session, and has said that it is there."""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


WAITS = "import time; print('there', flush=True); time.sleep(60)"
HAS_A_CHILD = "import os, time; os.fork() or time.sleep(60); print('there', flush=True); time.sleep(60)"


class TestProcesses:
    def test_a_process_is_known_by_more_than_its_number(self) -> None:
        own = this_process()
        assert own.alive
        assert Process.read(asdict(own)) == own
        assert not replace(own, started=own.started - 1).alive, "the number belongs to another one by now"
        assert not replace(own, boot="of an earlier start of the machine").alive
        replace(own, started=own.started - 1).send(signal.SIGKILL)  # nobody is hit

    def test_one_that_ended_is_not_alive_though_nobody_waited_for_it(self) -> None:
        with leader(WAITS) as popen:
            process = Process.of(popen.pid)
            assert process is not None
            assert not process.wait(0)
            process.send(signal.SIGKILL)
            assert process.wait(10)
            assert not process.alive
        assert Process.of(popen.pid) is None
        assert process.wait(0)

    def test_whoever_is_left_of_a_session_is_found_and_ended(self) -> None:
        with leader(HAS_A_CHILD) as popen:
            process = Process.of(popen.pid)
            assert process is not None
            [child] = process.session()
            popen.kill()
            popen.wait()
            assert list(process.session()) == [child], "its leader has ended"
            process.kill_session()
            assert not child.alive


class TestReasons:
    def test_an_exception_in_a_line_of_json_is_told_with_its_place(self) -> None:
        exception = {"type": "NameError", "frames": ["gunicorn/util.py:1 import_app", "app/wsgi.py:12 <module>"]}
        lines = [
            json.dumps({"message": "Exception", "exception": exception}),
            json.dumps({"message": "Worker failed to boot."}),
        ]
        assert reason_in("\n".join(lines)) == "NameError at app/wsgi.py:12 <module>"

    def test_a_traceback_is_told_by_its_last_line(self) -> None:
        log = 'Traceback (most recent call last):\n  File "x"\nimportlib.x.SomeError: why\n[1] [ERROR] Worker failed to boot.\n'
        assert reason_in(log) == "importlib.x.SomeError: why"

    def test_without_an_exception_the_last_lines_are_told(self) -> None:
        assert reason_in('one\n{"message": "two"}\n[3]\nfour') == "two | [3] | four"
        assert reason_in("") == "its log is empty"
