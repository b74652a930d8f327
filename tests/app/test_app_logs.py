"""Log lines: each of one form, and none of them with anybody's text or a secret in it."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from served_application import no_objects, telling

from app.errors import SettingsError
from app.failures import Failure
from app.lines import LineFormatter, PrintedLines, Teller, take_over, without_passwords

MARK = "Zarquon"  # stands in every text that no line may hold


def request(client: Any, kind: str, wire: Any, http: Any) -> int:
    """Do what `kind` says, with the mark in every text of it; the status of the answer."""
    created = client.post(
        "/api/posts", json={"title": f"{MARK} title", "fields": {"seed_idea": f"{MARK} idea", "basic_idea": MARK}}
    )
    post = created.json["id"]
    replies = {
        "run": http({"response": f"{MARK} said", "done": True}),
        "a reply that is not JSON": http({"response": f"{MARK} is no list", "done": True}),
        "a reply against the schema": http({"response": json.dumps([MARK]), "done": True}),
        "a reply cut off": http({"response": MARK, "done_reason": "length"}),
        "an error of the model": http({"error": MARK}, 400),
        "an error with status 200": http({"error": MARK}),
        "no HTTP": MARK.encode(),
    }
    if kind in replies:
        wire.script = [replies[kind]]
        step = "concept" if kind == "run" else "facts"
        return int(client.post(f"/api/posts/{post}/steps/{step}/run").status_code)
    asked: dict[str, Callable[[], Any]] = {
        "create": lambda: created,
        "read": lambda: client.get(f"/api/posts/{post}"),
        "list": lambda: client.get("/api/posts", query_string={"title": MARK}),
        "delete": lambda: client.delete(f"/api/posts/{post}"),
        "preview": lambda: client.post(f"/api/posts/{post}/steps/concept/preview"),
        "preview of fields": lambda: client.post("/api/steps/concept/preview", json={"fields": {"seed_idea": MARK}}),
        "fallback": lambda: client.post("/api/steps/concept/preview", json={"fields": {"audience": MARK}}),
        "no such path": lambda: client.get(f"/{MARK}?{MARK}={MARK}"),
        "no such step": lambda: client.post(f"/api/posts/{post}/steps/{MARK}/run"),
        "no such method": lambda: client.open("/api/posts", method=MARK.upper()),
        "wrong body": lambda: client.post("/api/posts", data=f'{{"{MARK}": '.encode()),
        "wrong field": lambda: client.post("/api/posts", json={"title": "x", MARK: MARK}),
        "a token": lambda: client.get("/healthz", headers={"Authorization": f"Bearer {MARK}"}),
    }
    return int(asked[kind]().status_code)


KINDS = {
    "create": 201,
    "read": 200,
    "list": 200,
    "delete": 204,
    "preview": 200,
    "preview of fields": 200,
    "fallback": 200,
    "no such path": 404,
    "no such step": 404,
    "no such method": 405,
    "wrong body": 400,
    "wrong field": 400,
    "a token": 200,
    "run": 200,
    "a reply that is not JSON": 502,
    "a reply against the schema": 502,
    "a reply cut off": 502,
    "an error of the model": 502,
    "an error with status 200": 502,
    "no HTTP": 502,
}


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def client(make_app: Any, wire: Any, stream: io.StringIO) -> Any:
    return make_app(
        LLM_BASE_URL=wire.url, LLM_RETRIES=0, LOG_SINK=None, LOG_STREAM=stream, LOG_LEVEL="INFO"
    ).test_client()


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_no_line_of_a_request_holds_anybody_s_text(
    client: Any, wire: Any, http: Any, stream: io.StringIO, kind: str
) -> None:
    assert request(client, kind, wire, http) == KINDS[kind]
    lines = lines_of(stream)
    assert telling(lines, [MARK, MARK.upper()]) == []
    assert no_objects(lines) == []
    events = [json.loads(line) for line in lines]
    assert {event["release"] for event in events} == {"2.0.0"}
    assert all(event["request_id"] for event in events)
    finished = [event for event in events if event["event"] == "request.finished"]
    assert finished[-1]["status"] == KINDS[kind]
    assert finished[-1]["seconds"] >= 0


@pytest.mark.parametrize("kind", ["preview", "run", "a reply that is not JSON"])
def test_lines_about_a_step_name_it_and_its_templates(
    client: Any, wire: Any, http: Any, stream: io.StringIO, kind: str
) -> None:
    request(client, kind, wire, http)
    about = [event for event in map(json.loads, lines_of(stream)) if event.get("route") != "/api/posts"]
    assert len(about) >= 2
    step, output = ("facts", "facts-out") if kind.startswith("a reply") else ("concept", "text-out")
    for event in about:
        assert (event["step"], event["input_format"], event["output_format"]) == (step, "fields-in", output)


def test_an_error_of_the_model_is_told_by_kind_and_fingerprint(
    client: Any, wire: Any, http: Any, stream: io.StringIO
) -> None:
    request(client, "a reply against the schema", wire, http)
    (run,) = (event for event in map(json.loads, lines_of(stream)) if event["event"] == "run.finished")
    assert (run["status"], run["error"], run["kind"]) == ("failed", "reply-invalid", "reply-invalid")
    assert f'fingerprint="{run["fingerprint"]}",kind="reply-invalid"' in client.get("/metrics").text


@pytest.mark.parametrize("reason", ["ZeroDivisionError", "invalid-result"])
def test_a_fallback_is_told_by_kind_and_fingerprint(
    client: Any, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def constructor(step: object, inputs: object) -> object:
        if reason == "invalid-result":
            return None
        raise ZeroDivisionError(MARK)

    monkeypatch.setattr("app.workflow.scripts.llm_processor.construct_prompt", constructor)
    client.post("/api/steps/concept/preview", json={"fields": {"seed_idea": "x"}})
    (told,) = (event for event in map(json.loads, lines_of(stream)) if event["event"] == "prompt.fallback")
    assert (told["reason"], told["kind"], len(told["fingerprint"])) == (reason, "prompt-fallback", 12)
    assert ("exception" in told) == (reason == "ZeroDivisionError")
    assert telling(lines_of(stream), [MARK]) == []


def test_an_exception_is_told_without_its_message_nor_those_of_its_causes(
    client: Any, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        try:
            raise KeyError(MARK)
        except KeyError as error:
            raise RuntimeError(f"{MARK} again") from error

    monkeypatch.setattr("app.repository.list_steps", broken)
    assert client.get("/api/steps").status_code == 500
    assert telling(lines_of(stream), [MARK]) == []
    failed = json.loads(lines_of(stream)[0])
    assert failed["exception"]["type"] == "RuntimeError"
    assert failed["exception"]["causes"][0]["type"] == "KeyError"


def test_a_message_that_is_told_is_found(client: Any, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError(MARK)

    monkeypatch.setattr("app.repository.list_steps", broken)
    monkeypatch.setattr("app.failures._told", lambda error: {"type": repr(error)})
    client.get("/api/steps")
    assert len(telling(lines_of(stream), [MARK])) == 1


def test_a_prompt_that_is_logged_for_debugging_is_found(
    make_app: Any, wire: Any, http: Any, stream: io.StringIO
) -> None:
    client = make_app(LLM_BASE_URL=wire.url, LOG_SINK=None, LOG_STREAM=stream, LOG_LEVEL="DEBUG").test_client()
    request(client, "preview", wire, http)
    assert [json.loads(line)["event"] for line in telling(lines_of(stream), [MARK])] == ["prompt.text"]


def test_a_line_that_is_no_event_is_found() -> None:
    event = {"event": "x", "level": "info", "time": "2026-01-01T00:00:00Z", "release": "2.0.0"}
    good = json.dumps(event)
    bad = ["Traceback (most recent call last):", "", "[1]", "{}", json.dumps({**event, "release": 1})[:-1]]
    assert no_objects([good, *bad]) == bad


def test_an_exception_that_somebody_logs_as_it_is_loses_its_message(client: Any, stream: io.StringIO) -> None:
    log = client.application.extensions["blog"].log
    try:
        raise KeyError(MARK)
    except KeyError:
        log.exception("somewhere")
    log.error("elsewhere", exc_info=ValueError(MARK))
    log.error("nowhere", exc_info=True)
    assert [json.loads(line).get("exception", {}).get("type") for line in lines_of(stream)] == [
        "KeyError",
        "ValueError",
        None,
    ]
    assert telling(lines_of(stream), [MARK]) == []


# --- what others have to say in a server's process -------------------------------------------------------------------


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Teller:
    """The teller of a worker: of a process that is not the one that began."""
    teller = Teller("2.0.0", debug=False)
    monkeypatch.setattr(teller, "_main", 0)
    return teller


def said(teller: Teller, message: str, *args: object, name: str = "gunicorn.error", **named: Any) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.WARNING, "somewhere.py", 1, message, args, named.get("exc_info"))
    for key, value in named.items():
        setattr(record, key, value)
    line = LineFormatter(teller).format(record)
    assert no_objects([line]) == []
    event: dict[str, Any] = json.loads(line)
    return event


@pytest.mark.parametrize(
    ("message", "args", "told"),
    [
        ("Booting worker with pid: %s", (17,), "Booting worker with pid: 17"),
        ("Error handling request %s %s", ("GET", f"/{MARK}"), "Error handling request %s %s"),
        (f"Invalid request from ip=127.0.0.1: {MARK}", (), "Invalid request from ip=127.0.0.1"),
        (f"Traceback\n {MARK}", (), "Traceback"),
        ("%(a)s", ({"a": MARK},), "%(a)s"),
    ],
)
def test_a_worker_tells_the_constant_part_of_what_libraries_say(
    worker: Teller, message: str, args: tuple[object, ...], told: str
) -> None:
    event = said(worker, message, *args)
    assert (event["event"], event["message"], event["level"]) == ("server.log", told, "warning")
    assert said(worker, message, *args, name="urllib3.pool")["event"] == "library.log"


def test_the_main_process_tells_all_but_passwords() -> None:
    event = said(Teller("2.0.0", debug=False), "Connection in use: %s", f"postgresql://me:{MARK}@127.0.0.1/x")
    assert event["message"] == "Connection in use: postgresql://***@127.0.0.1/x"


def test_what_is_told_for_debugging_is_told_whole(worker: Teller) -> None:
    worker.debug = True
    assert said(worker, "Error handling request %s", MARK)["message"] == f"Error handling request {MARK}"


def test_an_exception_of_the_server_is_told_by_type_and_place(worker: Teller) -> None:
    error = ValueError(MARK)
    event = said(worker, "Exception in worker process", exc_info=(ValueError, error, None))
    assert (event["kind"], event["exception"]["type"]) == ("process-failed", "ValueError")
    assert MARK not in json.dumps(event)
    refused = SettingsError("LLM_TIMEOUT is wrong")
    told = said(worker, "Exception in worker process", exc_info=(SettingsError, refused, None))
    assert told["exception"]["message"] == "LLM_TIMEOUT is wrong"  # written for those who read logs


def test_a_line_of_an_access_log_holds_no_path(worker: Teller) -> None:
    event = said(worker, "%(r)s", {"m": "GET", "s": "200", "r": f"GET /{MARK}"}, name="gunicorn.access")
    assert (event["event"], event["method"], event["status"]) == ("server.access", "GET", 200)
    made_up = said(worker, "%(r)s", {"m": MARK, "s": "405", "r": f"{MARK} /"}, name="gunicorn.access")
    assert made_up["method"] == "other"
    assert MARK not in json.dumps(event)


def test_what_is_printed_becomes_lines(worker: Teller) -> None:
    raw = io.StringIO()
    printed = PrintedLines(raw, "stderr", worker)
    print("one", f"{MARK}\n\ntwo", file=printed)  # what is tested
    print("not ended", end="", file=printed)
    printed.flush()
    assert no_objects(lines_of(raw)) == []
    assert [json.loads(line)["characters"] for line in lines_of(raw)] == [len(f"one {MARK}"), 3]
    assert telling(lines_of(raw), [MARK]) == []
    worker.debug = True
    print(f"{MARK}", file=printed)
    assert json.loads(lines_of(raw)[-1])["text"] == f"not ended{MARK}"


def test_warnings_and_exceptions_that_nobody_catches_become_lines(
    worker: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.StringIO()
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (warnings, "showwarning")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end
    monkeypatch.setattr("threading.excepthook", None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", raw)
    take_over(worker)
    take_over(worker)  # as when a configuration is read again
    warnings.showwarning(f"{MARK} is old", DeprecationWarning, f"/home/{MARK}/app/x.py", 3)
    sys.excepthook(ValueError, ValueError(MARK), None)
    lines = lines_of(raw)
    assert no_objects(lines) == []
    assert telling(lines, [MARK]) == []
    assert [json.loads(line)["event"] for line in lines] == ["python.warning", "process.failed"]
    assert json.loads(lines[0])["place"] == "app/x.py:3"
    assert isinstance(sys.stderr, PrintedLines)
    assert sys.stderr.raw is raw


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:pw@h/x and redis://:pw@h", "postgresql+psycopg://***@h/x and redis://***@h"),
        ("http://127.0.0.1:8000 (17)", "http://127.0.0.1:8000 (17)"),
        ("https://a@b@c/", "https://***@c/"),
    ],
)
def test_addresses_lose_their_passwords(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_a_setting_that_is_refused_keeps_the_password_in_it() -> None:
    from app.settings import Settings

    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({"BLOG_LLM_BASE_URL": f"ftp://me:{MARK}@host", "BLOG_DATABASE_URL": f"me:{MARK}@host"})
    assert MARK not in str(caught.value)
    assert Failure.of("x", caught.value).told["message"] == str(caught.value)
