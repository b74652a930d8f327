"""Requests that are sent at their moments, whatever becomes of those before, and none of which is lost from sight."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gonogo.probe.account import IDEMPOTENT, Account, Connections, Ending, Load, Schedule, Sent
from gonogo.probe.tally import Tally
from gonogo.probe.wire import Address, Answer, Broken, Connection, connect, read_address

__all__ = ["Probe", "Request"]

_PATIENCE = 10.0  # seconds without a single good answer, after which nothing more is sent
_NAP = 0.05  # seconds; as long as that an end may go unnoticed
_KEPT = 8  # connections that are kept, at most
_KEPT_FOR = 0.25  # seconds from one use of a kept connection to the next, at least, where there may be more than one
_TELLING = 0.5  # seconds


@dataclass(frozen=True)
class Request:
    """What every request carries: headers, which may hold a token, and a body or none."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = None

    def written(self, method: str, path: str, address: Address, *, fresh: bool) -> bytes:
        """The request as it goes over the wire; one on a fresh connection asks the service to close it."""
        headers = {"Host": address.host_header, "User-Agent": "gonogo-probe", "Accept": "*/*", **self.headers}
        if fresh:
            headers["Connection"] = "close"
        if self.body is not None:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{method} {address.base}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


@dataclass
class _Try:
    """How far a request has come."""

    reused: bool = False
    retried: bool = False
    connected: bool = False
    connection: Connection | None = None


