"""``gonogo rules``: what it writes, what it says is missing, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from small_project import CRITERIA, write_project

from gonogo.cli import main

WATCH = """
[target]
preview_inputs = "POST /preview"

[target.metric_names]
runs = "runs_total"
failed_runs = 'runs_total{status="failed"}'

[watch]

[[trigger]]
id = "errors"
title = "Runs fail"
signal = "failed-runs"
alert = "> 0.05"
rollback = "> 0.1"

[[trigger]]
id = "memory"
title = "Memory grows"
signal = "memory"
alert = "> 1.5"
"""
URL = "http://127.0.0.1:8099/back"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project, worked in, with a watch."""
    write_project(tmp_path)
    (tmp_path / "criteria.toml").write_text(CRITERIA + WATCH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rules(*arguments: str) -> Result:
    """Run the command. A traceback is no way to end."""
    result = CliRunner().invoke(main, ["rules", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_rules_are_printed_and_what_has_none_is_said() -> None:
    result = rules("--job", "letters", "--window", "10m")
    assert result.exit_code == 0
    written = yaml.safe_load(result.stdout)
    expressions = [rule["expr"] for group in written["groups"] for rule in group["rules"]]
    assert any('increase(runs_total{status="failed",job="letters"}[10m])' in one for one in expressions)
    assert result.stderr == (
        "gonogo rules: memory: no rule, as criteria.toml does not name memory and release; "
        "add it to [target.metric_names]\n"
    )


def test_rules_tests_and_routes_are_written_to_a_folder(project: Path) -> None:
    result = rules("--out", "deploy/alerts", "--webhook", URL, "--alert-webhook", "https://chat.example/hook")
    assert result.exit_code == 0, result.output
    folder = project / "deploy" / "alerts"
    names = ["alertmanager.yml", "gonogo.rules.test.yml", "gonogo.rules.yml"]
    assert sorted(path.name for path in folder.iterdir()) == names, "nothing else is left there"
    assert [line for line in result.stdout.splitlines() if line.startswith("wrote ")] == [
        f"wrote deploy/alerts/{name}" for name in ("gonogo.rules.yml", "gonogo.rules.test.yml", "alertmanager.yml")
    ]
    for path in folder.iterdir():
        assert path.read_text().startswith("# Written by gonogo rules from criteria.toml; do not edit.\n")
        assert yaml.safe_load(path.read_text())
    assert yaml.safe_load((folder / "gonogo.rules.test.yml").read_text())["rule_files"] == ["gonogo.rules.yml"]
    assert URL in (folder / "alertmanager.yml").read_text()


def test_routes_that_would_swallow_alerts_are_not_written(project: Path) -> None:
    result = rules("--out", "alerts")
    assert result.exit_code == 0
    assert (
        "alertmanager.yml is not written, as nothing says where roll-backs are reported; give --webhook"
        in result.stderr
    )
    assert not (project / "alerts" / "alertmanager.yml").exists()
    told = rules("--out", "alerts", "--webhook", URL).stderr
    assert "the receiver people is empty, so alerts reach nobody; give --alert-webhook" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--webhook", URL), "written with --out DIR; give it"),
        (("--out", "a", "--alert-webhook", URL), "--alert-webhook goes with --webhook"),
        (("--out", "a", "--webhook", "chat"), "'chat' is not the URL of a webhook; write one such as http://"),
        (("--window", "5 minutes"), "'5 minutes' is no duration; write one such as 60s, 5m or 1h"),
        (("--window", "3d"), "'3d' is no duration"),
        (("--window", "9" * 400 + "h"), "is no duration"),
        (("--window", "48h"), "a window of 172800 s shows nothing of use; write one of 1s to 1d"),
        (("--job", "a b"), "the job 'a b' is not a name; write the job_name of the scrape configuration"),
        (("--out", "criteria.toml"), "criteria.toml"),
        (("--out", "criteria.toml/a"), "cannot be written to (Not a directory); name another folder with --out"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_wrong_usage_says_what_to_write(arguments: tuple[str, ...], said: str, project: Path) -> None:
    result = rules(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (project / "a").exists()


def test_a_project_without_triggers_says_where_they_stand(project: Path) -> None:
    (project / "criteria.toml").write_text(CRITERIA)
    result = rules()
    assert result.exit_code == 2
    assert (
        "criteria.toml: there are no triggers to make rules of; write [watch] and at least one [[trigger]]"
        in result.stderr
    )


def test_a_metric_that_is_none_is_named(project: Path) -> None:
    (project / "criteria.toml").write_text(CRITERIA + WATCH.replace('"runs_total"', '"runs total"'))
    result = rules()
    assert result.exit_code == 2
    assert (
        "criteria.toml: target.metric_names: runs = 'runs total' is not a metric; write a name such as" in result.stderr
    )


def test_a_folder_that_cannot_be_finished_keeps_its_old_files(project: Path) -> None:
    (project / "alerts").mkdir()
    (project / "alerts" / "gonogo.rules.yml").write_text("old")
    assert rules("--out", "alerts", "--window", "0.1s").exit_code == 2
    assert (project / "alerts" / "gonogo.rules.yml").read_text() == "old"
    assert rules("--out", "alerts").exit_code == 0
    assert (project / "alerts" / "gonogo.rules.yml").read_text() != "old"
