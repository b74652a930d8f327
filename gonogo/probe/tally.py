"""Requests on their way into an account, and what an account says: GO, NO-GO or INCONCLUSIVE. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from gonogo.model import Status
from gonogo.probe.account import LATE, Account, Ending, Failures, Gap, Load, Schedule, Seen, Sent, Spread

__all__ = ["LATE_SHARE", "LEAST", "STALLED", "Judgement", "Tally", "judged"]

LATE_SHARE = 0.01  # more late requests than this, and the probe has not kept its schedule
STALLED = 1.0  # seconds; as late as that, one request is enough
LEAST = 100  # good answers that a good account needs
_MOST_NAMES = 50  # releases, and kinds of failures, that are told apart
_OTHERS = "(others)"
_GROWTH = math.log(1.01)  # a bucket's upper edge is one per cent above its lower one
_SMALLEST = 1e-6  # seconds; anything quicker is as good as that


@dataclass
class _Histogram:
    """Counts seconds in buckets that grow by one per cent, so that a probe of a day needs no more room than one of a minute."""

    counts: dict[int, int] = field(default_factory=dict)
    largest: float = 0.0

    def add(self, seconds: float) -> None:
        bucket = 0 if seconds <= _SMALLEST else math.ceil(math.log(seconds / _SMALLEST) / _GROWTH)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.largest = max(self.largest, seconds)

    def spread(self) -> Spread | None:
        if not self.counts:
            return None
        return Spread(self._quantile(0.5), self._quantile(0.99), self.largest)

    def _quantile(self, share: float) -> float:
        left = math.ceil(share * sum(self.counts.values()))
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return min(_SMALLEST * math.exp(bucket * _GROWTH), self.largest)
        return self.largest


@dataclass
class Tally:
    """Requests on their way into an account, in the order in which they ended."""

    answered: int = 0
    failed: int = 0
    unsent: int = 0
    reused: int = 0
    retried: int = 0
    late: int = 0
    worst_wait: float = 0.0
    failures: dict[str, Failures] = field(default_factory=dict)
    releases: dict[str | None, Seen] = field(default_factory=dict)
    _gap: Gap = field(default_factory=lambda: Gap(0.0, 0.0))
    _last: float = 0.0  # the last good answer, or the beginning
    _lag: _Histogram = field(default_factory=_Histogram)
    _latency: _Histogram = field(default_factory=_Histogram)

    def take(self, sent: Sent) -> None:
        """Enter one request."""
        if sent.ending is Ending.UNSENT:
            self.unsent += 1
        else:
            lag = max(0.0, sent.sent - sent.scheduled)
            self._lag.add(lag)
            self.late += lag > LATE
        self.reused += sent.reused
        self.retried += sent.retried
        self.worst_wait = max(self.worst_wait, sent.done - sent.scheduled)
        if sent.status is not None:
            self._see(sent.release, sent.done)
        if sent.ending is Ending.ANSWERED:
            self.answered += 1
            self._latency.add(max(0.0, sent.done - sent.scheduled))
            self._end_gap(sent.done)
        else:
            self.failed += 1
            self._fail(sent)

    def _end_gap(self, moment: float) -> None:
        if moment - self._last > self._gap.length:
            self._gap = Gap(self._last, moment)
        self._last = max(self._last, moment)

    def _see(self, release: str | None, moment: float) -> None:
        name = release if release in self.releases or len(self.releases) < _MOST_NAMES else _OTHERS
        seen = self.releases.get(name, Seen(name, 0, moment, moment))
        self.releases[name] = replace(seen, count=seen.count + 1, last=max(seen.last, moment))

    def _fail(self, sent: Sent) -> None:
        kind = sent.cause if sent.cause in self.failures or len(self.failures) < _MOST_NAMES else _OTHERS
        known = self.failures.get(kind, Failures(kind, 0, sent.done, sent.done))
        paths = known.paths if sent.path in known.paths else (*known.paths, sent.path)
        self.failures[kind] = replace(known, count=known.count + 1, last=max(known.last, sent.done), paths=paths)

    def account(self, load: Load, schedule: Schedule, *, ended: float, started: str, began: float) -> Account:
        """The account, when every request has ended.

        Args:
            load: what was asked.
            schedule: when it was to be asked.
            ended: when the schedule ended, its own end or earlier.
            started, began: see ``Account``.
        """
        gap = Gap(self._last, ended)
        return Account(
            load,
            schedule,
            started,
            began,
            ended,
            scheduled=schedule.due(ended),
            answered=self.answered,
            failed=self.failed,
            unsent=self.unsent,
            reused=self.reused,
            retried=self.retried,
            late=self.late,
            lag=self._lag.spread(),
            latency=self._latency.spread(),
            worst_wait=self.worst_wait,
            gap=gap if gap.length > self._gap.length else self._gap,
            failures=tuple(sorted(self.failures.values(), key=lambda one: -one.count)),
            releases=tuple(self.releases.values()) if load.release_header else (),
        )


@dataclass(frozen=True)
class Judgement:
    """GO, NO-GO or INCONCLUSIVE for an account, with every reason."""

    status: Status
    reasons: tuple[str, ...]


def judged(account: Account, *, least: int = LEAST) -> Judgement:
    """Whether every request had a good answer, and whether the account can tell.

    Args:
        account: of the probe.
        least: good answers that it takes to say so.
    """
    failed = account.failed - account.unsent
    against = [f"{failed} of {account.scheduled} requests failed"] if failed else []
    if failed and not account.answered:
        against = [f"{account.load.url} gave no good answer at all: {account.failures[0].kind}; is it there?"]
    open_: list[str] = []
    if account.lost:
        open_.append(f"{account.lost} requests are not accounted for; this is a fault of the probe")
    if account.unsent:
        open_.append(f"{account.unsent} requests could not be sent; give the probe more room, or a lower rate")
    if not account.sent:
        open_.append("nothing was sent")
    elif account.answered < least and not failed:
        open_.append(f"{account.answered} good answers are too few, {least} are needed; probe for longer")
    if account.late > LATE_SHARE * account.scheduled:
        open_.append(
            f"the schedule was not kept: {account.late} of {account.scheduled} requests were sent more than {LATE:g} s late; "
            "use a lower rate, or a machine with less to do"
        )
    if account.lag is not None and account.lag.largest > STALLED:
        open_.append(f"the schedule was not kept: the probe stood still for {account.lag.largest:.3g} s")
    if against:
        return Judgement(Status.NO_GO, (*against, *open_))
    if open_:
        return Judgement(Status.INCONCLUSIVE, tuple(open_))
    return Judgement(Status.GO, (f"all {account.answered} requests had a good answer",))
