"""The releases of a run at work: loaded definitions, and release workers that start when they are first asked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from gonogo.checks import same_text
from gonogo.contract import Contract
from gonogo.definitions import Definitions
from gonogo.errors import (
    ProductError,
    ProductFailure,
    ReleaseChanged,
    ServiceGone,
    TargetError,
    WorkerDied,
)
from gonogo.llm import Llm
from gonogo.margins import planting_of
from gonogo.model import (
    ENVIRONMENT,
    WHOLE,
    Ability,
    Case,
    Evidence,
    Finding,
    Gap,
    Json,
    Judged,
    Prompt,
    Reply,
    Step,
    Workflow,
)
from gonogo.planting import Planting
from gonogo.project import Release, read_facts
from gonogo.stub import FaultPlan, LlmFault, Script
from gonogo.stub.protocols import prompt_of
from gonogo.targets.adapter import Built
from gonogo.targets.client import Ran, ReleaseWorker
from gonogo.targets.faults import ConstructorFault

__all__ = ["Target", "Workbench"]


class Target:
    """A release that is asked for prompts and runs. Its worker starts at the first question; one that died is replaced.

    ``judged`` is false for the previous release: where that one fails, it is not the candidate that falls short.
    """

    def __init__(
        self,
        release: Release,
        workflow: Workflow,
        recordings: Path,
        stack: ExitStack,
        scratch: Path,
        *,
        contract: Contract | None = None,
        planting: Planting | None = None,
        judged: bool = True,
    ) -> None:
        self.release = release
        self._judged = judged
        self._workflow = workflow
        self._recordings = recordings
        self._stack = stack
        self._scratch = scratch
        self._contract = contract
        self._planting = planting
        self.planned: FaultPlan | None = None  # faults of the model in every run, until it is none again
        self.lost: TargetError | None = None  # why a live service is no longer what was judged before
        self._built: dict[tuple[str, bytes], Built | ProductError] = {}
        self._received: dict[tuple[str, bytes], Built] = {}
        self._variants: list[ReleaseWorker] = []
        self._alone: list[ReleaseWorker] = []
        self._by_turns: list[ReleaseWorker] = []
        self._started: list[ReleaseWorker] = []
        self._starting: ReleaseWorker | None = None

    @cached_property
    def _laid_out(self) -> Release:
        return self.release.laid_out(self._scratch)

    def _start_worker(
        self, environment: Mapping[str, str] | None = None, release: Release | None = None
    ) -> ReleaseWorker:
        """Another worker of this release, in a process of its own; ended with the run."""
        worker = ReleaseWorker(
            release or self._laid_out,
            self._workflow.steps,
            recordings=self._recordings,
            environment=environment,
            contract=self._contract,
            planting=self._planting,
        )
        self._stack.callback(worker.close)
        self._started.append(worker)
        return worker

    def hang_up(self) -> None:
        """Let the workers end, all at the same time; the end of the run waits for each."""
        for worker in self._started:
            worker.hang_up()

    @staticmethod
    def _opened(started: Sequence[ReleaseWorker]) -> list[ReleaseWorker]:
        """Several that start together: most of a start is a process importing the release, on whatever processor."""
        return [worker.opened() for worker in started]

    def start(self) -> None:
        """Let the first worker start while this process does something else."""
        self._starting = self._start_worker()

    @cached_property
    def worker(self) -> ReleaseWorker:
        """The worker that answers everything that is neither timed nor traced."""
        starting, self._starting = self._starting or self._start_worker(), None
        with self._asked():
            return starting.opened()

    @property
    def timed(self) -> ReleaseWorker:
        """A worker in which nothing but timing happens."""
        return self.timed_alone(1)[0]

    def timed_alone(self, count: int) -> list[ReleaseWorker]:
        """Workers in which nothing but timing of this release alone happens; started once."""
        return self._so_many(self._alone, count)

    def timed_by_turns(self, count: int) -> list[ReleaseWorker]:
        """Workers in which nothing but timing happens, by turns with those of another release; started once.

        Others than those of ``timed_alone``: what these have done already, the other release's have not.
        """
        return self._so_many(self._by_turns, count)

    def _so_many(self, workers: list[ReleaseWorker], count: int) -> list[ReleaseWorker]:
        workers += self._opened([self._start_worker() for _ in range(count - len(workers))])
        return workers[:count]

    def variants(self, environments: Sequence[Mapping[str, str]], *, day: str) -> list[ReleaseWorker]:
        """One worker for each environment (hash seed, locale, time zone), all of them on another day; started once.

        ``day`` is a moment as in ``Release.frozen_at``. A release that has such a moment of its own stays on it: it says
        that it puts the date into prompts.
        """
        release = replace(self._laid_out, frozen_at=self._laid_out.frozen_at or day)
        left = environments[len(self._variants) :]
        self._variants += self._opened([self._start_worker(environment, release) for environment in left])
        return self._variants[: len(environments)]

    @cached_property
    def traced(self) -> ReleaseWorker:
        """A worker in which nothing but tracing of memory happens."""
        return self._start_worker().opened()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except WorkerDied:
            self.__dict__.pop("worker", None)  # the next question gets a fresh one
            raise
        except (ServiceGone, ReleaseChanged) as error:
            self.lost = self.lost or error
            raise
        except ProductError as error:
            if self._judged:
                raise
            raise TargetError(f"the previous release failed, so there is nothing to compare with: {error}") from error

    def describe(self) -> Mapping[str, Json]:
        """What the release says of itself; what it said when it was the newest, where that was kept.

        Raises:
            DefinitionError: the file that it was kept in is not there, or holds something else.
        """
        if self.release.facts is not None:
            return read_facts(self.release.facts)
        with self._asked():
            return self.worker.describe()

    def construct(self, case: Case) -> Built:
        """The prompt of a case. The recorded cases of a step are built together, once.

        Raises:
            ProductError: the release raised.
        """
        if case.key not in self._built:
            recorded = self._workflow.cases_of(case.step)
            batch = recorded if case in recorded else (case,)
            with self._asked():
                self._built.update(zip((one.key for one in batch), self.worker.construct(batch), strict=True))
        built = self._built[case.key]
        with self._asked():
            if isinstance(built, ProductError):
                raise built
        return built

    def received(self, case: Case) -> Built:
        """The prompt that the model receives in a run of a case, by the stub's journal.

        Of a release that runs nothing, or whose model is no stub, the one that it constructs; see ``source``.

        Raises:
            ProductFailure: a run asks the model for nothing, for several things, or sends its fallback.
            ProductError: the release raised.
        """
        shown = self.construct(case)
        if shown.fallback is not None:
            raise ProductFailure(f"the release sends its fallback ({shown.fallback}), not a constructed prompt")
        if not self._is_seen:
            return shown
        if case.key not in self._received:
            ran = self.run(case, script=Script(Reply(""), None), watched=False)
            if not ran.exchanges and Ability.LIVE in self.worker.abilities:
                raise TargetError(
                    f"nothing reached the stub at {self.release.stub} while {case.path} was run; see that it is the one that "
                    "the service asks"
                )
            prompts = {prompt_of(one.request) for one in ran.exchanges}
            if len(prompts) != 1:
                raise ProductFailure(
                    f"a run asks the model for {len(prompts)} prompts, not for one; it ended with {ran.run.error}"
                )
            self._received[case.key] = Built(prompts.pop() or Prompt(()))
        return self._received[case.key]

    @property
    def _is_seen(self) -> bool:
        """Whether what is sent to the model can be seen."""
        return {Ability.REPLY, Ability.STUB} <= self.worker.abilities

    @property
    def source(self) -> str:
        """Where the prompts that are judged come from: the journal of the ``stub``, or the ``preview`` of a live service.

        Of a function alone, the ``constructor``.
        """
        if self._is_seen:
            return "stub"
        return "preview" if Ability.LIVE in self.worker.abilities else "constructor"

    def sent(self, ran: Ran, shown: str) -> Iterator[Finding]:
        """Whether a run sent the model the prompt that was shown, once; by the stub's journal, or else by the run's record.

        Raises:
            TargetError: neither tells.
        """
        check = "sent"
        if self._is_seen:
            asked = len(ran.exchanges)
            yield Finding(check, asked == 1, f"asked the model {asked} times")
        elif ran.prompt is None:
            raise TargetError(
                "neither a stub nor a record tells what a run sent; name a stub with --gonogo-stub, or record in [target]"
            )
        yield same_text(check, "the prompt that was sent", shown, ran.prompt or "")

    def construct_all(self, cases: Sequence[Case]) -> list[Built | ProductError]:
        """The prompts of cases that are not recorded (generated ones)."""
        with self._asked():
            return self.worker.construct(cases)

    def run(
        self,
        case: Case,
        *,
        script: Script | None = None,
        fault: LlmFault | FaultPlan | None = None,
        constructor: ConstructorFault | None = None,
        watched: bool = True,
    ) -> Ran:
        """Run a case end to end; see ``ReleaseWorker.run``. Where faults are planned, and no other is asked for, they strike."""
        planned = self.planned if fault is None else None
        with self._asked():
            ran = self.worker.run(case, script=script, fault=fault or planned, constructor=constructor, watched=watched)
        if planned is not None:
            self.planned = planned.after(len(ran.exchanges))
        return ran

    @contextmanager
    def redefined(self, step: Step) -> Iterator[None]:
        """Let the release work with another definition of a step until the block ends.

        Other steps that share a template with it see the other template meanwhile.
        """
        usual = self._workflow.step(step.id)
        self._define(step)
        try:
            yield
        finally:
            self._define(usual)

    def _define(self, step: Step) -> None:
        self._built.clear()
        self._received.clear()
        self.worker.define([step])


class Workbench:
    """The targets of one process. ``close`` ends every worker."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._stack = ExitStack()
        self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gonogo-")))
        self._targets: list[Target] = []

    def _target(self, release: Release, *, judged: bool) -> Target:
        recordings = self.definitions.project.recordings_of(release)
        target = Target(
            release,
            self.definitions.workflow,
            recordings,
            self._stack,
            self._scratch,
            contract=self.definitions.criteria.target,
            planting=planting_of(release.planted, self.definitions.criteria),
            judged=judged,
        )
        self._targets.append(target)
        return target

    @cached_property
    def candidate(self) -> Target:
        """The release under judgement."""
        return self._target(self.definitions.project.candidate, judged=True)

    @cached_property
    def baseline(self) -> Target:
        """The previous release.

        Raises:
            TargetError: the project names none.
        """
        if self.definitions.project.baseline is None:
            raise TargetError(
                "the project names no previous release; give one in conftest.py or with --gonogo-baseline"
            )
        return self._target(self.definitions.project.baseline, judged=False)

    @cached_property
    def twin(self) -> Target:
        """The candidate once more, to be held against itself, with nothing planted in it."""
        return self._target(replace(self.definitions.project.candidate, planted=""), judged=False)

    def llm(self, target: Target) -> Llm:
        """The stub's recordings for a target."""
        return Llm(self.definitions.recordings[target.release.version])

    def last_words(self) -> Iterator[Evidence]:
        """What became of a live service while it was asked here."""
        for lost in (target.lost for target in self._targets):
            if isinstance(lost, ServiceGone):
                yield Judged(ENVIRONMENT, None, Finding("environment", False, str(lost)))
            elif lost is not None:
                yield Gap(WHOLE, None, str(lost))

    def close(self) -> None:
        """End every worker."""
        for target in self._targets:
            target.hang_up()
        self._stack.close()
