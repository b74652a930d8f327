"""An application behind one HTTP contract, whatever carries it: WSGI in process here, a socket when it is live."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from gonogo.contract import Contract
from gonogo.errors import TargetError
from gonogo.metrics import MetricSample, read_metrics
from gonogo.model import Ability, Case, Json, Step, canonical
from gonogo.targets.adapter import Built, Run

__all__ = ["Answer", "HttpApplication", "Transport", "WsgiTransport", "digest"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body; of a live service the headers too, by their names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

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
            "PATH_INFO": unquote(url.path, "latin-1"),  # bytes as characters, as PEP 3333 has it
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


def digest(value: Json) -> str:
    """A short fingerprint of plain data."""
    return hashlib.sha256(canonical(value)).hexdigest()[:16]


class HttpApplication:
    """An ``Adapter`` over HTTP. What no HTTP interface shows (log events, tables) a subclass adds."""

    abilities: frozenset[Ability] = frozenset({Ability.PROMPT, Ability.REPLY})
    seam: str | None = None

    keeps_records = (
        False  # whether the record of a run is read even where nobody watches, as nothing else tells the prompt
    )

    def __init__(self, transport: Transport, contract: Contract | None) -> None:
        if contract is None:
            raise TargetError(
                "criteria.toml does not say how the application is asked over HTTP; write a section [target]"
            )
        self.transport = transport
        self.contract = contract

    def ask(self, name: str, inputs: Mapping[str, str] | None = None, **values: object) -> Any:
        """The JSON answer to the call of this name in the contract.

        Raises:
            RuntimeError: the status is none of success.
        """
        method, path, body = self.contract.call(name).at(inputs, **values)
        answer = self.transport(method, path, body)
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.body[:300]!r}")
        return answer.json()

    def title(self, case: Case) -> str:
        """The title of a post that is made for a case."""
        return f"gonogo {case.path}"

    def create_post(self, case: Case) -> Json:
        """A post with the inputs of a case; the caller deletes it."""
        made = self.ask("create", self.contract.named(case.inputs), title=self.title(case), step=case.step)
        post = self.contract.find("post", made)
        if post is None:
            raise RuntimeError(
                f"the new post is not named at {self.contract.answers['post']!r} of the answer: {made!r:.300}"
            )
        return post

    def delete_post(self, post: Json) -> None:
        """Remove a post with everything that belongs to it."""
        self.ask("delete", post=post)

    @contextmanager
    def _post(self, case: Case) -> Iterator[Json]:
        """A post of the case's own while it is needed; none where the application is asked without one."""
        if "create" not in self.contract.calls:
            yield None
            return
        post = self.create_post(case)
        try:
            yield post
        finally:
            self.delete_post(post)

    def construct(self, case: Case) -> Built:
        """The prompt that the preview shows."""
        if "preview" not in self.contract.calls:
            return self._built(self.ask("preview_inputs", self.contract.named(case.inputs), step=case.step))
        with self._post(case) as post:
            return self._built(self.ask("preview", self.contract.named(case.inputs), post=post, step=case.step))

    def _built(self, shown: Json) -> Built:
        reason = self.contract.find("fallback", shown)
        return Built(
            self.contract.prompt(shown),
            None if reason is None else str(reason),
            self.contract.sections(shown),
            self.contract.warnings(shown),
        )

    def run(self, case: Case, *, watched: bool) -> Run:
        """Run the step on a post of its own; watched, look at what is stored before and after."""
        contract = self.contract
        with self._post(case) as post:
            before, told_before = self._watch(post, watched)
            call = contract.call("run").at(contract.named(case.inputs), post=post, step=case.step)
            answer = self.transport(*call)
            body = answer.json()
            error = contract.error(body) if answer.status >= 400 else None
            after, told = self._watch(post, watched)
            return Run(
                status=answer.status,
                output=contract.find("output", body),
                error=error,
                state_before=before,
                state_after=after,
                runs_recorded=_more(told_before.runs, told.runs),
                fallback=_text(contract.find("fallback", body)),
                fallback_logged=told.logged[len(told_before.logged) :],
                fallback_counted=told.counted - told_before.counted,
                stored=self.fields(post) if watched and error is None else {},
                answer="" if error is None else answer.body.decode(errors="replace"),
                record=self.run_record(self._run_of(body)) if watched or self.keeps_records else None,
            )

    def _run_of(self, answer: Json) -> Json:
        """The id of the run that an answer is about; none where nothing names it."""
        named = self.contract.find("failed_run", answer)
        return self.contract.find("run", answer) if named is None else named

    def _watch(self, post: Json, watched: bool) -> tuple[dict[str, str], _Told]:
        """What is stored, and what is told of runs and fallbacks so far."""
        if not watched:
            return {}, _Told(None, (), 0)
        return self.state(post), _Told(self.runs_recorded(), self.fallbacks_logged(), self.fallbacks_counted())

    def state(self, post: Json) -> dict[str, str]:
        """Name -> digest of everything that is stored: here, the fields of the post."""
        return {f"field {name}": digest(value) for name, value in self.fields(post).items()}

    def fields(self, post: Json) -> dict[str, str]:
        """What the application shows of a post's fields, by the names that steps have for them; what is no text, as JSON."""
        return self._fields_in(self.ask("read", post=post))

    def _fields_in(self, shown: Json) -> dict[str, str]:
        found = self.contract.find("fields", shown)
        if not isinstance(found, dict):
            raise RuntimeError(f"a post shows no fields at {self.contract.answers['fields']!r}, but {found!r:.80}")
        usual = {own: name for name, own in self.contract.inputs.items()}
        return {
            usual.get(name, name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in found.items()
        }

    def runs_recorded(self) -> int | None:
        """How many run records there are; none where nothing tells."""
        return self._counted("runs")

    def run_record(self, run: Json) -> dict[str, Json] | None:
        """What the application says of the run that its answer named; see ``Run.record``."""
        contract = self.contract
        if "record" not in contract.calls:
            return None
        if run is None:
            return {}
        answer = self.transport(*contract.call("record").at(run=run))
        if answer.status != 200:
            return {}
        told = answer.json()
        succeeded = contract.find("record_status", told) == contract.succeeded
        sent = contract.find("record_prompt", told)
        return {
            "status": "succeeded" if succeeded else "failed",
            "prompt": None if sent is None else contract.prompt(told, "record_prompt").text,
            "error": contract.find("record_error", told),
            "reply": contract.find("record_reply", told),
        }

    def fallbacks_logged(self) -> Sequence[str]:
        """Of each log event that has spoken of a fallback so far, what it said is wrong."""
        return ()

    def fallbacks_counted(self) -> int:
        """What the metrics say of fallbacks so far."""
        return self._counted("fallbacks") or 0

    def metrics(self, name: str) -> list[MetricSample]:
        """The samples of this name, and those of other names where the application shows them all at once."""
        answer = self.transport(*self.contract.call("metrics").at(name=name))
        return list(read_metrics(answer.body.decode(errors="replace")))

    def _counted(self, name: str) -> int | None:
        """The sum of a counter over its labels; none where the contract names none."""
        metric = self.contract.metrics.get(name)
        if metric is None or "metrics" not in self.contract.calls:
            return None
        samples = self.metrics(metric.partition("{")[0])
        return int(sum(sample.value for sample in samples if sample.is_of(metric)))

    def runner(self, case: Case) -> Callable[[], object]:
        """Run the step over HTTP, again and again on the same post.

        Raises (when called):
            RuntimeError: a run did not succeed.
        """
        return self._again("run", case)

    def constructor(self, case: Case) -> Callable[[], object]:
        """Build the prompt through the preview; a subclass that reaches the constructor itself does better."""
        return self._again("preview" if "preview" in self.contract.calls else "preview_inputs", case)

    def _again(self, name: str, case: Case) -> Callable[[], object]:
        post = self.create_post(case) if "create" in self.contract.calls else None
        inputs = self.contract.named(case.inputs)
        return lambda: self.ask(name, inputs, post=post, step=case.step)

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


@dataclass(frozen=True, slots=True)
class _Told:
    """Run records (none: nothing tells), what was logged of fallbacks, and their count so far."""

    runs: int | None
    logged: Sequence[str]
    counted: int


def _more(before: int | None, after: int | None) -> int | None:
    # a counter that goes back was begun anew, or is another process's: it tells nothing
    return None if before is None or after is None or after < before else after - before


def _text(value: Json) -> str | None:
    return None if value is None else str(value)
