"""The configuration: one frozen object, checked where it is made."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.errors import SettingsError
from app.lines import without_passwords

__all__ = ["LLM_APIS", "LogSink", "Settings"]

LLM_APIS: Final = ("ollama-generate", "ollama-chat", "openai-chat")
ENVIRONMENT_PREFIX: Final = "BLOG_"
ROOT: Final = Path(__file__).resolve().parent.parent

LogSink = Callable[[dict[str, object]], None]


def _default_database() -> str:
    return f"sqlite:///{ROOT / 'instance' / 'blog.sqlite3'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an application is run with. A configuration key is a field's name in upper case."""

    database_url: str = field(default_factory=_default_database)  # any SQLAlchemy URL
    llm_api: str = "ollama-generate"  # one of LLM_APIS
    llm_base_url: str = "http://127.0.0.1:11434"  # without the API's path
    llm_timeout: float = 120.0  # seconds to connect, and seconds without a byte of the answer
    llm_retries: int = 2  # further attempts after a refused or reset connection, 429, 500 and 503
    llm_backoff: float = 0.5  # seconds before the first further attempt, then doubled; 0: no waiting at all
    llm_max_wait: float = 10.0  # seconds: the longest wait before an attempt, whatever Retry-After asks for
    llm_model: str | None = None  # replaces every step's model
    metrics_dir: Path | None = (
        None  # where all processes that serve keep their counts; None: this process counts for itself
    )
    log_level: str = "INFO"
    log_stream: TextIO | None = None  # None: stderr
    log_sink: LogSink | None = None  # takes the log events instead of any stream
    workflows: Path = ROOT / "workflows"  # what init-db reads
    posts: Path = ROOT / "fixtures" / "posts"
    testing: bool = False

    @classmethod
    def from_mapping(cls, config: Mapping[str, object]) -> Settings:
        """Settings from configuration keys. Raises SettingsError with every problem at once."""
        known = {item.name.upper(): item.name for item in fields(cls)}
        problems = []
        values: dict[str, object] = {}
        for key, value in config.items():
            if key in known:
                try:
                    values[known[key]] = _checked(key, value)
                except SettingsError as error:
                    problems.append(str(error))
            else:
                near = get_close_matches(key.upper(), known, n=1)
                problems.append(f"{key} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(**values)  # type: ignore[arg-type]  # _checked has seen to the types

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from ``BLOG_…`` variables, as ``BLOG_LLM_TIMEOUT=30``. Raises SettingsError with all that is wrong.

        Other variables are not looked at: Kubernetes sets some of its own, such as ``BLOG_PORT``, for a service of that name.
        """
        numbers: dict[str, Callable[[str], object]] = {
            "LLM_TIMEOUT": float,
            "LLM_RETRIES": int,
            "LLM_BACKOFF": float,
            "LLM_MAX_WAIT": float,
        }
        texts = {
            "DATABASE_URL",
            "LLM_API",
            "LLM_BASE_URL",
            "LLM_MODEL",
            "LOG_LEVEL",
            "METRICS_DIR",
            "WORKFLOWS",
            "POSTS",
        }
        config: dict[str, object] = {}
        problems = []
        for key in sorted(texts | numbers.keys()):
            name = ENVIRONMENT_PREFIX + key
            if name not in environ:
                continue
            text = environ[name]
            try:
                config[key] = numbers[key](text) if key in numbers else text
            except ValueError:
                problems.append(f"{name} = {text!r} is not a number")
        try:
            settings = cls.from_mapping(config)
        except SettingsError as error:
            problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return settings


def _checked(key: str, value: object) -> object:
    """`value` in the type of the setting `key`. Raises SettingsError with the value and what to write instead."""
    match key:
        case "DATABASE_URL":
            try:
                make_url(_text(key, value))
            except ArgumentError:
                # the URL may hold a password: it is not repeated
                raise SettingsError("DATABASE_URL is not an SQLAlchemy URL; one is sqlite:///blog.sqlite3") from None
            return value
        case "LLM_API":
            if value not in LLM_APIS:
                raise SettingsError(f"LLM_API = {value!r} is not known; write one of {', '.join(LLM_APIS)}")
            return value
        case "LLM_BASE_URL":
            url = urlsplit(_text(key, value))
            if url.scheme not in {"http", "https"} or not url.hostname:
                shown = without_passwords(str(value))
                raise SettingsError(
                    f"LLM_BASE_URL = {shown!r} is not an address; write one like http://127.0.0.1:11434"
                )
            return str(value).rstrip("/")
        case "LLM_TIMEOUT":
            return _number(key, value, above=0.0)
        case "LLM_BACKOFF" | "LLM_MAX_WAIT":
            return _number(key, value)
        case "LLM_RETRIES":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
                raise SettingsError(f"LLM_RETRIES = {value!r} is not a count of further attempts; write 0 to 100")
            return value
        case "LLM_MODEL":
            return None if value is None else _text(key, value)
        case "LOG_LEVEL":
            level = _text(key, value).upper()
            if level not in logging.getLevelNamesMapping():
                raise SettingsError(f"LOG_LEVEL = {value!r} is not a level; write DEBUG, INFO, WARNING or ERROR")
            return level
        case "LOG_STREAM":
            if value is not None and not hasattr(value, "write"):
                raise SettingsError(f"LOG_STREAM = {value!r} cannot be written to")
            return value
        case "LOG_SINK":
            if value is not None and not callable(value):
                raise SettingsError(f"LOG_SINK = {value!r} cannot be called")
            return value
        case "TESTING":
            if not isinstance(value, bool):
                raise SettingsError(f"TESTING = {value!r} is neither true nor false")
            return value
        case "METRICS_DIR":
            return value if value is None or isinstance(value, Path) else Path(_text(key, value))
        case _:  # WORKFLOWS, POSTS
            return value if isinstance(value, Path) else Path(_text(key, value))


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{key} = {value!r} is not a text")
    return value


def _number(key: str, value: object, *, above: float | None = None) -> float:
    """A finite number of seconds, at least 0, or above `above`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingsError(f"{key} = {value!r} is not a number of seconds")
    if value < 0 or (above is not None and value <= above):
        wanted = "0 or more" if above is None else f"more than {above:g}"
        raise SettingsError(f"{key} = {value!r} is too small; write {wanted}")
    return float(value)
