"""What a rehearsal saw, and what that shows: swaps under load, and triggers that were fired on purpose. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gonogo.assessment import Assessment
from gonogo.model import Finding
from gonogo.probe.account import Account
from gonogo.recovery import Recovery
from gonogo.standing import Standing
from gonogo.triggers import Alarm, Trigger

__all__ = ["CHECK", "Fired", "Swapped", "assess_firing", "nothing_is_lost", "table_of", "wanted_of"]

CHECK = "rehearsal"


@dataclass(frozen=True)
class Swapped:
    """What users saw while releases took each other's place ``swaps`` times. ``seconds``: how long each took.

    ``asked``: reads, on kept and on fresh connections. ``slow``: runs whose model took its time, so that some were going on
    at each hand-over.
    """

    swaps: int
    seconds: tuple[float, ...]
    asked: Account
    slow: Account

    @property
    def text(self) -> str:
        """What users saw, for a reader."""
        rows = [("swaps", str(self.swaps)), ("seconds of each", ", ".join(f"{one:.1f}" for one in self.seconds))]
        return "\n".join(
            [
                *(f"{name}: {value}" for name, value in rows),
                "",
                "reads",
                *_told(self.asked),
                "",
                "slow runs",
                *_told(self.slow),
            ]
        )


@dataclass(frozen=True)
class Fired:
    """How a trigger went that was fired on purpose.

    Attributes:
        trigger: which.
        wanted: what it had to say: to roll back, or to alert where it never rolls back.
        detected: seconds from the moment when the service broke until the trigger fired; none where it did not.
        recovery: how the previous release came back; none where nothing had to, or nothing fired.
        assessment: what was looked at, and what could not be.
    """

    trigger: Trigger
    wanted: Alarm
    detected: float | None
    recovery: Recovery | None
    assessment: Assessment

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Trigger, detected after, recovered after, previous release verified: as a report shows it."""
        recovery = self.recovery
        back = "" if recovery is None or recovery.answered is None else f"{recovery.answered:.1f} s"
        verified = "" if recovery is None else "yes" if recovery.is_verified else "NO"
        if self.wanted is Alarm.ALERT:
            back, verified = "(alert only)", "(alert only)"
        return self.trigger.id, "NOT" if self.detected is None else f"{self.detected:.1f} s", back, verified


def wanted_of(trigger: Trigger) -> Alarm:
    """What a trigger says that was fired on purpose: the gravest that it can."""
    return Alarm.ALERT if trigger.rollback is None else Alarm.ROLLBACK


def assess_firing(
    trigger: Trigger,
    wanted: Alarm,
    last: Standing,
    early: Standing | None,
    broken: float | None,
    recovery: Recovery | None,
) -> Fired:
    """What came of a trigger that was fired on purpose.

    Args:
        trigger: which.
        wanted: what it had to say.
        last: how the service stood at the end.
        early: how it stood when it was broken; none where it never came to that.
        broken: when that was, in seconds from the beginning.
        recovery: how the previous release came back, where something went back.
    """
    own = next(one for one in last.triggers if one.trigger.id == trigger.id)
    moment = own.fired.get(wanted)
    findings = []
    if early is None or broken is None:
        before = last.fired(Alarm.ALERT) or last.fired(Alarm.ROLLBACK)
        what = f"{before.trigger.id} fired: {before.says}" if before is not None else "the watch ended"
        findings.append(Finding(CHECK, False, f"{trigger.id}: {what} before anything was broken"))
        return Fired(trigger, wanted, None, recovery, Assessment(tuple(findings)))
    noisy = [one.trigger.id for one in early.triggers if one.fired]
    findings.append(
        Finding(
            CHECK,
            not noisy,
            f"{trigger.id}: {'quiet' if not noisy else ', '.join(noisy) + ' fired'} while all was well",
        )
    )
    word = "rolls back" if wanted is Alarm.ROLLBACK else "alerts"
    if moment is None:
        others = [f"{one.trigger.id} ({one.says})" for one in last.triggers if one.fired]
        instead = f"; instead fired {', '.join(others)}" if others else ""
        blind = f"; {own.blind}" if own.blind else ""
        said = f"{trigger.id}: did not fire within {last.at - broken:.0f} s: {own.says}{blind}{instead}"
        findings.append(Finding(CHECK, False, said))
        return Fired(trigger, wanted, None, recovery, Assessment(tuple(findings)))
    detected = max(0.0, moment - broken)
    findings.append(Finding(CHECK, True, f"{trigger.id}: {word} {detected:.1f} s after the service broke: {own.says}"))
    if recovery is not None:
        findings += [replace(one, reason=f"{trigger.id}: {one.reason}") for one in recovery.findings]
    return Fired(trigger, wanted, detected, recovery, Assessment(tuple(findings)))


def nothing_is_lost(swapped: Swapped, *, resolution: float) -> Assessment:
    """Whether every request had a good answer, whichever release gave it, and whether the accounts can tell.

    Args:
        swapped: what users saw.
        resolution: seconds that the probe of the reads must be able to tell apart.
    """
    findings, gaps = [], []
    for what, account in (("reads", swapped.asked), ("slow runs", swapped.slow)):
        failed = account.failed - account.unsent
        kinds = "".join(
            f"; {one.count} {one.kind} from {one.first:.1f} to {one.last:.1f} s" for one in account.failures
        )
        reason = f"{what}: {account.answered} of {account.sent} requests had a good answer, {account.retried} when sent again{kinds}"
        findings.append(Finding(CHECK, failed == 0, reason, "\n".join(_told(account))))
        if account.lost or account.unsent:
            gaps.append(f"{what}: {account.unsent} requests could not be sent, {account.lost} are not accounted for")
        seen = {one.release for one in account.releases if one.release is not None}
        if len(seen) < 2:
            who = ", ".join(sorted(seen)) or "nobody who says which release it is"
            gaps.append(f"{what}: answered by {who}; no swap was seen")
    asked = swapped.asked
    least, most = asked.away
    gap = (
        f"the longest time without a good answer was {asked.gap.length * 1000:.0f} ms in {swapped.swaps} swaps; the probe can tell "
        f"{asked.resolution * 1000:.0f} ms apart, so the service was away for {least * 1000:.0f} to {most * 1000:.0f} ms"
    )
    if asked.resolution > resolution:
        gaps.append(f"{gap}; {resolution * 1000:.0f} ms are asked for: use a machine with less to do")
    else:
        findings.append(Finding(CHECK, True, gap))
    return Assessment(tuple(findings), tuple(gaps))


def _told(account: Account) -> list[str]:
    """An account, line by line."""
    latency = account.latency
    lines = [
        f"{account.sent} sent = {account.answered} answered + {account.failed} failed; {account.lost} lost, {account.retried} retried",
        f"longest gap {account.gap.length * 1000:.0f} ms, resolution {account.resolution * 1000:.0f} ms",
    ]
    if latency is not None:
        lines.append(f"answered within {latency.p50 * 1000:.0f} ms (half), {latency.p99 * 1000:.0f} ms (99 of 100)")
    lines += [
        f"{one.count} by release {one.release}, from {one.first:.1f} to {one.last:.1f} s" for one in account.releases
    ]
    return lines + [
        f"failed: {one.count} {one.kind}, from {one.first:.1f} to {one.last:.1f} s" for one in account.failures
    ]


def table_of(fired: Sequence[Fired]) -> str:
    """Trigger, detected after, recovered after, previous release verified: as text in columns."""
    rows = [("trigger", "detected after", "recovered after", "previous release verified"), *(one.row for one in fired)]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
