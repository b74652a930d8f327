"""``gonogo prove`` on the bundled application: real defects, real runs, and the verdict that stands beside the proof."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sandbox import Copy

from gonogo.rundown import verify
from gonogo.runs import RunDirectory

pytestmark = pytest.mark.exhaustive

STEPS = ("initial-concept", "interesting-facts", "structure")
CAUGHT = ("section-missing", "input-renamed")


def prove(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONDONTWRITE"))}
    command = [sys.executable, "-m", "gonogo", "prove", *arguments]
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=600, check=False)


def read_proof(copy: Copy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((copy.root / "reports" / "proof.json").read_text(encoding="utf-8"))
    return found


def test_two_defects_are_caught_and_the_next_run_says_so(tmp_path: Path) -> None:
    copy = Copy.of_project(tmp_path, steps=STEPS)
    only = [word for defect in CAUGHT for word in ("--only", defect)]
    done = prove(copy.root, *only)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {one["defect"]: one["outcome"] for each in read_proof(copy)["criteria"] for one in each["defects"]}
    assert outcomes == dict.fromkeys(CAUGHT, "caught")

    again = prove(copy.root, *only)
    assert again.returncode == 0
    assert "2 planted defects are known already" in again.stdout

    answer = copy.judge("prompt-structure")
    assert answer.verdicts["prompt-structure"] == "GO"
    assert answer.document["proof"]["state"] == "fresh"
    assert "proof: 2 of 2 planted defects caught" in answer.output
    assert answer.folder is not None
    assert verify(RunDirectory(answer.folder))


def test_a_suite_that_looks_at_nothing_is_caught_and_no_longer_go(tmp_path: Path) -> None:
    copy = Copy.of_project(tmp_path, steps=STEPS)
    suite = "acceptance/test_prompt_structure.py"
    copy.append(suite, "def sections_in_order(*_):\n    return Finding('sections', True, 'whatever')\n")
    copy.append(suite, "from gonogo.model import Finding  # noqa: E402\n")
    done = prove(copy.root, "--only", "section-missing")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "section-missing" in done.stdout
    assert "expected NO-GO, seen GO" in " ".join(done.stdout.split())
    answer = copy.judge("prompt-structure")
    assert answer.verdicts["prompt-structure"] == "INCONCLUSIVE"
    assert "it caught none (section-missing)" in " ".join(answer.output.split())


def test_the_release_is_held_against_itself_on_what_is_measured(tmp_path: Path) -> None:
    copy = Copy.of_project(tmp_path, steps=STEPS)
    copy.set_parameter("memory", "constructions", 1000)
    measured = ("memory", "performance-maintained")
    prove(copy.root, "--only", "memory", "--only", "performance-maintained", "--decisions", "4")
    itself = {one["id"]: one["itself"] for one in read_proof(copy)["criteria"] if one["id"] in measured}
    assert itself["performance-maintained"]["claims"] >= 1, "by turns with itself, whatever comes of it"
    [memory] = [one for one in read_proof(copy)["criteria"] if one["id"] == "memory"]
    assert memory["itself"]["claims"] == len(STEPS) + 1
    assert memory["itself"]["no_go"] == 0
    assert memory["false_no_go"]["upper"] == pytest.approx(1 - 0.05 ** (1 / 4))
