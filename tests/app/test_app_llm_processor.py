"""The processor: the fallback, what a run stores, and what a failed one leaves alone."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from app import repository
from app.errors import LLMError, NotFound
from app.models import Post, PostField, Run
from app.services import Services
from app.workflow.definitions import FormatTemplate, InputField, Step
from app.workflow.llm_client import LLMClient
from app.workflow.scripts import llm_processor
from app.workflow.scripts.llm_processor import build_prompt, run_step, simple_prompt
from app.workflow.scripts.prompt_constructor import construct_prompt

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "fixtures" / "releases" / "1.9.0"

STEP = Step(
    id="concept",
    name="Concept",
    stage="Planning",
    substage="Idea",
    order=1,
    model="llama3.1:8b",
    system_prompt="\nYou are an editor.\n",
    task_prompt="About [data:idea], not [data:other] or [data:.\n",
    input_format=FormatTemplate("fields", "Fields", "Named fields.", "input", "Read them.", {}),
    output_format=FormatTemplate("list", "List", "A list.", "output", "Answer with JSON.", {"type": "array"}),
    inputs=(InputField("idea", "Basic Idea", required=True), InputField("tone", "Tone")),
    output_field="concept",
)
GOOD = replace(STEP, task_prompt="About [data:idea].")


def previous_release() -> ModuleType:
    file = OVERLAY / "app" / "workflow" / "scripts" / "llm_processor.py"
    spec = importlib.util.spec_from_file_location("previous_llm_processor", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PREVIOUS = previous_release()


# --- prompts ---------------------------------------------------------------------------------------------------------


def test_the_simple_prompt_is_exact_to_the_byte() -> None:
    assert simple_prompt(STEP, {"idea": "a\nRESPONSE: ", "tone": "dry", "other": "x"}) == (
        "You are an editor.\n\nAbout a\nRESPONSE: , not [data:other] or [data:.\n\nidea: a\nRESPONSE: \ntone: dry"
    )


def test_empty_parts_of_the_simple_prompt_go_with_their_separator() -> None:
    assert simple_prompt(replace(STEP, system_prompt=" "), {}) == "About , not [data:other] or [data:."
    assert simple_prompt(replace(STEP, task_prompt=""), {"idea": "\n"}) == "You are an editor."
    assert simple_prompt(replace(STEP, system_prompt="", task_prompt=""), {"tone": "dry"}) == "tone: dry"
    assert simple_prompt(replace(STEP, system_prompt="", task_prompt=""), {}) == ""


MESSY = st.text(st.sampled_from("ab[]: \n\0\ud800") | st.characters(), max_size=12) | st.sampled_from(
    ["[data:idea]", "[data:tone", "[data:[data:idea]]", "[data:]", "x [data: idea] [data:tone]"]
)


@given(MESSY, MESSY, st.dictionaries(st.sampled_from(["idea", "tone", "other"]), MESSY))
def test_the_simple_prompt_is_what_the_previous_release_sends(system: str, task: str, inputs: dict[str, str]) -> None:
    step = replace(STEP, system_prompt=system, task_prompt=task)
    built = PREVIOUS.build_prompt(step, inputs)
    assert built.text == simple_prompt(step, inputs)
    assert built.constructed is None
    assert built.fallback_reason is None


@pytest.mark.parametrize("value", [None, 5, b"x", ["x"]])
def test_both_releases_cope_alike_with_an_input_that_is_no_text(value: object) -> None:
    inputs: Any = {"idea": value}
    built = build_prompt(GOOD, inputs)
    assert built.fallback_reason == "PromptConstructionError"
    assert built.text == PREVIOUS.build_prompt(GOOD, inputs).text


def test_a_good_step_gets_the_constructed_prompt() -> None:
    built = build_prompt(GOOD, {"idea": "roads"})
    assert built.fallback_reason is None
    assert built.constructed == construct_prompt(GOOD, {"idea": "roads"})
    assert built.text == built.constructed.text


GOOD_PROMPT = construct_prompt(GOOD, {"idea": "roads"})


def raising(error: BaseException) -> Callable[..., object]:
    def fail(step: object, inputs: object) -> object:
        raise error

    return fail


def emptying(step: Step, inputs: Any) -> object:
    inputs.clear()
    return GOOD_PROMPT


FAULTS: list[tuple[Callable[..., object], str]] = [
    (raising(ValueError("secret internals")), "ValueError"),
    (raising(KeyError("idea")), "KeyError"),
    (raising(RecursionError()), "RecursionError"),
    (raising(MemoryError()), "MemoryError"),
    (raising(AssertionError()), "AssertionError"),
    (raising(StopIteration()), "StopIteration"),
    (raising(SystemExit("secret internals")), "SystemExit"),
    (emptying, "AttributeError"),
    (lambda step: GOOD_PROMPT, "TypeError"),
    *(
        (lambda step, inputs, result=result: result, "invalid-result")
        for result in (
            None,
            "a text",
            {"text": GOOD_PROMPT.text},
            GOOD_PROMPT._replace(text=None),  # type: ignore[arg-type]
            GOOD_PROMPT._replace(text=b"CONTEXT:\nTASK:\nRESPONSE:\n"),  # type: ignore[arg-type]
            GOOD_PROMPT._replace(text=""),
            GOOD_PROMPT._replace(text="CONTEXT:\na\n\nTASK:\nb\n"),
            GOOD_PROMPT._replace(text="TASK:\na\n\nCONTEXT:\nb\n\nRESPONSE:\nc\n"),
            GOOD_PROMPT._replace(text="CONTEXT:\na\n\nRESPONSE:\nb\n\nTASK:\nc\n"),
            GOOD_PROMPT._replace(text=GOOD_PROMPT.text + "\nTASK:\nagain\n"),
            GOOD_PROMPT._replace(text=GOOD_PROMPT.text + "TASK:"),
            GOOD_PROMPT._replace(text="CONTEXT:\na\n\nTASK:\nb\n\nRESPONSE:"),
            GOOD_PROMPT._replace(text="CONTEXT:\n" + GOOD_PROMPT.text),
            GOOD_PROMPT._replace(text=GOOD_PROMPT.text.replace("TASK:", " TASK:")),
        )
    ),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_every_failure_of_the_constructor_ends_in_the_simple_prompt(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[..., object], reason: str
) -> None:
    monkeypatch.setattr("app.workflow.scripts.llm_processor.construct_prompt", fault)
    inputs = {"idea": "roads"}
    built = build_prompt(GOOD, inputs)
    assert built.text == PREVIOUS.build_prompt(GOOD, inputs).text
    assert "secret" not in built.text
    assert built.fallback_reason == reason
    assert built.constructed is None
    assert inputs == {"idea": "roads"}


@pytest.mark.parametrize("text", ["CONTEXT:\nTASK:\nRESPONSE:\n.", "hello\nCONTEXT:\n\nTASK:\nx\nRESPONSE:\ny"])
def test_headings_once_each_in_order_are_all_that_a_result_needs(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(llm_processor, "construct_prompt", lambda step, inputs: GOOD_PROMPT._replace(text=text))
    assert build_prompt(GOOD, {"idea": "roads"}).text == text


def test_a_wish_to_stop_is_not_a_failure_of_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_processor, "construct_prompt", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        build_prompt(GOOD, {"idea": "roads"})


@pytest.mark.parametrize(
    "change",
    [{"system_prompt": None}, {"task_prompt": None}, {"input_format": None}, {"output_format": STEP.input_format}],
)
def test_a_broken_step_ends_in_the_simple_prompt(change: dict[str, Any]) -> None:
    step = replace(GOOD, **change)
    built = build_prompt(step, {"idea": "roads"})
    assert built.fallback_reason == "PromptConstructionError"
    assert built.problems
    assert built.text == PREVIOUS.build_prompt(step, {"idea": "roads"}).text


# --- runs, on both databases -----------------------------------------------------------------------------------------


@pytest.fixture
def services(make_app: Any, database_url: str, wire: Any) -> Services:
    app = make_app(DATABASE_URL=database_url, LLM_BASE_URL=wire.url, LLM_RETRIES=1)
    services: Services = app.extensions["blog"]
    return services


def add_post(services: Services, **fields: str) -> int:
    with services.database.writing() as session:
        post = Post(title="A post", fields=[PostField(name=name, value=value) for name, value in fields.items()])
        session.add(post)
        session.flush()
        return post.id


def fields_of(services: Services, post_id: int) -> Mapping[str, str]:
    with services.database.reading() as session:
        rows = session.execute(select(PostField.name, PostField.value).where(PostField.post_id == post_id))
        return {name: value for name, value in rows}  # noqa: C416  # rows are not typed as pairs


def runs_of(services: Services, post_id: int) -> list[Run]:
    with services.database.reading() as session:
        return list(session.scalars(select(Run).where(Run.post_id == post_id)))


def test_a_run_stores_the_output_and_its_record(services: Services, wire: Any, http: Any) -> None:
    wire.script = [http({"response": '```json\n["früh", "späte Straße 🛣"]\n```', "done": True})]
    post = add_post(services, basic_idea="Straßen", facts="old")
    outcome = run_step(services, post, "facts")
    assert outcome.output == ["früh", "späte Straße 🛣"]
    assert (outcome.output_field, outcome.attempts, outcome.fallback_reason) == ("facts", 1, None)
    assert fields_of(services, post) == {"basic_idea": "Straßen", "facts": '["früh", "späte Straße 🛣"]'}
    (run,) = runs_of(services, post)
    assert (run.id, run.status, run.step, run.model) == (outcome.run_id, "succeeded", "facts", "llama3.1:70b")
    assert run.prompt == wire.requests[0][1]["prompt"]
    assert run.reply == '```json\n["früh", "späte Straße 🛣"]\n```'
    assert json.loads(str(run.output_json)) == outcome.output
    assert run.started_at.tzinfo is not None
    assert run.seconds >= 0


def test_plain_text_is_stored_without_its_outer_white_space(services: Services, wire: Any, http: Any) -> None:
    wire.script = [http({"response": "\n A concept.\n\n[1] \n", "done": True})]
    post = add_post(services, seed_idea="Roads")
    assert run_step(services, post, "concept").output == "A concept.\n\n[1]"
    assert fields_of(services, post)["basic_idea"] == "A concept.\n\n[1]"


def test_no_transaction_is_open_while_the_model_thinks(
    services: Services, monkeypatch: pytest.MonkeyPatch, wire: Any, http: Any
) -> None:
    wire.script = [http({"response": "A concept.", "done": True})]
    post = add_post(services, seed_idea="Roads")
    in_use = []
    ask = services.llm.ask
    pool: Any = services.database.engine.pool

    def observed(question: Any) -> Any:
        in_use.append(pool.checkedout())
        return ask(question)

    monkeypatch.setattr(services.llm, "ask", observed)
    run_step(services, post, "concept")
    assert in_use == [0]


def ok(text: str) -> dict[str, object]:
    return {"response": text, "done": True}


LLM_FAULTS: dict[str, tuple[Callable[[Any], Any], str, int]] = {
    "reset": (lambda http: "reset", "llm-unreachable", 2),
    "reset in the body": (lambda http: (http(ok("x"), length=99), "reset"), "llm-unreachable", 2),
    "timeout": (lambda http: "hang", "llm-timeout", 1),
    "timeout in the body": (lambda http: (http(ok("x"), length=99), "hang"), "llm-timeout", 1),
    "429": (lambda http: http({}, 429, "Retry-After: 1\r\n"), "llm-rate-limited", 2),
    "500": (lambda http: http({}, 500), "llm-server-error", 2),
    "503": (lambda http: http({}, 503), "llm-server-error", 2),
    "400": (lambda http: http({"error": "invalid options"}, 400), "llm-server-error", 1),
    "401": (lambda http: http({"error": "unauthorized"}, 401), "llm-server-error", 1),
    "403": (lambda http: http(b"<html>no</html>", 403), "llm-server-error", 1),
    "404": (lambda http: http({"error": "model not found"}, 404), "llm-server-error", 1),
    "redirect": (lambda http: http({}, 302, "Location: /elsewhere\r\n"), "llm-server-error", 1),
    "malformed JSON": (lambda http: http(b'{"response": "A conc'), "llm-bad-response", 1),
    "truncated body": (lambda http: http(ok("A concept"), length=99), "llm-bad-response", 1),
    "not gzip": (lambda http: http(b"not gzip at all", 200, "Content-Encoding: gzip\r\n"), "llm-bad-response", 1),
    "invalid UTF-8": (lambda http: http(b'{"response": "caf\xe9", "done": true}'), "llm-bad-response", 1),
    "NUL": (lambda http: http(ok("a\0b")), "llm-bad-response", 1),
    "lone surrogate": (lambda http: http(ok("a\ud800b")), "llm-bad-response", 1),
    "no object": (lambda http: http([]), "llm-bad-response", 1),
    "error with status 200": (lambda http: http({"error": "out of memory"}), "llm-bad-response", 1),
    "no reply": (lambda http: http({"done": True}), "llm-bad-response", 1),
    "a reply that is no text": (lambda http: http({"response": 5}), "llm-bad-response", 1),
    "cut off": (lambda http: http({"response": "A con", "done_reason": "length"}), "llm-bad-response", 1),
    "cut off behind its JSON": (
        lambda http: http({**ok('["one", "two"]'), "done_reason": "length"}),
        "llm-bad-response",
        1,
    ),
    "not done": (lambda http: http({"response": "A con", "done": False}), "llm-bad-response", 1),
    "nesting": (lambda http: http(b"[" * 100_000), "llm-bad-response", 1),
    "empty reply": (lambda http: http(ok(" \n")), "llm-empty-reply", 1),
    "no JSON": (lambda http: http(ok("I cannot do that.")), "reply-invalid", 1),
    "wrong schema": (lambda http: http(ok('["only one"]')), "reply-invalid", 1),
    "surrogate in the JSON": (lambda http: http(ok('["abc", "\\ud800bc"]')), "reply-invalid", 1),
}


@pytest.mark.parametrize("fault", LLM_FAULTS)
def test_a_fault_of_the_model_leaves_the_fields_as_they_were(
    services: Services, wire: Any, http: Any, fault: str, events: list[dict[str, Any]]
) -> None:
    answer, code, attempts = LLM_FAULTS[fault]
    if code == "llm-timeout":  # only where it is waited for: a busy machine may take its time over all others
        services = replace(services, llm=LLMClient(replace(services.settings, llm_timeout=0.3)))
    wire.script = [answer(http)]
    post = add_post(services, basic_idea="Roads", facts="old")
    before = fields_of(services, post)
    with pytest.raises(LLMError) as caught:
        run_step(services, post, "facts")
    error = caught.value
    assert (error.code, error.attempt, error.step, error.model) == (code, attempts, "facts", "llama3.1:70b")
    assert error.cause
    assert fields_of(services, post) == before
    (run,) = runs_of(services, post)
    assert (run.id, run.status, run.error_code, run.attempts) == (error.run_id, "failed", code, attempts)
    assert run.error_message == error.cause
    assert run.output_json is None
    assert run.prompt.startswith("CONTEXT:\n")
    assert len(wire.requests) == attempts
    finished = [event for event in events if event["event"] == "run.finished"]
    assert [(event["status"], event["error"]) for event in finished] == [("failed", code)]


def test_a_model_that_is_not_there_is_unreachable(make_app: Any) -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets the port
        app = make_app(LLM_BASE_URL=f"http://127.0.0.1:{nobody.getsockname()[1]}", LLM_RETRIES=2)
        services = app.extensions["blog"]
        post = add_post(services, seed_idea="Roads")
        with pytest.raises(LLMError, match="refused") as caught:
            run_step(services, post, "concept")
    assert (caught.value.code, caught.value.attempt) == ("llm-unreachable", 3)


def test_a_second_attempt_that_succeeds_is_a_success(services: Services, wire: Any, http: Any) -> None:
    wire.script = [http({}, 503), http(ok("A concept."))]
    post = add_post(services, seed_idea="Roads")
    assert run_step(services, post, "concept").attempts == 2
    assert wire.requests[0] == wire.requests[1]
    assert runs_of(services, post)[0].attempts == 2


@pytest.mark.parametrize("reply", ["A concept.", " "])
def test_a_post_deleted_while_the_model_thinks_is_not_found(
    services: Services, monkeypatch: pytest.MonkeyPatch, wire: Any, http: Any, reply: str
) -> None:
    wire.script = [http(ok(reply))]
    post = add_post(services, seed_idea="Roads")
    ask = services.llm.ask

    def deleting(question: Any) -> Any:
        with services.database.writing() as session:
            session.execute(delete(Post).where(Post.id == post))
        return ask(question)

    monkeypatch.setattr(services.llm, "ask", deleting)
    with pytest.raises(NotFound, match="no post"):
        run_step(services, post, "concept")
    with services.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 0


def test_output_and_record_are_stored_together_or_not_at_all(
    services: Services, monkeypatch: pytest.MonkeyPatch, wire: Any, http: Any
) -> None:
    wire.script = [http(ok("A concept."))]
    post = add_post(services, seed_idea="Roads")
    add_run = repository.add_run
    monkeypatch.setattr(
        "app.workflow.runs.repository.add_run", lambda session, run: add_run(session, {**run, "status": None})
    )
    with pytest.raises(Exception, match=r"(?i)not.null"):
        run_step(services, post, "concept")
    assert fields_of(services, post) == {"seed_idea": "Roads"}
    assert runs_of(services, post) == []


def test_a_configured_model_replaces_the_step_s(make_app: Any, wire: Any, http: Any) -> None:
    wire.script = [http(ok("A concept."))]
    services = make_app(LLM_BASE_URL=wire.url, LLM_MODEL="llama3.1:405b").extensions["blog"]
    post = add_post(services, seed_idea="Roads")
    run_step(services, post, "concept")
    assert wire.requests[0][1]["model"] == "llama3.1:405b"
    assert runs_of(services, post)[0].model == "llama3.1:405b"


# --- the previous release --------------------------------------------------------------------------------------------


def test_the_previous_release_runs_and_stores(services: Services, wire: Any, http: Any) -> None:
    wire.script = [http(ok("A concept.")), http(ok(" "))]
    post = add_post(services, seed_idea="Roads")
    outcome = PREVIOUS.run_step(services, post, "concept")
    assert (outcome.output, outcome.fallback_reason) == ("A concept.", None)
    assert fields_of(services, post)["basic_idea"] == "A concept."
    assert wire.requests[0][1]["prompt"] == "You are an editor.\n\nWrite a concept for .\n\nseed_idea: Roads"
    with pytest.raises(LLMError):
        PREVIOUS.run_step(services, post, "concept")
    task, built = PREVIOUS.preview_step(services, post, "concept")
    assert task.release == "1.9.0"
    assert built.text == wire.requests[0][1]["prompt"]


def test_the_previous_release_is_an_overlay_of_one_file(tmp_path: Path, workflows: Path, posts: Path) -> None:
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(OVERLAY, tmp_path, dirs_exist_ok=True)
    assert [file for file in OVERLAY.rglob("*") if file.is_file() and "__pycache__" not in file.parts] == [
        OVERLAY / "app" / "workflow" / "scripts" / "llm_processor.py"
    ]
    code = f"""
from pathlib import Path
import app
from app.seed import init_db
assert Path(app.__file__).parent == Path({str(tmp_path / "app")!r}), app.__file__
made = app.create_app({{"WORKFLOWS": {str(workflows)!r}, "POSTS": {str(posts)!r}}})
services = made.extensions["blog"]
init_db(services.database, services.settings)
client = made.test_client()
print(app.__version__, client.get("/version").get_json()["version"])
print(client.post("/api/posts/1/steps/concept/preview").get_json()["prompt"])
services.database.close()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "1.9.0 1.9.0\nYou are an editor.\n\nWrite a concept for .\n\nseed_idea: How straight are Roman roads?\n"
    )
    assert (tmp_path / "instance" / "blog.sqlite3").exists()
