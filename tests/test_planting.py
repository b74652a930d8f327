"""The catalogue of defects: well formed, whole, documented, and honest about where a defect cannot be planted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from builders import GRAMMAR, criteria, criterion, measure

from gonogo.criteria import Scope, load_criteria
from gonogo.errors import DefinitionError, TargetError
from gonogo.grammar import Grammar
from gonogo.margins import margins_of, planting_of
from gonogo.model import Ability, Level, Phase, Status
from gonogo.plantable import check_planted, why_not
from gonogo.planted_documents import SIGNOFFS, STEPS
from gonogo.planting import CATALOGUE, NOTHING, Place, find_defect, planted_note
from gonogo.project import Release
from gonogo.targets.planted_prompts import AFTERWARDS, PROMPTS
from gonogo.targets.planted_runs import CALLS, FACTS, REPLIES, REQUESTS, RUNS
from gonogo.targets.planted_stage import BACKUPS, HAND_OVERS, LOGS, ROLLBACKS, UNSEEN, WITHHOLDING

ROOT = Path(__file__).parent.parent
CRITERIA = load_criteria(ROOT / "acceptance" / "criteria.toml", root=ROOT)
# All but what gonogo says of itself, and of a live service by a watch.
SHOWN = (
    "prompt-structure",
    "format-templates",
    "field-mapping",
    "hostile-inputs",
    "determinism",
    "fallback",
    "error-handling",
    "error-rate",
    "no-breaking-changes",
    "response-quality",
    "construction-time",
    "performance-maintained",
    "memory",
    "environment",
    "documentation",
    "prompt-hygiene",
    "zero-downtime",
    "rollback",
    "backup",
    "monitoring",
    "sign-offs",
)
TABLES: Mapping[Place, Sequence[Collection[str]]] = {
    Place.RELEASE: (PROMPTS, AFTERWARDS, REQUESTS, REPLIES, RUNS, FACTS, CALLS),
    Place.DEFINITIONS: (STEPS,),
    Place.STAGE: (HAND_OVERS, ROLLBACKS, UNSEEN, BACKUPS, WITHHOLDING, LOGS),
    Place.SIGNOFFS: (SIGNOFFS,),
}
EVERYTHING = frozenset(Ability) - {Ability.LIVE}


def test_there_are_at_least_forty_defects_and_two_for_each_criterion() -> None:
    assert len(CATALOGUE) >= 40
    count = Counter(defect.criterion for defect in CATALOGUE.values())
    assert {name: count[name] for name in SHOWN if count[name] < 2} == {}
    assert set(count) == set(SHOWN)
    assert {one.id for one in CRITERIA.criteria} - set(SHOWN) == {"live-watch", "report-integrity"}


def test_every_defect_is_for_a_criterion_that_is_judged_before_a_deploy_or_every_night() -> None:
    for defect in CATALOGUE.values():
        levels = CRITERIA[defect.criterion].levels
        assert {levels[Phase.PRE], levels[Phase.NIGHTLY]} != {Level.NOT_JUDGED}, defect.id


def test_names_are_words_and_titles_go_on_after_the_release() -> None:
    for name, defect in CATALOGUE.items():
        assert name == defect.id
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name), name
        assert re.match(r"(no longer|cannot|can|does|[a-z]+s)\b", defect.title), defect.title
        assert not defect.title.endswith("."), defect.title
    assert NOTHING not in CATALOGUE
    assert len({defect.title for defect in CATALOGUE.values()}) == len(CATALOGUE)


def test_every_defect_does_something_and_nothing_is_done_that_is_no_defect() -> None:
    for place, tables in TABLES.items():
        done = {name for table in tables for name in table}
        assert done == {defect.id for defect in CATALOGUE.values() if defect.place is place}


def test_what_strikes_on_the_way_to_the_model_says_so() -> None:
    on_the_way = {name for table in (PROMPTS, AFTERWARDS, REQUESTS, REPLIES) for name in table}
    assert {defect.id for defect in CATALOGUE.values() if defect.between} == on_the_way


def test_only_a_swallowed_miss_and_an_untold_backup_may_stay_open() -> None:
    is_open = {one.id for one in CATALOGUE.values() if one.expected is not Status.NO_GO}
    assert is_open == {"miss-swallowed", "backup-untold"}


def test_an_unknown_defect_names_the_nearest() -> None:
    with pytest.raises(
        DefinitionError, match=r"planted = 'section-mising' is no defect \(did you mean 'section-missing'\?"
    ):
        find_defect("section-mising")


def test_a_release_refuses_a_defect_that_is_none(tmp_path: Path) -> None:
    release = Release("2.0", "adapter.py:open", tmp_path)
    for planted in ("", NOTHING, "counter"):
        assert replace(release, planted=planted).planted == planted
    with pytest.raises(DefinitionError, match="did you mean 'counter'"):
        replace(release, planted="conter")


@pytest.mark.parametrize("defect", CATALOGUE.values(), ids=lambda defect: defect.id)
def test_a_release_that_offers_everything_takes_every_defect(defect) -> None:  # type: ignore[no-untyped-def]  # a row
    assert why_not(defect, EVERYTHING, stub_inside=True) == ""
    for ability in defect.needs:
        assert ability.value in why_not(defect, EVERYTHING - {ability}, stub_inside=True)


def test_a_defect_that_cannot_be_planted_says_why() -> None:
    live = why_not(find_defect("counter"), frozenset(Ability), stub_inside=False)
    assert "a running service" in live
    on_the_wire = why_not(find_defect("section-missing"), EVERYTHING, stub_inside=False)
    assert "not a stub in the release worker" in on_the_wire
    assert why_not(find_defect("forged-heading"), EVERYTHING, stub_inside=False) == "", "only what is shown is judged"
    function = frozenset({Ability.PROMPT, Ability.WORKER})
    assert why_not(find_defect("section-missing"), function, stub_inside=False) == "", "nothing is sent at all"


def test_what_is_planted_around_a_release_says_why_it_cannot_be() -> None:
    for planted in ("", NOTHING, "counter", "complaint-open"):
        check_planted(planted, frozenset())
    check_planted("hand-over-cuts", {Ability.STAGE})
    with pytest.raises(TargetError, match="hand-over-cuts cannot be planted: the release does not offer: stage"):
        check_planted("hand-over-cuts", EVERYTHING - {Ability.STAGE})
    with pytest.raises(TargetError, match="complaint-open cannot be planted: it is a running service"):
        check_planted("complaint-open", {Ability.LIVE})


def test_margins_come_from_the_criteria() -> None:
    found = margins_of(CRITERIA)
    assert set(found) == {
        *("ratio", "allowance", "prompt_factor", "constructions"),
        *("construction", "peak", "growth", "errors"),
    }
    assert found["construction"] == CRITERIA["construction-time"].measures[0].go.value
    assert found["growth"] == CRITERIA["memory"].measure("growth").go.value
    other = criteria(
        criterion("error-rate", scopes=(Scope.RUN,), measures=[measure("errors", go="< 0.2", scope=Scope.RUN)])
    )
    assert margins_of(other) == {"errors": 0.2}


def test_what_a_worker_is_told_is_plain_data() -> None:
    planting = planting_of("counter", criteria())
    assert planting is not None
    told = planting.as_json()
    assert told == {"defect": "counter", "grammar": asdict(GRAMMAR), "margins": {}}
    assert Grammar(**planting.grammar) == GRAMMAR
    assert planting_of("", criteria()) is None
    assert planting_of(NOTHING, criteria()) is None
    around = [defect.id for defect in CATALOGUE.values() if defect.place is not Place.RELEASE]
    assert [planting_of(defect, criteria()) for defect in around] == [None] * len(around)


def test_a_planted_run_says_what_its_verdict_is_about() -> None:
    assert planted_note("counter") == (
        "a defect was planted on purpose: counter (the release numbers its prompts); "
        "this verdict is about the gate, not about the release"
    )
    assert "compared with itself" in planted_note(NOTHING)
    assert "of-later" in planted_note("of-later"), "a run of another version of gonogo is read as well"


def test_the_documented_catalogue_is_the_catalogue() -> None:
    text = (ROOT / "docs" / "proving.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| `([a-z-]+)` \| ([^|]+?)(?: \(INCONCLUSIVE\))? \|$", text, re.MULTILINE)
    assert rows == [(one.id, one.criterion, one.title) for one in CATALOGUE.values()]
    marked = re.findall(r"^\| `([a-z-]+)` .*\(INCONCLUSIVE\) \|$", text, re.MULTILINE)
    assert marked == [one.id for one in CATALOGUE.values() if one.expected is Status.INCONCLUSIVE]
