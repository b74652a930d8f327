"""Where the suites of a project stand, for those who start pytest: what ``gonogo_suites`` in its ini file says."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gonogo.documents import kind, read_toml
from gonogo.errors import DefinitionError

__all__ = ["Suites", "find_suites"]

KEY = "gonogo_suites"
# file -> its sections that pytest reads, in pytest's order
_INI = {
    "pytest.toml": (("pytest",),),
    ".pytest.toml": (("pytest",),),
    "pytest.ini": (("pytest",),),
    ".pytest.ini": (("pytest",),),
    "pyproject.toml": (("tool", "pytest"), ("tool", "pytest", "ini_options")),
    "tox.ini": (("pytest",),),
    "setup.cfg": (("tool:pytest",),),
}


@dataclass(frozen=True)
class Suites:
    """The ini file of a project, and the folders of its suites."""

    ini: Path
    folders: tuple[Path, ...]


def find_suites(root: Path) -> Suites:
    """The suites that the ini file in a project's folder names.

    Raises:
        DefinitionError: no ini file names any, or one cannot be read.
    """
    for name, sections in _INI.items():
        path = root / name
        if not path.is_file():
            continue
        for section in sections:
            value = _value(path, section, root)
            if value is not None:
                return Suites(path, tuple(path.parent / folder for folder in value))
    raise DefinitionError(f"{root}: no ini file of pytest names the suites; write {KEY} = acceptance in pytest.ini")


def _value(path: Path, section: tuple[str, ...], root: Path) -> list[str] | None:
    if path.suffix == ".toml":
        data = read_toml(path, root=root).data
        for name in section:
            data = data.get(name, {}) if isinstance(data, Mapping) else {}
        found = data.get(KEY) if isinstance(data, Mapping) else None
    else:
        parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (configparser.Error, UnicodeDecodeError) as error:
            raise DefinitionError(f"{path}: no ini file ({' '.join(str(error).split())}); correct it") from error
        found = parser.get(section[0], KEY, fallback=None)
    if found is None:
        return None
    folders = shlex.split(found) if isinstance(found, str) else found
    if not isinstance(folders, list) or not folders or not all(isinstance(one, str) and one for one in folders):
        raise DefinitionError(f"{path}: {KEY} is {kind(found)}; write the folders of the suites, such as acceptance")
    return folders
