"""The HTTP interface: every endpoint, every refusal, metrics and logs."""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from served_application import value_of


@pytest.fixture
def app(make_app: Any, wire: Any) -> Flask:
    made: Flask = make_app(LLM_BASE_URL=wire.url, LLM_RETRIES=0)
    return made


@pytest.fixture
def client(app: Flask) -> Any:  # not FlaskClient, for which the JSON of an answer may be None
    return app.test_client()


def new_post(client: Any, **fields: str) -> int:
    created = client.post("/api/posts", json={"title": "Roads", "fields": fields})
    assert created.status_code == 201
    return int(created.json["id"])


def test_steps_are_listed_in_their_order(client: Any) -> None:
    answer = client.get("/api/steps")
    assert answer.status_code == 200
    first, second = answer.json["steps"]
    assert first == {
        "id": "concept",
        "name": "Concept",
        "stage": "Planning",
        "substage": "Idea",
        "order": 1,
        "model": "llama3.1:8b",
        "parameters": {"temperature": 0.4, "num_predict": 512, "mirostat": 1},
        "inputs": [
            {"field": "seed_idea", "name": "Seed Idea", "required": True},
            {"field": "audience", "name": "Audience", "required": False},
        ],
        "input_format": "fields-in",
        "output_format": "text-out",
        "output_field": "basic_idea",
    }
    assert second["id"] == "facts"


