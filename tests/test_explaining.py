"""A verdict is told in facts: what was asked, what was found, how far the limit is, what would turn it, what to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from builders import CLAIM, FACTS, criteria, criterion, ended, finding, measure, sample

from gonogo.criteria import Criterion, Scope, Statistic
from gonogo.errors import DefinitionError
from gonogo.explaining import Explanation, Line, explain, told_criteria
from gonogo.model import Ability, Claim, Evidence, Gap, Json, Level, Outcome, Phase, Status
from gonogo.next_steps import Again
from gonogo.verdict import Facts, judge


def explained(
    records: Sequence[Evidence],
    *asked: Criterion,
    named: str | None = "structure",
    facts: Facts = FACTS,
    again: Again | None = None,
) -> list[Explanation]:
    every = criteria(*asked)
    verdict = judge(every, facts, records)
    return list(explain(every, facts, records, told_criteria(verdict, named), again or Again()))


def lines(records: Sequence[Evidence], *asked: Criterion, facts: Facts = FACTS) -> dict[str, list[str]]:
    [found] = explained(records, *asked, facts=facts)
    told: dict[str, list[str]] = {}
    for line in found.lines:
        told.setdefault(line.label, []).append(line.text)
    return told


def rates(failing: int, n: int) -> list[Evidence]:
    return [sample(float(one < failing), name="errors", unit="share", case=f"facts/c{one}") for one in range(n)]


RATE = criterion(measures=[measure("errors", Statistic.PROPORTION, "< 0.01", "share", minimum=100)])
P99 = criterion(measures=[measure("construction", Statistic.QUANTILE, "< 0.001", quantile=0.99)])
MEDIAN = criterion(measures=[measure("excess", Statistic.MEDIAN, "<= 0")])
PEAK = criterion(measures=[measure("peak", Statistic.MAXIMUM, "<= 65536", "B")])


class TestWhatIsTold:
    def test_every_required_criterion_that_is_not_go_is_told(self) -> None:
        others = [Claim("speed", "facts"), Claim("hygiene", "facts")]
        records: list[Evidence] = [
            finding(),
            ended(),
            *(one for claim in others for one in (finding(False, claim=claim), ended(claim=claim))),
        ]
        asked = [criterion(), criterion("speed"), criterion("hygiene", level=Level.ADVISORY)]
        assert [one.criterion for one in explained(records, *asked, named=None)] == ["speed"]

    def test_a_criterion_that_is_named_is_told_whatever_its_verdict(self) -> None:
        [found] = explained([finding(), ended()])
        assert (found.criterion, found.status, found.level) == ("structure", Status.GO, Level.REQUIRED)

    def test_a_name_that_is_none_is_told_with_the_nearest(self) -> None:
        with pytest.raises(
            DefinitionError,
            match=r"'structur' is no criterion .* \(did you mean 'structure'\?\); name one of structure",
        ):
            explained([], named="structur")

    def test_a_criterion_that_the_phase_does_not_judge_cannot_be_told(self) -> None:
        with pytest.raises(DefinitionError, match=r"criteria\.toml asks for nothing in this phase"):
            explained([], criterion(level=Level.NOT_JUDGED))

    def test_criteria_that_nobody_ran_are_told_as_one(self) -> None:
        speed = Claim("speed", "facts")
        asked = [criterion(), criterion("speed"), criterion("memory")]
        found = explained([finding(False, claim=speed), ended(claim=speed)], *asked, named=None)
        assert [one.criterion for one in found] == ["speed", "structure, memory"]
        assert Line("next", "pytest acceptance/", command=True) in found[1].lines


class TestFindings:
    def test_what_fails_is_told_with_the_worst_case_and_the_way_back(self) -> None:
        records: list[Evidence] = [
            finding(),
            finding(False, "facts/rivers", "TASK is missing"),
            finding(False, "facts/rivers", "CONTEXT is empty"),
            finding(False, "facts/roads", "TASK is missing"),
            ended(Outcome.FAILED, "3 findings fail"),
        ]
        told = lines(records, criterion(every_case=True))
        assert told["asked"] == ["The title of structure"]
        assert told["limit"] == ["no finding may fail, and every case must be looked at"]
        assert told["claims"] == ["0 of 1 hold; NO-GO: facts"]
        assert told["because"][0].startswith("3 of 4 findings fail: facts/rivers: CONTEXT is empty")
        assert told["evidence"] == ["1 of 4 findings ok, on 2 cases; the worst is facts/rivers with 2 that fail"]
        assert told["turns"] == ["GO if all 3 failing findings held; NO-GO with 2"]
        assert told["next"][0].startswith("Repair what falls short")
        assert told["next"][1] == "pytest acceptance/test_x.py -k facts"

    def test_of_what_holds_it_is_told_that_one_finding_turns_it(self) -> None:
        told = lines([finding(), ended()])
        assert told["turns"] == ["NO-GO with 1 finding that fails"]
        assert "next" not in told

    def test_a_test_that_failed_without_a_finding_is_told(self) -> None:
        assert lines([ended(Outcome.FAILED, "assert 1 == 2")])["turns"][0].startswith("INCONCLUSIVE if the test passed")

    def test_the_worst_step_is_told_and_the_others_are_listed(self) -> None:
        facts = replace(FACTS, steps=("facts", *"abcdefg"))
        records: list[Evidence] = [finding(), ended()]
        for step in "abcdefg":
            claim = Claim("structure", step)
            records += [finding(False, f"{step}/x", claim=claim), ended(Outcome.FAILED, "", claim)]
        records.append(finding(False, "d/y", claim=Claim("structure", "d")))
        told = lines(records, facts=facts)
        assert told["claims"] == ["1 of 8 hold; NO-GO: a, b, c, d, e and 2 more"]
        assert told["worst"] == ["d"]


class TestMeasures:
    def test_a_rate_that_holds_is_told_with_the_failures_that_it_stands(self) -> None:
        told = lines([*rates(1, 620), ended()], RATE)
        assert told["limit"] == ["errors proportion < 1 %, bounded at a confidence of 95 %, from 100 cases at least"]
        assert told["evidence"][0].startswith("errors proportion: estimate 0.161 %, bounds 0.00827 % and 0.763 %, each")
        assert told["evidence"][0].endswith("n = 620; Clopper-Pearson (exact)")
        assert told["distance"] == ["the bound lies 0.237 % within the limit, 23.7 % of the limit"]
        assert told["decides"] == ["1 failure on 620 cases: facts/c0"]
        assert told["turns"] == [
            "INCONCLUSIVE if 1 more of 620 cases failed, 2 in all",
            "NO-GO if 11 more of 620 cases failed, 12 in all; INCONCLUSIVE with 10",
        ]

    def test_a_rate_that_is_open_is_told_with_the_cases_that_would_settle_it(self) -> None:
        told = lines([*rates(0, 200), ended()], RATE)
        assert "GO with 99 more distinct cases, none failing; INCONCLUSIVE with 98" in told["turns"]
        assert "take as many samples as the reasons ask for" in told["next"][0]

    def test_a_quantile_is_told_with_the_sample_that_decides(self) -> None:
        records: list[Evidence] = [sample(*[0.0005] * 590, *[0.002] * 10, name="construction"), ended()]
        told = lines(records, P99)
        assert told["decides"] == [
            "sample 599 of 600 by size is the bound; 10 samples of 600 lie beyond the limit, "
            "the farthest is 2 ms of facts/roads"
        ]
        assert told["distance"] == ["the bound lies 1 ms beyond the limit, 100 % of the limit"]
        assert "GO if 9 of 10 samples beyond the limit kept it; INCONCLUSIVE with 8" in told["turns"]

    def test_a_quantile_of_too_few_samples_has_no_bound(self) -> None:
        told = lines([sample(*[0.0005] * 298, name="construction"), ended()], P99)
        assert told["decides"] == [
            "no sample: 298 samples are too few to bound it; 0 samples of 298 lie beyond the limit"
        ]
        assert told["distance"] == ["no bound yet, so none to the limit of < 1 ms"]
        assert "GO with 1 more sample, all within the limit" in told["turns"]

    @pytest.mark.parametrize(
        ("n", "decides"),
        [
            (4, "no sample: 4 samples are too few to bound it; 0 samples of 4 lie beyond the limit"),
            (8, "an average of two samples is the bound, by rank; 0 samples of 8 lie beyond the limit"),
        ],
    )
    def test_a_pseudomedian_is_told_by_the_average_that_decides(self, n: int, decides: str) -> None:
        asked = criterion(measures=[measure("excess", Statistic.PSEUDOMEDIAN, "<= 0")])
        assert lines([sample(*[-1.0] * n, name="excess"), ended()], asked)["decides"] == [decides]

    def test_a_criterion_that_was_seen_to_catch_nothing_is_told_as_such(self) -> None:
        every = criteria(criterion())
        records: list[Evidence] = [finding(), ended()]
        verdict = judge(every, FACTS, records, unproven={"structure": "it caught none (swapped)"})
        [found] = explain(every, FACTS, records, told_criteria(verdict, "structure"), Again())
        told = [(line.label, line.text) for line in found.lines]
        assert ("because", "it caught none (swapped)") in told
        assert told[-1] == ("next", "gonogo prove --only structure")

    def test_a_median_of_pairs_is_told_like_a_quantile(self) -> None:
        told = lines([sample(*[-1.0] * 20, 1.0, name="excess"), ended()], MEDIAN)
        assert told["distance"] == ["the bound lies 1 s within the limit"], "no share of a limit of zero"
        assert told["decides"][0].startswith("sample 15 of 21 by size is the bound; 1 sample of 21 lies beyond")
        assert told["turns"][0] == "INCONCLUSIVE if 6 more of 21 samples lay beyond the limit, 7 in all; GO with 5"

    @pytest.mark.parametrize(
        ("value", "slack"),
        [
            (64512.0, "the largest, 63 KiB of facts/rivers, slack 1 KiB"),
            (66560.0, "the largest, 65 KiB of facts/rivers, 1 KiB too much"),
        ],
    )
    def test_a_maximum_is_told_with_the_case_that_holds_it(self, value: float, slack: str) -> None:
        records: list[Evidence] = [
            sample(10.0, name="peak", unit="B"),
            sample(value, name="peak", unit="B", case="facts/rivers"),
            ended(),
        ]
        assert lines(records, PEAK)["decides"] == [slack]

    def test_a_bound_on_the_limit_has_no_distance(self) -> None:
        assert lines([sample(65536.0, name="peak", unit="B"), ended()], PEAK)["distance"][0].startswith(
            "none: the bound lies on"
        )

    def test_a_limit_from_below_is_told_from_below(self) -> None:
        share = criterion(measures=[measure("kept", Statistic.QUANTILE, ">= 2", "s", quantile=0.1)])
        told = lines([sample(*[3.0] * 99, 1.0, name="kept"), ended()], share)
        assert told["distance"] == ["the bound lies 1 s within the limit, 50 % of the limit"]
        assert "the farthest is 1 s of facts/roads" in told["decides"][0]
        largest = criterion(measures=[measure("kept", Statistic.MAXIMUM, ">= 2")])
        assert lines([sample(1.0, name="kept"), ended()], largest)["decides"] == [
            "the largest, 1 s of facts/roads, 1 s too little"
        ]

    def test_step_and_run_are_told_each_where_both_are_measured(self) -> None:
        both = criterion(
            scopes=(Scope.STEP, Scope.RUN),
            measures=[measure("peak", go="<= 1"), measure("growth", go="<= 1", scope=Scope.RUN)],
        )
        whole = Claim("structure")
        records: list[Evidence] = [
            sample(0.1, name="peak"),
            ended(),
            sample(0.9, name="growth", case=None, claim=whole),
            ended(claim=whole),
        ]
        told = lines(records, both)
        assert told["worst"] == ["the whole run lies nearest to its limit", "facts lies nearest to its limit"]
        assert len(told["evidence"]) == 2

    def test_what_else_keeps_the_claim_open_is_told_with_what_would_settle_the_measure(self) -> None:
        records: list[Evidence] = [
            sample(0.5, name="peak", unit="B"),
            Gap(CLAIM, "facts/rivers", "prompt moved: no recording"),
        ]
        told = lines([*records, sample(99999.0, name="peak", unit="B"), ended(Outcome.BROKEN, "1 case")], PEAK)
        assert (
            "GO if 1 of 1 samples beyond the limit kept it; the claim as a whole would be INCONCLUSIVE" in told["turns"]
        )

    def test_how_much_is_measured_is_told_where_more_would_help(self) -> None:
        asked = replace(RATE, parameters={"cases": 200, "ratio": 0.1, "pre": {"cases": 150}})
        told = lines([*rates(0, 200), ended()], asked)
        assert "How much is measured stands in criteria.toml, structure: cases = 150." in told["next"]

    def test_it_is_told_as_it_stands_there(self) -> None:
        looks: list[Json] = [{"processes": 8, "kind": "fresh"}, "more"]
        told = lines([*rates(0, 200), ended()], replace(RATE, parameters={"looks": looks}))
        assert 'structure: looks = [{processes = 8, kind = "fresh"}, "more"].' in " ".join(told["next"])


class TestWhatToRunNext:
    def commands(
        self, records: Sequence[Evidence], asked: Criterion | None = None, again: Again | None = None
    ) -> list[str]:
        one = asked or criterion()
        [found] = explained(records, one, named=one.id, again=again)
        return [line.text for line in found.lines if line.command]

    def test_recordings_are_updated_where_prompts_have_moved(self) -> None:
        records: list[Evidence] = [
            Gap(CLAIM, "facts/roads", "prompt moved: no recording answers"),
            ended(Outcome.BROKEN, "1 case"),
        ]
        assert self.commands(records) == [
            "gonogo recordings check",
            "gonogo recordings update",
            "pytest acceptance/test_x.py -k facts",
        ]

    @pytest.mark.parametrize(
        ("again", "options"),
        [
            (Again(Phase.NIGHTLY), "--gonogo-phase=nightly"),
            (
                Again(Phase.POST_REAL, "http://127.0.0.1:8000", read_only=True),
                "--gonogo-phase=post --gonogo-target=http://127.0.0.1:8000 --gonogo-read-only",
            ),
            (Again(Phase.POST_STUB), "--gonogo-phase=post --gonogo-target=URL --gonogo-stub=URL"),
        ],
        ids=["nightly", "live", "live with a stub"],
    )
    def test_the_run_is_made_again_as_it_was_made(self, again: Again, options: str) -> None:
        assert self.commands([finding(False), ended()], again=again) == [
            f"pytest acceptance/test_x.py -k facts {options}"
        ]

    def test_criteria_with_a_command_of_their_own_name_it(self) -> None:
        for name, command in {
            "sign-offs": "gonogo signoff KIND --by NAME --link URL --until DATE",
            "environment": "gonogo preflight --target http://127.0.0.1:8000",
            "live-watch": "gonogo watch --target http://127.0.0.1:8000",
        }.items():
            assert command in self.commands([], criterion(name), Again(Phase.PRE, "http://127.0.0.1:8000"))

    def test_a_few_steps_are_named_and_of_many_all_are_run(self) -> None:
        def failing(steps: str) -> list[str]:
            claims = [Claim("structure", step) for step in steps]
            records = [one for claim in claims for one in (finding(False, claim=claim), ended(claim=claim))]
            facts = replace(FACTS, steps=tuple(steps))
            [found] = explained(records, facts=facts)
            return [line.text for line in found.lines if line.command]

        assert failing("abc") == ["pytest acceptance/test_x.py -k 'a or b or c'"]
        assert failing("abcd") == ["pytest acceptance/test_x.py"]

    def test_where_nothing_was_executed_no_folder_is_invented(self) -> None:
        assert self.commands([]) == []

    def test_an_ability_that_is_missing_is_named(self) -> None:
        told = lines([], criterion(needs=(Ability.LIVE,)))
        assert told["next"][0].startswith("The target does not offer live: let the adapter offer it")


class TestText:
    LONG = Explanation(
        "x" * 200,
        Status.NO_GO,
        Level.REQUIRED,
        (
            Line("because", f"{'j' * 300} and\nthen \x1b[31mred\x1b[0m"),
            Line("because", "once more"),
            Line("next", "pytest " + "z" * 120, command=True),
        ),
    )

    @pytest.mark.parametrize("width", [1, 30, 59, 60, 80, 200])
    def test_long_names_do_not_break_a_narrow_terminal(self, width: int) -> None:
        shown = self.LONG.text(width)
        command = [line for line in shown.splitlines() if "$ pytest" in line]
        assert len(command) == 1, "a command can be copied"
        assert all(len(line) <= max(width, 24) for line in shown.splitlines() if line not in command)
        assert shown.count("j") == 300, "nothing is left out"

    def test_nothing_in_a_reason_steers_the_terminal(self) -> None:
        assert "\x1b" not in self.LONG.text(80)
        assert "\\x1b[31mred" in self.LONG.text(200)

    def test_a_label_stands_once_before_all_its_facts(self) -> None:
        for width in (40, 80):
            assert self.LONG.text(width).count("because") == 1

    def test_a_short_one_is_readable_as_it_stands(self) -> None:
        [found] = explained([finding(), ended()])
        assert found.text(80) == (
            "GO  structure (required)\n"
            "  asked    The title of structure\n"
            "  limit    no finding may fail\n"
            "  claims   1 of 1 hold\n"
            "  evidence 1 of 1 finding ok, on 1 case\n"
            "  turns    NO-GO with 1 finding that fails\n"
        )
