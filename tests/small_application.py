"""A small blog as a WSGI callable that asks its model with requests, and the adapter that reaches it.

The adapter is `<this file>:open_release`. What a release does differently comes from its options: ``ending`` (text at
the end of each prompt), ``sends`` (more of it, which no preview shows), ``model`` (in place of the step's), ``silent``,
``raises`` (steps that send nothing, or raise), ``fallback`` (the reason that its preview gives for one).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import requests

from gonogo.contract import Call, Contract
from gonogo.model import Ability, Step
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.http import HttpApplication, WsgiTransport

CONTRACT = Contract(
    {
        "create": Call("POST", "/api/posts", {"title": "{title}", "fields": "{inputs}"}),
        "read": Call("GET", "/api/posts/{post}"),
        "delete": Call("DELETE", "/api/posts/{post}"),
        "preview": Call("POST", "/api/posts/{post}/steps/{step}/preview"),
        "run": Call("POST", "/api/posts/{post}/steps/{step}/run"),
    }
)


def open_release(context: WorkerContext) -> HttpApplication:
    """The blog over WSGI."""
    application = HttpApplication(WsgiTransport(SmallBlog(context)), CONTRACT)
    application.abilities = frozenset({Ability.PROMPT, Ability.REPLY, Ability.WORKER})
    return application


class SmallBlog:
    """Posts in memory."""

    def __init__(self, context: WorkerContext) -> None:
        self.steps = {step.id: step for step in context.steps}
        self.options: dict[str, Any] = dict(context.options)
        self.posts: dict[int, dict[str, str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read() or b"{}"
        status, answer = self.answer(
            environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/").split("/"), json.loads(body)
        )
        start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", "application/json")])
        return [b"" if status == HTTPStatus.NO_CONTENT else json.dumps(answer).encode()]

    def answer(self, method: str, path: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match [method, *path]:
            case ["POST", "api", "posts"]:
                number = max(self.posts, default=0) + 1
                self.posts[number] = dict(body["fields"])
                return 201, {"id": number}
            case ["GET", "api", "posts", post]:
                return 200, {"fields": self.posts[int(post)]}
            case ["DELETE", "api", "posts", post]:
                return 204, self.posts.pop(int(post))
            case ["POST", "api", "posts", post, "steps", step, "preview"]:
                return 200, {"prompt": self.prompt(self.steps[step], self.posts[int(post)]), "fallback": self.fallback}
            case ["POST", "api", "posts", post, "steps", step, "run"]:
                return self.run(self.steps[step], self.posts[int(post)])
            case _:
                return 404, {"error": {"code": "not-found", "message": "/".join(path)}}

    @property
    def fallback(self) -> dict[str, str] | None:
        return {"reason": self.options["fallback"]} if "fallback" in self.options else None

    def prompt(self, step: Step, fields: dict[str, str]) -> str:
        entries = [f"{one.name}: {fields[one.field]}" for one in step.inputs if fields.get(one.field, "").strip()]
        context = "\n\n".join(part.strip() for part in (step.system_prompt, step.input_format.llm_instructions))
        response = step.output_format.llm_instructions.strip() + str(self.options.get("ending", ""))
        task = step.task_prompt.strip()
        return "\n\n".join([f"CONTEXT:\n{context}", f"TASK:\n{task}", *entries, f"RESPONSE:\n{response}\n"])

    def run(self, step: Step, fields: dict[str, str]) -> tuple[int, Any]:
        """Ask the model and store what it answers in the step's output field; 502 where it answers nothing."""
        if step.id in self.options.get("raises", ()):
            raise LookupError(f"no prompt for {step.id}")
        if step.id in self.options.get("silent", ()):
            return 502, {"error": {"code": "asleep", "message": "the model is asleep"}}
        prompt = self.prompt(step, fields) + str(self.options.get("sends", ""))
        asked = {"model": self.options.get("model", step.model), "prompt": prompt, "stream": False}
        answered = requests.post(
            "http://127.0.0.1:11434/api/generate", json=asked | {"options": step.parameters}, timeout=5
        )
        if not answered.ok or not answered.json()["response"]:
            return 502, {"error": {"code": "llm", "message": answered.text}}
        fields[step.output_field] = answered.json()["response"]
        return 200, {"output": fields[step.output_field], "fallback": None}