@pytest.mark.usefixtures("wire")
def test_a_post_is_created_read_and_deleted_with_all_that_is_its(make_app: Any, database_url: str) -> None:
    client = make_app(DATABASE_URL=database_url).test_client()
    fields = {"seed_idea": "Straße 𝄞\n\u2028 مرحبا", "notes": ""}
    created = client.post("/api/posts", json={"title": "Ünder way", "fields": fields})
    assert created.status_code == 201
    assert created.json["title"] == "Ünder way"
    assert created.json["fields"] == fields
    assert created.json["created_at"].endswith("+00:00")
    post = created.json["id"]
    assert client.get(f"/api/posts/{post}").json == created.json
    assert client.post("/api/posts", json={"title": "No fields"}).json["fields"] == {}
    gone = client.delete(f"/api/posts/{post}")
    assert (gone.status_code, gone.data) == (204, b"")
    assert client.get(f"/api/posts/{post}").status_code == 404
    assert client.delete(f"/api/posts/{post}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b'{"title": "caf\xe9"}', "body"),
        (b"[" * 100_000, "body"),
        ([], "body"),
        ({}, "title"),
        ({"title": 5}, "title"),
        ({"title": " "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "a\0"}, "title"),
        ({"title": "a", "colour": "red"}, "colour"),
        ({"title": "a", "fields": []}, "fields"),
        ({"title": "a", "fields": {f"f{number}": "" for number in range(501)}}, "fields"),
        ({"title": "a", "fields": {"Idea": "x"}}, "fields.Idea"),
        ({"title": "a", "fields": {"\ud800": "x"}}, "fields.\\ud800"),
        ({"title": "a", "fields": {"idea": None}}, "fields.idea"),
        ({"title": "a", "fields": {"idea": 5}}, "fields.idea"),
        ({"title": "a", "fields": {"idea": "a\0b"}}, "fields.idea"),
        ({"title": "a", "fields": {"idea": "a\ud800b"}}, "fields.idea"),
    ],
)
def test_a_wrong_body_is_refused_with_the_name_of_the_field(client: Any, body: object, field: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/api/posts", data=data, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "invalid-request"
    assert answer.json["error"]["field"] == field
    assert answer.json["error"]["message"]
    assert client.get("/api/posts/2").status_code == 404  # 1 is the seed post


def test_a_body_beyond_all_bounds_is_refused(client: Any) -> None:
    answer = client.post("/api/posts", data=b" " * (8 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json["error"]["code"] == "request-entity-too-large"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/posts/99", "post-not-found"),
        ("DELETE", "/api/posts/99", "post-not-found"),
        ("GET", "/api/runs/99", "run-not-found"),
        ("POST", "/api/posts/99/steps/concept/preview", "post-not-found"),
        ("POST", "/api/posts/99/steps/concept/run", "post-not-found"),
        ("POST", "/api/posts/1/steps/nothing/preview", "step-not-found"),
        ("POST", "/api/posts/1/steps/nothing/run", "step-not-found"),
        ("GET", "/api/posts/x", "not-found"),
        ("GET", "/api/posts/99999999999999999999", "post-not-found"),
        ("GET", "/", "not-found"),
    ],
)
def test_a_wrong_id_is_not_found(client: Any, method: str, path: str, code: str) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 404
    assert answer.json["error"]["code"] == code


def test_an_id_beyond_the_database_s_integers_is_not_found(make_app: Any, database_url: str) -> None:
    client = make_app(DATABASE_URL=database_url).test_client()
    for path in (f"/api/posts/{2**31}", f"/api/posts/{2**63}", f"/api/runs/{2**63}"):
        assert client.get(path).status_code == 404
    assert client.delete(f"/api/posts/{2**63}").status_code == 404
    assert client.post(f"/api/posts/{2**63}/steps/concept/run").status_code == 404


def test_a_wrong_method_is_refused_with_those_that_are_right(client: Any) -> None:
    answer = client.put("/api/steps")
    assert answer.status_code == 405
    assert answer.json["error"]["code"] == "method-not-allowed"
    assert "GET" in answer.headers["Allow"]
    assert answer.mimetype == "application/json"


def test_a_preview_shows_the_prompt_and_sends_nothing(client: Any, wire: Any) -> None:
    post = new_post(client, seed_idea="Roads", unrelated="x")
    answer = client.post(f"/api/posts/{post}/steps/concept/preview")
    assert answer.status_code == 200
    assert answer.json["prompt"] == (
        "CONTEXT:\nYou are an editor.\n\nEach input stands after its name.\n\nNamed fields.\n\n"
        "TASK:\nWrite a concept for .\n\nSeed Idea: Roads\n\n"
        "RESPONSE:\nAnswer with plain text.\n\nOne paragraph.\n"
    )
    assert list(answer.json["sections"]) == ["CONTEXT", "TASK", "RESPONSE"]
    assert answer.json["sections"]["RESPONSE"] == "Answer with plain text.\n\nOne paragraph."
    assert answer.json["warnings"] == ["input 'audience' is empty, and a prompt of the step refers to it"]
    assert answer.json["metadata"] == {
        "input_format": "fields-in",
        "output_format": "text-out",
        "field_mapping": {"seed_idea": "Seed Idea"},
        "length": len(answer.json["prompt"]),
    }
    assert answer.json["fallback"] is None
    assert answer.json["model"] == "llama3.1:8b"
    assert wire.requests == []


def test_a_preview_without_a_required_field_is_the_simple_prompt(client: Any, events: list[dict[str, Any]]) -> None:
    post = new_post(client, audience="all")
    answer = client.post(f"/api/posts/{post}/steps/concept/preview", json={})
    assert answer.json["prompt"] == "You are an editor.\n\nWrite a concept for all.\n\naudience: all"
    assert answer.json["fallback"] == {"reason": "PromptConstructionError"}
    assert answer.json["sections"] == {}
    assert value_of(client, 'blog_fallbacks_total{reason="PromptConstructionError"}') == 1
    assert value_of(client, 'blog_template_usage_total{template="text-out"}') == 0
    (event,) = (event for event in events if event["event"] == "prompt.fallback")
    assert event["reason"] == "PromptConstructionError"
    assert event["problems"] == ["input 'seed_idea' (Seed Idea) is required and has no text"]
    assert event["request_id"] == answer.headers["X-Request-ID"]


def test_fields_that_no_post_holds_have_the_prompt_that_a_post_with_them_has(client: Any, http: Any) -> None:
    post = new_post(client, seed_idea="Roads", unrelated="x")
    of_post = client.post(f"/api/posts/{post}/steps/concept/preview").json
    answer = client.post("/api/steps/concept/preview", json={"fields": {"seed_idea": "Roads", "unrelated": "x"}})
    assert (answer.status_code, answer.json) == (200, of_post)
    assert [one["id"] for one in client.get("/api/posts").json["posts"]] == [1, post]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/api/steps/nothing/preview", {}, 404, None),
        ("/api/steps/concept/preview", [], 400, "body"),
        ("/api/steps/concept/preview", {"inputs": {}}, 400, "inputs"),
        ("/api/steps/concept/preview", {"fields": {"seed_idea": 5}}, 400, "fields.seed_idea"),
    ],
)
def test_a_wrong_preview_of_fields_is_refused(
    client: Any, path: str, body: Any, status: int, field: str | None
) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json["error"].get("field")) == (status, field)


