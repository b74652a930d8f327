"""The application as it is deployed: under gunicorn with ``app.server``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from served_application import ROOT, Served, metric_in, no_objects, served, telling, until

from app.database import Database
from app.seed import init_db
from app.server import release_here
from app.settings import Settings
from app.workflow.scripts.llm_processor import RELEASE

MARK = "Zarquon"  # stands in every text that no line may hold
OVERLAY = ROOT / "fixtures" / "releases" / "1.9.0"
PREVIEW = "/api/steps/concept/preview"


@pytest.fixture
def settings(tmp_path: Path, workflows: Path, posts: Path) -> dict[str, str]:
    """What the environment of a server says: a database that is filled."""
    return filled(f"sqlite:///{tmp_path / 'blog.sqlite3'}", workflows, posts)


def filled(url: str, workflows: Path, posts: Path) -> dict[str, str]:
    with closing(Database(url)) as database:
        init_db(database, Settings(workflows=workflows, posts=posts))
    return {"BLOG_DATABASE_URL": url, "BLOG_LLM_BACKOFF": "0", "BLOG_LLM_TIMEOUT": "5"}


class Load:
    """Previews on connections of their own, from several threads, until it is over."""

    def __init__(self, server: Served) -> None:
        self.sent = self.answered = 0
        self._server = server
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(4)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self) -> None:
        while not self._over.is_set():
            with self._lock:
                self.sent += 1
            with suppress(requests.RequestException):  # one that the killed worker had begun
                answer = self._server.ask("POST", PREVIEW, json={"fields": {"seed_idea": "Roads"}})
                with self._lock:
                    self.answered += answer.status_code == 200


@pytest.mark.slow
def test_no_count_is_lost_when_a_worker_is_killed(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    seen: list[float] = []
    with served(tmp_path, {**settings, "BLOG_METRICS_DIR": str(folder)}, "--workers", "2") as server:
        server.wait_for_workers(2)
        killed, other = server.workers()
        with Load(server) as load:
            until(lambda: all((folder / f"histogram_{pid}.db").exists() for pid in (killed, other)))
            os.kill(killed, signal.SIGKILL)
            server.wait_for_workers(3)
            young = server.workers()[2]

            def counted() -> bool:
                with suppress(requests.RequestException):
                    seen.append(server.metric('blog_prompt_construction_seconds_count{step="concept"}'))
                return (folder / f"histogram_{young}.db").exists()

            until(counted)
        page = server.ask("GET", "/metrics").text
        chosen = server.ask("GET", "/metrics?name[]=blog_template_usage_total").text
        assert not (folder / f"gauge_livemax_{killed}.db").exists()
        assert (folder / f"histogram_{killed}.db").exists()
        assert server.stop() == 0
    constructions = metric_in(page, 'blog_prompt_construction_seconds_count{step="concept"}')
    assert load.answered <= constructions <= load.sent
    assert load.answered > 0
    assert seen == sorted(seen)  # a counter never goes back
    assert metric_in(page, 'blog_template_usage_total{template="text-out"}') == constructions
    assert metric_in(page, "blog_release_info") == 1
    assert 10**7 < metric_in(page, "blog_resident_memory_bytes") < 10**10
    assert metric_in(chosen, 'blog_template_usage_total{template="text-out"}') == constructions
    assert "blog_runs" not in chosen
    assert no_objects(server.lines) == []
    (sent,) = (event for event in server.events if "was sent" in str(event.get("message")))
    assert (sent["level"], sent["message"]) == (
        "error",
        f"Worker (pid:{killed}) was sent SIGKILL! Perhaps out of memory?",
    )


def test_workers_that_each_count_for_themselves_are_warned_of(settings: dict[str, str], tmp_path: Path) -> None:
    with served(tmp_path, settings, "--workers", "2") as server:
        server.wait_for_workers(2)
        os.kill(server.process.pid, signal.SIGHUP)  # which sets the logger up anew
        server.wait_for_workers(4)
        assert server.ask("GET", "/healthz").status_code == 200
        server.stop()
    assert no_objects(server.lines) == []
    assert len({(event["time"], event.get("pid"), str(event)) for event in server.events}) == len(server.events)
    (warned,) = (event for event in server.events if event["level"] == "warning")
    assert warned["message"] == "2 workers keep their metrics each on its own; name a folder in BLOG_METRICS_DIR"


def do_everything(server: Served, wire: Any, http: Any, url: str) -> None:
    """Every kind of request, each with a text that no line may hold; in the end errors of the database."""
    said = [
        http({"response": f"{MARK} said", "done": True}),
        http({"response": f"{MARK} is no list", "done": True}),
        http({"error": MARK}, 400),
        http({"error": MARK}),
        MARK.encode(),
    ]
    wire.script = said
    created = server.ask(
        "POST", "/api/posts", json={"title": MARK, "fields": {"seed_idea": MARK, "basic_idea": f"{MARK}\n"}}
    )
    post = created.json()["id"]
    statuses = [
        server.ask("POST", f"/api/posts/{post}/steps/{step}/run").status_code
        for step in ("concept", "facts", "facts", "facts", "facts")
    ]
    assert statuses == [200, 502, 502, 502, 502]
    asked = [
        ("GET", f"/api/posts/{post}"),
        ("GET", f"/api/posts?title={MARK}"),
        ("POST", f"/api/posts/{post}/steps/concept/preview"),
        ("POST", f"/api/posts/{post}/steps/facts/preview"),
        ("POST", f"/api/posts/{post}/steps/{MARK}/run"),
        ("GET", f"/{MARK}/x?{MARK}={MARK}"),
        (MARK.upper(), "/api/posts"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
        ("GET", "/version"),
    ]
    for method, path in asked:
        server.ask(method, path, headers={"Authorization": f"Bearer {MARK}", "Cookie": MARK, "Referer": MARK})
    server.ask("POST", PREVIEW, json={"fields": {"audience": MARK}})
    server.ask("POST", "/api/posts", data=f'{{"{MARK}'.encode())
    host = server.url.removeprefix("http://").split(":")
    for raw in (f"GET /{MARK} HTTP/1.1\r\n{MARK} {MARK}: x\r\n\r\n", f"{MARK}\r\n\r\n", f"GET {MARK} HTTP/9.9\r\n\r\n"):
        with closing(socket.create_connection((host[0], int(host[1])), timeout=30)) as connection:
            connection.sendall(raw.encode())
            while connection.recv(65536):
                pass
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP TABLE post_fields")
    refused = server.ask("POST", "/api/posts", json={"title": MARK, "fields": {"seed_idea": MARK}})
    assert refused.status_code == 500  # an error whose message would hold the statement and what was to be stored
    assert server.ask("POST", f"/api/posts/{post}/steps/concept/run").status_code == 500


@pytest.fixture
def postgres(postgres_server: str, workflows: Path, posts: Path, wire: Any) -> dict[str, str]:
    """A database whose URL holds a password, and the model of this test."""
    with psycopg.connect(postgres_server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    url = postgres_server.replace("postgres@", f"postgres:{MARK}@")
    return {**filled(url, workflows, posts), "BLOG_LLM_BASE_URL": wire.url, "BLOG_LLM_RETRIES": "0"}


def test_no_line_holds_a_text_or_a_secret(postgres: dict[str, str], tmp_path: Path, wire: Any, http: Any) -> None:
    with served(tmp_path, postgres, "--access-logfile", "-") as server:
        server.wait_for_workers(1)
        do_everything(server, wire, http, postgres["BLOG_DATABASE_URL"])
        assert server.metric('blog_errors_total{kind="internal-error"}') == 2
        assert server.metric('blog_runs_total{status="failed"}') == 5
        server.stop()
    assert no_objects(server.lines) == []
    assert telling(server.lines, [MARK, MARK.upper()]) == []
    told = {event["event"] for event in server.events}
    assert told >= {
        *("server.log", "server.ready", "server.access", "request.finished", "request.failed"),
        *("prompt.constructed", "prompt.fallback", "run.finished"),
    }
    assert any(event.get("message") == "Invalid request from ip=127.0.0.1" for event in server.events)
    for event in server.events:
        assert event["release"] == RELEASE
        if event["event"].startswith(("request.", "run.", "prompt.")):
            assert event["request_id"]
        if event["level"] == "error":
            assert event["kind"]
            assert len(event["fingerprint"]) == 12


def test_texts_and_plain_lines_are_found_where_they_are_let_through(
    postgres: dict[str, str], tmp_path: Path, wire: Any, http: Any
) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        "from gunicorn.glogging import Logger\n\nfrom app.server import *\n\nlogger_class = Logger\n"
        'loglevel = "info"\npost_worker_init = lambda worker: worker.log.info("a worker serves")\n',
        encoding="utf-8",
    )
    with served(tmp_path, {**postgres, "BLOG_LOG_LEVEL": "DEBUG"}, config=str(config)) as server:
        server.wait_for(lambda: any("a worker serves" in line for line in server.lines))
        do_everything(server, wire, http, postgres["BLOG_DATABASE_URL"])
        server.stop()
    plain = no_objects(server.lines)
    assert any("Starting gunicorn" in line for line in plain)
    assert any(MARK in line for line in plain)  # what a client sent, quoted by gunicorn
    assert {event["event"] for event in server.events if MARK in json.dumps(event)} == {"prompt.text"}


def test_a_configuration_of_one_s_own_may_begin_with_ours(settings: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        "from pathlib import Path\n\nfrom app import server\nfrom app.server import *\n\nthreads = 2\n\n\n"
        "def post_worker_init(worker):\n"
        '    server.tell_ready(worker, Path("ready"))\n'
        '    print("somebody prints")\n'
        f'    print("{MARK}", worker.cfg.threads)\n'
        '    import warnings; warnings.warn("old", UserWarning)\n',
        encoding="utf-8",
    )
    with served(tmp_path, settings, config=str(config)) as server:
        server.wait_for(lambda: any(event["event"] == "python.warning" for event in server.events))
        (worker,) = server.workers()
        assert json.loads((tmp_path / "ready").read_text()) == {"pid": worker, "release": RELEASE}
        assert server.ask("GET", "/healthz").status_code == 200
        server.stop()
    assert no_objects(server.lines) == []
    assert telling(server.lines, [MARK]) == []
    printed = [event["characters"] for event in server.events if event["event"] == "output.text"]
    assert printed == [len("somebody prints"), len(f"{MARK} 2")]


def test_the_environment_may_name_the_ready_file(settings: dict[str, str], tmp_path: Path) -> None:
    with served(tmp_path, {**settings, "BLOG_READY_FILE": str(tmp_path / "ready")}) as server:
        until((tmp_path / "ready").exists)
        server.wait_for_workers(1)
        assert json.loads((tmp_path / "ready").read_text())["pid"] == server.workers()[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"BLOG_LLM_TIMEOUT": "soon"}, "BLOG_LLM_TIMEOUT = 'soon' is not a number"),
        ({"BLOG_DATABASE_URL": f"oracle9://me:{MARK}@somewhere/x"}, None),
    ],
)
def test_a_server_that_cannot_boot_says_why_in_lines(
    settings: dict[str, str], tmp_path: Path, wrong: dict[str, str], said: str | None
) -> None:
    with served(tmp_path, {**settings, **wrong}) as server:
        assert server.process.wait(30) == 3
        server.stop()
    assert no_objects(server.lines) == []
    assert telling(server.lines, [MARK]) == []
    (failed,) = (event for event in server.events if event["event"] == "server.log" and "exception" in event)
    if said is None:
        assert failed["exception"]["type"] == "sqlalchemy.exc.NoSuchModuleError"
    else:
        assert said in failed["exception"]["message"]


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The folder of the previous release, as it is deployed: this application with the overlay over it."""
    folder = tmp_path / "previous"
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(OVERLAY, folder, dirs_exist_ok=True)
    return folder


