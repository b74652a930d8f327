"""gonogo.report.allure: the places of items."""

from __future__ import annotations

from sample_run import MakeRun, good_evidence, write_item

from gonogo.model import Claim
from gonogo.report.allure import claims_in, item_labels


def test_an_item_stands_under_its_group_and_criterion_and_names_run_and_claim(make_run: MakeRun) -> None:
    criterion = make_run(good_evidence()).run.criteria["error-rate"]
    found = dict(item_labels("run-1", criterion, Claim("error-rate"), None))
    assert found["layer"] == "claim"
    assert (found["run"], found["claim"]) == ("run-1", "error-rate")
    assert (
        (found["parentSuite"], found["suite"]) == (found["epic"], found["feature"]) == ("Prompts & speed", "error-rate")
    )
    assert found["story"] == "the whole run"


def test_only_the_claims_of_the_run_itself_are_found(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    write_item(run, Claim("speed", "meta"))
    write_item(run, Claim("error-rate"))
    write_item(run, Claim("speed", "structure"), run_id="another-run")
    (run.results / "torn-result.json").write_text('{"labels": [')
    (run.results / "list-result.json").write_text("[]")
    assert claims_in(run.results, run.run.info.id) == {Claim("speed", "meta"), Claim("error-rate")}