@pytest.mark.usefixtures("wire")
def test_posts_are_listed_by_the_beginning_of_their_titles(make_app: Any, database_url: str) -> None:
    client = make_app(DATABASE_URL=database_url).test_client()
    titles = ["50% off", "50 ways", "a_b", "acb", "A_b", "50%"]
    made = {title: client.post("/api/posts", json={"title": title}).json["id"] for title in titles}

    def listed(**query: object) -> list[str]:
        posts = client.get("/api/posts", query_string=query).json["posts"]
        return [one["title"] for one in posts if one["id"] in made.values()]

    assert listed(title="50%") == ["50% off", "50%"]
    assert listed(title="a_") == ["a_b"]
    assert listed(title="50%", after=made["50% off"]) == ["50%"]
    assert listed() == titles
    assert listed(after=10**30) == []
    assert client.get("/api/posts?after=x").json["error"]["field"] == "after"
    assert client.get("/api/posts?title=%00").json["error"]["field"] == "title"


def test_a_list_of_posts_goes_on_where_it_ended(client: Any) -> None:
    for number in range(100):
        client.post("/api/posts", json={"title": f"post {number}"})
    first = client.get("/api/posts?title=post").json["posts"]
    assert len(first) == 100
    assert client.get(f"/api/posts?title=post&after={first[-1]['id']}").json["posts"] == []
    assert len(client.get(f"/api/posts?after={first[49]['id']}").json["posts"]) == 50


@pytest.mark.parametrize("action", ["preview", "run"])
def test_a_step_takes_no_body(client: Any, action: str) -> None:
    for body in (b"{", b'{"seed_idea": "x"}', b"[]"):
        answer = client.post(f"/api/posts/1/steps/concept/{action}", data=body)
        assert (answer.status_code, answer.json["error"]["field"]) == (400, "body")


def test_a_run_answers_with_its_output_and_can_be_read(client: Any, wire: Any, http: Any) -> None:
    wire.script = [http({"response": 'Here:\n["früh", "spät"]', "done": True})]
    post = new_post(client, basic_idea="Roads")
    answer = client.post(f"/api/posts/{post}/steps/facts/run")
    assert answer.status_code == 200
    run = answer.json["run_id"]
    assert answer.json == {
        "run_id": run,
        "status": "succeeded",
        "output": ["früh", "spät"],
        "output_field": "facts",
        "fallback": None,
        "attempts": 1,
    }
    record = client.get(f"/api/runs/{run}").json
    assert record.pop("seconds") >= 0
    assert record.pop("started_at").endswith("+00:00")
    assert record == {
        "id": run,
        "post_id": post,
        "step": "facts",
        "model": "llama3.1:70b",
        "status": "succeeded",
        "prompt": wire.requests[0][1]["prompt"],
        "reply": 'Here:\n["früh", "spät"]',
        "output": ["früh", "spät"],
        "error": None,
        "fallback": None,
        "attempts": 1,
    }
    assert client.get(f"/api/posts/{post}").json["fields"]["facts"] == '["früh", "spät"]'
    client.delete(f"/api/posts/{post}")
    assert client.get(f"/api/runs/{run}").status_code == 404


