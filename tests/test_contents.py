"""The files that a run is about: which count, and that every change of them is seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_project import write_project

from gonogo.contents import Contents, change_notes
from gonogo.project import Project, Release, Service

FILES = {
    "app/__init__.py": "",
    "app/prompts/build.py": "def build(): ...\n",
    "app/prompts/style.txt": "Be brief.\n",
    "letters.py": "def letter(): ...\n",
    "older/prompts/build.py": "def build(): return 1\n",
    "adapter.py": "def open_release(context): ...\n",
    "acceptance/test_structure.py": "def test_structure(): ...\n",
    "acceptance/notes.md": "notes\n",
    "recordings/2.0/facts.yaml": "step: facts\n",
    "other.py": "",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A candidate of a package and a single module, over an older release that is laid over it."""
    write_project(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    candidate = Release("2.0", f"{tmp_path / 'adapter.py'}:open_release", tmp_path, packages=("app", "letters.py"))
    return Project(
        root=tmp_path,
        candidate=candidate,
        baseline=replace(candidate, version="1.0", packages=("app",), overlay=tmp_path / "older"),
        criteria=tmp_path / "criteria.toml",
        workflows=tmp_path / "workflows",
        cases=tmp_path / "cases",
        recordings=tmp_path / "recordings",
        reports=tmp_path / "reports",
    )


def contents(project: Project) -> Contents:
    return Contents.of(project, (project.root / "acceptance",))


def test_every_file_counts_where_it_belongs(project: Project) -> None:
    files = {name: set(found) for name, found in contents(project).files.items()}
    assert files["candidate"] == {"app/__init__.py", "app/prompts/build.py", "app/prompts/style.txt", "letters.py"}
    assert files["suites"] == {"acceptance/test_structure.py", "adapter.py", "conftest.py"}
    assert files["criteria"] == {"criteria.toml"}
    assert files["signoffs"] == set(), "a project may have none"
    assert files["cases"] == {"facts.yaml", "title.yaml"}
    assert "planning/facts.yaml" in files["workflows"]
    assert files["recordings"] == {"2.0/facts.yaml"}


def test_an_overlay_counts_as_it_is_laid_over_the_packages(project: Project) -> None:
    found = contents(project).files
    assert set(found["baseline"]) == {
        "app/__init__.py",
        "app/prompts/build.py",
        "app/prompts/style.txt",
        "prompts/build.py",
    }
    laid = project.root / "older" / "app" / "__init__.py"
    laid.parent.mkdir()
    laid.write_text("VERSION = 1\n")
    assert contents(project).files["baseline"]["app/__init__.py"] != found["baseline"]["app/__init__.py"]


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("app/prompts/build.py", {"candidate": {"app/prompts/build.py"}, "baseline": {"app/prompts/build.py"}}),
        ("app/new.txt", {"candidate": {"app/new.txt"}, "baseline": {"app/new.txt"}}),
        ("letters.py", {"candidate": {"letters.py"}}),
        ("older/app/late.py", {"baseline": {"app/late.py"}}),
        ("acceptance/test_structure.py", {"suites": {"acceptance/test_structure.py"}}),
        ("adapter.py", {"suites": {"adapter.py"}}),
        ("conftest.py", {"suites": {"conftest.py"}}),
        ("signoffs.toml", {"signoffs": {"signoffs.toml"}}),
        ("cases/facts.yaml", {"cases": {"facts.yaml"}}),
        ("workflows/formats/text-out.yaml", {"workflows": {"formats/text-out.yaml"}}),
        ("recordings/2.0/facts.yaml", {"recordings": {"2.0/facts.yaml"}}),
        ("app/__pycache__/build.cpython-312.pyc", {}),
        ("app/build.pyc", {}),
        ("acceptance/notes.md", {}),
        ("acceptance/.hidden/late.py", {}),
        ("other.py", {}),
    ],
)
def test_a_file_that_is_written_changes_what_it_belongs_to_and_nothing_else(
    project: Project, file: str, changed: dict[str, set[str]]
) -> None:
    before = contents(project)
    path = project.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("late = True\n")
    assert before.changed() == changed
    now = contents(project).hashes
    assert {name for name, value in before.hashes.items() if now[name] != value} == set(changed)


def test_a_file_that_is_gone_renamed_or_replaced_by_a_folder_is_changed(project: Project) -> None:
    before = contents(project)
    (project.root / "app" / "prompts" / "style.txt").rename(project.root / "app" / "prompts" / "tone.txt")
    (project.root / "letters.py").unlink()
    (project.root / "letters.py").mkdir()
    assert before.changed()["candidate"] == {"app/prompts/style.txt", "app/prompts/tone.txt", "letters.py"}


