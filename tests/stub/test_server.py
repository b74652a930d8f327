"""The stub on the wire: the same answers as in process, streams, faults as a client meets them, and calls that are none."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from served_recordings import BODY, CHAT, LINES, RECORDINGS, STREAM, WHOLE, write_recordings
from starlette.types import Message

from gonogo.model import Request
from gonogo.recordings import RecordingSet, load_recordings
from gonogo.stub import FaultPlan, LlmFault, Stub
from gonogo.stub.faults import INTERNAL, OVERSIZE
from gonogo.stub.in_process import installed
from gonogo.stub.lease import Lease
from gonogo.stub.protocols import Parsed, parse_reply
from gonogo.stub.remote import RemoteStub, served_stub
from gonogo.stub.server import KnownRequests, StubApplication

NOTHING = RecordingSet.of(())
FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "recordings"


def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> requests.Response:
    return requests.post(f"{url}/api/generate", json=BODY if body is None else body, headers=headers, timeout=10)


def told(session: requests.Session, url: str, request: Request) -> tuple[int, str, Parsed]:
    answer = session.post(f"{url}{request.operation}", json=dict(request.body), timeout=10)
    parsed = parse_reply(request, answer.content, answer.status_code)
    return answer.status_code, answer.headers["Content-Type"], parsed


@pytest.mark.parametrize("release", ["1.9.0", "2.0.0"])
def test_every_bundled_recording_is_told_alike_in_both_transports(release: str) -> None:
    recordings = load_recordings(FIXTURES / release)
    assert len(recordings.recordings) == 115
    with installed(Stub(recordings)), requests.Session() as session:
        in_process = [told(session, "http://127.0.0.1:11434", one.request) for one in recordings.recordings]
    with served_stub([FIXTURES / release]) as url, requests.Session() as session:
        on_the_wire = [told(session, url, one.request) for one in recordings.recordings]
    assert on_the_wire == in_process
    assert [parsed.text for _, _, parsed in on_the_wire] == [one.reply.text for one in recordings.recordings]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda one: one.id)
def test_streams_and_other_providers_are_told_alike_too(url: str, recording: Any) -> None:
    with installed(Stub(RecordingSet.of(RECORDINGS))), requests.Session() as session:
        in_process = told(session, "http://127.0.0.1:11434", recording.request)
    with requests.Session() as session:
        assert told(session, url, recording.request) == in_process
    assert in_process[2].text == recording.reply.text


@pytest.mark.parametrize("body", [json.dumps(BODY, indent=4), json.dumps(dict(reversed(BODY.items())))])
def test_the_form_in_which_a_body_is_sent_does_not_matter(url: str, remote: RemoteStub, body: str) -> None:
    for _ in range(2):
        answer = requests.post(f"{url}/api/generate?x=1", data=body.encode(), timeout=10)
        assert answer.json()["response"] == "Straight and paved."
    assert [one.served for one in remote.journal] == ["facts/roads"] * 2


def test_a_stream_comes_in_the_frames_that_were_recorded(url: str) -> None:
    with requests.post(f"{url}/api/chat", json=CHAT, stream=True, timeout=10) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert tuple(answer.iter_content(None)) == LINES


@pytest.mark.parametrize(("pace", "seconds"), [("recorded", 0.6), ("2", 0.3)])
def test_recorded_replies_come_at_the_pace_that_was_asked_for(tmp_path: Path, pace: str, seconds: float) -> None:
    with served_stub([write_recordings(tmp_path / "r", STREAM)], pace=pace) as url, requests.Session() as session:
        begin = time.monotonic()
        with session.post(f"{url}/api/chat", json=CHAT, stream=True, timeout=10) as answer:
            came = [(line, time.monotonic() - begin) for line in answer.iter_content(None)]
    assert tuple(line for line, _ in came) == LINES
    assert came[-1][1] >= seconds
    assert came[0][1] < came[-1][1] - seconds / 3, "the frames come one after the other"


def test_a_miss_is_the_providers_error_and_no_retry_hides_it(url: str, remote: RemoteStub) -> None:
    for _ in range(2):
        answer = ask(url, {**BODY, "prompt": "Find ten facts.\nAbout roads."})
        assert answer.status_code == 404
        assert answer.headers["X-Gonogo-Miss"] == "facts/roads"
        assert answer.json()["error"].startswith("gonogo has no recording for this request; nearest is facts/roads")
    assert ask(url).status_code == 200
    assert [one.served for one in remote.journal] == [None, None, "facts/roads"]
    assert "-  Find facts.\n+  Find ten facts." in remote.journal[1].miss


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (LlmFault.REFUSED, requests.exceptions.ConnectionError),
            (LlmFault.RESET, requests.exceptions.ConnectionError),
            (LlmFault.TRUNCATED, requests.exceptions.ChunkedEncodingError),
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_the_connection_breaks(
        self, url: str, remote: RemoteStub, fault: LlmFault, error: type[Exception], stream: bool
    ) -> None:
        remote.expect(fault=fault)
        with pytest.raises(error) as caught:
            ask(url, {**BODY, "stream": stream})
        assert ("Connection reset by peer" in str(caught.value)) is (fault is LlmFault.RESET)
        assert remote.journal[0].served == fault.value

    def test_no_answer_comes_before_the_client_gives_up(self, url: str, remote: RemoteStub) -> None:
        remote.expect(fault=LlmFault.TIMEOUT)
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.post(f"{url}/api/generate", json=BODY, timeout=0.3)
        assert remote.journal[0].served == "timeout"

    def test_a_connection_that_hangs_is_closed_in_the_end(self, url: str, remote: RemoteStub) -> None:
        remote.expect(fault=FaultPlan(LlmFault.TIMEOUT, hang=0.2))
        with pytest.raises(requests.exceptions.ConnectionError, match="without response"):
            ask(url)

    @pytest.mark.parametrize(
        "fault",
        [
            LlmFault.BAD_REQUEST,
            LlmFault.UNAUTHORIZED,
            LlmFault.FORBIDDEN,
            LlmFault.NOT_FOUND,
            LlmFault.RATE_LIMITED,
            LlmFault.SERVER_ERROR,
            LlmFault.UNAVAILABLE,
            LlmFault.ERROR_WITH_200,
        ],
    )
    def test_the_server_says_what_is_wrong(self, url: str, remote: RemoteStub, fault: LlmFault) -> None:
        remote.expect(fault=FaultPlan(fault, retry_after=3))
        answer = ask(url)
        assert answer.status_code == (200 if fault is LlmFault.ERROR_WITH_200 else int(fault.value))
        assert "response" not in answer.json()
        assert answer.json()["error"]
        assert INTERNAL in answer.text
        limited = fault in (LlmFault.RATE_LIMITED, LlmFault.UNAVAILABLE)
        assert answer.headers.get("Retry-After") == ("3" if limited else None)

    @pytest.mark.parametrize(
        ("fault", "holds"),
        [
            (LlmFault.MALFORMED_JSON, lambda body: body.startswith(b'{"model"=')),
            (LlmFault.INVALID_UTF8, lambda body: b"\xff\xfe" in body),
            (LlmFault.EMPTY, lambda body: json.loads(body)["response"] == ""),
            (LlmFault.EMPTY_BODY, lambda body: body == b""),
            (LlmFault.OVERSIZED, lambda body: len(json.loads(body)["response"]) == OVERSIZE),
            (LlmFault.CUT_OFF, lambda body: json.loads(body)["done_reason"] == "length"),
            (LlmFault.UNFINISHED, lambda body: json.loads(body)["done"] is False),
        ],
    )
    def test_the_body_is_not_what_it_should_be(
        self, url: str, remote: RemoteStub, fault: LlmFault, holds: Callable[[bytes], bool]
    ) -> None:
        assert not holds(ask(url).content)
        remote.expect(fault=fault)
        answer = ask(url)
        assert answer.status_code == 200
        assert holds(answer.content)

    def test_the_first_token_is_late(self, url: str, remote: RemoteStub) -> None:
        remote.expect(fault=FaultPlan(LlmFault.SLOW_FIRST, delay=0.4))
        begin = time.monotonic()
        with requests.post(f"{url}/api/chat", json=CHAT, stream=True, timeout=10) as answer:
            assert time.monotonic() - begin >= 0.4
            assert b"".join(answer.iter_content(None)) == b"".join(LINES)
        assert [one.served for one in remote.journal] == ["facts/stream"]

    def test_all_tokens_are_slow(self, url: str, remote: RemoteStub) -> None:
        remote.expect(fault=FaultPlan(LlmFault.SLOW_TOKENS, delay=0.6))
        begin = time.monotonic()
        with requests.post(f"{url}/api/chat", json=CHAT, stream=True, timeout=10) as answer:
            came = [time.monotonic() - begin for _ in answer.iter_content(None)]
        assert len(came) == 3
        assert came[-1] >= 0.6
        assert came[-1] - came[0] > 0.2, "they come one after the other"

    def test_every_fault_is_seen_by_one_of_these_tests_or_stands_in_the_journal(
        self, url: str, remote: RemoteStub
    ) -> None:
        for fault in LlmFault:
            remote.expect(fault=FaultPlan(fault, hang=0.01, times=1))
            with suppress(requests.exceptions.RequestException):
                ask(url)
            expected = "facts/roads" if fault.only_delays else fault.value
            assert [one.served for one in remote.journal] == [expected]
            assert ask(url).json()["response"] == "Straight and paved.", "the plan is over"

    def test_a_plan_strikes_the_same_requests_in_both_transports(self, url: str, remote: RemoteStub) -> None:
        plan = FaultPlan(LlmFault.SERVER_ERROR, rate=0.3, seed=5, times=7)

        def struck(session: requests.Session, base: str) -> list[bool]:
            return [session.post(f"{base}/api/generate", json=BODY, timeout=10).status_code == 500 for _ in range(60)]

        stub = Stub(RecordingSet.of([WHOLE]))
        stub.expect(fault=plan)
        with installed(stub), requests.Session() as session:
            in_process = struck(session, "http://127.0.0.1:11434")
        remote.expect(fault=plan)
        with requests.Session() as session:
            assert struck(session, url) == in_process
        assert sum(in_process) == 7

    def test_a_header_asks_for_a_fault_of_one_request(self, url: str, remote: RemoteStub) -> None:
        answers = [ask(url, headers=headers) for headers in (None, {"x-gonogo-fault": "429"}, None)]
        assert [one.status_code for one in answers] == [200, 429, 200]
        with pytest.raises(requests.exceptions.ConnectionError):
            ask(url, headers={"X-Gonogo-Fault": "connection reset"})
        served = [one.served for one in remote.journal]
        assert served == ["facts/roads", "429", "facts/roads", "connection reset"]

    def test_a_header_that_names_no_fault_is_refused_with_those_that_are(self, url: str, remote: RemoteStub) -> None:
        answer = ask(url, headers={"x-gonogo-fault": "501"})
        assert answer.status_code == 400
        assert "x-gonogo-fault: '501' is no fault; write one of 'connection refused', " in answer.json()["error"]
        assert remote.journal[0].served is None


class TestOtherCalls:
    @pytest.mark.parametrize(
        ("path", "body", "status", "said"),
        [
            ("/api/generate", b"", 400, "the body is no JSON object; send one in UTF-8"),
            ("/api/generate", b"[1]", 400, "the body is no JSON object"),
            ("/api/generate", b'{"model": "\xff"}', 400, "the body is no JSON object"),
            ("/api/generate", b'{"model": 1e999}', 400, "the body is no JSON object"),
            ("/api/generate", b'{"model": ' + b"[" * 101 + b"]" * 101 + b"}", 400, "the body is no JSON object"),
            ("/api/chat", b'{"messages": 3}', 400, "the body is not formed as /api/chat asks"),
            ("/api/generate", b"x" * (8 * 1024 * 1024 + 1), 413, "the body is larger than 8388608 bytes; send less"),
            ("/api/embed", b"{}", 404, "POST /api/embed is not served; served are POST /api/generate, "),
            ("//[", b"{}", 404, "POST //[ is not served"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_a_call_that_cannot_be_answered_is_refused_and_cannot_be_hidden(
        self, url: str, remote: RemoteStub, path: str, body: bytes, status: int, said: str
    ) -> None:
        answer = raw_post(url, path, body)
        assert answer.split(b" ", 2)[1] == str(status).encode()
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith(said)
        assert [one.served for one in remote.journal] == [None]
        assert said[:20] in remote.journal[0].miss

    def test_an_error_has_the_providers_form(self, url: str) -> None:
        answer = requests.post(f"{url}/v1/chat/completions", data=b"no JSON", timeout=10)
        assert answer.json()["error"]["type"] == "invalid_request_error"

    def test_a_body_in_pieces_is_one_body(self, url: str) -> None:
        sent = json.dumps(BODY).encode()
        answer = requests.post(f"{url}/api/generate", data=iter([sent[:9], sent[9:]]), timeout=10)
        assert answer.json()["response"] == "Straight and paved."

    def test_headers_without_end_are_refused(self, url: str) -> None:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
            connection.sendall(b"POST /api/generate HTTP/1.1\r\n")
            answer = b""
            with suppress(ConnectionError):
                for _ in range(100):
                    connection.sendall(b"x-more: " + b"y" * 8000 + b"\r\n")
                    time.sleep(0.001)
            with suppress(ConnectionError):
                answer = connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 400") or answer == b""

    @pytest.mark.parametrize(
        ("method", "path", "holds"),
        [
            ("GET", "/api/tags", lambda told: [one["name"] for one in told["models"]] == ["llama3.1:8b"]),
            ("GET", "/v1/models", lambda told: [one["id"] for one in told["data"]] == ["llama3.1:8b"]),
            ("GET", "/api/version", lambda told: "version" in told),
            ("GET", "/api/ps", lambda told: told == {"models": []}),
            ("POST", "/api/show", lambda told: "completion" in told["capabilities"]),
        ],
    )
    def test_what_clients_ask_beside_is_answered(
        self, url: str, remote: RemoteStub, method: str, path: str, holds: Callable[[Any], bool]
    ) -> None:
        answer = requests.request(method, f"{url}{path}", json={} if method == "POST" else None, timeout=10)
        assert answer.status_code == 200
        assert holds(answer.json())
        assert remote.journal == (), "that is no request to the model"

    def test_a_client_that_looks_for_ollama_finds_it(self, url: str) -> None:
        assert requests.get(url, timeout=10).text == "Ollama is running"
        assert requests.head(url, timeout=10).status_code == 200


def raw_post(url: str, path: str, body: bytes) -> bytes:
    """The whole answer to a call that ``requests`` would not make."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestTheApplication:
    """What no client can see from outside."""

    @pytest.fixture
    def application(self) -> StubApplication:
        async def no_control(*_: object) -> None:
            raise AssertionError("not asked")

        stub = Stub(RecordingSet.of(RECORDINGS))
        return StubApplication(stub, Lease(stub), no_control)

    def call(self, application: StubApplication, messages: Iterator[Message], path: str = "/api/chat") -> list[Message]:
        """What is sent to a client that sends these messages and then no more."""
        sent: list[Message] = []

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        asyncio.run(asyncio.wait_for(application(scope, receive, send), 5))
        return sent

    def test_a_stream_ends_with_its_client(self, application: StubApplication) -> None:
        application.stub.expect(fault=FaultPlan(LlmFault.SLOW_TOKENS, delay=3600))
        messages: list[Message] = [
            {"type": "http.request", "body": json.dumps(CHAT).encode(), "more_body": False},
            {"type": "http.disconnect"},
        ]
        assert self.call(application, iter(messages)) == []
        assert application.stub.journal[0].served == "facts/stream"

    def test_half_a_request_is_none(self, application: StubApplication) -> None:
        messages: list[Message] = [
            {"type": "http.request", "body": b'{"mod', "more_body": True},
            {"type": "http.disconnect"},
        ]
        assert self.call(application, iter(messages)) == []
        assert len(application.stub.journal) == 0

    def test_a_body_without_end_is_not_read_for_ever(self, application: StubApplication) -> None:
        application.max_body = 100
        endless = iter(lambda: {"type": "http.request", "body": b"x" * 50, "more_body": True}, None)
        sent = self.call(application, endless)
        assert sent[0]["status"] == 413
        assert (b"connection", b"close") in sent[0]["headers"]

    def test_a_request_that_was_asked_before_is_not_read_again(self) -> None:
        requests_ = KnownRequests()
        first = requests_.read("/api/chat", b'{"a": 1}', NOTHING)
        assert first is requests_.read("/api/chat", b'{"a": 1}', NOTHING)
        assert first is not requests_.read("/api/generate", b'{"a": 1}', NOTHING)
        assert requests_.read("/api/chat", b"{", NOTHING) is None

    def test_a_request_that_was_recorded_is_not_kept_twice(self) -> None:
        recordings = RecordingSet.of(RECORDINGS)
        requests_ = KnownRequests()
        for body in (json.dumps(BODY), json.dumps(dict(reversed(BODY.items())), indent=1)):
            known = requests_.read("/api/generate", body.encode(), recordings)
            assert known is not None
            assert known.request is recordings.recordings[0].request
        requests_.read("/api/generate", b"{}", NOTHING)
        assert len(requests_.known) == 1, "those of recordings that are served no longer are forgotten"

    def test_what_is_known_of_requests_is_bounded(self) -> None:
        requests_ = KnownRequests(most_bytes=10_000)
        for number in range(100):
            requests_.read("/api/chat", json.dumps({"number": number, "text": "x" * 1000}).encode(), NOTHING)
        assert 0 < requests_.size <= 10_000
        assert len(requests_.known) == 3
        assert requests_.read("/api/chat", json.dumps({"text": "x" * 9000}).encode(), NOTHING) is not None
        assert requests_.size <= 10_000
