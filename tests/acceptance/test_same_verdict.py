"""One project, one verdict: in one process, in several, in any order."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from constructor_project import ADAPTER, add_integrity, add_speed, write, write_project
from sandbox import ROOT, Answer, Copy, run_pytest

WAYS = {
    "one process": ("-n", "0", "-p", "no:randomly"),
    "two processes": ("-n", "2", "-p", "no:randomly"),
    "another order": ("-n", "0", "-p", "randomly", "--randomly-seed=20260916"),
}

# What tells one run from another, and what a clock or a tracer measured; samples are taken until the answer is clear.
_OF_A_RUN = ("id", "started", "digest")
_MEASURED = ("estimate", "lower", "upper", "n")


def _without_figures(document: dict[str, Any]) -> dict[str, Any]:
    kept = copy.deepcopy(document)
    for key in _OF_A_RUN:
        del kept["run"][key]
    for criterion in kept["criteria"]:
        for claim in criterion["claims"]:
            for bound in claim["bounds"]:
                for key in _MEASURED:
                    bound.pop(key, None)
    return kept


def _in_every_way(folder: Path) -> dict[str, Answer]:
    return {name: run_pytest(folder, "acceptance", "-q", *arguments) for name, arguments in WAYS.items()}


def test_a_release_that_holds_is_go_in_every_way(tmp_path: Path) -> None:
    write_project(tmp_path)
    add_speed(tmp_path)
    add_integrity(tmp_path)
    answers = _in_every_way(tmp_path)
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(WAYS, 0)
    documents = [_without_figures(answer.document) for answer in answers.values()]
    assert all(document == documents[0] for document in documents)
    samples = [answer.document["criteria"][2]["claims"][0]["bounds"][0]["n"] for answer in answers.values()]
    assert samples == [2, 2, 2], "the measured pass takes its samples, once"


@pytest.mark.parametrize("options", ["--lf", "-p no:cacheprovider", "--sw"])
def test_what_pytest_is_always_told_does_not_keep_the_measured_pass_from_its_work(tmp_path: Path, options: str) -> None:
    write_project(tmp_path)
    add_speed(tmp_path)
    command = [sys.executable, "-m", "pytest", "acceptance", "-q", "-p", "no:allure_pytest"]
    environment = {**os.environ, "PYTEST_ADDOPTS": options}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "GO  all 3 required criteria hold" in done.stdout, done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [("RESPONSE:", "ANSWER:", 1), ("    entries =", "    __import__('os')._exit(0)\n    entries =", 10)],
    ids=["falls short", "ends its process"],
)
def test_a_release_that_does_not_hold_fails_alike_in_every_way(tmp_path: Path, old: str, new: str, status: int) -> None:
    write_project(tmp_path)
    write(tmp_path, "adapter.py", ADAPTER.replace(old, new))
    answers = {
        name: run_pytest(tmp_path, "acceptance", "-q", "-p", "no:allure_pytest", *arguments)
        for name, arguments in WAYS.items()
        if name != "one process"
    }
    assert {answer.status for answer in answers.values()} == {status}
    first, second = (_without_figures(answer.document) for answer in answers.values())
    assert first == second


@pytest.mark.slow
def test_the_bundled_application_is_judged_alike_in_every_way(tmp_path: Path) -> None:
    copied = Copy.of_project(tmp_path, steps=("initial-concept", "section-headings", "meta"))
    copied.set_parameter("error-rate", "cases", 400)
    copied.set_parameter("memory", "constructions", 500)
    for criterion in ("construction-time", "performance-maintained"):  # how busy the machine is must not decide here
        copied.remove_criterion(criterion)
    for name in ("Makefile", "README.md", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    answers = _in_every_way(tmp_path)
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(WAYS, 0)
    documents = [_without_figures(answer.document) for answer in answers.values()]
    assert all(document == documents[0] for document in documents)
    assert len(documents[0]["criteria"]) == 16
