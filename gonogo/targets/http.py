"""An application behind one HTTP contract, whatever carries it: WSGI in process here, a socket when it is live."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from gonogo.errors import TargetError
from gonogo.model import Ability, Case, Json, Prompt, Step, canonical
from gonogo.targets.adapter import Built, Run

__all__ = ["Answer", "HttpApplication", "HttpContract", "Transport", "WsgiTransport", "digest"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; none where there is no body.

        Raises:
            ValueError: it is something else.
        """
        return json.loads(self.body) if self.body else None


class Transport(Protocol):
    """Carries a request to an application."""

    def __call__(self, method: str, path: str, body: Json = None) -> Answer:
        """Send a request with a JSON body (or none) and wait for the answer."""
        ...


class WsgiTransport:
    """Calls a WSGI application (PEP 3333) in this process and this thread."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, method: str, path: str, body: Json = None) -> Answer:
        """Send a request."""
        url = urlsplit(path)
        content = b"" if body is None else json.dumps(body).encode()
        environ: dict[str, object] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(content),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if body is not None:
            environ["CONTENT_TYPE"] = "application/json"
        started: list[str] = []

        def start_response(status: str, headers: object, error: object = None) -> Callable[[bytes], None]:
            started[:] = [status]
            return lambda data: None

        parts = self._application(environ, start_response)
        try:
            answered = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return Answer(int(started[0].split(" ", 1)[0]), answered)


@dataclass(frozen=True, slots=True)
class HttpContract:
    """Where an application answers what. ``{post}``, ``{step}`` and ``{run}`` in a path stand for ids.

    ``record`` is empty where an application keeps no record of its runs, or shows it to nobody.
    """

    create: str = "/api/posts"
    post: str = "/api/posts/{post}"
    preview: str = "/api/posts/{post}/steps/{step}/preview"
    run: str = "/api/posts/{post}/steps/{step}/run"
    record: str = ""
    metrics: str = "/metrics"
    fallback_metric: str = "fallbacks_total"


def _named(error: object, body: object) -> Json:
    """The id of the run that an answer is about: an error names it itself; none where nothing does."""
    return next((told["run_id"] for told in (error, body) if isinstance(told, dict) and "run_id" in told), None)


def digest(value: Json) -> str:
    """A short fingerprint of plain data."""
    return hashlib.sha256(canonical(value)).hexdigest()[:16]


class HttpApplication:
    """An ``Adapter`` over HTTP. What no HTTP interface shows (log events, tables) a subclass adds."""

    abilities: frozenset[Ability] = frozenset({Ability.PROMPT, Ability.REPLY})
    seam: str | None = None

    def __init__(self, transport: Transport, contract: HttpContract) -> None:
        self.transport = transport
        self.contract = contract

    def _ask(self, method: str, path: str, body: Json = None, *, expected: int) -> Any:
        answer = self.transport(method, path, body)
        if answer.status != expected:
            raise RuntimeError(
                f"{method} {path} answered {answer.status}, expected was {expected}: {answer.body[:300]!r}"
            )
        return answer.json()

    def create_post(self, case: Case) -> int:
        """A post with the inputs of a case; the caller deletes it."""
        body: Json = {"title": f"gonogo {case.path}", "fields": dict(case.inputs)}
        return int(self._ask("POST", self.contract.create, body, expected=201)["id"])

    def delete_post(self, post: int) -> None:
        """Remove a post with everything that belongs to it."""
        self._ask("DELETE", self.contract.post.format(post=post), expected=204)

    def _path(self, template: str, post: int, case: Case) -> str:
        return template.format(post=post, step=quote(case.step))

    def construct(self, case: Case) -> Built:
        """The prompt that the preview shows."""
        post = self.create_post(case)
        try:
            shown = self._ask("POST", self._path(self.contract.preview, post, case), expected=200)
        finally:
            self.delete_post(post)
        return Built(Prompt.of(shown["prompt"]), shown["fallback"]["reason"] if shown["fallback"] else None)

    def run(self, case: Case, *, watched: bool) -> Run:
        """Run the step on a post of its own; watched, look at what is stored before and after."""
        post = self.create_post(case)
        try:
            before, told_before = self._watch(post, watched)
            answer = self.transport("POST", self._path(self.contract.run, post, case))
            body = answer.json()
            error = body.get("error") if answer.status >= 400 else None
            after, told = self._watch(post, watched)
            return Run(
                status=answer.status,
                output=body.get("output"),
                error=error,
                state_before=before,
                state_after=after,
                runs_recorded=told[0] - told_before[0],
                fallback=(body.get("fallback") or {}).get("reason"),
                fallback_logged=told[1] - told_before[1],
                fallback_counted=told[2] - told_before[2],
                stored=self.fields(post) if watched and error is None else {},
                answer="" if error is None else answer.body.decode(errors="replace"),
                record=self.run_record(_named(error, body)) if watched else None,
            )
        finally:
            self.delete_post(post)

    def _watch(self, post: int, watched: bool) -> tuple[dict[str, str], tuple[int, int, int]]:
        """What is stored; run records, log events and metrics so far."""
        if not watched:
            return {}, (0, 0, 0)
        return self.state(post), (self.runs_recorded(), self.fallbacks_logged(), self.fallbacks_counted())

    def state(self, post: int) -> dict[str, str]:
        """Name -> digest of everything that is stored: here, the fields of the post."""
        return {f"field {name}": digest(value) for name, value in self.fields(post).items()}

    def fields(self, post: int) -> dict[str, str]:
        """What the application shows of a post's fields."""
        return dict(self._ask("GET", self.contract.post.format(post=post), expected=200)["fields"])

    def runs_recorded(self) -> int:
        """How many run records there are; 0 where nothing tells."""
        return 0

    def run_record(self, run: Json) -> dict[str, Json] | None:
        """What the application says of the run that its answer named; see ``Run.record``."""
        if not self.contract.record:
            return None
        if run is None:
            return {}
        answer = self.transport("GET", self.contract.record.format(run=quote(str(run))))
        if answer.status != 200:
            return {}
        told = answer.json()
        code = (told.get("error") or {}).get("code")
        return {"status": told.get("status"), "prompt": told.get("prompt"), "error": code}

    def fallbacks_logged(self) -> int:
        """How many log events have spoken of a fallback so far."""
        return 0

    def fallbacks_counted(self) -> int:
        """What the metrics say of fallbacks so far."""
        text = self.transport("GET", self.contract.metrics).body.decode()
        total = 0.0
        for line in text.splitlines():
            if line.startswith((f"{self.contract.fallback_metric}{{", f"{self.contract.fallback_metric} ")):
                total += float(line.rsplit(" ", 1)[1])
        return int(total)

    def runner(self, case: Case) -> Callable[[], object]:
        """Run the step over HTTP, again and again on the same post.

        Raises (when called):
            RuntimeError: a run did not succeed.
        """
        post = self.create_post(case)
        path = self._path(self.contract.run, post, case)
        return lambda: self._ask("POST", path, expected=200)

    def constructor(self, case: Case) -> Callable[[], object]:
        """Build the prompt through the preview; a subclass that reaches the constructor itself does better."""
        post = self.create_post(case)
        path = self._path(self.contract.preview, post, case)
        return lambda: self._ask("POST", path, expected=200)

    def define(self, steps: Sequence[Step]) -> None:
        """Not offered over HTTP.

        Raises:
            TargetError: always.
        """
        raise TargetError("definitions cannot be replaced over HTTP")

    def describe(self) -> Mapping[str, Json]:
        """Nothing is known of an application but its contract."""
        return {}

    def close(self) -> None:
        """Nothing to let go of."""
