"""gonogo.report.allure_criteria: what the Allure folder of a run says about its criteria."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from sample_run import (
    CRITERIA,
    STEPS,
    MakeRun,
    SampleRun,
    good_evidence,
    labels,
    with_errors,
    with_samples,
    without,
    write_item,
)

from gonogo.found_proof import FoundProof, State
from gonogo.model import Claim, Ended, Evidence, Finding, Gap, Judged, Outcome
from gonogo.proof import CriterionProof, Itself, Proof
from gonogo.report import allure_criteria
from gonogo.report.allure import claims_in, write_criteria

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = (
    "<img src=x onerror=alert(1)> [x](javascript:alert(1)) ![p](http://y/p.png) **b** | `c` \x1b[31m \ud800 \u202e"
)


@pytest.fixture(autouse=True)
def quick_pictures(good_run: SampleRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take a second per run; the real ones are looked at in the run that is made once."""
    monkeypatch.setattr(allure_criteria, "criterion_plot", lambda *_: None)
    monkeypatch.setattr(allure_criteria, "coverage_plot", lambda _: PNG)


def failing(step: str, reason: str, detail: str = "") -> Judged:
    return Judged(Claim("prompt-structure", step), f"{step}/one", Finding("check", False, reason, detail))


def test_there_is_one_result_per_criterion_in_the_order_of_the_file(good_run: SampleRun) -> None:
    run = good_run
    assert tuple(run.criteria()) == CRITERIA
    assert len({result["start"] for result in run.criteria().values()}) == len(CRITERIA)


def test_a_name_holds_criterion_verdict_and_figure(good_run: SampleRun) -> None:
    names = {criterion: result["name"] for criterion, result in good_run.criteria().items()}
    assert names["prompt-structure"] == "prompt-structure · GO · 6 of 6 findings ok"
    assert names["hygiene"] == "hygiene · GO (advisory) · 6 of 6 findings ok"
    assert re.fullmatch(r"speed · GO · time p90 <= 2\d\d µs, limit < 1 ms \(\S+, n = 60\)", names["speed"])
    assert names["memory"] == "memory · GO · peak max = 20 KiB, limit <= 64 KiB (idea-scope, n = 1)"


def test_status_follows_the_verdict(make_run: MakeRun) -> None:
    evidence = [*without(good_evidence(), Claim("speed", "meta")), failing("meta", "no heading")]
    criteria = make_run(evidence).write().criteria()
    assert criteria["prompt-structure"]["status"] == "failed"
    assert criteria["speed"]["status"] == "broken"
    assert criteria["excess"]["status"] == "passed"
    assert "statusDetails" not in criteria["excess"]
    assert labels(criteria["speed"])["tag"] == "INCONCLUSIVE"


def test_the_message_holds_the_reasons_and_the_trace_the_findings(make_run: MakeRun) -> None:
    result = make_run([*good_evidence(), failing("meta", "no heading", "line 1\nline 2")]).write().criteria()
    details = result["prompt-structure"]["statusDetails"]
    assert details["message"] == "meta: 1 of 3 findings fail: meta/one: no heading"
    assert details["trace"] == "meta/one: no heading\n    line 1\n    line 2"


def test_message_and_trace_are_bounded(make_run: MakeRun) -> None:
    many = [failing("meta", f"{number} " + "x" * 5000, "y" * 50_000) for number in range(200)]
    run = make_run([*good_evidence(), *many]).write()
    result = run.criteria()["prompt-structure"]
    assert len(json.dumps(result)) < 100_000
    assert "and 180 more" in result["statusDetails"]["trace"]


def test_ids_are_stable_from_run_to_run_and_unique_within_one(make_run: MakeRun) -> None:
    def ids(number: int) -> list[tuple[str, str, str]]:
        results = make_run(good_evidence(), number=number).write().criteria().values()
        return [(one["fullName"], one["testCaseId"], one["historyId"]) for one in results]

    first = ids(1)
    assert first == ids(2)
    assert len({history for _, _, history in first}) == len(CRITERIA)
    assert [name for name, _, _ in first] == [f"criterion/{criterion}" for criterion in CRITERIA]


