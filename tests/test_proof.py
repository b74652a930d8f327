"""What a proof says: outcomes, rates with their bounds, and how a run finds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gonogo.found_proof import FoundProof, State, find_proof
from gonogo.model import Status
from gonogo.proof import CriterionProof, Itself, Outcome, Proof, Seen, Shown, files_hash, outcome_of

FILES = {"suites": "a1", "criteria": "b2", "recordings": "c3"}
AT = "2026-11-26T18:00:00+00:00"


def shown(defect: str, outcome: Outcome, criterion: str = "structure", reason: str = "") -> Shown:
    seen = "NO-GO" if outcome is Outcome.CAUGHT else "GO"
    return Shown(defect, criterion, outcome, "NO-GO", seen, reason, AT)


def proof(*criteria: CriterionProof) -> Proof:
    return Proof(AT, FILES, criteria)


STRUCTURE = CriterionProof("structure", tuple(shown(f"defect-{n}", Outcome.CAUGHT) for n in range(6)))
SPEED = CriterionProof(
    "speed",
    (shown("slow", Outcome.CAUGHT, "speed"), shown("slower", Outcome.NOT_SHOWN, "speed", "open")),
    itself=Itself("speed", 102, 0, 3, at=AT),
)
BLIND = CriterionProof("blind", (shown("one", Outcome.MISSED, "blind"), shown("two", Outcome.MISSED, "blind")))


class TestOutcome:
    def outcome(self, seen: Seen, expected: Status = Status.NO_GO, *, measured: bool = False) -> Outcome:
        return outcome_of(expected, seen, measured=measured, unplanted=Status.GO)[0]

    def test_no_go_is_caught(self) -> None:
        assert self.outcome(Seen(Status.NO_GO)) is Outcome.CAUGHT

    def test_go_is_missed_and_so_is_inconclusive(self) -> None:
        for verdict in (Status.GO, Status.INCONCLUSIVE):
            seen = Seen(verdict, "because")
            assert outcome_of(Status.NO_GO, seen, measured=False, unplanted=None) == (Outcome.MISSED, "because")

    def test_what_the_defect_expects_is_caught_and_no_go_will_do_as_well(self) -> None:
        assert self.outcome(Seen(Status.INCONCLUSIVE), Status.INCONCLUSIVE) is Outcome.CAUGHT
        assert self.outcome(Seen(Status.NO_GO), Status.INCONCLUSIVE) is Outcome.CAUGHT
        assert self.outcome(Seen(Status.GO), Status.INCONCLUSIVE) is Outcome.MISSED

    def test_an_open_measurement_is_not_shown_and_a_go_of_one_is_missed(self) -> None:
        assert self.outcome(Seen(Status.INCONCLUSIVE, "in [a, b]"), measured=True) is Outcome.NOT_SHOWN
        assert self.outcome(Seen(Status.GO), measured=True) is Outcome.MISSED

    def test_what_a_target_lacks_cannot_be_planted(self) -> None:
        seen = Seen(Status.NO_GO, lacking="the target does not offer: fault")
        assert outcome_of(Status.NO_GO, seen, measured=False, unplanted=None) == (
            Outcome.NOT_APPLICABLE,
            "the target does not offer: fault",
        )

    def test_a_criterion_that_is_not_judged_cannot_catch(self) -> None:
        assert self.outcome(Seen(None)) is Outcome.NOT_APPLICABLE

    @pytest.mark.parametrize("verdict", [Status.NO_GO, Status.INCONCLUSIVE])
    def test_a_verdict_that_is_there_without_the_defect_shows_nothing(self, verdict: Status) -> None:
        outcome, why = outcome_of(verdict, Seen(verdict, "it is broken"), measured=False, unplanted=verdict)
        assert outcome is Outcome.NOT_SHOWN
        assert why == f"the criterion is {verdict} without a planted defect, too: it is broken"

    def test_what_is_open_without_the_defect_and_with_it_is_no_miss(self) -> None:
        seen = Seen(Status.INCONCLUSIVE, "12 samples")
        outcome, _ = outcome_of(Status.NO_GO, seen, measured=False, unplanted=Status.INCONCLUSIVE)
        assert outcome is Outcome.NOT_SHOWN
        outcome, _ = outcome_of(Status.NO_GO, Seen(Status.GO), measured=False, unplanted=Status.INCONCLUSIVE)
        assert outcome is Outcome.MISSED


class TestRates:
    def test_the_kill_rate_has_its_exact_lower_bound(self) -> None:
        rate = STRUCTURE.kill_rate
        assert rate is not None
        assert rate.estimate == 1
        assert rate.lower == pytest.approx(0.05 ** (1 / 6))

    def test_what_is_not_shown_counts_as_not_caught(self) -> None:
        rate = SPEED.kill_rate
        assert rate is not None
        assert (rate.estimate, rate.n) == (0.5, 2)

    def test_what_is_not_applicable_does_not_count(self) -> None:
        one = CriterionProof("structure", (shown("a", Outcome.CAUGHT), shown("b", Outcome.NOT_APPLICABLE)))
        assert one.applicable == 1
        assert CriterionProof("structure", (shown("b", Outcome.NOT_APPLICABLE),)).kill_rate is None

    def test_false_no_go_and_inconclusive_have_exact_upper_bounds(self) -> None:
        itself = SPEED.itself
        assert itself is not None
        assert itself.false_no_go is not None
        assert itself.undecided is not None
        assert itself.false_no_go.upper == pytest.approx(1 - 0.05 ** (1 / 102))
        assert itself.undecided.estimate == pytest.approx(3 / 102)
        assert itself.undecided.upper > 3 / 102

    def test_without_claims_there_is_no_rate(self) -> None:
        assert Itself("speed", 0, 0, 0).false_no_go is None

    def test_runs_add_up(self) -> None:
        whole = Itself("speed", 18, 1, 0, "slow", "2026-11-25") + Itself("speed", 18, 0, 2, "", "2026-11-26")
        assert whole == Itself("speed", 36, 1, 2, "slow", "2026-11-26")

    @pytest.mark.parametrize("counts", [(1, 1, 1), (-1, 0, 0), (3, -1, 0)])
    def test_impossible_counts_are_refused(self, counts: tuple[int, int, int]) -> None:
        with pytest.raises(ValueError, match="is impossible"):
            Itself("speed", *counts)


def test_a_proof_is_told_in_one_line() -> None:
    assert proof(STRUCTURE).says == "6 of 6 planted defects caught, false NO-GO not known (2026-11-26)"
    whole = proof(STRUCTURE, SPEED, CriterionProof("x", (shown("n", Outcome.NOT_APPLICABLE),), ("later",))).says
    assert whole == (
        "7 of 8 planted defects caught, 1 not shown, 1 not applicable, 1 not yet planted, false NO-GO <= 2.89 % (2026-11-26)"
    )


def test_of_several_criteria_the_worst_rate_of_false_no_go_is_told() -> None:
    other = CriterionProof("memory", (), itself=Itself("memory", 100, 4, 0))
    assert "false NO-GO <= 8.92 %" in proof(SPEED, other).says


def test_a_criterion_is_told_in_one_line() -> None:
    assert SPEED.says == (
        "1 of 2 planted defects caught (rate >= 2.53 %), 1 not shown, false NO-GO <= 2.89 %, INCONCLUSIVE <= 7.43 % (n = 102)"
    )
    assert CriterionProof("x").says == "nothing was planted"


def test_a_criterion_that_catches_nothing_may_not_be_relied_on() -> None:
    assert BLIND.catches_nothing == (
        "of the defects that gonogo prove planted for it, it caught none (one, two); correct its suite, and run gonogo prove"
    )


@pytest.mark.parametrize(
    "outcomes",
    [
        (Outcome.CAUGHT, Outcome.MISSED),
        (Outcome.NOT_SHOWN, Outcome.NOT_SHOWN),
        (Outcome.NOT_APPLICABLE,),
        (),
    ],
)
def test_only_misses_without_a_catch_speak_against_a_criterion(outcomes: tuple[Outcome, ...]) -> None:
    assert not CriterionProof("x", tuple(shown(str(one), one) for one in outcomes)).catches_nothing


def test_what_is_written_reads_back() -> None:
    whole = proof(STRUCTURE, SPEED, CriterionProof("x", (), ("later",)))
    assert Proof.from_json(json.loads(json.dumps(whole.as_json()))) == whole


def test_programs_read_the_rates_with_their_bounds() -> None:
    data: Any = proof(SPEED).as_json()
    assert data["hash"] == files_hash(FILES)
    assert data["holds_for"] == FILES
    assert data["confidence"] == 0.95
    [speed] = data["criteria"]
    assert speed["kill_rate"]["estimate"] == 0.5
    assert speed["false_no_go"]["upper"] == pytest.approx(0.0289, abs=1e-4)
    assert speed["inconclusive"]["n"] == 102


class TestFound:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(proof(STRUCTURE, SPEED, BLIND).as_json()), encoding="utf-8")
        return path

    def test_a_proof_of_the_same_files_is_fresh(self, path: Path) -> None:
        found = find_proof(path, FILES)
        assert found.state is State.FRESH
        assert found.says.startswith(
            "proof: 7 of 10 planted defects caught, 2 missed, 1 not shown, false NO-GO <= 2.89 %"
        )
        assert found.of("structure") == "proof: 6 of 6 planted defects caught (rate >= 60.7 %) (2026-11-26)"
        assert found.of("sign-offs") == "proof: no defect is planted for this criterion"

    def test_a_fresh_kill_rate_of_zero_speaks_against_its_criterion_alone(self, path: Path) -> None:
        assert [*find_proof(path, FILES).unproven] == ["blind"]

    @pytest.mark.parametrize(
        ("files", "says"),
        [
            ({"suites": "x"}, "proof is of other suites: run gonogo prove"),
            ({"suites": "x", "recordings": "y"}, "proof is of other suites and recordings: run gonogo prove"),
        ],
    )
    def test_a_proof_of_other_files_is_said_and_decides_nothing(
        self, path: Path, files: dict[str, str], says: str
    ) -> None:
        found = find_proof(path, FILES | files)
        assert (found.state, found.says, found.of("structure")) == (State.STALE, says, says)
        assert found.unproven == {}
        assert found.proof is not None, "what it found then stays readable"

    def test_no_proof_is_said(self, tmp_path: Path) -> None:
        found = find_proof(tmp_path / "proof.json", FILES)
        assert (found.state, found.says) == (State.NONE, "no proof: run gonogo prove")
        assert found.of("structure") == found.says
        assert found.unproven == {}

    @pytest.mark.parametrize(
        "bend",
        [
            lambda data: "[]",
            lambda data: "{",
            lambda data: json.dumps(data | {"version": 2}),
            lambda data: json.dumps(data | {"hash": "0" * 64}),
            lambda data: json.dumps(data | {"made": 5}),
            lambda data: json.dumps(data | {"criteria": {}}),
            lambda data: json.dumps(data | {"criteria": [{"id": "x", "defects": [{}], "open": [], "itself": None}]}),
        ],
    )
    def test_a_damaged_proof_is_said_and_decides_nothing(self, path: Path, bend: Callable[[Any], str]) -> None:
        path.write_text(bend(json.loads(path.read_text())), encoding="utf-8")
        found = find_proof(path, FILES)
        assert found.state is State.DAMAGED
        assert found.says.startswith("proof: proof.json is not what gonogo prove writes (")
        assert found.says.endswith("); remove it, and run gonogo prove")
        assert found.unproven == {}

    def test_what_a_run_keeps_reads_back(self, path: Path, tmp_path: Path) -> None:
        for found in (find_proof(path, FILES), find_proof(path, FILES | {"suites": ""}), FoundProof(State.NONE)):
            assert FoundProof.from_json(json.loads(json.dumps(found.as_json()))) == found
