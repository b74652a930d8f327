"""Every query of the application, as functions over a session."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from app.errors import NotFound
from app.models import Base, FormatTemplateRow, Post, PostField, Run, Stage, StepRow, Substage
from app.workflow.definitions import FormatTemplate, InputField, Step

__all__ = [
    "add_run",
    "delete_post",
    "find_post",
    "find_run",
    "find_step",
    "list_steps",
    "post_values",
    "require_post",
    "set_post_field",
]

LARGEST_ID = 2**31 - 1  # of an integer column

_Source = aliased(FormatTemplateRow)
_Target = aliased(FormatTemplateRow)

_STEPS: Select[*tuple[str, ...]] = (
    select(  # type: ignore[assignment]  # more columns than the typed overloads know
        StepRow.id,
        StepRow.name,
        Stage.name,
        Substage.name,
        StepRow.position,
        StepRow.model,
        StepRow.system_prompt,
        StepRow.task_prompt,
        StepRow.inputs_json,
        StepRow.output_field,
        StepRow.parameters_json,
        *(
            column
            for template in (_Source, _Target)
            for column in (
                template.id,
                template.name,
                template.description,
                template.type,
                template.llm_instructions,
                template.schema_json,
            )
        ),
    )
    .join(Substage, StepRow.substage_id == Substage.id)
    .join(Stage, Substage.stage_id == Stage.id)
    .join(_Source, StepRow.input_format_id == _Source.id)
    .join(_Target, StepRow.output_format_id == _Target.id)
)

_STEP = _STEPS.where(StepRow.id == bindparam("step_id"))
_POST_ID = select(Post.id).where(Post.id == bindparam("post_id"))
# a post without fields gives one row of nothing
_POST_VALUES = (
    select(PostField.name, PostField.value)
    .select_from(Post)
    .outerjoin(PostField, PostField.post_id == Post.id)
    .where(Post.id == bindparam("post_id"))
)
_FIELDS, _RUNS = Base.metadata.tables["post_fields"], Base.metadata.tables["runs"]
_SET_FIELD = {
    dialect: statement.on_conflict_do_update(
        index_elements=[_FIELDS.c.post_id, _FIELDS.c.name], set_={"value": statement.excluded.value}
    )
    for dialect, statement in (("postgresql", postgresql.insert(_FIELDS)), ("sqlite", sqlite.insert(_FIELDS)))
}
_ADD_RUN = insert(_RUNS).returning(_RUNS.c.id)


def list_steps(session: Session) -> list[Step]:
    """All steps, in the order of the workflow."""
    return [_step(row) for row in session.execute(_STEPS.order_by(StepRow.position))]


def find_step(session: Session, step_id: str) -> Step:
    """One step. Raises NotFound."""
    row = session.execute(_STEP, {"step_id": step_id}).one_or_none()
    if row is None:
        raise NotFound("step", step_id)
    return _step(row)


def _step(row: Row[*tuple[str, ...]]) -> Step:
    return _step_from_columns(tuple(row))


@lru_cache(maxsize=256)
def _step_from_columns(columns: tuple[str, ...]) -> Step:
    """The same columns give the same object, so that what is prepared per step is prepared once."""
    id_, name, stage, substage, position, model, system_prompt, task_prompt = columns[:8]
    inputs, output_field, parameters = columns[8:11]
    return Step(
        id=id_,
        name=name,
        stage=stage,
        substage=substage,
        order=int(position),
        model=model,
        system_prompt=system_prompt,
        task_prompt=task_prompt,
        input_format=_template(columns[11:17]),
        output_format=_template(columns[17:23]),
        inputs=tuple(InputField(**item) for item in json.loads(inputs)),
        output_field=output_field,
        parameters=json.loads(parameters),
    )


def _template(columns: tuple[str, ...]) -> FormatTemplate:
    id_, name, description, type_, llm_instructions, schema = columns
    return FormatTemplate(id_, name, description, type_, llm_instructions, json.loads(schema))


def _possible(kind: str, key: int) -> int:
    """`key`, where a row can have it: drivers refuse larger numbers with errors of their own. Raises NotFound."""
    if key > LARGEST_ID:
        raise NotFound(kind, key)
    return key


def find_post(session: Session, post_id: int) -> Post:
    """One post with its fields. Raises NotFound."""
    post = session.get(Post, _possible("post", post_id))
    if post is None:
        raise NotFound("post", post_id)
    return post


def require_post(session: Session, post_id: int) -> None:
    """Raises NotFound where there is no such post."""
    if session.execute(_POST_ID, {"post_id": _possible("post", post_id)}).one_or_none() is None:
        raise NotFound("post", post_id)


def post_values(session: Session, post_id: int, names: Collection[str]) -> Mapping[str, str]:
    """Those of the fields `names` that the post has. Raises NotFound where there is no such post."""
    rows = session.execute(_POST_VALUES, {"post_id": _possible("post", post_id)}).all()
    if not rows:
        raise NotFound("post", post_id)
    return {name: value for name, value in rows if name in names}


def set_post_field(session: Session, post_id: int, name: str, value: str) -> None:
    """Write one field, whether the post has it or not; also when another transaction writes it at the same time."""
    session.execute(_SET_FIELD[session.get_bind().dialect.name], {"post_id": post_id, "name": name, "value": value})


def add_run(session: Session, run: Mapping[str, Any]) -> int:
    """Write a run's record, column by column; its id. Half the time that an object of the mapper would take."""
    return int(session.execute(_ADD_RUN, run).scalar_one())


def delete_post(session: Session, post_id: int) -> None:
    """Delete a post; its fields and runs go with it. Raises NotFound."""
    result = session.execute(delete(Post).where(Post.id == _possible("post", post_id)).returning(Post.id)).one_or_none()
    if result is None:
        raise NotFound("post", post_id)


def find_run(session: Session, run_id: int) -> Run:
    """One run record. Raises NotFound."""
    run = session.get(Run, _possible("run", run_id))
    if run is None:
        raise NotFound("run", run_id)
    return run
