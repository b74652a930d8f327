"""The plugin from outside: when it is active, what its options do, what it says of wrong use, and what verify finds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from constructor_project import ADAPTER, CRITERIA, FILES, TEST_LENGTH, TEST_STRUCTURE, add_speed, write
from sandbox import Answer, Judge, run_pytest

from gonogo.errors import EvidenceError
from gonogo.explain_command import again_of
from gonogo.rundown import verify
from gonogo.runs import RunDirectory

pytest_plugins = ["pytester"]


STRUCTURE, LENGTH = "acceptance/test_structure.py", "acceptance/test_length.py"


# --- active and inert


def test_the_header_says_what_is_judged(judge: Judge) -> None:
    answer = judge()
    assert answer.folder is not None
    assert f"gonogo: phase pre, release 2.0, run {answer.folder.name}" in answer.output


def test_elsewhere_the_plugin_is_inert(project: Path, judge: Judge) -> None:
    write(project, "tests/test_fine.py", "def test_fine():\n    pass\n")
    answer = judge("tests")
    assert (answer.status, answer.folder) == (0, None), answer.output
    assert "gonogo: phase" not in answer.output
    assert not (project / "reports").exists()


def test_suites_that_are_collected_beside_other_tests_say_how_they_are_run(project: Path, judge: Judge) -> None:
    write(project, "test_unit.py", "def test_unit():\n    pass\n")
    answer = judge(".")
    assert answer.status == 4
    assert "no argument of pytest does; name the suites (pytest acceptance) to judge a release" in answer.output
    assert judge(".", "--ignore=acceptance").status == 0
    assert judge(".", "--collect-only").status == 0


def test_it_is_inert_without_the_ini_value(project: Path, judge: Judge) -> None:
    write(project, "pytest.ini", "[pytest]\nmarkers = criterion\n")
    write(project, "acceptance/test_fine.py", "def test_fine():\n    pass\n")
    answer = judge("acceptance/test_fine.py")
    assert (answer.status, answer.folder) == (0, None), answer.output


@pytest.mark.parametrize("argument", [STRUCTURE, f"{STRUCTURE}::test_structure", "acceptance/../acceptance"])
def test_an_argument_inside_the_suites_makes_it_active(judge: Judge, argument: str) -> None:
    assert judge(argument).folder is not None


def test_standing_in_the_suites_is_enough(project: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "acceptance")
    answer = judge("-q")
    assert answer.status == 0, answer.output
    assert answer.verdicts == {"structure": "GO", "length": "GO"}


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--markers", "--help"])
def test_options_that_run_nothing_begin_no_run(project: Path, judge: Judge, option: str) -> None:
    answer = judge("acceptance", option)
    assert answer.status == 0, answer.output
    assert not (project / "reports").exists()


def test_a_suite_test_without_a_criterion_runs_as_it_always_does(project: Path, judge: Judge) -> None:
    write(project, "acceptance/test_fine.py", "def test_fine():\n    pass\n")
    answer = judge()
    assert (answer.status, answer.document["verdict"]) == (0, "GO"), answer.output
    assert "4 passed" in answer.output


def test_what_falls_short_is_said_without_a_look_into_gonogo(project: Path, judge: Judge) -> None:
    write(project, "adapter.py", ADAPTER.replace("RESPONSE:", "ANSWER:"))
    answer = judge()
    assert "structure/facts: 2 findings fail" in answer.output
    assert "pytest_runtest_call" not in answer.output


COVERAGE = """
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session):
    yield
    session.testsfailed += 1  # as pytest-cov does where a limit is missed
    return True
