"""Every query of the application, as functions over a session."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, Row, Select, bindparam, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Base, Run, utc_now
from app.workflow.definitions import FormatTemplate, InputField, Step

__all__ = [
    "StoredPost",
    "add_post",
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


class StoredPost(NamedTuple):
    """A post with its fields, by name."""

    id: int
    title: str
    created_at: datetime
    fields: Mapping[str, str]


LARGEST_ID = 2**31 - 1  # of an integer column

# Over tables, not mapped classes: a third of the time, as no objects have to be made
_STEP_TABLE, _SUBSTAGES, _STAGES = (Base.metadata.tables[name] for name in ("steps", "substages", "stages"))
_POSTS, _FIELDS, _RUNS = (Base.metadata.tables[name] for name in ("posts", "post_fields", "runs"))
_SOURCES, _TARGETS = (Base.metadata.tables["format_templates"].alias(name) for name in ("sources", "targets"))

_STEPS: Select[*tuple[str, ...]] = (
    select(
        *(_STEP_TABLE.c[name] for name in ("id", "name")),
        _STAGES.c.name,
        _SUBSTAGES.c.name,
        *(_STEP_TABLE.c[name] for name in ("position", "model", "system_prompt", "task_prompt")),
        *(_STEP_TABLE.c[name] for name in ("inputs_json", "output_field", "parameters_json")),
        *(
            template.c[name]
            for template in (_SOURCES, _TARGETS)
            for name in ("id", "name", "description", "type", "llm_instructions", "schema_json")
        ),
    )
    .join_from(_STEP_TABLE, _SUBSTAGES)
    .join(_STAGES)
    .join(_SOURCES, _STEP_TABLE.c.input_format_id == _SOURCES.c.id)
    .join(_TARGETS, _STEP_TABLE.c.output_format_id == _TARGETS.c.id)
)

_STEP = _STEPS.where(_STEP_TABLE.c.id == bindparam("step_id"))
_POST_ID = select(_POSTS.c.id).where(_POSTS.c.id == bindparam("post_id"))
# a post without fields gives one row of nothing
_POST = (
    select(_POSTS.c.title, _POSTS.c.created_at, _FIELDS.c.name, _FIELDS.c.value)
    .select_from(_POSTS)
    .outerjoin(_FIELDS, _FIELDS.c.post_id == _POSTS.c.id)
    .where(_POSTS.c.id == bindparam("post_id"))
    .order_by(_FIELDS.c.name)
)
_POST_VALUES = _POST.with_only_columns(_FIELDS.c.name, _FIELDS.c.value).order_by(None)
# what a title begins with is compared letter by letter: LIKE takes % and _ for more, and its case depends on the database
_LISTED = (
    select(_POSTS.c.id, _POSTS.c.title, _POSTS.c.created_at)
    .where(func.substr(_POSTS.c.title, 1, bindparam("length", type_=Integer)) == bindparam("beginning"))
    .where(_POSTS.c.id > bindparam("after"))
    .order_by(_POSTS.c.id)
    .limit(bindparam("limit"))
)
_ADD_POST = insert(_POSTS).returning(_POSTS.c.id)
_ADD_FIELDS = insert(_FIELDS)
_DELETE_POST = delete(_POSTS).where(_POSTS.c.id == bindparam("post_id")).returning(_POSTS.c.id)
_SET_FIELD = {
    dialect: statement.on_conflict_do_update(
        index_elements=[_FIELDS.c.post_id, _FIELDS.c.name], set_={"value": statement.excluded.value}
    )
    for dialect, statement in (("postgresql", postgresql.insert(_FIELDS)), ("sqlite", sqlite.insert(_FIELDS)))
}
_ADD_RUN = insert(_RUNS).returning(_RUNS.c.id)


def list_steps(session: Session) -> list[Step]:
    """All steps, in the order of the workflow."""
    return [_step(row) for row in session.execute(_STEPS.order_by(_STEP_TABLE.c.position))]


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


def add_post(session: Session, title: str, fields: Mapping[str, str]) -> StoredPost:
    """Write a new post."""
    created_at = utc_now()
    post_id = int(session.execute(_ADD_POST, {"title": title, "created_at": created_at}).scalar_one())
    ordered = dict(sorted(fields.items()))
    if ordered:
        session.execute(
            _ADD_FIELDS, [{"post_id": post_id, "name": name, "value": value} for name, value in ordered.items()]
        )
    return StoredPost(post_id, title, created_at, ordered)


def find_post(session: Session, post_id: int) -> StoredPost:
    """One post with its fields. Raises NotFound."""
    rows = session.execute(_POST, {"post_id": _possible("post", post_id)}).all()
    if not rows:
        raise NotFound("post", post_id)
    title, created_at = rows[0][:2]
    return StoredPost(post_id, title, created_at, {name: value for _, _, name, value in rows if name is not None})


def list_posts(session: Session, beginning: str, *, after: int, limit: int) -> list[StoredPost]:
    """Posts whose title begins like this and whose id is larger than `after`, by id, without their fields."""
    values = {"beginning": beginning, "length": len(beginning), "after": min(after, LARGEST_ID), "limit": limit}
    return [StoredPost(row.id, row.title, row.created_at, {}) for row in session.execute(_LISTED, values)]


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
    if session.execute(_DELETE_POST, {"post_id": _possible("post", post_id)}).one_or_none() is None:
        raise NotFound("post", post_id)


def find_run(session: Session, run_id: int) -> Run:
    """One run record. Raises NotFound."""
    run = session.get(Run, _possible("run", run_id))
    if run is None:
        raise NotFound("run", run_id)
    return run
