"""How gonogo reaches the bundled application. Runs inside a release worker, where ``app`` is the release's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from gonogo.model import Ability, Case, FormatTemplate, Json, Step
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.http import HttpApplication, WsgiTransport

UNMAPPED = "gonogo_unmapped"  # a field of each post that no step reads


def open_release(context: WorkerContext) -> BlogApplication:
    """The application over a database of its own, filled with the steps under judgement."""
    return BlogApplication(context)


class BlogApplication(HttpApplication):
    """The application over WSGI, with a look at its tables, its log and its constructor."""

    abilities = frozenset(
        {Ability.PROMPT, Ability.REPLY, Ability.FAULT, Ability.WORKER, Ability.DEFINITIONS, Ability.APPLICATION}
    )
    seam = "app.workflow.scripts.llm_processor:construct_prompt"
    model_url = "http://127.0.0.1:11434"

    def __init__(self, context: WorkerContext) -> None:
        # imported here and nowhere earlier: by now the release's folder stands first on the path
        from app.factory import create_app
        from app.views import EXTENSION

        self._fallbacks: list[str] = []
        self._scratch = context.scratch
        self._errors: list[str] = []
        self._app = create_app(
            {
                "DATABASE_URL": str(context.options.get("database", f"sqlite:///{context.scratch / 'blog.sqlite3'}")),
                "LLM_BASE_URL": self.model_url,
                "LLM_BACKOFF": 0.0,
                "LOG_SINK": self._keep,
            }
        )
        self._services = self._app.extensions[EXTENSION]
        self._services.database.create_tables()
        super().__init__(WsgiTransport(self._app), context.contract)
        self._steps: dict[str, Step] = {}
        self._younger: dict[int, int] = {}  # post -> the post of somebody else that was made right after it
        self.define(context.steps)
        self._add_bystander(context.steps)
        self._startup_errors = list(self._errors)

    def _keep(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "prompt.fallback":
            self._fallbacks.append("; ".join(event.get("problems", ())))
        elif event.get("level") in ("error", "critical"):
            self._errors.append(f"{event.get('event')}: {event.get('exception', '')}"[:300])

    def define(self, steps: Sequence[Step]) -> None:
        """Write steps and their templates into the database, as ``flask init-db`` does."""
        from app.seed import write_definitions

        self._steps.update({step.id: step for step in steps})
        with self._services.database.writing() as session:
            templates = [_template(one) for step in steps for one in (step.input_format, step.output_format)]
            write_definitions(session, templates, [_step(step) for step in steps])

    def create_post(self, case: Case) -> Json:
        """A post with the inputs of a case and a field that is nobody's input, between two posts of somebody else's.

        A release that reads from, or writes to, the first or the last post there is shall not be right by chance.
        """
        post = super().create_post(replace(case, inputs={**case.inputs, UNMAPPED: "text that no step asks for"}))
        self._younger[int(str(post))] = self._add_bystander([self._steps[case.step]])
        return post

    def delete_post(self, post: Json) -> None:
        """Remove a post, and the one that was made after it."""
        from app import repository

        super().delete_post(post)
        with self._services.database.writing() as session:
            repository.delete_post(session, self._younger.pop(int(str(post))))

    def _add_bystander(self, steps: Iterable[Step]) -> int:
        from app import repository

        names = [name for step in steps for name in (*(one.field for one in step.inputs), step.output_field)]
        fields = {name: f"somebody else's {name}" for name in names}
        with self._services.database.writing() as session:
            return int(repository.add_post(session, "somebody else's", fields).id)

    def state(self, post: Json) -> dict[str, str]:
        """Every row of every table but the run records, the fields of the post by name, and those of other posts."""
        from app.models import Base

        state = super().state(post)
        with self._services.database.reading() as session:
            for table in Base.metadata.sorted_tables:
                if table.name != "runs":
                    keys = ", ".join(column.name for column in table.primary_key.columns)
                    rows = session.connection().exec_driver_sql(f"SELECT * FROM {table.name} ORDER BY {keys}").all()
                    if table.name == "post_fields":  # those of this post stand there by name
                        owner = table.columns.keys().index("post_id")
                        state["fields of other posts"] = _digest_of_rows(row for row in rows if row[owner] != post)
                    else:
                        state[f"table {table.name}"] = _digest_of_rows(rows)
        return state

    def runs_recorded(self) -> int:
        """Rows of the table of runs."""
        from sqlalchemy import func, select

        from app.models import Run

        with self._services.database.reading() as session:
            return int(session.scalar(select(func.count()).select_from(Run)) or 0)

    def fallbacks_logged(self) -> Sequence[str]:
        """The problems that each log event of a fallback named."""
        return tuple(self._fallbacks)

    def constructor(self, case: Case) -> Callable[[], object]:
        """The constructor as the processor calls it, with the step as it is loaded from the database."""
        from app import repository
        from app.workflow.scripts.prompt_constructor import construct_prompt

        with self._services.database.reading() as session:
            step = repository.find_step(session, case.step)
        inputs = dict(case.inputs)
        return lambda: construct_prompt(step, inputs)

    def describe(self) -> Mapping[str, Json]:
        """What suites ask for by name: versions, endpoints, steps, health."""
        import sys

        told = self.ask("version")
        endpoints = sorted(
            f"{method} {rule.rule}"
            for rule in self._app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        )
        return {
            "answers": {
                path: self.transport("GET", path).status for path in ("/healthz", "/readyz", "/version", "/metrics")
            },
            "startup_errors": list(self._startup_errors),
            "deployed": self._deployed,
            "endpoints": list(endpoints),
            "metrics": self._metrics(),
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "steps": self.transport("GET", "/api/steps").json()["steps"],
            "dependencies": told["dependencies"],
            "version_told": told["version"],
        }

    @cached_property
    def _deployed(self) -> Json:
        """How the release comes up on the way that operators take: its entry point, ``init-db`` over its own files, twice.

        None where the release brings no files of its own, as the overlay of a previous one.
        """
        from importlib import import_module
        from unittest import mock

        from app.settings import Settings

        if not Settings().workflows.is_dir():
            return None
        with mock.patch.dict("os.environ", {"BLOG_DATABASE_URL": f"sqlite:///{self._scratch / 'deployed.sqlite3'}"}):
            deployed = import_module("app.wsgi").application
        init_db, transport = deployed.cli.commands["init-db"].callback, WsgiTransport(deployed)
        init_db(None, None)
        post = json.loads(transport("POST", "/api/posts", {"title": "gonogo", "fields": {"kept": "text"}}).body)
        init_db(None, None)
        kept = transport("GET", f"/api/posts/{post['id']}")
        return {
            "answers": {path: transport("GET", path).status for path in ("/healthz", "/readyz", "/version")},
            "keeps_posts": kept.status == 200 and json.loads(kept.body)["fields"] == {"kept": "text"},
            "same_steps": transport("GET", "/api/steps").body == self.transport("GET", "/api/steps").body,
        }

    def _metrics(self) -> list[Json]:
        """Name and labels of every metric that the application declares, whether or not it has counted yet."""
        text = self.transport("GET", "/metrics").body.decode()
        return [line.removeprefix("# TYPE ") for line in sorted(text.splitlines()) if line.startswith("# TYPE ")]

    def close(self) -> None:
        """Close the database."""
        self._services.database.close()


def _digest_of_rows(rows: Iterable[Iterable[object]]) -> str:
    """Of every value whole, its type and its length; of plain rows ``repr`` would take ten times as long."""
    found = hashlib.sha256()
    for row in rows:
        for value in row:
            content = str(value).encode()
            found.update(f"{type(value).__name__} {len(content)} ".encode())
            found.update(content)
        found.update(b"row")
    return found.hexdigest()[:16]


def _template(template: FormatTemplate) -> Any:
    from app.workflow import definitions

    return definitions.FormatTemplate(
        id=template.id,
        name=template.name,
        description=template.description,
        type=template.kind,
        llm_instructions=template.llm_instructions,
        schema=dict(template.schema),
    )


def _step(step: Step) -> Any:
    from app.workflow import definitions

    return definitions.Step(
        id=step.id,
        name=step.name,
        stage=step.stage,
        substage=step.substage,
        order=step.order,
        model=step.model,
        parameters=dict(step.parameters),
        system_prompt=step.system_prompt,
        task_prompt=step.task_prompt,
        input_format=_template(step.input_format),
        output_format=_template(step.output_format),
        inputs=tuple(definitions.InputField(one.field, one.name, one.required) for one in step.inputs),
        output_field=step.output_field,
    )
