"""``gonogo stub serve`` as a process: its first line, its options, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner
from served_recordings import BODY, CHAT, STREAM, WHOLE, write_recordings

from gonogo.cli import main
from gonogo.model import Reply

if TYPE_CHECKING:
    from _typeshed import StrPath

FIRST_LINE = re.compile(r"gonogo stub: (\d+) recordings on (http://127\.0\.0\.1:\d+)\n")
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def served(
    *arguments: StrPath, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """A stub as somebody starts it, and its first line; what is left of it is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "gonogo", "stub", "serve", "--port", "0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            first = FIRST_LINE.fullmatch(line)
            assert first is not None, line
            yield process, first
        finally:
            process.kill()


def refused(*arguments: StrPath) -> str:
    """What the command says when it does not start."""
    result = CliRunner().invoke(main, ["stub", "serve", *map(str, arguments)])
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "2.0.0", WHOLE, STREAM)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_requests_in_flight(folder: Path, end: signal.Signals) -> None:
    with served(folder, "--pace", "0.5") as (process, first), requests.Session() as session:
        url = first[2]
        with session.post(f"{url}/api/chat", json=CHAT, stream=True, timeout=10) as answer:
            process.send_signal(end)
            assert len(list(answer.iter_lines())) == 3, "the stream comes to its end"
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(url, timeout=5)


def test_a_request_that_hangs_keeps_nobody_from_ending_it(folder: Path) -> None:
    with served(folder) as (process, first):
        headers = {"x-gonogo-fault": "timeout"}
        failed: list[Exception] = []

        def hang() -> None:
            try:
                requests.post(f"{first[2]}/api/generate", json=BODY, headers=headers, timeout=30)
            except requests.exceptions.ConnectionError as error:
                failed.append(error)

        client = threading.Thread(target=hang)
        client.start()
        while requests.get(f"{first[2]}/_gonogo/counters", timeout=10).json()["requests"] == 0:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(5) == 0
        client.join()
        assert len(failed) == 1


def test_the_candidates_recordings_of_the_project_are_served(tmp_path: Path) -> None:
    with served(cwd=ROOT) as (_, first):
        assert first[1] == "115"


def test_where_there_is_no_project_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "conftest.py: no such file; run the command in the folder of a project's conftest.py" in refused()


def test_of_the_same_request_in_two_folders_the_first_answers_and_that_is_said(folder: Path, tmp_path: Path) -> None:
    other = write_recordings(tmp_path / "1.9.0", replace(WHOLE, id="facts/old", reply=Reply("Old.")))
    with served(folder, other) as (process, first):
        assert first[1] == "2"
        answer = requests.post(f"{first[2]}/api/generate", json=BODY, timeout=10)
        assert answer.json()["response"] == "Straight and paved."
        process.terminate()
        assert process.stderr is not None
        said = "1 not served, as an earlier folder has recordings of the same requests: facts/old"
        assert process.stderr.read() == f"gonogo stub: {other}: {said}\n"


def test_recordings_that_change_are_served_and_broken_ones_are_told(folder: Path) -> None:
    def wait_for(status: str, recordings: int) -> dict[str, object]:
        for _ in range(100):
            told: dict[str, object] = requests.get(f"{url}/_gonogo/health", timeout=10).json()
            if (told["status"], told["recordings"]) == (status, recordings):
                return told
            time.sleep(0.1)
        raise AssertionError(told)

    with served(folder) as (process, first):
        url = first[2]
        write_recordings(folder, WHOLE)
        wait_for("ok", 1)
        (folder / "facts.yaml").write_text("step: [")
        assert "facts.yaml" in str(wait_for("stale recordings", 1)["problem"])
        assert requests.post(f"{url}/api/generate", json=BODY, timeout=10).status_code == 200
        write_recordings(folder, WHOLE, STREAM)
        assert "problem" not in wait_for("ok", 2)
        process.terminate()
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
        assert said[0] == "gonogo stub: 1 recordings, loaded anew"
        assert said[1].endswith("; what was loaded before is served")
        assert said[2] == "gonogo stub: 2 recordings, loaded anew"


def test_recordings_that_are_broken_from_the_start_are_not_served(folder: Path) -> None:
    (folder / "facts.yaml").write_text("step: [")
    assert "facts.yaml" in refused(folder, "--port", "0")


def test_a_port_in_use_is_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(folder, "--port", str(port))
    assert said == f"gonogo: 127.0.0.1:{port} is in use; choose another with --port, 0 takes a free one\n"


def test_an_address_that_is_none_of_this_machine_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_TOKEN", "secret")
    said = refused(folder, "--host", "192.0.2.7", "--token-env", "STUB_TOKEN")
    assert said.startswith("gonogo: 192.0.2.7:11434 cannot be listened on (")
    assert "secret" not in said


class TestTheToken:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "stub.example"])
    def test_it_is_not_open_to_others_without_one(self, folder: Path, host: str) -> None:
        said = refused(folder, "--host", host)
        assert said.startswith(
            f"gonogo: the stub would be open to others on {host}; keep 127.0.0.1, or put a token into"
        )

    @pytest.mark.parametrize("value", [None, ""])
    def test_a_variable_that_holds_none_is_told(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        monkeypatch.delenv("STUB_TOKEN", raising=False)
        if value is not None:
            monkeypatch.setenv("STUB_TOKEN", value)
        said = refused(folder, "--host", "0.0.0.0", "--token-env", "STUB_TOKEN")
        assert "--token-env STUB_TOKEN: the environment variable STUB_TOKEN is not set or empty" in said

    def test_only_the_control_api_asks_for_it_and_nothing_prints_it(self, folder: Path) -> None:
        token = {"STUB_TOKEN": "a-long-secret"}
        with served(folder, "--token-env", "STUB_TOKEN", environment=token) as (process, first):
            url = first[2]
            assert requests.post(f"{url}/api/generate", json=BODY, timeout=10).status_code == 200
            assert requests.get(f"{url}/_gonogo/health", timeout=10).status_code == 401
            headers = {"Authorization": "Bearer a-long-secret"}
            assert requests.get(f"{url}/_gonogo/health", headers=headers, timeout=10).status_code == 200
            process.terminate()
            assert process.stdout is not None
            assert process.stderr is not None
            assert "a-long-secret" not in first.string + process.stdout.read() + process.stderr.read()


@pytest.mark.parametrize("pace", ["0", "-1", "slow", "nan", "inf"])
def test_what_is_no_pace_is_refused_with_those_that_are(folder: Path, pace: str) -> None:
    assert "is no pace; write fast, recorded, or a factor such as 2 (twice as fast)" in refused(
        folder, f"--pace={pace}"
    )


def test_a_larger_body_than_was_asked_for_is_refused(folder: Path) -> None:
    with served(folder, "--max-body", "1") as (_, first):
        body = {**BODY, "prompt": "x" * 1024 * 1024}
        assert requests.post(f"{first[2]}/api/generate", json=body, timeout=10).status_code == 413


PARENT = """
import sys, time
from pathlib import Path
from gonogo.stub.remote import served_stub

with served_stub([Path(sys.argv[1])]) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def test_a_parent_that_is_killed_leaves_no_stub(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, folder], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert requests.get(url, timeout=10).status_code == 200
        parent.kill()
    for _ in range(100):
        try:
            requests.get(url, timeout=10)
        except requests.exceptions.ConnectionError:
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} still answers")
