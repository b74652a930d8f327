"""The rehearsal: releases are swapped and rolled back on a stage, under load, by the same watch that is used in earnest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue

from gonogo.assessment import Assessment
from gonogo.contract import Contract
from gonogo.definitions import Definitions
from gonogo.errors import DefinitionError, ProductFailure, TargetError
from gonogo.model import Case, Finding
from gonogo.monitor import Monitor
from gonogo.probe.account import Connections
from gonogo.probe.running import RunningProbe, running_probe
from gonogo.recovery import Previous, WayBack
from gonogo.rehearsed import CHECK, Fired, Swapped, assess_firing, wanted_of
from gonogo.standing import Standing
from gonogo.stub import FaultPlan, LlmFault
from gonogo.stub.remote import RemoteStub, served_stub
from gonogo.targets.looking import Looker
from gonogo.targets.planted_stage import planted_stage
from gonogo.targets.sockets import SocketTransport
from gonogo.targets.stage import Stage, StageContext, open_stage
from gonogo.triggers import Alarm, Signal, Trigger, WatchRules
from gonogo.watching import Watch
from gonogo.workbench import Target

__all__ = ["Rehearsal"]


class Rehearsal:
    """A stage with users on it. Everything is set up when it is first asked for; ``close`` takes it down.

    Args:
        definitions: of the project.
        baseline: the previous release, whose prompts are to come back.
        scratch: a folder for the stage.
        environ: where tokens are read.
        previous: what the previous release answers, where that is known already.

    Raises:
        DefinitionError: the project names no stage, or criteria.toml does not say how a service is asked or watched.
    """

    def __init__(
        self,
        definitions: Definitions,
        baseline: Target,
        scratch: Path,
        environ: Mapping[str, str],
        previous: Previous | None = None,
    ) -> None:
        criteria, project = definitions.criteria, definitions.project
        if not project.stage:
            raise DefinitionError("conftest.py names no stage; write stage = 'file.py:function', see docs/rehearsal.md")
        if criteria.target is None or criteria.watch is None:
            raise DefinitionError("a rehearsal needs [target] and [watch] in criteria.toml; see docs/rehearsal.md")
        self.contract: Contract = criteria.target
        self.rules: WatchRules = criteria.watch
        self._definitions, self._baseline, self._scratch, self._environ = definitions, baseline, scratch, environ
        self._known_previous = previous
        self._stack = ExitStack()
        self._serves = ""
        self._broken_off = threading.Event()

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
        """The stage, with the previous release in service, and with what is planted in it on purpose."""
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
        return self._stack.enter_context(planted_stage(stage, project.candidate.planted))

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """A recorded case of each step."""
        workflow = self._definitions.workflow
        return tuple(cases[0] for step in workflow.steps if (cases := workflow.cases_of(step.id)))

    @cached_property
    def _runs(self) -> tuple[str, ...]:
        """Paths that run a case each, on a post of its own; the first few steps, so that each is run often."""
        transport = SocketTransport(self.stage.url, self.contract, self._environ)
        paths = []
        try:
            for case in self.cases[:4]:
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

    @contextmanager
    def users(self, rate: float) -> Iterator[None]:
        """Users who run steps, so many a second; while a block runs, whatever becomes of their requests."""
        with self._running(rate):
            yield

    def plant(self, *triggers: str) -> Callable[[], None]:
        """In the place of the previous release: a candidate that breaks, by these triggers, when what is returned is called."""
        self._deploy("baseline")
        strike = self.stage.plant(*triggers)
        self._serves = ""
        return strike

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

    def fire_all(self, *, stages: int, rate: float, reference: float, patience: float) -> tuple[Fired, ...]:
        """Every trigger of criteria.toml, in its order, on so many stages at a time; see ``_fire``."""
        # those that only alert leave a release in service that is broken: last, as nothing need take its place then
        order = sorted(self.rules.triggers, key=lambda one: wanted_of(one) is Alarm.ALERT)
        self._broken_off.clear()
        free: SimpleQueue[Rehearsal] = SimpleQueue()
        free.put(self)

        def fire(trigger: Trigger) -> Fired:
            one = free.get()
            try:
                return one.fire(trigger, rate=rate, reference=reference, patience=patience)
            finally:
                free.put(one)

        with ExitStack() as stack:
            for number in range(1, min(stages, len(order))):
                scratch = self._scratch / f"stage-{number}"
                scratch.mkdir()
                other = Rehearsal(self._definitions, self._baseline, scratch, self._environ, self._previous)
                other._broken_off = self._broken_off
                free.put(stack.enter_context(closing(other)))
            threads = stack.enter_context(ThreadPoolExecutor(stages, "stage"))
            going = {trigger.id: threads.submit(fire, trigger) for trigger in order}
            # where somebody breaks off, nothing more is begun, and what is watched is watched no longer
            stack.callback(threads.shutdown, wait=False, cancel_futures=True)
            stack.callback(self._broken_off.set)
            return tuple(going[trigger.id].result() for trigger in self.rules.triggers)

    def fire(self, trigger: Trigger, *, rate: float, reference: float, patience: float) -> Fired:
        """As ``_fire``; what goes wrong with one trigger stays with it, so that the others are fired all the same."""
        try:
            return self._fire(trigger, rate=rate, reference=reference, patience=patience)
        except ProductFailure as error:
            assessment = Assessment((Finding(CHECK, False, f"{trigger.id}: {error}"),))
        except TargetError as error:
            assessment = Assessment(gaps=(f"{trigger.id} was never seen firing: {error}",))
        return Fired(trigger, wanted_of(trigger), None, None, assessment)

    def _fire(self, trigger: Trigger, *, rate: float, reference: float, patience: float) -> Fired:
        """Break the service in the way by which this trigger must fire, and see what comes of it.

        Args:
            trigger: which.
            rate: runs a second that users ask for.
            reference: seconds at the beginning in which all must be quiet, and memory is looked at.
            patience: seconds within which it must fire, and within which the previous release must answer afterwards.

        Raises:
            ProductFailure: the candidate cannot be put in service.
            TargetError: the stage has no defect for this trigger.
        """
        complaints: dict[str, bool] = {}
        if trigger.signal is Signal.COMPLAINTS:
            self._deploy("baseline")
            self._deploy("candidate")

            def strike() -> None:
                complaints["rehearsed"] = True
        else:
            strike = self.plant(trigger.id)
        self._serves = ""  # from here on, whatever the way back leads to
        wanted = wanted_of(trigger)
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
            patience,
        )
        watch = Watch(
            Monitor(rules, self.contract.metrics, steps),
            looker,
            rules.interval,
            reference + patience + rules.interval,
            back,
            self._broken_off.is_set,
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
        return assess_firing(trigger, wanted, watch.standing, early, broken, watch.recovery)

    @cached_property
    def _previous(self) -> Previous:
        return self._known_previous or Previous.of(self._baseline, self.cases)

    def close(self) -> None:
        """Take the stage down."""
        self._stack.close()
