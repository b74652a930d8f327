"""The HTTP interface. Bodies are JSON; what they hold is checked here, and only here."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import time
from functools import cache
from typing import Any, cast
from uuid import uuid4

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from app import repository
from app.errors import AppError, DatabaseAway, InvalidRequest
from app.failures import Failure
from app.lines import named_method
from app.metrics import CONTENT_TYPE
from app.repository import StoredPost
from app.services import Services
from app.workflow.definitions import Step
from app.workflow.loader import FIELD_NAME
from app.workflow.runs import BuiltPrompt, Task, build, count_unforeseen, task_of_inputs
from app.workflow.scripts import llm_processor

__all__ = ["EXTENSION", "MAX_BODY", "blueprint", "register_error_handlers"]

EXTENSION = "blog"  # the key of the Services in Flask's extensions
MAX_BODY = 8 * 1024 * 1024  # bytes
MAX_TITLE = 300  # characters
MAX_FIELDS = 500
MAX_LISTED = 100
DEPENDENCIES = ("flask", "gunicorn", "prometheus-client", "psycopg", "requests", "sqlalchemy", "structlog")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

blueprint = Blueprint("blog", __name__)
RUN = f"{blueprint.name}.run"  # the endpoint
Answer = tuple[Response, int]


@blueprint.before_app_request
def name_the_request() -> None:
    """Take the caller's request id where it is one, else a new one; note when it began."""
    given = request.headers.get("X-Request-ID", "")
    g.started = time.perf_counter()
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex


@blueprint.after_app_request
def return_request_id_and_release(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Release"] = llm_processor.RELEASE
    return response


@blueprint.after_app_request
def tell_of_the_request(response: Response) -> Response:
    services = _services()
    services.metrics.look_at_memory()
    services.log.info(
        "request.finished",
        method=named_method(request.method),
        route=_route(),
        status=response.status_code,
        seconds=round(time.perf_counter() - g.started, 6),
        **(services.about or {}),
    )
    return response


@blueprint.get("/api/steps")
def list_steps() -> Answer:
    with _services().database.reading() as session:
        steps = repository.list_steps(session)
    return jsonify(steps=[_step_json(step) for step in steps]), 200


@blueprint.post("/api/posts")
def create_post() -> Answer:
    title, fields = _post_body()
    with _services().database.writing() as session:
        post = repository.add_post(session, title, fields)
    return jsonify(_post_json(post)), 201


@blueprint.get("/api/posts")
def list_posts() -> Answer:
    beginning, after = request.args.get("title", ""), request.args.get("after", "0")
    if not after.isascii() or not after.isdigit():
        raise InvalidRequest("after", "after is the id of a post")
    with _services().database.reading() as session:
        posts = repository.list_posts(session, _storable("title", beginning), after=int(after), limit=MAX_LISTED)
    return jsonify(posts=[_listed_json(post) for post in posts]), 200


@blueprint.get("/api/posts/<int:post_id>")
def read_post(post_id: int) -> Answer:
    with _services().database.reading() as session:
        return jsonify(_post_json(repository.find_post(session, post_id))), 200


@blueprint.delete("/api/posts/<int:post_id>")
def delete_post(post_id: int) -> tuple[str, int]:
    with _services().database.writing() as session:
        repository.delete_post(session, post_id)
    return "", 204


@blueprint.post("/api/posts/<int:post_id>/steps/<step_id>/preview")
def preview(post_id: int, step_id: str) -> Answer:
    _no_body()
    return _preview_json(*llm_processor.preview_step(_services(), post_id, step_id)), 200


@blueprint.post("/api/steps/<step_id>/preview")
def preview_fields(step_id: str) -> Answer:
    body = _json_object()
    for key in body:
        if key != "fields":
            raise InvalidRequest(_printable(key), "unknown; a preview has fields")
    task = task_of_inputs(_services(), step_id, _fields(body), llm_processor.RELEASE)
    return _preview_json(task, build(_services(), task, llm_processor.build_prompt)), 200


def _preview_json(task: Task, built: BuiltPrompt) -> Response:
    body: dict[str, object] = {
        "prompt": built.text,
        "sections": {},
        "warnings": [],
        "metadata": {"length": len(built.text)},
        "fallback": _fallback_json(built.fallback_reason),
        "model": task.model,
    }
    if built.constructed is not None:
        metadata = built.constructed.metadata
        body |= {
            "sections": built.constructed.sections,
            "warnings": list(built.constructed.warnings),
            "metadata": {
                "input_format": metadata.input_format,
                "output_format": metadata.output_format,
                "field_mapping": metadata.field_mapping,
                "length": metadata.length,
            },
        }
    return _ordered_json(body)


@blueprint.post("/api/posts/<int:post_id>/steps/<step_id>/run")
def run(post_id: int, step_id: str) -> Answer:
    _no_body()
    outcome = llm_processor.run_step(_services(), post_id, step_id)
    body = {
        "run_id": outcome.run_id,
        "status": "succeeded",
        "output": outcome.output,
        "output_field": outcome.output_field,
        "fallback": _fallback_json(outcome.fallback_reason),
        "attempts": outcome.attempts,
    }
    return _ordered_json(body), 200


@blueprint.get("/api/runs/<int:run_id>")
def read_run(run_id: int) -> Answer:
    with _services().database.reading() as session:
        record = repository.find_run(session, run_id)
    body = {
        "id": record.id,
        "post_id": record.post_id,
        "step": record.step,
        "model": record.model,
        "status": record.status,
        "prompt": record.prompt,
        "reply": record.reply,
        "output": None if record.output_json is None else json.loads(record.output_json),
        "error": None if record.error_code is None else {"code": record.error_code, "message": record.error_message},
        "fallback": _fallback_json(record.fallback),
        "attempts": record.attempts,
        "started_at": record.started_at.isoformat(),
        "seconds": record.seconds,
    }
    return _ordered_json(body), 200


@blueprint.get("/healthz")
def healthz() -> Answer:
    return jsonify(status="ok"), 200


@blueprint.get("/readyz")
def readyz() -> Answer:
    try:
        _services().database.check()
    except (SQLAlchemyError, DatabaseAway) as error:
        failure = Failure.of(DatabaseAway.code, error)
        _services().log.warning("database.unavailable", error=type(error).__name__, route=_route(), failure=failure)
        return _error("database-unavailable", "the database cannot be reached, or init-db has not been run"), 503
    return jsonify(status="ready"), 200


@blueprint.get("/version")
def version() -> Answer:
    return jsonify(version=llm_processor.RELEASE, python=platform.python_version(), dependencies=_dependencies()), 200


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(_services().metrics.render(request.args.getlist("name[]")), content_type=CONTENT_TYPE)


def register_error_handlers(app: Flask) -> None:
    """Make every error of `app` a JSON object with a code and a message."""

    @app.errorhandler(AppError)
    def foreseen(error: AppError) -> Answer:
        return jsonify(error=error.details()), error.status

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        code = (error.name or "error").lower().replace(" ", "-")
        response = _error(code, (error.description or error.name).replace("\n", " "))
        response.status_code = error.code or 500
        for name, value in error.get_headers():
            if name not in {"Content-Type", "Content-Length"}:
                response.headers[name] = value  # as Allow for 405
        return response

    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    def database_away(error: SQLAlchemyError) -> Answer:
        _unforeseen("database.unavailable", DatabaseAway.code, error)
        return _error("database-unavailable", "the database cannot be reached, or init-db has not been run"), 503

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Answer:
        _unforeseen("request.failed", AppError.code, error)
        return _error("internal-error", "something went wrong; the log has the details under this request's id"), 500


def _unforeseen(event: str, kind: str, error: Exception) -> None:
    """Count and log an error that nobody foresaw; where it ended a run, the run has failed."""
    services, failure = _services(), Failure.of(kind, error)
    services.metrics.count_error(failure)
    services.log.error(event, error=type(error).__name__, route=_route(), failure=failure, **(services.about or {}))
    if request.endpoint == RUN:
        count_unforeseen(services, kind)


def _route() -> str | None:
    """The rule of the request's path; the path itself may hold anybody's text."""
    return request.url_rule.rule if request.url_rule is not None else None


def _services() -> Services:
    if "services" not in g:
        services = cast(Services, current_app.extensions[EXTENSION])
        g.services = services.bound(request_id=g.request_id)
    return cast(Services, g.services)


def _error(code: str, message: str) -> Response:
    return jsonify(error={"code": code, "message": message})


def _ordered_json(body: dict[str, object]) -> Response:
    # as jsonify, but keys stay where they are: sections, field mappings and the model's own objects have an order
    return Response(json.dumps(body, ensure_ascii=False) + "\n", mimetype="application/json")


def _fallback_json(reason: str | None) -> dict[str, str] | None:
    return None if reason is None else {"reason": reason}


def _step_json(step: Step) -> dict[str, object]:
    return {
        "id": step.id,
        "name": step.name,
        "stage": step.stage,
        "substage": step.substage,
        "order": step.order,
        "model": step.model,
        "parameters": dict(step.parameters),
        "inputs": [{"field": item.field, "name": item.name, "required": item.required} for item in step.inputs],
        "input_format": step.input_format.id if step.input_format else None,
        "output_format": step.output_format.id if step.output_format else None,
        "output_field": step.output_field,
    }


def _post_json(post: StoredPost) -> dict[str, object]:
    return {
        "id": post.id,
        "title": post.title,
        "fields": dict(post.fields),
        "created_at": post.created_at.isoformat(),
    }


def _listed_json(post: StoredPost) -> dict[str, object]:
    return {"id": post.id, "title": post.title, "created_at": post.created_at.isoformat()}


@cache
def _dependencies() -> dict[str, str | None]:
    """The versions that this process runs with; None for one that is not installed."""
    return {name: _installed(name) for name in DEPENDENCIES}


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _post_body() -> tuple[str, dict[str, str]]:
    """Title and fields of a new post. Raises InvalidRequest."""
    body = _json_object()
    for key in body:
        if key not in {"title", "fields"}:
            raise InvalidRequest(_printable(key), "unknown; a post has a title and fields")
    title = _storable("title", body.get("title"))
    if not title.strip() or len(title) > MAX_TITLE:
        raise InvalidRequest("title", f"a title has 1 to {MAX_TITLE} characters")
    return title, _fields(body)


def _json_object() -> dict[str, Any]:
    body = _json_body()
    if not isinstance(body, dict):
        raise InvalidRequest("body", "the body is not a JSON object")
    return body


def _fields(body: dict[str, Any]) -> dict[str, str]:
    fields = body.get("fields", {})
    if not isinstance(fields, dict):
        raise InvalidRequest("fields", "fields is not an object of names and texts")
    if len(fields) > MAX_FIELDS:
        raise InvalidRequest("fields", f"a post has at most {MAX_FIELDS} fields")
    for name, value in fields.items():
        path = f"fields.{_printable(name)}"
        if not FIELD_NAME.fullmatch(name):
            raise InvalidRequest(path, "the name of a field is in snake_case and has at most 64 characters")
        _storable(path, value)
    return fields


def _json_body() -> Any:
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("body", "the body is not JSON in UTF-8") from error


def _no_body() -> None:
    """A step is previewed and run with what the post holds: an empty body, or an empty object."""
    if request.get_data() and _json_body() != {}:
        raise InvalidRequest("body", "this takes no body; a step reads the fields of its post")


def _storable(path: str, value: object) -> str:
    """`value`, if it is a text that every database can store. Raises InvalidRequest."""
    if not isinstance(value, str):
        raise InvalidRequest(path, "missing" if value is None else "not a text")
    if "\0" in value:
        raise InvalidRequest(path, "holds a NUL character, which cannot be stored")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        cause = f"holds a lone surrogate at character {error.start}, which cannot be stored"
        raise InvalidRequest(path, cause) from error
    return value


def _printable(name: str) -> str:
    return ascii(name)[1:-1][:80]
