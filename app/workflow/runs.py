"""What every release does around its prompt: load, measure, ask, record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from app import repository
from app.errors import LLMError
from app.failures import Failure, fingerprint
from app.models import utc_now
from app.services import Services
from app.workflow.definitions import Step
from app.workflow.llm_client import Question, Reply
from app.workflow.replies import Output
from app.workflow.scripts.prompt_constructor import ConstructedPrompt

__all__ = [
    "FALLBACK",
    "BuiltPrompt",
    "Outcome",
    "Task",
    "ask",
    "attempt",
    "build",
    "count_unforeseen",
    "load_task",
    "store",
    "task_of_inputs",
]

FALLBACK: Final = "prompt-fallback"  # the kind of error that a fallback is in the log; its metric counts by reason
UNKNOWN_STEP: Final = ""  # a run that failed before its step was found: what was asked for may be anything


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """The prompt to send. `constructed` is None for a simple prompt; `fallback_reason` says why it had to be one.

    `problems` and `failure` are for the log: what the constructor found wrong with the step and the inputs, and where it
    failed.
    """

    text: str
    constructed: ConstructedPrompt | None = None
    fallback_reason: str | None = None
    problems: tuple[str, ...] = ()
    failure: Failure | None = None


PromptBuilder = Callable[[Step, Mapping[str, str]], BuiltPrompt]


@dataclass(frozen=True, slots=True)
class Task:
    """A step to be run for a post: the post's values of the step's inputs, and the model that will be asked."""

    post_id: int  # 0: inputs that no post holds
    step: Step
    inputs: Mapping[str, str]
    model: str
    release: str


@dataclass(slots=True)
class Attempt:
    """A run while it is going on."""

    task: Task
    built: BuiltPrompt
    started_at: datetime = field(default_factory=utc_now)
    started: float = field(default_factory=time.perf_counter)
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that succeeded, as it was recorded."""

    run_id: int
    output: Any
    output_field: str
    fallback_reason: str | None
    attempts: int


def load_task(services: Services, post_id: int, step_id: str, release: str) -> Task:
    """Load step and inputs in one transaction, which is over before anything else happens. Raises NotFound."""
    with services.database.reading() as session:
        step = repository.find_step(session, step_id)
        services.know(step=step.id, post=post_id, **_templates(step))
        inputs = repository.post_values(session, post_id, {item.field for item in step.inputs})
    return Task(post_id, step, inputs, services.llm.model_for(step.model), release)


def task_of_inputs(services: Services, step_id: str, fields: Mapping[str, str], release: str) -> Task:
    """The task of values that no post holds. Raises NotFound."""
    with services.database.reading() as session:
        step = repository.find_step(session, step_id)
    services.know(step=step.id, **_templates(step))
    inputs = {item.field: fields[item.field] for item in step.inputs if item.field in fields}
    return Task(0, step, inputs, services.llm.model_for(step.model), release)


def build(services: Services, task: Task, builder: PromptBuilder) -> BuiltPrompt:
    """Build the prompt with `builder`, time it, count it, and write one log event about it."""
    started = time.perf_counter()
    built = builder(task.step, task.inputs)
    seconds = time.perf_counter() - started

    step, metrics = task.step, services.metrics
    metrics.construction.labels(step.id).observe(seconds)
    event: dict[str, object] = {
        "release": task.release,
        "step": step.id,
        "post": task.post_id,
        **_templates(step),
        "length": len(built.text),
        "seconds": round(seconds, 6),
    }
    if built.constructed is not None:
        for template in (built.constructed.metadata.input_format, built.constructed.metadata.output_format):
            metrics.template_usage.labels(template).inc()
        event["warnings"] = list(built.constructed.warnings)
    if built.fallback_reason is not None:
        metrics.fallbacks.labels(built.fallback_reason).inc()
        event["problems"] = list(built.problems)
        if built.failure is not None:
            event["failure"] = built.failure
        else:
            event |= {"kind": FALLBACK, "fingerprint": fingerprint(FALLBACK, built.fallback_reason)}
        services.log.warning("prompt.fallback", reason=built.fallback_reason, **event)
    else:
        services.log.info("prompt.constructed", **event)
    services.log.debug("prompt.text", step=step.id, **_templates(step), text=built.text)
    return built


