"""The documents against the software: every command runs, every block loads, every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from acceptance.commands import commands_of
from app.errors import AppError
from app.factory import create_app
from app.settings import Settings
from gonogo.criteria import load_criteria
from gonogo.documentation import Block, blocks, read_documents
from gonogo.errors import DefinitionError
from gonogo.mutants import load_mutation_rules
from gonogo.project import Project, find_project
from gonogo.recordings import RecordingSet, load_recordings, read_patterns
from gonogo.signoffs import flaws, parse_signoffs
from gonogo.stub import LlmFault, Stub
from gonogo.stub.control import Control, State
from gonogo.stub.keeping import BoundedJournal
from gonogo.stub.lease import Lease
from gonogo.stub.protocols import SERVED
from gonogo.triggers import Signal
from gonogo.workflows import load_workflow

ROOT = Path(__file__).parent.parent
LETTER = ROOT / "docs" / "examples" / "letter"
HELPDESK = ROOT / "docs" / "examples" / "helpdesk"
BIN = Path(sys.executable).parent
DOCUMENTS = read_documents(ROOT, ["*.md", "docs/*.md"])
NIGHTLY = "pytest acceptance/ --gonogo-phase=nightly -n auto"
ELSEWHERE = "pytest acceptance/ --gonogo-baseline ../release-1.9 --gonogo-report ../evidence"

# What is not run below, and what runs it instead: a file, and the text in it that shows it.
RUN_BY_OTHERS = {
    "make acceptance": (".ci/run", "make acceptance"),
    "make test": (".ci/run", "make test"),
    "make test PYTHON=python3.12": (".ci/run", "make test"),
    'make acceptance ARGS="-n 2"': (".ci/run", "make acceptance"),
    ".venv/bin/pytest tests/test_verdict.py": ("Makefile", "$(BIN)/pytest tests"),
    ". .venv/bin/activate": ("Makefile", "BIN := .venv/bin"),
    "pip install ../gonogo": ("scripts/environment.py", "installing gonogo"),
    "gonogo report": ("Makefile", "$(BIN)/gonogo report"),
    "gonogo prove": ("tests/acceptance/test_proving_for_real.py", '"gonogo", "prove"'),
    "gonogo prove --only section-missing --only memory": (
        "tests/acceptance/test_proving_for_real.py",
        '"--only", "memory"',
    ),
    "gonogo prove --mutants": ("tests/acceptance/test_mutants_for_real.py", '"prove", "--mutants"'),
    "promtool check rules alerts/gonogo.rules.yml": ("tests/test_rule_files.py", '"promtool", "check", "rules", RULES'),
    "promtool test rules alerts/gonogo.rules.test.yml": (
        "tests/test_rule_files.py",
        '"promtool", "test", "rules", RULE_TESTS',
    ),
    "amtool check-config alerts/alertmanager.yml": ("tests/test_rule_files.py", '"amtool", "check-config", ROUTES'),
}
# Run in the example's folder, in this order, with the exit status that is expected.
IN_THE_EXAMPLE = {
    "pytest acceptance/": 0,
    "gonogo verify reports/latest": 0,
    "gonogo verdict reports/latest": 0,
    "gonogo explain": 0,
    "gonogo explain prompt-structure reports/latest": 0,
    "gonogo --version": 0,
    "pytest acceptance/test_prompt_structure.py": 10,
}
# Run in a copy with one suite: everything else is not executed, so the verdict is open.
WITH_ONE_SUITE = {NIGHTLY: 10, ELSEWHERE: 10}
# Run in a project whose application asks a model; in this order.
WITH_RECORDINGS = {
    "gonogo recordings add replies.yaml --release candidate": 0,
    "gonogo recordings add replies.yaml --release baseline --provenance captured "
    '--note "llama3.1:8b, 2026-11-23, temperature 0.2"': 0,
    "gonogo recordings check": 1,  # the other cases have no recordings
    "gonogo recordings update --release candidate --yes": 0,
    "gonogo recordings update": 0,
}
# Run in a copy of this project without its application, in this order; the dates are put off.
SIGNING = {
    "gonogo signoff list": 10,
    'gonogo signoff code-review --by "Jo Doe" --link https://example.com/reviews/17 --until 2027-05-31': 0,
    'gonogo signoff complaint --severity significant --by "Ada Roe" --text "Titles are in Latin."': 0,
}
# Run in the example's folder: one is caught, and without one the run is no more than INCONCLUSIVE.
PLANTING = {
    "pytest acceptance/test_prompt_structure.py --gonogo-planted section-missing": 1,
    "pytest acceptance/ --gonogo-planted nothing --gonogo-criterion determinism": 10,
}
# Run in this project.
PREFLIGHT = {"gonogo preflight": 0, "gonogo preflight --json --disk 500MB": 0}
# Run in the example's folder; nothing is planted by it.
PROVING = {"gonogo prove --list": 0}
# Run in a copy of this project without its application, in this order.
ALERTING = {
    "gonogo rules": 0,
    "gonogo rules --job blog --out alerts --webhook http://127.0.0.1:8099/rollback "
    "--alert-webhook http://127.0.0.1:8099/people": 0,
}
# Started in this project, until the first line is there.
SERVING = {
    "gonogo stub serve --port 0": 115,
    "gonogo stub serve fixtures/recordings/2.0.0 fixtures/recordings/1.9.0 --port 0 --pace recorded": 230,
}
# Started in a project whose application asks a model, until the first line is there.
RECORDING = "gonogo record --provider ollama --upstream http://127.0.0.1:11434 --out fixtures/recordings/2.0.0"
APPLICATION = {
    "BLOG_DATABASE_URL=sqlite:///blog.sqlite3 flask --app app.wsgi init-db",
    "BLOG_DATABASE_URL=sqlite:///blog.sqlite3 gunicorn -c python:app.server app.wsgi:application",
}


def all_blocks(*languages: str) -> list[tuple[str, Block]]:
    return [
        (name, block)
        for name, text in DOCUMENTS.items()
        for block in blocks(text)
        if not languages or block.language in languages
    ]


def named(block: tuple[str, Block]) -> str:
    return f"{block[0]}:{block[1].line}"


def documented_commands() -> set[str]:
    """But those of docs/live.md, which tests/acceptance/test_example_helpdesk.py runs, all of them."""
    return {command for name, block in all_blocks("console") if name != "docs/live.md" for command in block.commands}


def is_curl(command: str) -> bool:
    return command.startswith("curl ")


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a documented command as a reader would: in the folder, with the environment's programs first on the path."""
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    # a reader's Python keeps what it has compiled, and knows nothing of the pytest around this one
    kept_out = ("PYTEST_", "COV_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(kept_out)}
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_all(commands: dict[str, int], folder: Path) -> dict[str, str]:
    """Run commands one after the other, and give what they printed."""
    printed = {}
    for command, status in commands.items():
        done = run(command, folder)
        assert done.returncode == status, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        printed[command] = done.stdout
    return printed


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A copy of the example, as an adopter has it."""
    return Path(shutil.copytree(LETTER, tmp_path / "letter", ignore=shutil.ignore_patterns("reports", "__pycache__")))


def keep_suite(project: Path, name: str) -> None:
    """Remove every suite but one."""
    for suite in project.glob("acceptance/test_*.py"):
        if suite.name != f"test_{name}.py":
            suite.unlink()


class TestCommands:
    def test_every_command_is_run_by_something(self) -> None:
        run_here = {
            RECORDING,
            *IN_THE_EXAMPLE,
            *WITH_ONE_SUITE,
            *WITH_RECORDINGS,
            *SIGNING,
            *PLANTING,
            *PREFLIGHT,
            *PROVING,
            *ALERTING,
            *SERVING,
            *APPLICATION,
            "cd docs/examples/letter",
        }
        documented = {command for command in documented_commands() if not is_curl(command)}
        known = {" ".join(command.split()) for command in {*run_here, *RUN_BY_OTHERS}}
        assert documented - known == set(), "run these below, or name in RUN_BY_OTHERS what runs them"
        assert known - documented == set(), "these are documented no more; remove them here"

    @pytest.mark.parametrize("command", sorted(RUN_BY_OTHERS))
    def test_what_is_run_by_others_is_run_there(self, command: str) -> None:
        file, text = RUN_BY_OTHERS[command]
        assert text in (ROOT / file).read_text(encoding="utf-8")

    def test_the_example_ends_go_and_its_run_can_be_judged_again(self, letter: Path) -> None:
        assert (ROOT / "docs/examples/letter").is_dir()
        printed = run_all(IN_THE_EXAMPLE, letter)
        assert re.search(r"^GO  all \d+ required criteria hold$", printed["pytest acceptance/"], re.MULTILINE)
        assert "GO  all" in printed["gonogo verdict reports/latest"]
        assert "unchanged" in printed["gonogo verify reports/latest"]
        assert "partial selection" in printed["pytest acceptance/test_prompt_structure.py"].replace("\n", " ")

        judged = [json.loads(path.read_text()) for path in sorted(letter.glob("reports/runs/*/verdict.json"))]
        assert [document["verdict"] for document in judged] == ["GO", "INCONCLUSIVE"]
        schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))
        described = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        for document in judged:
            assert [error.message for error in described.iter_errors(document)] == []
            assert not described.is_valid(document | {"more": 1}), "the schema lets unknown keys pass"
            assert not described.is_valid(document | {"verdict": "MAYBE"})
        run_folder = letter / "reports" / "latest"
        described_files = set(
            re.findall(r"`([\w./*-]+)`", section(DOCUMENTS["docs/report.md"], "# Reading the verdict"))
        )
        for path in run_folder.iterdir():
            assert any(name.startswith(path.name) for name in described_files), (
                f"docs/report.md is silent on {path.name}"
            )

    def test_the_example_ends_no_go_when_its_escaping_is_removed(self, letter: Path) -> None:
        source = (letter / "letters.py").read_text(encoding="utf-8")
        assert source.count("escape(inputs[one.field])") == 1
        (letter / "letters.py").write_text(source.replace("escape(inputs[one.field])", "inputs[one.field]"))
        done = run("pytest acceptance/test_hostile_inputs.py", letter)
        assert done.returncode == 1, done.stdout
        assert re.search(r"hostile-inputs +NO-GO", done.stdout)

    def test_defects_are_planted_as_documented(self, letter: Path) -> None:
        caught, itself = run_all(PLANTING, letter).values()
        assert re.search(r"prompt-structure +NO-GO", caught)
        assert re.search(r"determinism +GO", itself)

    def test_phase_baseline_and_report_folder_are_taken_from_the_options(self, letter: Path) -> None:
        keep_suite(letter, "prompt_structure")
        (letter.parent / "release-1.9").mkdir()
        shutil.copy(letter / "letters.py", letter.parent / "release-1.9")
        run_all(WITH_ONE_SUITE, letter)
        nightly, pre = (
            json.loads((path / "latest" / "verdict.json").read_text())
            for path in (letter / "reports", letter.parent / "evidence")
        )
        assert nightly["run"]["phase"] == "nightly"
        assert pre["run"]["phase"] == "pre"
        assert [*pre["run"]["releases"]] == ["candidate", "baseline"]
        verdicts = {one["id"]: one["verdict"] for one in pre["criteria"]}
        assert verdicts["prompt-structure"] == "GO"

    def test_recordings_are_added_checked_and_updated(self, letter: Path) -> None:
        (letter / "conftest.py").write_text(CONFTEST_WITH_A_MODEL.format(tests=ROOT / "tests"), encoding="utf-8")
        replies = next(block for _, block in all_blocks("yaml") if block.text.startswith("# replies.yaml"))
        (letter / "replies.yaml").write_text(replies.text, encoding="utf-8")
        printed = run_all(WITH_RECORDINGS, letter)
        checked = printed["gonogo recordings check"]
        assert "missing: complaint/forged-heading" in checked
        assert "bicycle" not in checked, "what was added should fit"
        captured = load_recordings(letter / "recordings" / "1.0.0").recordings
        assert {one.provenance.value for one in captured} == {"captured"}

    @pytest.mark.parametrize("command", sorted(SERVING))
    def test_the_stub_is_served_as_documented(self, command: str) -> None:
        words = shlex.split(command)
        with subprocess.Popen(
            [str(BIN / words[0]), *words[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.terminate()
        assert process.returncode == 0
        assert re.fullmatch(rf"gonogo stub: {SERVING[command]} recordings on http://127\.0\.0\.1:\d+\n", first)

    def test_the_recorder_says_where_it_is(self, letter: Path) -> None:
        (letter / "conftest.py").write_text(CONFTEST_WITH_A_MODEL.format(tests=ROOT / "tests"), encoding="utf-8")
        words = [str(BIN / "gonogo"), *shlex.split(RECORDING)[1:], "--port", "0", "--stop-with-stdin"]
        done = subprocess.run(
            words, cwd=letter, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        first, last = done.stdout.splitlines()
        assert re.fullmatch(
            r"gonogo record: http://127.0.0.1:\d+ -> http://127.0.0.1:11434, writing fixtures/recordings/2.0.0", first
        )
        assert last == "gonogo record: recorded 0, already there 0, cut short 0, failed 0, not recorded 0"

    def test_signing_and_complaining_go_as_documented(self, tmp_path: Path) -> None:
        for name in ("conftest.py", "acceptance/criteria.toml", "acceptance/signoffs.toml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        run_all({command.replace("2027-05-31", "9999-12-31"): status for command, status in SIGNING.items()}, tmp_path)
        listed = run("gonogo signoff list", tmp_path)
        assert listed.returncode == 1, listed.stdout
        assert listed.stdout.startswith("failed  significant complaint")
        assert "ok      code-review: Jo Doe signed 2.0.0" in listed.stdout

    def test_alerting_rules_are_written_as_documented(self, tmp_path: Path) -> None:
        for name in ("workflows", "fixtures/cases", "acceptance"):
            shutil.copytree(ROOT / name, tmp_path / name)
        shutil.copy(ROOT / "conftest.py", tmp_path)
        printed = run_all(ALERTING, tmp_path)
        rules = yaml.safe_load(printed["gonogo rules"])
        names = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
        text = DOCUMENTS["docs/monitoring.md"]
        assert {"GonogoBlind", "GonogoStepsFailing"} <= names
        assert all(f"`{signal.value}`" in text for signal in Signal)
        for path in (tmp_path / "alerts").iterdir():
            assert f"`{path.name}`" in text

    def test_the_release_is_looked_at_as_documented(self) -> None:
        printed = run_all(PREFLIGHT, ROOT)
        shown = next(block.text for name, block in all_blocks("text") if name == "docs/preflight.md")
        assert set(json.loads(printed["gonogo preflight --json --disk 500MB"])) == {
            *("verdict", "release", "target", "findings", "open")
        }
        patterns = [re.sub(r"(\\\.|\d)+", "[0-9.]+", re.escape(line)) for line in shown.splitlines() if line != "..."]
        for pattern in patterns:
            assert any(re.fullmatch(pattern, line) for line in printed["gonogo preflight"].splitlines()), pattern

    def test_what_is_planted_is_listed_as_documented(self, letter: Path) -> None:
        printed = run_all(PROVING, letter)
        [table] = printed.values()
        assert re.search(r"^prompt-structure +section-missing +open", table, re.MULTILINE)

    def test_what_deployers_call_exists(self, pytestconfig: pytest.Config) -> None:
        calls = [yaml.safe_load(block.text) for name, block in all_blocks("yaml") if name == "docs/preflight.md"]
        [task], pod = calls
        unit = next(block.text for name, block in all_blocks("text") if "ExecStartPre" in block.text)
        commands = [
            task["ansible.builtin.command"],
            shlex.join(pod["spec"]["initContainers"][0]["command"]),
            unit.partition("ExecStartPre=")[2].splitlines()[0].removeprefix("/srv/blog/"),
        ]
        for command in commands:
            assert "gonogo preflight" in command
            findings = commands_of("docs/preflight.md", Block("console", f"$ {command}\n", 1), pytestconfig)
            assert [finding.reason for finding in findings if not finding.ok] == []

    @pytest.mark.parametrize("name", sorted(DOCUMENTS))
    def test_commands_inside_sentences_and_tables_exist(self, name: str, pytestconfig: pytest.Config) -> None:
        for number, line in enumerate(DOCUMENTS[name].splitlines(), start=1):
            for found in re.findall(r"`((?:gonogo|pytest|make|flask|gunicorn) [^`]+)`", line):
                findings = commands_of(name, Block("console", f"$ {found}\n", number), pytestconfig)
                assert [finding.reason for finding in findings if not finding.ok] == []


CONFTEST_WITH_A_MODEL = """
from pathlib import Path

from gonogo import Project, Release

ROOT = Path(__file__).parent
ADAPTER = "{tests}/small_application.py:open_release"


def pytest_gonogo_project() -> Project:
    return Project(
        root=ROOT,
        candidate=Release("2.0.0", ADAPTER, ROOT),
        baseline=Release("1.0.0", ADAPTER, ROOT, options={{"ending": " Be brief."}}),
        criteria=ROOT / "acceptance" / "criteria.toml",
        workflows=ROOT / "workflows",
        cases=ROOT / "cases",
        recordings=ROOT / "recordings",
        reports=ROOT / "reports",
    )
"""


class TestTheApplication:
    def test_init_db_and_gunicorn_start_as_documented(self, tmp_path: Path) -> None:
        seed, serve = sorted(APPLICATION)
        seeded = run(seed, tmp_path, PYTHONPATH=str(ROOT))
        assert seeded.returncode == 0, seeded.stderr
        assert "steps" in seeded.stdout
        served = run(f"{serve} --check-config", tmp_path, PYTHONPATH=str(ROOT))
        assert served.returncode == 0, served.stderr

    def test_curl_commands_get_what_the_api_promises(self, tmp_path: Path) -> None:
        application = create_app(
            {"DATABASE_URL": f"sqlite:///{tmp_path / 'blog.sqlite3'}", "LOG_SINK": lambda event: None}
        )
        assert application.test_cli_runner().invoke(args=["init-db"]).exit_code == 0
        commands = [shlex.split(command) for command in documented_commands() if is_curl(command)]
        assert commands
        for words in commands:
            method, body = words[words.index("-X") + 1], words[words.index("-d") + 1]
            path = words[-1].removeprefix("http://127.0.0.1:8000")
            answer = application.test_client().open(path, method=method, data=body)
            assert answer.status_code == 201, answer.text

    def test_every_setting_error_metric_and_log_event_is_documented(self) -> None:
        api = DOCUMENTS["docs/api.md"]
        settings = {one.name.upper() for one in fields(Settings)}
        codes = {error.code for error in descendants(AppError)} - {
            "llm-error",
            "settings-invalid",
            "definition-invalid",
        }
        sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "app").rglob("*.py"))
        events = set(re.findall(r"\.log\.(?:debug|info|warning|error)\(\s*\"([a-z.]+)\"", sources))
        metrics = set(re.findall(r"^# TYPE (blog_\w+) (?:counter|gauge|histogram)$", empty_metrics(), re.MULTILINE))
        assert len(events) >= 5
        assert len(metrics) >= 7
        for name in {*settings, *codes, *events, *metrics}:
            assert f"`{name}`" in api, f"docs/api.md is silent on {name}"


def descendants(error: type[AppError]) -> Iterator[type[AppError]]:
    yield error
    for one in error.__subclasses__():
        yield from descendants(one)


def empty_metrics() -> str:
    application = create_app({"DATABASE_URL": "sqlite:///:memory:", "LOG_SINK": lambda event: None})
    return application.test_client().get("/metrics").text


class TestBlocks:
    def test_every_block_says_what_it_is(self) -> None:
        languages = {"console", "text", "python", "toml", "yaml", "json"}
        assert [named(one) for one in all_blocks() if one[1].language not in languages] == []

    @pytest.mark.parametrize("found", all_blocks("python"), ids=named)
    def test_python_blocks_run(self, found: tuple[str, Block]) -> None:
        assert run_block(found[1])

    @pytest.mark.parametrize("found", all_blocks("json"), ids=named)
    def test_json_blocks_are_json(self, found: tuple[str, Block]) -> None:
        assert json.loads(found[1].text)

    @pytest.mark.parametrize("found", all_blocks("toml"), ids=named)
    def test_toml_blocks_are_criteria(self, found: tuple[str, Block], tmp_path: Path) -> None:
        data = tomllib.loads(found[1].text)
        if "criterion" in data:
            (tmp_path / "criteria.toml").write_text(found[1].text, encoding="utf-8")
            assert load_criteria(tmp_path / "criteria.toml").criteria
        elif "target" in data:
            assert is_part_of(data, example_criteria(HELPDESK)), "a part of the help desk's file"
        elif "signoff" in data:
            kept = parse_signoffs(found[1].text.encode(), tmp_path / "signoffs.toml")
            assert not flaws(kept.signoffs[0], date(2026, 11, 25))
            for key in {key for table in data.values() for one in table for key in one}:
                assert f"`{key}`" in DOCUMENTS["docs/sign-offs.md"], key
        elif "survivor" in data:
            (tmp_path / "mutants.toml").write_text(found[1].text, encoding="utf-8")
            assert load_mutation_rules(tmp_path / "mutants.toml").survivors
        elif "patterns" in data:
            (tmp_path / "redaction.toml").write_text(found[1].text, encoding="utf-8")
            assert len(read_patterns(tmp_path)) == 2
        else:
            assert data == {"prompt": example_criteria()["prompt"]}, "the part of the example that the README shows"

    def test_yaml_blocks_are_what_their_first_line_says(self, tmp_path: Path) -> None:
        shutil.copytree(LETTER / "workflows" / "formats", tmp_path / "workflows" / "formats")
        for document, block in all_blocks("yaml"):
            if document == "docs/preflight.md":
                continue  # of deployers, see test_what_deployers_call_exists
            path = re.match(r"# (\S+\.yaml)\n", block.text)
            assert path, f"{document}:{block.line}: the first line should say which file this is: # path/to/file.yaml"
            (tmp_path / path[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path[1]).write_text(block.text, encoding="utf-8")
        workflow = load_workflow(tmp_path / "workflows", tmp_path / "fixtures" / "cases")
        assert [step.id for step in workflow.steps] == ["complaint"]
        assert len(workflow.cases_of("complaint")) == 2
        assert load_recordings(tmp_path / "fixtures" / "recordings" / "2.0.0").recordings
        written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.yaml")}
        assert written == {"workflows", "fixtures", "replies.yaml"}, "nothing else is loaded above"

    def test_the_readme_shows_the_wiring_of_the_example(self) -> None:
        shown: list[dict[str, Any]] = [run_block(block) for name, block in all_blocks("python") if name == "README.md"]
        wiring = next(names["pytest_gonogo_project"] for names in shown if "pytest_gonogo_project" in names)
        project: Project = wiring()
        assert project == find_project(LETTER)
        assert any("open_release" in names for names in shown)

    def test_the_example_of_a_step_is_a_step_of_the_example(self) -> None:
        block = next(block for _, block in all_blocks("yaml") if "letters/complaint.yaml" in block.text[:60])
        shown = block.text.split("\n", 1)[1].replace("[data:recipient]", "{recipient}")
        assert yaml.safe_load(shown) == yaml.safe_load((LETTER / "workflows/letters/complaint.yaml").read_text())


def run_block(block: Block) -> dict[str, Any]:
    """The names that a Python block defines."""
    names: dict[str, Any] = {"__name__": "documented", "__file__": str(LETTER / "conftest.py")}
    exec(compile(block.text, "documented", "exec", dont_inherit=True), names)
    return names


def example_criteria(example: Path = LETTER) -> dict[str, Any]:
    return tomllib.loads((example / "acceptance" / "criteria.toml").read_text(encoding="utf-8"))


def is_part_of(shown: Any, whole: Any) -> bool:
    if isinstance(shown, dict) and isinstance(whole, dict):
        return all(name in whole and is_part_of(value, whole[name]) for name, value in shown.items())
    return bool(shown == whole)


class TestTheRest:
    def test_the_suites_of_the_example_are_copies(self) -> None:
        suites = sorted(LETTER.glob("acceptance/test_*.py"))
        assert len(suites) == 6
        for suite in suites:
            assert suite.read_bytes() == (ROOT / "acceptance" / suite.name).read_bytes(), f"copy {suite.name} again"

    def test_every_fault_path_and_control_call_of_the_stub_is_explained(self) -> None:
        text = DOCUMENTS["docs/stub.md"]
        stub = Stub(RecordingSet.of([]))
        control = Control(stub, BoundedJournal(), Lease(stub), State())
        calls = {name.removeprefix("/_gonogo/") for name in re.findall(r"/_gonogo/\w+", text)}
        assert calls == {name for _, name in control.handlers}
        for method in {method for method, _ in control.handlers}:
            assert f"`{method}" in text
        for name in (*(fault.value for fault in LlmFault), *SERVED):
            assert f"`{name}`" in text, f"docs/stub.md is silent on {name}"

    @pytest.mark.parametrize("folder", ["reports", "benchmarks/projects/aimock"])
    def test_what_comes_by_npm_is_pinned_by_content_and_by_no_address(self, folder: str) -> None:
        lock = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))
        packages = {name: told for name, told in lock["packages"].items() if name}
        assert packages
        assert all("integrity" in told and "resolved" not in told for told in packages.values())

    @pytest.mark.parametrize("name", sorted(DOCUMENTS))
    def test_links_and_pictures_lead_somewhere(self, name: str) -> None:
        text = re.sub(r"```.*?```", "", DOCUMENTS[name], flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith("https://"):
                assert (ROOT / name).parent.joinpath(target.partition("#")[0]).exists(), f"{name}: {target}"

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda data: data,
            lambda data: data["prompt"],
            lambda data: data["criterion"][0],
            lambda data: data["criterion"][-1]["measure"][0],
            lambda data: data["watch"],
            lambda data: data["trigger"][0],
        ],
        ids=["file", "prompt", "criterion", "measure", "watch", "trigger"],
    )
    def test_every_key_of_criteria_toml_is_explained(
        self, spoil: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path
    ) -> None:
        data = example_criteria()
        data["criterion"] = [one for one in data["criterion"] if "measure" in one]
        data["criterion"].insert(0, {key: value for key, value in data["criterion"][0].items() if key != "measure"})
        data["criterion"][0]["id"] = "another"
        data["watch"] = {}
        data["trigger"] = [{"id": "errors", "title": "t", "signal": "failed-runs", "alert": "> 0.05"}]
        spoil(data)["unheard-of"] = 1
        (tmp_path / "criteria.toml").write_text(as_toml(data), encoding="utf-8")
        with pytest.raises(DefinitionError, match="unknown key") as caught:
            load_criteria(tmp_path / "criteria.toml")
        known = re.sub(r"\s+", " ", str(caught.value)).rpartition("known are ")[2].split(", ")
        for key in known:
            assert re.search(rf"`(\[+)?{key}(\]+)?`|\.{key}\]\]", DOCUMENTS["docs/criteria.md"]), key

    def test_the_runbook_has_a_section_for_everything_that_fires(self) -> None:
        rules = load_criteria(ROOT / "acceptance" / "criteria.toml").watch
        assert rules is not None
        sections = set(re.findall(r"(?m)^## (\S+)$", DOCUMENTS[rules.runbook]))
        assert {*(trigger.id for trigger in rules.triggers), "blind"} <= sections

    def test_every_key_of_target_is_explained(self, tmp_path: Path) -> None:
        text = DOCUMENTS["docs/live.md"].partition("## The section")[2]
        for spoiled in ((), ("answers",), ("metric_names",)):
            data = example_criteria(HELPDESK)
            place = data["target"]
            for key in spoiled:
                place = place[key]
            place["unheard-of"] = "1"
            (tmp_path / "criteria.toml").write_text(as_toml(data), encoding="utf-8")
            with pytest.raises(DefinitionError) as caught:
                load_criteria(tmp_path / "criteria.toml")
            said = re.sub(r"\s+", " ", str(caught.value))
            known = re.split(r"known are |is not one of ", said)[-1].split(", ")
            assert len(known) > 3, said
            for key in known:
                assert f"| `{key}` |" in text, key

    def test_the_adapter_that_is_shown_is_the_help_desks(self) -> None:
        wiring = (HELPDESK / "conftest.py").read_text(encoding="utf-8")
        [block] = [block for name, block in all_blocks("python") if name == "docs/live.md"]
        assert block.text[block.text.index("class HelpDesk") :].strip() in wiring

    def test_reasons_that_are_explained_are_messages_of_the_software(self) -> None:
        for line in section(DOCUMENTS["docs/live.md"], "## What stays open").splitlines():
            reason = line.split(" | ")[1] if line.count(" | ") == 2 else ""
            for message in re.findall(r"`([^`]+)`", reason):
                for part in message.split("..."):
                    assert part.strip() in what_is_said(), f"no message holds {part.strip()!r} of {message!r}"

    def test_the_messages_of_troubleshooting_are_messages_of_the_software(self) -> None:
        said = what_is_said()
        for line in DOCUMENTS["docs/troubleshooting.md"].splitlines():
            first = line.removeprefix("| ").split(" | ")[0] if line.startswith("| `") else ""
            for message in re.findall(r"`([^`]+)`", first):
                for part in re.split(r"\.\.\.|<[^>]*>|'[^']*'|\b[nm]\b|\[a, b\]", message):
                    assert part.strip(" ,:;") in said, f"no message holds {part.strip()!r} of {message!r}"


def what_is_said() -> str:
    """The source of everything that says something, with messages that go over several lines in one piece."""
    sources = [path for folder in ("gonogo", "app", "acceptance") for path in (ROOT / folder).rglob("*.py")]
    return re.sub(r"[\"']\s+f?[\"']", "", "\n".join(path.read_text(encoding="utf-8") for path in sources))


def section(text: str, heading: str) -> str:
    """What stands below a heading, as far as the next one."""
    return re.split(r"^#+ ", text.split(heading, 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def as_toml(data: dict[str, Any]) -> str:
    """Enough TOML for criteria: texts, numbers, lists of texts, true and false, tables, arrays of tables."""

    def lines(table: dict[str, Any], path: str) -> Iterator[str]:
        tables = {
            key: value
            for key, value in table.items()
            if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
        }
        for key, value in table.items():
            if key not in tables:
                yield f"{key} = {json.dumps(value)}"
        for key, value in tables.items():
            place = f"{path}.{key}" if path else key
            for one in value if isinstance(value, list) else [value]:
                yield f"[[{place}]]" if isinstance(value, list) else f"[{place}]"
                yield from lines(one, place)

    return "\n".join(lines(data, "")) + "\n"
