"""How a proof is made: what is open, in which order, and that nothing that was once shown is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import criteria, criterion

from gonogo.criteria import Criteria
from gonogo.errors import EvidenceError
from gonogo.model import Ability, Level, Phase, Status
from gonogo.proof import Itself, Outcome, Seen, Shown
from gonogo.proof_results import Control, Results
from gonogo.proving import NOTHING, Broke, Job, Plan, Prover, Runner, missed, proof_of
from gonogo.pytest_runs import RunBroke

FILES = {"suites": "a1", "criteria": "b2", "recordings": "c3"}


@dataclass(frozen=True)
class Defect:
    id: str
    criterion: str
    title: str = "does it wrong"
    needs: frozenset[Ability] = frozenset()
    expected: Status = Status.NO_GO


CRITERIA: Criteria = criteria(criterion("structure"), criterion("mapping"), criterion("speed", measured=True))
CATALOGUE = (
    Defect("swapped", "structure"),
    Defect("doubled", "structure"),
    Defect("renamed", "mapping"),
    Defect("slow", "speed"),
    Defect("unknown", "nobody-asks"),
)
GOOD = Seen(Status.GO, "all hold")
BAD = Seen(Status.NO_GO, "it fails")


class Fake:
    """A runner that answers from a table and remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Seen | Exception] | None = None) -> None:
        self.answers = answers or {}
        self.jobs: list[str] = []

    def __call__(self, job: Job) -> dict[str, Seen]:
        self.jobs.append(job.name)
        if isinstance(error := self.answers.get(job.name), Exception):
            raise error
        usual = Seen(Status.GO, claims=18) if job.planted == NOTHING else BAD if job.planted else GOOD
        answers = {one: self.answers.get(Job((one,), job.planted).name, usual) for one in job.criteria}
        return {one: answer for one, answer in answers.items() if isinstance(answer, Seen)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "proof" / "results.jsonl"


def plan(*only: str, decisions: int = 36) -> Plan:
    return Plan.of(CRITERIA, CATALOGUE, only=only, decisions=decisions)


def run(path: Path, runner: Runner, *only: str, decisions: int = 36, workers: int = 1) -> Prover:
    prover = Prover(plan(*only, decisions=decisions), Results.open(path, FILES), runner, lambda: None, workers=workers)
    for _ in prover.run():
        pass
    return prover


def outcomes(results: Results, *names: str) -> list[Outcome]:
    shown = {one.defect: one.outcome for one in results.records if isinstance(one, Shown)}
    return [shown[name] for name in names]


def test_first_without_a_defect_then_with_each_and_what_is_measured_last_and_alone(path: Path) -> None:
    fake = Fake()
    prover = run(path, fake)
    assert fake.jobs == [
        "structure-unplanted",
        "mapping-unplanted",
        "speed-unplanted",
        "structure-swapped",
        "structure-doubled",
        "mapping-renamed",
        "speed-slow",
        "speed-nothing",
        "speed-nothing-2",
    ]
    assert prover.plan.is_complete(prover.results)


def test_a_defect_whose_criterion_the_project_does_not_have_is_not_planted() -> None:
    assert "unknown" not in {one.id for one in plan().defects}


@pytest.mark.parametrize(
    ("only", "jobs"),
    [
        (("renamed",), ["mapping-unplanted", "mapping-renamed"]),
        (("slow",), ["speed-unplanted", "speed-slow"]),
        (("speed",), ["speed-unplanted", "speed-slow", "speed-nothing", "speed-nothing-2"]),
        (("renamed", "slow"), ["mapping-unplanted", "speed-unplanted", "mapping-renamed", "speed-slow"]),
    ],
)
def test_only_what_was_chosen_is_run(path: Path, only: Sequence[str], jobs: list[str]) -> None:
    fake = Fake()
    run(path, fake, *only)
    assert fake.jobs == jobs


def test_a_release_is_held_against_itself_until_enough_claims_are_decided(path: Path) -> None:
    fake = Fake({"speed-nothing": Seen(Status.NO_GO, claims=18, no_go=1, inconclusive=2)})
    prover = run(path, fake, "speed", decisions=37)
    assert fake.jobs[2:] == ["speed-nothing", "speed-nothing-2", "speed-nothing-3"]
    whole = prover.results.itself("speed")
    assert whole is not None
    assert (whole.claims, whole.no_go, whole.inconclusive) == (54, 3, 6)


def test_more_decisions_go_on_where_fewer_stopped(path: Path) -> None:
    run(path, Fake(), "speed", decisions=36)
    fake = Fake()
    run(path, fake, "speed", decisions=40)
    assert fake.jobs == ["speed-nothing-3"]


def test_a_criterion_that_decides_nothing_is_not_asked_for_ever(path: Path) -> None:
    fake = Fake({"speed-nothing": Seen(None, lacking="the target does not offer: timing")})
    prover = run(path, fake, "speed")
    assert fake.jobs == ["speed-unplanted", "speed-slow", "speed-nothing"]
    assert prover.results.itself("speed") == Itself(
        "speed", 0, 0, 0, "the target does not offer: timing", prover.results.records[-1].at
    )
    again = Fake()
    run(path, again, "speed")
    assert again.jobs == []


def test_what_is_known_is_not_run_again(path: Path) -> None:
    run(path, Fake())
    fake = Fake()
    prover = run(path, fake)
    assert fake.jobs == []
    assert outcomes(prover.results, "swapped", "slow") == [Outcome.CAUGHT, Outcome.CAUGHT]


def test_a_proof_that_was_broken_off_goes_on_where_it_stopped(path: Path) -> None:
    class Interrupted(Exception):
        """Somebody pressed Ctrl-C."""

    with pytest.raises(Interrupted):
        run(path, Fake({"structure-doubled": Interrupted()}))
    fake = Fake()
    prover = run(path, fake)
    assert fake.jobs[0] == "structure-doubled"
    assert "structure-swapped" not in fake.jobs
    assert "structure-unplanted" not in fake.jobs
    assert prover.plan.is_complete(prover.results)


def test_a_run_that_broke_shows_nothing_and_is_made_again(path: Path) -> None:
    prover = run(path, Fake({"structure-doubled": RunBroke("pytest ended with status 3")}))
    assert prover.broken == [Broke("structure", "doubled", "pytest ended with status 3")]
    assert not prover.plan.is_complete(prover.results)
    fake = Fake()
    assert run(path, fake).broken == []
    assert fake.jobs == ["structure-doubled"]


def test_a_measured_run_that_broke_ends_the_runs_of_its_criterion(path: Path) -> None:
    fake = Fake({"speed-nothing": RunBroke("it hangs")})
    prover = run(path, fake)
    assert fake.jobs.count("speed-nothing") == 1
    assert not prover.plan.is_complete(prover.results)


def test_a_measured_run_that_decided_nothing_is_no_proof_that_nothing_is_wrong(path: Path) -> None:
    prover = run(path, Fake({"speed-nothing": Seen(Status.INCONCLUSIVE, "the suite broke")}))
    why = "no claim of the release against itself was decided: the suite broke"
    assert prover.broken == [Broke("speed", NOTHING, why)]
    assert not prover.plan.is_complete(prover.results)


class TestSeveralMeasuredCriteria:
    MEASURED = criteria(
        criterion("speed", measured=True),
        criterion("weight", measured=True),
        criterion(
            "drift", measured=True, levels=dict.fromkeys(Phase, Level.NOT_JUDGED) | {Phase.NIGHTLY: Level.REQUIRED}
        ),
    )
    DEFECTS = (Defect("slow", "speed"), Defect("fat", "weight"), Defect("drifting", "drift"))

    def prover(self, path: Path, fake: Fake, *only: str) -> Prover:
        whole = Plan.of(self.MEASURED, self.DEFECTS, only=only, decisions=36)
        prover = Prover(whole, Results.open(path, FILES), fake, lambda: None)
        for _ in prover.run():
            pass
        return prover

    def test_a_release_is_held_against_itself_for_all_of_a_phase_at_once(self, path: Path) -> None:
        fake = Fake()
        prover = self.prover(path, fake)
        assert fake.jobs[:2] == ["speed+weight-unplanted", "drift-unplanted"]
        assert fake.jobs[5:] == ["speed+weight-nothing", "speed+weight-nothing-2", "drift-nothing", "drift-nothing-2"]
        assert prover.plan.is_complete(prover.results)

    def test_what_has_enough_claims_is_not_asked_again(self, path: Path) -> None:
        fake = Fake({"weight-nothing": Seen(Status.GO, claims=36)})
        self.prover(path, fake, "speed", "weight")
        assert fake.jobs[3:] == ["speed+weight-nothing", "speed-nothing-2"]

    def test_what_decides_nothing_breaks_alone(self, path: Path) -> None:
        fake = Fake({"weight-nothing": Seen(Status.INCONCLUSIVE, "the suite broke")})
        prover = self.prover(path, fake, "speed", "weight")
        assert fake.jobs[3:] == ["speed+weight-nothing", "speed-nothing-2"]
        assert [(one.criterion, one.name) for one in prover.broken] == [("weight", "weight-nothing")]
        assert not prover.plan.is_complete(prover.results)

    def test_a_run_that_broke_shows_nothing_of_any(self, path: Path) -> None:
        fake = Fake({"speed+weight-nothing": RunBroke("it hangs")})
        prover = self.prover(path, fake, "speed", "weight")
        assert fake.jobs[3:] == ["speed+weight-nothing"]
        assert [one.name for one in prover.broken] == ["speed-nothing", "weight-nothing"]
        assert not prover.plan.is_complete(prover.results)

    def test_a_defect_whose_run_broke_keeps_nothing_from_being_held_against_itself(self, path: Path) -> None:
        fake = Fake({"speed-slow": RunBroke("it hangs")})
        self.prover(path, fake, "speed", "weight")
        assert fake.jobs[3:] == ["speed+weight-nothing", "speed+weight-nothing-2"]


def test_nothing_is_planted_where_nobody_knows_how_the_criterion_stands_without_it(path: Path) -> None:
    fake = Fake({"structure-unplanted": RunBroke("it broke")})
    prover = run(path, fake)
    assert [job for job in fake.jobs if job.startswith("structure")] == ["structure-unplanted"]
    assert not prover.plan.is_complete(prover.results)


def test_a_criterion_that_is_no_go_by_itself_catches_nothing(path: Path) -> None:
    prover = run(path, Fake({"structure-unplanted": Seen(Status.NO_GO, "the release is broken")}))
    assert outcomes(prover.results, "swapped", "doubled", "renamed") == [
        Outcome.NOT_SHOWN,
        Outcome.NOT_SHOWN,
        Outcome.CAUGHT,
    ]


def test_a_measured_criterion_that_is_no_go_by_itself_catches_nothing_either(path: Path) -> None:
    fake = Fake({"speed-unplanted": BAD})
    prover = run(path, fake, "slow")
    assert fake.jobs == ["speed-unplanted", "speed-unplanted-2", "speed-slow"]
    assert outcomes(prover.results, "slow") == [Outcome.NOT_SHOWN]


def test_a_measured_criterion_that_is_no_go_once_is_looked_at_once_more(path: Path) -> None:
    class Once(Fake):
        def __call__(self, job: Job) -> dict[str, Seen]:
            found = super().__call__(job)
            return {"speed": BAD} if job.name == "speed-unplanted" else found

    assert outcomes(run(path, Once(), "slow").results, "slow") == [Outcome.CAUGHT]


def test_a_criterion_of_the_project_s_own_is_held_against_itself_as_well() -> None:
    own = criteria(criterion("structure"), criterion("speed", measured=True), criterion("own", measured=True))
    assert Plan.of(own, CATALOGUE).itself == ["speed", "own"]
    assert Plan.of(own, CATALOGUE, only=["swapped"]).itself == []
    assert Plan.of(own, CATALOGUE, only=["own"]).itself == ["own"]


def test_what_needs_a_stage_or_is_never_judged_is_not_held_against_itself() -> None:
    never = dict.fromkeys(Phase, Level.NOT_JUDGED)
    own = criteria(
        criterion("swaps", measured=True, needs=(Ability.STAGE,)), criterion("live", measured=True, levels=never)
    )
    assert Plan.of(own, CATALOGUE, stage=False).itself == []
    assert Plan.of(own, CATALOGUE, stage=True).itself == ["swaps"]


def test_a_miss_is_kept_with_what_was_expected_and_what_was_seen(path: Path) -> None:
    prover = run(path, Fake({"mapping-renamed": Seen(Status.GO, "3 of 3 claims hold")}))
    [one] = missed(prover.results, prover.plan.defects)
    assert (one.defect, one.expected, one.seen, one.reason) == ("renamed", "NO-GO", "GO", "3 of 3 claims hold")


def test_results_of_files_that_were_changed_meanwhile_are_not_kept(path: Path) -> None:
    def changed() -> None:
        raise EvidenceError("suites were changed while the proof went on")

    prover = Prover(plan(), Results.open(path, FILES), Fake(), changed)
    with pytest.raises(EvidenceError, match="suites were changed"):
        list(prover.run())
    assert Results.open(path, FILES).records == []


def test_several_runs_go_side_by_side_and_measured_ones_alone(path: Path) -> None:
    from threading import Barrier

    together = Barrier(2, timeout=30)

    class Paired(Fake):
        def __call__(self, job: Job) -> dict[str, Seen]:
            if job.name in ("structure-swapped", "structure-doubled"):
                together.wait()  # ends only where both are there at once
            return super().__call__(job)

    prover = run(path, Paired(), workers=2)
    assert prover.plan.is_complete(prover.results)


def test_a_run_on_a_stage_goes_alone_when_the_others_have_ended(path: Path) -> None:
    staged = criteria(criterion("swap", needs=(Ability.STAGE,)), criterion("structure"))
    catalogue = (Defect("cut", "swap"), Defect("refused", "swap"), *CATALOGUE)
    fake = Fake()
    at_once: list[set[str]] = []
    going: set[str] = set()

    def run_one(job: Job) -> dict[str, Seen]:
        going.add(job.name)
        at_once.append(set(going))
        try:
            return fake(job)
        finally:
            going.discard(job.name)

    prover = Prover(Plan.of(staged, catalogue), Results.open(path, FILES), run_one, lambda: None, workers=4)
    for _ in prover.run():
        pass
    assert fake.jobs[0] == "structure-unplanted"
    assert fake.jobs[1] == "swap-unplanted"
    assert {*fake.jobs[2:4]} == {"structure-swapped", "structure-doubled"}
    assert fake.jobs[4:] == ["swap-cut", "swap-refused"]
    assert all(len(names) == 1 for names in at_once if any(name.startswith("swap") for name in names))
    assert prover.plan.is_complete(prover.results)


def test_what_is_planted_on_a_stage_belongs_to_a_plan_that_asks_for_it() -> None:
    staged = criteria(criterion("swap", needs=(Ability.STAGE,)), criterion("structure"))
    catalogue = (Defect("cut", "swap"), *CATALOGUE)

    def planned(only: Sequence[str] = (), *, stage: bool) -> set[str]:
        return {one.criterion for one in Plan.of(staged, catalogue, only=only, stage=stage).defects}

    assert planned(stage=False) == {"structure"}
    assert planned(stage=True) == {"structure", "swap"}
    assert planned(["swap"], stage=False) == {"swap"}, "it was named"


class TestResults:
    def kept(self, path: Path) -> bytes:
        run(path, Fake())
        return path.read_bytes()

    def test_everything_reads_back(self, path: Path) -> None:
        before = run(path, Fake({"mapping-unplanted": Seen(None)})).results.records
        assert Results.open(path, FILES).records == before
        assert {type(one) for one in before} == {Shown, Itself, Control}

    @pytest.mark.parametrize("cut", [1, 7])
    def test_a_last_line_that_was_cut_short_is_made_again(self, path: Path, cut: int) -> None:
        whole = self.kept(path)
        path.write_bytes(whole[:-cut])
        fake = Fake()
        run(path, fake)
        assert fake.jobs == ["speed-nothing-2"]
        assert path.read_bytes().count(b"\n") == whole.count(b"\n")

    def test_a_head_that_was_cut_short_begins_anew(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b'{"kind": "pro')
        assert Results.open(path, FILES).records == []
        assert Results.open(path, FILES).records == []

    @pytest.mark.parametrize(
        "damage",
        [
            b'{"kind": "defect"}',
            b"not json",
            b"\xff",
            b'{"kind": "else"}',
            b"[]",
            b'{"kind": "itself", "criterion": "speed", "claims": 1, "no_go": 2, "inconclusive": 0, "reason": "", "at": ""}',
        ],
    )
    def test_a_damaged_line_is_named_and_nothing_is_lost(self, path: Path, damage: bytes) -> None:
        lines = self.kept(path).split(b"\n")
        lines[3] = damage
        path.write_bytes(b"\n".join(lines))
        before = path.read_bytes()
        with pytest.raises(EvidenceError, match=r"results\.jsonl:4: no result of gonogo prove .*--again, which keeps"):
            Results.open(path, FILES)
        assert path.read_bytes() == before

    def test_results_of_other_files_are_refused(self, path: Path) -> None:
        self.kept(path)
        with pytest.raises(EvidenceError, match=r"results\.jsonl:1: .*not the head of results of these files"):
            Results.open(path, FILES | {"suites": "other"})

    def test_beginning_anew_keeps_what_was_there(self, path: Path) -> None:
        first = self.kept(path)
        assert Results.open(path, FILES, again=True).records == []
        second = path.read_bytes()
        Results.open(path, FILES, again=True)
        assert (path.parent / "results-1.jsonl").read_bytes() == first
        assert (path.parent / "results-2.jsonl").read_bytes() == second

    def test_a_folder_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "proof").write_text("a file")
        with pytest.raises(EvidenceError, match="cannot be written"):
            Results.open(tmp_path / "proof" / "results.jsonl", FILES)


