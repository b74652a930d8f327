"""Which items a process takes, runs and leaves for the measured pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLAIM, FACTS, criterion

from gonogo.collector import Collector, NotASuite
from gonogo.criteria import Scope
from gonogo.evidence import Shard, read_shard
from gonogo.model import Ability, Claim, Collected, Ended, Finding, Level, Outcome

WHOLE = Claim("structure")


@pytest.fixture
def collect(tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    with ExitStack() as stack:

        def make(measured_pass: bool = False, name: str = "main") -> Collector:
            collector = Collector("run-1", FACTS, Shard(tmp_path / f"{name}.jsonl"), measured_pass)
            stack.callback(collector.close)
            return collector

        yield make


def test_an_item_is_taken_and_run(collect: Callable[..., Collector]) -> None:
    collector = collect()
    collector.take("t::a", CLAIM, criterion())
    assert collector.runs_now("t::a")
    assert collector.claims == {"t::a": CLAIM}
    assert collector.runs_now("t::unmarked")


def test_measured_items_are_left_for_the_measured_pass_which_runs_nothing_else(
    collect: Callable[..., Collector],
) -> None:
    first, second = collect(), collect(measured_pass=True, name="measured")
    for collector in (first, second):
        collector.take("t::timed", CLAIM, criterion(measured=True))
        collector.take("t::plain", WHOLE, criterion(scopes=(Scope.RUN,)))
    assert first.left_out == ["t::timed"]
    assert [item for item in ("t::timed", "t::plain", "t::unmarked") if first.runs_now(item)] == [
        "t::plain",
        "t::unmarked",
    ]
    assert [item for item in ("t::timed", "t::plain", "t::unmarked") if second.runs_now(item)] == ["t::timed"]
    assert second.left_out == []


@pytest.mark.parametrize("entry", [criterion(level=Level.NOT_JUDGED), criterion(needs=(Ability.LIVE,))])
def test_what_is_not_judged_or_cannot_be_is_not_run(collect: Callable[..., Collector], entry: object) -> None:
    for measured_pass in (False, True):
        collector = collect(measured_pass, f"m{measured_pass}")
        collector.take("t::a", CLAIM, entry)  # type: ignore[arg-type]  # a criterion
        assert not collector.runs_now("t::a")
        assert collector.claims == {}


def test_an_item_of_a_scope_that_is_not_claimed_is_refused(collect: Callable[..., Collector]) -> None:
    with pytest.raises(
        NotASuite,
        match=r"t::a: criterion 'structure' is claimed per step, this test feeds it per run; ask for the fixture",
    ):
        collect().take("t::a", WHOLE, criterion())


def test_two_items_for_one_claim_are_refused(collect: Callable[..., Collector]) -> None:
    collector = collect()
    collector.take("t::a", CLAIM, criterion())
    with pytest.raises(
        NotASuite, match=r"t::b: the claim structure/facts is fed by t::a already; one test feeds one claim, join"
    ):
        collector.take("t::b", CLAIM, criterion())


def test_a_test_without_a_criterion_that_asks_for_evidence_is_refused(collect: Callable[..., Collector]) -> None:
    with pytest.raises(NotASuite, match=r"names no criterion; mark it with @pytest\.mark\.criterion"):
        _ = collect().current


def test_what_was_collected_and_how_items_ended_is_written_down(
    collect: Callable[..., Collector], tmp_path: Path
) -> None:
    collector = collect()
    collector.take("t::b", replace(CLAIM, step="meta"), criterion())
    collector.take("t::a", CLAIM, criterion())
    collector.deselected = 3
    collector.note_collected()
    collector.begin("t::a")
    collector.current.note(Outcome.PASSED, "", 0.1)
    collector.current.add(None, Finding("check", True, "fine"))
    collector.current.conclude()
    collector.current.note(Outcome.PASSED, "", 0.2)
    collector.current.complete = True
    collector.end()
    collected, _, ended = read_shard(tmp_path / "main.jsonl").records
    assert collected == Collected((CLAIM, Claim("structure", "meta")), 3)
    assert isinstance(ended, Ended)
    assert (ended.claim, ended.outcome, ended.item) == (CLAIM, Outcome.PASSED, "t::a")
    with pytest.raises(NotASuite):
        _ = collector.current


def test_an_item_that_was_cut_off_leaves_no_end(collect: Callable[..., Collector], tmp_path: Path) -> None:
    collector = collect()
    collector.take("t::a", CLAIM, criterion())
    collector.begin("t::a")
    collector.end()
    assert read_shard(tmp_path / "main.jsonl").records == ()


def test_an_item_that_was_interrupted_in_its_call_has_not_passed(
    collect: Callable[..., Collector], tmp_path: Path
) -> None:
    collector = collect()
    collector.take("t::a", CLAIM, criterion())
    collector.begin("t::a")
    collector.current.note(Outcome.PASSED, "", 0.1)  # the setup
    collector.current.add(None, Finding("check", True, "the first case is fine"))
    collector.end()  # what the plugin does when Ctrl-C comes in the call
    outcomes = [one.outcome for one in read_shard(tmp_path / "main.jsonl").records if isinstance(one, Ended)]
    assert Outcome.PASSED not in outcomes
