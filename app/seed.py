"""``flask init-db``: creates the tables and fills them from the workflow and post files. May be run at any time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.database import Database
from app.models import FormatTemplateRow, Post, PostField, Stage, StepRow, Substage
from app.settings import Settings
from app.workflow.definitions import FormatTemplate, Step
from app.workflow.loader import SeedPost, Workflow, load_posts, load_workflow

__all__ = ["Seeded", "init_db", "write_definitions"]


@dataclass(frozen=True, slots=True)
class Seeded:
    """What a database holds after `init_db`, and how many posts that added."""

    steps: int
    templates: int
    posts_added: int


def init_db(database: Database, settings: Settings) -> Seeded:
    """Create the tables; make the definitions those of the files; add the seed posts whose title is not there yet.

    Posts, their fields and run records stay. Raises DefinitionError before anything is written.
    """
    workflow = load_workflow(settings.workflows)
    posts = load_posts(settings.posts)
    database.create_tables()
    with database.writing() as session:
        write_definitions(session, workflow.templates, workflow.steps)
        _remove_others(session, workflow)
        added = _add_posts(session, posts)
    return Seeded(len(workflow.steps), len(workflow.templates), added)


def write_definitions(session: Session, templates: Iterable[FormatTemplate], steps: Iterable[Step]) -> None:
    """Make these templates and steps those of the database; others stay as they are."""
    for template in templates:
        session.merge(_template_row(template))
    session.flush()
    for step in steps:
        session.merge(_step_row(step, _substage(session, step)))
    session.flush()


def _remove_others(session: Session, workflow: Workflow) -> None:
    # what has left the files leaves the database; the other way round than it was written, for the foreign keys
    steps = [step.id for step in workflow.steps]
    templates = [template.id for template in workflow.templates]
    session.execute(delete(StepRow).where(StepRow.id.not_in(steps)))
    session.execute(delete(FormatTemplateRow).where(FormatTemplateRow.id.not_in(templates)))
    session.execute(delete(Substage).where(Substage.id.not_in(select(StepRow.substage_id))))
    session.execute(delete(Stage).where(Stage.id.not_in(select(Substage.stage_id))))


def _substage(session: Session, step: Step) -> int:
    stage = session.scalars(select(Stage).where(Stage.name == step.stage)).one_or_none()
    if stage is None:
        stage = Stage(name=step.stage)
        session.add(stage)
        session.flush()
    substage = session.scalars(
        select(Substage).where(Substage.stage_id == stage.id, Substage.name == step.substage)
    ).one_or_none()
    if substage is None:
        substage = Substage(stage_id=stage.id, name=step.substage)
        session.add(substage)
        session.flush()
    return substage.id


def _template_row(template: FormatTemplate) -> FormatTemplateRow:
    return FormatTemplateRow(
        id=template.id,
        name=template.name,
        description=template.description,
        type=template.type,
        schema_json=_json(template.schema),
        llm_instructions=template.llm_instructions,
    )


def _step_row(step: Step, substage_id: int) -> StepRow:
    assert step.input_format is not None  # the loader resolved both
    assert step.output_format is not None
    return StepRow(
        id=step.id,
        name=step.name,
        substage_id=substage_id,
        position=step.order,
        model=step.model,
        parameters_json=_json(step.parameters),
        system_prompt=step.system_prompt,
        task_prompt=step.task_prompt,
        input_format_id=step.input_format.id,
        output_format_id=step.output_format.id,
        inputs_json=_json([asdict(item) for item in step.inputs]),
        output_field=step.output_field,
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _add_posts(session: Session, posts: tuple[SeedPost, ...]) -> int:
    there = set(session.scalars(select(Post.title)))
    new = [post for post in posts if post.title not in there]
    for post in new:
        fields = [PostField(name=name, value=text) for name, text in post.fields.items()]
        session.add(Post(title=post.title, fields=fields))
    return len(new)
