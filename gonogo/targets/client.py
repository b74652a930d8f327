"""The near side of a release worker: starts the process, asks it, and turns its answers into values and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from gonogo.contract import Contract
from gonogo.errors import (
    MissingReply,
    OutboundConnection,
    ProductError,
    ReleaseChanged,
    ServiceGone,
    TargetError,
    WorkerDied,
)
from gonogo.model import Ability, Case, Json, Step
from gonogo.planting import Planting
from gonogo.project import Release
from gonogo.stub import Exchange, FaultPlan, LlmFault, Script
from gonogo.stub.protocols import prompt_of
from gonogo.targets.adapter import Built, Run, prompt_from_json
from gonogo.targets.faults import ENVIRONMENT, ConstructorFault
from gonogo.targets.wire import case_to_json, script_to_json
from gonogo.workflows import step_as_json

__all__ = ["Ran", "ReleaseWorker"]


_AT_A_TIME = 20  # cases in one question, so that the time for an answer does not run out over a slow line


def batched(cases: Sequence[Case], size: int) -> Iterable[Sequence[Case]]:
    return (cases[start : start + size] for start in range(0, len(cases), size))


@dataclass(frozen=True, slots=True)
class Ran:
    """A run with what reached the stub meanwhile, in order."""

    run: Run
    exchanges: tuple[Exchange, ...]

    @property
    def prompt(self) -> str | None:
        """The prompt that the model received last, by the stub's journal or else by the run's record; none where none tells."""
        prompt = prompt_of(self.exchanges[-1].request) if self.exchanges else None
        return prompt.text if prompt else self._recorded("prompt")

    @property
    def reply(self) -> str | None:
        """What the model answered last, by the stub's journal or else by the run's record; none where none tells."""
        return self.exchanges[-1].reply if self.exchanges else self._recorded("reply")

    def _recorded(self, name: str) -> str | None:
        told = (self.run.record or {}).get(name)
        return told if isinstance(told, str) else None


class ReleaseWorker:
    """A release in a process of its own. It begins to start at once; ``opened`` waits until it can be asked.

    Use it as a context manager, or call ``opened`` and, in the end, ``close``.

    Args:
        release: a release laid out as a plain folder (``Release.laid_out``).
        steps: the definitions that the release works with.
        recordings: the folder that its stub answers from, or none.
        environment: variables set for this process alone (hash seed, locale, time zone).
        contract: how the release is asked over HTTP, or none.
        planting: the defect that is planted in it, or none.
        timeout: seconds that one question may take.
    """

    abilities: frozenset[Ability]  # once opened

    def __init__(
        self,
        release: Release,
        steps: Sequence[Step],
        *,
        recordings: Path | None = None,
        environment: Mapping[str, str] | None = None,
        contract: Contract | None = None,
        planting: Planting | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.release = release
        self._timeout = timeout
        self._scratch = tempfile.TemporaryDirectory(prefix="gonogo-worker-", ignore_cleanup_errors=True)
        scratch = Path(self._scratch.name)
        near, far = Pipe()
        self._pipe: Connection = near
        self._errors = scratch / "stderr.txt"
        with self._errors.open("wb") as errors:
            # -P: the folder that the worker runs in must not lend its modules to the release
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gonogo.targets.worker", str(far.fileno())],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=scratch,
                env={**os.environ, **ENVIRONMENT, **(environment or {})},
            )
        far.close()
        adapter = release.adapter
        if adapter.partition(":")[0].endswith(".py"):
            adapter = f"{Path(adapter.rpartition(':')[0]).resolve()}:{adapter.rpartition(':')[2]}"
        opening = {
            "tree": str(release.tree.resolve()),
            "adapter": adapter,
            "packages": list(release.packages),
            "options": dict(release.options),
            "network": list(release.network),
            "frozen_at": release.frozen_at,
            "stub": release.stub,
            "service": asdict(release.service) if release.service else None,
            "contract": contract.as_json() if contract else None,
            "planting": planting.as_json() if planting else None,
            "scratch": str(scratch),
            "steps": [step_as_json(step) for step in steps],
            "recordings": str(recordings.resolve()) if recordings else None,  # the worker runs in another folder
        }
        try:
            self._pipe.send_bytes(json.dumps(opening).encode())
        except BaseException:  # an interruption too must not leave the process behind
            self.close()
            raise

    def opened(self) -> Self:
        """Wait until the release has started. To be called once, before the first question.

        Raises:
            TargetError: the adapter cannot be loaded, or the worker ended.
            ProductError: the release raised while it started.
        """
        try:
            answer = self._receive("it does not start")
            self.abilities = frozenset(Ability(one) for one in answer)
        except BaseException:  # as above
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self.opened()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hang_up(self) -> None:
        """Let the process end, and do not wait for it; ``close`` does. Nothing can be asked any more."""
        self._pipe.close()

    def close(self) -> None:
        """End the process, by force where it does not end by itself. May be called twice."""
        self.hang_up()
        self._end()
        self._scratch.cleanup()

    def _end(self) -> None:
        """Wait for the process, whose pipe is closed; end it by force where it does not end by itself."""
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _ask(self, operation: str, **arguments: Any) -> Any:
        try:
            self._pipe.send_bytes(json.dumps({"operation": operation, "arguments": arguments}).encode())
        except OSError as error:
            raise self._died() from error
        return self._receive(f"{operation} failed")

    def _receive(self, what: str) -> Any:
        try:
            if not self._pipe.poll(self._timeout):
                self._process.kill()
                raise WorkerDied(
                    f"release {self.release.version}: no answer within {self._timeout:g} s; the worker was stopped. "
                    "Look for an endless loop or a lock in the release"
                )
            answer = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._died() from error
        if "raised" in answer:
            raise _product_error(f"release {self.release.version}: {what}", answer["raised"])
        if "broken" in answer:
            kind = _KINDS.get(answer.get("kind", ""), TargetError)
            raise kind(f"release {self.release.version}: {answer['broken']}")
        return answer["value"]

    def _died(self) -> WorkerDied:
        self._end()
        return WorkerDied(
            f"release {self.release.version}: the worker ended with status {self._process.returncode} before it answered; "
            f"its last lines: {self._last_lines()}"
        )

    def _last_lines(self) -> str:
        text = self._errors.read_text(errors="replace") if self._errors.is_file() else ""
        return " | ".join(text.strip().splitlines()[-5:]) or "(none)"

    def describe(self) -> dict[str, Json]:
        """What the adapter says about the release."""
        described: dict[str, Json] = self._ask("describe")
        return described

    def construct(self, cases: Iterable[Case]) -> list[Built | ProductError]:
        """The prompt of each case, or what the release raised for it."""
        asked = list(cases)
        return [
            _product_error(f"{case.path}: the release raised while it built the prompt", one["raised"])
            if "raised" in one
            else _built(one)
            for some in batched(asked, _AT_A_TIME)
            for case, one in zip(some, self._ask("construct", cases=[case_to_json(case) for case in some]), strict=True)
        ]

    def run(
        self,
        case: Case,
        *,
        script: Script | None = None,
        fault: LlmFault | FaultPlan | None = None,
        constructor: ConstructorFault | None = None,
        watched: bool = True,
    ) -> Ran:
        """Run a case end to end. ``watched``: what is stored, logged and counted is looked at before and after.

        Raises:
            ProductError: the application let an exception through.
            MissingReply: a request met neither a recording nor the script; whatever the application made of that.
        """
        answer = self._ask(
            "run",
            case=case_to_json(case),
            script=script_to_json(script) if script else None,
            fault=_plan(fault).as_json() if fault else None,
            constructor=constructor.value if constructor else None,
            watched=watched,
        )
        exchanges = tuple(Exchange.from_json(one) for one in answer["exchanges"])
        missed = next((one for one in exchanges if one.served is None), None)
        if missed is not None:
            raise MissingReply(missed.miss)
        if "raised" in answer:
            raise _product_error(f"{case.path}: the release let an exception through", answer["raised"])
        return Ran(Run(**answer["run"]), exchanges)

    def define(self, steps: Iterable[Step]) -> None:
        """Replace the definitions of these steps."""
        self._ask("define", steps=[step_as_json(step) for step in steps])

    def time_construct(
        self, cases: Sequence[Case], rounds: int, *, limit: float | None = None, together: int = 1
    ) -> list[int]:
        """Nanoseconds of each of ``rounds`` constructions, of the cases in turn, taken inside the worker.

        ``together``: a round is so many constructions of one case, for a clock that is coarse beside one of them. Of a live
        service they are the upper edges of its histogram's buckets; ``limit`` (seconds) must be one of the edges.
        """
        asked = [case_to_json(case) for case in cases]
        timed: list[int] = self._ask("time_construct", cases=asked, rounds=rounds, limit=limit, together=together)
        return timed

    def time_runs(self, case: Case, script: Script, rounds: int) -> list[int]:
        """Nanoseconds of each of ``rounds`` runs one after the other, without their model, taken inside the worker."""
        timed: list[int] = self._ask("time_runs", case=case_to_json(case), script=script_to_json(script), rounds=rounds)
        return timed

    def trace_peak(self, case: Case) -> dict[str, Any]:
        """``peak`` in bytes of one construction, and its ``sites``."""
        traced: dict[str, Any] = self._ask("trace_peak", case=case_to_json(case))
        return traced

    def trace_growth(self, cases: Iterable[Case], *, total: int, every: int, limit: int) -> dict[str, Any]:
        """``calls`` made, ``bytes`` kept, the ``series`` of looks, and the ``resident`` bytes before and after untraced calls."""
        grown: dict[str, Any] = self._ask(
            "trace_growth", cases=[case_to_json(case) for case in cases], total=total, every=every, limit=limit
        )
        return grown


_KINDS: Mapping[str, type[TargetError]] = {
    kind.__name__: kind for kind in (OutboundConnection, ReleaseChanged, ServiceGone)
}


def _plan(fault: LlmFault | FaultPlan) -> FaultPlan:
    return FaultPlan(fault) if isinstance(fault, LlmFault) else fault


def _built(told: Mapping[str, Any]) -> Built:
    warnings = told["warnings"]
    return Built(
        prompt_from_json(told["prompt"]),
        told["fallback"],
        MappingProxyType(told["sections"]),
        None if warnings is None else tuple(warnings),
    )


def _product_error(what: str, raised: Mapping[str, str]) -> ProductError:
    error = ProductError(f"{what}: {raised['type']}: {raised['message']}")
    error.add_note(raised["traceback"])
    return error
