"""The near side of a served stub."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from served_recordings import BODY, WHOLE, write_recordings

from gonogo.errors import TargetError
from gonogo.model import Reply
from gonogo.stub import FaultPlan, LlmFault, Script
from gonogo.stub.remote import RemoteStub, served_stub


def ask(url: str) -> requests.Response:
    return requests.post(f"{url}/api/generate", json=BODY, timeout=10)


def test_the_journal_begins_with_the_last_expect(url: str, remote: RemoteStub) -> None:
    ask(url)
    remote.expect(step="facts")
    before = remote.journal
    assert before == ()
    ask(url)
    assert [one.reply for one in remote.journal] == ["Straight and paved."]


def test_a_script_and_a_fault_are_set_together(url: str, remote: RemoteStub) -> None:
    remote.expect(script=Script(Reply("Scripted."), None), fault=FaultPlan(LlmFault.SERVER_ERROR, times=1))
    assert ask(url).status_code == 500
    assert ask(url).json()["response"] == "Scripted."
    remote.release()
    assert ask(url).json()["response"] == "Straight and paved."


def test_nothing_is_read_before_something_was_expected(url: str) -> None:
    with (
        RemoteStub(url, holder="early") as stub,
        pytest.raises(TargetError, match="has no journal of 'early'; call expect first"),
    ):
        _ = stub.journal


def test_who_waits_too_long_is_told_who_has_the_stub(url: str, remote: RemoteStub) -> None:
    with (
        RemoteStub(url, holder="another", patience=0.2) as stub,
        pytest.raises(TargetError, match=r"is taken: 'a test' has the stub for \d+ s more; wait; waited 0\.2 s"),
    ):
        stub.expect()


def test_who_waits_gets_it_when_the_other_one_is_ready(url: str, remote: RemoteStub) -> None:
    free = threading.Timer(0.3, remote.release)
    free.start()
    with RemoteStub(url, holder="another", patience=10) as stub:
        stub.expect()
        assert stub.journal == ()
    free.join()


def test_a_lease_that_has_ended_is_no_reason_to_trust_the_journal(url: str) -> None:
    with RemoteStub(url, holder="slow", ttl=0.01) as slow:
        slow.expect()
        with RemoteStub(url, holder="quick", patience=10) as quick:
            quick.expect()
            ask(url)
            with pytest.raises(TargetError, match="'slow' holds no lease any more, so others may have asked"):
                _ = slow.journal
            slow.release()
            assert len(quick.journal) == 1, "the release of one does not touch the other"


def test_what_was_lost_is_an_error(url: str, remote: RemoteStub) -> None:
    ask(url)
    requests.delete(f"{url}/_gonogo/journal", params={"holder": "a test"}, timeout=10)
    with pytest.raises(TargetError, match="has lost 1 exchanges; start it with a larger --journal-mib"):
        _ = remote.journal


def test_a_stub_that_is_not_there_is_told_with_its_url(tmp_path: Path) -> None:
    with served_stub([write_recordings(tmp_path / "r", WHOLE)]) as gone:
        assert ask(gone).status_code == 200
    with RemoteStub(gone, holder="late") as stub:
        said = re.escape(f"no stub answers at {gone} (ConnectionError); start one with gonogo stub serve")
        with pytest.raises(TargetError, match=said):
            stub.expect()


def test_what_ends_a_block_is_told_and_not_that_the_stub_has_gone(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "r", WHOLE)

    def judged() -> None:
        with ExitStack() as server, RemoteStub(server.enter_context(served_stub([folder])), holder="x") as remote:
            remote.expect()
            server.close()
            raise AssertionError("the finding")

    with pytest.raises(AssertionError, match="the finding"):
        judged()


@contextmanager
def something_else(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server asks for
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "no stub answers at"),
        (200, b"[]", "is no stub of gonogo"),
        (404, b"{}", "is no stub of gonogo"),
    ],
)
def test_what_is_no_stub_is_told_as_that(status: int, body: bytes, said: str) -> None:
    with (
        something_else(status, body) as url,
        RemoteStub(url, holder="x") as stub,
        pytest.raises(TargetError, match=said),
    ):
        stub.expect()


def test_a_stub_that_does_not_start_is_told_with_what_it_says(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"(?s)did not start: .*does not exist"), served_stub([tmp_path / "none"]):
        pass
