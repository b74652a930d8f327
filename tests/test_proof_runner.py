"""One run of a proof: which command is started, and what is read of the run that it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest
from builders import CLAIM, FACTS, criteria, criterion, ended, finding
from test_runs import CRITERIA

from gonogo.clock import OwnClock
from gonogo.criteria import Criterion
from gonogo.errors import TargetError
from gonogo.evidence import Shard
from gonogo.model import Ability, Collected, Evidence, Gap, Phase, Status
from gonogo.planting import Planting
from gonogo.proof import Seen
from gonogo.proof_runner import PytestRunner, seen_in
from gonogo.proving import Job
from gonogo.pytest_runs import PytestRun, PytestRuns, RunBroke
from gonogo.rundown import conclude
from gonogo.runs import RunDirectory, RunInfo
from gonogo.stub import Stub
from gonogo.stub.in_process import ModelClock
from gonogo.suites import Suites
from gonogo.targets.planted import plant

STRUCTURE = criterion("structure", needs=(Ability.PROMPT,))


def judged(folder: Path, *evidence: Evidence, failure: str = "") -> RunDirectory:
    (folder / "criteria.toml").write_text(CRITERIA)
    info = RunInfo("run-1", "2026-11-23T10:00:00.000+00:00", FACTS, {"candidate": {"version": "2"}}, {}, failure)
    run = RunDirectory.create(folder / "reports", info, folder / "criteria.toml", {})
    shard = Shard(run.shard("main"))
    shard.extend([Collected((CLAIM,)), *evidence])
    shard.close()
    conclude(run)
    return run


class TestSeen:
    def test_a_verdict_comes_with_its_reasons_and_its_claims_counted(self, tmp_path: Path) -> None:
        seen = seen_in(judged(tmp_path, finding(False, reason="two sections"), ended()), STRUCTURE)
        assert seen == Seen(
            Status.NO_GO, "facts: 1 of 1 findings fail: facts/roads: two sections", claims=1, no_go=1, inconclusive=0
        )

    def test_a_claim_that_was_not_decided_does_not_count(self, tmp_path: Path) -> None:
        seen = seen_in(judged(tmp_path, Gap(CLAIM, None, "the stub is taken"), ended()), STRUCTURE)
        assert (seen.verdict, seen.claims) == (Status.INCONCLUSIVE, 0)

    def test_what_the_target_does_not_offer_is_told(self, tmp_path: Path) -> None:
        needing = criterion("structure", needs=(Ability.PROMPT, Ability.FAULT, Ability.STAGE))
        seen = seen_in(judged(tmp_path, finding(), ended()), needing)
        assert seen == Seen(None, lacking="the target does not offer: fault, stage")

    def test_what_did_not_start_may_still_be_caught(self, tmp_path: Path) -> None:
        needing = criterion("structure", needs=(Ability.APPLICATION,))
        run = judged(tmp_path, finding(False), ended(), failure="it does not start")
        assert seen_in(run, needing).verdict is Status.NO_GO

    def test_a_claim_that_broke_counts_where_another_was_decided(self, tmp_path: Path) -> None:
        run = judged(tmp_path, finding(), ended())
        document = run.read_json("verdict.json")
        [one] = document["criteria"]
        [claim] = one["claims"]
        one["claims"].append({**claim, "step": "roads", "verdict": "INCONCLUSIVE"})
        run.write_json("verdict.json", document)
        assert (seen_in(run, STRUCTURE).claims, seen_in(run, STRUCTURE).inconclusive) == (2, 1)

    def test_what_an_older_proof_says_of_the_criterion_does_not_count(self, tmp_path: Path) -> None:
        run = judged(tmp_path, finding(), ended())
        document = run.read_json("verdict.json")
        document["criteria"][0] |= {"verdict": "INCONCLUSIVE", "reasons": ["gonogo prove caught none"]}
        run.write_json("verdict.json", document)
        assert seen_in(run, STRUCTURE).verdict is Status.GO

    def test_a_defect_that_turns_out_not_to_fit_is_no_miss(self, tmp_path: Path) -> None:
        why = "release 2.0.0: the defect cannot be planted: no record of a run can be read (record in [target])"
        seen = seen_in(judged(tmp_path, Gap(CLAIM, None, why), ended()), STRUCTURE)
        assert seen == Seen(None, lacking="no record of a run can be read (record in [target])")

    def test_a_defect_that_fits_in_one_step_and_is_missed_there_is_a_miss(self, tmp_path: Path) -> None:
        run = judged(tmp_path, Gap(CLAIM, None, "release 2.0.0: the defect cannot be planted: no record"), ended())
        document = run.read_json("verdict.json")
        claims = document["criteria"][0]["claims"]
        claims.append({**claims[0], "step": "roads", "verdict": "GO", "reasons": []})
        run.write_json("verdict.json", document)
        assert seen_in(run, STRUCTURE).verdict is Status.INCONCLUSIVE
        assert not seen_in(run, STRUCTURE).lacking

    def test_a_criterion_that_the_run_does_not_judge_has_no_verdict(self, tmp_path: Path) -> None:
        assert seen_in(judged(tmp_path, finding(), ended()), criterion("else")).verdict is None

    def test_a_damaged_run_shows_nothing(self, tmp_path: Path) -> None:
        run = judged(tmp_path, finding(), ended())
        run.write_text("verdict.json", "{")
        with pytest.raises(RunBroke, match="damaged"):
            seen_in(run, STRUCTURE)


MakeRunner = Callable[..., PytestRunner]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRunner:
    """A runner over a module of tests that is no suite, whose conftest.py lets it take the options."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # no plugin is of use here, and each takes its time

    def made(test: str, asked: Criterion = STRUCTURE) -> PytestRunner:
        (tmp_path / "suites").mkdir()
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        options = "planted", "criterion", "report", "phase"
        lines = [f"    parser.addoption('--gonogo-{one}')\n" for one in options]
        (tmp_path / "conftest.py").write_text(f"def pytest_addoption(parser):\n{''.join(lines)}")
        (tmp_path / "suites" / "test_it.py").write_text(test)
        suites = Suites(tmp_path / "pytest.ini", (tmp_path / "suites",))
        return PytestRunner(PytestRuns(tmp_path, suites, tmp_path / "runs"), criteria(asked))

    return made


