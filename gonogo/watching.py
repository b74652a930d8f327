"""A watch from its first look to its last: it looks, judges, goes back once where it must, and leaves evidence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gonogo.criteria import Measure
from gonogo.model import Claim, Evidence, Finding, Gap, Json, Judged, Sampled
from gonogo.monitor import Monitor
from gonogo.recovery import Recovery
from gonogo.standing import Look, Standing, TriggerStanding
from gonogo.triggers import Alarm

__all__ = ["LIVE_WATCH", "Watch", "evidence_of", "state_of"]

LIVE_WATCH = Claim("live-watch")
CHECK = "watch"
_MOST_SAMPLES = 200_000  # of runs that the ledger holds; a share of more than that is known well enough


@dataclass
class Watch:
    """Looks every ``interval`` seconds for ``duration`` seconds.

    Attributes:
        monitor: the judge.
        look: sees the service, from a moment in seconds from the beginning on.
        interval, duration: seconds.
        roll_back: what a trigger sets off, once; none where nobody said what to do.
        stopped: whether somebody wants the watch to end now.
        clock, sleep: replaced in tests; a clock that never goes back.
    """

    monitor: Monitor
    look: Callable[[float], Look]
    interval: float
    duration: float
    roll_back: Callable[[TriggerStanding], Recovery] | None = None
    stopped: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    recovery: Recovery | None = field(default=None, init=False)
    standing: Standing | None = field(default=None, init=False)
    _began: float | None = field(default=None, init=False)

    @property
    def elapsed(self) -> float:
        """Seconds since the watch began; 0 before."""
        return 0.0 if self._began is None else self.clock() - self._began

    def standings(self) -> Iterator[Standing]:
        """How the service stands after each look, until the time is over, or a rollback has been gone through."""
        self._began = self.clock()
        while True:
            seen = self.look(self.elapsed)
            # what a look saw is known once it is over, which takes seconds where the service hangs
            self.standing = self.monitor.look(replace(seen, at=self.elapsed))
            yield self.standing
            trigger = self.standing.fired(Alarm.ROLLBACK)
            if trigger is not None:
                if self.roll_back is not None:
                    self.recovery = self.roll_back(trigger)
                    yield self.standing
                return
            now = self.elapsed
            if now >= self.duration or self.stopped():
                return
            # on a fixed schedule, and never later than the end; a look that took long does not move the next ones
            self.sleep(min((math.floor(now / self.interval) + 1) * self.interval, self.duration) - now)


def evidence_of(watch: Watch, measure: Measure | None, *, candidate: str, first: str | None) -> Iterator[Evidence]:
    """What a watch has shown, for the ledger.

    Args:
        watch: one that has ended.
        measure: what is taken of the runs, or none.
        candidate: the version that was to be watched.
        first: the version that answered when the watch began.
    """
    standing = watch.standing
    if standing is None:
        yield Gap(LIVE_WATCH, None, "the watch ended before its first look")
        return
    if first != candidate:
        yield Gap(LIVE_WATCH, None, f"release {first} answered when the watch began, to be watched is {candidate}")
    for one in standing.triggers:
        yield from _of_trigger(one)
    if watch.recovery is not None:
        yield from (Judged(LIVE_WATCH, None, finding) for finding in watch.recovery.findings)
    elif standing.fired(Alarm.ROLLBACK) is not None:
        yield Gap(LIVE_WATCH, None, "nothing was rolled back: the watch was not told how (--on-rollback)")
    elif standing.at < watch.duration - watch.interval:
        yield Gap(LIVE_WATCH, None, f"the watch was ended after {standing.at:.0f} of {watch.duration:.0f} s")
    elif standing.release != candidate:
        yield Gap(
            LIVE_WATCH, None, f"release {standing.release} answered when the watch ended, {candidate} was to be watched"
        )
    if measure is not None:
        runs, failed = (standing.totals.get(name, 0) for name in ("runs", "failed_runs"))
        scale = min(1.0, _MOST_SAMPLES / runs) if runs else 1.0
        kept, bad = math.floor(runs * scale), math.ceil(min(failed, runs) * scale)
        yield Sampled(LIVE_WATCH, measure.sample, measure.unit, (1.0,) * bad + (0.0,) * (kept - bad))


def _of_trigger(standing: TriggerStanding) -> Iterator[Evidence]:
    trigger = standing.trigger
    for alarm, moment in standing.fired.items():
        limit = f"> {trigger.limit(alarm):g} {trigger.signal.unit}"
        said = f"{trigger.id}: {alarm.name.lower()} ({limit}) after {moment:.0f} s: {standing.says}"
        if alarm is Alarm.ROLLBACK:
            yield Judged(LIVE_WATCH, None, Finding(CHECK, False, said))
        else:
            yield Gap(LIVE_WATCH, None, f"{said}; a person has to look")
    if standing.fired:
        return
    if standing.blind:
        yield Gap(LIVE_WATCH, None, f"{trigger.id}: {standing.blind}")
    else:
        yield Judged(LIVE_WATCH, None, Finding(CHECK, True, f"{trigger.id}: {standing.says}"))


def state_of(watch: Watch, about: Mapping[str, Json], ended: str | None) -> dict[str, Json]:
    """What the dashboard shows. ``about``: target, versions and the like; ``ended``: the verdict, once there is one."""
    action: Json = None
    acting = watch.standing.fired(Alarm.ROLLBACK) if watch.standing is not None else None
    if watch.recovery is not None:
        action = watch.recovery.as_json()
    elif acting is not None and watch.roll_back is not None:
        detected = round(acting.fired[Alarm.ROLLBACK], 3)
        nothing: dict[str, Json] = {"status": None, "recovered": None, "findings": []}
        action = {"state": "running", "trigger": acting.trigger.id, "detected": detected, **nothing}
        about = {**about, "elapsed": round(watch.elapsed, 3)}  # no look is taken meanwhile, and yet the watch lives
    standing = {} if watch.standing is None else watch.standing.as_json()
    return {**standing, **about, "action": action, "ended": ended}
