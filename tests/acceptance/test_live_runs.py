"""Runs against the deployed application: alike before and after, and what becomes of them when something dies meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from acceptance_live import Deployment, deployed
from sandbox import Answer, Copy, run_pytest

from gonogo.stub.remote import served_stub

QUIETLY = ("-q", "-p", "no:randomly")
SHARED = ("prompt-structure", "format-templates", "field-mapping", "hostile-inputs", "error-handling", "error-rate")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy.of_project(tmp_path, steps=("initial-concept", "meta"))
    copy.set_parameter("construction-time", "rounds", 100)
    copy.set_parameter("error-rate", "cases", 320)
    copy.replace("acceptance/criteria.toml", "histogram\nrounds = 600", "histogram\nrounds = 300")
    return copy


@pytest.fixture
def stub(copy: Copy) -> Iterator[str]:
    with served_stub([copy.root / "fixtures" / "recordings" / "2.0.0"]) as url:
        yield url


@pytest.fixture
def live(copy: Copy, stub: str) -> Iterator[Deployment]:
    with deployed(copy.root, stub) as deployment:
        yield deployment


def judge(copy: Copy, live: Deployment, *arguments: str) -> Answer:
    """Run the suites against the deployed application."""
    options = ("--gonogo-phase=post", f"--gonogo-target={live.url}", f"--gonogo-stub={live.stub}")
    return run_pytest(copy.root, "acceptance/", *options, *QUIETLY, *arguments)


def posts(live: Deployment) -> list[str]:
    """The titles of all posts that suites have made."""
    answer = requests.get(f"{live.url}/api/posts", params={"title": "gonogo acceptance"}, timeout=5)
    return [one["title"] for one in answer.json()["posts"]]


def test_one_release_is_judged_alike_before_and_after_its_deploy(copy: Copy, live: Deployment) -> None:
    copy.remove_criterion("construction-time")  # how busy the machine is must not decide here
    after = judge(copy, live)
    assert after.status == 0, after.output
    suites = [f"acceptance/test_{one.replace('-', '_')}.py" for one in SHARED]
    before = run_pytest(copy.root, *suites, *QUIETLY, "-p", "no:allure_pytest")
    assert {one: before.verdicts[one] for one in SHARED} == {one: after.verdicts[one] for one in SHARED}
    undecided = {one for one, verdict in after.verdicts.items() if verdict != "GO"}
    assert undecided == {"sign-offs", "live-watch"}, "nobody has signed, and nobody watches yet"
    assert posts(live) == []
    assert "source: stub" in after.document["notes"]
    assert after.document["run"]["releases"]["candidate"]["service"] == live.url
    assert after.document["run"]["releases"]["candidate"]["version_told"] == "2.0.0"


def test_read_only_writes_nothing_and_says_what_is_not_judged(copy: Copy, live: Deployment) -> None:
    answer = judge(copy, live, "--gonogo-read-only", "-p", "no:allure_pytest")
    assert answer.status == 10, answer.output
    assert answer.verdicts["prompt-structure"] == "GO"
    for criterion in ("error-handling", "error-rate"):
        assert answer.verdicts[criterion] == "INCONCLUSIVE"
        assert "the target does not offer: reply" in answer.reasons(criterion)
    assert any(note.startswith("read only: previews alone were asked for") for note in answer.document["notes"])
    made = requests.get(f"{live.url}/metrics", timeout=5).text
    assert "blog_runs_total{" not in made
    ids = [one["id"] for one in requests.get(f"{live.url}/api/posts", timeout=5).json()["posts"]]
    assert ids == [1, 2], "the seed posts"


def test_without_a_stub_the_prompts_are_those_that_the_service_shows(copy: Copy, live: Deployment) -> None:
    options = ("--gonogo-phase=post", f"--gonogo-target={live.url}", "-p", "no:allure_pytest")
    answer = run_pytest(copy.root, "acceptance/test_prompt_structure.py", *options, *QUIETLY)
    assert answer.verdicts["prompt-structure"] == "GO", answer.output
    assert any(note.startswith("source: preview") for note in answer.document["notes"])
    assert answer.document["run"]["phase"] == "post-real"


PLANNED = """
import json
import pathlib

import pytest

from gonogo.stub import FaultPlan, LlmFault