class Probe:
    """Asks a service as a schedule says. ``run`` once, in an event loop; ``stop`` from there as well.

    Args:
        load: what is asked.
        schedule: when.
        request: what every request carries.
        tls: what certificates are trusted by, for https.
        most_in_flight: requests that may wait for their answers at the same time; those beyond it are not sent, and are failures.
        on_answer: told the moment of the first good answer.
        tell: told now and then how far it has come.
        patience: seconds without any good answer from the beginning, after which it ends.

    Raises:
        TargetError: the URL of the load is none.
    """

    def __init__(
        self,
        load: Load,
        schedule: Schedule,
        request: Request,
        *,
        tls: ssl.SSLContext | None = None,
        most_in_flight: int = 10_000,
        on_answer: Callable[[float], None] = lambda moment: None,
        tell: Callable[[Tally, float], None] | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        address = read_address(load.url)
        self._load, self._schedule, self._address = load, schedule, address
        self._tls, self._most_in_flight, self._patience = (tls if address.tls else None), most_in_flight, patience
        self._on_answer, self._tell = on_answer, tell
        self._written = {
            (path, fresh): request.written(load.method, path, address, fresh=fresh)
            for path in load.paths
            for fresh in (True, False)
        }
        on_kept = schedule.rate / (2 if load.connections is Connections.BOTH else 1)
        self._most_kept = max(1, min(_KEPT, round(on_kept * _KEPT_FOR)))
        self._kept: deque[Connection] = deque()
        self._tally = Tally()
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = 0.0
        self._ended: float | None = None
        self._waits = True

    def stop(self) -> None:
        """Send nothing that is due from now on; called again, do not wait for answers any longer."""
        if self._ended is None:
            self._ended = self._now()
            return
        self._waits = False
        for task in self._tasks:
            task.cancel()

    async def run(self) -> Account:
        """Send, wait for every answer, and give the account."""
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._began = time.monotonic()
        telling = asyncio.create_task(self._tell_regularly(self._tell)) if self._tell else None
        try:
            async with asyncio.TaskGroup() as group:
                await self._send_all(group)
        finally:
            if telling is not None:
                telling.cancel()
            for connection in self._kept:
                connection.close()
        ended = self._schedule.duration if self._ended is None else min(self._ended, self._schedule.duration)
        return self._tally.account(self._load, self._schedule, ended=ended, started=started, began=self._began)

    def _now(self) -> float:
        return time.monotonic() - self._began

    async def _send_all(self, group: asyncio.TaskGroup) -> None:
        for number in range(self._schedule.due(self._schedule.duration)):
            moment = self._schedule.moment(number)
            if not await self._wait_until(moment):
                return
            if len(self._tasks) >= self._most_in_flight:
                now, path = self._now(), self._load.path(number)
                self._tally.take(Sent(path, moment, now, now, Ending.UNSENT, "not sent: too many in flight"))
                continue
            group.create_task(self._send(number, moment))
        await self._wait_until(self._schedule.duration)  # what does not come until then is missing, too

    async def _wait_until(self, moment: float) -> bool:
        """Whether a moment has come; not, where the end came before it."""
        await asyncio.sleep(0)  # where the sender is behind, what it has just begun is sent before it begins more
        while self._ended is None and (left := moment - self._now()) > 0:
            await asyncio.sleep(min(left, _NAP))
            if not self._tally.answered and self._tally.failed and self._now() > self._patience:
                self.stop()
        return self._ended is None or moment < self._ended

    async def _send(self, number: int, moment: float) -> None:
        sent = self._now()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if not self._waits:
            task.cancel()
        path, fresh = self._load.path(number), self._load.is_fresh(number)
        how = _Try()
        ending, cause, status, release = Ending.FAILED, "", None, None
        done: float | None = None
        try:
            async with asyncio.timeout(self._load.timeout):
                answer = await self._ask(self._written[path, fresh], fresh, how)
            done, status, release = answer.done - self._began, answer.status, answer.release
            if self._load.is_good(answer.status):
                ending = Ending.ANSWERED
            else:
                cause = f"status {answer.status}"
        except TimeoutError:
            cause = f"no {'answer' if how.connected else 'connection'} within {self._load.timeout:g} s"
        except Broken as broken:
            cause = broken.kind
            ending = Ending.UNSENT if broken.unsent else Ending.FAILED
        except asyncio.CancelledError:
            cause = "no answer before the probe was ended"
            raise
        finally:
            self._tasks.discard(task)
            self._let_go(how.connection, keep=not fresh)
            self._tally.take(
                Sent(
                    path,
                    scheduled=moment,
                    sent=sent,
                    done=self._now() if done is None else done,
                    ending=ending,
                    cause=cause,
                    status=status,
                    reused=how.reused,
                    retried=how.retried,
                    release=release,
                )
            )
        if ending is Ending.ANSWERED and self._tally.answered == 1:
            self._on_answer(self._now())

    async def _ask(self, written: bytes, fresh: bool, how: _Try) -> Answer:
        """The answer; a request that a used connection did not take is sent once more, as browsers and proxies do."""
        bodiless = self._load.method == "HEAD"
        how.connection = None if fresh else self._idle()
        how.connected = how.reused = how.connection is not None
        if how.connection is not None:
            try:
                return await how.connection.ask(written, bodiless=bodiless)
            except Broken as broken:
                if broken.heard or self._load.method not in IDEMPOTENT:
                    raise
            how.retried, how.connected, how.connection = True, False, None
        how.connection = await connect(self._address, self._load.release_header, self._tls)
        how.connected = True
        return await how.connection.ask(written, bodiless=bodiless)

    def _idle(self) -> Connection | None:
        """The connection that was used longest ago; none while there are few, so that several are there to be broken."""
        if len(self._kept) < self._most_kept:
            return None
        while self._kept:
            connection = self._kept.popleft()
            if connection.usable:
                return connection
            connection.close()
        return None

    def _let_go(self, connection: Connection | None, *, keep: bool) -> None:
        if connection is None:
            return
        if keep and connection.usable and len(self._kept) < self._most_kept:
            self._kept.append(connection)
        else:
            connection.close()

    async def _tell_regularly(self, tell: Callable[[Tally, float], None]) -> None:
        while True:
            tell(self._tally, self._now())
            await asyncio.sleep(_TELLING)