class TestProof:
    def test_what_is_open_is_taken_from_an_older_one_of_the_same_gate(self, path: Path) -> None:
        missed = Fake({"structure-swapped": GOOD, "structure-doubled": GOOD})
        older = proof_of(run(path, missed).results, plan(), FILES)
        newer = proof_of(run(path.with_name("other.jsonl"), Fake(), "renamed").results, plan(), FILES)
        both = newer.completed(older)
        assert both["structure"].catches_nothing
        assert both["structure"].open == ()
        assert both["speed"].itself == older["speed"].itself
        assert both["mapping"].shown == newer["mapping"].shown
        assert older.completed(newer) == older

    def test_the_rates_of_a_criterion_without_defects_stand_in_it(self, path: Path) -> None:
        own = Plan.of(criteria(criterion("structure"), criterion("own", measured=True)), CATALOGUE, decisions=18)
        prover = Prover(own, Results.open(path, FILES), Fake(), lambda: None)
        for _ in prover.run():
            pass
        assert proof_of(prover.results, own, FILES)["own"].says.startswith("false NO-GO <= 15.3 %")

    def test_it_holds_for_the_files_that_it_is_told_and_dates_from_the_newest_result(self, path: Path) -> None:
        results = run(path, Fake()).results
        proof = proof_of(results, plan(), {"suites": "a1"})
        assert proof.holds_for == {"suites": "a1"}
        assert proof.made == max(one.at for one in results.records)
        assert [one.criterion for one in proof.criteria] == ["structure", "mapping", "speed"]
        assert proof["structure"].itself is None
        assert proof["speed"].itself == results.itself("speed")

    def test_what_was_not_chosen_is_open(self, path: Path) -> None:
        proof = proof_of(run(path, Fake(), "renamed").results, plan(), FILES)
        assert proof["structure"].open == ("swapped", "doubled")
        assert "3 not yet planted" in proof.says

    def test_a_measured_criterion_of_which_no_claim_is_known_is_named(self, path: Path) -> None:
        proof = proof_of(run(path, Fake({"speed-nothing": RunBroke("it hangs")})).results, plan(), FILES)
        assert proof["speed"].errors_are_unknown
        assert "false NO-GO not known" in proof.says
        assert "false NO-GO not known" in proof["speed"].says