def test_two_checkouts_of_the_same_files_are_alike(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for path in project.root.rglob("*"):
        if path.is_file():
            copy = other / path.relative_to(project.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    candidate = replace(project.candidate, adapter=f"{other / 'adapter.py'}:open_release", tree=other)
    moved = replace(
        project,
        root=other,
        candidate=candidate,
        baseline=None,
        workflows=other / "workflows",
        cases=other / "cases",
        recordings=other / "recordings",
        criteria=other / "criteria.toml",
    )
    expected = {name: value for name, value in contents(project).hashes.items() if name != "baseline"}
    assert contents(moved).hashes == expected


def _link_back(folder: Path) -> None:
    (folder / "again").symlink_to(folder, target_is_directory=True)


def _broken_link(folder: Path) -> None:
    (folder / "link.py").symlink_to(folder / "nowhere.py")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize("plant", [_link_back, _broken_link, _pipe])
def test_what_cannot_be_read_to_its_end_stops_nothing(project: Project, plant: Callable[[Path], None]) -> None:
    plant(project.root / "app")
    assert contents(project).changed() == {}


def test_what_is_kept_of_a_release_counts_as_its_own(project: Project) -> None:
    facts = project.root / "1.0.json"
    facts.write_text("{}")
    assert project.baseline is not None
    before = contents(replace(project, baseline=replace(project.baseline, facts=facts)))
    facts.write_text('{"endpoints": []}')
    assert before.changed() == {"baseline": {"facts in 1.0.json"}}


def test_of_a_package_that_is_the_whole_project_what_runs_and_tools_write_does_not_count(project: Project) -> None:
    whole = replace(project.candidate, tree=project.root.parent, packages=(project.root.name,))
    project = replace(project, candidate=whole, baseline=None)
    before = contents(project)
    for written in ("reports/runs/1/run.json", ".gonogo_cache/x.json", ".pytest_cache/README.md", ".git/HEAD"):
        (project.root / written).parent.mkdir(parents=True, exist_ok=True)
        (project.root / written).write_text("written", encoding="utf-8")
    assert before.changed() == {}
    (project.root / "letters.py").write_text("def letter(): return 1\n", encoding="utf-8")
    assert set(before.changed()) == {"candidate"}


def test_a_package_that_is_not_there_has_no_files(project: Project) -> None:
    nothing = replace(project, candidate=replace(project.candidate, packages=("gone",)), baseline=None)
    assert contents(nothing).files["candidate"] == {}


def test_changes_are_said_with_the_files_and_what_to_do() -> None:
    assert change_notes({"candidate": {f"app/{letter}.py" for letter in "edcba"}, "cases": {"facts.yaml"}}) == [
        "the candidate's files were changed while the run went on: app/a.py, app/b.py, app/c.py and 2 more; "
        "let nothing write there, and run again",
        "the cases were changed while the run went on: facts.yaml; let nothing write there, and run again",
    ]


def test_a_proof_holds_for_what_decides_what_is_caught_whatever_is_judged(project: Project) -> None:
    proven = contents(project).proven
    assert [*proven] == ["suites", "criteria", "recordings", "cases", "workflows", "gonogo"]
    for file in ("app/prompts/build.py", "adapter.py"):
        path = project.root / file
        path.write_text(path.read_text() + "# changed\n")
    staged = replace(project, stage=f"{project.root / 'adapter.py'}:open_stage")
    live = staged.with_service(Service("http://127.0.0.1:1"), None)
    assert contents(project).proven == contents(staged).proven == contents(live).proven == proven


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("acceptance/test_structure.py", "suites"),
        ("conftest.py", "suites"),
        ("criteria.toml", "criteria"),
        ("recordings/2.0/facts.yaml", "recordings"),
        ("cases/facts.yaml", "cases"),
        ("workflows/planning/facts.yaml", "workflows"),
    ],
)
def test_a_change_of_what_a_proof_holds_for_is_seen(project: Project, file: str, name: str) -> None:
    before = contents(project).proven
    path = project.root / file
    path.write_text(path.read_text() + "# changed\n")
    now = contents(project).proven
    assert [one for one in before if now[one] != before[one]] == [name]


def test_a_result_of_a_proof_rests_on_the_releases_as_well(project: Project) -> None:
    before = contents(project).tried
    assert before.keys() == {*contents(project).proven, "candidate", "baseline", "signoffs"}
    path = project.root / "app/prompts/build.py"
    path.write_text(path.read_text() + "# changed\n")
    now = contents(project).tried
    assert [one for one in before if now[one] != before[one]] == ["candidate", "baseline"], "the tree of both"


@pytest.mark.parametrize("file", ["adapter.py", "deployment.py"])
def test_adapters_and_the_stage_outside_of_the_suites_are_rested_on(project: Project, file: str) -> None:
    path = project.root / file
    path.write_text("def open_stage(context): ...\n")
    staged = replace(project, stage=f"{project.root / 'deployment.py'}:open_stage")
    before = contents(staged).tried
    path.write_text("def open_stage(context): return 1\n")
    now = contents(staged).tried
    assert [one for one in before if now[one] != before[one]] == ["suites"]


def test_gonogo_itself_counts_as_it_was_when_it_was_looked_at(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "installed" / "gonogo"
    package.mkdir(parents=True)
    monkeypatch.setattr("gonogo.contents.__file__", str(package / "contents.py"))
    (package / "checks.py").write_text("STRICT = True\n")
    before = contents(project)
    (package / "checks.py").write_text("STRICT = False\n")
    assert before.proven["gonogo"] == before.tried["gonogo"] != contents(project).proven["gonogo"]


def test_an_adapter_that_lies_among_the_suites_counts_as_one_of_them(project: Project) -> None:
    inside = project.root / "acceptance" / "adapter.py"
    inside.write_text("def open_release(context): ...\n")
    wired = replace(project, candidate=replace(project.candidate, adapter=f"{inside}:open_release"))
    before = contents(wired).proven
    inside.write_text("def open_release(context): return context\n")
    assert contents(wired).proven["suites"] != before["suites"]
