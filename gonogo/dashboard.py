"""The page that shows a live watch: served on this machine alone, from a thread of the process that watches."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gonogo.model import Json
from gonogo.stub.control import is_loopback, named_by
from gonogo.stub.serving import listening, shown_url

__all__ = ["serving"]

_HOST = "127.0.0.1"
_LONGEST_PERIOD = 5.0  # seconds between two questions of the page, as it has them itself
_IDLE = 60  # seconds that a connection without a request is kept, longer than any period
_LAST_ANSWERS = 1  # seconds that answers in flight have when the watch ends


@contextmanager
def serving(state: Callable[[], Mapping[str, Json]], *, port: int, title: str) -> Iterator[str]:
    """Serve the dashboard while the block runs; gives its address.

    Where ``state`` tells at the end of the block that the watch has ended, and somebody looks, the end is served for one more
    period, so that a page can tell it from a watch that died.

    Args:
        state: what is shown, as it is now: ``Standing.as_json()``, and ``target``, ``for``, ``interval``, ``candidate``,
            ``previous``, ``started``, ``runbook``, ``ended``, ``action``. It is called in another thread, and must not block.
        port: 0 takes a free one.
        title: what is watched, in a few words.

    Raises:
        TargetError: the port cannot be listened on.
    """
    shown = _Shown(state, title)
    with listening(_HOST, port, option="--serve") as socket, ThreadPoolExecutor(max_workers=1) as thread:

        async def look() -> None:
            shown.look()

        config = uvicorn.Config(
            _Application(shown, _page()),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_LAST_ANSWERS,
            callback_notify=look,
            timeout_notify=0,  # as often as the server does such things, which is once a second
        )
        server = uvicorn.Server(config)

        async def serve() -> None:
            try:
                await server.serve(sockets=[socket])
            except Exception:  # of the state: connections that are left open would keep the loop from closing
                await server.shutdown(sockets=[socket])
                raise

        def run() -> None:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(serve())

        ended = thread.submit(run)
        try:
            yield shown_url(socket)
            shown.let_the_end_be_seen()
        finally:
            server.should_exit = True
            ended.result()  # raises what was not foreseen


@dataclass
class _Shown:
    """What the page is told: the state, and how old it is.

    A watch that hangs still answers through this thread. So the state's age is told as well, from the moment at which it
    was first seen: a page that was opened later must not take it for new.
    """

    state: Callable[[], Mapping[str, Json]]
    title: str
    _elapsed: Json = None
    _since: float = field(default_factory=time.monotonic)
    _asked: float = float("-inf")

    def look(self) -> Mapping[str, Json]:
        """The state, and its age in seconds."""
        state, now = self.state(), time.monotonic()
        if state.get("elapsed") != self._elapsed:
            self._elapsed, self._since = state.get("elapsed"), now
        return {**state, "title": self.title, "age": round(now - self._since, 1)}

    def answer(self) -> str:
        """The state as JSON.

        Raises:
            ValueError: it holds what JSON does not have, such as a NaN.
            TypeError: it holds what is no plain data.
        """
        self._asked = time.monotonic()
        return json.dumps(self.look(), allow_nan=False)

    def let_the_end_be_seen(self) -> None:
        """Wait until a page that looks has asked once more, where the watch has ended."""
        state = self.state()
        interval = state.get("interval")
        period = min(float(interval), _LONGEST_PERIOD) if isinstance(interval, int | float) else _LONGEST_PERIOD
        if state.get("ended") is not None and time.monotonic() - self._asked <= 2 * period:
            time.sleep(1.25 * period)


@dataclass(frozen=True)
class _Page:
    """The page, and the headers of all answers."""

    text: str
    headers: Mapping[str, str]


def _page() -> _Page:
    text = resources.files("gonogo").joinpath("dashboard.html").read_text(encoding="utf-8")
    policy = {
        "default-src": "'none'",
        "script-src": _hash_of(text, "script"),
        "style-src": _hash_of(text, "style"),
        "img-src": "data:",  # the icon of the tab
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",  # no text becomes HTML, whatever the script does
    }
    headers = {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    return _Page(text, headers)


def _hash_of(page: str, element: str) -> str:
    """What Content-Security-Policy calls the only element of this name."""
    (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


@dataclass(frozen=True)
class _Application:
    """Answers to programs on this machine; without lifespan and websockets, which the server does not ask for."""

    shown: _Shown
    page: _Page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = self._answer(Request(scope))
        response.headers.update(self.page.headers)
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        host = request.headers.get("host", "")
        # a page elsewhere whose name was pointed at this machine would read what stands here
        if not is_loopback(named_by(host)):
            return _text(403, f"the host {host!r:.80} is not this machine; ask {_HOST} or localhost")
        if request.method not in ("GET", "HEAD"):
            return _text(
                405, f"{request.method} is not answered; the dashboard is only looked at: GET", allow="GET, HEAD"
            )
        path = request.scope["path"]
        if path == "/":
            return Response(self.page.text, media_type="text/html")
        if path != "/state.json":
            return _text(404, f"{path!r:.80} is not served; served are / and /state.json")
        try:
            return Response(self.shown.answer(), media_type="application/json")
        except (TypeError, ValueError) as error:
            return _text(500, f"what the watch says is no JSON: {error}")


def _text(status: int, said: str, **headers: str) -> Response:
    # escaped, since a path may hold half a character, which UTF-8 cannot
    return Response(said.encode("utf-8", "backslashreplace"), status, headers, media_type="text/plain")
