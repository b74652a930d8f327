"""The proof of the gate stands beside every verdict, and a gate that was seen to catch nothing is not relied on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import scipy.special  # noqa: F401  # pytester forgets what a test has loaded, and numpy cannot be loaded twice
from constructor_project import ADAPTER, write
from sandbox import ROOT, Judge

from gonogo.contents import Contents
from gonogo.criteria import Statistic
from gonogo.errors import EvidenceError
from gonogo.joining import join, read_part
from gonogo.project import find_project
from gonogo.proof import CriterionProof, Itself, Outcome, Proof, Shown
from gonogo.report.markdown import cell
from gonogo.rundown import verify
from gonogo.runs import RunDirectory

pytest_plugins = ["pytester"]

AT = "2026-11-26T18:00:00+00:00"


def prove(project: Path, *outcomes: Outcome) -> None:
    """Write a proof of the project as it is, with these outcomes for the criterion structure."""
    shown = tuple(
        Shown(f"defect-{number}", "structure", outcome, "NO-GO", "GO", "", AT)
        for number, outcome in enumerate(outcomes)
    )
    proven = Contents.of(find_project(project), (project / "acceptance",)).proven
    itself = Itself("length", 102, 0, 1, at=AT)
    unknown = CriterionProof("pace", itself=Itself("pace", 0, 0, 0, at=AT))
    proof = Proof(AT, proven, (CriterionProof("structure", shown), CriterionProof("length", itself=itself), unknown))
    (project / "reports").mkdir(exist_ok=True)
    (project / "reports" / "proof.json").write_text(json.dumps(proof.as_json()), encoding="utf-8")


def is_described(document: dict[str, Any]) -> bool:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(document)


def test_every_statistic_is_described() -> None:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))
    pattern = schema["$defs"]["bound"]["properties"]["statistic"]["pattern"]
    told = ["0.99-quantile" if one is Statistic.QUANTILE else one.value for one in Statistic]
    assert [one for one in told if not re.search(pattern, one)] == []


def test_without_a_proof_the_verdict_is_what_it_is_and_says_so(judge: Judge) -> None:
    answer = judge()
    assert answer.status == 0
    assert answer.document["proof"]["state"] == "none"
    assert "no proof: run gonogo prove" in answer.output.splitlines()
    assert is_described(answer.document)


def test_a_proof_of_these_files_is_told_with_rates_date_and_hash(project: Path, judge: Judge) -> None:
    prove(project, Outcome.CAUGHT, Outcome.CAUGHT, Outcome.MISSED)
    answer = judge()
    assert answer.status == 0, "what was missed once does not decide"
    line = "proof: 2 of 3 planted defects caught, 1 missed, false NO-GO <= 2.89 %, not known of pace (2026-11-26)"
    assert line in " ".join(answer.output.split())
    told = answer.document["proof"]
    assert (told["state"], told["says"]) == ("fresh", line)
    assert len(told["rates"]["hash"]) == 64
    assert [one["id"] for one in told["rates"]["criteria"]] == ["structure", "length", "pace"]
    assert is_described(answer.document)
    assert not is_described(answer.document | {"proof": {**told, "more": 1}})
    assert answer.folder is not None
    assert f"{cell(line)}." in (answer.folder / "verdict.md").read_text()


@pytest.mark.parametrize(
    ("file", "more", "what"),
    [
        ("acceptance/test_structure.py", "# changed\n", "suites"),
        ("conftest.py", "# changed\n", "suites"),
        ("acceptance/criteria.toml", "# changed\n", "criteria"),
        ("recordings/2.0/facts.yaml", "", "recordings"),
        ("cases/facts.yaml", "# changed\n", "cases"),
    ],
)
def test_a_proof_of_other_files_is_said_and_decides_nothing(
    project: Path, judge: Judge, file: str, more: str, what: str
) -> None:
    prove(project, Outcome.MISSED)
    path = project / file
    if path.exists():
        path.write_text(path.read_text() + more)
    else:
        write(project, file, "step: facts\nrecordings: []\n")
    answer = judge()
    assert answer.status == 0, answer.output
    assert answer.document["proof"]["state"] == "stale"
    assert f"proof is of other {what}: run gonogo prove" in answer.output.splitlines()
    assert is_described(answer.document)


def test_a_candidate_that_was_changed_is_judged_by_the_same_gate(project: Path, judge: Judge) -> None:
    prove(project, Outcome.CAUGHT)
    write(project, "letters.py", "def build(): ...\n")
    assert judge().document["proof"]["state"] == "fresh"


def test_a_criterion_that_was_seen_to_catch_nothing_is_not_go(project: Path, judge: Judge) -> None:
    prove(project, Outcome.MISSED, Outcome.MISSED)
    answer = judge()
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "INCONCLUSIVE", "length": "GO"}
    [structure] = [one for one in answer.document["criteria"] if one["id"] == "structure"]
    assert "gonogo prove planted for it, it caught none (defect-0, defect-1)" in structure["reasons"][0]
    assert {claim["verdict"] for claim in structure["claims"]} == {"GO"}
    assert is_described(answer.document)


def test_a_criterion_that_falls_short_stays_no_go(project: Path, judge: Judge) -> None:
    write(project, "adapter.py", ADAPTER.replace("RESPONSE:", "ANSWER:"))
    prove(project, Outcome.MISSED)
    answer = judge()
    assert (answer.status, answer.verdicts["structure"]) == (1, "NO-GO")


def test_a_run_keeps_the_proof_that_it_was_judged_with(project: Path, judge: Judge) -> None:
    prove(project, Outcome.MISSED)
    answer = judge()
    assert answer.folder is not None
    run = RunDirectory(answer.folder)
    digest = run.digest
    prove(project, Outcome.CAUGHT)
    assert verify(run) == digest
    (project / "reports" / "proof.json").unlink()
    assert verify(run) == digest


def test_a_proof_that_is_put_in_the_place_of_the_one_that_was_kept_is_found(project: Path, judge: Judge) -> None:
    prove(project, Outcome.MISSED)
    answer = judge()
    assert answer.folder is not None
    run = RunDirectory(answer.folder)
    kept = run.read_json("proof.json")
    run.write_json("proof.json", {**kept, "state": "stale"})
    with pytest.raises(EvidenceError, match=r"changed since the run was sealed: proof\.json"):
        verify(run)
    run.write_json("proof.json", {})
    with pytest.raises(EvidenceError, match=r"proof\.json: not the proof of a gate"):
        run.load()


def test_a_run_of_before_there_were_proofs_is_still_what_it_was(judge: Judge) -> None:
    answer = judge()
    assert answer.folder is not None
    run = RunDirectory(answer.folder)
    (run.path / "proof.json").unlink()
    loaded = run.load()
    assert loaded.proof is None
    assert "proof.json" not in run.hashes()


def test_a_damaged_proof_is_said_and_decides_nothing(project: Path, judge: Judge) -> None:
    prove(project, Outcome.MISSED)
    (project / "reports" / "proof.json").write_text("{")
    answer = judge()
    assert answer.status == 0
    assert answer.document["proof"]["state"] == "damaged"
    assert "proof: proof.json is not what gonogo prove writes" in answer.output
    assert is_described(answer.document)


def test_joined_runs_take_the_newest_proof_of_their_files(project: Path, judge: Judge) -> None:
    prove(project, Outcome.MISSED)
    first = judge("acceptance/test_structure.py")
    prove(project, Outcome.CAUGHT)
    second = judge("acceptance/test_length.py")
    (project / "reports" / "proof.json").unlink()
    third = judge("acceptance/test_length.py")
    parts = [read_part(RunDirectory(one.folder)) for one in (first, second, third) if one.folder is not None]
    joined = join(parts).run.proof
    assert joined is not None
    assert joined.unproven == {}
    assert joined.state == "fresh"
    alone = join(parts[:1]).run.proof
    assert alone is not None
    assert [*alone.unproven] == ["structure"]
