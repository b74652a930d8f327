"""A run's end: integrity, verdict, seal; and that a changed run is never relied on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLAIM, FACTS, ended, finding
from test_runs import CRITERIA

from gonogo.errors import EvidenceError
from gonogo.evidence import Shard
from gonogo.model import Claim, Collected, Evidence, Gap, Judged, Level, Outcome, Status
from gonogo.rundown import (
    INTEGRITY,
    Rundown,
    completeness,
    conclude,
    exit_status,
    integrity,
    judge_run,
    partial_note,
    verify,
)
from gonogo.runs import RunDirectory, RunInfo
from gonogo.verdict import Facts

REPORT = """[[criterion]]
id = "report-integrity"
title = "Everything was looked at"
group = "Report"
per = ["run"]
computed = true
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""
GREEN: tuple[Evidence, ...] = (Collected((CLAIM,)), finding(), ended())
Make = Callable[..., RunDirectory]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(
        evidence: Sequence[Evidence] = GREEN, criteria: str = CRITERIA + REPORT, facts: Facts = FACTS
    ) -> RunDirectory:
        file = tmp_path / "criteria.toml"
        file.write_text(criteria)
        info = RunInfo("run-1", "2026-11-23T10:00:00.000+00:00", facts, {"candidate": {"version": "2"}}, {})
        run = RunDirectory.create(tmp_path / "reports", info, file, {})
        shard = Shard(run.shard("main"))
        for record in evidence:
            shard.append(record)
        shard.close()
        return run

    return made


def gaps(records: Sequence[Judged | Gap]) -> list[str]:
    return [record.reason for record in records if isinstance(record, Gap)]


def test_a_run_in_which_everything_was_looked_at_is_whole(make: Make) -> None:
    found = completeness(make().load(), {CLAIM})
    assert gaps(found) == []
    assert [one.finding.reason for one in found if isinstance(one, Judged)] == [
        f"all 1 expected claims are {what}"
        for what in ("collected", "executed", "in the ledger", "in the Allure results")
    ]


@pytest.mark.parametrize(
    ("evidence", "results", "what"),
    [
        (GREEN[1:], {CLAIM}, "collected"),
        (GREEN[:2], {CLAIM}, "executed"),
        ((GREEN[0], GREEN[2]), {CLAIM}, "in the ledger"),
        (GREEN, set(), "in the Allure results"),
        (GREEN, {Claim("structure", "meta")}, "in the Allure results"),
    ],
)
def test_a_claim_that_is_missing_somewhere_is_a_gap(
    make: Make, evidence: Sequence[Evidence], results: set[Claim], what: str
) -> None:
    assert gaps(completeness(make(evidence).load(), results)) == [
        f"1 of 1 expected claims are not {what}: structure/facts"
    ]


def test_many_missing_claims_are_cut_and_counted(make: Make) -> None:
    facts = replace(FACTS, steps=tuple(f"s{i}" for i in range(5)))
    reason = gaps(completeness(make((), facts=facts).load(), set()))[0]
    assert reason == "5 of 5 expected claims are not collected: structure/s0, structure/s1, structure/s2 and 2 more"


def test_without_allure_its_results_cannot_be_compared(make: Make) -> None:
    [reason] = gaps(integrity(make().load(), None))
    assert "Allure is switched off; its results cannot be compared (leave out -p no:allure_pytest)" in reason


def test_a_torn_shard_is_a_gap(make: Make) -> None:
    run = make()
    (run.path / "shards" / "gw0.jsonl").write_text('{"kind": "shard", "version": 1}\n{"kind"')
    assert gaps(completeness(run.load(), {CLAIM})) == [
        "shard gw0 ends in the middle of a line: its process died while it wrote"
    ]


def test_a_torn_shard_keeps_a_run_from_go_whatever_its_criteria(make: Make) -> None:
    run = make(criteria=CRITERIA)
    assert judge_run(run.load()).status is Status.GO
    # the line that was lost may have been the one finding that fails
    (run.path / "shards" / "gw0.jsonl").write_text('{"kind": "shard", "version": 1}\n{"criterion": "structure", "st')
    assert judge_run(run.load()).status is not Status.GO


@pytest.mark.parametrize("planted", ["counter", "nothing"])
def test_a_planted_run_is_not_go_whatever_its_criteria(make: Make, planted: str) -> None:
    run = make(criteria=CRITERIA).load()
    assert judge_run(run).status is Status.GO
    verdict = judge_run(replace(run, info=replace(run.info, planted=planted)))
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.reasons == (f"planted on purpose: {planted}",)
    assert "this verdict is about the gate, not about the release" in verdict.notes[0]


def test_a_run_that_owes_nothing_is_not_whole(make: Make) -> None:
    nothing = REPORT if REPORT.startswith("version") else CRITERIA.split("[[criterion]]")[0] + REPORT
    run = make((), criteria=nothing)
    records = completeness(run.load(), set())
    shard = Shard(run.shard("leader"))
    for record in records:
        shard.append(record)
    shard.close()
    assert judge_run(run.load()).status is not Status.GO


def test_integrity_is_judged_like_any_other_criterion(make: Make) -> None:
    run = make()
    assert judge_run(run.load()).status is Status.INCONCLUSIVE
    shard = Shard(run.shard("leader"))
    for record in completeness(run.load(), {CLAIM}):
        shard.append(record)
    shard.close()
    verdict = judge_run(run.load())
    assert verdict.status is Status.GO
    assert [one.criterion for one in verdict.criteria] == ["structure", INTEGRITY.criterion]
    assert verdict.notes == ()


