"""Looks at a service, and at what Prometheus knows of it: every page that shows nothing says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gonogo.contract import Call, Contract
from gonogo.errors import TargetError
from gonogo.standing import Look
from gonogo.targets.looking import Looker

CONTRACT = Contract(
    {"metrics": Call("GET", "/metrics?name[]={name}")},
    health=("/healthz", "/readyz"),
    metrics={"runs": "runs_total", "release": "release_info", "construction": "build_seconds"},
    timeout=2.0,
    version_header="X-Release",
)
PAGE = b'# TYPE runs_total counter\nruns_total{step="a"} 3\nrelease_info{version="2"} 1\n'


@contextmanager
def answering(
    answers: dict[str, tuple[int, bytes]],
    headers: dict[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers by path, and remembers what it was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            before()
            status, body = answers.get(urlsplit(self.path).path, (404, b""))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def look(url: str, contract: Contract = CONTRACT, **more: Any) -> Look:
    looker = Looker(url, contract, {}, **more)
    try:
        return looker(7.0)
    finally:
        looker.close()


WELL = {"/metrics": (200, PAGE), "/healthz": (200, b"{}"), "/readyz": (200, b"{}")}


def test_a_look_has_the_whole_page_the_health_and_the_release() -> None:
    with answering(WELL, {"X-Release": "2.0.0"}) as (url, asked):
        seen = look(url)
    assert seen.samples is not None
    assert {one.name for one in seen.samples} == {"runs_total", "release_info"}
    assert (seen.release, seen.health, seen.is_good, seen.at) == ("2.0.0", {"/healthz": 200, "/readyz": 200}, True, 7.0)
    assert "/metrics" in asked, "all metrics at once, not one by one"


def test_everything_is_asked_at_once_so_that_a_service_that_hangs_costs_the_time_of_one_answer() -> None:
    together = Barrier(3, timeout=10)
    with answering(WELL, before=together.wait) as (url, _):
        seen = look(url, replace(CONTRACT, timeout=30.0))
    assert seen.is_good
    assert seen.samples is not None


def test_where_no_header_tells_the_release_the_metric_does() -> None:
    with answering(WELL) as (url, _):
        assert look(url).release == "2"


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        ((200, PAGE[:-5]), "cut off after"),
        ((200, b"# nothing yet\n"), "no sample on the page"),
        ((500, b"broken\n"), "/metrics answers 500"),
    ],
    ids=["cut off", "empty", "an error"],
)
def test_a_page_that_shows_nothing_says_why(metrics: tuple[int, bytes], why: str) -> None:
    with answering({**WELL, "/metrics": metrics}) as (url, _):
        seen = look(url)
    assert seen.samples is None
    assert why in seen.why
    assert seen.is_good, "the service itself is well"


def test_a_service_that_is_away_has_no_page_and_no_health() -> None:
    with answering({}) as (url, _):
        pass
    seen = look(url)
    assert (seen.samples, seen.health, seen.is_good) == (None, {"/healthz": 0, "/readyz": 0}, False)


def test_a_service_that_is_not_ready_is_not_well() -> None:
    with answering({**WELL, "/readyz": (503, b"")}) as (url, _):
        seen = look(url)
    assert (seen.health["/readyz"], seen.is_good) == (503, False)


def test_without_health_paths_or_metrics_nothing_can_be_watched() -> None:
    with pytest.raises(TargetError, match="add health to"):
        look("http://127.0.0.1:9", Contract({"metrics": Call("GET", "/metrics")}))
    with pytest.raises(TargetError, match="add metrics to"):
        look("http://127.0.0.1:9", Contract({}, health=("/healthz",)))
    with pytest.raises(TargetError, match=r"let \{name\} stand behind"):
        look("http://127.0.0.1:9", Contract({"metrics": Call("GET", "/m/{name}")}, health=("/h",)))


def result(*series: tuple[dict[str, str], str]) -> tuple[int, bytes]:
    found = [{"metric": metric, "value": [0, value]} for metric, value in series]
    return 200, json.dumps({"status": "success", "data": {"result": found}}).encode()


def test_prometheus_is_asked_for_the_metrics_of_the_contract_and_the_service_for_its_health() -> None:
    answer = result(
        ({"__name__": "runs_total", "step": "a", "job": "blog"}, "3"),
        ({"__name__": "release_info", "version": "2", "job": "blog"}, "1"),
    )
    with answering(WELL) as (url, asked), answering({"/api/v1/query": answer}) as (prometheus, queries):
        seen = look(url, prometheus=prometheus, selector='job="blog"')
    assert seen.samples is not None
    assert {(one.name, one.value) for one in seen.samples} == {("runs_total", 3.0), ("release_info", 1.0)}
    assert (seen.release, seen.is_good, "/metrics" in asked) == ("2", True, False)
    (query,) = parse_qs(urlsplit(queries[0]).query)["query"]
    assert 'job="blog"' in query
    assert "build_seconds(_bucket|_count)?" in query


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (result(), "Prometheus knows no metric"),
        ((400, b'{"status": "error", "error": "parse error"}'), "parse error"),
        ((200, b"<html>"), "Prometheus: "),
    ],
    ids=["nothing", "refused", "no JSON"],
)
def test_a_prometheus_that_tells_nothing_says_why(answer: tuple[int, bytes], why: str) -> None:
    with answering(WELL) as (url, _), answering({"/api/v1/query": answer}) as (prometheus, _):
        seen = look(url, prometheus=prometheus)
    assert seen.samples is None
    assert why in seen.why


def test_two_releases_in_the_metrics_are_no_release() -> None:
    answer = result(*(({"__name__": "release_info", "version": one}, "1") for one in ("1", "2")))
    with answering(WELL) as (url, _), answering({"/api/v1/query": answer}) as (prometheus, _):
        assert look(url, prometheus=prometheus).release is None


def test_complaints_are_asked_for_at_each_look() -> None:
    with answering(WELL) as (url, _):
        assert look(url, complaints=lambda: {"c1": True}).complaints == {"c1": True}
        assert look(url, complaints=lambda: None).complaints is None
