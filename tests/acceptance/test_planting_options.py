"""``--gonogo-planted`` and ``--gonogo-criterion`` from outside: what is planted where, and that such a run is never GO."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from constructor_project import ADAPTER, CONFTEST, CRITERIA, TEST_STRUCTURE, add_speed, write
from sandbox import Answer, Judge, run_in_process, run_pytest

pytest_plugins = ["pytester"]


COMPARED = """
[[criterion]]
id = "same"
title = "Prompts are those of the previous release"
group = "Prompts"
per = ["step"]
needs = ["prompt", "releases"{more}]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""
TEST_SAME = """\
import pytest

from gonogo.checks import same_text

pytestmark = pytest.mark.criterion("same")


def test_same(step, cases, candidate, baseline, evidence):
    for case in cases:
        evidence.add(case, same_text("same", "the prompt", baseline.construct(case).text, candidate.construct(case).text))
"""


@pytest.fixture
def judge(project: Path, pytester: pytest.Pytester) -> Judge:
    """Run pytest over the project with these arguments."""
    return lambda *arguments: run_in_process(pytester, "acceptance", *arguments)


def run_json(answer: Answer) -> dict[str, object]:
    assert answer.folder is not None
    found: dict[str, object] = json.loads((answer.folder / "run.json").read_text(encoding="utf-8"))
    return found


def add_comparison(project: Path, *, more: str = "") -> None:
    """A previous release that builds other prompts, and a criterion by which they must be the same."""
    other = ADAPTER.replace("You", "They").replace('f"CONTEXT:\\n', 'f"CONTEXT:\\nOnce. ')
    write(project, "older.py", other)
    baseline = 'Release("1.0", f"{ROOT / \'older.py\'}:open_release", ROOT)'
    write(project, "conftest.py", CONFTEST.replace("baseline=None", f"baseline={baseline}"))
    write(project, "acceptance/criteria.toml", CRITERIA + COMPARED.replace("{more}", more))
    write(project, "acceptance/test_same.py", TEST_SAME)


def test_a_planted_defect_is_caught_and_the_run_says_that_it_was_planted(judge: Judge) -> None:
    answer = judge("--gonogo-planted=section-missing")
    assert answer.status == 1, answer.output
    assert answer.verdicts == {"structure": "NO-GO", "length": "GO"}
    assert "RESPONSE is missing" in answer.reasons("structure")
    assert "note: a defect was planted on purpose: section-missing" in answer.output
    assert "this verdict is about the gate, not about the release" in " ".join(answer.document["notes"])
    assert (answer.document["run"]["planted"], run_json(answer)["planted"]) == ("section-missing",) * 2


def test_a_run_without_a_defect_says_nothing_of_it(judge: Judge) -> None:
    answer = judge()
    assert answer.status == 0, answer.output
    assert "planted" not in answer.output
    assert (answer.document["run"]["planted"], run_json(answer)["planted"]) == ("", "")


@pytest.mark.parametrize("planted", ["counter", "nothing"])
def test_a_planted_run_is_never_go(judge: Judge, planted: str) -> None:
    answer = judge(f"--gonogo-planted={planted}")
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "GO", "length": "GO"}
    assert answer.document["reasons"] == [f"planted on purpose: {planted}"]


def test_the_previous_release_stays_without_a_defect(project: Path, judge: Judge) -> None:
    add_comparison(project)
    write(project, "older.py", ADAPTER)
    assert judge().verdicts["same"] == "GO"
    assert judge("--gonogo-planted=instructions-added").verdicts["same"] == "NO-GO"


def test_with_nothing_planted_the_candidate_is_held_against_itself(project: Path, judge: Judge) -> None:
    add_comparison(project)
    assert judge().verdicts["same"] == "NO-GO"
    answer = judge("--gonogo-planted=nothing")
    assert answer.verdicts["same"] == "GO", answer.output
    assert "the candidate was compared with itself on purpose" in " ".join(answer.document["notes"])


def test_what_a_fallback_must_send_stays_with_the_previous_release(project: Path, judge: Judge) -> None:
    add_comparison(project, more=', "fault"')
    adapter = ADAPTER.replace(
        "FunctionAdapter(context, build)",
        "FunctionAdapter(context, build, abilities=frozenset({Ability.PROMPT, Ability.WORKER, Ability.FAULT}))",
    )
    write(project, "adapter.py", f"from gonogo.model import Ability\n{adapter}")
    assert judge("--gonogo-planted=nothing").verdicts["same"] == "NO-GO"


def test_a_defect_that_is_none_is_a_usage_error(judge: Judge) -> None:
    answer = judge("--gonogo-planted=section-mising")
    assert (answer.status, answer.folder) == (4, None)
    assert "planted = 'section-mising' is no defect (did you mean 'section-missing'?)" in answer.output


def test_a_defect_that_this_release_cannot_have_says_why(judge: Judge) -> None:
    answer = judge("--gonogo-planted=errors-twice")
    assert (answer.status, answer.folder) == (4, None)
    assert "errors-twice cannot be planted: the release does not offer: reply" in answer.output


