"""The rehearsal: releases are swapped and rolled back on a stage, under load, by the same watch that is used in earnest."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gonogo.assessment import Assessment
from gonogo.contract import Contract
from gonogo.definitions import Definitions
from gonogo.errors import DefinitionError, ProductFailure, TargetError
from gonogo.model import Case, Finding
from gonogo.monitor import Monitor
from gonogo.probe.account import Account, Connections
from gonogo.probe.running import RunningProbe, running_probe
from gonogo.recovery import Previous, Recovery, WayBack
from gonogo.standing import Standing
from gonogo.stub import FaultPlan, LlmFault
from gonogo.stub.remote import RemoteStub, served_stub
from gonogo.targets.looking import Looker
from gonogo.targets.sockets import SocketTransport
from gonogo.targets.stage import Stage, StageContext, open_stage
from gonogo.triggers import Alarm, Signal, Trigger, WatchRules
from gonogo.watching import Watch
from gonogo.workbench import Target

__all__ = ["Fired", "Rehearsal", "Swapped", "nothing_is_lost", "table_of"]

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


class Rehearsal:
    """A stage with users on it. Everything is set up when it is first asked for; ``close`` takes it down.

    Args:
        definitions: of the project.
        baseline: the previous release, whose prompts are to come back.
        scratch: a folder for the stage.
        environ: where tokens are read.

    Raises:
        DefinitionError: the project names no stage, or criteria.toml does not say how a service is asked or watched.
    """

    def __init__(self, definitions: Definitions, baseline: Target, scratch: Path, environ: Mapping[str, str]) -> None:
        criteria, project = definitions.criteria, definitions.project
        if not project.stage:
            raise DefinitionError("conftest.py names no stage; write stage = 'file.py:function', see docs/rehearsal.md")
        if criteria.target is None or criteria.watch is None:
            raise DefinitionError("a rehearsal needs [target] and [watch] in criteria.toml; see docs/rehearsal.md")
        self.contract: Contract = criteria.target
        self.rules: WatchRules = criteria.watch
        self._definitions, self._baseline, self._scratch, self._environ = definitions, baseline, scratch, environ
        self._stack = ExitStack()
        self._serves = ""

    def _deploy(self, role: str) -> None:
        """Put a release in service, unless it is known to be there."""
        if self._serves != role:
            self._serves = ""
            self.stage.deploy(role)
            self._serves = role

    @cached_property
    def _stub(self) -> str:
        project = self._definitions.project
        folders = {project.recordings_of(release) for release in self._definitions.releases.values()}
        return self._stack.enter_context(served_stub(sorted(folders)))

    @cached_property
    def stage(self) -> Stage:
        """The stage, with the previous release in service."""
        project = self._definitions.project
        context = StageContext(
            project.root,
            project.candidate.laid_out(self._scratch),
            self._baseline.release.laid_out(self._scratch),
            self._scratch,
            self._stub,
        )
        stage = open_stage(project.stage, context)
        self._stack.callback(stage.close)
        self._serves = "baseline"
        return stage

    @cached_property
    def _cases(self) -> tuple[Case, ...]:
        """A recorded case of each step."""
        workflow = self._definitions.workflow
        return tuple(cases[0] for step in workflow.steps if (cases := workflow.cases_of(step.id)))

    @cached_property
    def _runs(self) -> tuple[str, ...]:
        """Paths that run a case each, on a post of its own; the first few steps, so that each is run often."""
        transport = SocketTransport(self.stage.url, self.contract, self._environ)
        paths = []
        try:
            for case in self._cases[:4]:
                method, path, body = self.contract.call("create").at(
                    self.contract.named(case.inputs), title=f"rehearsal {case.path}"
                )
                answer = transport(method, path, body)
                post = self.contract.find("post", answer.json()) if answer.status < 300 else None
                if post is None:
                    raise TargetError(f"the stage's service answers {method} {path} with {answer.status} and no post")
                paths.append(self.contract.call("run").at(post=post, step=case.step)[1])
        finally:
            transport.close()
        return tuple(paths)

    def _asking(self, rate: float) -> AbstractContextManager[RunningProbe]:
        """Users who read, on kept and on fresh connections."""
        return running_probe(
            self.stage.url,
            rate=rate,
            paths=(
                *self.contract.health,
                *(one.path for name, one in self.contract.calls.items() if name == "version"),
            ),
            timeout=15.0,
            release_header=self.contract.version_header,
        )

    def _running(self, rate: float) -> AbstractContextManager[RunningProbe]:
        """Users who run steps. Nobody sends such a request again where a kept connection broke, so each is on a fresh one."""
        return running_probe(
            self.stage.url,
            rate=rate,
            connections=Connections.FRESH,
            paths=self._runs,
            method=self.contract.call("run").method,
            timeout=30.0,
            release_header=self.contract.version_header,
        )

    def swap(self, swaps: int, *, rate: float, slow_rate: float, delay: float) -> Swapped:
        """Let candidate and previous release take each other's place, while users ask.

        Args:
            swaps: how often.
            rate: reads a second.
            slow_rate: runs a second, ...
            delay: ... for which the model takes so many seconds.

        Raises:
            ProductFailure: a release cannot be put in service.
        """
        self._deploy("baseline")
        seconds = []
        with RemoteStub(self._stub, holder="the rehearsal") as stub:
            stub.expect(fault=FaultPlan(LlmFault.SLOW_FIRST, delay=delay))
            with self._asking(rate) as asked, self._running(slow_rate) as slow:
                for number in range(swaps):
                    began = time.monotonic()
                    self._deploy("baseline" if number % 2 else "candidate")
                    seconds.append(time.monotonic() - began)
                time.sleep(delay)  # so that what is on its way at the last hand-over is among it
                return Swapped(swaps, tuple(seconds), asked.stop(), slow.stop())

    def fire(self, trigger: Trigger, *, rate: float, reference: float, patience: float) -> Fired:
        """As ``_fire``; what goes wrong with one trigger stays with it, so that the others are fired all the same."""
        try:
            return self._fire(trigger, rate=rate, reference=reference, patience=patience)
        except ProductFailure as error:
            assessment = Assessment((Finding(CHECK, False, f"{trigger.id}: {error}"),))
        except TargetError as error:
            assessment = Assessment(gaps=(f"{trigger.id} was never seen firing: {error}",))
        return Fired(trigger, _wanted(trigger), None, None, assessment)

    def _fire(self, trigger: Trigger, *, rate: float, reference: float, patience: float) -> Fired:
        """Break the service in the way by which this trigger must fire, and see what comes of it.

        Args:
            trigger: which.
            rate: runs a second that users ask for.
            reference: seconds at the beginning in which all must be quiet, and memory is looked at.
            patience: seconds, from the break, within which it must fire.

        Raises:
            ProductFailure: the candidate cannot be put in service.
            TargetError: the stage has no defect for this trigger.
        """
        self._deploy("baseline")
        complaints: dict[str, bool] = {}
        if trigger.signal is Signal.COMPLAINTS:
            self._deploy("candidate")

            def strike() -> None:
                complaints["rehearsed"] = True
        else:
            strike = self.stage.plant(trigger.id)
        self._serves = ""
        wanted = _wanted(trigger)
        looker = Looker(self.stage.url, self.contract, self._environ, complaints=lambda: dict(complaints))
        # whatever else fires must not go back in its place
        others = [one for one in self.rules.triggers if one.alert is not None and one.id != trigger.id]
        triggers = (trigger, *(replace(one, rollback=None) for one in others))
        rules = replace(self.rules, reference=reference, triggers=triggers)
        steps = [step.id for step in self._definitions.workflow.steps]
        back = WayBack(
            self.stage.url,
            self.contract,
            self._definitions,
            self._previous,
            self.stage.rollback,
            self._scratch / f"{trigger.id}.rollback.log",
            self._environ,
        )
        watch = Watch(
            Monitor(rules, self.contract.metrics, steps),
            looker,
            rules.interval,
            reference + patience + rules.interval,
            back,
        )
        broken: float | None = None
        began = time.monotonic()
        early: Standing | None = None
        try:
            with self._running(rate):
                for standing in watch.standings():
                    if broken is None and standing.at >= reference:
                        early = standing
                        broken = time.monotonic() - began
                        strike()
                    elif broken is not None and wanted is Alarm.ALERT and standing.fired(wanted) is not None:
                        break
        finally:
            looker.close()
        assert watch.standing is not None
        if watch.recovery is not None and watch.recovery.is_verified:
            self._serves = "baseline"
        return _judged(trigger, wanted, watch.standing, early, broken, watch.recovery)

    @cached_property
    def _previous(self) -> Previous:
        return Previous.of(self._baseline, self._cases)

    def close(self) -> None:
        """Take the stage down."""
        self._stack.close()


def _wanted(trigger: Trigger) -> Alarm:
    """What a trigger says that was fired on purpose: the gravest that it can."""
    return Alarm.ALERT if trigger.rollback is None else Alarm.ROLLBACK


def _judged(
    trigger: Trigger,
    wanted: Alarm,
    last: Standing,
    early: Standing | None,
    broken: float | None,
    recovery: Recovery | None,
) -> Fired:
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
