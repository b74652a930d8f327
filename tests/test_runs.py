"""A run on disk: facts, snapshots, manifest, digest; and what happens when one of them is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import FACTS, ended, finding

from gonogo.errors import EvidenceError
from gonogo.evidence import Shard
from gonogo.model import Frame, Json, Provenance, Recording, Reply, Request
from gonogo.recordings import RecordingSet
from gonogo.runs import RunDirectory, RunInfo, digest_of, recording_hashes

CRITERIA = """version = 1
[prompt]
sections = ["CONTEXT", "TASK", "RESPONSE"]
inputs = "TASK"
[[criterion]]
id = "structure"
title = "Sections"
group = "Prompts"
per = ["step"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""
INFO = RunInfo(
    "run-1",
    "2026-11-23T10:00:00.000+00:00",
    FACTS,
    {"candidate": {"version": "2.0.0"}},
    {"facts": "Planning / Facts"},
    contents={"candidate": "c0ffee"},
)
RECORDING = Recording(
    "facts/roads",
    "facts",
    ("roads",),
    Request("ollama", "/api/generate", {"prompt": "x"}),
    Reply("y"),
    Provenance.SYNTHETIC,
    "2026-11-23",
)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    criteria = tmp_path / "criteria.toml"
    criteria.write_text(CRITERIA)
    made = RunDirectory.create(tmp_path / "reports", INFO, criteria, {"2.0.0": RecordingSet.of([RECORDING])})
    shard = Shard(made.shard("main"))
    shard.append(finding())
    shard.append(ended())
    shard.close()
    return made


def test_a_run_is_read_back_as_it_was_written(run: RunDirectory) -> None:
    loaded = run.load()
    assert loaded.info == INFO
    assert [criterion.id for criterion in loaded.criteria.criteria] == ["structure"]
    assert loaded.evidence == (finding(), ended())
    assert run.allure_results == run.path / "allure-results"


def test_a_run_is_never_overwritten(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(
        EvidenceError, match=r"run-1: this run is there already; move it away, evidence is never overwritten"
    ):
        RunDirectory.create(tmp_path / "reports", INFO, tmp_path / "criteria.toml", {})


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match=r"cannot be written \(.*\); give another folder with --gonogo-report"):
        RunDirectory.create(tmp_path / "file", INFO, tmp_path / "criteria.toml", {})


def test_an_untouched_run_has_not_changed(run: RunDirectory) -> None:
    digest = run.seal()
    assert run.changed_files() == []
    assert run.digest == digest == digest_of(run.hashes())


@pytest.mark.parametrize("name", ["run.json", "criteria.toml", "recordings.json", "shards/main.jsonl"])
def test_whatever_is_touched_after_the_seal_is_named_and_changes_the_digest(run: RunDirectory, name: str) -> None:
    digest = run.seal()
    with (run.path / name).open("a") as file:
        file.write("\n")
    assert run.changed_files() == [name]
    assert run.digest != digest


def test_evidence_that_is_added_or_taken_away_after_the_seal_is_named(run: RunDirectory) -> None:
    run.seal()
    Shard(run.shard("late")).close()
    run.write_json("notes.json", {"notes": []})
    assert run.changed_files() == ["notes.json", "shards/late.jsonl"]
    run.shard("main").unlink()
    assert run.changed_files() == ["notes.json", "shards/late.jsonl", "shards/main.jsonl"]


def test_a_file_that_is_gone_is_damage(run: RunDirectory) -> None:
    run.seal()
    (run.path / "recordings.json").unlink()
    with pytest.raises(EvidenceError, match=r"run-1: .*recordings\.json cannot be read .*; the run is damaged"):
        run.changed_files()


def test_a_run_that_was_never_sealed_cannot_be_compared(run: RunDirectory) -> None:
    with pytest.raises(EvidenceError, match="run-1: was never sealed, so it did not come to its end; run it again"):
        run.changed_files()


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"files": []}'])
def test_a_manifest_that_is_none_is_damage(run: RunDirectory, manifest: str) -> None:
    run.write_text("manifest.json", manifest)
    with pytest.raises(EvidenceError, match=r"manifest\.json: not a manifest; the run is damaged"):
        run.changed_files()


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        EvidenceError, match=r"run\.json: no such file; give the folder of a run, such as reports/latest"
    ):
        RunDirectory(tmp_path).load()


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(version=2),
        lambda data: data.update(phase="soon"),
        lambda data: data.update(abilities=["flying"]),
        lambda data: data.update(cases=[]),
        lambda data: data.pop("steps"),
        lambda data: data.update(steps=3),
        lambda data: data.pop("contents"),
        lambda data: data.update(contents=["c0ffee"]),
    ],
)
def test_facts_that_are_none_are_damage(run: RunDirectory, change: Change) -> None:
    data = run.read_json("run.json")
    change(data)
    run.write_json("run.json", data)
    with pytest.raises(EvidenceError, match=r"run-1/run\.json: not the facts of a run \(.*\); the run is damaged"):
        run.load()


