"""A run is about one state of the code, from its beginning to its end, and so are runs that are joined."""

from __future__ import annotations

from pathlib import Path

import pytest
from constructor_project import FILES, TEST_SPEED, add_speed, write, write_project
from sandbox import Answer, Judge, run_pytest

from gonogo.joining import JoiningError, Part, join, read_part
from gonogo.rundown import judge_run, verify
from gonogo.runs import RunDirectory

pytest_plugins = ["pytester"]


STRUCTURE, LENGTH = "acceptance/test_structure.py", "acceptance/test_length.py"
LETTERS = "def build(): ...\n"


def write_with_module(folder: Path) -> None:
    """Write the project, and let its release have a module of its own."""
    write_project(folder)
    conftest = FILES["conftest.py"].replace('open_release", ROOT)', "open_release\", ROOT, packages=('letters.py',))")
    write(folder, "conftest.py", conftest)
    write(folder, "letters.py", LETTERS)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """A project that is GO as it stands."""
    write_with_module(pytester.path)
    return pytester.path


def appending(file: str) -> str:
    """A test without a criterion that changes a file and passes."""
    return (
        f"from pathlib import Path\n\n\ndef test_other():\n    path = Path({file!r})\n"
        "    path.write_text(path.read_text() + '# late\\n')\n"
    )


def part(answer: Answer) -> Part:
    assert answer.folder is not None
    return read_part(RunDirectory(answer.folder))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("letters.py", "the candidate's files were changed while the run went on: letters.py; let nothing write there"),
        ("adapter.py", "the suites were changed while the run went on: adapter.py;"),
        (STRUCTURE, f"the suites were changed while the run went on: {STRUCTURE};"),
        ("acceptance/criteria.toml", "the criteria were changed while the run went on: acceptance/criteria.toml;"),
        ("cases/title.yaml", "the cases were changed while the run went on: title.yaml;"),
        ("workflows/planning/title.yaml", "the workflows were changed while the run went on: planning/title.yaml;"),
    ],
)
def test_what_is_judged_and_what_judges_may_not_change_on_the_way(
    project: Path, judge: Judge, file: str, said: str
) -> None:
    write(project, "acceptance/test_other.py", appending(file))
    answer = judge()
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "GO", "length": "GO"}
    assert any(reason.startswith(said) for reason in answer.document["reasons"]), answer.document["reasons"]
    assert answer.folder is not None
    assert verify(RunDirectory(answer.folder))
    assert judge_run(part(answer).run).status == "INCONCLUSIVE"


def test_code_that_is_measured_is_the_code_that_was_looked_at(tmp_path: Path) -> None:
    write_with_module(tmp_path)
    add_speed(tmp_path)
    write(tmp_path, "acceptance/test_other.py", appending("letters.py"))
    put_back = f"    from pathlib import Path\n    Path('letters.py').write_text({LETTERS!r})\n    evidence"
    write(tmp_path, "acceptance/test_speed.py", TEST_SPEED.replace("    evidence", put_back))
    answer = run_pytest(tmp_path, "acceptance", "-q", "-p", "no:allure_pytest", "-p", "no:randomly")
    assert (tmp_path / "letters.py").read_text() == LETTERS
    assert (answer.status, set(answer.verdicts.values())) == (10, {"GO"}), answer.output
    assert answer.document["reasons"] == [
        "the candidate's files were changed while the run went on: letters.py; let nothing write there, and run again"
    ]


def test_partial_runs_of_one_code_are_joined_and_those_of_two_are_not(project: Path, judge: Judge) -> None:
    structure, length = judge(STRUCTURE), judge(LENGTH)
    assert (structure.status, length.status) == (10, 10)
    assert judge_run(join([part(structure), part(length)]).run).status == "GO"
    write(project, "letters.py", "def build(): return 1\n")
    with pytest.raises(JoiningError, match="cannot be joined: their files of the candidate differ"):
        join([part(structure), part(judge(LENGTH))])
