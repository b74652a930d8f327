"""Where the suites stand, as the ini file says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gonogo.errors import DefinitionError
from gonogo.suites import find_suites


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\naddopts = -p %(no)s\ngonogo_suites = acceptance\n    more/suites\n"),
        (".pytest.ini", "[pytest]\ngonogo_suites = acceptance more/suites\n"),
        ("tox.ini", "[pytest]\ngonogo_suites = acceptance 'more/suites'\n"),
        ("setup.cfg", "[tool:pytest]\ngonogo_suites = acceptance more/suites\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\ngonogo_suites = ["acceptance", "more/suites"]\n'),
        ("pyproject.toml", '[tool.pytest.ini_options]\ngonogo_suites = "acceptance more/suites"\n'),
        ("pyproject.toml", '[tool.pytest]\ngonogo_suites = ["acceptance", "more/suites"]\n'),
        ("pytest.toml", '[pytest]\ngonogo_suites = ["acceptance", "more/suites"]\n'),
    ],
)
def test_suites_stand_in_any_ini_file_that_pytest_reads(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = find_suites(tmp_path)
    assert found.ini == tmp_path / name
    assert found.folders == (tmp_path / "acceptance", tmp_path / "more" / "suites")


def test_a_file_that_names_none_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "-q"\n')
    (tmp_path / "setup.cfg").write_text("[tool:pytest]\ngonogo_suites = acceptance\n")
    assert find_suites(tmp_path).ini.name == "setup.cfg"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pytest.ini", "[pytest]\naddopts = -q\n", "write gonogo_suites = acceptance in pytest.ini"),
        ("pytest.ini", "gonogo_suites = acceptance\n", r"pytest\.ini: no ini file"),
        ("pytest.ini", "[pytest]\ngonogo_suites =\n", "write the folders of the suites"),
        ("pyproject.toml", "[tool.pytest]\ngonogo_suites = 5\n", "gonogo_suites is a number"),
        ("pyproject.toml", "[tool.pytest]\ngonogo_suites = [5]\n", "gonogo_suites is a list"),
    ],
)
def test_without_suites_the_error_says_what_to_write(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DefinitionError, match=message):
        find_suites(tmp_path)