SHOWS = """
def test_it(pytestconfig, request):
    told = [pytestconfig.getoption(f"--gonogo-{one}") for one in ("planted", "criterion", "report", "phase")]
    print("\\nERROR:", *told, pytestconfig.pluginmanager.hasplugin("cacheprovider"))
    assert False
"""


def test_the_defect_the_criterion_and_the_folder_are_handed_on(runner: MakeRunner, tmp_path: Path) -> None:
    made = runner(SHOWS)
    with pytest.raises(RunBroke, match="pytest ended with status 1"):
        made(Job(("structure",), "swapped"))
    folder = tmp_path / "runs" / "structure-swapped"
    assert f"ERROR: swapped structure {folder} None False" in (folder / "pytest.log").read_text()
    with pytest.raises(RunBroke):
        made(Job(("structure",)))
    unplanted = tmp_path / "runs" / "structure-unplanted"
    assert f"ERROR: None structure {unplanted} None False" in (unplanted / "pytest.log").read_text()
    made.forget(Job(("structure",)))
    assert not unplanted.exists()


def test_what_is_judged_at_night_alone_is_judged_as_at_night(runner: MakeRunner, tmp_path: Path) -> None:
    made = runner(SHOWS, criterion("monitoring"))
    with pytest.raises(RunBroke):
        made(Job(("monitoring",), "log-unstructured", Phase.NIGHTLY))
    folder = tmp_path / "runs" / "monitoring-log-unstructured"
    assert f"ERROR: log-unstructured monitoring {folder} nightly False" in (folder / "pytest.log").read_text()


def test_a_run_that_cannot_begin_is_told_by_its_error(runner: MakeRunner) -> None:
    made = runner("")
    shutil.rmtree(made.runs.suites.folders[0])
    with pytest.raises(RunBroke, match=r"pytest ended with status 4: ERROR: .*; see .*pytest\.log"):
        made(Job(("structure",), "swapped"))