@contextmanager
def attempt(services: Services, task: Task, built: BuiltPrompt) -> Iterator[Attempt]:
    """The part of a run that may fail with an LLMError: then only the record of the failed run is written."""
    current = Attempt(task, built)
    try:
        yield current
    except LLMError as error:
        record = _record(current, status="failed", attempts=error.attempt, reply=error.reply)
        record |= {"error_code": error.code, "error_message": error.cause}
        with services.database.writing() as session:
            repository.require_post(session, task.post_id)  # it may have been deleted meanwhile
            error.run_id = repository.add_run(session, record)
        failure = Failure.of(error.code, error)
        services.metrics.count_error(failure)
        _finished(services, error.run_id, record, task, kind=failure.kind, fingerprint=failure.fingerprint)
        raise


def ask(services: Services, current: Attempt) -> Reply:
    """Send the prompt to the model. No transaction is open while it thinks. Raises LLMError."""
    task = current.task
    reply = services.llm.ask(Question(task.step.id, task.model, current.built.text, task.step.parameters))
    current.reply = reply
    return reply


def store(services: Services, current: Attempt, output: Output, output_field: str) -> Outcome:
    """Store `output` in the post's `output_field` and the run's record, together or not at all.

    Raises NotFound where the post has been deleted meanwhile.
    """
    assert current.reply is not None
    record = _record(current, status="succeeded", attempts=current.reply.attempt, reply=current.reply.text)
    record["output_json"] = json.dumps(output.value, ensure_ascii=False)
    with services.database.writing() as session:
        repository.require_post(session, current.task.post_id)
        repository.set_post_field(session, current.task.post_id, output_field, output.text)
        run_id = repository.add_run(session, record)
    _finished(services, run_id, record, current.task)
    return Outcome(run_id, output.value, output_field, current.built.fallback_reason, current.reply.attempt)


def count_unforeseen(services: Services, kind: str) -> None:
    """Count a run that an error ended which nobody foresaw. No record of it is written: what failed may be the database."""
    about = services.about or {}
    services.metrics.runs.labels(str(about.get("step", UNKNOWN_STEP)), "failed").inc()
    services.log.info("run.finished", run=None, status="failed", error=kind, **about)


def _templates(step: Step) -> dict[str, str | None]:
    return {
        "input_format": step.input_format.id if step.input_format else None,
        "output_format": step.output_format.id if step.output_format else None,
    }


def _record(current: Attempt, *, status: str, attempts: int, reply: str | None) -> dict[str, Any]:
    """The columns of a run's record."""
    return {
        "post_id": current.task.post_id,
        "step": current.task.step.id,
        "model": current.task.model,
        "status": status,
        "prompt": current.built.text,
        "reply": reply,
        "output_json": None,
        "error_code": None,
        "error_message": None,
        "fallback": current.built.fallback_reason,
        "attempts": attempts,
        "started_at": current.started_at,
        "seconds": time.perf_counter() - current.started,
    }


def _finished(services: Services, run_id: int, record: Mapping[str, Any], task: Task, **failure: str) -> None:
    step = task.step
    services.metrics.runs.labels(step.id, record["status"]).inc()
    services.log.info(
        "run.finished",
        release=task.release,
        run=run_id,
        post=task.post_id,
        step=step.id,
        model=record["model"],
        **_templates(step),
        status=record["status"],
        error=record["error_code"],
        fallback=record["fallback"],
        attempts=record["attempts"],
        seconds=round(record["seconds"], 6),
        **failure,
    )