def test_the_previous_release_is_named_in_every_line_and_metric(
    settings: dict[str, str], tmp_path: Path, previous: Path, wire: Any, http: Any
) -> None:
    wire.script = [http({"response": "A concept.", "done": True}), http({"response": " ", "done": True})]
    told = {**settings, "BLOG_METRICS_DIR": str(tmp_path / "metrics"), "BLOG_LLM_BASE_URL": wire.url}
    with served(tmp_path, told, path=[previous]) as server:
        server.wait_for_workers(1)
        post = server.ask("POST", "/api/posts", json={"title": "x", "fields": {"seed_idea": "Roads"}}).json()["id"]
        statuses = [server.ask("POST", f"/api/posts/{post}/steps/concept/run").status_code for _ in range(2)]
        page = server.ask("GET", "/metrics").text
        server.stop()
    assert statuses == [200, 502]
    assert metric_in(page, 'blog_release_info{version="1.9.0"}') == metric_in(page, "blog_release_info") == 1
    assert metric_in(page, 'blog_errors_total{kind="llm-empty-reply"}') == 1
    assert no_objects(server.lines) == []
    assert {event["release"] for event in server.events} == {"1.9.0"}


def test_the_release_is_read_where_it_is_named() -> None:
    assert release_here() == RELEASE


@pytest.mark.parametrize(
    ("source", "release"),
    [('RELEASE: Final = "3.0"', "3.0"), ('RELEASE = "1"\nRELEASE = "2"', "2"), ("x = 1", "unknown")],
)
def test_the_last_word_on_the_release_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, release: str
) -> None:
    (tmp_path / "processor_of_a_test.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("app.server.PROCESSOR", "processor_of_a_test")
    assert release_here() == release