def test_a_defect_that_the_release_cannot_have_is_not_applicable(runner: MakeRunner, tmp_path: Path) -> None:
    class Shows:
        abilities = frozenset({Ability.PROMPT})

    planting = Planting("other-model", {})
    with pytest.raises(TargetError) as refused:
        plant(Shows(), Stub(()), planting, (), OwnClock(), ModelClock())  # type: ignore[arg-type]  # it is refused before
    made = runner("")
    conftest = tmp_path / "conftest.py"
    told = f"release 2.0.0: {refused.value}"  # as it comes from a release worker
    raising = f"def pytest_configure():\n    raise __import__('pytest').UsageError({told!r})\n"
    conftest.write_text(conftest.read_text() + raising)
    seen = made(Job(("structure",), "other-model"))
    assert seen == {"structure": Seen(None, lacking="the release does not offer: reply")}


def test_what_goes_on_is_ended_and_nothing_else_is_begun(runner: MakeRunner, tmp_path: Path) -> None:
    made = runner(
        "import time\n\ndef test_it(tmp_path_factory):\n    open('begun', 'w').close()\n    time.sleep(600)\n"
    )
    ends: list[str] = []

    def run() -> None:
        try:
            made(Job(("structure",), "slow"))
        except RunBroke as error:
            ends.append(str(error))

    thread = Thread(target=run)
    thread.start()
    until = monotonic() + 60
    while not (tmp_path / "begun").exists() and monotonic() < until:
        sleep(0.05)
    made.runs.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert ends, "the run was ended"
    assert "pytest ended with status 2" in ends[0]
    with pytest.raises(RunBroke, match="broken off before this run began"):
        made(Job(("structure",), "other"))


class Answering(PytestRuns):
    """Runs that find what they are told to find, one after the other, and remember what they were asked."""

    def answers(self, *evidence: Evidence) -> Answering:
        self.evidence = iter(evidence)
        self.asked: list[list[str]] = []
        return self

    def run(self, name: str, options: Sequence[str], *, timeout: float = 0.0) -> PytestRun:
        self.asked.append([one for one in options if not one.startswith("--gonogo")])
        folder = self.folder / str(len(self.asked))
        folder.mkdir(parents=True)
        judged(folder, next(self.evidence), ended())
        (folder / "reports" / "pytest.log").write_text("")
        return PytestRun(1, folder / "reports" / "pytest.log")


def answering(tmp_path: Path, *evidence: Evidence) -> Answering:
    return Answering(tmp_path, Suites(tmp_path / "pytest.ini", ()), tmp_path / "runs").answers(*evidence)


def test_a_run_of_a_defect_ends_at_the_first_claim_that_is_not_go(tmp_path: Path) -> None:
    runs = answering(tmp_path, finding(False, reason="two sections"))
    assert PytestRunner(runs, criteria(STRUCTURE))(Job(("structure",), "swapped"))["structure"].verdict is Status.NO_GO
    assert runs.asked == [["-x"]]


def test_where_that_one_is_inconclusive_the_others_are_looked_at_too(tmp_path: Path) -> None:
    runs = answering(tmp_path, Gap(CLAIM, None, "the prompt moved"), finding(False, reason="two sections"))
    assert PytestRunner(runs, criteria(STRUCTURE))(Job(("structure",), "swapped"))["structure"].verdict is Status.NO_GO
    assert runs.asked == [["-x"], []]


@pytest.mark.parametrize("planted", ["", "nothing"])
def test_what_is_counted_is_looked_at_as_a_whole(tmp_path: Path, planted: str) -> None:
    runs = answering(tmp_path, finding(False, reason="two sections"))
    PytestRunner(runs, criteria(STRUCTURE))(Job(("structure",), planted))
    assert runs.asked == [[]]


def test_several_criteria_are_held_against_themselves_in_one_run(runner: MakeRunner, tmp_path: Path) -> None:
    made = runner(SHOWS)
    conftest = tmp_path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("'--gonogo-criterion'", "'--gonogo-criterion', action='append'"))
    with pytest.raises(RunBroke):
        made(Job(("structure", "speed"), "nothing"))
    folder = tmp_path / "runs" / "structure+speed-nothing"
    assert f"ERROR: nothing ['structure', 'speed'] {folder}" in (folder / "pytest.log").read_text()


def test_each_criterion_of_a_run_is_told_what_was_seen_of_it(tmp_path: Path) -> None:
    runs = answering(tmp_path, finding(False, reason="two sections"))
    seen = PytestRunner(runs, criteria(STRUCTURE, criterion("speed")))(Job(("structure", "speed"), "nothing"))
    assert (seen["structure"].no_go, seen["speed"]) == (1, Seen(None))
