"""1,000 recorded cases constructed, checked and their replies validated: gonogo beside plain pytest, whole processes.

Each side is a process of its own, from its start to its end, Allure results written. The sides run one after the other
in each round, so that what else the machine does meets all of them. Bytecode is compiled before the first round.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Keep
from benchmarks.replay import ROOT, Replay, write_replay

ROUNDS = 3
# what an installation of gonogo brings along, and nothing that stands in this environment for other reasons
_GONOGO = ("allure_pytest", "xdist", "benchmark", "gonogo")
_PLAIN = ("allure_pytest",)


@dataclass(frozen=True)
class Side:
    """One way to verify the cases: the pytest plugins that it loads and its further arguments."""

    folder: str
    plugins: tuple[str, ...]
    arguments: tuple[str, ...]


SIDES: Mapping[str, Side] = {
    "gonogo": Side("gonogo", _GONOGO, ("acceptance",)),
    "plain pytest": Side("documented", _PLAIN, ()),
    "plain, tuned": Side("plain", _PLAIN, ("--attach-prompts",)),
    "tuned, nothing attached": Side("plain", _PLAIN, ()),
    "tuned, nor asked over HTTP": Side("plain", _PLAIN, ("--look-up",)),
}


@dataclass(frozen=True)
class Bench:
    """The two projects, and the environment that every side runs in."""

    replay: Replay
    environment: Mapping[str, str]

    def command(self, side: Side, results: Path) -> list[str]:
        """The command line of a side."""
        plugins = [part for plugin in side.plugins for part in ("-p", plugin)]
        options = ["-q", "--disable-plugin-autoload", *plugins, f"--alluredir={results}"]
        return [sys.executable, "-m", "pytest", *side.arguments, *options]

    def clear(self, side: Side) -> Path:
        """Remove what earlier rounds of a side wrote; gives the folder for its Allure results."""
        folder = self.replay.gonogo.parent / side.folder
        for left in ("reports", "allure-results"):
            shutil.rmtree(folder / left, ignore_errors=True)
        return folder / "allure-results"

    def verify(self, side: Side, results: Path) -> None:
        """Run a side to its end.

        Raises:
            RuntimeError: it did not end with status 0; a figure of such a run would mean nothing.
        """
        command = self.command(side, results)
        done = subprocess.run(
            command, cwd=results.parent, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Both projects, every side run once so that nothing is compiled while it is timed."""
    folder = tmp_path_factory.mktemp("verification")
    # a shell that forbids bytecode would have pytest rewrite hundreds of modules in every process
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    made = Bench(
        write_replay(folder / "replay"),
        {**environment, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONPATH": str(ROOT)},
    )
    for side in SIDES.values():
        results = made.clear(side)
        made.verify(side, results)
        _verified_everything(made.replay, side, results)
    return made


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("run", range(1, ROUNDS + 1))
def test_verify_a_thousand_cases(run: int, name: str, bench: Bench, benchmark: BenchmarkFixture, keep: Keep) -> None:
    benchmark.group = "verification of 1,000 cases"
    side = SIDES[name]
    results = bench.clear(side)
    benchmark.pedantic(bench.verify, (side, results), rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    _verified_everything(bench.replay, side, results)
    keep("verification", benchmark.group, name)


def _verified_everything(replay: Replay, side: Side, results: Path) -> None:
    """Outside the timing: every case was looked at by every check, and nothing failed."""
    if side.folder == "gonogo":
        document = json.loads((replay.gonogo / "reports" / "latest" / "verdict.json").read_text(encoding="utf-8"))
        assert document["verdict"] == "GO", document["verdict"]
        found = {one["id"]: sum(claim["findings"] for claim in one["claims"]) for one in document["criteria"]}
        per_case = {"prompt-structure": 1, "format-templates": 2, "field-mapping": 3, "recorded-replies": 1}
        wanted = {criterion: number * replay.cases for criterion, number in per_case.items()}
        assert {criterion: found[criterion] for criterion in wanted} == wanted, found
    else:
        statuses = [json.loads(path.read_text(encoding="utf-8"))["status"] for path in results.glob("*-result.json")]
        assert statuses == ["passed"] * replay.cases, f"{len(statuses)} results"
