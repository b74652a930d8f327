"""A relay passes on what users ask, and breaks it when it is told to; seen through real sockets."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import requests
from probed_service import Does, Service, served

from gonogo.errors import TargetError
from gonogo.targets.relay import Relay

AWAY = 0.4  # seconds


@contextmanager
def relayed(service: Service, **options: str) -> Iterator[Relay]:
    with served(service), closing(Relay(service.url, **options)) as relay:
        yield relay


@contextmanager
def meanwhile(breaks: Callable[[], None]) -> Iterator[None]:
    """Break something in another thread, and leave when that is over."""
    thread = threading.Thread(target=breaks)
    thread.start()
    time.sleep(AWAY / 4)  # so that it has begun
    try:
        yield
    finally:
        thread.join()


def asked(relay: Relay, path: str = "/", session: requests.Session | None = None) -> requests.Response:
    if session is not None:
        return session.get(relay.url + path, timeout=5)
    with requests.Session() as own:
        own.trust_env = False
        return own.get(relay.url + path, timeout=5)


@pytest.fixture
def kept() -> Iterator[requests.Session]:
    """A user who keeps the connection."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_what_is_asked_and_answered_is_passed_on_as_it_is(kept: requests.Session) -> None:
    service = Service(said={"/long": b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000})
    with relayed(service) as relay:
        assert asked(relay, "/a", kept).headers["X-Release"] == "1.9.0"
        assert asked(relay, "/b", kept).status_code == 200
        assert asked(relay, "/long").text == "x" * 300_000
        assert kept.post(relay.url, data=b"y" * 200_000, timeout=5).text == "ok"
        assert service.connections == 2, "one that is kept, and one of its own"
    assert [line for line, _, _ in service.asked] == ["GET /a", "GET /b", "GET /long", "POST /"]
    assert service.asked[-1][2] == b"y" * 200_000


def test_a_service_that_is_away_gives_no_answer() -> None:
    with relayed(Service(Does.RESETS)) as relay, pytest.raises(requests.ConnectionError):
        asked(relay)
    with closing(Relay("http://127.0.0.1:9")) as relay, pytest.raises(requests.ConnectionError):
        asked(relay)


def test_it_refuses_fresh_connections_for_a_time_and_keeps_those_that_there_are(kept: requests.Session) -> None:
    with relayed(Service()) as relay:
        asked(relay, session=kept)
        with meanwhile(lambda: relay.refuse(AWAY)):
            with pytest.raises(requests.ConnectionError, match="refused"):
                asked(relay)
            assert asked(relay, session=kept).status_code == 200
        assert asked(relay).status_code == 200


def test_it_cuts_what_is_under_way_and_nothing_else(kept: requests.Session) -> None:
    service = Service()
    with relayed(service) as relay:
        asked(relay, session=kept)
        service.takes = 30.0
        with meanwhile(lambda: relay.cut(AWAY)), pytest.raises(requests.ConnectionError):
            asked(relay)
        service.takes = 0.0
        assert asked(relay, session=kept).status_code == 200, "on which nothing was under way"
        assert service.connections == 2


def test_it_answers_fresh_connections_in_place_of_the_service(kept: requests.Session) -> None:
    service = Service()
    with relayed(service) as relay:
        asked(relay, session=kept)
        with meanwhile(lambda: relay.answer(503, AWAY)):
            assert asked(relay).status_code == 503
            assert asked(relay, session=kept).status_code == 200
        assert asked(relay).status_code == 200
    assert len(service.asked) == 3


def test_it_withholds_one_path_on_any_connection(kept: requests.Session) -> None:
    service = Service()
    with relayed(service, withheld="/metrics") as relay:
        assert asked(relay, "/metrics").status_code == 404
        assert asked(relay, "/other", kept).status_code == 200
        assert asked(relay, "/metrics?name[]=runs", kept).status_code == 404
        assert asked(relay, "/other", kept).status_code == 200
    assert {line for line, _, _ in service.asked} == {"GET /other"}


def test_when_it_ends_nothing_is_left_open(kept: requests.Session) -> None:
    service = Service(takes=30.0)
    threads = threading.active_count()
    with served(service):
        relay = Relay(service.url)
        lost: list[BaseException] = []

        def ask() -> None:
            try:
                asked(relay, session=kept)
            except requests.ConnectionError as error:
                lost.append(error)

        waiting = threading.Thread(target=ask)
        waiting.start()
        while not service.asked:
            time.sleep(0.01)
        relay.close()
        waiting.join()
    assert lost, "who waits for an answer is told"
    assert threading.active_count() == threads


@pytest.mark.parametrize("url", ["https://127.0.0.1:8000", "http://", "127.0.0.1:8000"])
def test_what_cannot_be_relayed_is_told(url: str) -> None:
    with pytest.raises(TargetError, match=r"the stage's url = .* write one like http://127\.0\.0\.1:8000"):
        Relay(url)


def test_a_port_that_somebody_else_has_taken_is_told() -> None:
    with relayed(Service()) as relay:
        other = Service(port=int(relay.url.rsplit(":", 1)[1]))

        def stand_in_the_way() -> None:
            with pytest.raises(TargetError, match=r"nothing can listen on 127\.0\.0\.1:.* run again"):
                relay.refuse(AWAY)

        with meanwhile(stand_in_the_way), served(other):
            time.sleep(AWAY)


def test_it_may_end_in_the_midst_of_what_is_asked() -> None:
    service = Service()
    with served(service):
        for _ in range(8):
            relay = Relay(service.url)
            ended = threading.Event()

            def ask(relay: Relay = relay, ended: threading.Event = ended) -> None:
                while not ended.is_set():
                    with suppress(requests.ConnectionError):  # as it ends
                        asked(relay)

            users = [threading.Thread(target=ask) for _ in range(8)]
            for user in users:
                user.start()
            time.sleep(0.1)
            relay.close()
            ended.set()
            for user in users:
                user.join()
    gc.collect()  # what was left open is complained of when it is collected
