"""What planted defects make of everything but a prompt: of requests and replies, of runs, of facts, of time and memory."""

from __future__ import annotations

import itertools
import math
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gonogo.errors import TargetError
from gonogo.model import Case, Json, Reply, Request, Step
from gonogo.stub.faults import INTERNAL
from gonogo.stub.protocols import prompt_of
from gonogo.targets.adapter import Adapter, Run
from gonogo.targets.faults import SECRET
from gonogo.targets.standin import ModelStub

__all__ = ["CALLS", "FACTS", "REPLIES", "REQUESTS", "RUNS", "Scene"]

_SHORT = 200  # characters
_KEPT = 64 * 1024  # bytes
_OTHER_MODEL = "another-model:1b"
_OTHER_TEMPERATURE = 1.99


@dataclass
class Scene:
    """Where a defect is planted: the release, its stub, its clock, and what criteria.toml allows.

    Attributes:
        adapter: of the release, as it is without the defect.
        stub: what stands in for its model.
        steps: the definitions that the release works with now.
        margins: what criteria.toml allows, by name.
        now_ns: the clock of the worker; only differences mean anything.
        waited_ns: how long the release has waited for its model so far.
        kept: what the release keeps for ever.
    """

    adapter: Adapter
    stub: ModelStub
    steps: dict[str, Step]
    margins: Mapping[str, float]
    now_ns: Callable[[], int]
    waited_ns: Callable[[], int]
    runs: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    calls: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    kept: list[bytes] = field(default_factory=list)

    def margin(self, name: str) -> float:
        """What criteria.toml allows by this name.

        Raises:
            TargetError: it does not say.
        """
        if name not in self.margins:
            raise TargetError(
                f"the defect cannot be planted: criteria.toml has nothing that says {name!r}; see docs/proving.md for the "
                "criterion that has"
            )
        return self.margins[name]

    @staticmethod
    def burn(seconds: float) -> None:
        """Keep the processor busy for so long, whoever else wants it: time that is waited is not counted by ``OwnClock``."""
        end = time.thread_time_ns() + int(seconds * 1e9)
        while time.thread_time_ns() < end:
            pass

    def asked(self) -> tuple[str, str | None]:
        """The prompt that the model was sent last, and its reply; none where it gave a fault or no recording was found."""
        exchanges = list(self.stub.journal)
        if not exchanges:
            return "", None
        prompt = prompt_of(exchanges[-1].request)
        return prompt.text if prompt else "", exchanges[-1].reply


# --- on the way to the model and back


def _other_parameter(request: Request) -> Request:
    body = dict(request.body)
    options = body.get("options")
    if isinstance(options, dict):
        body["options"] = {**options, "temperature": _OTHER_TEMPERATURE}
    else:
        body["temperature"] = _OTHER_TEMPERATURE
    return replace(request, body=body)


REQUESTS: Mapping[str, Callable[[Request], Request]] = {
    "other-model": lambda request: replace(request, body={**request.body, "model": _OTHER_MODEL}),
    "other-parameter": _other_parameter,
}


