"""The release worker: one release in a process of its own, with the stub inside. This module is the process.

It reads one JSON message at a time from an inherited pipe and answers each with exactly one. It ends with its pipe.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from datetime import datetime
from itertools import cycle, repeat
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gonogo import memory
from gonogo.clock import OwnClock
from gonogo.contract import Contract
from gonogo.errors import GonogoError, TargetError
from gonogo.model import Ability, Case, Json, Step
from gonogo.planting import Planting
from gonogo.project import Service
from gonogo.stub import FaultPlan, Script, Stub
from gonogo.stub.in_process import ModelClock
from gonogo.targets.adapter import Adapter, Built, TimesItself, WorkerContext, prompt_to_json
from gonogo.targets.faults import ConstructorFault, broken_constructor
from gonogo.targets.gate import Gate
from gonogo.targets.loading import load_function
from gonogo.targets.standin import ModelStub, stand_in
from gonogo.targets.wire import case_from_json, script_from_json
from gonogo.workflows import step_from_json


def _check_origin(packages: list[str], tree: Path) -> None:
    for package in packages:
        name = package.removesuffix(".py")
        module = sys.modules.get(name)
        places = [] if module is None else [module.__file__] if module.__file__ else list(module.__path__)
        elsewhere = [place for place in places if not Path(place).resolve().is_relative_to(tree.resolve())]
        if elsewhere:
            raise TargetError(
                f"the package {name!r} was loaded from {elsewhere[0]}, not from the release in {tree}; "
                "another release would be judged. Import it inside the adapter's function and nowhere earlier"
            )


class Server:
    """Answers the operations. Each public method is one; arguments and results are plain data."""

    def __init__(
        self,
        adapter: Adapter,
        stub: ModelStub,
        own_clock: OwnClock,
        model_clock: ModelClock,
        tree: Path,
        steps: Sequence[Step],
    ) -> None:
        self._adapter = adapter
        self._stub = stub
        self._own = own_clock
        self._model = model_clock
        self._tree = tree
        self._steps = {step.id: step for step in steps}
        self._calls: dict[tuple[str, tuple[str, bytes]], Callable[[], object]] = {}

    def describe(self) -> Json:
        """What the adapter says about the release."""
        return dict(self._adapter.describe())

    def abilities(self) -> Json:
        """What the release offers, together with what stands in for its model."""
        offered = set(self._adapter.abilities)
        if Ability.WORKER in offered:
            offered.add(Ability.TIMING)
        if self._stub.base_url is not None:
            offered.add(Ability.STUB)
        return [ability.value for ability in sorted(offered)]

    def construct(self, cases: list[dict[str, Any]]) -> Json:
        """The prompts of many cases; what the release raised stands in the place of its prompt."""
        return [self._construct(case_from_json(case)) for case in cases]

    def _construct(self, case: Case) -> Json:
        try:
            built: Built = self._adapter.construct(case)
        except GonogoError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the product raises is the product's failure, told as such
            return {"raised": _raised(error)}
        return {
            "prompt": prompt_to_json(built.prompt),
            "fallback": built.fallback,
            "sections": dict(built.sections),
            "warnings": None if built.warnings is None else list(built.warnings),
        }

    def run(
        self,
        case: dict[str, Any],
        script: dict[str, Any] | None = None,
        fault: dict[str, Any] | None = None,
        constructor: str | None = None,
        watched: bool = True,
    ) -> Json:
        """Run a case end to end against recordings, a scripted reply or a fault, its constructor broken or not."""
        asked = case_from_json(case)
        scripted = script_from_json(script) if script else None
        self._stub.expect(step=asked.step, script=scripted, fault=FaultPlan.from_json(fault) if fault else None)
        planted = ConstructorFault(constructor) if constructor else None
        try:
            with broken_constructor(self._adapter.seam, planted, self._steps[asked.step]):
                try:
                    run = self._adapter.run(asked, watched=watched)
                except GonogoError:
                    raise
                except (Exception, SystemExit) as error:  # noqa: BLE001 - see _construct
                    return {"raised": _raised(error), "exchanges": self._exchanges()}
            return {"run": run.as_json(), "exchanges": self._exchanges()}
        finally:
            self._stub.release()

    def _exchanges(self) -> Json:
        """What the stub was asked since it was told what to expect."""
        return [one.as_json() for one in self._stub.journal]

    def define(self, steps: list[dict[str, Any]]) -> Json:
        """Replace definitions."""
        defined = [step_from_json(step) for step in steps]
        self._adapter.define(defined)
        self._steps.update({step.id: step for step in defined})
        self._calls.clear()
        return None

    def _call(self, kind: str, case: Case) -> Callable[[], object]:
        key = (kind, case.key)
        if key not in self._calls:
            self._calls[key] = self._adapter.constructor(case) if kind == "construct" else self._adapter.runner(case)
        return self._calls[key]

    def time_construct(
        self, cases: list[dict[str, Any]], rounds: int, limit: float | None = None, together: int = 1
    ) -> Json:
        """Nanoseconds of each round, of the cases in turn, without waiting for a processor; a round is one construction or some."""
        asked, now_ns = [case_from_json(case) for case in cases], self._own.now_ns
        if isinstance(self._adapter, TimesItself):
            return [int(seconds * 1e9) for seconds in self._adapter.timed_constructions(asked, rounds, limit)]
        calls = [self._call("construct", case) for case in asked]
        spent: list[Json] = []
        for _, call in zip(range(rounds), cycle(calls), strict=False):
            begin = now_ns()
            for _ in repeat(None, together):
                call()
            spent.append(now_ns() - begin)
        return spent

    def time_runs(self, case: dict[str, Any], script: dict[str, Any], rounds: int) -> Json:
        """Nanoseconds of each of some runs end to end, without the model and without waiting for a processor."""
        asked, scripted = case_from_json(case), script_from_json(script)
        call = self._call("run", asked)
        return [self._time_run(asked, scripted, call) for _ in range(rounds)]

    def _time_run(self, asked: Case, scripted: Script, call: Callable[[], object]) -> int:
        self._stub.expect(step=asked.step, script=scripted)
        waited = self._model.waited_ns
        begin = self._own.now_ns()
        call()
        spent = self._own.now_ns() - begin - (self._model.waited_ns - waited)
        exchanges = list(self._stub.journal)
        missed = [one.miss for one in exchanges if one.served is None]
        if missed or not exchanges:
            raise TargetError(
                f"the timed run of {asked.path} was not answered as scripted: {missed or 'no request was sent'}"
            )
        return spent

    def trace_peak(self, case: dict[str, Any]) -> Json:
        """Peak bytes of one construction, and the lines that allocate most."""
        call = self._call("construct", case_from_json(case))
        if not gc.get_freeze_count():  # each collection would look at the whole application again, 50 ms of it
            gc.collect()
            gc.freeze()
        sites = memory.allocation_sites(call, below=self._tree)
        return {"peak": memory.peak(call), "sites": [asdict(site) for site in sites]}

    def trace_growth(self, cases: list[dict[str, Any]], total: int, every: int, limit: int) -> Json:
        """Bytes that stay after many constructions, as traced; and what the process holds before and after as many untraced."""
        calls = [self._call("construct", case_from_json(case)) for case in cases]
        held = memory.held(calls, total=total)
        found = memory.growth(calls, total=total, every=every, limit=limit)
        return {"calls": found.calls, "bytes": found.bytes, "series": list(found.series), "resident": list(held)}

    def close(self) -> Json:
        """Let the adapter go."""
        self._adapter.close()
        return None


def _raised(error: BaseException) -> Json:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error))[-4000:],
    }


def _answer(server: Server, message: Mapping[str, Any], gate: Gate) -> dict[str, Json]:
    try:
        answer: dict[str, Json] = {"value": getattr(server, message["operation"])(**message["arguments"])}
    except GonogoError as error:
        answer = {"broken": str(error), "kind": type(error).__name__}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the other side, which raises it under its own name
        answer = {"raised": _raised(error)}
    return gate.report() or answer


def _clock_of(frozen_at: str | None) -> AbstractContextManager[object]:
    if frozen_at is None:
        return nullcontext()
    import time_machine  # a tenth of a second, which a worker with the usual clock need not wait for

    return time_machine.travel(datetime.fromisoformat(frozen_at).timestamp(), tick=False)


def _context(opening: Mapping[str, Any], stub: ModelStub) -> WorkerContext:
    service, contract = opening["service"], opening["contract"]
    return WorkerContext(
        Path(opening["scratch"]),
        tuple(step_from_json(step) for step in opening["steps"]),
        MappingProxyType(opening["options"]),
        Contract.from_json(contract) if contract else None,
        stub.base_url or "",
        Service(**service) if service else None,
    )


def _planted(
    adapter: Adapter, stub: ModelStub, opening: Mapping[str, Any], own_clock: OwnClock, model_clock: ModelClock
) -> Adapter:
    from gonogo.targets.planted import plant  # a release without a defect need not wait for it

    steps = [step_from_json(step) for step in opening["steps"]]
    return plant(adapter, stub, Planting(**opening["planting"]), steps, own_clock, model_clock)


def main() -> None:
    """Open the release that the first message describes, then answer until the pipe closes."""
    pipe = Connection(int(sys.argv[1]))
    opening = json.loads(pipe.recv_bytes())
    tree = Path(opening["tree"])
    sys.path.insert(0, str(tree))
    own_clock = OwnClock()
    gate = Gate(tuple(opening["network"]))
    with ExitStack() as stack:
        stack.enter_context(_clock_of(opening["frozen_at"]))
        try:
            stub, model_clock = stand_in(opening, gate, own_clock, stack)
            if opening["service"] is None:  # of a live service, no code runs here
                sys.addaudithook(gate)
            adapter: Adapter = load_function(opening["adapter"], "the adapter", "a WorkerContext")(
                _context(opening, stub)
            )
            _check_origin(opening["packages"], tree)
            if opening["planting"] is not None:
                adapter = _planted(adapter, stub, opening, own_clock, model_clock)
        except GonogoError as error:
            told = {"broken": str(error), "kind": type(error).__name__}
            pipe.send_bytes(json.dumps(gate.report() or told).encode())
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a release that does not start is the product's failure
            pipe.send_bytes(json.dumps(gate.report() or {"raised": _raised(error)}).encode())
            return
        if isinstance(stub, Stub):
            stub.base_url = getattr(adapter, "model_url", "")
        steps = [step_from_json(step) for step in opening["steps"]]
        server = Server(adapter, stub, own_clock, model_clock, tree, steps)
        pipe.send_bytes(json.dumps(gate.report() or {"value": server.abilities()}).encode())
        while True:
            try:
                message = json.loads(pipe.recv_bytes())
            except EOFError:
                server.close()
                break
            pipe.send_bytes(json.dumps(_answer(server, message, gate)).encode())


if __name__ == "__main__":
    main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # the adapter is closed, nothing else is to be done, and an interpreter takes 0.2 s to take itself apart
    os._exit(0)
