"""``gonogo watch`` from its options to its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from acceptance_live import Deployment, deployed
from click.testing import CliRunner

from gonogo.cli import main
from gonogo.runs import RunDirectory
from gonogo.stub.remote import served_stub

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--target'"),
        (["--target", "http://127.0.0.1:9", "--for", "an hour"], "is no duration"),
        (["--target", "http://127.0.0.1:9", "--selector", 'job="x"'], "name that with --prometheus"),
        (["--target", "http://127.0.0.1:9", "--synthetic", "1", "--read-only"], "leave one of them out"),
        (["--target", "http://127.0.0.1:9", "--on-rollback", "echo 'open"], "is no command"),
        (["--target", "http://127.0.0.1:9", "--on-rollback", " "], "--on-rollback is empty"),
        (["--target", "http://127.0.0.1:9", "--serve", "80000"], "80000"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)
def test_wrong_usage_says_what_to_write(arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(main, ["watch", *arguments])
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ("[target]", "write [target]"),
        ("[watch]", "write them, see docs/watching.md"),
        ("live-watch", "no criterion 'live-watch'"),
    ],
)
def test_criteria_that_do_not_say_how_to_watch_are_refused(
    cut: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "acceptance" / "criteria.toml").read_text(encoding="utf-8")
    if cut == "live-watch":
        text = text.replace('id = "live-watch"', 'id = "another"')
    else:
        begin = text.index(f"{cut}\n")
        end = text.index("[[criterion]]") if cut == "[watch]" else text.index("# How the live service is watched")
        text = text[:begin] + text[end:]
    (tmp_path / "criteria.toml").write_text(text, encoding="utf-8")
    wiring = f"""
from dataclasses import replace
from pathlib import Path
import importlib.util
spec = importlib.util.spec_from_file_location("bundled", {str(ROOT / "conftest.py")!r})
bundled = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bundled)
def pytest_gonogo_project():
    return replace(bundled.pytest_gonogo_project(), criteria=Path({str(tmp_path / "criteria.toml")!r}))
"""
    (tmp_path / "conftest.py").write_text(wiring, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, ["watch", "--target", "http://127.0.0.1:9"])
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())


@pytest.fixture(scope="module")
def live() -> Iterator[Deployment]:
    with served_stub([ROOT / "fixtures" / "recordings" / "2.0.0"]) as stub, deployed(ROOT, stub) as found:
        yield found


def started(live: Deployment, reports: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "gonogo",
        "watch",
        "--target",
        live.url,
        "--stub",
        live.stub,
        "--report",
        str(reports),
    ]
    return subprocess.Popen(
        [*command, *more],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_short_watch_of_a_well_service_is_inconclusive_and_leaves_a_sealed_run(
    live: Deployment, tmp_path: Path
) -> None:
    with started(live, tmp_path, "--for", "5s", "--synthetic", "5") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 10, said
    assert "silence means nothing below 300" in said
    (run,) = (tmp_path / "runs").iterdir()
    loaded = RunDirectory(run).load()
    assert loaded.info.facts.phase.value == "post-stub"
    assert not RunDirectory(run).changed_files()
    assert [shard.name for shard in loaded.shards if shard.name == "watch"] == ["watch"]
    left = requests.get(f"{live.url}/api/posts?title=gonogo", timeout=10).json()["posts"]
    assert left == [], "synthetic runs remove their posts"


def test_a_watch_is_shown_as_a_page_and_ends_when_it_is_asked_to(live: Deployment, tmp_path: Path) -> None:
    with started(live, tmp_path, "--for", "1h", "--serve", "0") as process:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition(" ")[2].strip()
        process.stdout.readline()  # the first look
        told = requests.get(f"{address}/state.json", timeout=10).json()
        os.kill(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert (told["candidate"], told["previous"], told["release"], told["for"]) == ("2.0.0", "1.9.0", "2.0.0", 3600.0)
    assert {one["id"] for one in told["triggers"]} >= {"errors", "service-away", "complaints"}
    assert process.returncode == 10
    assert "the watch was ended after" in said


def test_a_watch_in_which_nothing_fires_runs_no_command(live: Deployment, tmp_path: Path) -> None:
    marker = tmp_path / "rolled"
    code = f"import json, pathlib; pathlib.Path({str(marker)!r}).write_text(json.dumps('called'))"
    with started(live, tmp_path, "--for", "3s", "--on-rollback", f"{sys.executable} -c {json.dumps(code)}") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 10, said
    assert not marker.exists(), "nothing fired, so nothing is rolled back"
