"""The control API of a served stub, below ``/_gonogo``: its journal, what it answers with, and who may say so."""

from __future__ import annotations

import hmac
import ipaddress
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from gonogo.errors import DefinitionError
from gonogo.model import Json
from gonogo.stub.faults import FaultPlan, LlmFault
from gonogo.stub.journal import Script, Stub
from gonogo.stub.keeping import BoundedJournal
from gonogo.stub.lease import Lease
from gonogo.stub.scripts import script_from_json, script_to_json

__all__ = ["Control", "State", "is_loopback", "named_by"]

_PAGE = 4 * 1024 * 1024  # bytes of exchanges in one answer, about: making it keeps other requests waiting
_LONGEST = 3600.0  # seconds of a lease


class _Refused(Exception):
    """A control request that is answered with a status and a reason."""

    def __init__(self, status: int, said: str, **headers: str) -> None:
        super().__init__(said)
        self.status, self.headers = status, headers


@dataclass
class State:
    """What the server knows beside its stub.

    Attributes:
        refused: how many calls were no request to the model.
        problem: why the newest recordings on disk are not served, or none.
    """

    refused: int = 0
    problem: str | None = None


@dataclass
class Control:
    """The handlers, and what they work on.

    Without a token only programs on this machine may ask: a request whose Host is another one, or that a page in a browser
    sent (Origin), is refused. With a token it must be sent as ``Authorization: Bearer <token>``.
    """

    stub: Stub
    journal: BoundedJournal
    lease: Lease
    state: State
    token: str | None = field(default=None, repr=False)

    @property
    def handlers(self) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]]:
        """Method and name of a call -> what answers it."""
        return {
            ("GET", "health"): self._health,
            ("GET", "journal"): self._journal,
            ("DELETE", "journal"): self._clear,
            ("GET", "faults"): self._faults,
            ("PUT", "faults"): self._set_faults,
            ("DELETE", "faults"): self._no_faults,
            ("GET", "script"): self._script,
            ("PUT", "script"): self._set_script,
            ("DELETE", "script"): self._no_script,
            ("GET", "counters"): self._counters,
            ("GET", "metrics"): self._metrics,
            ("POST", "expect"): self._expect,
            ("DELETE", "expect"): self._release,
        }

    def application(self, below: str) -> Router:
        """The ASGI application of all paths below ``below``."""
        handlers = self.handlers
        known = ", ".join(f"{method} {below}/{name}" for method, name in handlers)

        async def dispatch(request: Request) -> Response:
            try:
                self._admit(request)
                handler = handlers.get((request.method, request.path_params["name"].removeprefix("/")))
                if handler is None:
                    raise _Refused(404, f"{request.method} {request.url.path} is not served; served are {known}")
                self.lease.lapse()
                return await handler(request)
            except _Refused as refused:
                return _json({"error": str(refused)}, refused.status, refused.headers)
            except DefinitionError as error:
                return _json({"error": str(error)}, 400)

        methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        return Router([Route(f"{below}{{name:path}}", dispatch, methods=methods)], redirect_slashes=False)

    def _admit(self, request: Request) -> None:
        if self.token is not None:
            given = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
                raise _Refused(
                    401,
                    "the control API wants the token that the stub was started with; send Authorization: Bearer <token>",
                    **{"www-authenticate": "Bearer"},
                )
            return
        host = request.headers.get("host", "")
        if not is_loopback(named_by(host)):
            raise _Refused(
                403, f"Host: {host!r:.80} is not this machine; ask 127.0.0.1, or start the stub with a token"
            )
        if "origin" in request.headers:
            raise _Refused(
                403, f"Origin: {request.headers['origin']!r:.80}: pages in browsers may not ask; use a program"
            )

    async def _health(self, request: Request) -> Response:
        told: dict[str, Json] = {"status": "ok" if self.state.problem is None else "stale recordings"}
        if self.state.problem is not None:
            told["problem"] = self.state.problem
        return _json({**told, "recordings": len(self.stub.loaded.recordings), "version": version("gonogo")})

    async def _journal(self, request: Request) -> Response:
        asked = request.query_params.get("since", "0")
        if not asked.isdecimal():
            raise _Refused(400, f"since = {asked!r:.40} is no serial number; write 0, or the next of an earlier answer")
        holder = request.query_params.get("holder")
        if holder is not None and self.lease.holder != holder:
            raise _Refused(409, f"{holder!r} holds no lease any more, so others may have asked; POST expect takes one")
        page = self.journal.since(int(asked), _PAGE)
        exchanges: list[Json] = [one.as_json() for one in page.exchanges]
        return _json({"exchanges": exchanges, "next": page.next, "lost": page.lost, "more": page.more})

    async def _clear(self, request: Request) -> Response:
        self._refuse_where_held(request)
        self.journal.clear()
        return _json({"next": self.journal.requests})

    async def _faults(self, request: Request) -> Response:
        return _json({"fault": None if self.stub.plan is None else self.stub.plan.as_json()})

    async def _set_faults(self, request: Request) -> Response:
        self._refuse_where_held(request)
        plan = FaultPlan.from_json(await _object_of(request))
        self.stub.answer_with(step=self.stub.step, script=self.stub.script, fault=plan)
        return await self._faults(request)

    async def _no_faults(self, request: Request) -> Response:
        self._refuse_where_held(request)
        self.stub.answer_with(step=self.stub.step, script=self.stub.script)
        return await self._faults(request)

    async def _script(self, request: Request) -> Response:
        return _json({"script": None if self.stub.script is None else script_to_json(self.stub.script)})

    async def _set_script(self, request: Request) -> Response:
        self._refuse_where_held(request)
        self.stub.script = script_from_json(await _object_of(request))
        return await self._script(request)

    async def _no_script(self, request: Request) -> Response:
        self._refuse_where_held(request)
        self.stub.script = None
        return await self._script(request)

    async def _counters(self, request: Request) -> Response:
        journal = self.journal
        counted: dict[str, Json] = {
            "requests": journal.requests,
            "hits": journal.hits,
            "scripted": journal.scripted,
            "misses": journal.misses,
            "refused": self.state.refused,
            "faults": {fault.value: count for fault, count in sorted(self.stub.struck.items())},
            "journal": len(journal),
            "journal_bytes": journal.size,
            "lost": journal.lost,
            "recordings": len(self.stub.loaded.recordings),
        }
        return _json(counted)

    async def _metrics(self, request: Request) -> Response:
        return Response("".join(self._metric_lines()), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _metric_lines(self) -> list[str]:
        """Source: Prometheus' text exposition format 0.0.4."""
        journal = self.journal
        figures = (
            ("requests_total", "counter", "Calls that came.", journal.requests),
            ("hits_total", "counter", "Requests answered from a recording.", journal.hits),
            ("scripted_total", "counter", "Requests answered by a script.", journal.scripted),
            ("misses_total", "counter", "Calls that nothing answered.", journal.misses),
            ("refused_total", "counter", "Calls that were no request to the model.", self.state.refused),
            ("journal_lost_total", "counter", "Exchanges kept no longer.", journal.lost),
            ("journal_exchanges", "gauge", "Exchanges kept.", len(journal)),
            ("journal_bytes", "gauge", "Bytes of exchanges kept.", journal.size),
            ("recordings", "gauge", "Recordings served.", len(self.stub.loaded.recordings)),
        )
        lines = []
        for name, kind, text, value in figures:
            lines += [f"# HELP gonogo_stub_{name} {text}\n", f"# TYPE gonogo_stub_{name} {kind}\n"]
            lines.append(f"gonogo_stub_{name} {value}\n")
        lines.append("# HELP gonogo_stub_faults_total Faults that struck.\n# TYPE gonogo_stub_faults_total counter\n")
        lines += [f'gonogo_stub_faults_total{{fault="{one}"}} {self.stub.struck[one]}\n' for one in LlmFault]
        return lines

    async def _expect(self, request: Request) -> Response:
        data = await _object_of(request)
        unknown = sorted(data.keys() - {"holder", "ttl", "step", "script", "fault"})
        if unknown:
            raise _Refused(400, f"expect: {unknown[0]!r} is unknown; known are holder, ttl, step, script, fault")
        holder, ttl, step = data.get("holder"), data.get("ttl"), data.get("step")
        if not isinstance(holder, str) or not holder:
            raise _Refused(400, f"expect: holder = {holder!r:.40} is no name; write a text that tells who asks")
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= _LONGEST:
            raise _Refused(400, f"expect: ttl = {ttl!r:.40} is no time; write seconds, at most {_LONGEST:g}")
        if step is not None and not isinstance(step, str):
            raise _Refused(400, f"expect: step = {step!r:.40} is no step; write its id, or null")
        script, fault = _script_of(data.get("script")), _plan_of(data.get("fault"))
        self._refuse_another(holder)
        self.lease.take(holder, ttl, step=step, script=script, fault=fault)
        return _json({"since": self.journal.requests})

    async def _release(self, request: Request) -> Response:
        holder = request.query_params.get("holder")
        if not holder:
            raise _Refused(400, "expect: say whose lease ends; write ?holder=NAME")
        self._refuse_another(holder)
        if self.lease.holder is not None:
            self.lease.end()
        return _json({"holder": None})

    def _refuse_where_held(self, request: Request) -> None:
        self._refuse_another(request.query_params.get("holder"))

    def _refuse_another(self, holder: str | None) -> None:
        if self.lease.held_by_another(holder):
            left = math.ceil(self.lease.left)
            raise _Refused(
                423, f"{self.lease.holder!r} has the stub for {left} s more; wait", **{"retry-after": str(left)}
            )


def named_by(host: str) -> str:
    """The name or address that a Host header holds; empty where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _object_of(request: Request) -> dict[str, Any]:
    try:
        data = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise _Refused(400, f"the body is no JSON ({error}); send an object") from error
    if not isinstance(data, dict):
        raise _Refused(400, f"the body is {data!r:.40}; send an object")
    return data


def _script_of(data: object) -> Script | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        raise _Refused(400, f"script: {data!r:.40} is none; send an object")
    return script_from_json(data)


def _plan_of(data: object) -> FaultPlan | None:
    if data is None:
        return None
    return FaultPlan.from_json(data if isinstance(data, dict) else {"fault": data})


def _json(data: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # escapes keep half a character, which UTF-8 cannot
    return Response(json.dumps(data), status, headers, media_type="application/json")
