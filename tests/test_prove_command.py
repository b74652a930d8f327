"""``gonogo prove``: what it runs, what it says, what it writes, and how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_project import CRITERIA, write_project

from gonogo import prove_command
from gonogo.cli import main
from gonogo.model import Status
from gonogo.planting import CATALOGUE
from gonogo.project import find_project
from gonogo.proof import Seen
from gonogo.proving import NOTHING, Job
from gonogo.pytest_runs import RunBroke

STRUCTURE = [one.id for one in CATALOGUE.values() if one.criterion == "prompt-structure"]
SPEED = [one.id for one in CATALOGUE.values() if one.criterion == "construction-time"]
MEASURED = """
[[criterion]]
id = "construction-time"
title = "Construction is quick"
group = "Speed"
per = ["step"]
needs = ["timing"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
measured = true
"""


Answers = Mapping[str, Seen | RunBroke | KeyboardInterrupt]


class Fake:
    """Stands for the runner of pytest: every defect is caught, unless told otherwise."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.jobs: list[Job] = []
        self.forgotten: list[Job] = []
        self.is_stopped = False

    def __call__(self, job: Job) -> dict[str, Seen]:
        self.jobs.append(job)
        answer = self.answers.get(job.planted) or self.answers.get(job.name)
        if isinstance(answer, RunBroke | KeyboardInterrupt):
            raise answer
        if answer is None and job.planted == NOTHING:
            answer = Seen(Status.GO, claims=50)
        elif answer is None:
            answer = Seen(Status.NO_GO, "it fails") if job.planted else Seen(Status.GO, "all hold")
        return dict.fromkeys(job.criteria, answer)

    def forget(self, job: Job) -> None:
        self.forgotten.append(job)

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project, with a criterion of findings and a measured one that the catalogue has defects for."""
    write_project(tmp_path)
    (tmp_path / "criteria.toml").write_text(CRITERIA.replace('id = "structure"', 'id = "prompt-structure"') + MEASURED)
    (tmp_path / "pytest.ini").write_text("[pytest]\ngonogo_suites = acceptance\n")
    (tmp_path / "acceptance").mkdir()
    (tmp_path / "acceptance" / "test_structure.py").write_text("def test_it(): ...\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, columns: int = 100, answers: Answers | None = None
) -> tuple[Result, Fake]:
    """Run the command. ``answers``: what is seen of a job, or of a planted defect."""
    fake = Fake(answers or {})
    monkeypatch.setattr(prove_command, "PytestRunner", lambda *_: fake)
    monkeypatch.setenv("COLUMNS", str(columns))
    result = CliRunner().invoke(main, ["prove", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result, fake


def proof(project: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((project / "reports" / "proof.json").read_text(encoding="utf-8"))
    return found


def test_where_all_is_caught_it_ends_well_and_writes_the_proof(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, fake = run(monkeypatch)
    assert result.exit_code == 0, result.output
    assert {job.planted for job in fake.jobs} == {"", NOTHING, *STRUCTURE, *SPEED}
    assert fake.is_stopped
    count = len(STRUCTURE) + len(SPEED)
    says = f"{count} of {count} planted defects caught, false NO-GO <= 2.95 %"
    assert str(proof(project)["says"]).startswith(says)
    assert f"proof: {says}" in result.output
    assert result.output.splitlines()[-1] == f"written: {project / 'reports' / 'proof.json'}"


def test_the_matrix_shows_each_defect_with_its_criterion_and_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(monkeypatch)[0].output.splitlines()
    [row] = [number for number, line in enumerate(lines) if line.startswith("prompt-structure ")]
    assert f" {len(STRUCTURE)} of {len(STRUCTURE)} " in lines[row]
    assert f" caught: {STRUCTURE[0]}, " in lines[row]
    assert ">= 60.7 %" in lines[row + 1]
    assert any("against itself: false NO-GO in 0 of 100 claims, <= 2.95 %" in line for line in lines)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_cuts_nothing(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    output = run(monkeypatch, columns=columns, answers={"section-missing": Seen(Status.GO, "all hold")})[0].output
    for line in output.splitlines()[:-1]:
        assert len(line.rstrip()) <= columns
    flat = "".join(output.split())
    for defect in (*STRUCTURE, *SPEED):
        assert defect in flat


def test_a_miss_ends_with_one_and_tells_what_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    result, fake = run(monkeypatch, answers={"section-missing": Seen(Status.GO, "2 of 2 claims hold")})
    assert result.exit_code == 1
    flat = " ".join(result.output.split())
    title = CATALOGUE["section-missing"].title
    assert f"section-missing (the release {title}): expected NO-GO, seen GO: 2 of 2 claims hold" in flat
    assert "1 missed" in flat
    left = {job.name for job in fake.jobs} - {job.name for job in fake.forgotten}
    assert left == {"prompt-structure-section-missing"}, "only a run that is worth a look is kept"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({SPEED[0]: Seen(Status.INCONCLUSIVE, "p99 in [1 ms, 2 ms]")}, "not shown"),
        ({STRUCTURE[0]: RunBroke("pytest ended with status 3")}, "pytest ended with status 3"),
        ({NOTHING: RunBroke("it hangs")}, "it hangs"),
        ({NOTHING: Seen(Status.NO_GO, claims=50, no_go=1)}, "--decisions 124 would settle it"),
        ({"prompt-structure-unplanted": Seen(Status.NO_GO, "it is broken")}, "without a planted defect, too"),
    ],
)
def test_what_is_not_settled_ends_with_ten(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Seen | RunBroke], said: str
) -> None:
    result, _ = run(monkeypatch, answers=answers)
    assert result.exit_code == 10, result.output
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize(
    "itself",
    [Seen(Status.NO_GO, claims=50, no_go=20), Seen(Status.INCONCLUSIVE, claims=50, inconclusive=30)],
)
def test_a_gate_that_errs_more_often_than_is_allowed_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, itself: Seen
) -> None:
    result, _ = run(monkeypatch, answers={NOTHING: itself})
    assert result.exit_code == 1
    assert "find out what disturbs the measurement" in " ".join(result.output.split())


def test_the_limits_of_the_rates_stand_in_criteria_toml(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    criteria = project / "criteria.toml"
    criteria.write_text(criteria.read_text() + '\n[proof]\nfalse_no_go = "< 0.6"\ninconclusive = "< 0.9"\n')
    assert run(monkeypatch, answers={NOTHING: Seen(Status.NO_GO, claims=50, no_go=20)})[0].exit_code == 0


def test_what_the_target_does_not_offer_is_told_and_not_counted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Seen(None, lacking="the target does not offer: timing")
    result, _ = run(monkeypatch, answers=dict.fromkeys([NOTHING, *SPEED], lacking))
    assert result.exit_code == 0
    assert f"{len(STRUCTURE)} of {len(STRUCTURE)} planted defects caught, {len(SPEED)} not applicable" in str(
        proof(project)["says"]
    )
    assert "the target does not offer: timing" in result.output


def test_where_nothing_could_be_planted_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Seen(None, lacking="the target does not offer: prompt")
    assert run(monkeypatch, "--only", "prompt-structure", answers=dict.fromkeys(STRUCTURE, lacking))[0].exit_code == 10


def test_what_was_missed_is_still_said_when_something_else_is_proven_later(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, answers=dict.fromkeys(STRUCTURE, Seen(Status.GO, "all hold")))
    (project / "signoffs.toml").write_text("# nobody yet\n")
    result, fake = run(monkeypatch, "--only", SPEED[0])
    assert [job.planted for job in fake.jobs] == ["", SPEED[0]], "its runs rest on the sign-offs, and begin anew"
    assert result.exit_code == 0, "of what was chosen"
    caught, missed = f"{len(SPEED)} of {len(SPEED) + len(STRUCTURE)} planted", f"{len(STRUCTURE)} missed"
    assert f"{caught} defects caught, {missed}, false NO-GO <= 2.95 %" in str(proof(project)["says"])


def test_a_measured_criterion_is_chosen_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    result, fake = run(monkeypatch, "--only", "construction-time")
    assert result.exit_code == 0, result.output
    assert [job.planted for job in fake.jobs] == ["", *SPEED, NOTHING, NOTHING]


def test_only_what_is_named_is_planted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, fake = run(monkeypatch, "--only", SPEED[0], "--only", STRUCTURE[0])
    assert result.exit_code == 0
    assert [job.planted for job in fake.jobs] == ["", "", STRUCTURE[0], SPEED[0]]
    assert "2 of 2 planted defects caught" in str(proof(project)["says"])
    assert f"{len(STRUCTURE) + len(SPEED) - 2} not yet planted" in str(proof(project)["says"])
    assert "shown of what was chosen" in " ".join(result.output.split())


def test_a_name_that_is_none_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    result, fake = run(monkeypatch, "--only", "section-mising")
    assert result.exit_code == 2
    assert "(did you mean 'section-missing'?)" in result.output
    assert fake.jobs == []


def test_a_second_time_only_what_is_open_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, answers={"section-missing": RunBroke("it broke")})
    result, fake = run(monkeypatch)
    assert [job.planted for job in fake.jobs] == ["section-missing"]
    assert result.exit_code == 0
    assert "planted defects are known already from" in result.output
    assert run(monkeypatch, "--again")[1].jobs[0].planted == ""


def test_what_was_shown_before_it_was_broken_off_is_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake({SPEED[0]: KeyboardInterrupt()})
    monkeypatch.setattr(prove_command, "PytestRunner", lambda *_: fake)
    result = CliRunner().invoke(main, ["prove"])
    assert (result.exit_code, "broken off: gonogo prove goes on from here" in result.output) == (10, True)
    assert fake.is_stopped
    assert not (project / "reports" / "proof.json").exists()
    assert {job.planted for job in run(monkeypatch)[1].jobs} == {*SPEED, NOTHING}


@pytest.fixture
def in_background() -> Iterator[None]:
    """As a shell starts it with &: SIGINT is ignored, and would be by everything that is started from here."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("in_background")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_ends_the_runs_and_keeps_what_was_shown(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    class Ended(Fake):
        def __call__(self, job: Job) -> dict[str, Seen]:
            if job.planted == SPEED[0]:
                os.kill(os.getpid(), number)
            return super().__call__(job)

    before = signal.getsignal(number)
    fake = Ended({})
    monkeypatch.setattr(prove_command, "PytestRunner", lambda *_: fake)
    assert CliRunner().invoke(main, ["prove"]).exit_code == 10
    assert fake.is_stopped
    assert signal.getsignal(number) == before


def test_two_at_a_time_would_get_in_each_others_way(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--only", "section-missing")
    [folder] = (project / "reports" / "proof").iterdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result, fake = run(monkeypatch)
        assert run(monkeypatch, "--list")[0].exit_code == 0, "who only looks need not wait"
    assert (result.exit_code, fake.jobs) == (2, [])
    assert "another gonogo prove is at work here; wait until it has ended" in result.stderr


def test_a_look_writes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--list")[0].exit_code == 0
    assert not (project / "reports").exists()


def test_other_suites_are_proven_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(monkeypatch)[1].jobs
    (project / "acceptance" / "test_structure.py").write_text("def test_it(): assert 1\n")
    assert len(run(monkeypatch)[1].jobs) == len(first)
    assert len([*(project / "reports" / "proof").iterdir()]) == 2


def test_suites_that_change_on_the_way_end_it_with_what_is_known_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(Fake):
        def __call__(self, job: Job) -> dict[str, Seen]:
            if job.planted:
                (project / "acceptance" / "test_structure.py").write_text("def test_it(): assert 2\n")
            return super().__call__(job)

    monkeypatch.setattr(prove_command, "PytestRunner", lambda *_: Careless({}))
    result = CliRunner().invoke(main, ["prove"])
    assert result.exit_code == 3
    assert "suites were changed while the proof went on; what is known is kept in" in result.stderr
    assert not (project / "reports" / "proof.json").exists()


def test_damaged_results_are_named_and_stay_as_they_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch)
    [path] = (project / "reports" / "proof").glob("*/results.jsonl")
    path.write_text(path.read_text().replace('"kind": "control"', '"kind": "contrl"'))
    before = path.read_bytes()
    result, fake = run(monkeypatch)
    assert result.exit_code == 3
    assert "results.jsonl:2: no result of gonogo prove" in result.stderr
    assert fake.jobs == []
    assert path.read_bytes() == before
    assert run(monkeypatch, "--again")[0].exit_code == 0
    assert path.with_name("results-1.jsonl").read_bytes() == before


def test_the_list_shows_what_is_known_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--only", "section-missing")
    result, fake = run(monkeypatch, "--list", columns=120)
    assert result.exit_code == 0
    assert fake.jobs == []
    rows = {line.split()[1]: line for line in result.output.splitlines() if line.startswith(("prompt-s", "construct"))}
    assert {*rows} == {*STRUCTURE, *SPEED}
    assert " caught " in rows["section-missing"]
    assert " open " in rows[STRUCTURE[1]]
    assert run(monkeypatch, "--list", "--again")[0].exit_code == 2


def test_criteria_that_nothing_can_be_planted_for_are_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "criteria.toml").write_text(CRITERIA)
    result, _ = run(monkeypatch)
    assert result.exit_code == 2
    assert "none of its criteria is one that a defect can be planted for" in result.stderr


def test_the_proof_lies_where_runs_look_for_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--only", "section-missing")
    assert find_project(project).newest_proof == project / "reports" / "proof.json"
