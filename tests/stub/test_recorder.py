"""The recording proxy changes nothing that goes through it, and records only what is whole."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from recording_process import Model, Told, recorder, served_model

from gonogo.model import Provenance, Reply, Request, ToolCall
from gonogo.recordings import load_recordings
from gonogo.stub.protocols import parse_reply, reply_body, reply_frames

CHAT = Request("ollama", "/api/chat", {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "Go."}]})
WHOLE = Request("ollama", "/api/generate", {"model": "llama3.1:8b", "prompt": "Go.", "stream": False})
SPOKEN = Request("openai", "/v1/chat/completions", {"model": "gpt", "messages": [], "stream": True})
STRAIGHT = Reply("Straight and paved, é \U0001f600.")


@pytest.fixture
def model() -> Iterator[Model]:
    """A model's server that has been told nothing yet."""
    with served_model() as served:
        yield served


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where recordings go."""
    return tmp_path / "2.0.0"


def ask(url: str, request: Request, **options: object) -> httpx.Response:
    return httpx.post(url + request.operation, json=dict(request.body), timeout=30, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("request_", [CHAT, WHOLE], ids=["stream", "whole"])
def test_an_exchange_goes_through_unchanged_and_is_recorded(model: Model, out: Path, request_: Request) -> None:
    model.says(request_, STRAIGHT, waits=[0.01, 0.03])
    model.answers["/api/tags"] = Told([(0, b'{"models": [{"name": "llama3.1:8b", "digest": "42beef"}]}')])
    model.answers["/api/version"] = Told([(0, b'{"version": "0.12.6"}')])
    with recorder(model.url, out) as recording:
        assert recording.first == f"gonogo record: {recording.url} -> {model.url}, writing {out}\n"
        answer = ask(recording.url, request_)
        assert recording.stop() == 0
    assert answer.content == reply_body(request_, STRAIGHT)
    assert recording.said == "gonogo record: recorded 1, already there 0, cut short 0, failed 0, not recorded 0\n"
    [found] = load_recordings(out).recordings
    assert found.request == request_
    assert (found.step, found.cases, found.id) == ("unassigned", (), f"unassigned/{request_.key[:16]}")
    assert (found.provenance, found.model) == (Provenance.CAPTURED, "llama3.1:8b")
    assert (found.model_version, found.server) == ("42beef", "ollama 0.12.6")
    assert found.recorded.endswith("+00:00")
    assert found.reply.text == STRAIGHT.text
    assert [one.data for one in found.reply.frames] == [one.data for one in reply_frames(request_, STRAIGHT)]
    offsets = [one.offset for one in found.reply.frames]
    assert offsets == sorted(offsets)
    assert offsets[0] >= 0.01


def test_a_chunk_reaches_the_client_before_the_next_one_is_sent(model: Model, out: Path) -> None:
    model.says(CHAT, Reply("one two three"), waits=[0.3])
    came = []
    with recorder(model.url, out) as recording:
        with httpx.stream("POST", recording.url + CHAT.operation, json=dict(CHAT.body), timeout=30) as answer:
            for _ in answer.iter_raw():
                came.append(time.monotonic())
        assert recording.stop() == 0
    assert len(came) == len(model.sent) == 4
    for received, following in zip(came, model.sent[1:], strict=False):
        assert received < following, "a chunk waited for the one behind it"
    offsets = [one.offset for one in load_recordings(out).recordings[0].reply.frames]
    assert 0.6 < offsets[-1] - offsets[0] < 5.0, "frames keep their distance"


def test_method_path_query_headers_and_body_reach_the_model_as_they_were_sent(model: Model, out: Path) -> None:
    model.answers["/v1/files/a%2Fb"] = Told([(0, b"{}")])
    with recorder(model.url, out, provider="openai") as recording:
        httpx.put(
            f"{recording.url}/v1/files/a%2Fb?x=1&x=%20&y",
            content=b"\x00\xff",
            headers={"Authorization": "Bearer t0ken", "Connection": "x-hop, close"}
            | {"X-Hop": "1", "TE": "trailers", "Accept-Encoding": "gzip", "User-Agent": "mine"},
        )
        assert recording.stop() == 0
    [(first, headers, body)] = model.asked
    assert first == "PUT /v1/files/a%2Fb?x=1&x=%20&y HTTP/1.1"
    assert body == b"\x00\xff"
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["user-agent"] == "mine"
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == model.url.removeprefix("http://")
    assert "x-hop" not in headers
    assert "te" not in headers
    assert not list(out.glob("*.yaml"))


def test_status_and_headers_reach_the_client_as_they_were_sent(model: Model, out: Path) -> None:
    headers = {
        "Content-Type": "text/x",
        "X-Request-Id": "7",
        "Server": "a model",
        "Keep-Alive": "timeout=5",
        "Location": "/y",
    }
    model.answers["/x"] = Told([(0, b"moved")], 307, headers)
    with recorder(model.url, out) as recording:
        answer = httpx.get(f"{recording.url}/x")
    assert (answer.status_code, answer.content) == (307, b"moved")
    assert answer.headers["content-type"] == "text/x"
    assert answer.headers["x-request-id"] == "7"
    assert answer.headers.get_list("server") == ["a model"]
    assert answer.headers["location"] == "/y"
    assert "keep-alive" not in answer.headers
    assert len(model.asked) == 1, "a redirect is the client's to follow"


def test_a_path_before_the_models_own_is_kept(model: Model, out: Path) -> None:
    model.answers["/models/api/tags"] = Told([(0, b"{}")])
    with recorder(f"{model.url}/models/", out) as recording:
        assert httpx.get(f"{recording.url}/api/tags").status_code == 200


def test_a_client_that_leaves_in_between_leaves_no_recording_and_the_model_stops(model: Model, out: Path) -> None:
    model.says(CHAT, Reply("word " * 200), waits=[0.02])
    with recorder(model.url, out) as recording:
        with httpx.stream("POST", recording.url + CHAT.operation, json=dict(CHAT.body)) as answer:
            next(answer.iter_raw())
        assert model.broken.wait(5), "the model should be told that nobody listens"
        assert recording.stop() == 0
    assert "cut short 1" in recording.said
    assert "cut short: POST /api/chat: the client left" in recording.complained
    assert load_recordings(out).recordings == ()


def test_a_client_that_leaves_when_the_model_has_ended_leaves_a_recording(model: Model, out: Path) -> None:
    model.says(SPOKEN, STRAIGHT)
    told = model.answers[SPOKEN.operation]
    told.chunks = [*told.chunks, (1.5, b": nothing more\n\n")]
    with recorder(model.url, out, provider="openai") as recording:
        with httpx.stream("POST", recording.url + SPOKEN.operation, json=dict(SPOKEN.body)) as answer:
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    break
        assert recording.stop() == 0
    assert "recorded 1" in recording.said
    [found] = load_recordings(out).recordings
    assert found.reply.text == STRAIGHT.text


def test_a_client_that_leaves_just_before_the_end_leaves_a_recording(model: Model, out: Path) -> None:
    model.says(SPOKEN, STRAIGHT, waits=[0.02])
    with recorder(model.url, out, provider="openai") as recording:
        with httpx.stream("POST", recording.url + SPOKEN.operation, json=dict(SPOKEN.body)) as answer:
            for line in answer.iter_lines():
                if '"finish_reason":"stop"' in line:
                    break
        assert recording.stop() == 0
    assert "recorded 1" in recording.said
    assert load_recordings(out).recordings[0].reply.frames[-1].data == b"data: [DONE]\n\n"


@pytest.mark.parametrize("broken", ["in between", "after a part that reads like the whole"])
def test_a_model_that_breaks_off_is_seen_to_break_off_and_not_recorded(model: Model, out: Path, broken: str) -> None:
    model.says(CHAT if broken == "in between" else WHOLE, STRAIGHT)
    for told in model.answers.values():
        told.chunks, told.ends = told.chunks[:2], False
    with recorder(model.url, out) as recording:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(recording.url, CHAT if broken == "in between" else WHOLE)
        assert recording.stop() == 0
    assert "cut short 1" in recording.said
    assert "the model's server broke off" in recording.complained
    assert load_recordings(out).recordings == ()


def test_a_stream_that_ends_before_the_model_has_is_not_recorded(model: Model, out: Path) -> None:
    model.says(CHAT, STRAIGHT)
    model.answers[CHAT.operation].chunks = model.answers[CHAT.operation].chunks[:2]
    with recorder(model.url, out) as recording:
        assert ask(recording.url, CHAT).status_code == 200
        assert recording.stop() == 0
    assert "cut short 1" in recording.said
    assert load_recordings(out).recordings == ()


@pytest.mark.parametrize(
    ("provider", "path"), [("ollama", "/api/chat"), ("openai", "/v1/models"), ("anthropic", "/v1/messages")]
)
def test_a_model_that_cannot_be_reached_is_answered_in_the_providers_form(out: Path, provider: str, path: str) -> None:
    with recorder("http://127.0.0.1:9", out, provider=provider) as recording:
        answer = httpx.post(recording.url + path, json={"model": "m", "messages": []}, timeout=30)
        assert recording.stop() == 0
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert "the model's server cannot be reached" in (error if provider == "ollama" else error["message"])
    if path != "/v1/models":
        assert "failed 1" in recording.said
        assert "cannot be reached" in recording.complained


@pytest.mark.parametrize("options", [(), ("--errors",)])
def test_an_error_goes_through_and_is_recorded_where_that_is_asked_for(
    model: Model, out: Path, options: tuple[str, ...]
) -> None:
    model.says(WHOLE, Reply("the model runner has stopped", 503))
    with recorder(model.url, out, *options) as recording:
        answer = ask(recording.url, WHOLE)
        assert recording.stop() == 0
    assert (answer.status_code, answer.json()) == (503, {"error": "the model runner has stopped"})
    found = load_recordings(out).recordings
    assert [(one.reply.status, one.reply.text) for one in found] == (
        [(503, "the model runner has stopped")] if options else []
    )
    assert ("recorded 1" if options else "failed 1") in recording.said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Told([(0, b"<html>")]), "not recorded"),
        (Told([(0, b'{"error": "out of memory"}\n')]), "failed"),
        (Told([(0, b"\x1f\x8b")], headers={"Content-Encoding": "gzip"}), "not recorded"),
        (Told([(0, b"")], 302, {"Location": "/"}), "not recorded"),
    ],
    ids=["no answer of a model", "an error with 200", "compressed", "a redirect"],
)
def test_what_is_no_reply_goes_through_and_is_told(model: Model, out: Path, answer: Told, said: str) -> None:
    model.answers[WHOLE.operation] = answer
    with recorder(model.url, out) as recording:
        with httpx.stream("POST", recording.url + WHOLE.operation, json=dict(WHOLE.body)) as received:
            assert b"".join(received.iter_raw()) == b"".join(data for _, data in answer.chunks)
        assert recording.stop() == 0
    assert f"{said} 1" in recording.said
    assert load_recordings(out).recordings == ()


def test_a_request_of_another_provider_goes_through_and_is_told(model: Model, out: Path) -> None:
    model.says(SPOKEN, STRAIGHT)
    with recorder(model.url, out) as recording:
        assert ask(recording.url, SPOKEN).content == reply_body(SPOKEN, STRAIGHT)
        assert recording.stop() == 0
    assert "give --provider openai to record it" in recording.complained
    assert load_recordings(out).recordings == ()


def test_a_request_larger_than_the_bound_goes_through_and_is_not_recorded(model: Model, out: Path) -> None:
    large = Request("ollama", "/api/generate", {**WHOLE.body, "prompt": "x" * (9 * 1024 * 1024)})
    model.says(large, STRAIGHT)
    with recorder(model.url, out) as recording:
        assert ask(recording.url, large).json()["response"] == STRAIGHT.text
        assert recording.stop() == 0
    assert json.loads(model.asked[0][2]) == large.body
    assert "the request is larger than 8388608 bytes" in recording.complained
    assert "not recorded 1" in recording.said


def test_a_reply_larger_than_the_bound_goes_through_and_is_not_recorded(model: Model, out: Path) -> None:
    model.answers[WHOLE.operation] = Told([(0.0, b"x" * 1024 * 1024)] * 65)
    with recorder(model.url, out) as recording:
        assert len(ask(recording.url, WHOLE).content) == 65 * 1024 * 1024
        assert recording.stop() == 0
    assert "the answer is larger than 67108864 bytes" in recording.complained
    assert "not recorded 1" in recording.said


def test_a_request_that_is_recorded_is_recorded_again_only_where_that_is_asked_for(model: Model, out: Path) -> None:
    model.says(WHOLE, Reply("First."))
    with recorder(model.url, out) as recording:
        ask(recording.url, WHOLE)
        model.says(WHOLE, Reply("Second."))
        assert ask(recording.url, WHOLE).json()["response"] == "Second."
        assert recording.stop() == 0
    assert "recorded 1, already there 1" in recording.said
    assert "give --replace" in recording.complained
    assert load_recordings(out).recordings[0].reply.text == "First."
    with recorder(model.url, out, "--replace") as recording:
        ask(recording.url, WHOLE)
        assert recording.stop() == 0
    assert [one.reply.text for one in load_recordings(out).recordings] == ["Second."]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_in_flight_end(model: Model, out: Path, how: signal.Signals) -> None:
    model.says(CHAT, Reply("one two three four five"), waits=[0.1])
    with recorder(model.url, out) as recording:
        with httpx.stream("POST", recording.url + CHAT.operation, json=dict(CHAT.body), timeout=30) as answer:
            chunks = answer.iter_raw()
            begun = next(chunks)
            recording.process.send_signal(how)
            body = begun + b"".join(chunks)
        assert recording.process.wait(30) == 0
        recording.said, recording.complained = recording.process.communicate()
    assert parse_reply(CHAT, body).text == "one two three four five"
    assert "recorded 1" in recording.said


def test_the_end_of_standard_input_ends_it(model: Model, out: Path) -> None:
    with recorder(model.url, out) as recording:
        assert recording.process.stdin is not None
        recording.process.stdin.close()
        assert recording.process.wait(30) == 0


def wait_for_recordings(out: Path, number: int) -> None:
    """They are written beside the answer, and a disk may be slow."""
    end = time.monotonic() + 30
    while len(load_recordings(out).recordings) < number:
        assert time.monotonic() < end, f"{number} recordings did not come"
        time.sleep(0.02)


def test_a_recorder_that_is_killed_leaves_whole_recordings_only(model: Model, out: Path) -> None:
    for number in range(4):
        with recorder(model.url, out) as recording:
            for asked in range(2):
                request = Request("ollama", "/api/chat", {**CHAT.body, "n": [number, asked]})
                model.says(request, Reply(f"Reply {number} {asked}. " * 30), waits=[0.0005])
                ask(recording.url, request)
            kept = 2 * (number + 1)
            wait_for_recordings(out, kept)
            model.says(CHAT, Reply("word " * 100), waits=[0.005])
            with httpx.stream("POST", recording.url + CHAT.operation, json=dict(CHAT.body)) as answer:
                chunks = answer.iter_raw()
                for _ in range(1 + 5 * number):
                    next(chunks)
                recording.process.kill()
                with pytest.raises(httpx.TransportError):
                    list(chunks)
        found = load_recordings(out).recordings
        assert len(found) == kept
        for one in found:
            assert parse_reply(one.request, b"".join(frame.data for frame in one.reply.frames)).text == one.reply.text
            assert one.request != CHAT


def test_two_recorders_do_not_write_into_one_folder(model: Model, out: Path) -> None:
    with (
        recorder(model.url, out),
        pytest.raises(AssertionError, match="another gonogo record writes into it"),
        recorder(model.url, out),
    ):
        pass


def test_tool_calls_are_recorded_by_name_and_arguments(model: Model, out: Path) -> None:
    calls = (ToolCall("search", {"query": "roads", "n": 2}), ToolCall("stop", {}))
    model.says(SPOKEN, Reply("", tool_calls=calls), pieces=7)
    with recorder(model.url, out, provider="openai") as recording:
        ask(recording.url, SPOKEN)
        assert recording.stop() == 0
    assert load_recordings(out).recordings[0].reply.tool_calls == calls
