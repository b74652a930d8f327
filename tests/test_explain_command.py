"""``gonogo explain`` on runs that lie on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import ended, finding
from click.testing import CliRunner, Result
from small_project import CRITERIA

from gonogo.cli import main
from gonogo.evidence import Shard
from gonogo.explain_command import again_of
from gonogo.model import Ability, Claim, Collected, Evidence, Json, Outcome, Phase, Sampled
from gonogo.recordings import RecordingSet
from gonogo.rundown import conclude, integrity
from gonogo.runs import RunDirectory, RunInfo
from gonogo.verdict import Facts

STRUCTURE, ERRORS = Claim("structure", "facts"), Claim("errors")
INFO = RunInfo(
    id="20261123T070000.000Z-pre",
    started="2026-11-23T07:00:00.000+00:00",
    facts=Facts(
        Phase.PRE,
        ("facts",),
        {"facts": ("roads", "rivers")},
        frozenset({Ability.PROMPT, Ability.REPLY}),
        synthetic=True,
    ),
    releases={"candidate": {"version": "2.0"}, "baseline": {"version": "1.0"}},
    titles={},
)


def whole_run(*, ok: bool = True, cases: int = 30) -> list[Evidence]:
    errors = [Sampled(ERRORS, "errors", "share", (0.0,), f"facts/{number}") for number in range(cases)]
    outcome = Outcome.PASSED if ok else Outcome.FAILED
    return [finding(ok, reason="TASK is missing"), ended(outcome, "1 finding fails"), *errors, ended(claim=ERRORS)]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a sealed run into the folder of the project, and let it be the newest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def make(records: Sequence[Evidence], info: RunInfo = INFO) -> Path:
        (tmp_path / "criteria.toml").write_text(CRITERIA)
        run = RunDirectory.create(tmp_path / "reports", info, tmp_path / "criteria.toml", {"2.0": RecordingSet.of([])})
        shard = Shard(run.shard("main"))
        shard.append(Collected((STRUCTURE, ERRORS)))
        shard.extend(records)
        shard.close()
        leader = Shard(run.shard("leader"))
        leader.extend([one for one in integrity(run.load(), None) if "Allure" not in str(one)])
        leader.close()
        conclude(run)
        run.point_latest()
        return run.path

    return make


def explain(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["explain", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def test_the_newest_run_is_explained_unless_another_is_named(make: Callable[..., Path]) -> None:
    first = make(whole_run(ok=False))
    make(whole_run(cases=1), replace(INFO, id="20261123T070001.000Z-pre"))
    newest, named = explain(), explain(str(first))
    assert newest.output.startswith("INCONCLUSIVE  errors (required)\n")
    assert newest.exit_code == 10
    assert named.output.startswith("NO-GO  structure (required)\n")
    assert "NO-GO  20261123T070000.000Z-pre: " in named.output
    assert named.exit_code == 1


def test_a_criterion_is_explained_of_the_run_that_is_named(make: Callable[..., Path]) -> None:
    run = make(whole_run(ok=False))
    make(whole_run(), replace(INFO, id="20261123T070001.000Z-pre"))
    result = explain("errors", str(run))
    assert result.output.startswith("GO  errors (required)\n")
    assert "  turns    INCONCLUSIVE if 11 of 30 cases failed; GO with 10\n" in result.output
    assert result.exit_code == 1, "the status is that of the run"


def test_a_run_whose_criteria_all_hold_says_how_to_ask_for_one(make: Callable[..., Path]) -> None:
    make(whole_run())
    result = explain()
    assert result.output == (
        "GO  20261123T070000.000Z-pre: 3 of 3 required criteria hold\n"
        "to see what one of them rests on: gonogo explain structure\n"
    )
    assert result.exit_code == 0


def test_a_candidate_that_did_not_start_is_said(make: Callable[..., Path]) -> None:
    make(whole_run(), replace(INFO, failure="the candidate does not start: \x1b[31mKeyError"))
    result = explain()
    assert "- the candidate does not start: \\x1b[31mKeyError\n" in result.output
    assert result.exit_code == 1


def test_a_name_that_is_no_criterion_is_wrong_usage(make: Callable[..., Path]) -> None:
    make(whole_run())
    result = explain("eror")
    assert "gonogo: 'eror' is no criterion that this run judges (did you mean 'errors'?)" in result.output
    assert result.exit_code == 2


@pytest.mark.parametrize("arguments", [(), ("reports/runs/none",), ("errors", "reports/runs/none")])
def test_a_run_that_is_not_there_is_said_in_one_line(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = explain(*arguments)
    assert result.output.count("\n") == 1
    assert "no such folder; give the folder of a run" in result.output
    assert result.exit_code == 3


def test_a_run_that_was_changed_is_not_explained(make: Callable[..., Path]) -> None:
    run = make(whole_run())
    (run / "criteria.toml").write_text(CRITERIA.replace("< 0.5", "< 0.9"))
    result = explain()
    assert "changed since the run was sealed: criteria.toml" in result.output
    assert result.exit_code == 3


def test_a_run_of_a_live_service_is_made_again_with_its_addresses() -> None:
    told: dict[str, Json] = {"version": "2.0", "service": "http://127.0.0.1:8000", "stub": "none", "read_only": True}
    again = again_of(replace(INFO, facts=replace(INFO.facts, phase=Phase.POST_REAL), releases={"candidate": told}))
    assert again.options == ("--gonogo-phase=post", "--gonogo-target=http://127.0.0.1:8000", "--gonogo-read-only")
    assert again_of(INFO).options == ()
    assert again_of(replace(INFO, planted="nothing")).options == ("--gonogo-planted=nothing",)
    older: dict[str, dict[str, Json]] = {
        "candidate": {"version": "2.0"},
        "baseline": {"version": "1.0", "folder": "../old"},
    }
    assert again_of(replace(INFO, releases=older)).options == ("--gonogo-baseline=../old",)
    assert again_of(replace(INFO, planted="mutant")).options == (), "its source is gone"
