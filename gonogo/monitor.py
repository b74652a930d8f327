"""The judge of a live watch: looks at a service go in, and what each trigger says comes out. No clock, no socket."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from gonogo.counted import Counter, PageRefused
from gonogo.sequential import ShareState, ShareTest
from gonogo.standing import Look, Standing, TriggerStanding
from gonogo.tally import RECENT, Grown, Tally, counting
from gonogo.triggers import Alarm, Signal, Trigger, WatchRules

__all__ = ["Monitor"]

_STALE = 30.0  # seconds without a page, after which silence means nothing
_EVENTS = 200  # lines of what happened that are kept
_NEEDED: Mapping[Signal, tuple[str, ...]] = {
    Signal.FAILED_RUNS: ("runs", "failed_runs"),
    Signal.FALLBACKS: ("fallbacks", "construction"),
    Signal.FAILING_STEPS: ("runs", "failed_runs"),
    Signal.CONSTRUCTION: ("construction",),
}


@dataclass
class _Stream:
    """Events of one kind (of one step, say), and a test of their share for each level."""

    tests: Mapping[Alarm, ShareTest]
    states: dict[Alarm, ShareState] = field(init=False)
    early: dict[Alarm, int] = field(init=False)  # bad ones that were counted before they were counted as events
    recent: deque[tuple[float, int, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.states = {alarm: test.begin for alarm, test in self.tests.items()}
        self.early = dict.fromkeys(self.tests, 0)

    def take(self, at: float, events: int, bad: Mapping[Alarm, int], covers: int) -> None:
        counted = {alarm: min(self.early[alarm] + bad[alarm], events) for alarm in self.tests}
        for alarm, test in self.tests.items():
            self.states[alarm] = test.after(self.states[alarm], events, counted[alarm], covers=covers)
            self.early[alarm] += bad[alarm] - counted[alarm]
        self.recent.append((at, events, max(counted.values())))

    def forget(self, at: float) -> None:
        """Leave of what was of late only what still is."""
        while self.recent and self.recent[0][0] <= at - RECENT:
            self.recent.popleft()

    @property
    def events(self) -> int:
        """All since the beginning."""
        return next(iter(self.states.values())).events

    @property
    def bad(self) -> int:
        """All since the beginning, by the lower of the limits."""
        return max(state.bad for state in self.states.values())

    @property
    def share(self) -> float | None:
        """Of late; none without events."""
        events = sum(one[1] for one in self.recent)
        return sum(one[2] for one in self.recent) / events if events else None

    def __str__(self) -> str:
        events, bad = sum(one[1] for one in self.recent), sum(one[2] for one in self.recent)
        return f"{bad} of {events} in the last {RECENT / 60:g} min"


class _Memory:
    """Resident memory of the release that answers, and what it was when the watch of it began."""

    def __init__(self, reference: float) -> None:
        self._reference = reference
        self.begin(0.0)

    def begin(self, at: float) -> None:
        """Know nothing: another release has a reference of its own."""
        self._since: float | None = None
        self._first: list[float] = []
        self.now: float | None = None
        self.at = at

    def take(self, at: float, value: float | None) -> None:
        """Take what a page tells into account."""
        self.now, self.at = value, at
        if value is None:
            return
        if self._since is None:
            self._since = at
        if at - self._since <= self._reference:
            self._first.append(value)

    def left(self, at: float) -> float:
        """Seconds for which the reference is still taken."""
        return self._reference if self._since is None else max(0.0, self._reference - (at - self._since))

    @property
    def reference(self) -> float | None:
        """The median of the first values."""
        return median(self._first) if self._first else None


class Monitor:
    """Judges looks by rules, one after the other.

    Args:
        rules: the triggers.
        metrics: name (``runs``, ``construction`` …) -> metric, as ``[target.metric_names]`` has them.
        steps: ids of the steps, among which the tests of a trigger are shared out.
    """

    def __init__(self, rules: WatchRules, metrics: Mapping[str, str], steps: Sequence[str]) -> None:
        self._rules, self._metrics, self._steps = rules, metrics, tuple(steps)
        self._counter = Counter(counting(metrics))
        self._tally = Tally(metrics)
        self._memory = _Memory(rules.reference)
        self._streams: dict[str, dict[str, _Stream]] = {one.id: {} for one in rules.triggers}
        self._fired: dict[str, dict[Alarm, float]] = {one.id: {} for one in rules.triggers}
        self._before: dict[str, int] = {}  # trigger -> events of releases that answered before this one
        self._stepless = 0  # failed runs of which the metrics do not tell the step
        self._at, self._good_at, self._page_at = 0.0, 0.0, 0.0
        self._was_good = self._was_counted = True
        self._stale = max(_STALE, 10 * rules.interval)
        self._release: str | None = None
        self._log: deque[tuple[float, str]] = deque(maxlen=_EVENTS)

    def look(self, look: Look) -> Standing:
        """Take a look into account, and say how the service stands. A look from before the last one counts as now."""
        look = replace(look, at=max(look.at, self._at))
        if look.at - self._at > self._stale:
            self._good_at = look.at  # nobody looked; whether it answered meanwhile is not known
        self._at = look.at
        untold = look.release is None and self._release is not None
        self._note_changes(look)
        why = look.why
        if look.samples is not None:
            try:
                if untold:  # counted as this release's it might be another's, as nobody's it might be counted twice
                    raise PageRefused("the service does not tell which release it is, as it did before")
                self._memory.take(look.at, self._memory_on(look))
                self._count(look)
                self._was_counted = True
            except PageRefused as refused:
                why = str(refused)
                if self._was_counted:
                    self._note(look.at, f"pages of metrics are not counted: {why}")
                self._was_counted = False
        for stream in (stream for streams in self._streams.values() for stream in streams.values()):
            stream.forget(look.at)
        return Standing(
            at=look.at,
            release=self._release,
            health=dict(look.health),
            is_good=look.is_good,
            why=why,
            triggers=tuple(self._judge(trigger, look) for trigger in self._rules.triggers),
            construction=self._tally.constructions(0.99),
            totals=dict(self._tally.totals),
            errors=dict(self._tally.by_label["errors"]),
            templates=dict(self._tally.by_label["templates"]),
            memory=self._memory.now,
            log=tuple(self._log),
        )

    def _note(self, at: float, what: str) -> None:
        self._log.append((at, what))

    def _note_changes(self, look: Look) -> None:
        if look.release is not None and look.release != self._release:
            if self._release is not None:
                self._note(look.at, f"release {look.release} answers, {self._release} before")
                self._memory.begin(look.at)
                self._before = {trigger.id: self._events(trigger) for trigger in self._rules.triggers}
            self._release = look.release
        if look.is_good:
            self._good_at = look.at
        if look.is_good != self._was_good:
            bad = [f"{path} answers {status or 'nothing'}" for path, status in look.health.items() if status != 200]
            self._note(
                look.at, "the service is well again" if look.is_good else f"not well: {look.why or ', '.join(bad)}"
            )
            self._was_good = look.is_good

    def _count(self, look: Look) -> None:
        counted = self._counter.take(look.release, look.samples or ())
        if counted.restarted:
            self._note(look.at, "the counters began again: a process that serves was restarted")
        if counted.first:
            return  # it shows nothing that grew, and is no evidence that anything is well
        covers = max(1, round((look.at - self._page_at) / self._rules.interval))
        self._page_at = look.at
        grown = self._tally.add(look.at, counted)
        self._stepless += max(0, grown.totals.get("failed_runs", 0) - sum(grown.failed.values()))
        for trigger in self._rules.triggers:
            self._test(trigger, look.at, grown, covers)

    def _test(self, trigger: Trigger, at: float, grown: Grown, covers: int) -> None:
        """Let the tests of a trigger know what was counted in the time of so many looks."""
        if not trigger.signal.is_share or not self._is_named(trigger):
            return
        if trigger.signal is Signal.FAILED_RUNS:
            self._take(trigger, "", at, grown.totals["runs"], grown.totals["failed_runs"], covers)
        elif trigger.signal is Signal.FALLBACKS:
            self._take(trigger, "", at, grown.constructions, grown.totals["fallbacks"], covers)
        elif trigger.signal is Signal.FAILING_STEPS:
            for step, runs in grown.runs.items():
                self._take(trigger, step, at, runs, grown.failed.get(step, 0), covers)
        else:
            for step, counts in grown.buckets.items():
                slow = {
                    # edges are floats that were written and read again
                    alarm: sum(count for edge, count in counts.items() if edge > limit * (1 + 1e-9))
                    for alarm in (Alarm.ALERT, Alarm.ROLLBACK)
                    if (limit := trigger.limit(alarm)) is not None
                }
                self._stream(trigger, step).take(at, sum(counts.values()), slow, covers)

    def _take(self, trigger: Trigger, part: str, at: float, events: int, bad: int, covers: int) -> None:
        self._stream(trigger, part).take(at, events, {Alarm.ALERT: bad, Alarm.ROLLBACK: bad}, covers)

    def _stream(self, trigger: Trigger, part: str) -> _Stream:
        streams = self._streams[trigger.id]
        if part not in streams:
            parts = (
                max(1, len(self._steps)) if part else 1
            )  # all steps together alarm no more often than one part would
            looks = max(1.0, trigger.run_length / self._rules.interval) * parts
            shares = {alarm: trigger.share(alarm) for alarm in (Alarm.ALERT, Alarm.ROLLBACK)}
            tests = {alarm: ShareTest(share, looks) for alarm, share in shares.items() if share is not None}
            streams[part] = _Stream(tests)
        return streams[part]

    def _memory_on(self, look: Look) -> float | None:
        metric = self._metrics.get("memory")
        values = [one.value for one in look.samples or () if metric is not None and one.is_of(metric)]
        return max(values) if values and all(1.0 <= one < math.inf for one in values) else None

    def _judge(self, trigger: Trigger, look: Look) -> TriggerStanding:
        if trigger.signal.is_share:
            return self._judge_share(trigger, look)
        if trigger.signal is Signal.MEMORY:
            return self._judge_memory(trigger, look)
        if trigger.signal is Signal.AWAY:
            away = 0.0 if look.is_good else look.at - self._good_at
            says = "answers" if look.is_good else f"no good answer for {away:.0f} s"
            return self._judge_value(trigger, look, away, says)
        if look.complaints is None:
            return self._standing(trigger, None, "unknown", {}, blind="the file of complaints cannot be read")
        significant = sum(look.complaints.values())
        says = f"{len(look.complaints)} open, {significant} of them significant"
        seen = {Alarm.ALERT: float(len(look.complaints)), Alarm.ROLLBACK: float(significant)}
        return self._judge_value(trigger, look, seen[Alarm.ALERT], says, seen)

    def _judge_memory(self, trigger: Trigger, look: Look) -> TriggerStanding:
        now, reference, left = self._memory.now, self._memory.reference, self._memory.left(look.at)
        if look.at - self._memory.at > self._stale:
            says = f"the memory was not told for {look.at - self._memory.at:.0f} s"
            return self._standing(trigger, None, "not told", {}, blind=says)
        if now is None or reference is None:
            return self._standing(trigger, None, "not told", {}, blind="the metrics do not tell the memory")
        if left > 0:
            says = f"the reference is taken for {left:.0f} s more"
            return self._standing(
                trigger, None, says, {}, blind=f"memory has no reference yet: it takes {left:.0f} s more"
            )
        says = f"{now / 2**20:.0f} MiB, {now / reference:.2f} times the reference"
        if now - reference <= trigger.beyond:  # a multiple of little is little
            grown = max(0.0, now - reference) / trigger.beyond if trigger.beyond else 0.0
            limits = {
                alarm: limit for alarm in (Alarm.ALERT, Alarm.ROLLBACK) if (limit := trigger.limit(alarm)) is not None
            }
            near = {
                alarm: min(0.99, grown, now / reference / limit) if limit else 0.0 for alarm, limit in limits.items()
            }
            return self._standing(trigger, now / reference, says, near)
        return self._judge_value(trigger, look, now / reference, says)

    def _judge_value(
        self, trigger: Trigger, look: Look, value: float, says: str, seen: Mapping[Alarm, float] | None = None
    ) -> TriggerStanding:
        """Hold a value that needs no test against the limits; ``seen`` where each level has a value of its own."""
        progress: dict[Alarm, float] = {}
        for alarm in (Alarm.ALERT, Alarm.ROLLBACK):
            limit, one = trigger.limit(alarm), value if seen is None else seen[alarm]
            if limit is not None:
                progress[alarm] = 1.0 if one > limit else min(0.99, one / limit if limit else 0.0)
                if one > limit:
                    self._fire(trigger, alarm, look.at, says)
        return self._standing(trigger, value, says, progress)

    def _judge_share(self, trigger: Trigger, look: Look) -> TriggerStanding:
        streams = self._streams[trigger.id]
        progress = {alarm: 0.0 for alarm in (Alarm.ALERT, Alarm.ROLLBACK) if trigger.limit(alarm) is not None}
        for part, stream in streams.items():
            for alarm, test in stream.tests.items():
                progress[alarm] = max(progress[alarm], test.progress(stream.states[alarm]))
                if test.fires(stream.states[alarm]):
                    self._fire(trigger, alarm, look.at, f"{part}: {stream}" if part else str(stream))
        events, bad = self._events(trigger), sum(stream.bad for stream in streams.values())
        value, says = self._share_value(trigger)
        blind = self._blindness(trigger, events - self._before.get(trigger.id, 0), look.at - self._page_at)
        return self._standing(trigger, value, says, progress, events=events, bad=bad, blind=blind)

    def _events(self, trigger: Trigger) -> int:
        return sum(stream.events for stream in self._streams[trigger.id].values())

    def _share_value(self, trigger: Trigger) -> tuple[float | None, str]:
        """What is shown of a share: of late, of the worst step where it is one of steps."""
        if trigger.signal is Signal.CONSTRUCTION:
            known = self._tally.constructions(trigger.quantile)
            if not known:
                return None, "nothing was constructed"
            worst = max(known, key=lambda step: known[step])
            edge = known[worst][0]
            return (
                (edge, f"at most {edge * 1000:g} ms ({worst})")
                if math.isfinite(edge)
                else (None, f"beyond the last edge ({worst})")
            )
        shares = {
            part: share for part, stream in self._streams[trigger.id].items() if (share := stream.share) is not None
        }
        if not shares:
            return None, "no events"
        worst = max(shares, key=lambda part: shares[part])
        said = str(self._streams[trigger.id][worst])
        return shares[worst], f"{said} ({worst})" if worst else said

    def _is_named(self, trigger: Trigger) -> bool:
        return set(_NEEDED[trigger.signal]) <= self._metrics.keys()

    def _blindness(self, trigger: Trigger, events: int, since_page: float) -> str:
        """Why the silence of a trigger means nothing, where it does not."""
        if not self._is_named(trigger):
            unnamed = [name for name in _NEEDED[trigger.signal] if name not in self._metrics]
            return f"[target.metric_names] does not name {' and '.join(unnamed)}"
        if self._counter.are_several:
            return "the counters go back and forth: several processes count, each for itself; let their metrics be one"
        if since_page > self._stale:
            return f"there was no page of metrics that could be counted for {since_page:.0f} s"
        if self._counter.lacking:
            return f"the page lacks {self._counter.lacking} series that were there before; what they count is not seen"
        if trigger.signal is Signal.CONSTRUCTION and self._tally.edges:
            # the last edge is infinite; without it the slowest are in no bucket
            for limit in (trigger.alert, trigger.rollback, math.inf):
                if limit is not None and not any(math.isclose(edge, limit, rel_tol=1e-6) for edge in self._tally.edges):
                    return (
                        f"the histogram has no edge at {limit:g} s, so that it cannot tell what lies above; give it one"
                    )
        if trigger.signal is Signal.FAILING_STEPS and self._stepless:
            return f"{self._stepless} runs failed without a label 'step', so that the step is not known; give it one"
        early = max((max(one.early.values()) for one in self._streams[trigger.id].values()), default=0)
        if early >= trigger.minimum:
            return f"{early} more are bad than there were events; let every event be counted, also where it is bad"
        if events < trigger.minimum:
            return f"{events} events of this release were seen, silence means nothing below {trigger.minimum}"
        return ""

    def _fire(self, trigger: Trigger, alarm: Alarm, at: float, says: str) -> None:
        if alarm not in self._fired[trigger.id]:
            self._fired[trigger.id][alarm] = at
            self._note(at, f"{alarm.name}: {trigger.id}: {says}")

    def _standing(
        self,
        trigger: Trigger,
        value: float | None,
        says: str,
        progress: Mapping[Alarm, float],
        *,
        events: int = 0,
        bad: int = 0,
        blind: str = "",
    ) -> TriggerStanding:
        fired = dict(self._fired[trigger.id])
        now = max((alarm for alarm, how_far in progress.items() if how_far >= 1.0), default=Alarm.QUIET)
        return TriggerStanding(trigger, now, value, says, dict(progress), fired, events, bad, blind)
