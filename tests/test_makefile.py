"""make acceptance: whose report it makes, and when it is a success. pytest and gonogo are stood in for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"

# Like pytest: a run in the folder that is asked for, unless there is none; it ends with the status of the run.
PYTEST = """#!/bin/sh
folder=reports
set -- $PYTEST_ADDOPTS "$@"
while [ $# -gt 0 ]; do
    case $1 in
        --gonogo-report=*) folder=${1#*=} ;;
        --gonogo-report) folder=$2 ;;
        gonogo_report=*) folder=${1#*=} ;;
        --nothing) exit 4 ;;
        --cut-off) mkdir -p "$folder/runs/cut-off"; exit 3 ;;
    esac
    shift
done
mkdir -p "$folder/runs/new" && ln -sfn runs/new "$folder/latest"
exit ${STATUS:-0}
"""
GONOGO = """#!/bin/sh
[ "$1" = report ] && [ -d "$2" ] || exit 2
echo "report:   $2"
exit ${REPORTED:-0}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which ``make acceptance`` works; an older run lies in each place."""
    for name, text in {"bin/pytest": PYTEST, "bin/gonogo": GONOGO, "scripts/environment.py": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for folder in ("reports", "else where"):
        (tmp_path / folder / "runs" / "old").mkdir(parents=True)
        (tmp_path / folder / "latest").symlink_to("runs/old")
    return tmp_path


def make_acceptance(
    project: Path, arguments: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "MAKE", "MFLAGS"))}
    command = ["make", "-f", str(MAKEFILE), "acceptance", "BIN=bin", f"ARGS={arguments}"]
    return subprocess.run(
        command,
        cwd=project,
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "addopts", "run"),
    [
        ("", "", "reports/runs/new"),
        ("-n 2 -k 'structure or length'", "-q", "reports/runs/new"),
        ("--gonogo-report=elsewhere", "", "elsewhere/runs/new"),
        ("--gonogo-report elsewhere/below -n 2", "", "elsewhere/below/runs/new"),
        ("--gonogo-report='else where'", "", "else where/runs/new"),
        ("-o gonogo_report=elsewhere", "", "elsewhere/runs/new"),
        ("-n 2", "--gonogo-report=elsewhere", "elsewhere/runs/new"),
    ],
)
def test_the_report_is_of_the_run_wherever_it_was_written(
    project: Path, arguments: str, addopts: str, run: str
) -> None:
    done = make_acceptance(project, arguments, {"PYTEST_ADDOPTS": addopts})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"report:   {project / run}\n" in done.stdout


@pytest.mark.parametrize("arguments", ["--nothing", "--gonogo-report='else where' --nothing"])
def test_the_report_of_an_older_run_is_never_made(project: Path, arguments: str) -> None:
    done = make_acceptance(project, arguments)
    assert done.returncode != 0
    assert "pytest acceptance/ ended with status 4 and left no run to report\n" in done.stdout
    assert "report: " not in done.stdout


def test_a_run_that_never_began_its_tests_is_not_reported(project: Path) -> None:
    done = make_acceptance(project, "--gonogo-report=elsewhere --cut-off")
    assert done.returncode != 0
    assert "ended with status 3 and left no run to report\n" in done.stdout


@pytest.mark.parametrize("environment", [{"STATUS": "1"}, {"STATUS": "10"}, {"REPORTED": "1"}, {"REPORTED": "2"}])
def test_only_go_with_a_report_is_a_success(project: Path, environment: Mapping[str, str]) -> None:
    done = make_acceptance(project, "--gonogo-report=elsewhere", environment)
    assert done.returncode != 0
    assert ("there is no report" in done.stdout) == (environment.get("REPORTED") == "2")
    assert f"pytest:   status {environment.get('STATUS', '0')} (0 GO, 1 NO-GO, 10 INCONCLUSIVE)" in done.stdout
