"""The folder of a site and its settings: ``site.toml``, read strictly."""

from __future__ import annotations

import difflib
import json
import math
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ops.errors import UsageError
from ops.files import link_target, write_whole

__all__ = ["Settings", "Site", "create_site", "open_site", "read_settings"]

DATABASE = "BLOG_DATABASE_URL"
_FOLDERS = ("app", "workflows", "fixtures/posts")
_DEPENDENCIES = ("click", "flask", "gunicorn", "prometheus-client", "psycopg", "requests", "sqlalchemy", "structlog")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What site.toml says. A key is a field's name; times are seconds."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one, kept for as long as it can be had
    python: str = sys.executable  # what releases run with
    workers: int = 1
    threads: int = 8
    ready_seconds: float = 30.0  # for a start to become ready
    drain_seconds: float = 10.0  # for requests that are under way when their release is replaced
    rollback_drain_seconds: float = 3.0  # where it is replaced because it is bad; gunicorn keeps idle connections for 2
    free_mib: int = 200  # on the disk, beside what two copies of the database need
    folders: tuple[str, ...] = _FOLDERS  # what of a tree belongs to a release
    dependencies: tuple[str, ...] = _DEPENDENCIES  # whose versions a release is tied to
    environment: Mapping[str, str] = field(default_factory=dict)  # of the application

    @property
    def database(self) -> str:
        """The URL of the application's database."""
        return self.environment[DATABASE]


@dataclass(frozen=True)
class Site:
    """Where things lie below the folder of a site."""

    folder: Path
    settings: Settings

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def starts(self) -> Path:
        return self.run / "starts"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def current(self) -> Path:
        return self.folder / "current"

    @property
    def previous(self) -> Path:
        return self.folder / "previous"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    @property
    def steps(self) -> Path:
        return self.logs / "deploy.jsonl"

    def linked(self, link: Path) -> str | None:
        """The version that ``current`` or ``previous`` names."""
        target = link_target(link)
        return target.name if target else None


def create_site(folder: Path, values: Mapping[str, object]) -> Site:
    """Make the folder of a new site with a site.toml that holds ``values`` and, for the rest, what is usual.

    Raises:
        UsageError: there is one already, or the values cannot be used.
    """
    path = folder / "site.toml"
    if path.exists():
        raise UsageError(f"{path}: this site is there already; edit the file, or name another folder with --site")
    settings = _settings(values, "init")
    for part in (folder, *(folder / name for name in ("releases", "backups", "run", "run/starts", "logs"))):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, _as_toml(settings))  # with mode 0600: the URL of a database may hold a password
    return Site(folder, settings)


def open_site(folder: Path) -> Site:
    """The site in ``folder``.

    Raises:
        UsageError: there is none, or its site.toml cannot be used.
    """
    folder = folder.resolve()
    site = Site(folder, read_settings(folder / "site.toml"))
    for part in (site.releases, site.backups, site.run, site.starts, site.logs):
        part.mkdir(mode=0o700, exist_ok=True)
    return site


def read_settings(path: Path) -> Settings:
    """The settings in a site.toml.

    Raises:
        UsageError: file, key and value, and what to write instead.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; make a site with `python -m ops --site DIR init`") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML ({error}); correct the file") from error
    return _settings(data, str(path))


def _settings(data: Mapping[str, object], place: str) -> Settings:
    known = {item.name for item in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise UsageError(f"{place}: {key} = {value!r} is not a setting; {hint}")
        problem = _problem(key, value)
        if problem:
            raise UsageError(f"{place}: {key} = {value!r} {problem}")
        values[key] = tuple(value) if isinstance(value, list) else value
    settings = Settings(**values)
    url = settings.environment.get(DATABASE, "")
    if not url.startswith(("sqlite:////", "postgresql://", "postgresql+psycopg://")):
        # releases lie in folders of their own: a relative path, or none, would give each a database of its own
        raise UsageError(
            f"{place}: environment.{DATABASE} is not there, or names no database that releases share; "
            "write sqlite:////absolute/path or postgresql+psycopg://user@host/name"
        )
    return settings


def _problem(key: str, value: Any) -> str | None:
    """What is wrong with the value of a setting, and what to write."""
    match key:
        case "host":
            return None if isinstance(value, str) and value else "is not an address; write one such as '127.0.0.1'"
        case "port":
            return None if _is_whole(value, 0, 65535) else "is not a port; write 0 (any) to 65535"
        case "python":
            usable = isinstance(value, str) and os.access(value, os.X_OK) and os.path.isabs(value)
            return None if usable else "is not a program; write the absolute path of a Python interpreter"
        case "workers" | "threads":
            return None if _is_whole(value, 1, 256) else "is not a count; write 1 to 256"
        case "free_mib":
            return None if _is_whole(value, 0, 2**40) else "is not a number of MiB; write 0 or more"
        case "folders" | "dependencies":
            texts = isinstance(value, list | tuple) and value and all(isinstance(one, str) and one for one in value)
            if not texts:
                return "is not a list of names; write one such as ['app']"
            away = key == "folders" and any(Path(one).is_absolute() or ".." in Path(one).parts for one in value)
            return "leads out of the tree; write paths below it" if away else None
        case "environment":
            if isinstance(value, Mapping) and all(isinstance(one, str) and "\0" not in one for one in value.values()):
                return None
            return "is not a table of texts; write NAME = 'value' below [environment]"
        case _:
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            return None if number and 0 < value <= 3600 else "is not a time; write seconds above 0, at most 3600"


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _as_toml(settings: Settings) -> str:
    lines = []
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if item.name != "environment":
            lines.append(f"{item.name} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
    lines += ["", "[environment]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.environment.items()]
    return "\n".join(lines) + "\n"