def test_a_partial_selection_is_said_in_one_line(make: Make) -> None:
    facts = replace(FACTS, steps=("facts", "meta"))
    run = make(facts=facts).load()
    note = "partial selection: 1 of 2 owed claims were collected; the verdict is at best INCONCLUSIVE"
    assert partial_note(run) == note
    verdict = judge_run(run, ["another note"])
    assert verdict.notes == ("another note", note)
    assert verdict.status is Status.INCONCLUSIVE


def test_the_exit_status_tells_the_verdict() -> None:
    assert [exit_status(status) for status in (Status.GO, Status.NO_GO, Status.INCONCLUSIVE)] == [0, 1, 10]


def test_a_sealed_run_can_be_verified(make: Make) -> None:
    run = make(criteria=CRITERIA)
    digest, verdict = conclude(run)
    assert verdict.status is Status.GO
    assert verify(run) == digest
    assert verify(run, digest=digest) == digest
    assert run.read_json("verdict.json")["verdict"] == "GO"
    assert (run.path / "verdict.md").read_text().startswith("#")


def test_a_run_with_notes_and_odd_texts_can_be_verified(make: Make) -> None:
    odd = [finding(False, "facts/ro\ud83dads", "a\x00b \ud83d \ude00 \u2028 <b>|`é"), ended(Outcome.FAILED, "\udc80")]
    run = make(odd, criteria=CRITERIA)
    digest, verdict = conclude(run, notes=["the measured pass ended with status 3"])
    assert verdict.status is Status.NO_GO
    assert verify(run) == digest
    assert verdict.notes[0] == "the measured pass ended with status 3"


@pytest.mark.parametrize("name", ["run.json", "criteria.toml", "recordings.json", "notes.json", "shards/main.jsonl"])
def test_a_run_that_was_changed_is_refused_with_the_name_of_the_file(make: Make, name: str) -> None:
    run = make()
    conclude(run, notes=["a note"])
    with (run.path / name).open("a") as file:
        file.write(" ")
    with pytest.raises(
        EvidenceError, match=rf"run-1: changed since the run was sealed: {name}; do not rely on it, run again"
    ):
        verify(run)


def test_a_verdict_that_the_evidence_does_not_lead_to_is_refused(make: Make) -> None:
    run = make()
    conclude(run)
    document = run.read_json("verdict.json")
    document["verdict"] = "GO"
    run.write_json("verdict.json", document)
    with pytest.raises(EvidenceError, match=r"verdict\.json is not what the evidence leads to; do not rely on it"):
        verify(run)


def test_allures_results_are_expected_where_allure_was_on(make: Make) -> None:
    run = make(criteria=CRITERIA)
    run.allure_results.mkdir()
    rundown = Rundown(run, run.info())
    rundown.judge(run.allure_results)
    assert verify(run) == rundown.digest
    (run.path / "allure.json").unlink()
    with pytest.raises(EvidenceError, match=r"run-1/allure\.json: no such file, so nothing tells whether"):
        verify(run)


def test_another_digest_is_refused(make: Make) -> None:
    run = make()
    digest, _ = conclude(run)
    with pytest.raises(EvidenceError, match=rf"the digest is {digest}, expected was abc; this is not the evidence"):
        verify(run, digest="abc")


def test_evidence_forged_with_a_new_seal_has_another_digest(make: Make) -> None:
    run = make([finding(False), ended()], criteria=CRITERIA)
    digest, verdict = conclude(run)
    assert verdict.status is Status.NO_GO
    shard = run.shard("main")
    shard.write_text(shard.read_text().replace('"ok": false', '"ok": true'))
    _, forged = conclude(run)
    assert forged.status is Status.GO
    with pytest.raises(EvidenceError, match="the digest is"):
        verify(run, digest=digest)


def test_a_run_is_judged_sealed_and_pointed_to(make: Make, tmp_path: Path) -> None:
    run = make(criteria=CRITERIA)
    rundown = Rundown(run, run.info())
    assert rundown.headline == "gonogo: phase pre, release 2, run run-1"
    assert rundown.judge(None).status is Status.GO
    assert verify(run) == rundown.digest
    run.point_latest()
    assert (tmp_path / "reports" / "latest").resolve() == run.path.resolve()


@pytest.mark.parametrize(("breaks", "status"), [(["--unknown-option"], 4), (["-p", "ends_with_1"], 1)], ids=["4", "1"])
def test_a_measured_pass_that_breaks_is_said_whatever_its_status(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: list[str], status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make(criteria=CRITERIA)
    (tmp_path / "ends_with_1.py").write_text("raise SystemExit(1)")
    rundown = Rundown(run, run.info())
    rundown.measure(["nowhere.py::test_x"], [f"--rootdir={tmp_path}", *breaks], tmp_path)
    [note] = rundown.notes
    assert note.startswith(f"the measured pass ended with status {status}: ")
    assert note.endswith("see measured.log in the run's folder")


def test_the_verdict_of_a_level_is_that_of_its_phase(make: Make) -> None:
    verdict = judge_run(make(criteria=CRITERIA).load())
    assert verdict.criteria[0].level is Level.REQUIRED
    assert json.loads(json.dumps([claim.status for claim in verdict.claims])) == ["GO"]


def test_what_failed_and_feeds_no_claim_keeps_a_run_from_go(make: Make) -> None:
    run = make(criteria=CRITERIA)
    verdict = Rundown(run, run.info()).judge(None, failed=["acceptance/test_own.py::test_own"])
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.reasons == ("failed, and feeds no claim that came to its end: acceptance/test_own.py::test_own",)
    assert verify(run)
