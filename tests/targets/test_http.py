"""An application over HTTP: what a run answers, and what its record says afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from gonogo.contract import Call, Contract
from gonogo.model import Case, Json
from gonogo.targets.http import Answer, HttpApplication

CONTRACT = Contract(
    {
        "create": Call("POST", "/api/posts", {"title": "{title}", "fields": "{inputs}"}),
        "read": Call("GET", "/api/posts/{post}"),
        "delete": Call("DELETE", "/api/posts/{post}"),
        "preview": Call("POST", "/api/posts/{post}/steps/{step}/preview"),
        "run": Call("POST", "/api/posts/{post}/steps/{step}/run"),
    }
)
CASE = Case("roads", "facts", {"idea": "roads"})
DONE: dict[str, Json] = {"run_id": 7, "output": "Straight.", "fallback": None}
FAILED: dict[str, Json] = {"code": "llm-timeout", "message": "no answer", "run_id": 7}
KEPT: dict[str, Json] = {
    "id": 7,
    "status": "failed",
    "prompt": "Find facts.",
    "error": {"code": "llm-timeout"},
    "post": 1,
}


@dataclass
class Server:
    """Answers as it is told; keeps what it was asked."""

    answer: Answer
    record: Answer = field(default_factory=lambda: Answer(200, json.dumps(KEPT).encode()))
    asked: list[str] = field(default_factory=list)

    def __call__(self, method: str, path: str, body: Json = None) -> Answer:
        self.asked.append(f"{method} {path}")
        match method, path.split("/")[1:]:
            case "POST", ["api", "posts"]:
                return Answer(201, b'{"id": 1}')
            case "GET", ["api", "posts", _]:
                return Answer(200, b'{"fields": {}}')
            case "DELETE", _:
                return Answer(204, b"")
            case "POST", _:
                return self.answer
            case "GET", ["runs", _]:
                return self.record
            case _:
                return Answer(200, b"fallbacks_total 3.0\n")


def answered(status: int, body: Mapping[str, Json]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def application(server: Server, record: str = "/runs/{run}") -> HttpApplication:
    calls = {**CONTRACT.calls, "metrics": Call("GET", "/metrics")}
    if record:
        calls["record"] = Call("GET", record)
    return HttpApplication(server, replace(CONTRACT, calls=calls, metrics={"fallbacks": "fallbacks_total"}))


def test_the_record_of_a_run_is_read_by_the_id_that_its_answer_names() -> None:
    server = Server(answered(200, DONE))
    run = application(server).run(CASE, watched=True)
    assert run.record == {"status": "failed", "prompt": "Find facts.", "error": "llm-timeout", "reply": None}
    assert server.asked.count("GET /runs/7") == 1
    assert server.asked.index("GET /runs/7") < server.asked.index("DELETE /api/posts/1"), "it goes with its post"


@pytest.mark.parametrize(
    "body", [{"error": FAILED}, {"error": {"code": "x"}, "run_id": 7}, {"error": "x", "run_id": 7}]
)
def test_a_failed_run_is_named_by_its_error_or_beside_it(body: dict[str, Json]) -> None:
    assert application(Server(answered(502, body))).run(CASE, watched=True).record


def test_a_record_of_a_good_run_has_no_error() -> None:
    server = Server(answered(200, DONE), answered(200, {"status": "succeeded", "prompt": "p", "error": None}))
    run = application(server).run(CASE, watched=True)
    assert run.record == {"status": "succeeded", "prompt": "p", "error": None, "reply": None}


def test_the_prompt_in_a_record_may_be_messages() -> None:
    messages: list[Json] = [{"role": "system", "content": "You."}, {"role": "user", "content": "Find facts."}]
    server = Server(answered(200, DONE), answered(200, {**KEPT, "prompt": messages}))
    record = application(server).run(CASE, watched=True).record
    assert record is not None
    assert record["prompt"] == "You.\n\nFind facts."


def test_a_record_whose_prompt_is_none_fails_the_application() -> None:
    server = Server(answered(200, DONE), answered(200, {**KEPT, "prompt": 5}))
    with pytest.raises(ValueError, match="there is no prompt at 'prompt' of the record, but 5"):
        application(server).run(CASE, watched=True)


def test_a_stored_value_that_is_no_text_is_shown_as_json() -> None:
    @dataclass
    class Keeping(Server):
        def __call__(self, method: str, path: str, body: Json = None) -> Answer:
            if method == "GET" and path == "/api/posts/1":
                return Answer(200, '{"fields": {"idea": "Straße", "facts": {"ok": true, "of": "Köln"}}}'.encode())
            return super().__call__(method, path, body)

    stored = application(Keeping(answered(200, DONE))).run(CASE, watched=True).stored
    assert stored == {"idea": "Straße", "facts": '{"ok": true, "of": "Köln"}'}


@pytest.mark.parametrize(
    ("answer", "record"),
    [(answered(200, {"output": "x"}), answered(200, KEPT)), (answered(200, DONE), answered(404, {"error": {}}))],
)
def test_a_run_that_is_not_named_or_not_known_has_an_empty_record(answer: Answer, record: Answer) -> None:
    assert application(Server(answer, record)).run(CASE, watched=True).record == {}


@pytest.mark.parametrize(("path", "watched"), [("", True), ("/runs/{run}", False)])
def test_without_a_path_or_unwatched_no_record_is_asked_for(path: str, watched: bool) -> None:
    server = Server(answered(200, DONE))
    assert application(server, path).run(CASE, watched=watched).record is None
    assert not [one for one in server.asked if "/runs/" in one]


def test_the_whole_answer_of_a_failed_run_is_kept() -> None:
    body: dict[str, Json] = {"error": FAILED, "debug": "beside the error"}
    failed = application(Server(answered(502, body))).run(CASE, watched=False)
    assert json.loads(failed.answer) == body
    assert failed.error == FAILED
    assert application(Server(answered(200, DONE))).run(CASE, watched=False).answer == ""