def test_every_result_has_the_labels_that_give_it_its_place(good_run: SampleRun) -> None:
    run = good_run
    for criterion, result in run.criteria().items():
        found = labels(result)
        assert found["layer"] == "criterion"
        assert found["run"] == run.run.info.id
        assert (found["epic"], found["feature"]) == ("Prompts & speed", criterion)
        assert found["severity"] == ("minor" if criterion == "hygiene" else "blocker")
        assert not {"parentSuite", "suite", "subSuite", "claim"} & set(found)


def test_a_criterion_s_result_is_not_taken_for_a_claim_s(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    write_item(run, Claim("speed", "meta"))
    run.write()
    assert claims_in(run.results, run.run.info.id) == {Claim("speed", "meta")}


def test_a_description_tells_what_is_asked_and_shows_each_claim_s_figures(good_run: SampleRun) -> None:
    criteria = good_run.criteria()
    structure = criteria["prompt-structure"]["description"]
    assert structure.startswith("**Every prompt has its \\*sections\\***\n\n**GO**, required in phase pre.\n")
    assert "| meta | GO | 2 of 2 | 2 |" in structure
    assert (
        "| whole run | GO | errors proportion | 400 | 0 % | 0.746 % | &lt; 1 % | 0.254 % |"
        in criteria["error-rate"]["description"]
    )
    assert "What to do next" not in structure


def test_what_was_found_of_no_case_is_listed_and_what_fails_comes_first(make_run: MakeRun) -> None:
    whole = Claim("error-rate")
    found = [
        Judged(whole, None, Finding("rehearsal", True, "memory: alerts 0.8 s after the service broke")),
        Judged(whole, None, Finding("rehearsal", False, f"errors: did not fire {HOSTILE}")),
    ]
    told = make_run([*good_evidence(), *found]).write().criteria()["error-rate"]["description"]
    listed = told[told.index("**What was found**") :].splitlines()
    assert listed[2].startswith("- **fails**: errors: did not fire")
    assert listed[3] == "- memory: alerts 0.8 s after the service broke"
    assert "<img" not in told


def test_a_long_list_of_what_was_found_is_cut_and_says_so(make_run: MakeRun) -> None:
    found = [Judged(Claim("error-rate"), None, Finding("check", True, f"number {number}")) for number in range(500)]
    told = make_run([*good_evidence(), *found]).write().criteria()["error-rate"]["description"]
    assert told.count("\n- number") == 80
    assert "- and 420 more; the shards of the run hold all of them" in told


def test_a_measured_criterion_shows_its_picture_without_a_click(good_run: SampleRun) -> None:
    run = good_run
    speed = run.criteria()["speed"]
    assert run.attachment(speed, "measured values against their limits").startswith(b"\x89PNG")
    assert "](data:image/png;base64,iVBOR" in speed["description"]
    assert "data:" not in run.criteria()["prompt-structure"]["description"]


@pytest.mark.parametrize(
    ("records", "advice"),
    [
        (
            [Gap(Claim("speed", "meta"), "meta/one", "prompt moved: no recording answers", "--- a")],
            "gonogo recordings check",
        ),
        ([Gap(Claim("speed", "meta"), "meta/one", "the worker died")], "Repair what the reasons name"),
        ([Ended(Claim("speed", "meta"), Outcome.BROKEN, "KeyError: x", "t", 0.1)], "A suite broke"),
        ([Ended(Claim("speed", "meta"), Outcome.SKIPPED, "later", "t", 0.1)], "remove the skip"),
    ],
)
def test_an_inconclusive_criterion_says_what_to_do_next(
    make_run: MakeRun, records: list[Evidence], advice: str
) -> None:
    description = make_run([*good_evidence(), *records]).write().criteria()["speed"]["description"]
    assert "**What to do next**\n\n1. " in description
    assert advice in description
    assert "\n2. " not in description


def test_claims_that_were_not_executed_are_to_be_executed(make_run: MakeRun) -> None:
    description = make_run(without(good_evidence(), Claim("speed", "meta"))).write().criteria()["speed"]["description"]
    assert "1. Claims were not executed: run all suites" in description


def test_a_bound_across_its_limit_asks_for_samples(make_run: MakeRun) -> None:
    evidence = with_errors(good_evidence(), [0.0] * 200)
    description = make_run(evidence).write().criteria()["error-rate"]["description"]
    assert "1. The bound reaches across the limit: take as many samples as the reasons ask for" in description


def test_a_target_that_lacks_an_ability_is_told_which(make_run: MakeRun) -> None:
    description = make_run(good_evidence(), abilities=[]).write().criteria()["prompt-structure"]["description"]
    assert "1. The target does not offer prompt: let the adapter offer it" in description


def test_a_no_go_criterion_gives_no_advice(make_run: MakeRun) -> None:
    description = (
        make_run([*good_evidence(), failing("meta", "no")]).write().criteria()["prompt-structure"]["description"]
    )
    assert "What to do next" not in description


def test_the_figures_of_a_criterion_are_attached_as_in_verdict_json(good_run: SampleRun) -> None:
    run = good_run
    for plain in run.document["criteria"]:
        assert json.loads(run.attachment(run.criteria()[plain["id"]], "figures")) == plain


def test_the_coverage_grid_is_attached_to_the_run_and_to_what_is_computed(make_run: MakeRun) -> None:
    run = make_run(without(good_evidence(), Claim("prompt-structure", "structure"))).write()
    integrity = run.criteria()["report-integrity"]
    rows = list(csv.reader(io.StringIO(run.attachment(integrity, "coverage as a table").decode())))
    assert rows[0] == ["criterion", *STEPS, "whole run"]
    assert rows[1] == ["prompt-structure", "✓ 2", "∅ 0", "✓ 2", "·"]
    assert all(all(row) for row in rows)
    assert run.attachment(integrity, "coverage: criterion x step").startswith(b"\x89PNG")
    (about_the_run,) = run.read("*-globals.json")
    names = [one["name"] for one in about_the_run["attachments"]]
    assert names == ["verdict.md", "coverage: criterion x step", "coverage as a table", "verdict.json"]


def test_every_attachment_is_there_and_none_is_html_or_svg(make_run: MakeRun) -> None:
    run = make_run([*good_evidence(), failing("meta", HOSTILE, HOSTILE)]).write()
    (about_the_run,) = run.read("*-globals.json")
    found = [one for result in (*run.criteria().values(), about_the_run) for one in result["attachments"]]
    assert {one["type"] for one in found} == {"image/png", "application/json", "text/markdown", "text/csv"}
    assert [one["source"] for one in found if not (run.results / one["source"]).is_file()] == []


def test_notes_of_the_run_are_its_global_errors(make_run: MakeRun) -> None:
    run = make_run(good_evidence(), notes=["the measured pass ended with status 3"]).write()
    (about_the_run,) = run.read("*-globals.json")
    assert [one["message"] for one in about_the_run["errors"]] == ["the measured pass ended with status 3"]


def test_what_a_live_run_says_of_its_service_is_no_error(make_run: MakeRun) -> None:
    told = {"service": "http://127.0.0.1:8000", "source": "preview", "stub": "none", "read_only": True}
    run = make_run(good_evidence(), candidate=told).write()
    (about_the_run,) = run.read("*-globals.json")
    assert not about_the_run.get("errors")
    shown = (run.results / "environment.properties").read_text(encoding="ascii")
    assert "Release=2.0.0 at http://127.0.0.1:8000" in shown.replace("\\:", ":")


def test_nothing_of_a_hostile_reason_is_markdown_html_or_a_control_sequence(make_run: MakeRun) -> None:
    gap = Gap(Claim("speed", "meta"), "meta/one", HOSTILE, HOSTILE)
    run = make_run([*good_evidence(), failing("meta", HOSTILE, HOSTILE), gap], notes=[HOSTILE]).write()
    for path in run.results.iterdir():
        text = path.read_bytes()
        if text.startswith(b"\x89PNG"):
            continue
        assert b"\x1b" not in text
        assert "\u202e" not in text.decode("utf-8") or path.suffix == ".json"  # in figures, as JSON has it
    for result in run.criteria().values():
        assert "<img" not in result["description"]
        assert re.search(r"(?<!\\)\[x\]", result["description"]) is None
        assert "\u202e" not in result["name"] + json.dumps(result.get("statusDetails", {}), ensure_ascii=False)


def test_the_first_page_names_release_phase_verdict_and_digest(good_run: SampleRun) -> None:
    run = good_run
    lines = (run.results / "environment.properties").read_text(encoding="ascii").splitlines()
    assert lines == [
        "Verdict=GO",
        "Phase=pre",
        "Release=2.0.0 (previous: 1.9.0)",
        f"Digest={run.digest[:16]}\\u2026",
        "Recordings=synthetic: no model gave the replies",
        "Python=3.12.9",
        "Started=2026-11-23T07:00:01.000+00:00",
    ]
    executor = json.loads((run.results / "executor.json").read_text())
    assert executor == {"name": "gonogo", "type": "gonogo", "buildName": run.run.info.id}


def test_the_trend_has_the_worst_bound_of_each_measure_in_one_unit(make_run: MakeRun) -> None:
    evidence = with_samples(good_evidence(), Claim("memory", "structure"), "peak", [40_960.0])
    (metrics,) = make_run(evidence).write().read("*-perf.json")
    found = {one["key"]: (one["value"], one["unit"], one["better"]) for one in metrics}
    assert set(found) == {
        "speed · time p90",
        "excess · excess median",
        "memory · peak max",
        "memory · growth max",
        "error-rate · errors proportion",
    }
    assert found["memory · peak max"] == (40.0, "KiB", "lower")
    assert found["error-rate · errors proportion"][0] == pytest.approx(0.746, abs=0.001)
    assert found["speed · time p90"][1] == "ms"
    assert len({one["id"] for one in metrics}) == len(metrics)


def test_the_trend_leaves_out_what_is_unbounded_or_unknown(make_run: MakeRun) -> None:
    evidence = without(good_evidence(), Claim("error-rate"))
    for step in STEPS:
        evidence = with_samples(evidence, Claim("speed", step), "time", [0.0001] * 3)
    (metrics,) = make_run(evidence).write().read("*-perf.json")
    assert {one["key"].split(" · ")[0] for one in metrics} == {"excess", "memory"}


def test_an_item_that_passed_says_no_go_where_its_claim_is(make_run: MakeRun) -> None:
    run = make_run(with_samples(good_evidence(), Claim("speed", "meta"), "time", [0.002] * 60))
    slow, fast = write_item(run, Claim("speed", "meta")), write_item(run, Claim("speed", "structure"))
    run.write()
    item = json.loads(slow.read_text(encoding="utf-8"))
    assert item["status"] == "failed"
    assert item["name"] == "meta · NO-GO · time p90 = 2 ms, limit < 1 ms (n = 60)"
    assert item["statusDetails"]["message"].startswith("time p90 = 2 ms, limit < 1 ms (n = 60)")
    unchanged = json.loads(fast.read_text(encoding="utf-8"))
    assert unchanged["status"] == "passed"
    assert "statusDetails" not in unchanged
    assert unchanged["historyId"] == "item-speed/structure"


def test_results_of_other_runs_stay_as_they_are(make_run: MakeRun) -> None:
    run = make_run(with_samples(good_evidence(), Claim("speed", "meta"), "time", [0.002] * 60))
    other = write_item(run, Claim("speed", "meta"), run_id="another-run")
    stranger = run.results / "stranger-result.json"
    stranger.write_text('{"uuid": "s", "name": "a test without gonogo", "status": "passed"}')
    torn = run.results / "torn-result.json"
    torn.write_bytes(b'{"labels": [\xff')
    before = [path.read_bytes() for path in (other, stranger, torn)]
    run.write()
    assert [path.read_bytes() for path in (other, stranger, torn)] == before


def test_a_run_without_any_evidence_has_a_result_for_every_criterion(make_run: MakeRun) -> None:
    run = make_run([]).write()
    assert {result["status"] for result in run.criteria().values()} == {"broken"}
    assert tuple(run.criteria()) == CRITERIA


def test_no_half_written_file_is_left(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    write_item(run, Claim("speed", "meta"))
    write_criteria(run.results, run.run, run.verdict, run.digest)
    assert [path.name for path in run.results.iterdir() if path.name.endswith((".writing", ".tmp"))] == []


def test_the_page_of_a_criterion_tells_how_it_is_proven(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    itself = Itself("speed", 102, 0, 1, at="2026-11-26T18:00:00+00:00")
    proof = Proof(itself.at, {"suites": "a"}, (CriterionProof("speed", itself=itself),))
    found = replace(run, run=replace(run.run, proof=FoundProof(State.FRESH, proof))).write()
    pages = {criterion: result["description"] for criterion, result in found.criteria().items()}
    assert "proof: false NO-GO &lt;= 2.89 %, INCONCLUSIVE &lt;= 4.57 % (n = 102) (2026-11-26)." in pages["speed"]
    assert "proof: no defect is planted for this criterion." in pages["memory"]