pytestmark = pytest.mark.criterion("error-rate")


def statuses(cases, candidate, definitions, llm):
    scripts = {step.id: llm.script(step) for step in definitions.workflow.steps}
    runs = [candidate.run(case, script=scripts[case.step], watched=False).run for case in cases]
    return [run.status for run in runs]


def test_planned(cases, candidate, definitions, llm, plan_faults, evidence, pytestconfig):
    plan_faults(FaultPlan(LlmFault.UNAUTHORIZED, rate=0.5, seed=2))
    struck = statuses(cases, candidate, definitions, llm)
    name = "live" if pytestconfig.getoption("--gonogo-target") else "in_process"
    evidence.sample("errors", [float(status >= 400) for status in struck], unit="share", case=cases[0])
    (pathlib.Path(pytestconfig.rootpath) / f"{name}.json").write_text(json.dumps(struck))
"""


def test_faults_that_a_suite_plans_strike_the_same_runs_in_both_transports(copy: Copy, live: Deployment) -> None:
    (copy.root / "acceptance" / "test_error_rate.py").write_text(PLANNED, encoding="utf-8")
    copy.judge("error-rate")
    copy.judge(
        "error-rate", options=("--gonogo-phase=post", f"--gonogo-target={live.url}", f"--gonogo-stub={live.stub}")
    )
    struck = json.loads((copy.root / "in_process.json").read_text(encoding="utf-8"))
    assert json.loads((copy.root / "live.json").read_text(encoding="utf-8")) == struck
    assert set(struck) == {200, 502}


@contextmanager
def meanwhile(wait_for: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Do something as soon as something is seen, while the block goes on."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if wait_for():
                act()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def has_run(live: Deployment) -> Callable[[], bool]:
    """Whether the application has run a step by now: the suites are in the middle of things."""

    def look() -> bool:
        try:
            return "blog_runs_total{" in requests.get(f"{live.url}/metrics", timeout=1).text
        except requests.RequestException:
            return False

    return look


def test_a_service_that_stops_answering_is_no_go_for_environment_and_the_rest_is_open(
    copy: Copy, live: Deployment
) -> None:
    with meanwhile(has_run(live), lambda: os.kill(live.process.pid, signal.SIGTERM)):
        answer = judge(copy, live, "-p", "no:allure_pytest")
    assert answer.status == 1, answer.output
    assert {one for one, verdict in answer.verdicts.items() if verdict == "NO-GO"} == {"environment"}
    assert f"{live.url} stopped answering at 20" in answer.reasons("environment")
    assert answer.verdicts["error-rate"] == "INCONCLUSIVE"
    assert "stopped answering at 20" in answer.reasons("error-rate")


def test_a_service_that_is_not_there_is_no_go_for_environment(copy: Copy, stub: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = ("--gonogo-phase=post", f"--gonogo-target=http://127.0.0.1:{port}", f"--gonogo-stub={stub}")
    answer = run_pytest(copy.root, "acceptance/", *options, *QUIETLY, "-p", "no:allure_pytest")
    assert answer.status == 1, answer.output
    verdicts = answer.verdicts
    assert verdicts.pop("environment") == "NO-GO"
    assert set(verdicts.values()) == {"INCONCLUSIVE"}
    assert f"http://127.0.0.1:{port} does not answer, at 20" in answer.reasons("environment")


def test_a_stub_that_dies_leaves_what_needs_it_open_and_no_post_behind(copy: Copy) -> None:
    folder = copy.root / "fixtures" / "recordings" / "2.0.0"
    serve = [sys.executable, "-m", "gonogo", "stub", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().rpartition(" on ")[2].strip()
            with deployed(copy.root, url) as live:
                with meanwhile(has_run(live), lambda: process.kill()):
                    answer = judge(copy, live, "-p", "no:allure_pytest")
                assert answer.status == 10, answer.output
                assert "NO-GO" not in answer.verdicts.values()
                assert f"no stub answers at {url}" in answer.reasons("error-handling")
                assert posts(live) == []
        finally:
            process.kill()


@pytest.mark.parametrize("delay", [0.0, 0.7, 1.5])
def test_a_suite_that_is_killed_leaves_no_post_and_no_process(copy: Copy, live: Deployment, delay: float) -> None:
    options = ("--gonogo-phase=post", f"--gonogo-target={live.url}", f"--gonogo-stub={live.stub}")
    command = [sys.executable, "-m", "pytest", "acceptance/", *options, *QUIETLY, "-p", "no:allure_pytest"]
    with subprocess.Popen(command, cwd=copy.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(has_run(live), "the suites run")
        time.sleep(delay)
        children = children_of(process.pid)
        process.kill()
    assert children, "the release worker"
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "no process is left")
    assert posts(live) == []
    answer = judge(copy, live, "-p", "no:allure_pytest", "-k", "environment")
    assert answer.verdicts["environment"] == "GO", "the stub's lease of the killed suite keeps nobody out"


def test_posts_that_a_killed_worker_left_are_removed_by_the_next_run(copy: Copy, live: Deployment) -> None:
    options = ("--gonogo-phase=post", f"--gonogo-target={live.url}", f"--gonogo-stub={live.stub}")
    command = [sys.executable, "-m", "pytest", "acceptance/test_error_handling.py", *options, *QUIETLY]
    with subprocess.Popen(command, cwd=copy.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: bool(posts(live)), "a post is there")
        for child in children_of(process.pid):
            os.kill(child, signal.SIGSTOP)  # in the middle of a run, before it can remove anything
        left = posts(live)
        process.kill()
        for child in children_of(process.pid) or [int(left[0].partition("process ")[2].partition(" of")[0])]:
            os.kill(child, signal.SIGKILL)
    answer = judge(copy, live, "-p", "no:allure_pytest", "-k", "environment")
    assert answer.verdicts["environment"] == "GO"
    assert posts(live) == []


def wait_until(seen: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < until, f"not seen within 30 s: {what}"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children_of(child)]
    return found


@contextmanager
def in_front_of(service: Callable[[], str]) -> Iterator[str]:
    """An address that hands each request on to whatever service it is told at the moment, as a load balancer does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {"Content-Type": self.headers.get("Content-Type", "")}
            answer = requests.request(self.command, service() + self.path, data=body, headers=headers, timeout=20)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.send_header("X-Release", answer.headers["X-Release"])
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = hand_on  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def other(copy: Copy, stub: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The same application, which says that it is another release, over the same database."""
    root = tmp_path_factory.mktemp("other")
    changed = Copy.of_project(root, steps=("initial-concept", "meta"))
    changed.append("app/workflow/scripts/llm_processor.py", 'RELEASE = "2.0.1"')
    with deployed(changed.root, stub, settings={"BLOG_DATABASE_URL": f"sqlite:///{copy.root}/shared.sqlite3"}) as live:
        yield live


@pytest.fixture
def shared(copy: Copy, stub: str) -> Iterator[Deployment]:
    """The application over a database that another release uses as well."""
    with deployed(copy.root, stub, settings={"BLOG_DATABASE_URL": f"sqlite:///{copy.root}/shared.sqlite3"}) as live:
        yield live


def test_a_service_that_becomes_another_release_is_inconclusive_with_the_moment(
    copy: Copy, shared: Deployment, other: Deployment
) -> None:
    now = [shared.url]
    with (
        in_front_of(lambda: now[0]) as url,
        meanwhile(has_run(shared), lambda: now.__setitem__(0, other.url)),
    ):
        answer = judge(copy, replace(shared, url=url), "-p", "no:allure_pytest")
    assert answer.status == 10, answer.output
    assert "NO-GO" not in answer.verdicts.values()
    told = " ".join(answer.document["reasons"])
    assert f"{url} answered as release 2.0.1 at 20" in told
    assert "and as release 2.0.0 before" in told
    assert posts(shared) == []


def test_a_service_that_answers_from_two_releases_is_inconclusive(
    copy: Copy, shared: Deployment, other: Deployment
) -> None:
    numbers = itertools.count()
    with in_front_of(lambda: other.url if next(numbers) % 40 == 39 else shared.url) as url:
        answer = judge(copy, replace(shared, url=url), "-p", "no:allure_pytest")
    assert answer.status == 10, answer.output
    assert "NO-GO" not in answer.verdicts.values()
    assert "answered as release 2.0.1 at 20" in " ".join(answer.document["reasons"])
    assert posts(shared) == []
