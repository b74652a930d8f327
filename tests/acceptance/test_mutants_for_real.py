"""``gonogo prove --mutants`` over a small project: the changes that its suite notices, one that it cannot, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from constructor_project import ADAPTER, CONFTEST, write
from sandbox import Judge

from gonogo.cli import main

pytest_plugins = ["pytester"]

SOURCE = """\
from __future__ import annotations

KEPT = 64


def build(step, inputs: dict[str, str] | None):
    entries = [f"{one.name}: {inputs[one.field]}" for one in step.inputs if inputs.get(one.field)]
    task = "\\n\\n".join([step.task_prompt.strip(), *entries])
    if len(task) < 0:
        return ""
    response = step.output_format.llm_instructions.strip()
    return f"CONTEXT:\\n{step.system_prompt.strip()}\\n\\nTASK:\\n{task}\\n\\nRESPONSE:\\n{response}\\n"
"""
MUTANTS = 'version = 1\nfiles = ["letters.py"]\nkilled = ">= 0.3"\n'
EXPLAINED = """
[[survivor]]
file = "letters.py"
was = "{was}"
becomes = "{becomes}"
why = "{why}"
"""


@pytest.fixture(autouse=True)
def mutable(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with its function in a module of its own."""
    head = ADAPTER[: ADAPTER.index("def build")]
    write(project, "adapter.py", f"from letters import build\n{head}")
    write(project, "letters.py", SOURCE)
    write(
        project,
        "conftest.py",
        CONFTEST.replace('open_release", ROOT)', 'open_release", ROOT, packages=("letters.py",))'),
    )
    write(project, "acceptance/mutants.toml", MUTANTS)
    monkeypatch.chdir(project)
    return project


def prove(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["prove", "--mutants", *arguments], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def known(project: Path) -> dict[tuple[str, str], str]:
    [path] = (project / "reports" / "proof").glob("mutants-*/mutants.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(one["was"], one["becomes"]): one["verdict"] for one in lines}


def test_what_breaks_prompts_is_noticed_and_what_changes_nothing_survives_until_it_is_explained(mutable: Path) -> None:
    result = prove()
    assert result.exit_code == 1, result.output
    verdicts = known(mutable)
    assert verdicts["if len(task) < 0:", "if not len(task) < 0:"] == "NO-GO"
    assert verdicts["KEPT = 64", "KEPT = 65"] == "GO"
    assert "survives: letters.py:3 NumberReplacer: KEPT = 64 -> KEPT = 65" in result.output
    assert "nobody has said why it may survive" in result.output
    assert not any("dict[str, str]" in was for was, _ in verdicts), "an annotation is no mutant"

    survivors = [change for change, verdict in verdicts.items() if verdict == "GO"]
    text = MUTANTS + "".join(EXPLAINED.format(was=was, becomes=becomes, why="no prompt") for was, becomes in survivors)
    write(mutable, "acceptance/mutants.toml", text)
    again = prove()
    assert again.exit_code == 0, again.output
    assert f"{len(survivors)} survive, 0 of them equivalent and not counted, 0 unexplained" in again.output
    assert known(mutable) == verdicts, "nothing was tried again"


def test_what_was_broken_off_goes_on(mutable: Path) -> None:
    write(
        mutable,
        "letters.py",
        SOURCE.replace("KEPT = 64\n", "").replace('    if len(task) < 0:\n        return ""\n', "    kept = 64\n"),
    )
    assert prove().exit_code == 1
    [path] = (mutable / "reports" / "proof").glob("mutants-*/mutants.jsonl")
    whole = path.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:20], encoding="utf-8")
    prove()
    assert sorted(path.read_text(encoding="utf-8").splitlines()) == sorted(whole.splitlines())
    path.write_text("{}\n", encoding="utf-8")
    damaged = prove()
    assert damaged.exit_code == 3
    assert "mutants.jsonl:1: no result of gonogo prove --mutants" in damaged.output
    assert prove("--again").exit_code == 1, "what was damaged is made anew"
    assert path.with_name("mutants-1.jsonl").read_text(encoding="utf-8") == "{}\n", "and kept"


def test_a_file_that_is_none_is_told(mutable: Path) -> None:
    assert "--only words.py: no file of mutants.toml" in prove("--only", "words.py").output
    write(mutable, "acceptance/mutants.toml", MUTANTS.replace("letters.py", "words.py"))
    result = prove()
    assert result.exit_code == 2
    assert "mutants.toml: words.py is no source of the candidate" in result.output


def test_a_list_of_mutants_is_refused(mutable: Path) -> None:
    assert prove("--list").exit_code == 2


def test_where_no_criterion_says_go_nobody_can_judge(mutable: Path) -> None:
    write(mutable, "letters.py", SOURCE.replace("RESPONSE:", "REPLY:"))
    criteria = (mutable / "acceptance" / "criteria.toml").read_text(encoding="utf-8")
    write(mutable, "acceptance/criteria.toml", criteria.replace("<= 2000", "<= 2"))
    result = prove()
    assert result.exit_code == 3
    assert "no criterion says GO of the release as it is" in result.output


def test_the_run_of_a_mutant_is_never_go_and_says_what_it_is_about(project: Path, judge: Judge) -> None:
    answer = judge("acceptance", f"--gonogo-mutant={project}")
    assert answer.status == 10
    assert answer.document["run"]["planted"] == "mutant"
    assert "the candidate's source was changed on purpose; this verdict is about the gate" in " ".join(
        answer.output.split()
    )
    refused = judge("acceptance", f"--gonogo-mutant={project}", "--gonogo-planted=section-missing")
    assert "give one of the two" in refused.output
    nowhere = judge("acceptance", f"--gonogo-mutant={project / 'cases'}")
    assert "does not hold the candidate's packages (letters.py)" in nowhere.output