def test_a_run_falls_back_where_construction_fails(
    client: Any, wire: Any, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(step: object, inputs: object) -> None:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr("app.workflow.scripts.llm_processor.construct_prompt", broken)
    wire.script = [http({"response": "A concept.", "done": True})]
    post = new_post(client, seed_idea="Roads")
    answer = client.post(f"/api/posts/{post}/steps/concept/run")
    assert answer.json["fallback"] == {"reason": "ZeroDivisionError"}
    assert wire.requests[0][1]["prompt"] == "You are an editor.\n\nWrite a concept for .\n\nseed_idea: Roads"
    assert client.get(f"/api/runs/{answer.json['run_id']}").json["fallback"] == {"reason": "ZeroDivisionError"}
    assert value_of(client, 'blog_fallbacks_total{reason="ZeroDivisionError"}') == 1


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [("hang", 504, "llm-timeout"), ("reset", 502, "llm-unreachable"), ("bad", 502, "reply-invalid")],
)
def test_a_fault_of_the_model_is_an_error_that_says_where(
    make_app: Any, wire: Any, http: Any, answer: str, status: int, code: str
) -> None:
    timeout = 0.3 if answer == "hang" else 5
    client = make_app(LLM_BASE_URL=wire.url, LLM_RETRIES=0, LLM_TIMEOUT=timeout).test_client()
    wire.script = [http({"response": "no list", "done": True}) if answer == "bad" else answer]
    post = new_post(client, basic_idea="Roads")
    refused = client.post(f"/api/posts/{post}/steps/facts/run")
    assert refused.status_code == status
    error = refused.json["error"]
    assert set(error) == {"code", "message", "step", "model", "attempt", "cause", "run_id"}
    assert (error["code"], error["step"], error["model"], error["attempt"]) == (code, "facts", "llama3.1:70b", 1)
    record = client.get(f"/api/runs/{error['run_id']}").json
    assert record["status"] == "failed"
    assert record["error"] == {"code": code, "message": error["cause"]}
    assert record["reply"] == ("no list" if answer == "bad" else None)
    assert record["output"] is None
    assert client.get(f"/api/posts/{post}").json["fields"] == {"basic_idea": "Roads"}
    assert value_of(client, f'blog_errors_total{{kind="{code}"}}') == 1
    assert value_of(client, 'blog_runs_total{status="failed",step="facts"}') == 1