def test_broken_json_and_broken_criteria_are_damage(run: RunDirectory) -> None:
    (run.path / "criteria.toml").write_text("version = 1\n")
    with pytest.raises(
        EvidenceError,
        match=r"run-1: the snapshot of the criteria cannot be used: criteria\.toml: the key 'prompt' is missing",
    ):
        run.load()
    run.write_text("run.json", "{")
    with pytest.raises(EvidenceError, match=r"run\.json: cannot be read \(.*\); the run is damaged"):
        run.load()


def test_texts_that_no_encoding_takes_are_written_all_the_same(run: RunDirectory) -> None:
    run.write_json("verdict.json", {"reason": "half \ud83d"})
    assert run.read_json("verdict.json") == {"reason": "half \ud83d"}
    assert not list(run.path.glob(".*writing"))


def test_a_nan_is_never_written(run: RunDirectory) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("verdict.json", {"value": float("nan")})
    assert not (run.path / "verdict.json").exists()


def test_latest_points_to_the_newest_run(run: RunDirectory, tmp_path: Path) -> None:
    run.point_latest()
    run.point_latest()
    latest = tmp_path / "reports" / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == run.path.resolve()


def test_a_process_is_let_in_once_and_only_if_it_was_asked(run: RunDirectory) -> None:
    assert not run.let_in("")
    word = run.ask_in()
    assert not run.let_in("")
    assert not run.let_in(word[:-1])
    assert run.let_in(word)
    assert not run.let_in(word)
    late = run.ask_in()
    assert late != word
    run.shut()
    run.shut()
    assert not run.let_in(late)


Other = Callable[[Recording], Recording]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, reply=Reply("z")),
        lambda one: replace(one, reply=Reply("y", 500)),
        lambda one: replace(one, request=Request("ollama", "/api/generate", {"prompt": "X"})),
        lambda one: replace(one, provenance=Provenance.CAPTURED),
        lambda one: replace(one, cases=("rivers",)),
        lambda one: replace(one, reply=Reply("y", frames=(Frame(0.0, b"what is really served"),))),
    ],
)
def test_whatever_changes_in_a_recording_changes_its_hash(change: Other) -> None:
    def hashed(one: Recording) -> dict[str, Json]:
        return recording_hashes({"2.0.0": RecordingSet.of([one])})

    assert hashed(RECORDING) == hashed(replace(RECORDING))
    assert hashed(change(RECORDING)) != hashed(RECORDING)


def test_run_json_is_plain_data(run: RunDirectory) -> None:
    data = json.loads((run.path / "run.json").read_text())
    assert data["phase"] == "pre"
    assert data["abilities"] == ["prompt", "worker"]
    assert data["contents"] == {"candidate": "c0ffee"}
    assert RunInfo.from_json(data) == INFO
    assert RunInfo.from_json(data | {"planted": "counter"}) == replace(INFO, planted="counter")
