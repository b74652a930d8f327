"""gonogo.report.generate: from a judged run to a page, one line of history per run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sample_run import MakeRun, good_evidence, write_item

from gonogo.errors import EvidenceError, ReportError
from gonogo.model import Claim
from gonogo.report.generate import generate_html
from gonogo.report.html import AllureGenerator
from gonogo.runs import RunDirectory

# Like Allure: one line of history per call, which holds the labels of every result.
CLI = """
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
const option = (name) => process.argv[process.argv.indexOf(name) + 1];
const [out, results] = [option("--output"), option("--cwd")];
const names = readdirSync(results).filter((name) => name.endsWith("-result.json"));
const items = names.map((name) => JSON.parse(readFileSync(`${results}/${name}`, "utf8")));
mkdirSync(out, { recursive: true });
const { default: config } = await import(option("--config"));
let before = "";
try { before = readFileSync(config.historyPath, "utf8"); } catch {}
writeFileSync(`${out}/index.html`, `<title>${option("--report-name")}</title>${before.split("\\n").length - 1} before`);
writeFileSync(`${out}/test-results.json`, JSON.stringify({ byId: Object.fromEntries(names.map((id) => [id, {}])) }));
const line = { testResults: Object.fromEntries(items.map((item) => [item.historyId, { labels: item.labels }])) };
writeFileSync(config.historyPath, JSON.stringify(line) + "\\n", { flag: "a" });
"""


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reports folder that looks installed, with a command line of our own making."""
    folder = tmp_path / "reports"
    package = folder / "node_modules" / "allure"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "allure", "type": "module"}')
    (package / "cli.js").write_text(CLI)
    (folder / "allurerc.mjs").write_text("export default {};")
    monkeypatch.setattr(AllureGenerator, "install", lambda self: None)
    return folder


def history(reports: Path) -> list[str]:
    return (reports / "history.jsonl").read_text(encoding="utf-8").splitlines()


def test_the_page_lies_in_the_run_and_is_named_after_its_verdict(make_run: MakeRun, reports: Path) -> None:
    run = make_run(good_evidence()).write()
    page = generate_html(run.directory, reports)
    assert page == run.directory.path / "allure" / "index.html"
    assert "<title>gonogo · GO · pre</title>0 before" in page.read_text(encoding="utf-8")
    assert len(history(reports)) == 1


def test_a_page_made_again_adds_nothing_to_the_history(make_run: MakeRun, reports: Path) -> None:
    first, second = (make_run(good_evidence(), number=number).write() for number in (1, 2))
    generate_html(first.directory, reports)
    generate_html(second.directory, reports)
    lines = history(reports)
    page = generate_html(first.directory, reports)
    assert history(reports) == lines
    assert "1 before" in page.read_text(encoding="utf-8")  # the other run, not itself


def test_a_history_that_was_moved_away_begins_anew(make_run: MakeRun, reports: Path) -> None:
    run = make_run(good_evidence()).write()
    generate_html(run.directory, reports)
    (reports / "history.jsonl").unlink()
    generate_html(run.directory, reports)
    assert len(history(reports)) == 1


def test_a_line_that_only_mentions_the_run_is_not_taken_for_it(make_run: MakeRun, reports: Path) -> None:
    run = make_run(good_evidence()).write()
    other = {"testResults": {"x": {"labels": [{"name": "story", "value": run.run.info.id}]}}}
    (reports / "history.jsonl").write_text(json.dumps(other) + "\n" + f"{run.run.info.id} torn\n")
    generate_html(run.directory, reports)
    assert len(history(reports)) == 3


def test_a_history_that_is_no_text_is_named(make_run: MakeRun, reports: Path) -> None:
    (reports / "history.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ReportError, match=r"history\.jsonl: cannot be read .*; move it away"):
        generate_html(make_run(good_evidence()).write().directory, reports)


def test_results_that_lie_elsewhere_can_be_named(make_run: MakeRun, reports: Path, tmp_path: Path) -> None:
    run = make_run(good_evidence()).write()
    run.results.rename(tmp_path / "elsewhere")
    with pytest.raises(ReportError, match=r"allure-results: no Allure results; .*--alluredir"):
        generate_html(run.directory, reports)
    assert generate_html(run.directory, reports, results=tmp_path / "elsewhere").is_file()


def test_results_that_were_touched_have_no_page(make_run: MakeRun, reports: Path) -> None:
    run = make_run(good_evidence()).write()
    next(run.results.glob("*-result.json")).unlink()
    with pytest.raises(EvidenceError, match=r"allure-results: not the Allure results that .* was judged with"):
        generate_html(run.directory, reports)
    assert not (run.directory.path / "allure").exists()


def test_a_run_that_was_not_judged_has_no_page(tmp_path: Path, reports: Path) -> None:
    with pytest.raises(EvidenceError, match=r"verdict\.json: no such file"):
        generate_html(RunDirectory(tmp_path / "nothing"), reports)


def test_the_pinned_command_line_shows_criteria_and_claims_of_a_run(
    make_run: MakeRun, pinned: AllureGenerator, tmp_path: Path
) -> None:
    run = make_run(good_evidence())
    write_item(run, Claim("speed", "meta"))
    run.write()
    reports = tmp_path / "pinned"
    reports.mkdir()
    for name in ("package.json", "package-lock.json", "allurerc.mjs"):
        shutil.copyfile(pinned.reports_dir / name, reports / name)
    (reports / "node_modules").symlink_to(pinned.reports_dir / "node_modules")
    for _ in range(2):
        page = generate_html(run.directory, reports)
    assert "<title> gonogo · GO · pre </title>" in page.read_text(encoding="utf-8")
    (line,) = history(reports)
    results = json.loads(line)["testResults"].values()
    assert sorted(result["environment"] for result in results) == ["claims", *["criteria"] * 7]
    assert json.loads(line)["metrics"]["memory · peak max"] == 20
