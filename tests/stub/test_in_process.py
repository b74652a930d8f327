"""The stub behind the real ``requests``: recordings, misses and every fault as an application meets them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest
import requests

from gonogo.model import Json, Provenance, Recording, Reply, Request
from gonogo.recordings import RecordingSet
from gonogo.stub import LlmFault, Script, Stub
from gonogo.stub.faults import INTERNAL
from gonogo.stub.in_process import ModelClock, installed

URL = "http://127.0.0.1:11434/api/generate"
BODY: dict[str, Json] = {"model": "llama3.1:8b", "prompt": "Find facts.", "stream": False}
RECORDING = Recording(
    "facts/roads",
    "facts",
    ("roads",),
    Request("ollama", "/api/generate", BODY),
    Reply("Straight."),
    Provenance.CAPTURED,
    "2026-11-23",
)


@pytest.fixture
def stub() -> Stub:
    return Stub(RecordingSet.of([RECORDING]))


@pytest.fixture
def clock(stub: Stub) -> Iterator[ModelClock]:
    ticks = count(step=5)
    with installed(stub, lambda: next(ticks)) as clock:
        yield clock


def ask(**changes: Json) -> requests.Response:
    return requests.post(URL, json={**BODY, **changes}, timeout=5)


@pytest.mark.usefixtures("clock")
def test_a_recorded_request_is_answered(stub: Stub) -> None:
    answer = ask()
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["response"] == "Straight."
    assert [one.served for one in stub.journal] == ["facts/roads"]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "body", [json.dumps(BODY), json.dumps(BODY, indent=4).encode(), json.dumps(dict(reversed(BODY.items())))]
)
def test_the_form_in_which_a_body_is_sent_does_not_matter(body: str | bytes) -> None:
    assert requests.post(URL, data=body, timeout=5).json()["response"] == "Straight."


@pytest.mark.usefixtures("clock")
def test_a_session_and_a_stream_are_answered_too() -> None:
    with requests.Session() as session, session.post(URL, json=BODY, stream=True, timeout=5) as answer:
        assert json.loads(b"".join(answer.iter_lines()))["response"] == "Straight."


@pytest.mark.usefixtures("clock")
def test_a_miss_is_the_providers_error_and_stands_in_the_journal(stub: Stub) -> None:
    assert ask(prompt="Find ten facts.").status_code == 404
    assert stub.journal[0].served is None


@pytest.mark.usefixtures("clock")
def test_a_scripted_reply_is_answered(stub: Stub) -> None:
    stub.expect(script=Script(Reply("Scripted."), "llama3.1:8b", "Find ten facts."))
    assert ask(prompt="Find ten facts.").json()["response"] == "Scripted."


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (LlmFault.REFUSED, requests.exceptions.ConnectionError),
        (LlmFault.TIMEOUT, requests.exceptions.Timeout),
        (LlmFault.TRUNCATED, requests.exceptions.ChunkedEncodingError),
    ],
)
def test_a_fault_of_the_transport_is_the_error_that_requests_raises(
    stub: Stub, fault: LlmFault, error: type[Exception]
) -> None:
    stub.expect(fault=fault)
    with pytest.raises(error):
        ask()
    assert stub.journal[0].served == fault.value


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (LlmFault.BAD_REQUEST, 400),
        (LlmFault.UNAUTHORIZED, 401),
        (LlmFault.FORBIDDEN, 403),
        (LlmFault.NOT_FOUND, 404),
        (LlmFault.RATE_LIMITED, 429),
        (LlmFault.SERVER_ERROR, 500),
        (LlmFault.ERROR_WITH_200, 200),
    ],
)
def test_a_fault_of_the_server_is_its_status(stub: Stub, fault: LlmFault, status: int) -> None:
    stub.expect(fault=fault)
    answer = ask()
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
    assert "response" not in answer.json()
    assert INTERNAL in answer.text
    assert INTERNAL not in answer.json()["error"]
    assert (answer.headers.get("Retry-After") == "0") is (fault is LlmFault.RATE_LIMITED)


@pytest.mark.usefixtures("clock")
def test_malformed_json_is_no_json(stub: Stub) -> None:
    stub.expect(fault=LlmFault.MALFORMED_JSON)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        ask().json()


@pytest.mark.usefixtures("clock")
def test_an_empty_reply_is_whole_but_empty(stub: Stub) -> None:
    stub.expect(fault=LlmFault.EMPTY)
    assert ask().json()["response"] == ""


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("fault", "end"),
    [(LlmFault.CUT_OFF, {"done": True, "done_reason": "length"}), (LlmFault.UNFINISHED, {"done": False})],
)
def test_a_reply_that_is_not_whole_is_told_by_its_end_alone(stub: Stub, fault: LlmFault, end: dict[str, Json]) -> None:
    stub.expect(script=Script(Reply('["a", "whole", "list"]'), None), fault=fault)
    answer = ask().json()
    assert answer["response"] == '["a", "whole", "list"]'
    assert {key: value for key, value in answer.items() if key.startswith("done")} == end


@pytest.mark.usefixtures("clock")
def test_invalid_utf8_cannot_be_decoded(stub: Stub) -> None:
    stub.expect(fault=LlmFault.INVALID_UTF8)
    with pytest.raises(UnicodeDecodeError):
        ask().content.decode("utf-8")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("fault", list(LlmFault))
def test_every_fault_lasts_until_another_is_set(stub: Stub, fault: LlmFault) -> None:
    for _ in range(2):
        stub.expect(fault=fault)
        with suppress(requests.exceptions.RequestException):
            ask()
        stub.expect()
        assert ask().json()["response"] == "Straight."


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_call_to_anything_else_does_not_leave_the_process(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(
        requests.exceptions.ConnectionError,
        match=rf"{method} http://192\.0\.2\.1/collect is no request to a model that gonogo knows",
    ):
        requests.request(method, "http://192.0.2.1/collect", timeout=5)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("call", [("http://192.0.2.1/collect", b"{}"), (URL, b"not JSON")])
def test_a_call_that_is_no_request_to_a_model_cannot_be_swallowed(stub: Stub, call: tuple[str, bytes]) -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(call[0], data=call[1], timeout=5)
    assert any(one.served is None for one in stub.journal), "nothing remembers the call; an application can hide it"


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("base_url", "known"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://127.0.0.1:11434/", True),
        ("http://127.0.0.1:1143", False),
        ("http://127.0.0.2:11434", False),
        ("https://127.0.0.1:11434", False),
    ],
)
def test_a_request_is_one_to_the_model_where_the_application_was_told_that_it_is(
    stub: Stub, base_url: str, known: bool
) -> None:
    stub.base_url = base_url
    if known:
        assert ask().status_code == 200
    else:
        with pytest.raises(requests.exceptions.ConnectionError, match="no call leaves this process"):
            ask()
        assert stub.journal[-1].served is None


def test_the_clock_counts_the_time_spent_on_the_model(clock: ModelClock) -> None:
    ask()
    assert clock.waited_ns == 5
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get("http://192.0.2.1/", timeout=5)
    assert clock.waited_ns == 10


def test_the_real_transport_is_back_when_the_block_ends(stub: Stub) -> None:
    before = requests.adapters.HTTPAdapter.send
    with installed(stub):
        assert requests.adapters.HTTPAdapter.send is not before
    assert requests.adapters.HTTPAdapter.send is before
