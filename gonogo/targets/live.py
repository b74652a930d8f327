"""A live service: the same HTTP contract over a socket. What it answers is evidence only while it stays one release.

Nothing is written to anybody's posts. A suite makes posts of its own and removes them; their titles say whose they are, so
that those of a suite that was killed are found and removed by the next one.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gonogo.contract import COUNTERS
from gonogo.errors import GonogoError, ReleaseChanged, ServiceGone, TargetError
from gonogo.metrics import buckets_of
from gonogo.model import Ability, Case, Json
from gonogo.targets.adapter import Built, Run, WorkerContext
from gonogo.targets.http import Answer, HttpApplication, digest
from gonogo.targets.sockets import NoAnswer, SocketTransport

__all__ = ["LiveApplication", "open_live"]

_MARK = "gonogo acceptance"
_TITLE = re.compile(rf"{_MARK} on (?P<host>\S+), process (?P<pid>\d+) of (?P<start>\d+), since (?P<since>\S+): ")
_ABANDONED = timedelta(hours=1)  # a post of a suite on another machine, which cannot be asked whether it still runs


def open_live(context: WorkerContext) -> LiveApplication:
    """The service that the context names."""
    return LiveApplication(context)


class LiveApplication(HttpApplication):
    """An application that is in service, asked over HTTP and nothing else."""

    def __init__(self, context: WorkerContext) -> None:
        service, contract = context.service, context.contract
        if service is None or contract is None:
            raise TargetError(
                "a live service needs its address (--gonogo-target) and a section [target] in criteria.toml"
            )
        address = urlsplit(service.url)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.password:
            raise TargetError(
                "--gonogo-target is not the address of a service; write one like http://127.0.0.1:8000, "
                "and name the variable that holds a token as token_env in [target]"
            )
        self._socket = SocketTransport(service.url, contract, os.environ)
        super().__init__(self._carry, contract)
        self._read_only = service.read_only or service.describe_only
        self._over: TargetError | None = None  # why nothing that is answered from now on is evidence
        self._answered = False
        self._let_in = False  # by a call that nobody may make without a token
        self._open_paths = {
            *contract.health,
            *(call.path for name, call in contract.calls.items() if name in ("version", "metrics")),
        }
        self._younger: dict[str, Json] = {}  # post -> the one that was made right after it
        self._elses = {  # step -> what somebody else wrote
            step.id: {one.field: f"somebody else's {one.field}" for one in step.inputs} for step in context.steps
        }
        self._posts: dict[str, Json] = {}
        self._title = (
            f"{_MARK} on {platform.node() or 'localhost'}, process {os.getpid()} of {_started(os.getpid())}, "
            f"since {_now()}: "
        )
        self.keeps_records = not context.model_url
        if service.read_only and "preview_inputs" not in contract.calls:
            raise TargetError(
                "every preview of this service needs a post, and --gonogo-read-only makes none; "
                "say in [target] how inputs are previewed that no post holds: preview_inputs"
            )
        self.abilities = frozenset(self._offered())
        self._release: str | None = None
        told = self._first_told()
        self._release = service.version or told
        self._compare(told)
        self._remove_abandoned()

    def _offered(self) -> Iterator[Ability]:
        yield from (Ability.PROMPT, Ability.LIVE, Ability.APPLICATION)
        if "run" in self.contract.calls and not self._read_only:
            yield Ability.REPLY
        if "construction" in self.contract.metrics and "metrics" in self.contract.calls:
            yield Ability.TIMING

    def _carry(self, method: str, path: str, body: Json = None) -> Answer:
        """Send a request; where there is no answer, find out whether the service is gone or this request alone was lost.

        Raises:
            ServiceGone: it answers nothing any more; from here on every request raises this.
            ReleaseChanged: it was found to be another release before.
            TargetError: it answers, but not to this request in time; or its first answer is that the token is not right.
            RuntimeError: it broke the connection of this request, and answers others.
        """
        if self._over is not None:
            raise self._over
        try:
            answer = self._socket(method, path, body)
        except NoAnswer as lost:
            self._look_whether_gone(f"{method} {path}", lost)
            if lost.late:
                raise TargetError(
                    f"{method} {path}: {lost}, while the service answers otherwise; it may wait longer than that for its "
                    "model: raise timeout in [target], or lower the service's own"
                ) from lost
            raise RuntimeError(f"{method} {path}: the service broke the connection: {lost}") from lost
        if answer.status in (401, 403) and not self._let_in:
            raise TargetError(
                f"{self._socket.url} does not let the suite in ({method} {path} answered {answer.status}); put a token that it takes into "
                f"{self.contract.token_env or 'an environment variable, and name that as token_env in [target]'}"
            )
        self._answered = True
        self._let_in = self._let_in or path not in self._open_paths
        header = self.contract.version_header.lower()
        # an answer that does not tell is another release's; without success it may be that of a proxy in between
        if header and self._release is not None and (header in answer.headers or answer.status < 500):
            self._compare(answer.headers.get(header))
        return answer

    def _look_whether_gone(self, asked: str, lost: NoAnswer) -> None:
        known = [
            *self.contract.health,
            *(one.path for name, one in self.contract.calls.items() if name == "version"),
            "/",
        ]
        probe = known[0]  # any answer will do, one of no such path as well
        try:
            self._socket("GET", probe)
        except NoAnswer as still:
            ended = "stopped answering" if self._answered else "does not answer,"
            self._over = ServiceGone(f"{self._socket.url} {ended} at {_now()} ({asked}: {lost}; {probe}: {still})")
            raise self._over from lost

    def _first_told(self) -> str | None:
        """The version that the service tells when it is asked for the first time.

        Raises:
            TargetError: what answers there does not know the question.
        """
        if "version" in self.contract.calls:
            method, path, body = self.contract.calls["version"].at()
            status = self.transport(method, path, body).status
            if 300 <= status < 500:
                raise TargetError(
                    f"{self._socket.url} answers {method} {path} with {status}; correct the address, or version in [target]"
                )
        return self._told()

    def _told(self) -> str | None:
        """The version that the service tells; none where the contract does not say how to ask."""
        if "version" not in self.contract.calls:
            return None
        found = self.contract.find("version", self.ask("version"))
        return None if found is None else str(found)

    def _check_release(self) -> None:
        """See that the service still is the release that it was.

        Raises:
            ReleaseChanged: it is another one; from here on every request raises this.
        """
        if not self.contract.version_header:  # every answer tells
            self._compare(self._told())

    def _compare(self, told: str | None) -> None:
        if told != self._release:
            self._over = ReleaseChanged(
                f"{self._socket.url} answered as release {told} at {_now()}, and as release {self._release} before"
            )
            raise self._over

    def construct(self, case: Case) -> Built:
        """The prompt that the preview shows; where nothing may be written, of inputs that no post holds."""
        self._check_release()
        if self._read_only:
            built = self._built(self.ask("preview_inputs", self.contract.named(case.inputs), step=case.step))
        else:
            built = super().construct(case)
        self._check_release()
        return built

    def run(self, case: Case, *, watched: bool) -> Run:
        """Run the step on a post of its own."""
        self._check_release()
        ran = super().run(case, watched=watched)
        self._check_release()  # or what was found might be another release's
        return ran

    def title(self, case: Case) -> str:
        """The title says whose post it is."""
        return f"{self._title}{case.path}"[:300]

    def create_post(self, case: Case) -> Json:
        """A post of the suite's own, and right after it one that is nobody's business; both remembered until deleted.

        A release that reads from, or writes to, the first or the last post there is shall not be right by chance.
        """
        if self._read_only:
            raise TargetError(f"{case.path}: --gonogo-read-only makes no posts")
        post, other = self._add(case), self._add(replace(case, inputs=self._elses[case.step]))
        self._younger[json.dumps(post)] = other
        return post

    def _add(self, case: Case) -> Json:
        post = super().create_post(case)
        self._posts[json.dumps(post)] = post
        return post

    def delete_post(self, post: Json) -> None:
        """Remove a post and the one that was made after it, also of a service that has become another release meanwhile."""
        self._delete(post)
        if json.dumps(post) in self._younger:
            self._delete(self._younger.pop(json.dumps(post)))

    def state(self, post: Json) -> dict[str, str]:
        """What is shown of the post, and the fields of others: of the one made after it, and of the oldest there is."""
        shown = self.ask("read", post=post)
        fields = self._fields_in(shown)
        state = {f"field {name}": digest(value) for name, value in fields.items()}
        state["title"] = digest(self.contract.find("title", shown))
        others = [self._younger[json.dumps(post)]]
        if "list" in self.contract.calls:
            strangers = (
                one for one, title in self._listed("") if not title.startswith(_MARK)
            )  # suites remove their own
            others += islice(strangers, 1)
        seen = [self.ask("read", post=one) for one in others]
        told: list[Json] = [[self.contract.find("title", one), dict(self._fields_in(one))] for one in seen]
        state["fields of other posts"] = digest(told)
        return state

    def _delete(self, post: Json) -> None:
        method, path, body = self.contract.call("delete").at(post=post)
        try:
            answer = self._socket(method, path, body)
        except NoAnswer:
            return  # remembered, and tried again at the end
        if answer.status == 404 or 200 <= answer.status < 300:
            self._posts.pop(json.dumps(post), None)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.body[:300]!r}")

    def _remove_abandoned(self) -> None:
        """Delete the posts of suites that were killed before they could."""
        if self._read_only or not {"list", "delete"} <= self.contract.calls.keys():
            return
        for post, title in list(self._listed(_MARK)):
            if _is_abandoned(title):
                self._delete(post)

    def _listed(self, beginning: str) -> Iterator[tuple[Json, str]]:
        """Id and title of every post whose title begins like this, page after page."""
        after: Json = 0
        while True:
            page = self.contract.find("posts", self.ask("list", title=beginning, after=after))
            rows = page if isinstance(page, list) else []
            found = [(self.contract.find("post", row), str(self.contract.find("title", row))) for row in rows]
            yield from ((post, title) for post, title in found if title.startswith(beginning))
            if not found or found[-1][0] == after or "{after}" not in self.contract.calls["list"].path:
                return
            after = found[-1][0]

    @contextmanager
    def _previewing(self, cases: Sequence[Case]) -> Iterator[list[Callable[[], Any]]]:
        """A preview of each case, to be called again and again."""
        inputs = [self.contract.named(case.inputs) for case in cases]
        if "preview_inputs" in self.contract.calls:
            yield [
                lambda given=given, step=case.step: self.ask("preview_inputs", given, step=step)  # type: ignore[misc]  # bound now
                for case, given in zip(cases, inputs, strict=True)
            ]
            return
        posts = [self.create_post(case) for case in cases]
        try:
            yield [
                lambda post=post, step=case.step: self.ask("preview", post=post, step=step)  # type: ignore[misc]  # bound now
                for case, post in zip(cases, posts, strict=True)
            ]
        finally:
            for post in posts:
                self.delete_post(post)

    def timed_constructions(self, cases: Sequence[Case], rounds: int, limit: float | None) -> list[float]:
        """Seconds of constructions by the service's own histogram: of each, the upper edge of its bucket.

        All that the service constructs of this step meanwhile is among them.

        Raises:
            TargetError: there is no such histogram, it has no edge at the limit, or it counts less than was asked for.
        """
        self._check_release()
        histogram, step = self.contract.metrics.get("construction", ""), cases[0].step
        if not histogram:
            raise TargetError("no histogram of constructions is named; add construction to [target.metric_names]")
        with self._previewing(cases) as previews:
            before = self._buckets(histogram, step)
            for preview in islice(cycle(previews), rounds):
                preview()
            after = self._buckets(histogram, step)
        self._check_release()
        edges = sorted(edge for edge in after if edge != float("inf"))
        if limit is not None and not any(abs(edge - limit) <= 1e-9 for edge in edges):
            raise TargetError(
                f"the histogram {histogram} has no edge at {limit:g} s, so that it cannot tell what lies below; give it one"
            )
        counted = {edge: count - before.get(edge, 0) for edge, count in after.items()}
        if min(counted.values(), default=0) < 0:
            raise TargetError(f"the histogram {histogram} went back meanwhile; was the service restarted?")
        if sum(counted.values()) < rounds:
            raise TargetError(
                f"the histogram {histogram} counted {sum(counted.values())} of {rounds} constructions of {step}; where "
                "several processes serve, let their metrics be one (the multi-process mode of Prometheus clients)"
            )
        beyond = 2 * edges[-1]  # of what lies above the last edge nothing else is known
        # what a bucket that ends at the limit holds keeps the limit: a nanosecond below it, or sums of floats would break it
        within = {edge: edge - 1e-9 for edge in edges if limit is not None and abs(edge - limit) <= 1e-9}
        values = [
            (beyond if edge == float("inf") else within.get(edge, edge), counted[edge]) for edge in sorted(counted)
        ]
        return [value for value, count in values for _ in range(count)]

    def _buckets(self, histogram: str, step: str) -> dict[float, int]:
        return buckets_of(self.metrics(f"{histogram}_bucket"), histogram, {"step": step})

    def describe(self) -> Mapping[str, Json]:
        """What the service tells of itself now: version, Python, dependencies, health, and what it has counted."""
        told = self.ask("version") if "version" in self.contract.calls else {}
        facts: dict[str, Json] = {name: self.contract.find(name, told) for name in ("python", "dependencies")}
        facts = {name: value for name, value in facts.items() if value is not None}
        health = self.contract.health
        return {
            **facts,
            "service": self._socket.url,
            "told_at": _now(),
            **({"version_told": told_version} if (told_version := self.contract.find("version", told)) else {}),
            **({"answers": {path: self.transport("GET", path).status for path in health}} if health else {}),
            "counted": {name: self._counted(name) for name in self.contract.metrics if name in COUNTERS},
        }

    def close(self) -> None:
        """Remove what is left of the suite's own posts, those too whose creation was never answered."""
        try:
            for post in list(self._posts.values()):
                self._delete(post)
            if self.contract.calls.keys() >= {"list", "delete"} and not self._read_only:
                self._over = self._release = None  # whatever release it is by now, these posts are ours
                for post, _ in list(self._listed(self._title)):
                    self._delete(post)
        except (RuntimeError, GonogoError, ValueError):
            return  # the next suite finds them by their titles
        finally:
            self._socket.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did: with its id a name that no other process gets. None: no such one.

    Source: fields 3 and 22 of /proc/PID/stat (Linux, proc(5)); 0 where the system has no such file.
    """
    if not Path("/proc/self/stat").exists():
        return 0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])  # one that has ended and that nobody has asked after


def _is_abandoned(title: str) -> bool:
    """Whether the suite that made a post of this title is no more."""
    named = _TITLE.match(title)
    if named is None:
        return False
    if named["host"] == (platform.node() or "localhost") and int(named["start"]):
        return _started(int(named["pid"])) != int(named["start"])
    try:
        return datetime.now(UTC) - datetime.fromisoformat(named["since"]) > _ABANDONED
    except (ValueError, TypeError):
        return False