def test_health_readiness_and_version(client: Any, tmp_path: Path) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready"}
    told = client.get("/version").json
    assert (told["version"], told["python"]) == ("2.0.0", platform.python_version())
    assert told["dependencies"]["flask"] == importlib.metadata.version("flask")
    assert "requests" in told["dependencies"]


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.sqlite3", "postgresql+psycopg://nobody@127.0.0.1:1/none"])
def test_without_a_database_nothing_but_health_is_served(url: str, events: list[dict[str, Any]]) -> None:
    from app.factory import create_app

    app = create_app({"DATABASE_URL": url, "LOG_SINK": events.append})
    client: Any = app.test_client()
    assert client.get("/healthz").status_code == 200
    for path in ("/readyz", "/api/steps"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.json["error"]["code"] == "database-unavailable"
    assert value_of(client, 'blog_errors_total{kind="database-unavailable"}') == 1
    told = [event for event in events if event["event"] == "database.unavailable"]
    assert [(event["kind"], event["route"]) for event in told] == [
        ("database-unavailable", "/readyz"),
        ("database-unavailable", "/api/steps"),
    ]


def test_a_database_without_tables_is_not_ready(make_app: Any, events: list[dict[str, Any]], tmp_path: Path) -> None:
    from app.factory import create_app

    app = create_app({"DATABASE_URL": "sqlite://", "LOG_SINK": events.append})
    assert app.test_client().get("/readyz").status_code == 503
    app.extensions["blog"].database.close()


def test_what_nobody_foresaw_is_an_error_without_a_trace(
    app: Flask, monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]]
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr("app.repository.list_steps", broken)
    client: Any = app.test_client()
    answer = client.get("/api/steps", headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == 500
    assert answer.json["error"]["code"] == "internal-error"
    assert "secret" not in answer.get_data(as_text=True)
    assert value_of(client, 'blog_errors_total{kind="internal-error"}') == 1
    (event,) = (event for event in events if event["event"] == "request.failed")
    assert event["request_id"] == "abc-1"
    assert (event["kind"], event["error"], event["route"]) == ("internal-error", "ZeroDivisionError", "/api/steps")
    assert event["exception"]["type"] == "ZeroDivisionError"
    assert event["exception"]["frames"][-2].startswith("app/views.py:")
    assert "secret internals" not in json.dumps(events)


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü"])
def test_a_request_without_a_usable_id_gets_one(client: Any, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.headers["X-Request-ID"] != given


def test_metrics_count_constructions_runs_and_templates(client: Any, wire: Any, http: Any) -> None:
    wire.script = [http({"response": "A concept.", "done": True})]
    post = new_post(client, seed_idea="Roads")
    client.post(f"/api/posts/{post}/steps/concept/preview")
    client.post(f"/api/posts/{post}/steps/concept/run")
    assert value_of(client, 'blog_prompt_construction_seconds_count{step="concept"}') == 2
    assert value_of(client, 'blog_prompt_construction_seconds_bucket{le="0.0001",step="concept"}') <= 2
    for edge in ("0.001", "0.01", "0.1", "+Inf"):
        assert f'le="{edge}"' in client.get("/metrics").get_data(as_text=True)
    assert value_of(client, 'blog_runs_total{status="succeeded",step="concept"}') == 1
    assert value_of(client, 'blog_template_usage_total{template="fields-in"}') == 2
    assert value_of(client, 'blog_template_usage_total{template="text-out"}') == 2
    assert client.get("/metrics").mimetype == "text/plain"


def test_two_applications_share_nothing(make_app: Any) -> None:
    first, second = make_app().test_client(), make_app().test_client()
    post = new_post(first, seed_idea="Roads")
    first.post(f"/api/posts/{post}/steps/concept/preview")
    assert value_of(first, 'blog_prompt_construction_seconds_count{step="concept"}') == 1
    assert value_of(second, 'blog_prompt_construction_seconds_count{step="concept"}') == 0
    assert second.get(f"/api/posts/{post}").status_code == 404


def test_logs_are_json_lines_with_one_event_per_construction_and_run(make_app: Any, wire: Any, http: Any) -> None:
    stream = io.StringIO()
    wire.script = [http({"response": "A concept.", "done": True})]
    client = make_app(LLM_BASE_URL=wire.url, LOG_SINK=None, LOG_STREAM=stream, LOG_LEVEL="INFO").test_client()
    post = new_post(client, seed_idea="Very private roads")
    answer = client.post(f"/api/posts/{post}/steps/concept/run")
    created, constructed, finished, request = (json.loads(line) for line in stream.getvalue().splitlines())
    assert created["event"] == "request.finished"
    assert constructed["event"] == "prompt.constructed"
    assert finished["event"] == "run.finished"
    assert request["event"] == "request.finished"
    assert (request["method"], request["status"]) == ("POST", 200)
    assert request["route"] == "/api/posts/<int:post_id>/steps/<step_id>/run"
    for event in (constructed, finished, request):
        assert event["release"] == "2.0.0"
        assert event["step"] == "concept"
        assert event["request_id"] == answer.headers["X-Request-ID"]
        assert (event["input_format"], event["output_format"]) == ("fields-in", "text-out")
        assert event["level"] == "info"
    assert (finished["status"], finished["run"], finished["attempts"]) == ("succeeded", answer.json["run_id"], 1)
    assert "private" not in stream.getvalue()


def test_the_text_of_a_prompt_is_logged_for_debugging_only(client: Any, events: list[dict[str, Any]]) -> None:
    post = new_post(client, seed_idea="Very private roads")
    client.post(f"/api/posts/{post}/steps/concept/preview")
    assert [event["event"] for event in events if "private" in json.dumps(event)] == ["prompt.text"]
    assert [event["level"] for event in events if event["event"] == "prompt.text"] == ["debug"]


def test_logs_go_to_stderr_where_nothing_else_is_said(make_app: Any, capsys: pytest.CaptureFixture[str]) -> None:
    client = make_app(LOG_SINK=None, LOG_LEVEL="INFO").test_client()
    client.post("/api/posts/1/steps/concept/preview")
    captured = capsys.readouterr()
    events = [json.loads(line)["event"] for line in captured.err.splitlines()]
    assert events == ["prompt.constructed", "request.finished"]
    assert captured.out == ""


def test_requests_at_the_same_time_do_not_disturb_each_other(
    make_app: Any, database_url: str, wire: Any, http: Any
) -> None:
    wire.script = [http({"response": "A concept.", "done": True})]
    app = make_app(DATABASE_URL=database_url, LLM_BASE_URL=wire.url)
    statuses: list[int] = []

    def work() -> None:
        client: Any = app.test_client()
        statuses.extend(client.post("/api/posts/1/steps/concept/run").status_code for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20
    client: Any = app.test_client()
    assert value_of(client, 'blog_runs_total{status="succeeded",step="concept"}') == 20
    assert client.get("/api/posts/1").json["fields"]["basic_idea"] == "A concept."
