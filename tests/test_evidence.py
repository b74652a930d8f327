"""The ledger: what is written is read back, and what is damaged is said and never guessed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from builders import CLAIM, ended, finding, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.errors import EvidenceError
from gonogo.evidence import Shard, by_claim, decode, encode, read_shard
from gonogo.model import Claim, Collected, Ended, Evidence, Finding, Gap, Judged, Outcome, Sampled

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=12)
CLAIMS = st.builds(Claim, TEXTS, st.none() | TEXTS)
CASES = st.none() | TEXTS
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
RECORDS: st.SearchStrategy[Evidence] = st.one_of(
    st.builds(Judged, CLAIMS, CASES, st.builds(Finding, TEXTS, st.booleans(), TEXTS, TEXTS)),
    st.builds(Sampled, CLAIMS, TEXTS, TEXTS, st.lists(NUMBERS, max_size=4).map(tuple), CASES),
    st.builds(Gap, CLAIMS, CASES, TEXTS, TEXTS),
    st.builds(Ended, CLAIMS, st.sampled_from(Outcome), TEXTS, TEXTS, st.floats(0, 1e6)),
    st.builds(Collected, st.lists(CLAIMS, max_size=3).map(tuple), st.integers(0, 9)),
)
HEAD = '{"kind": "shard", "version": 1}\n'


@settings(max_examples=80, deadline=None)
@given(st.lists(RECORDS, max_size=5))
def test_every_record_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[Evidence]
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "main.jsonl"
    shard = Shard(path)
    for record in records:
        shard.append(record)
    shard.close()
    content = read_shard(path)
    # JSON joins two halves of a character; nothing else may change
    whole = [decode(json.loads(json.dumps(encode(record)))) for record in records]
    assert list(content.records) == whole
    assert (content.name, content.torn) == ("main", False)
    assert all(type(one) is type(other) for one, other in zip(whole, records, strict=True))


def test_a_record_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "deep" / "main.jsonl")
    shard.append(finding())
    assert read_shard(tmp_path / "deep" / "main.jsonl").records == (finding(),)
    shard.close()


def test_a_shard_never_overwrites_another(tmp_path: Path) -> None:
    Shard(tmp_path / "main.jsonl").close()
    with pytest.raises(FileExistsError):
        Shard(tmp_path / "main.jsonl")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_sample_that_is_no_number_is_refused_and_nothing_is_written(tmp_path: Path, value: float) -> None:
    shard = Shard(tmp_path / "main.jsonl")
    with pytest.raises(
        EvidenceError,
        match=rf"sample 'seconds' of structure/facts holds {value!r} at index 1; a measurement is a finite",
    ):
        shard.append(sample(1.0, value))
    shard.append(sample(2.0))
    shard.close()
    assert read_shard(tmp_path / "main.jsonl").records == (sample(2.0),)


@pytest.mark.parametrize(
    "record",
    [
        sample(True, False),
        Judged(CLAIM, None, Finding("check", 1, "an int for a bool")),  # type: ignore[arg-type]  # as suites do it
        sample(10**400),
        Judged(CLAIM, None, Finding("check", True, None)),  # type: ignore[arg-type]  # as suites do it
    ],
)
def test_whatever_is_taken_can_be_read_back_or_is_refused_at_once(tmp_path: Path, record: Evidence) -> None:
    path = tmp_path / "main.jsonl"
    try:
        with closing(Shard(path)) as shard:
            shard.append(record)
    except EvidenceError:
        return
    assert len(read_shard(path).records) == 1


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "gw0.jsonl"
    shard = Shard(path)
    shard.append(finding())
    shard.append(finding(False))
    shard.close()
    path.write_bytes(path.read_bytes()[:-cut])
    content = read_shard(path)
    assert content.torn
    assert content.records == (finding(),)


@pytest.mark.parametrize("text", ["", '{"kind"', HEAD[:-1]])
def test_a_shard_whose_process_died_at_once_is_torn_and_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    content = read_shard(tmp_path / "x.jsonl")
    assert content.torn
    assert content.records == ()


GOOD = json.dumps(encode(finding()))
FINDING = '{"criterion": "c", "step": null, "kind": "finding", "case": null, "check": "x", "ok": %s, "reason": "r"}'
SAMPLE = '{"criterion": "c", "step": null, "kind": "sample", "case": null, "name": "n", "unit": "s", "values": %s}'


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "[]",
        "7",
        "null",
        '{"kind": "verdict", "criterion": "c", "step": null}',
        '{"criterion": "c", "step": null}',
        '{"kind": "gap", "criterion": "c"}',
        '{"kind": "ended", "criterion": "c", "step": null, "outcome": "great", "reason": "", "item": "i", "seconds": 1}',
        '{"kind": "collected", "claims": [["a"]], "deselected": 0}',
        FINDING % "1",
        FINDING % '"true"',
        FINDING % "null",
        SAMPLE % "[NaN]",
        SAMPLE % "[Infinity]",
        SAMPLE % "[1e999]",
        SAMPLE % "[true]",
        SAMPLE % '["1"]',
        SAMPLE % "3",
        SAMPLE % ("[" + "9" * 400 + "]"),
        SAMPLE % ("[" * 100_000),
    ],
)
def test_a_damaged_line_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    path = tmp_path / "gw1.jsonl"
    path.write_text(f"{HEAD}{GOOD}\n{line}\n{GOOD}\n", encoding="utf-8")
    with pytest.raises(
        EvidenceError, match=r"^gw1\.jsonl:3: no record of evidence \(.*; the run is damaged, run it again"
    ):
        read_shard(path)


@pytest.mark.parametrize(
    "line",
    [
        '{"criterion": ["c"], "step": null, "kind": "gap", "case": null, "reason": "r"}',
        '{"criterion": "c", "step": {}, "kind": "gap", "case": null, "reason": "r"}',
        '{"criterion": "c", "step": null, "kind": "gap", "case": [], "reason": "r"}',
        '{"criterion": "c", "step": null, "kind": "gap", "case": null, "reason": 7}',
        '{"criterion": "c", "step": null, "kind": "ended", "outcome": "passed", "reason": "", "item": "i", "seconds": "long"}',
        SAMPLE % "{}",
        '{"kind": "collected", "claims": ["ab"], "deselected": 0}',
    ],
)
def test_a_value_of_another_type_is_damage_and_not_a_crash_later(tmp_path: Path, line: str) -> None:
    path = tmp_path / "gw1.jsonl"
    path.write_text(f"{HEAD}{line}\n", encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"gw1\.jsonl:2"):
        read_shard(path)


@pytest.mark.parametrize("head", ['{"kind": "shard", "version": 2}', '{"kind": "shard"}', GOOD])
def test_a_shard_without_its_head_is_refused(tmp_path: Path, head: str) -> None:
    (tmp_path / "x.jsonl").write_text(f"{head}\n{GOOD}\n")
    with pytest.raises(EvidenceError, match=r"x\.jsonl:1: .*not the head of a shard of version 1"):
        read_shard(tmp_path / "x.jsonl")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(HEAD.encode() + b"\xff\n")
    with pytest.raises(EvidenceError, match=r"x\.jsonl: cannot be read as a shard of evidence: .*; the run is damaged"):
        read_shard(tmp_path / "x.jsonl")
    with pytest.raises(EvidenceError, match=r"gone\.jsonl: cannot be read"):
        read_shard(tmp_path / "gone.jsonl")


def test_records_are_sorted_by_claim_in_the_order_they_came() -> None:
    other = Claim("other")
    records: list[Evidence] = [finding(), ended(claim=other), Collected((CLAIM,)), sample(1.0)]
    assert by_claim(records) == {CLAIM: [finding(), sample(1.0)], other: [ended(claim=other)]}
