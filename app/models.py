"""The tables. Texts that hold JSON are named ``…_json``: their bytes are the key of the cache of loaded steps."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

__all__ = ["Base", "FormatTemplateRow", "Post", "PostField", "Run", "Stage", "StepRow", "Substage", "utc_now"]


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, with its zone also from databases that store none (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The schema."""


class Stage(Base):
    __tablename__ = "stages"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)


class Substage(Base):
    __tablename__ = "substages"
    __table_args__ = (UniqueConstraint("stage_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    name: Mapped[str] = mapped_column(String(200))


class FormatTemplateRow(Base):
    __tablename__ = "format_templates"

    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(String(10))
    schema_json: Mapped[str] = mapped_column(Text)
    llm_instructions: Mapped[str] = mapped_column(Text)


class StepRow(Base):
    __tablename__ = "steps"

    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    substage_id: Mapped[int] = mapped_column(ForeignKey("substages.id"))
    position: Mapped[int]  # unique as loaded; no constraint, as steps that swap places are updated one by one
    model: Mapped[str] = mapped_column(String(200))
    parameters_json: Mapped[str] = mapped_column(Text)
    system_prompt: Mapped[str] = mapped_column(Text)
    task_prompt: Mapped[str] = mapped_column(Text)
    input_format_id: Mapped[str] = mapped_column(ForeignKey("format_templates.id"))
    output_format_id: Mapped[str] = mapped_column(ForeignKey("format_templates.id"))
    inputs_json: Mapped[str] = mapped_column(Text)
    output_field: Mapped[str] = mapped_column(String(64))


class Post(Base):
    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    fields: Mapped[list[PostField]] = relationship(
        order_by="PostField.name", cascade="all, delete-orphan", passive_deletes=True
    )


class PostField(Base):
    __tablename__ = "post_fields"

    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Run(Base):
    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"), index=True)
    step: Mapped[str] = mapped_column(String(100))  # no foreign key: a record outlives its step's definition
    model: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(10))  # succeeded, failed
    prompt: Mapped[str] = mapped_column(Text)
    reply: Mapped[str | None] = mapped_column(Text)
    output_json: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(100))
    error_message: Mapped[str | None] = mapped_column(Text)
    fallback: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seconds: Mapped[float]
