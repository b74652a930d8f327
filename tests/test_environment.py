"""Whether a release is installed soundly: each unsound thing is found and named with what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gonogo.environment import (
    answers_well,
    declared_requirements,
    disk_is_free,
    files_are_sound,
    python_is_supported,
    requirements_are_met,
)
from gonogo.errors import DefinitionError

PYPROJECT = """
[project]
name = "blog"
requires-python = ">=3.11"
[project.optional-dependencies]
app = ["flask>=3.1", "requests"]
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "workflow").mkdir(parents=True)
    for name in ("__init__.py", "workflow/__init__.py", "workflow/runs.py"):
        (folder / name).write_text("")
        (folder / name).chmod(0o644)
    return folder


def failing(folder: Path) -> list[str]:
    return [finding.reason for finding in files_are_sound([folder]) if not finding.ok]


def test_requirements_are_those_that_are_declared(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert declared_requirements(tmp_path / "pyproject.toml", "app") == (">=3.11", ("flask>=3.1", "requests"))


def test_an_extra_that_is_not_declared_is_an_error_of_the_definition(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    with pytest.raises(DefinitionError, match=r"pyproject\.toml: project\.optional-dependencies has no 'web'; write"):
        declared_requirements(tmp_path / "pyproject.toml", "web")


@pytest.mark.parametrize(
    ("version", "declared", "ok", "said"),
    [
        ("3.11.7", ">=3.11", True, "Python 3.11.7 is within >=3.11"),
        ("3.10.9", ">=3.11", False, "Python 3.10.9 is not within >=3.11"),
        ("3.15.0rc1", ">=3.11", True, "Python 3.15.0rc1 is within >=3.11"),
        ("3.9.0", "", True, "Python 3.9.0 is within any version"),
    ],
)
def test_the_interpreter_is_one_that_is_declared(version: str, declared: str, ok: bool, said: str) -> None:
    finding = python_is_supported(version, declared)
    assert (finding.ok, finding.reason) == (ok, said)


@pytest.mark.parametrize(
    ("requirement", "installed", "ok", "said"),
    [
        ("flask>=3.1", "3.1.3", True, "flask 3.1.3 satisfies flask>=3.1"),
        ("flask>=3.1", "3.0.0", False, "flask 3.0.0 does not satisfy flask>=3.1"),
        ("flask", "0.1", True, "flask 0.1 satisfies flask"),
        ("flask>=3.1", None, False, "flask is not installed; flask>=3.1 is declared"),
    ],
)
def test_each_declared_requirement_is_met(requirement: str, installed: str | None, ok: bool, said: str) -> None:
    [finding] = requirements_are_met([requirement], {"flask": installed})
    assert (finding.ok, finding.reason) == (ok, said)


def test_a_requirement_that_cannot_be_read_is_no_met_one() -> None:
    [finding] = requirements_are_met(["flask >= "], {})
    assert not finding.ok
    assert "the requirement 'flask >= ' cannot be read" in finding.reason


def test_sound_files_are_counted(release: Path) -> None:
    [finding] = files_are_sound([release])
    assert finding.ok
    assert finding.reason == "5 files and folders of app are owned, readable and closed to others"


def test_a_file_that_everybody_can_write_is_named(release: Path) -> None:
    (release / "workflow" / "runs.py").chmod(0o666)
    assert failing(release) == ["can be written by everybody; chmod o-w: app/workflow/runs.py"]


def test_a_file_that_its_owner_cannot_read_is_named(release: Path) -> None:
    (release / "__init__.py").chmod(0o244)
    assert failing(release) == ["cannot be read by its owner; chmod u+r: app/__init__.py"]


def test_of_many_unsound_files_three_are_named_and_the_others_counted(release: Path) -> None:
    for number in range(5):
        (release / f"{number}.py").write_text("")
        (release / f"{number}.py").chmod(0o646)
    [reason] = failing(release)
    assert reason == "can be written by everybody; chmod o-w: app/0.py, app/1.py, app/2.py and 2 more"


def test_a_file_of_another_owner_is_named(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = os.stat
    foreign = release / "__init__.py"

    def somebody_elses(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = usual(path, follow_symlinks=follow_symlinks)
        values = list(found)
        values[4] = found.st_uid + 1 if path == foreign else found.st_uid
        return os.stat_result(values)

    monkeypatch.setattr(Path, "stat", somebody_elses)  # only root could give a file away
    assert failing(release) == ["belongs to somebody else than the folder: app/__init__.py"]


def test_a_file_that_this_user_cannot_read_is_named(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = release / "workflow" / "runs.py"
    monkeypatch.setattr(os, "access", lambda path, mode: path != hidden)  # root could read all of them
    assert failing(release) == [
        "cannot be read by the user that looks here; correct its owner, group or mode: app/workflow/runs.py"
    ]


def test_a_link_that_leads_nowhere_and_a_release_that_is_not_there_are_named(release: Path) -> None:
    said = "cannot be looked at, is not there, or is a link that leads nowhere"
    (release / "late.py").symlink_to(release / "gone.py")
    assert failing(release) == [f"{said}: app/late.py"]
    assert failing(release.parent / "other") == [f"{said}: other"]


def test_free_disk_is_told_and_held_against_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage, looked = shutil.disk_usage(tmp_path)._replace(free=3 * 2**20), list[Path]()

    def looked_at(path: Path) -> object:
        looked.append(path)
        return usage

    monkeypatch.setattr(shutil, "disk_usage", looked_at)
    places = {"the reports": tmp_path / "not" / "yet"}
    found = {least: next(disk_is_free(places, least)) for least in (None, 3 * 2**20, 4 * 2**20)}
    assert [finding.ok for finding in found.values()] == [True, True, False]
    assert found[None].reason == "3 MiB are free at the reports; nobody asks for any"
    assert found[4 * 2**20].reason == "3 MiB are free at the reports; asked for are 4 MiB"
    assert set(looked) == {tmp_path}, "what is not there yet will lie on the disk of its folder"


def test_a_disk_that_cannot_be_looked_at_is_no_free_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", broken)
    [finding] = disk_is_free({"the release": tmp_path}, None)
    assert not finding.ok
    assert "the disk of the release cannot be looked at: [Errno 5] Input/output error" in finding.reason


def test_without_an_extra_the_requirements_are_the_projects_own(tmp_path: Path) -> None:
    own = PYPROJECT.replace("[project.opt", 'dependencies = ["jinja2"]\n[project.opt')
    (tmp_path / "pyproject.toml").write_text(own)
    assert declared_requirements(tmp_path / "pyproject.toml", None) == (">=3.11", ("jinja2",))


def test_what_python_compiled_is_not_looked_at(release: Path) -> None:
    (release / "__pycache__").mkdir()
    (release / "__pycache__" / "x.pyc").write_text("")
    (release / "__pycache__" / "x.pyc").chmod(0o666)
    assert failing(release) == []


def test_health_is_200_and_nothing_else() -> None:
    findings = list(answers_well({"/healthz": 200, "/readyz": 503}))
    assert [(finding.ok, finding.reason) for finding in findings] == [
        (True, "/healthz answers 200"),
        (False, "/readyz answers 503"),
    ]


def test_an_application_without_health_endpoints_shows_nothing() -> None:
    [finding] = answers_well({})
    assert not finding.ok
