"""An ASGI application in process: one event loop for all requests, from its start to its shutdown."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gonogo.targets.asgi import AsgiTransport

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Application:
    """Answers as it is asked to by the path; keeps what it was sent."""

    def __init__(self) -> None:
        self.loops: set[int] = set()
        self.events: list[str] = []
        self.scopes: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.lifespan = "known"

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        self.loops.add(id(asyncio.get_running_loop()))
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        self.scopes.append(dict(scope))
        self.bodies.append((await receive())["body"])
        match scope["path"]:
            case "/raises":
                raise KeyError("before the answer")
            case "/silent":
                return
            case "/exits":
                sys.exit(3)
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b'{"said": ', "more_body": True})
        await send({"type": "http.response.body", "body": b'"so"}'})
        self.events.append((await receive())["type"])
        if scope["path"] == "/raises-afterwards":
            raise KeyError("after the answer")

    async def live(self, scope: Any, receive: Receive, send: Send) -> None:
        match self.lifespan:
            case "raises":
                raise ValueError("no lifespan here")  # as frameworks do that know requests alone
            case "returns":
                return
            case "exits":
                sys.exit(3)
            case "fails":
                await send({"type": "lifespan.startup.failed", "message": "the database is not there"})
                raise OSError("the database is not there")
        self.events.append((await receive())["type"])
        scope["state"]["kept"] = "from the start"
        await send({"type": "lifespan.startup.complete"})
        self.events.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture
def application() -> Application:
    return Application()


@contextmanager
def carried(application: Application, **headers: str) -> Iterator[AsgiTransport]:
    transport = AsgiTransport(application, headers)
    try:
        yield transport
    finally:
        transport.close()


def test_a_request_arrives_as_a_server_would_hand_it_on(application: Application) -> None:
    with carried(application, Authorization="Bearer x") as transport:
        answer = transport("POST", "/tickets/a%20b?beyond=7", {"subject": "Straße"})
    assert (answer.status, answer.json()) == (201, {"said": "so"})
    [scope] = application.scopes
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/tickets/a b", b"beyond=7")
    body = application.bodies[0]
    assert dict(scope["headers"]) == {
        b"host": b"localhost",
        b"authorization": b"Bearer x",
        b"content-type": b"application/json",
        b"content-length": str(len(body)).encode(),
    }
    assert body == b'{"subject": "Stra\\u00dfe"}'
    assert scope["state"] == {"kept": "from the start"}


def test_a_request_without_a_body_has_no_type_of_one(application: Application) -> None:
    with carried(application) as transport:
        transport("GET", "/")
    assert dict(application.scopes[0]["headers"]) == {b"host": b"localhost"}
    assert application.bodies == [b""]


def test_all_requests_share_one_event_loop_and_the_application_shuts_down_in_it(application: Application) -> None:
    with carried(application) as transport:
        transport("GET", "/")
        transport("GET", "/")
    transport.close()
    assert len(application.loops) == 1
    assert application.events == ["lifespan.startup", "http.disconnect", "http.disconnect", "lifespan.shutdown"]
    with pytest.raises(RuntimeError, match="the application has ended"):
        transport("GET", "/")


@pytest.mark.parametrize("lifespan", ["raises", "returns"])
def test_an_application_need_not_know_lifespan_events(application: Application, lifespan: str) -> None:
    application.lifespan = lifespan
    with carried(application) as transport:
        assert transport("GET", "/").status == 201


def test_an_application_that_does_not_start_says_why(application: Application) -> None:
    application.lifespan = "fails"
    with pytest.raises(RuntimeError, match="does not start: the database is not there"):
        AsgiTransport(application)


def test_what_the_application_raises_instead_of_an_answer_is_raised_here(application: Application) -> None:
    with carried(application) as transport:
        with pytest.raises(KeyError, match="before the answer"):
            transport("GET", "/raises")
        with pytest.raises(RuntimeError, match="GET /silent: the application ended without an answer"):
            transport("GET", "/silent")
        assert transport("GET", "/").status == 201, "the next request is answered all the same"


def test_what_it_raises_after_its_answer_does_not_take_the_answer_back(application: Application) -> None:
    with carried(application) as transport:
        assert transport("GET", "/raises-afterwards").status == 201


def test_an_application_that_exits_is_waited_for_no_longer(application: Application) -> None:
    with carried(application) as transport:
        with pytest.raises(
            RuntimeError, match=r"GET /exits: the application ended its event loop, as sys.exit\(\) does"
        ):
            transport("GET", "/exits")
        with pytest.raises(RuntimeError, match="has ended"):
            transport("GET", "/")
    application.lifespan = "exits"
    with pytest.raises(RuntimeError, match="ended its event loop while it started"):
        AsgiTransport(application)