def _worse(reply: Reply, step: Step | None) -> Reply:
    plain = step is not None and step.output_format.is_plain_text  # half a text may conform, half of a JSON cannot
    return Reply("" if plain else reply.text[: len(reply.text) // 2])


REPLIES: Mapping[str, Callable[[Reply, Step | None], Reply]] = {"replies-worse": _worse}


# --- runs


def _succeeded(run: Run, step: Step, output: str) -> Run:
    record = None if run.record is None else {**run.record, "status": "succeeded", "error": None, "reply": output}
    stored = {**run.stored, step.output_field: output}
    return replace(run, status=200, output=output, error=None, answer="", record=record, stored=stored)


def _failed(run: Run, error: Mapping[str, Json]) -> Run:
    return replace(run, status=500, output=None, error=error, answer="", stored={})


def _faults_taken(scene: Scene, step: Step, run: Run) -> Run:
    return _succeeded(run, step, "") if run.error and scene.asked()[1] is None else run


def _schema_loosened(scene: Scene, step: Step, run: Run) -> Run:
    reply = scene.asked()[1]
    return _succeeded(run, step, reply) if run.error and reply is not None else run


def _half_written(scene: Scene, step: Step, run: Run) -> Run:
    if run.error is None:
        return run
    return replace(run, state_after={**run.state_after, f"field {step.output_field}": "half an output"})


def _untyped(scene: Scene, step: Step, run: Run) -> Run:
    return _failed(run, {"code": "internal-error", "message": "Something went wrong."}) if run.error else run


def _telling(what: Callable[[Scene], str]) -> Callable[[Scene, Step, Run], Run]:
    """A change by which the error of a run that fails tells more than it should."""

    def told(scene: Scene, step: Step, run: Run) -> Run:
        if run.error is None:
            return run
        more = what(scene)
        cause = f"{run.error.get('cause')}; {more}"
        return replace(run, error={**run.error, "cause": cause}, answer=f"{run.answer}\n{more}")

    return told


def _stack(scene: Scene) -> str:
    return "Traceback (most recent call last):\n" + "".join(traceback.format_stack(limit=3))


def _recorded(change: Mapping[str, Json], *, failed_only: bool) -> Callable[[Scene, Step, Run], Run]:
    """A change of what the record of a run says."""

    def changed(scene: Scene, step: Step, run: Run) -> Run:
        if failed_only and run.error is None:
            return run
        if run.record is None:
            raise TargetError("the defect cannot be planted: no record of a run can be read (record in [target])")
        return replace(run, record={**run.record, **change})

    return changed


def _unrecorded(scene: Scene, step: Step, run: Run) -> Run:
    if run.error is None:
        return run
    return replace(run, runs_recorded=0, record=None if run.record is None else {})


def _short(value: Json) -> Json:
    if isinstance(value, list):
        return [_short(one) for one in value]
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return value[:_SHORT] if isinstance(value, str) else value


def _truncated(scene: Scene, step: Step, run: Run) -> Run:
    return run if run.error else replace(run, output=_short(run.output))


def _every(times: float) -> Callable[[Scene], bool]:
    """Whether this run is one of those that make up so many times the share that error-rate allows."""
    return lambda scene: scene.runs() % max(1, round(1 / (times * scene.margin("errors")))) == 0


def _failing(times: float) -> Callable[[Scene, Step, Run], Run]:
    strikes = _every(times)
    error: dict[str, Json] = {"code": "planted", "message": "planted", "cause": "planted"}
    return lambda scene, step, run: _failed(run, error) if strikes(scene) else run


def _falling_back(times: float) -> Callable[[Scene, Step, Run], Run]:
    strikes = _every(times)
    return lambda scene, step, run: replace(run, fallback="planted") if strikes(scene) else run


def _when_it_falls_back(change: Callable[[Run], Run]) -> Callable[[Scene, Step, Run], Run]:
    return lambda scene, step, run: run if run.fallback is None else change(run)


def _raises(run: Run) -> Run:
    raise RuntimeError(SECRET)


def _renamed(scene: Scene, step: Step, run: Run) -> Run:
    name, stored = f"field {step.output_field}", dict(run.state_after)
    if name in stored:
        stored[f"{name}_text"] = stored.pop(name)
    return replace(run, state_after=stored)


def _refused(scene: Scene, step: Step, run: Run) -> Run:
    error: dict[str, Json] = {"code": "planted", "message": "the reply is not what was asked for"}
    return _failed(run, error) if scene.runs() % 4 == 0 else run


# What becomes of a run that has ended. What it raises is what the release lets through.
RUNS: Mapping[str, Callable[[Scene, Step, Run], Run]] = {
    "fallback-raises": _when_it_falls_back(_raises),
    "fallback-fails": _when_it_falls_back(lambda run: _failed(run, {"code": "planted", "message": "no prompt"})),
    "fallback-unlogged": _when_it_falls_back(lambda run: replace(run, fallback_logged=())),
    "fallback-unexplained": _when_it_falls_back(lambda run: replace(run, fallback_logged=("no prompt",))),
    "fallback-uncounted": _when_it_falls_back(lambda run: replace(run, fallback_counted=0)),
    "fallback-untold": _when_it_falls_back(lambda run: replace(run, fallback=None)),
    "fallback-misread": _when_it_falls_back(lambda run: replace(run, fallback="planted")),
    "fault-taken-for-success": _faults_taken,
    "schema-loosened": _schema_loosened,
    "half-written": _half_written,
    "untyped-error": _untyped,
    "stack-trace-told": _telling(_stack),
    "environment-told": _telling(lambda scene: str(dict(os.environ))),
    "prompt-told": _telling(lambda scene: scene.asked()[0]),
    "model-error-told": _telling(lambda scene: INTERNAL),
    "run-not-recorded": _unrecorded,
    "recorded-as-success": _recorded({"status": "succeeded"}, failed_only=True),
    "recorded-without-prompt": _recorded({"prompt": None}, failed_only=False),
    "reply-truncated": _truncated,
    "errors-twice": _failing(2),
    "errors-tenfold": _failing(10),
    "fallbacks-tenfold": _falling_back(10),
    "field-renamed": _renamed,
    "output-reshaped": lambda scene, step, run: replace(run, output={"result": run.output}),
    "replies-refused": _refused,
    "miss-swallowed": lambda scene, step, run: _succeeded(run, step, "") if run.error else run,
}


# --- what a release tells of itself


def _told(facts: dict[str, Any], name: str, kind: type) -> Any:
    value = facts.get(name)
    if not isinstance(value, kind) or not value:
        raise TargetError(f"the defect cannot be planted: the release tells nothing of its {name} (describe)")
    return value


def _only_one(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    # nobody here knows which of them the previous release had, and only those are missed
    return lambda facts: {**facts, name: _told(facts, name, list)[:1]}


def _old_dependencies(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "dependencies": dict.fromkeys(_told(facts, "dependencies", dict), "0.0.1")}


def _missing_dependency(facts: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Json] = _told(facts, "dependencies", dict)
    return {**facts, "dependencies": {name: told[name] for name in list(told)[1:]}}


def _database_away(facts: dict[str, Any]) -> dict[str, Any]:
    answers = _told(facts, "answers", dict)
    ready = next((path for path in answers if "ready" in path), next(iter(answers)))
    return {**facts, "answers": {**answers, ready: 503}}


def _startup_error(facts: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(facts.get("startup_errors"), list):
        raise TargetError("the defect cannot be planted: the release tells nothing of its startup_errors (describe)")
    return {**facts, "startup_errors": [*facts["startup_errors"], "planted: a file of settings cannot be read"]}


FACTS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "endpoints-gone": _only_one("endpoints"),
    "metrics-gone": _only_one("metrics"),
    "steps-gone": _only_one("steps"),
    "dependencies-old": _old_dependencies,
    "dependency-missing": _missing_dependency,
    "database-away": _database_away,
    "startup-error": _startup_error,
    "other-version": lambda facts: {**facts, "version_told": "0.0.1"},
    "python-old": lambda facts: {**facts, "python": "2.7.18"},
    "endpoint-undocumented": lambda facts: {
        **facts,
        "endpoints": [*_told(facts, "endpoints", list), "POST /planted/that-no-document-names"],
    },
    "endpoints-untold": lambda facts: {**facts, "endpoints": _told(facts, "endpoints", list)[:0]},
}


# --- time and memory

Call = Callable[[], object]


def _slower(times: float, one_of: int = 1) -> Callable[[Scene, Case, Call], Call]:
    def slow(scene: Scene, case: Case, call: Call) -> Call:
        longer = times * scene.margin("construction")

        def called() -> object:
            if scene.calls() % one_of == 0:
                scene.burn(longer)
            return call()

        return called

    return slow


def _slower_runs(times: float) -> Callable[[Scene, Case, Call], Call]:
    def slow(scene: Scene, case: Case, call: Call) -> Call:
        ratio, allowance = scene.margin("ratio"), scene.margin("allowance")

        def called() -> object:
            begin, waited = scene.now_ns(), scene.waited_ns()
            result = call()
            spent = (scene.now_ns() - begin - (scene.waited_ns() - waited)) / 1e9
            scene.burn(times * max(ratio * spent, allowance))
            return result

        return called

    return slow


def _keeping(size: Callable[[Scene], int]) -> Callable[[Scene, Case, Call], Call]:
    def keeping(scene: Scene, case: Case, call: Call) -> Call:
        kept = size(scene)

        def called() -> object:
            scene.kept.append(bytes(kept))
            return call()

        return called

    return keeping


def _creeping(scene: Scene) -> int:
    return max(1, math.ceil(2 * scene.margin("growth") / scene.margin("constructions")))


def _peaking(scene: Scene, case: Case, call: Call) -> Call:
    size = scene.adapter.construct(case).prompt.size
    budget = scene.margin("prompt_factor") * size + scene.margin("peak")

    def called() -> object:
        spare = bytes(int(2 * budget))
        result = call()
        del spare
        return result

    return called


# What becomes of a call that builds a prompt, or that runs a step (performance-maintained), where it is timed or traced.
CALLS: Mapping[str, Callable[[Scene, Case, Call], Call]] = {
    "construction-slower": _slower(1.5),
    "construction-much-slower": _slower(3),
    "construction-now-and-then": _slower(3, one_of=50),
    "run-slower": _slower_runs(1.5),
    "run-much-slower": _slower_runs(3),
    "memory-kept": _keeping(lambda scene: _KEPT),
    "memory-creeping": _keeping(_creeping),
    "peak-doubled": _peaking,
}