"""


def test_what_pytest_counts_as_failed_and_is_no_test_keeps_a_run_from_go(project: Path, judge: Judge) -> None:
    write(project, "acceptance/conftest.py", COVERAGE)
    answer = judge()
    assert answer.status == 10, answer.output
    assert "something that is no test (a limit of coverage?), told above" in "\n".join(answer.document["reasons"])


# --- options


def test_the_phase_is_an_option_and_an_ini_value(project: Path, judge: Judge) -> None:
    assert judge("acceptance", "--gonogo-phase=nightly").document["run"]["phase"] == "nightly"
    write(project, "pytest.ini", FILES["pytest.ini"] + "gonogo_phase = nightly\n")
    assert judge().document["run"]["phase"] == "nightly"
    assert judge("acceptance", "--gonogo-phase=pre").document["run"]["phase"] == "pre"


def test_the_report_folder_is_an_option_and_an_ini_value(project: Path, judge: Judge) -> None:
    asked = judge("acceptance", "--gonogo-report=here")
    write(project, "pytest.ini", FILES["pytest.ini"] + "gonogo_report = there\n")
    written = judge()
    assert asked.folder is not None
    assert written.folder is not None
    assert asked.folder.parent == project / "here" / "runs"
    assert written.folder.parent == project / "there" / "runs"
    assert (project / "there" / "latest").resolve() == written.folder


@pytest.mark.parametrize("as_option", [True, False], ids=["option", "ini value"])
def test_the_baseline_is_an_option_and_an_ini_value(project: Path, judge: Judge, as_option: bool) -> None:
    conftest = FILES["conftest.py"].replace("baseline=None", 'baseline=Release("1.0", "nowhere:at_all", ROOT / "gone")')
    write(project, "conftest.py", conftest)
    write(project, "older/adapter.py", ADAPTER)
    if not as_option:
        write(project, "pytest.ini", FILES["pytest.ini"] + "gonogo_baseline = older\n")
    answer = judge("acceptance", *(["--gonogo-baseline=older"] if as_option else []))
    assert answer.status == 0, answer.output
    assert answer.document["run"]["releases"]["baseline"]["version"] == "1.0"
    assert "release 2.0 against 1.0" in answer.output
    assert answer.folder is not None
    again = again_of(RunDirectory(answer.folder).info())
    assert again.options == (f"--gonogo-baseline={project / 'older'}",), "explain makes the run again as it was made"


# --- wrong use


def test_a_criterion_that_does_not_exist_is_told_with_its_nearest(project: Path, judge: Judge) -> None:
    write(project, STRUCTURE, TEST_STRUCTURE.replace('"structure"', '"strcuture"'))
    answer = judge()
    assert answer.status == 4, answer.output
    assert "criterion('strcuture',) names none of criteria.toml (did you mean 'structure'?)" in answer.output
    assert "write one of structure, length" in answer.output


def test_two_tests_for_one_claim_are_refused(project: Path, judge: Judge) -> None:
    write(project, "acceptance/test_twin.py", TEST_STRUCTURE)
    answer = judge()
    assert answer.status == 4, answer.output
    assert f"the claim structure/facts is fed by {STRUCTURE}::test_structure[facts] already" in answer.output
    assert "one test feeds one claim, join the two" in answer.output


def test_a_test_that_comes_twice_for_its_step_is_refused(project: Path, judge: Judge) -> None:
    suite = TEST_STRUCTURE.replace(
        "def test_structure(", '@pytest.mark.parametrize("n", [1, 2])\ndef test_structure(n, '
    )
    write(project, STRUCTURE, suite)
    answer = judge()
    assert answer.status == 4, answer.output
    assert "one test feeds one claim" in answer.output


@pytest.mark.parametrize(
    ("suite", "old", "new", "said"),
    [
        (LENGTH, "(cases,", "(step, cases,", "criterion 'length' is claimed per run, this test feeds it per step"),
        (
            STRUCTURE,
            "(step, cases,",
            "(cases,",
            "criterion 'structure' is claimed per step, this test feeds it per run",
        ),
    ],
)
def test_a_claim_in_the_wrong_scope_is_refused(
    project: Path, judge: Judge, suite: str, old: str, new: str, said: str
) -> None:
    text = {LENGTH: TEST_LENGTH, STRUCTURE: TEST_STRUCTURE}[suite]
    write(project, suite, text.replace(old, new))
    answer = judge()
    assert answer.status == 4, answer.output
    assert said in answer.output
    assert "or correct per in criteria.toml" in answer.output


def test_a_phase_that_does_not_exist_is_refused(project: Path, judge: Judge) -> None:
    answer = judge("acceptance", "--gonogo-phase=nightyl")
    assert answer.status == 4
    assert "invalid choice: 'nightyl'" in answer.output
    write(project, "pytest.ini", FILES["pytest.ini"] + "gonogo_phase = nightyl\n")
    answer = judge()
    assert answer.status == 4
    assert "gonogo_phase = 'nightyl' is not a phase (did you mean 'nightly'?); write one of" in answer.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gonogo-phase=post"], "the phase post judges a live service; say where it is: --gonogo-target=http"),
        (["--gonogo-target=http://127.0.0.1:1"], "which the phase pre does not ask; add --gonogo-phase=post"),
        (["--gonogo-phase=nightly", "--gonogo-stub=http://127.0.0.1:1"], "which the phase nightly does not ask"),
        (["--gonogo-read-only"], "which the phase pre does not ask"),
        (["--gonogo-phase=post", "--gonogo-target=127.0.0.1:8000"], "a section [target] in criteria.toml"),
    ],
)
def test_a_live_service_and_its_phase_go_together(judge: Judge, arguments: list[str], said: str) -> None:
    answer = judge("acceptance", *arguments)
    assert (answer.status, answer.folder) == (4, None), answer.output
    assert said in answer.output


def test_a_target_in_the_ini_file_waits_for_the_phase_post(project: Path, judge: Judge) -> None:
    ini = (project / "pytest.ini").read_text(encoding="utf-8")
    write(project, "pytest.ini", f"{ini}\ngonogo_target = http://127.0.0.1:1\ngonogo_read_only = true\n")
    assert judge().status == 0
    assert judge("acceptance", "--gonogo-phase=post").status == 4, "its criteria say nothing of [target]"


def test_a_project_without_wiring_is_told_what_to_write(project: Path, judge: Judge) -> None:
    write(project, "conftest.py", "")
    answer = judge()
    assert answer.status == 4
    assert "write pytest_gonogo_project() in the conftest.py next to pytest.ini" in answer.output


def test_a_baseline_that_is_not_there_is_refused(judge: Judge) -> None:
    answer = judge("acceptance", "--gonogo-baseline=nowhere")
    assert answer.status == 4
    assert "nowhere: no such folder" in answer.output


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("acceptance/criteria.toml", CRITERIA.replace("<= 2000", "<= two"), "criterion 'length'"),
        ("workflows/planning/title.yaml", "id: title\n", "workflows/planning/title.yaml"),
        ("cases/title.yaml", "step: title\ncases: 3\n", "cases/title.yaml"),
        ("adapter.py", "def open(context):\n    pass\n", "has no attribute 'open_release'"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_usage_error_and_no_verdict(
    project: Path, judge: Judge, file: str, text: str, said: str
) -> None:
    write(project, file, text)
    answer = judge()
    assert (answer.status, answer.folder) == (4, None), answer.output
    assert said in answer.output
    assert "INTERNALERROR" not in answer.output
    assert "Traceback" not in answer.output


def test_a_report_folder_that_cannot_be_written_is_refused(project: Path, judge: Judge) -> None:
    answer = judge("acceptance", "--gonogo-report=pytest.ini")
    assert answer.status == 4, answer.output
    assert "give another folder with --gonogo-report" in answer.output


# --- exit status


@pytest.mark.parametrize(
    ("response", "selection", "status"),
    [("RESPONSE:", "acceptance", 0), ("ANSWER:", "acceptance", 1), ("RESPONSE:", LENGTH, 10)],
)
def test_the_exit_status_is_the_verdict(
    project: Path, judge: Judge, response: str, selection: str, status: int
) -> None:
    write(project, "adapter.py", ADAPTER.replace("RESPONSE:", response))
    answer = judge(selection)
    assert answer.status == status
    assert answer.document["verdict"] == {0: "GO", 1: "NO-GO", 10: "INCONCLUSIVE"}[status]


def test_the_table_ends_with_evidence_and_digest(judge: Judge) -> None:
    answer = judge()
    assert answer.document["run"]["digest"] in answer.output
    assert f"evidence: {answer.folder}" in answer.output


# --- verify


@pytest.fixture
def run(judge: Judge) -> RunDirectory:
    """A sealed run that ended GO."""
    answer = judge()
    assert answer.folder is not None
    return RunDirectory(answer.folder)


def test_a_fresh_run_verifies(run: RunDirectory) -> None:
    digest = run.read_json("verdict.json")["run"]["digest"]
    assert verify(run) == verify(run, digest=digest) == digest


CHANGES = {
    "a finding turned round": ("shards/main.jsonl", '"ok": true', '"ok": 1'),
    "a reason in a shard": ("shards/main.jsonl", "in order", "in 0rder"),
    "a limit": ("criteria.toml", "<= 2000", "<= 9000"),
    "the recordings": ("recordings.json", "2.0", "2.1"),
    "the facts": ("run.json", "roads", "r0ads"),
    "the verdict": ("verdict.json", '"failing": 0', '"failing": 1'),
    "a word of the verdict": ("verdict.json", "Every prompt", "Any prompt"),
    "the verdict for readers": ("verdict.md", "# GO", "# NO-GO"),
    "the manifest": ("manifest.json", '"criteria.toml": "', '"criteria.toml": "0'),
}


@pytest.mark.parametrize(("file", "old", "new"), CHANGES.values(), ids=CHANGES)
def test_a_changed_run_does_not_verify(run: RunDirectory, file: str, old: str, new: str) -> None:
    text = (run.path / file).read_text(encoding="utf-8")
    assert old in text
    (run.path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(EvidenceError):
        verify(run)


@pytest.mark.parametrize(
    "file", ["shards/main.jsonl", "run.json", "criteria.toml", "manifest.json", "verdict.json", "verdict.md"]
)
def test_a_run_with_a_file_missing_does_not_verify(run: RunDirectory, file: str) -> None:
    (run.path / file).unlink()
    with pytest.raises(EvidenceError):
        verify(run)


def test_a_shard_that_is_added_does_not_verify(run: RunDirectory) -> None:
    write(run.path, "shards/late.jsonl", '{"kind": "shard", "version": 1}\n')
    with pytest.raises(EvidenceError, match=r"shards/late\.jsonl"):
        verify(run)


def test_only_the_digest_finds_a_run_in_which_everything_was_recomputed(run: RunDirectory) -> None:
    printed = run.digest
    path = run.path / "shards" / "main.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("in order", "in 0rder"), encoding="utf-8")
    files = {name: hashlib.sha256((run.path / name).read_bytes()).hexdigest() for name in run.hashes()}
    write(run.path, "manifest.json", json.dumps({"version": 1, "files": files}))
    for name in ("verdict.json", "verdict.md"):
        verdict = (run.path / name).read_text(encoding="utf-8")
        write(run.path, name, verdict.replace(printed, run.digest).replace("in order", "in 0rder"))
    assert verify(run) != printed
    with pytest.raises(EvidenceError, match=f"expected was {printed}"):
        verify(run, digest=printed)


# --- -x


def claims_of(answer: Answer, criterion: str) -> list[str]:
    """What each claim of a criterion came to, in the order of the alphabet."""
    [found] = [one for one in answer.document["criteria"] if one["id"] == criterion]
    return sorted(" ".join(claim["reasons"][0].split()[:2]) for claim in found["claims"])


def limit(project: Path, was: str, now: str) -> None:
    criteria = (project / "acceptance/criteria.toml").read_text(encoding="utf-8")
    assert was in criteria
    write(project, "acceptance/criteria.toml", criteria.replace(was, now))


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_the_measured_pass_ends_at_the_first_samples_that_are_no_go_where_it_is_asked_to(
    project: Path, option: str
) -> None:
    add_speed(project)
    limit(project, '"< 10"', '"< 1e-12"')
    arguments = ("acceptance", "-p", "no:allure_pytest", "-p", "no:randomly")
    assert claims_of(run_pytest(project, *arguments), "speed") == ["seconds max", "seconds max"]
    answer = run_pytest(project, *arguments, option)
    assert claims_of(answer, "speed") == ["no test", "seconds max"]
    assert (answer.status, answer.verdicts["speed"]) == (1, "NO-GO")


def test_samples_that_are_no_go_end_a_run_before_anything_is_measured(project: Path, judge: Judge) -> None:
    add_speed(project)
    limit(project, '"<= 2000"', '"<= 2"')
    answer = judge("acceptance", "-x")
    assert answer.verdicts == {"structure": "INCONCLUSIVE", "length": "NO-GO", "speed": "INCONCLUSIVE"}, answer.output
    assert "stopping after length, which is NO-GO" in answer.output
    assert answer.folder is not None
    assert not (answer.folder / "measured.log").exists()


def test_samples_within_their_limit_end_nothing(project: Path) -> None:
    add_speed(project)
    answer = run_pytest(project, "acceptance", "-x", "-p", "no:allure_pytest")
    assert answer.verdicts == {"structure": "GO", "length": "GO", "speed": "GO"}, answer.output
