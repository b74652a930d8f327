"""A live service over a socket: what is judged, what is not, and that nothing of the suite stays there."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gonogo.contract import Call, Contract
from gonogo.errors import ReleaseChanged, ServiceGone, TargetError
from gonogo.model import Ability, Case, FormatTemplate, InputField, Json, Step
from gonogo.project import Service
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.live import LiveApplication
from gonogo.targets.sockets import SocketTransport

_FORMAT = FormatTemplate("any", "Any", "", "input", {}, "")
STEP = Step(
    *("facts", "Facts", "Planning", "Research", 1, "m", {}, "You.", "Go.", _FORMAT, _FORMAT),
    (InputField("idea", "Idea"),),
    "facts",
)
CASE = Case("roads", "facts", {"idea": "roads"})
CONTRACT = Contract(
    {
        "create": Call("POST", "/posts", {"title": "{title}", "fields": "{inputs}"}),
        "read": Call("GET", "/posts/{post}"),
        "delete": Call("DELETE", "/posts/{post}"),
        "list": Call("GET", "/posts?title={title}&after={after}"),
        "preview": Call("POST", "/posts/{post}/{step}/preview"),
        "preview_inputs": Call("POST", "/{step}/preview", {"fields": "{inputs}"}),
        "run": Call("POST", "/posts/{post}/{step}/run"),
        "version": Call("GET", "/version"),
        "metrics": Call("GET", "/metrics"),
    },
    health=("/healthz",),
    metrics={"construction": "seconds", "unexpected": "errors_total"},
    timeout=5.0,
)


@dataclass
class Blog:
    """A small service whose behaviour a test changes while it runs."""

    version: str = "2.0.0"
    posts: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    made: int = 0
    built: int = 0
    deletes: bool = True
    breaks: str = "nothing"  # the call whose connection is broken
    hangs: str = "nothing"
    edges: tuple[str, ...] = ("0.0005", "0.001", "+Inf")
    counts: bool = True
    echo: str = ""
    header: str | None = "2.0.0"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Json]:
        path, _, query = path.partition("?")
        match [method, *path.strip("/").split("/")]:
            case ["GET", "version"]:
                return 200, {"version": self.version, "python": "3.11.7", "dependencies": {"flask": "3.1.3"}}
            case ["GET", "healthz"]:
                return 200, {"said": self.echo}
            case ["POST", "posts"]:
                self.made += 1
                self.posts[self.made] = body
                return 201, {"id": self.made}
            case ["GET", "posts"]:
                after = int(query.rpartition("=")[2])
                rows = [{"id": id_, "title": post["title"]} for id_, post in self.posts.items() if id_ > after]
                return 200, {"posts": list(rows[:2])}
            case ["GET", "posts", post]:
                return 200, self.posts[int(post)]
            case ["DELETE", "posts", post]:
                if not self.deletes:
                    return 500, {}
                return (204, None) if self.posts.pop(int(post), None) else (404, {})
            case ["POST", "posts", post, _, "preview"]:
                self.built += 1
                return 200, {"prompt": f"of {self.posts[int(post)]['fields']}"}
            case ["POST", _, "preview"]:
                self.built += 1
                return 200, {"prompt": f"of {body['fields']}"}
            case ["POST", "posts", _, _, "run"]:
                return 200, {"output": "done"}
            case _:
                return 404, {}

    def metrics(self) -> str:
        below = [str(self.built * self.counts)] * len(self.edges)
        lines = [
            f'seconds_bucket{{step="facts",le="{edge}"}} {count}' for edge, count in zip(self.edges, below, strict=True)
        ]
        return "\n".join([*lines, "errors_total 1.0", ""])


@contextmanager
def serving(blog: Blog, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            asked = f"{self.command} {self.path}"
            blog.asked.append(asked)
            if blog.breaks in asked:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if blog.hangs in asked:
                release.wait(10)
            if self.path == "/metrics":
                status, content = 200, blog.metrics().encode()
            else:
                status, told = blog.answer(self.command, self.path, body)
                content = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if blog.header is not None:
                self.send_header("X-Release", blog.header)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    release = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def blog() -> Blog:
    return Blog()


@pytest.fixture
def url(blog: Blog) -> Iterator[str]:
    with serving(blog) as address:
        yield address


def live(url: str, contract: Contract = CONTRACT, *, read_only: bool = False, stub: str = "") -> LiveApplication:
    return LiveApplication(WorkerContext(Path(), (STEP,), {}, contract, stub, Service(url, read_only)))


def test_a_preview_and_a_run_use_a_post_of_the_suites_own_and_leave_nothing(blog: Blog, url: str) -> None:
    application = live(url)
    assert application.construct(CASE).text == "of {'idea': 'roads'}"
    assert application.run(CASE, watched=True).output == "done"
    assert (blog.made, blog.posts) == (4, {}), "with each its bystander"
    application.close()


def test_a_post_says_whose_it_is_and_other_posts_stay(blog: Blog, url: str) -> None:
    blog.posts[7] = {"title": "my holidays", "fields": {}}
    blog.made = 7
    application = live(url)
    application.create_post(CASE)
    title = blog.posts[8]["title"]
    assert title.startswith("gonogo acceptance on ")
    assert f"process {os.getpid()} of " in title
    assert title.endswith(": facts/roads")
    application.close()
    assert list(blog.posts) == [7]


def test_where_the_suites_post_is_the_oldest_what_a_run_stores_changes_no_other_post(blog: Blog, url: str) -> None:
    application = live(url)
    usual = blog.answer

    def storing(method: str, path: str, body: Any) -> tuple[int, Json]:
        if path.endswith("/run"):
            blog.posts[int(path.split("/")[2])]["fields"]["facts"] = "straight"
        return usual(method, path, body)

    blog.answer = storing  # type: ignore[method-assign]  # as an application does
    run = application.run(CASE, watched=True)
    application.close()
    changed = {name for name in run.state_after if run.state_before.get(name) != run.state_after[name]}
    assert changed == {"field facts"}


def test_posts_of_a_suite_that_was_killed_are_removed_by_the_next_one(blog: Blog, url: str) -> None:
    killed = live(url)
    for _ in range(2):
        killed.create_post(CASE)
    here = blog.posts[1]["title"]
    gone = here.replace(f"process {os.getpid()} of", "process 4194999 of")
    elsewhere = here.replace(" on ", " on far-", 1)
    old = elsewhere.replace(here.partition("since ")[2].partition(": ")[0], "2026-01-01T00:00:00+00:00")
    blog.posts[1]["title"], blog.posts[2]["title"], blog.posts[3]["title"] = gone, old, elsewhere
    blog.posts[4]["title"] = here  # of a suite that still runs
    blog.posts[5] = {"title": "gonogo acceptance, an essay", "fields": {}}
    live(url).close()
    assert sorted(blog.posts) == [3, 4, 5], (
        "a post of a process that is there stays, and so does one from elsewhere for an hour"
    )


def test_a_post_whose_creation_was_never_answered_is_removed_in_the_end(blog: Blog, url: str) -> None:
    application = live(url)
    usual = blog.answer

    def lost(method: str, path: str, body: Any) -> tuple[int, Json]:
        status, told = usual(method, path, body)
        return (500, {}) if (method, path) == ("POST", "/posts") else (status, told)

    blog.answer = lost  # type: ignore[method-assign]  # made, and not said
    with pytest.raises(RuntimeError, match="POST /posts answered 500"):
        application.construct(CASE)
    assert len(blog.posts) == 1
    application.close()
    assert blog.posts == {}


def test_read_only_makes_no_post_and_offers_no_runs(blog: Blog, url: str) -> None:
    application = live(url, read_only=True)
    assert Ability.REPLY not in application.abilities
    assert application.construct(CASE).text == "of {'idea': 'roads'}"
    assert [one for one in blog.asked if not one.startswith("GET ")] == ["POST /facts/preview"]
    with pytest.raises(TargetError, match="--gonogo-read-only makes no posts"):
        application.create_post(CASE)
    application.close()


def test_read_only_needs_a_preview_without_a_post(url: str) -> None:
    calls = {name: call for name, call in CONTRACT.calls.items() if name != "preview_inputs"}
    with pytest.raises(TargetError, match="every preview of this service needs a post"):
        live(url, replace(CONTRACT, calls=calls), read_only=True)


def test_a_service_that_is_not_there_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServiceGone, match=rf"http://127.0.0.1:{port} does not answer, at .*ConnectionRefused"):
        live(f"http://127.0.0.1:{port}")


def test_authorities_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"ca: .*/none.pem is no file"):
        live("https://127.0.0.1:1", replace(CONTRACT, ca=str(tmp_path / "none.pem")))


def test_a_token_that_is_not_taken_is_told_without_the_token(
    blog: Blog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOG_TOKEN", "not-the-right-one")
    usual = blog.answer
    blog.answer = lambda method, path, body: (401, {})  # type: ignore[method-assign]  # of a service that refuses it
    with pytest.raises(TargetError, match=r"answered 401\); put a token that it takes into BLOG_TOKEN") as told:
        live(url, replace(CONTRACT, token_env="BLOG_TOKEN"))
    assert "not-the-right-one" not in str(told.value)
    with pytest.raises(TargetError, match="name that as token_env in"):
        live(url)

    blog.answer = usual  # type: ignore[method-assign]
    application = live(url, replace(CONTRACT, token_env="BLOG_TOKEN"))
    blog.answer = lambda method, path, body: (401, {})  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="answered 401"):
        application.construct(CASE)
    application.close()


def test_a_service_without_health_and_version_is_found_gone_all_the_same(blog: Blog) -> None:
    calls = {name: call for name, call in CONTRACT.calls.items() if name != "version"}
    with serving(blog) as url:
        application = live(url, replace(CONTRACT, calls=calls, health=()))
        blog.breaks = "/run"
        with pytest.raises(RuntimeError, match="the service broke the connection"):
            application.run(CASE, watched=False)
        application._socket.close()
    with pytest.raises(ServiceGone, match=r"stopped answering at .*; /: "):
        application.construct(CASE)


def test_once_a_service_has_stopped_answering_it_is_not_asked_again(blog: Blog) -> None:
    with serving(blog) as url:
        application = live(url)
        application.construct(CASE)
        application._socket.close()
    with pytest.raises(ServiceGone, match="stopped answering at 20") as first:
        application.construct(CASE)
    with serving(blog), pytest.raises(ServiceGone) as second:
        application.run(CASE, watched=False)
    assert str(first.value) == str(second.value)


def test_a_service_that_changes_its_release_is_told_with_the_moment(blog: Blog, url: str) -> None:
    application = live(url)
    application.construct(CASE)
    blog.version = "1.9.0"
    with pytest.raises(ReleaseChanged, match=r"answered as release 1.9.0 at 20\S+, and as release 2.0.0 before"):
        application.construct(CASE)
    blog.version = "2.0.0"
    with pytest.raises(ReleaseChanged):
        application.run(CASE, watched=False)
    application.close()
    assert blog.posts == {}


def test_a_header_tells_with_every_answer_which_release_gave_it(blog: Blog, url: str) -> None:
    application = live(url, replace(CONTRACT, version_header="X-Release"))
    blog.asked.clear()
    application.construct(CASE)
    assert "GET /version" not in blog.asked
    blog.header = "1.9.0"
    with pytest.raises(ReleaseChanged, match=re.escape("answered as release 1.9.0")):
        application.construct(CASE)
    application.close()
    assert blog.posts == {}


def test_an_answer_without_the_header_is_another_releases(blog: Blog, url: str) -> None:
    application = live(url, replace(CONTRACT, version_header="X-Release"))
    blog.header = None
    with pytest.raises(ReleaseChanged, match="answered as release None"):
        application.construct(CASE)
    application.close()
    assert blog.posts == {}


def test_a_later_look_is_held_against_what_the_run_began_with(url: str) -> None:
    context = WorkerContext(Path(), (STEP,), {}, CONTRACT, "", Service(url, version="1.9.0"))
    with pytest.raises(ReleaseChanged, match=r"answered as release 2\.0\.0 at \S+, and as release 1\.9\.0 before"):
        LiveApplication(context)


def test_what_answers_there_and_does_not_know_the_question_is_no_service(url: str) -> None:
    with pytest.raises(TargetError, match="answers GET /version with 404; correct the address, or version in"):
        live(f"{url}/somewhere")


def test_a_counter_that_goes_back_tells_nothing(blog: Blog, url: str) -> None:
    application = live(url, replace(CONTRACT, metrics={"runs": "errors_total"}))
    usual, pages = blog.metrics, iter(["errors_total 9.0\n", "errors_total 2.0\n"])
    blog.metrics = lambda: next(pages, usual())  # type: ignore[method-assign]  # restarted in between
    assert application.run(CASE, watched=True).runs_recorded is None
    application.close()


def test_a_histogram_that_goes_back_is_no_evidence(blog: Blog, url: str) -> None:
    application = live(url)
    blog.built = 50
    before = blog.metrics()
    blog.built = 0
    usual, pages = blog.metrics, iter([before])
    blog.metrics = lambda: next(pages, None) or usual()  # type: ignore[method-assign]  # restarted in between
    with pytest.raises(TargetError, match="the histogram seconds went back meanwhile"):
        application.timed_constructions([CASE], 5, 0.001)
    application.close()


def test_a_connection_that_the_service_breaks_is_its_own_failure(blog: Blog, url: str) -> None:
    application = live(url)
    blog.breaks = "/run"
    with pytest.raises(RuntimeError, match="POST /posts/1/facts/run: the service broke the connection"):
        application.run(CASE, watched=False)
    assert blog.posts == {}
    application.close()


def test_a_question_that_changes_nothing_is_asked_again_where_its_connection_broke(blog: Blog, url: str) -> None:
    application = live(url)
    before = len(blog.asked)
    blog.breaks = "GET /version"
    with pytest.raises(RuntimeError, match="GET /version: the service broke the connection"):
        application.construct(CASE)
    assert blog.asked[before:] == ["GET /version", "GET /version", "GET /healthz"]
    application.close()


def test_an_answer_that_takes_too_long_is_nobodys_failure_and_says_what_to_raise(blog: Blog, url: str) -> None:
    application = live(url, replace(CONTRACT, timeout=0.3))
    blog.hangs = "/run"
    with pytest.raises(TargetError, match=r"/run: no answer within 0.3 s, while the service .* raise timeout in"):
        application.run(CASE, watched=False)
    application.close()


def test_the_times_of_constructions_come_from_the_services_histogram(blog: Blog, url: str) -> None:
    application = live(url)
    assert Ability.TIMING in application.abilities
    assert application.timed_constructions([CASE], 5, 0.001) == [0.0005] * 5
    assert blog.made == 0, "previews of inputs need no post"
    calls = {name: call for name, call in CONTRACT.calls.items() if name != "preview_inputs"}
    with_posts = live(url, replace(CONTRACT, calls=calls))
    assert with_posts.timed_constructions([CASE], 4, 0.001) == [0.0005] * 4
    assert blog.posts == {}
    for one in (application, with_posts):
        one.close()


def test_the_bucket_that_ends_at_the_limit_lies_within_it(blog: Blog, url: str) -> None:
    blog.edges = ("0.001", "0.0025", "+Inf")
    application = live(url)
    values = application.timed_constructions([CASE], 5, 0.001)
    application.close()
    assert [round(value, 9) for value in values] == [0.000999999] * 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"edges": ("0.0005", "0.002", "+Inf")}, "the histogram seconds has no edge at 0.001 s"),
        ({"counts": False}, "counted 0 of 5 constructions of facts; where several processes serve"),
    ],
)
def test_a_histogram_that_cannot_tell_is_no_evidence(blog: Blog, url: str, change: dict[str, Any], said: str) -> None:
    for name, value in change.items():
        setattr(blog, name, value)
    application = live(url)
    with pytest.raises(TargetError, match=said):
        application.timed_constructions([CASE], 5, 0.001)
    application.close()


def test_a_service_tells_what_it_is_and_what_it_has_counted(url: str) -> None:
    application = live(url)
    told = dict(application.describe())
    assert told.pop("told_at")
    assert told == {
        "service": url,
        "version_told": "2.0.0",
        "python": "3.11.7",
        "dependencies": {"flask": "3.1.3"},
        "answers": {"/healthz": 200},
        "counted": {"unexpected": 1},
    }
    application.close()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://me:secret@127.0.0.1:8000"])
def test_what_is_no_address_is_refused_and_a_password_not_repeated(url: str) -> None:
    with pytest.raises(TargetError, match="not the address of a service") as refused:
        live(url)
    assert "secret" not in str(refused.value)


def test_a_token_is_sent_and_never_comes_back(blog: Blog, url: str) -> None:
    contract = replace(CONTRACT, token_env="BLOG_TOKEN", token_form="Token {token}")
    blog.echo = "your token is s3cret-t0ken"
    transport = SocketTransport(url, contract, {"BLOG_TOKEN": "s3cret-t0ken"})
    assert transport("GET", "/healthz").json() == {"said": "your token is [token]"}
    transport.close()


def test_a_token_from_a_file_may_end_with_a_line_break(url: str) -> None:
    contract = replace(CONTRACT, token_env="BLOG_TOKEN")
    transport = SocketTransport(url, contract, {"BLOG_TOKEN": "s3cret\n"})
    assert transport("GET", "/healthz").status == 200
    transport.close()


@pytest.mark.parametrize("token", ["s3cret\nline", "s3cret\x00", "s3crét"])
def test_a_token_that_no_header_can_hold_is_not_repeated(url: str, token: str) -> None:
    with pytest.raises(TargetError, match="the token in BLOG_TOKEN holds what no header may") as refused:
        SocketTransport(url, replace(CONTRACT, token_env="BLOG_TOKEN"), {"BLOG_TOKEN": token})
    assert "s3cr" not in str(refused.value)


@pytest.mark.parametrize("environ", [{}, {"BLOG_TOKEN": " "}])
def test_a_token_that_is_not_there_is_asked_for_by_its_name(url: str, environ: dict[str, str]) -> None:
    with pytest.raises(TargetError, match=r"the environment variable BLOG_TOKEN \(\[target\] token_env\) is not set"):
        SocketTransport(url, replace(CONTRACT, token_env="BLOG_TOKEN"), environ)


LOOPBACK = Path(__file__).with_name("loopback.pem")


@contextmanager
def serving_tls(blog: Blog) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOOPBACK)
    with serving(blog, context) as url:
        yield url.replace("http://", "https://")


def test_a_service_is_asked_over_tls_where_its_certificate_is_vouched_for(blog: Blog) -> None:
    with serving_tls(blog) as url:
        application = live(url, replace(CONTRACT, ca=str(LOOPBACK)))
        assert application.construct(CASE).text == "of {'idea': 'roads'}"
        application.close()
    assert blog.posts == {}


def test_a_service_whose_certificate_nobody_vouches_for_is_not_asked(blog: Blog) -> None:
    with (
        serving_tls(blog) as url,
        pytest.raises(TargetError, match=r"its certificate is not to be trusted .*see \[target\] ca"),
    ):
        live(url)
    assert blog.asked == []