HYGIENE = """
[[criterion]]
id = "hygiene"
title = "Definitions agree with themselves"
group = "Prompts"
per = ["step"]
needs = ["definitions"]
pre = "advisory"
post-stub = "advisory"
post-real = "advisory"
nightly = "advisory"

[[criterion]]
id = "signed"
title = "Nobody complains"
group = "Operation"
per = ["run"]
pre = "advisory"
post-stub = "advisory"
post-real = "advisory"
nightly = "advisory"
"""
TEST_HYGIENE = """\
import pytest

from gonogo.hygiene import definition_agrees

pytestmark = pytest.mark.criterion("hygiene")


def test_hygiene(step, grammar, evidence):
    evidence.add(None, definition_agrees(step, grammar))
"""
TEST_SIGNED = """\
from datetime import UTC, datetime

import pytest

from gonogo.signoffs import standing

pytestmark = pytest.mark.criterion("signed")


def test_signed(definitions, evidence):
    evidence.assess(standing(definitions.signoffs, ["code-review"], "2.0", datetime.now(UTC).date()))
"""


@pytest.mark.parametrize(
    ("defect", "criterion", "unplanted", "said"),
    [
        ("templates-exchanged", "hygiene", "GO", "stands on the other side"),
        ("complaint-open", "signed", "INCONCLUSIVE", "complaint planted of 2000-01-01 by gonogo is open"),
    ],
)
def test_what_people_wrote_is_judged_with_the_defect_that_is_planted_in_it(
    project: Path, judge: Judge, defect: str, criterion: str, unplanted: str, said: str
) -> None:
    write(project, "acceptance/criteria.toml", CRITERIA + HYGIENE)
    write(project, "acceptance/test_wording.py", TEST_HYGIENE)
    write(project, "acceptance/test_signed.py", TEST_SIGNED)
    assert judge().verdicts[criterion] == unplanted
    answer = judge(f"--gonogo-planted={defect}", f"--gonogo-criterion={criterion}")
    assert answer.verdicts[criterion] == "NO-GO", answer.output
    assert said in answer.reasons(criterion)


def test_a_defect_of_a_stage_takes_a_stage(judge: Judge) -> None:
    answer = judge("--gonogo-planted=hand-over-cuts")
    assert (answer.status, answer.folder) == (4, None)
    assert "ERROR: the defect hand-over-cuts cannot be planted: the release does not offer: stage" in answer.output


def test_nothing_is_planted_in_a_live_service(judge: Judge) -> None:
    answer = judge("--gonogo-phase=post", "--gonogo-target=http://127.0.0.1:1", "--gonogo-planted=counter")
    assert (answer.status, answer.folder) == (4, None)
    assert (
        "--gonogo-planted (or --gonogo-mutant) is for a release in its own worker, not for a live service"
        in answer.output
    )


def test_one_criterion_is_run_and_the_rest_deselected(project: Path, judge: Judge) -> None:
    write(project, "acceptance/test_more.py", "def test_of_no_criterion():\n    pass\n")
    answer = judge("--gonogo-criterion=structure")
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "GO", "length": "INCONCLUSIVE"}
    assert "2 passed, 2 deselected" in answer.output
    assert "partial selection: 2 of 3 owed claims were collected" in " ".join(answer.document["notes"])


def test_a_criterion_that_is_none_is_a_usage_error(judge: Judge) -> None:
    answer = judge("--gonogo-criterion=structur")
    assert (answer.status, answer.folder) == (4, None)
    assert "names none of criteria.toml (did you mean 'structure'?); write one of structure, length" in answer.output


def test_a_mark_that_names_no_criterion_is_told_all_the_same(project: Path, judge: Judge) -> None:
    write(project, "acceptance/test_structure.py", TEST_STRUCTURE.replace('"structure"', '"strukture"'))
    answer = judge("--gonogo-criterion=length")
    assert answer.status == 4
    assert "names none of criteria.toml (did you mean 'structure'?)" in answer.output


@pytest.mark.slow
def test_the_measured_pass_plants_the_same_and_runs_the_same_criterion(project: Path) -> None:
    add_speed(project)
    answer = run_pytest(project, "acceptance", "--gonogo-planted=construction-slower", "--gonogo-criterion=speed")
    assert answer.status == 10, answer.output
    assert "criteria.toml has nothing that says 'construction'" in answer.reasons("speed")
    assert answer.verdicts["structure"] == "INCONCLUSIVE"
    plain = run_pytest(project, "acceptance", "--gonogo-criterion=speed")
    assert plain.verdicts["speed"] == "GO", plain.output


@pytest.mark.slow
def test_workers_side_by_side_plant_the_same(project: Path) -> None:
    answer = run_pytest(
        project, "acceptance", "--gonogo-planted=section-missing", "--gonogo-criterion=structure", "-n", "2"
    )
    assert answer.status == 1, answer.output
    claims = next(one["claims"] for one in answer.document["criteria"] if one["id"] == "structure")
    assert [claim["verdict"] for claim in claims] == ["NO-GO", "NO-GO"]
