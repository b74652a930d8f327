"""gonogo.report.results: Allure's results are those that a run was judged with, or it is said which are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_run import MakeRun, SampleRun, good_evidence, write_item

from gonogo.errors import EvidenceError
from gonogo.model import Claim
from gonogo.report.results import check_results, keep_results, kept_results

SPEED = Claim("speed", "meta")


@pytest.fixture
def run(make_run: MakeRun) -> SampleRun:
    """A run with one item and one result of a test without a criterion."""
    made = make_run(good_evidence())
    write_item(made, SPEED)
    (made.results / "stranger-result.json").write_text('{"name": "no criterion", "status": "passed", "labels": []}')
    return made.write()


def result_of(run: SampleRun, name: str) -> Path:
    return next(path for path in sorted(run.results.glob("*-result.json")) if name in path.read_text())


def attachment_of(run: SampleRun, name: str) -> Path:
    sources = [one["source"] for one in run.criteria()["speed"]["attachments"] if one["name"] == name]
    return run.results / str(sources[0])


def test_results_that_nobody_touched_are_those_of_the_run(run: SampleRun) -> None:
    check_results(run.directory)
    assert set(kept_results(run.directory).files) == {path.name for path in run.results.iterdir()}
    assert not kept_results(run.directory).are_gone


Touch = Callable[[SampleRun], Path]


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


TOUCHED: dict[str, Touch] = {
    "an item": lambda run: edited(result_of(run, '"speed/meta"'), "passed", "failed"),
    "a criterion": lambda run: edited(result_of(run, "criterion/memory"), "passed", "failed"),
    "the figures of a criterion": lambda run: edited(attachment_of(run, "figures"), "GO", "NO-GO"),
    "a test without a criterion": lambda run: edited(run.results / "stranger-result.json", "passed", "failed"),
    "the environment": lambda run: edited(run.results / "environment.properties", "GO", "NO-GO"),
    "the verdict": lambda run: edited(next(run.results.glob("*-globals.json")), "verdict.md", "other.md"),
}


@pytest.mark.parametrize("touch", TOUCHED.values(), ids=TOUCHED)
def test_a_file_that_is_changed_or_gone_is_named(run: SampleRun, touch: Touch) -> None:
    path = touch(run)
    with pytest.raises(EvidenceError, match=rf"was judged with: {path.name} was changed; do not rely on them, run"):
        check_results(run.directory)
    path.unlink()
    with pytest.raises(EvidenceError, match=rf"was judged with: {path.name} is missing; do not rely on them"):
        check_results(run.directory)


@pytest.mark.parametrize("name", ["late-result.json", "late-globals.json"])
def test_what_is_added_to_the_page_is_named(run: SampleRun, name: str) -> None:
    (run.results / name).write_text('{"name": "late", "status": "passed"}')
    with pytest.raises(EvidenceError, match=rf"was judged with: {name} was added; do not rely on them"):
        check_results(run.directory)


def test_many_differences_are_cut_and_counted(run: SampleRun) -> None:
    for number in range(5):
        (run.results / f"{number}-result.json").write_text("{}")
    with pytest.raises(EvidenceError, match=r"0-result\.json was added, .*2-result\.json was added and 2 more; do not"):
        check_results(run.directory)


class TestInAFolderOfOthers:
    @pytest.fixture
    def elsewhere(self, run: SampleRun, tmp_path: Path) -> Path:
        """The results lie in a folder that another run writes to."""
        folder = run.results.rename(tmp_path / "elsewhere")
        keep_results(run.directory, folder)
        return folder

    def test_what_others_write_there_is_none_of_the_runs(self, run: SampleRun, elsewhere: Path) -> None:
        item = json.loads((elsewhere / "speed-meta-own-result.json").read_text())
        item["labels"] = [{"name": "run", "value": "another"}, {"name": "claim", "value": "speed/meta"}]
        (elsewhere / "another-result.json").write_text(json.dumps(item))
        (elsewhere / "torn-result.json").write_bytes(b'{"labels": [\xff')
        (elsewhere / "stranger-result.json").unlink()
        (elsewhere / "environment.properties").write_text("Verdict=NO-GO\n")
        check_results(run.directory)

    def test_what_names_the_run_is_compared(self, run: SampleRun, elsewhere: Path) -> None:
        item = elsewhere / "speed-meta-own-result.json"
        (elsewhere / "late-result.json").write_bytes(item.read_bytes())
        with pytest.raises(EvidenceError, match=r"elsewhere: not the .* judged with: late-result\.json was added"):
            check_results(run.directory)
        (elsewhere / "late-result.json").unlink()
        edited(item, "passed", "failed")
        with pytest.raises(EvidenceError, match=r"judged with: speed-meta-own-result\.json was changed"):
            check_results(run.directory)

    def test_attachments_are_compared_those_of_steps_too(self, run: SampleRun, elsewhere: Path) -> None:
        item = json.loads((elsewhere / "speed-meta-own-result.json").read_text())
        item["steps"] = [{"name": "a step", "attachments": [{"name": "a diff", "source": "diff.txt"}]}]
        (elsewhere / "speed-meta-own-result.json").write_text(json.dumps(item))
        (elsewhere / "diff.txt").write_text("- a\n+ b\n")
        keep_results(run.directory, elsewhere)
        check_results(run.directory)
        (elsewhere / "diff.txt").write_text("nothing differs\n")
        with pytest.raises(EvidenceError, match=r"judged with: diff\.txt was changed"):
            check_results(run.directory)

    def test_a_folder_that_was_moved_can_be_named(self, run: SampleRun, elsewhere: Path, tmp_path: Path) -> None:
        moved = elsewhere.rename(tmp_path / "moved")
        assert kept_results(run.directory).are_gone
        with pytest.raises(EvidenceError, match=r"is missing, .* more; do not rely on them"):
            check_results(run.directory)
        check_results(run.directory, moved)


def test_a_run_without_hashes_of_its_results_is_not_relied_on(run: SampleRun) -> None:
    (run.directory.path / "allure.json").unlink()
    with pytest.raises(EvidenceError, match=r"allure\.json: no such file, so nothing tells whether the Allure results"):
        check_results(run.directory)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"folder": "allure-results", "files": []}', '{"folder": 1, "files": {}}']
)
def test_hashes_that_are_none_are_damage(run: SampleRun, text: str) -> None:
    run.directory.write_text("allure.json", text)
    with pytest.raises(EvidenceError, match=r"allure\.json: not the hashes of Allure's results \(.*\); the run is"):
        check_results(run.directory)
