"""The help desk over HTTP: tickets in memory, drafts by the model, everything but ``/health`` behind a token."""

from __future__ import annotations

import itertools
import json
import os
import platform
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, ValidationError

from helpdesk.model import Model, ModelProblem
from helpdesk.prompts import DRAFTS, MODEL, Draft, build_prompt

__all__ = ["Settings", "create_app", "from_environment"]

VERSION = "3.2.0"
PACKAGES = ("fastapi", "openai", "prometheus-client", "uvicorn")


@dataclass(frozen=True)
class Settings:
    """Where the model is, and who may ask. Times in seconds."""

    token: str
    model_url: str = "http://127.0.0.1:11434/v1"
    model_key: str = "none"
    model_timeout: float = 60.0
    model_retries: int = 1


class Problem(Exception):
    """Whatever a caller is told: a status, a word for programs, a sentence for people, and what else is known."""

    def __init__(self, status: int, kind: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.told = status, {"type": kind, "detail": detail, **more}


class Form(BaseModel):
    """The fields that a customer filled in."""

    form: dict[str, str]


class Ticket(Form):
    """What a customer wants. What is drafted for it is put into its form."""

    subject: str


@dataclass
class Desk:
    """Everything that the help desk keeps and counts."""

    settings: Settings
    model: Model
    tickets: dict[int, dict[str, Any]] = field(default_factory=dict)
    drafts: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Set up the metrics."""
        edges = (0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1, 1.0)
        self.seconds = Histogram(
            "helpdesk_prompt_seconds", "Building a prompt.", ["step"], buckets=edges, registry=self.registry
        )
        self.made = Counter("helpdesk_drafts", "Drafts that were tried.", ["step", "state"], registry=self.registry)
        self.crashes = Counter("helpdesk_crashes", "Errors that nobody foresaw.", registry=self.registry)

    def ticket(self, key: int) -> dict[str, Any]:
        """The ticket of this key."""
        if key not in self.tickets:
            raise Problem(404, "no-such-ticket", f"there is no ticket {key}")
        return self.tickets[key]

    def prompt(self, step: str, form: dict[str, Any]) -> list[dict[str, str]]:
        """The messages for a draft."""
        if step not in DRAFTS:
            raise Problem(404, "no-such-draft", f"there is no draft {step!r}; there are {', '.join(DRAFTS)}")
        draft = DRAFTS[step]
        missing = [name for name in list(draft.fields)[: draft.required] if not str(form.get(name, "")).strip()]
        if missing:
            raise Problem(422, "field-missing", f"the ticket has no {missing[0]}")
        with self.seconds.labels(step).time():
            return build_prompt(step, form)

    async def draft(self, key: int, step: str) -> dict[str, Any]:
        """Ask the model, and store what it says only where it is whole and of the right form."""
        ticket = self.ticket(key)
        messages = self.prompt(step, ticket["form"])
        made: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "ticket": key,
            "sent": messages,
            "state": "failed",
            "answer": None,
        }
        self.drafts[made["id"]] = made
        try:
            made["answer"], tries = await self.model.ask(MODEL, messages)
            value = _read(made["answer"], DRAFTS[step], tries)
        except ModelProblem as problem:
            made |= {"problem": problem.kind, "answer": problem.answer}
            status = 504 if problem.kind == "model-late" else 502
            known = {"stage": step, "engine": MODEL, "tries": problem.tries, "because": problem.because}
            raise Problem(
                status, problem.kind, "the model could not draft this", **known, draft=made["id"]
            ) from problem
        else:
            made["state"] = "done"
            ticket["form"][DRAFTS[step].stored_as] = value
            return {"id": made["id"], "value": value}
        finally:
            self.made.labels(step, made["state"]).inc()


def _read(answer: str, draft: Draft, tries: int) -> Any:
    if draft.form is None:
        return answer.strip()
    try:
        draft.form.model_validate_json(answer)
    except ValidationError as error:
        raise ModelProblem(
            "model-off-form", "its answer does not have the form that was asked for", tries, answer
        ) from error
    return json.loads(answer)


def create_app(settings: Settings) -> FastAPI:
    """The application, with a desk of its own."""
    desk = Desk(
        settings, Model.at(settings.model_url, settings.model_key, settings.model_timeout, settings.model_retries)
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.model.client.close()

    app = FastAPI(title="Help desk", version=VERSION, lifespan=lifespan, openapi_url=None)
    app.include_router(_routes(desk))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"state": "up"}

    @app.exception_handler(Problem)
    async def told(request: Request, problem: Problem) -> JSONResponse:
        return JSONResponse({"problem": problem.told}, problem.status)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        desk.crashes.inc()
        return JSONResponse({"problem": {"type": "crash", "detail": "the help desk has a fault"}}, 500)

    return app


def _routes(desk: Desk) -> APIRouter:
    async def authorized(authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), f"Bearer {desk.settings.token}".encode()):
            raise Problem(401, "not-authorized", "send Authorization: Bearer, and the token")

    routes = APIRouter(dependencies=[Depends(authorized)])

    @routes.post("/tickets", status_code=201)
    async def create(ticket: Ticket) -> dict[str, Any]:
        key = next(desk.numbers)
        desk.tickets[key] = {"key": key, "subject": ticket.subject, "form": dict(ticket.form)}
        return desk.tickets[key]

    @routes.get("/tickets")
    async def find(subject: str = "", beyond: int = 0) -> dict[str, Any]:
        found = [one for key, one in desk.tickets.items() if key > beyond and one["subject"].startswith(subject)]
        return {"page": {"tickets": found[:50]}}

    @routes.get("/tickets/{key}")
    async def read(key: int) -> dict[str, Any]:
        return desk.ticket(key)

    @routes.delete("/tickets/{key}", status_code=204)
    async def delete(key: int) -> None:
        desk.ticket(key)
        del desk.tickets[key]
        for one in [one for one, draft in desk.drafts.items() if draft["ticket"] == key]:
            del desk.drafts[one]

    @routes.post("/tickets/{key}/drafts/{step}/prompt")
    async def preview(key: int, step: str) -> dict[str, Any]:
        return {"draft": {"messages": desk.prompt(step, desk.ticket(key)["form"])}}

    @routes.post("/drafts/{step}/prompt")
    async def preview_form(step: str, given: Form) -> dict[str, Any]:
        return {"draft": {"messages": desk.prompt(step, given.form)}}

    @routes.post("/tickets/{key}/drafts/{step}")
    async def draft(key: int, step: str) -> dict[str, Any]:
        return {"draft": await desk.draft(key, step)}

    @routes.get("/drafts/{one}")
    async def record(one: str) -> dict[str, Any]:
        if one not in desk.drafts:
            raise Problem(404, "no-such-draft", f"there is no draft {one!r}")
        return {"draft": desk.drafts[one]}

    @routes.get("/version")
    async def about() -> dict[str, Any]:
        packages = {name: version(name) for name in PACKAGES}
        return {"service": {"release": VERSION, "runtime": platform.python_version(), "packages": packages}}

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(desk.registry), media_type="text/plain; version=0.0.4")

    return routes


def from_environment() -> FastAPI:
    """The application as operators start it: ``uvicorn --factory helpdesk.service:from_environment``."""
    return create_app(
        Settings(
            os.environ["HELPDESK_TOKEN"],
            os.environ.get("HELPDESK_MODEL_URL", Settings.model_url),
            os.environ.get("HELPDESK_MODEL_KEY", Settings.model_key),
            float(os.environ.get("HELPDESK_MODEL_TIMEOUT", Settings.model_timeout)),
            int(os.environ.get("HELPDESK_MODEL_RETRIES", Settings.model_retries)),
        )
    )
