"""What the dashboard serves, to whom, and when it stops."""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources

import httpx
import pytest
from dashboard_states import watched

from gonogo.dashboard import serving
from gonogo.errors import TargetError
from gonogo.model import Json


@dataclass
class Watch:
    """A watch that tells what a test puts here."""

    state: dict[str, Json] = field(default_factory=lambda: {"elapsed": 2.0, "interval": 0.2, "ended": None})
    asked: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> Mapping[str, Json]:
        """What it tells now."""
        self.asked.set()
        return self.state


@pytest.fixture
def watch() -> Watch:
    """What the dashboard shows."""
    return Watch()


@pytest.fixture
def client(watch: Watch) -> Iterator[httpx.Client]:
    """One that asks the dashboard of the watch."""
    with (
        serving(watch, port=0, title="the blog") as url,
        httpx.Client(base_url=url, trust_env=False, timeout=30) as client,
    ):
        yield client


def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_the_newest_state_is_served_with_what_is_watched(watch: Watch, client: httpx.Client) -> None:
    watch.state = watched()
    answer = client.get("/state.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {**watched(), "title": "the blog", "age": answer.json()["age"]}
    watch.state = watched(elapsed=402.0)
    assert client.get("/state.json").json()["elapsed"] == 402.0


def test_the_age_of_a_state_grows_until_the_watch_has_looked_again(watch: Watch, client: httpx.Client) -> None:
    until(lambda: client.get("/state.json").json()["age"] >= 0.2)
    watch.state = {**watch.state, "elapsed": 4.0}
    assert client.get("/state.json").json()["age"] == 0.0


def test_a_state_ages_while_nobody_looks(watch: Watch, client: httpx.Client) -> None:
    watch.asked.clear()
    assert watch.asked.wait(30)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/state.json", 200), ("GET", "/events", 404), ("POST", "/", 405)],
)
def test_every_answer_is_guarded(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", policy[name]) for name in ("script-src", "style-src"))
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_a_path_that_is_not_served_is_told_together_with_those_that_are(client: httpx.Client) -> None:
    assert client.get("/metrics").text == "'/metrics' is not served; served are / and /state.json"
    assert client.delete("/").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[", "10.0.0.1"]
)
def test_a_page_elsewhere_whose_name_leads_here_learns_nothing(client: httpx.Client, host: str) -> None:
    for path in ("/", "/state.json"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert answer.text == f"the host {host!r} is not this machine; ask 127.0.0.1 or localhost"
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "[::1]:80"])
def test_this_machine_may_ask_through_a_tunnel_too(client: httpx.Client, host: str) -> None:
    assert client.get("/state.json", headers={"host": host}).status_code == 200


def test_what_json_does_not_have_is_no_state(watch: Watch, client: httpx.Client) -> None:
    watch.state = {**watch.state, "memory": math.nan}
    answer = client.get("/state.json")
    assert answer.status_code == 500
    assert answer.text.startswith("what the watch says is no JSON: ")
    watch.state = {**watch.state, "memory": "half a character \ud83d"}
    assert client.get("/state.json").json()["memory"] == "half a character \ud83d"


def test_the_page_needs_nothing_but_itself() -> None:
    page = resources.files("gonogo").joinpath("dashboard.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?:[^\s\"'`]*", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(
        r"\bsrc=|@import|url\(|\.innerHTML\s*=|insertAdjacentHTML|document\.write|eval\(|\son\w+=", page
    )
    assert not re.search(r"\bstyle=", page), "the policy would refuse it"


def test_only_this_machine_is_listened_to_and_only_while_the_block_runs(watch: Watch) -> None:
    with serving(watch, port=0, title="the blog") as url:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert httpx.get(url, trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_port_that_is_taken_is_told(watch: Watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TargetError) as told, serving(watch, port=port, title="the blog"):
            pass
    assert str(told.value) == f"127.0.0.1:{port} is in use; choose another with --serve, 0 takes a free one"


def test_what_goes_wrong_in_the_watch_is_not_swallowed() -> None:
    def broken() -> Mapping[str, Json]:
        raise KeyError("triggers")

    with pytest.raises(KeyError, match="triggers"), serving(broken, port=0, title="the blog") as url:
        until(lambda: _does_not_answer(url))


def _does_not_answer(url: str) -> bool:
    try:
        return httpx.get(f"{url}/state.json", trust_env=False).status_code == 500
    except httpx.TransportError:
        return True


def test_the_error_of_a_watch_ends_the_dashboard(watch: Watch) -> None:
    with pytest.raises(ZeroDivisionError), serving(watch, port=0, title="the blog") as url:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_whoever_looks_still_sees_how_the_watch_ended(watch: Watch) -> None:
    seen: list[Json] = []
    looks = threading.Event()

    def look(url: str) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            while not seen or seen[-1] is None:
                seen.append(client.get("/state.json").json()["ended"])
                looks.set()
                time.sleep(0.05)

    with serving(watch, port=0, title="the blog") as url:
        viewer = threading.Thread(target=look, args=(url,), daemon=True)
        viewer.start()
        assert looks.wait(30)
        watch.state = {**watch.state, "ended": "NO-GO"}
    viewer.join(30)
    assert seen[-1] == "NO-GO"
