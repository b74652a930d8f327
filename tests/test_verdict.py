"""The judge: what was found decides NO-GO, what was not found INCONCLUSIVE, and only what is left is GO."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from builders import CLAIM, FACTS, criteria, criterion, ended, finding, measure, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.criteria import Criterion, Scope, Statistic
from gonogo.model import (
    Ability,
    Claim,
    Collected,
    Decided,
    Ended,
    Evidence,
    Gap,
    Level,
    Outcome,
    Phase,
    Sampled,
    Status,
    Verdict,
)
from gonogo.verdict import Facts, judge, owed_claims

GO, OPEN, NO_GO = Status.GO, Status.INCONCLUSIVE, Status.NO_GO
quick = settings(max_examples=80, deadline=None)


def run(evidence: Sequence[Evidence], *entries: Criterion, facts: Facts = FACTS) -> Verdict:
    return judge(criteria(*entries), facts, evidence)


def decided(evidence: Sequence[Evidence], *entries: Criterion, facts: Facts = FACTS) -> Decided:
    return run(evidence, *entries, facts=facts).claims[0]


def test_a_claim_whose_findings_hold_and_whose_item_ended_is_go() -> None:
    verdict = run([finding(), finding(case="facts/rivers"), ended()])
    assert verdict.status is GO
    assert verdict.reasons == ()
    assert verdict.criteria[0].reasons == ("1 of 1 claims hold",)
    [claim] = verdict.claims
    assert (claim.findings, claim.failing, claim.cases) == (2, 0, ("facts/rivers", "facts/roads"))


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ([], "no test was executed to its end for this claim"),
        ([finding()], "no test was executed to its end for this claim"),
        ([ended()], "no evidence: the test ended without a finding or a sample"),
        ([finding(), ended(Outcome.SKIPPED, "not today")], "skipped: not today"),
        ([finding(), ended(), ended(Outcome.SKIPPED, "not today")], "skipped: not today"),
        ([finding(), ended(Outcome.BROKEN, "KeyError: 'x'")], "the suite broke: KeyError: 'x'"),
        ([finding(), Gap(CLAIM, "facts/roads", "prompt moved"), ended()], "prompt moved (facts/roads)"),
        ([finding(), Gap(CLAIM, None, "no network"), ended()], "no network"),
        ([finding(), Gap(CLAIM, None, "no network"), ended(Outcome.BROKEN, "EvidenceGap: …")], "no network"),
        (
            [finding(claim=Claim("structure")), ended(claim=Claim("structure"))],
            "no test was executed to its end for this claim",
        ),
        ([finding(claim=Claim("structure", "meta")), ended(claim=Claim("structure", "meta"))], "no test was executed"),
    ],
)
def test_what_was_not_shown_is_inconclusive_and_never_go(evidence: list[Evidence], reason: str) -> None:
    claim = decided(evidence)
    assert claim.status is OPEN
    assert any(reason in one for one in claim.reasons)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ([finding(False, reason="TASK is missing"), ended()], "1 of 1 findings fail: facts/roads: TASK is missing"),
        ([finding(), finding(False, None, "bad"), ended()], "1 of 2 findings fail: bad"),
        ([finding(False, reason="TASK is missing")], "TASK is missing"),
        ([finding(), ended(Outcome.FAILED, "assert 1 == 2")], "assert 1 == 2"),
        ([ended(Outcome.FAILED, "assert 1 == 2")], "assert 1 == 2"),
        ([finding(False), Gap(CLAIM, None, "prompt moved"), ended(Outcome.SKIPPED)], "findings fail"),
    ],
)
def test_what_was_found_wrong_is_no_go_whatever_else_is_missing(evidence: list[Evidence], reason: str) -> None:
    claim = decided(evidence)
    assert claim.status is NO_GO
    assert reason in claim.reasons[0]


def test_a_need_that_the_target_does_not_offer_is_said_instead_of_the_missing_test() -> None:
    claim = decided(
        [], criterion(needs=(Ability.LIVE, Ability.FAULT, Ability.PROMPT), every_case=True, measures=[measure()])
    )
    assert claim.status is OPEN
    assert claim.reasons == ("the target does not offer: fault, live",)


def test_a_case_without_evidence_is_inconclusive_where_every_case_is_asked() -> None:
    asked = criterion(every_case=True)
    claim = decided([finding(), ended()], asked)
    assert (claim.status, claim.reasons) == (OPEN, ("no evidence for facts/rivers",))
    assert decided([finding(), finding(case="facts/rivers"), ended()], asked).status is GO
    bare = replace(FACTS, cases={})
    assert decided([finding(), ended()], asked, facts=bare).reasons == ("the step facts has no cases",)


def test_every_case_of_a_claim_about_the_whole_means_the_cases_of_all_steps() -> None:
    whole = Claim("structure")
    facts = replace(FACTS, steps=("facts", "meta"), cases={"facts": ("roads",), "meta": ("a", "b", "c", "d")})
    evidence: list[Evidence] = [finding(claim=whole), ended(claim=whole)]
    [claim] = run(evidence, criterion(scopes=(Scope.RUN,), every_case=True), facts=facts).claims
    assert claim.reasons == ("no evidence for meta/a, meta/b, meta/c and 1 more",)


def test_a_computed_criterion_needs_findings_but_no_item() -> None:
    computed = criterion(computed=True)
    assert decided([finding()], computed).status is GO
    assert decided([], computed).status is OPEN


def measured(values: Sequence[float], **changes: object) -> Decided:
    entry = criterion(measures=[measure(**changes)])  # type: ignore[arg-type]  # the parameters of measure
    return decided([sample(*values), ended()], entry)


def proportion(values: Sequence[float], go: str = "< 0.01") -> Decided:
    """One value a case, as the error rate is measured."""
    entry = criterion(measures=[measure("errors", Statistic.PROPORTION, go, unit="share")])
    evidence = [sample(value, name="errors", unit="share", case=f"facts/c{i}") for i, value in enumerate(values)]
    return decided([*evidence, ended()], entry)


@pytest.mark.parametrize(
    ("n", "failures", "status"),
    [(299, 0, GO), (298, 0, OPEN), (200, 0, OPEN), (600, 12, NO_GO), (300, 1, OPEN), (1, 0, OPEN)],
)
def test_an_error_rate_is_decided_by_its_bound(n: int, failures: int, status: Status) -> None:
    assert proportion([1.0] * failures + [0.0] * (n - failures)).status is status


def test_what_would_settle_an_open_rate_is_said() -> None:
    [reason] = proportion([0.0] * 200).reasons
    assert reason.startswith("errors proportion in [0 %, 1.49 %], limit < 1 % (n = 200); ")
    assert reason.endswith("299 distinct cases with 0 failures would settle it")


def test_a_rate_that_no_number_of_samples_can_show_says_so() -> None:
    [reason] = proportion([0.0] * 5, "<= 0").reasons
    assert "limit <= 0 % (n = 5); limit = 0.0" in reason


def test_a_proportion_of_anything_but_0_and_1_is_refused() -> None:
    claim = proportion([0.0] * 400 + [0.5])
    assert claim.status is OPEN
    assert "a proportion is taken of 0 and 1, the sample holds 0.5; correct the suite" in claim.reasons[0]


def test_a_quantile_is_open_until_the_samples_are_enough() -> None:
    quantile = {"statistic": Statistic.QUANTILE, "quantile": 0.99, "go": "< 0.001"}
    few = measured([0.0005] * 298, **quantile)
    assert few.status is OPEN
    assert few.reasons[0].endswith("299 samples are the fewest that bound this quantile")
    assert few.bounds[0]["upper"] is None
    assert measured([0.0005] * 299, **quantile).status is GO
    assert measured([0.002] * 299, **quantile).status is NO_GO
    assert measured([0.0005] * 297 + [0.002] * 2, **quantile).status is OPEN


def test_a_median_is_decided_by_its_bound() -> None:
    median = {"statistic": Statistic.MEDIAN, "go": "<= 0"}
    assert measured([-1.0] * 5, **median).status is GO
    assert measured([1.0] * 5, **median).status is NO_GO
    assert measured([-1.0] * 4, **median).status is OPEN
    assert "about 16 samples would halve the interval" in measured([-1.0] * 4, **median).reasons[0]


def test_the_largest_of_deterministic_values_decides_alone() -> None:
    assert measured([0.5]).status is GO
    assert measured([0.5, 1.0]).status is NO_GO
    assert measured([0.5]).bounds[0] == {
        "sample": "seconds", "statistic": "maximum", "limit": "< 1", "unit": "s", "n": 1,
        "estimate": 0.5, "lower": 0.5, "upper": 0.5, "confidence": 1.0, "method": "maximum (deterministic)", "decision": "within",
    }  # fmt: skip


@pytest.mark.parametrize("values", [[], [0.5] * 9])
def test_fewer_samples_than_asked_for_are_inconclusive(values: list[float]) -> None:
    claim = measured(values, minimum=10)
    assert claim.status is OPEN
    assert f"seconds: {len(values)} samples, at least 10 are asked for" in claim.reasons


@pytest.mark.parametrize("statistic", list(Statistic))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_nan_or_an_infinity_is_never_go(statistic: Statistic, value: float) -> None:
    values = [0.0] * 400 + [value]
    assert (
        measured(values, statistic=statistic, quantile=0.5 if statistic is Statistic.QUANTILE else None).status is OPEN
    )


def test_a_sample_of_another_name_is_not_the_one_that_was_asked_for() -> None:
    assert measured([0.5], sample="second").status is OPEN


def test_a_sample_in_another_unit_is_not_the_one_that_was_asked_for() -> None:
    entry = criterion(measures=[measure(go="<= 262144", unit="B")])
    assert decided([sample(3.0, unit="MiB"), ended()], entry).status is OPEN


def test_a_sample_without_a_value_is_no_evidence() -> None:
    assert decided([sample(), ended()]).status is OPEN
    covered = criterion(every_case=True)
    evidence: list[Evidence] = [finding(), sample(case="facts/rivers"), ended()]
    assert decided(evidence, covered).status is OPEN


def test_samples_that_no_measure_asks_for_show_nothing() -> None:
    assert decided([sample(0.5), ended()]).status is OPEN
    elsewhere = criterion(scopes=(Scope.STEP, Scope.RUN), measures=[measure(scope=Scope.RUN)])
    assert decided([sample(0.5), ended()], elsewhere).status is OPEN


def test_one_case_run_again_and_again_is_one_sample_of_an_error_rate() -> None:
    entry = criterion(measures=[measure("errors", Statistic.PROPORTION, "< 0.01", unit="share")])
    replayed = [sample(0.0, name="errors", unit="share") for _ in range(300)]
    assert decided([*replayed, ended()], entry).status is OPEN
    at_once = sample(*[0.0] * 300, name="errors", unit="share")
    assert decided([at_once, ended()], entry).status is OPEN


def test_measures_of_a_step_and_of_the_whole_take_their_own_samples() -> None:
    both = criterion(
        scopes=(Scope.STEP, Scope.RUN),
        measures=[measure(go="< 1"), measure("total", go="< 10", scope=Scope.RUN)],
    )
    whole = Claim("structure")
    evidence: list[Evidence] = [sample(0.5), ended(), sample(9.0, name="total", claim=whole), ended(claim=whole)]
    verdict = run(evidence, both)
    assert verdict.status is GO
    assert [[bound["sample"] for bound in claim.bounds] for claim in verdict.claims] == [["seconds"], ["total"]]


def test_long_lists_of_reasons_are_cut_and_counted() -> None:
    failing = [finding(False, f"facts/c{i}", "bad") for i in range(5)]
    assert decided([*failing, ended()]).reasons == (
        "5 of 5 findings fail: facts/c0: bad; facts/c1: bad; facts/c2: bad; and 2 more",
    )
    gaps = [Gap(CLAIM, f"facts/c{i}", "prompt moved") for i in range(5)]
    assert decided([*gaps, ended()]).reasons == ("prompt moved (facts/c0, facts/c1, facts/c2 and 2 more)",)
    steps = tuple(f"s{i}" for i in range(6))
    [one] = run([], facts=replace(FACTS, steps=steps)).criteria
    assert len(one.reasons) == 4
    assert one.reasons[-1] == "and 3 more claims"


def test_the_worst_claim_decides_a_criterion_and_the_worst_required_criterion_the_run() -> None:
    other = Claim("mapping", "facts")
    entries = criterion("structure"), criterion("mapping")
    good: list[Evidence] = [finding(), ended()]
    verdict = run([*good, finding(False, claim=other), ended(claim=other)], *entries)
    assert verdict.status is NO_GO
    assert verdict.reasons == ("mapping is NO-GO",)
    assert [one.status for one in verdict.criteria] == [GO, NO_GO]
    assert run(good, *entries).reasons == ("mapping is INCONCLUSIVE",)


def test_an_advisory_criterion_does_not_decide_the_run_and_one_that_is_not_judged_is_left_out() -> None:
    other = Claim("advice", "facts")
    entries = criterion(), criterion("advice", level=Level.ADVISORY), criterion("later", level=Level.NOT_JUDGED)
    verdict = run([finding(), ended(), finding(False, claim=other), ended(claim=other)], *entries)
    assert verdict.status is GO
    assert [(one.criterion, one.status) for one in verdict.criteria] == [("structure", GO), ("advice", NO_GO)]


def test_synthetic_replies_lower_the_level_of_a_criterion() -> None:
    entry = criterion(synthetic=Level.ADVISORY)
    assert run([], entry).criteria[0].level is Level.REQUIRED
    assert run([], entry, facts=replace(FACTS, synthetic=True)).criteria[0].level is Level.ADVISORY


@pytest.mark.parametrize("level", [Level.ADVISORY, Level.NOT_JUDGED])
def test_a_phase_that_requires_nothing_is_inconclusive(level: Level) -> None:
    verdict = run([finding(), ended()], criterion(level=level))
    assert verdict.status is OPEN
    assert verdict.reasons == ("criteria.toml requires nothing in this phase",)


def test_a_workflow_without_steps_is_never_go() -> None:
    facts = replace(FACTS, steps=(), cases={})
    assert run([], facts=facts).status is OPEN
    assert run([], facts=facts).criteria[0].reasons == ("the workflow has no steps; there is nothing to claim",)
    whole = Claim("structure")
    verdict = run([finding(claim=whole), ended(claim=whole)], criterion(scopes=(Scope.RUN,)), facts=facts)
    assert verdict.status is OPEN
    assert verdict.reasons == ("the workflow has no steps; nothing was replayed",)


def test_notes_stand_beside_the_verdict() -> None:
    assert judge(criteria(), FACTS, [finding(), ended()], notes=["the clock was slow"]).notes == ("the clock was slow",)


def test_the_claims_owed_follow_from_criteria_and_workflow_alone() -> None:
    entries = criterion(), criterion("whole", scopes=(Scope.RUN,)), criterion("later", level=Level.NOT_JUDGED)
    facts = replace(FACTS, steps=("a", "b"))
    assert owed_claims(criteria(*entries), facts) == (Claim("structure", "a"), Claim("structure", "b"), Claim("whole"))


def test_what_a_phase_asks_is_looked_up_for_that_phase() -> None:
    levels = {**dict.fromkeys(Phase, Level.NOT_JUDGED), Phase.NIGHTLY: Level.REQUIRED}
    entry = criterion(levels=levels)
    assert owed_claims(criteria(entry), FACTS) == ()
    assert owed_claims(criteria(entry), replace(FACTS, phase=Phase.NIGHTLY)) == (CLAIM,)


# --- properties ---------------------------------------------------------------------------------------------------

BOTH = criterion(scopes=(Scope.STEP, Scope.RUN), every_case=True)
RATE = criterion("rate", measures=[measure("errors", Statistic.PROPORTION, "< 0.5", unit="share", minimum=3)])
ADVICE = criterion("advice", level=Level.ADVISORY)
ENTRIES = (BOTH, RATE, ADVICE)
OWED = owed_claims(criteria(*ENTRIES), FACTS)
CASES = st.sampled_from(["facts/roads", "facts/rivers", None])
CLAIMS = st.sampled_from([*OWED, Claim("unknown", "facts")])
REASONS = st.sampled_from(["one", "two", "three"])
RECORDS: st.SearchStrategy[Evidence] = st.one_of(
    st.builds(finding, st.booleans(), CASES, REASONS, CLAIMS),
    st.builds(ended, st.sampled_from(Outcome), REASONS, CLAIMS),
    st.builds(Gap, CLAIMS, CASES, REASONS),
    st.builds(
        Sampled,
        CLAIMS,
        st.sampled_from(["errors", "other"]),
        st.just("share"),
        st.lists(st.sampled_from([0.0, 1.0]), max_size=9).map(tuple),
        CASES,
    ),
    st.builds(Collected, st.just(OWED)),
)
GREEN: list[Evidence] = []
for owed in OWED:
    GREEN.extend(finding(case=f"facts/{case}", claim=owed) for case in ("roads", "rivers"))
    GREEN.extend(sample(0.0, name="errors", unit="share", case=f"facts/c{i}", claim=owed) for i in range(10))
    GREEN.append(ended(claim=owed))
EVIDENCE = st.tuples(st.booleans(), st.lists(RECORDS, max_size=6)).map(
    lambda pair: [*(GREEN if pair[0] else ()), *pair[1]]
)


def test_the_green_evidence_of_the_properties_is_go() -> None:
    assert run(GREEN, *ENTRIES).status is GO


@quick
@given(EVIDENCE)
def test_no_go_beats_inconclusive_beats_go_in_every_aggregation(evidence: list[Evidence]) -> None:
    verdict = run(evidence, *ENTRIES)
    for one in verdict.criteria:
        assert one.status is max((claim.status for claim in one.claims), key=lambda status: status.rank)
    required = [one.status for one in verdict.criteria if one.level is Level.REQUIRED]
    assert verdict.status is max(required, key=lambda status: status.rank)
    assert tuple(claim.claim for claim in verdict.claims) == OWED


@quick
@given(EVIDENCE, CLAIMS, CASES, st.booleans())
def test_a_gap_or_a_failing_finding_never_improves_a_verdict(
    evidence: list[Evidence], claim: Claim, case: str | None, gap: bool
) -> None:
    more: Evidence = Gap(claim, case, "missing") if gap else finding(False, case, "bad", claim)
    before, after = run(evidence, *ENTRIES), run([*evidence, more], *ENTRIES)
    assert after.status.rank >= before.status.rank
    for one, other in zip(before.claims, after.claims, strict=True):
        assert other.status.rank >= one.status.rank
        if one.claim == claim:
            assert other.status is not GO


@quick
@given(EVIDENCE, st.randoms(use_true_random=False))
def test_the_order_of_evidence_does_not_matter(evidence: list[Evidence], source: random.Random) -> None:
    shuffled = list(evidence)
    source.shuffle(shuffled)
    one, other = run(evidence, *ENTRIES), run(shuffled, *ENTRIES)
    assert one.status is other.status
    for before, after in zip(one.claims, other.claims, strict=True):
        assert before.status is after.status
        assert set(before.reasons) == set(after.reasons)
        assert before.bounds == after.bounds


@quick
@given(st.lists(RECORDS, max_size=10))
def test_go_takes_a_passed_item_and_something_that_was_looked_at(evidence: list[Evidence]) -> None:
    for claim in run(evidence, *ENTRIES).claims:
        if claim.status is GO:
            own = [one for one in evidence if not isinstance(one, Collected) and one.claim == claim.claim]
            outcomes = {one.outcome for one in own if isinstance(one, Ended)}
            assert outcomes == {Outcome.PASSED}
            assert not any(isinstance(one, Gap) for one in own)
            assert claim.findings or claim.bounds
            assert claim.failing == 0


@quick
@given(st.sets(st.integers(0, len(GREEN) - 1), min_size=1))
def test_taking_evidence_away_never_turns_into_no_go(absent: set[int]) -> None:
    left = [record for number, record in enumerate(GREEN) if number not in absent]
    verdict = run(left, *ENTRIES)
    assert verdict.status is not NO_GO
    ends = {record.claim for record in left if isinstance(record, Ended)}
    for claim in verdict.claims:
        if claim.claim not in ends:
            assert claim.status is OPEN


@pytest.mark.parametrize("statuses", [[], [GO], [GO, OPEN], [GO, OPEN, NO_GO], [NO_GO, GO]])
def test_the_worst_of_none_is_inconclusive(statuses: list[Status]) -> None:
    expected = NO_GO if NO_GO in statuses else OPEN if OPEN in statuses or not statuses else GO
    assert Status.worst(statuses) is expected


def test_a_criterion_that_was_seen_to_catch_nothing_is_not_go_and_only_that() -> None:
    two = criteria(criterion(), criterion("length"))
    other = Claim("length", "facts")
    good: list[Evidence] = [finding(), ended(), finding(claim=other), ended(claim=other)]
    found = judge(two, FACTS, good, unproven={"structure": "it caught none"})
    assert [one.status for one in found.criteria] == [OPEN, GO]
    assert found.criteria[0].reasons == ("it caught none",)
    assert found.status is OPEN
    assert judge(two, FACTS, good, unproven={"else": "it caught none"}).status is GO


def test_what_catches_nothing_by_plan_still_finds_what_is_wrong() -> None:
    found = judge(criteria(), FACTS, [finding(False), ended()], unproven={"structure": "it caught none"})
    assert (found.status, "fail" in found.criteria[0].reasons[0]) == (NO_GO, True)
