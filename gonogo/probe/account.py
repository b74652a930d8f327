"""What a probe of a live service has seen: its schedule, one request, and the account of all of them. Pure.

All moments are seconds since the first request was due, on the monotonic clock of the probe's machine.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn, get_type_hints

from gonogo.errors import EvidenceError, TargetError

__all__ = [
    "IDEMPOTENT",
    "LATE",
    "Account",
    "Connections",
    "Ending",
    "Failures",
    "Gap",
    "Load",
    "Schedule",
    "Seen",
    "Sent",
    "Spread",
    "read_account",
]

LATE = 0.02  # seconds; what is sent later than that after its moment is late
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_VERSION = 1


class Connections(enum.StrEnum):
    """What requests are sent on: connections that are kept, a fresh one each, or both in turn."""

    KEPT = "kept"
    FRESH = "fresh"
    BOTH = "both"


class Ending(enum.StrEnum):
    """What became of one request: a good answer, none or another one, or the probe itself could not send it."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When requests are due: ``rate`` a second for ``duration`` seconds, whatever becomes of those before (open model).

    Raises:
        TargetError: one of them is no positive number.
    """

    rate: float
    duration: float

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        for name, value in (("rate", self.rate), ("duration", self.duration)):
            if not (math.isfinite(value) and value > 0):
                raise TargetError(f"schedule: {name} = {value!r} is no positive number; write one such as 60")

    @property
    def period(self) -> float:
        """Seconds between two moments."""
        return 1.0 / self.rate

    def moment(self, number: int) -> float:
        """When a request is due; the first one, number 0, at 0."""
        return number / self.rate

    def due(self, until: float) -> int:
        """How many requests are due before a moment, and within the schedule."""
        end = min(until, self.duration)
        number = max(0, int(end * self.rate))
        # the product may be off by one unit in the last place; the moments themselves decide
        while self.moment(number) < end:
            number += 1
        while number and self.moment(number - 1) >= end:
            number -= 1
        return number


@dataclass(frozen=True)
class Load:
    """What is asked, without anything secret.

    Attributes:
        url: of the service; paths follow it.
        paths: asked in turn.
        method: of all requests.
        connections: what they are sent on.
        timeout: seconds from sending a request to its answer, a second try included.
        expected: statuses that are good; none: 200 to 399.
        release_header: the header of an answer that tells its release; empty: none does.
    """

    url: str
    paths: tuple[str, ...] = ("/",)
    method: str = "GET"
    connections: Connections = Connections.BOTH
    timeout: float = 5.0
    expected: tuple[int, ...] = ()
    release_header: str = ""

    def is_fresh(self, number: int) -> bool:
        """Whether a request is sent on a connection of its own."""
        return self.connections is Connections.FRESH or (self.connections is Connections.BOTH and number % 2 == 1)

    def path(self, number: int) -> str:
        """The path of a request; each one meets both kinds of connections."""
        turn = number // 2 if self.connections is Connections.BOTH else number
        return self.paths[turn % len(self.paths)]

    def is_good(self, status: int) -> bool:
        """Whether an answer with this status is one that was hoped for."""
        return status in self.expected if self.expected else 200 <= status <= 399


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when it was due, sent and done with, and what became of it.

    Attributes:
        path: that was asked.
        scheduled, sent, done: seconds since the first request was due.
        ending: what became of it.
        cause: why it is no good answer; empty where it is one.
        status: of the answer, or none.
        reused: sent on a connection that had carried another request, at first.
        retried: that connection broke before a byte of the answer came, and it was sent once more on a fresh one.
        release: that the answer told, or none.
    """

    path: str
    scheduled: float
    sent: float
    done: float
    ending: Ending
    cause: str = ""
    status: int | None = None
    reused: bool = False
    retried: bool = False
    release: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a good answer, in seconds since the first request was due."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Failures:
    """Requests that failed in the same way. ``first`` and ``last``: when they were known to have failed."""

    kind: str
    count: int
    first: float
    last: float
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """Answers of one release, good or not, and the moments of the first and the last; none: answers that told no release."""

    release: str | None
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles and the largest of some seconds. A quantile is at most one per cent too large, and never too small."""

    p50: float
    p99: float
    largest: float


@dataclass(frozen=True)
class Account:
    """What became of every request of a probe.

    Attributes:
        load: what was asked.
        schedule: when.
        started: the first moment, as a date (ISO 8601, UTC).
        began: the first moment by ``time.monotonic()`` of this machine, for what else is timed on it.
        ended: when the schedule ended, its own end or earlier.
        scheduled: requests that were due until then.
        answered, failed: requests with a good answer, and all others. Together they are what was sent.
        unsent: of those that failed, the ones that the probe itself could not send.
        reused: sent on a connection that had carried another.
        retried: sent once more, on a fresh connection, as the one that was used again had been closed.
        late: sent more than ``LATE`` seconds after their moment.
        lag: from a request's moment to its sending; none where nothing was sent.
        latency: from a request's moment to its good answer; none where there was no such answer.
        worst_wait: from a request's moment to its end, whatever became of it.
        gap: the longest time without a good answer.
        failures: by kind, the most frequent first.
        releases: that answered, in the order in which they came; none where no header tells them.
    """

    load: Load
    schedule: Schedule
    started: str
    began: float
    ended: float
    scheduled: int
    answered: int
    failed: int
    unsent: int
    reused: int
    retried: int
    late: int
    lag: Spread | None
    latency: Spread | None
    worst_wait: float
    gap: Gap
    failures: tuple[Failures, ...] = ()
    releases: tuple[Seen, ...] = ()

    @property
    def sent(self) -> int:
        """Requests of which something became."""
        return self.answered + self.failed

    @property
    def lost(self) -> int:
        """Requests that were due and of which nothing is known: none, or the probe has a fault."""
        return self.scheduled - self.sent

    @property
    def resolution(self) -> float:
        """Seconds that the probe cannot tell apart: the period of its schedule and its own largest lag."""
        return self.schedule.period + (self.lag.largest if self.lag else 0.0)

    @property
    def away(self) -> tuple[float, float]:
        """Seconds that the service was away for in the longest gap, at least and at most.

        The last good answer may have come, and the first one after it may have been asked for, a period and a lag away from
        the moment that matters.
        """
        return max(0.0, self.gap.length - 2 * self.resolution), self.gap.length + self.resolution

    def moment(self, monotonic: float) -> float:
        """What ``time.monotonic()`` told on this machine, as a moment of this account."""
        return monotonic - self.began

    def as_json(self) -> dict[str, Any]:
        """Plain data; ``sent``, ``lost``, ``resolution`` and ``away`` stand in it for readers."""
        told = {name: getattr(self, name) for name in ("sent", "lost", "resolution")}
        return {"version": _VERSION, **asdict(self), **told, "away": list(self.away)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Account:
        """The account that ``as_json`` wrote.

        Raises:
            EvidenceError: it is none, or its figures contradict each other.
        """
        if data.get("version") != _VERSION:
            _refuse(f"version = {data.get('version')!r} is not {_VERSION}")
        plain = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        try:
            account = cls(
                **{
                    **plain,
                    "load": _load(data["load"]),
                    "schedule": _as(Schedule, data["schedule"]),
                    "lag": None if data["lag"] is None else _as(Spread, data["lag"]),
                    "latency": None if data["latency"] is None else _as(Spread, data["latency"]),
                    "gap": _as(Gap, data["gap"]),
                    "failures": tuple(
                        replace(_as(Failures, one), paths=tuple(map(str, one["paths"]))) for one in data["failures"]
                    ),
                    "releases": tuple(_as(Seen, one) for one in data["releases"]),
                }
            )
        except (KeyError, TypeError, ValueError, TargetError) as error:
            raise EvidenceError(f"no account of a probe ({error!r}); probe again") from error
        _check(account)
        return account

    def __rich__(self) -> Any:
        """A table for the terminal."""
        from gonogo.probe.text import table_of  # facts know how to render themselves; what that takes lies apart

        return table_of(self)


def _as(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """A flat fact; a number where a number belongs."""
    hints = get_type_hints(kind)
    for name, value in data.items():
        if hints[name] in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TypeError(f"{name} = {value!r} is no number")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} = {value!r} is no number")
    return kind(**data)


def _load(data: Mapping[str, Any]) -> Load:
    return Load(
        **{
            **data,
            "paths": tuple(data["paths"]),
            "connections": Connections(data["connections"]),
            "expected": tuple(data["expected"]),
        }
    )


def _check(account: Account) -> None:
    """Refuse figures that cannot be those of a probe."""
    counts = ("scheduled", "answered", "failed", "unsent", "reused", "retried", "late")
    for name in counts:
        value = getattr(account, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            _refuse(f"{name} = {value!r} is no number of requests")
    for name in ("began", "ended", "worst_wait"):
        value = getattr(account, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            _refuse(f"{name} = {value!r} is no number of seconds")
    if account.scheduled != account.schedule.due(account.ended):
        _refuse(f"scheduled = {account.scheduled}, but the schedule has {account.schedule.due(account.ended)} moments")
    if account.failed != sum(one.count for one in account.failures):
        _refuse(f"failed = {account.failed}, but failures tell of {sum(one.count for one in account.failures)}")
    if account.unsent > account.failed or (account.latency is None) != (account.answered == 0):
        _refuse("its figures contradict each other")
    if account.gap.length < 0 or (account.lag is None) != (account.sent == account.unsent):
        _refuse("its figures contradict each other")


def _refuse(problem: str) -> NoReturn:
    raise EvidenceError(f"no account of a probe: {problem}; probe again")


def read_account(text: str) -> Account:
    """The account in the text of a file.

    Raises:
        EvidenceError: see ``Account.from_json``.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise EvidenceError(f"no account of a probe ({error}); probe again") from error
    if not isinstance(data, dict):
        _refuse(f"it holds {data!r:.40}")
    return Account.from_json(data)
