"""The way back: a command that is run once, and the look whether the previous release is in service again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from gonogo.contract import Call, Contract
from gonogo.errors import ProductFailure, TargetError
from gonogo.model import Case, Prompt
from gonogo.recovery import Previous, run_once, same_prompts, say_again
from gonogo.targets.adapter import Built
from gonogo.targets.sockets import SocketTransport
from gonogo.workbench import Target

CONTRACT = Contract({"version": Call("GET", "/version")}, health=("/healthz",), timeout=1.0)
CASES = (Case("one", "s", {"a": "1"}), Case("two", "s", {"a": "2"}))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_that_ends_well_is_said_with_its_status(tmp_path: Path) -> None:
    status, finding = run_once(python("print('back')"), tmp_path / "log", cwd=tmp_path, patience=20)
    assert (status, finding.ok) == (0, True)
    assert (tmp_path / "log").read_text() == "back\n"


def test_a_command_that_fails_is_said_with_its_last_line(tmp_path: Path) -> None:
    code = "import sys; print('first'); sys.exit('no such release')"
    status, finding = run_once(python(code), tmp_path / "log", cwd=tmp_path, patience=20)
    assert (status, finding.ok) == (1, False)
    assert finding.reason.endswith("ended with status 1: no such release")


def test_a_command_that_is_none_is_said(tmp_path: Path) -> None:
    status, finding = run_once(["no-such-command-here"], tmp_path / "log", cwd=tmp_path, patience=20)
    assert (status, finding.ok) == (None, False)
    assert "'no-such-command-here' cannot be run" in finding.reason


def test_a_command_that_hangs_is_stopped(tmp_path: Path) -> None:
    status, finding = run_once(python("input()"), tmp_path / "log", cwd=tmp_path, patience=20)
    assert status == 1, "nothing to read is no reason to wait"
    status, finding = run_once(python("import time; time.sleep(60)"), tmp_path / "log", cwd=tmp_path, patience=0.3)
    assert (status, finding.ok) == (None, False)
    assert "did not end within 0.3 s" in finding.reason


@contextmanager
def service(versions: Iterator[str], health: int = 200) -> Iterator[str]:
    """A service whose answers come of these releases, one after the other."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = (200, b'{"version": "%s"}' % next(versions).encode())
            if self.path == "/healthz":
                status, body = health, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def always(version: str) -> Iterator[str]:
    while True:
        yield version


def alternately(*versions: str) -> Iterator[str]:
    while True:
        yield from versions


def said(url: str, patience: float) -> tuple[float | None, bool, str]:
    seconds, finding = say_again(lambda: SocketTransport(url, CONTRACT, {}), CONTRACT, "1.9.0", patience=patience)
    return seconds, finding.ok, finding.reason


def test_the_previous_release_answers_ten_times_in_a_row() -> None:
    with service(always("1.9.0")) as url:
        seconds, ok, reason = said(url, 20)
    assert ok
    assert seconds is not None
    assert "release 1.9.0 answers, 10 times in a row" in reason


@pytest.mark.parametrize(
    ("versions", "health", "told"),
    [
        (always("2.0.0"), 200, "2.0.0 answers"),
        (alternately("1.9.0", "1.9.0", "2.0.0", "2.0.0"), 200, "not release 1.9.0"),
        (always("1.9.0"), 503, "/healthz with 503"),
    ],
    ids=["another release", "two releases in turn", "not well"],
)
def test_anything_else_is_no_way_back(versions: Iterator[str], health: int, told: str) -> None:
    with service(versions, health) as url:
        seconds, ok, reason = said(url, 1.5)
    assert (seconds, ok) == (None, False)
    assert told in reason


def test_nobody_who_answers_is_no_way_back() -> None:
    with service(always("1.9.0")) as url:
        pass
    seconds, ok, reason = said(url, 0.3)
    assert (seconds, ok) == (None, False)
    assert "nothing answers, not release 1.9.0" in reason


class _Live:
    """A service that shows these prompts; an exception is raised."""

    def __init__(self, *shown: str | Exception) -> None:
        self._shown = dict(zip((case.path for case in CASES), shown, strict=True))

    def construct(self, case: Case) -> Built:
        shown = self._shown[case.path]
        if isinstance(shown, Exception):
            raise shown
        return Built(Prompt.of(shown))


def compared(*shown: str | Exception) -> tuple[bool, str]:
    prompts = {case.path: Prompt.of(f"prompt {case.id}").transcript for case in CASES}
    finding = same_prompts(cast(Target, _Live(*shown)), Previous("1.9.0", prompts, CASES))
    return finding.ok, finding.reason


def test_prompts_that_are_the_previous_releases_are_counted() -> None:
    assert compared("prompt one", "prompt two") == (True, "2 of 2 prompts are those of the previous release")


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ("prompt 2", "1 of 2 prompts are not the previous release's"),
        (ProductFailure("it raised"), "it raised"),
        (TargetError("no answer"), "the prompts could not be compared: no answer"),
    ],
    ids=["another prompt", "none", "no service"],
)
def test_a_prompt_that_is_another_or_none_is_no_way_back(second: str | Exception, told: str) -> None:
    ok, reason = compared("prompt one", second)
    assert not ok
    assert told in reason


def test_without_cases_nothing_is_compared() -> None:
    assert not same_prompts(cast(Target, _Live("a", "b")), Previous("1.9.0", {}, ())).ok
