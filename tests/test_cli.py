"""The command line: what it prints, what it leaves on disk, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result
from small_project import CRITERIA, set_options, write_project

from gonogo.cli import main
from gonogo.errors import ReportError
from gonogo.evidence import Shard
from gonogo.joining import join, read_part
from gonogo.model import (
    Ability,
    Claim,
    Collected,
    Ended,
    Evidence,
    Finding,
    Judged,
    Outcome,
    Phase,
    Provenance,
    Recording,
    Reply,
    Request,
    Sampled,
    Status,
)
from gonogo.recordings import RecordingSet, load_recordings
from gonogo.report.results import keep_results
from gonogo.rundown import conclude, integrity, judge_run
from gonogo.runs import RunDirectory, RunInfo
from gonogo.verdict import Facts


def gonogo(*arguments: str, answer: str | None = None) -> Result:
    """Run a command. A traceback is no way to end."""
    result = CliRunner().invoke(main, arguments, input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_version_is_the_one_that_is_installed() -> None:
    assert gonogo("--version").output == f"gonogo, version {version('gonogo')}\n"


def test_a_folder_without_a_project_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = gonogo("recordings", "check")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"gonogo: {tmp_path / 'conftest.py'}: no such file; run the command in the folder")
    assert result.stderr.count("\n") == 1


def test_a_release_tells_of_itself_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for role in ("candidate", "baseline"):
        result = gonogo("describe", "--release", role)
        assert result.exit_code == 0, result.stderr
        assert isinstance(json.loads(result.output), dict)


def write_project_with_replies(folder: Path) -> None:
    write_project(folder)
    (folder / "facts-replies.yaml").write_text("step: facts\nreplies:\n  roads: Roads.\n  rivers: Rivers.\n")
    (folder / "title-replies.yaml").write_text("step: title\nreplies: {roads: A title.}\n")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``gonogo recordings add`` writes for both releases of the small project; to be copied."""
    folder = tmp_path_factory.mktemp("recorded")
    write_project_with_replies(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for role in ("candidate", "baseline"):
            added = gonogo("recordings", "add", "facts-replies.yaml", "title-replies.yaml", "--release", role)
            assert added.exit_code == 0, added.output
    return folder / "recordings"


class TestRecordings:
    @pytest.fixture(autouse=True)
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The small project, worked in."""
        write_project_with_replies(tmp_path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @pytest.fixture
    def recorded(self, project: Path, recordings: Path) -> Path:
        """The small project with recordings for every case of both releases."""
        shutil.copytree(recordings, project / "recordings")
        return project

    def add(self, role: str, *options: str) -> Result:
        return gonogo("recordings", "add", "facts-replies.yaml", "title-replies.yaml", "--release", role, *options)

    def test_a_secret_in_a_request_is_not_written_and_the_recording_fits(self, project: Path) -> None:
        key = "sk-" + "x1" * 20
        set_options(project, candidate={"sends": f" Use {key}."})
        assert self.add("candidate").exit_code == 0
        for path in (project / "recordings").rglob("*.yaml"):
            text = path.read_text()
            assert key not in text
            assert "Use [redacted:openai-key]." in text
        assert "candidate 2.0: 3 cases, 3 recordings: all fit" in gonogo("recordings", "check").output

    def test_replies_are_recorded_with_the_request_that_the_release_sends(self, project: Path) -> None:
        result = self.add("candidate", "--note", "by hand")
        assert result.exit_code == 0, result.stderr
        assert result.output.splitlines() == [
            f"wrote {project}/recordings/2.0/facts.yaml",
            f"wrote {project}/recordings/2.0/title.yaml",
        ]
        found = load_recordings(project / "recordings" / "2.0").recordings
        assert [(one.id, one.cases, one.reply.text) for one in found] == [
            ("facts/roads", ("roads",), "Roads."),
            ("facts/rivers", ("rivers",), "Rivers."),
            ("title/roads", ("roads",), "A title."),
        ]
        assert {(one.provenance, one.note) for one in found} == {(Provenance.SYNTHETIC, "by hand")}
        assert "Idea: Rivers" in str(found[1].request.body["prompt"])

    def test_adding_twice_writes_nothing_and_another_reply_asks_for_replace(self, project: Path) -> None:
        self.add("candidate")
        assert self.add("candidate").output == "nothing was written\n"
        (project / "title-replies.yaml").write_text("step: title\nreplies: {roads: A better title.}\n")
        refused = self.add("candidate")
        assert refused.exit_code == 2
        assert "title/roads is a recording of the same request with another reply; give --replace" in refused.stderr
        assert self.add("candidate", "--replace").output == f"wrote {project}/recordings/2.0/title.yaml\n"

    def test_a_captured_reply_says_where_it_comes_from(self) -> None:
        result = self.add("candidate", "--provenance", "captured")
        assert result.exit_code == 2
        assert "--provenance captured needs --note" in result.stderr

    def test_a_file_that_names_no_case_of_the_step_is_wrong_usage(self, project: Path) -> None:
        (project / "title-replies.yaml").write_text("step: title\nreplies: {road: A title.}\n")
        result = self.add("candidate")
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "the step 'title' has no case 'road' (did you mean 'roads'?)" in result.stderr
        assert not (project / "recordings").exists()

    def test_a_release_that_raises_is_not_recorded(self, project: Path) -> None:
        set_options(project, candidate={"raises": ["title"]})
        result = self.add("candidate")
        assert result.exit_code == 1
        assert "title/roads: the release let an exception through: LookupError: no prompt for title" in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (project / "recordings").exists()

    def test_recordings_that_fit_are_clean(self, recorded: Path) -> None:
        result = gonogo("recordings", "check")
        assert result.exit_code == 0
        assert result.output.splitlines() == [
            "candidate 2.0: 3 cases, 3 recordings: all fit",
            "baseline 1.0: 3 cases, 3 recordings: all fit",
        ]

    def test_check_shows_how_each_prompt_has_moved(self, recorded: Path) -> None:
        set_options(recorded, candidate={"ending": " Be brief.\x1b[2J"})
        result = gonogo("recordings", "check")
        assert result.exit_code == 1
        assert "candidate 2.0: 3 cases, 3 recordings: 3 moved\n" in result.output
        assert "\nmoved: facts/roads (synthetic), cases: roads\n" in result.output
        assert "    -  Answer with plain text.\n    +  Answer with plain text. Be brief.\\x1b[2J\n" in result.output
        assert "\n    the same difference as in facts/roads\n" in result.output
        assert "baseline 1.0: 3 cases, 3 recordings: all fit" in result.output

    def test_check_lists_what_is_unused_missing_and_failed(self, recorded: Path) -> None:
        (recorded / "cases" / "facts.yaml").write_text(
            "step: facts\ncases:\n- {id: roads, inputs: {idea: Roman roads}}\n- {id: seas, inputs: {idea: Seas}}\n"
        )
        set_options(recorded, candidate={"silent": ["title"]}, baseline={"raises": ["title"]})
        result = gonogo("recordings", "check")
        assert result.exit_code == 1
        candidate, baseline = result.output.split("baseline 1.0: ")
        assert candidate.splitlines() == [
            "candidate 2.0: 3 cases, 3 recordings: 1 unused, 1 missing, 1 failed",
            "unused: facts/rivers: no case leads to it; remove it or add its case",
            "missing: facts/seas: no recording was made for it",
            "failed: title/roads: title/roads: the release sent no request to its model (the model is asleep)",
        ]
        assert "LookupError: no prompt for title" in baseline

    def test_update_moves_recordings_and_says_so_in_them(self, recorded: Path) -> None:
        set_options(recorded, candidate={"ending": " Be brief."})
        untouched = (recorded / "recordings" / "1.0" / "facts.yaml").stat().st_mtime_ns
        result = gonogo("recordings", "update", "--yes")
        assert result.exit_code == 0
        assert "+  Answer with plain text. Be brief." in result.output
        assert f"wrote {recorded}/recordings/2.0/facts.yaml\n" in result.output
        moved = load_recordings(recorded / "recordings" / "2.0").recordings
        assert {one.provenance for one in moved} == {Provenance.REKEYED}
        assert moved[0].note == f"rekeyed {moved[0].recorded} from synthetic, {moved[0].recorded}"
        assert [one.reply.text for one in moved] == ["Roads.", "Rivers.", "A title."]
        assert (recorded / "recordings" / "1.0" / "facts.yaml").stat().st_mtime_ns == untouched
        assert gonogo("recordings", "check").exit_code == 0

    def test_update_asks_before_each_move(self, recorded: Path) -> None:
        set_options(recorded, candidate={"ending": " Be brief."}, baseline={"ending": " Be long."})
        result = gonogo("recordings", "update", "--release", "candidate", answer="n\ny\nn\n")
        assert result.exit_code == 0
        assert result.output.count("to this prompt? [y/N]") == 3
        kept = load_recordings(recorded / "recordings" / "2.0").recordings
        assert [(one.id, one.provenance) for one in kept] == [
            ("facts/roads", Provenance.SYNTHETIC),
            ("facts/rivers", Provenance.REKEYED),
            ("title/roads", Provenance.SYNTHETIC),
        ]

    def test_update_says_which_cases_need_a_reply(self, recorded: Path) -> None:
        (recorded / "recordings" / "2.0" / "title.yaml").unlink()
        before = (recorded / "recordings" / "2.0" / "facts.yaml").read_bytes()
        result = gonogo("recordings", "update", "--release", "candidate", "--yes")
        assert result.output.splitlines() == [
            "candidate 2.0: 0 moved",
            "nothing was written",
            "not updatable: title/roads: no recording was made for it",
        ]
        assert (recorded / "recordings" / "2.0" / "facts.yaml").read_bytes() == before


OWED = (Claim("structure", "facts"), Claim("structure", "title"), Claim("errors"))
INFO = RunInfo(
    id="20261123T070000.000Z-pre",
    started="2026-11-23T07:00:00.000+00:00",
    facts=Facts(
        phase=Phase.PRE,
        steps=("facts", "title"),
        cases={"facts": ("roads", "rivers"), "title": ("roads",)},
        abilities=frozenset({Ability.PROMPT, Ability.REPLY}),
        synthetic=True,
    ),
    releases={"candidate": {"version": "2.0"}, "baseline": {"version": "1.0"}},
    titles={"facts": "Planning / Research / Facts"},
)


def other_run(second: int) -> RunInfo:
    """The facts of a run that began some seconds after ``INFO``."""
    return replace(INFO, id=f"20261123T0700{second:02}.000Z-pre", started=f"2026-11-23T07:00:{second:02}.000+00:00")


def holds(claim: Claim, *, ok: bool = True, errors: Mapping[str, float] | None = None) -> list[Evidence]:
    """The evidence of a claim whose item ran: a finding each, and for errors a sample for each case."""
    outcome = Outcome.PASSED if ok else Outcome.FAILED
    ended = Ended(claim, outcome, "" if ok else "a finding fails", f"test_{claim}", 0.1)
    if claim.criterion == "errors":
        cases = dict.fromkeys((f"facts/{number}" for number in range(30)), 0.0) if errors is None else errors
        return [*(Sampled(claim, "errors", "share", (value,), case) for case, value in cases.items()), ended]
    return [Judged(claim, None, Finding("sections", ok, "three sections" if ok else "TASK is missing")), ended]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a sealed run that holds the evidence of these claims, as a whole run of pytest does."""

    def make(
        evidence: Mapping[Claim, Sequence[Evidence]],
        info: RunInfo = INFO,
        *,
        criteria: str = CRITERIA,
        recordings: Sequence[Recording] = (),
    ) -> Path:
        (tmp_path / "criteria.toml").write_text(criteria)
        sets = {"2.0": RecordingSet.of(recordings)}
        run = RunDirectory.create(tmp_path / "reports", info, tmp_path / "criteria.toml", sets)
        run.allure_results.mkdir()
        shard = Shard(run.shard("main"))
        shard.append(Collected(tuple(evidence)))
        for claim, records in evidence.items():
            labels = [{"name": "run", "value": info.id}, {"name": "claim", "value": str(claim)}]
            name = str(claim).replace("/", "-")
            (run.allure_results / f"{name}-result.json").write_text(json.dumps({"labels": labels}))
            for record in records:
                shard.append(record)
        shard.close()
        leader = Shard(run.shard("leader"))
        for record in integrity(run.load(), run.allure_results):
            leader.append(record)
        leader.close()
        conclude(run)
        keep_results(run, run.allure_results)
        return run.path

    return make


class TestRuns:
    @pytest.mark.parametrize(
        ("evidence", "status", "word"),
        [
            ({claim: holds(claim) for claim in OWED}, 0, "GO"),
            ({claim: holds(claim, ok=claim.step != "title") for claim in OWED}, 1, "NO-GO"),
            ({claim: holds(claim) for claim in OWED[:2]}, 10, "INCONCLUSIVE"),
        ],
        ids=["go", "no-go", "inconclusive"],
    )
    def test_a_verdict_is_derived_again_and_gives_the_exit_status(
        self, make: Callable[..., Path], evidence: Mapping[Claim, Sequence[Evidence]], status: int, word: str
    ) -> None:
        run = make(evidence)
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        result = gonogo("verdict", str(run))
        assert (result.exit_code, result.stderr) == (status, "")
        assert f"\n{word}  " in result.output
        assert RunDirectory(run).digest in result.output
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before

    def test_changed_evidence_is_never_judged(self, make: Callable[..., Path]) -> None:
        run = make({claim: holds(claim, ok=claim.step != "title") for claim in OWED})
        shard = run / "shards" / "main.jsonl"
        shard.write_text(shard.read_text().replace('"ok": false', '"ok": true'))
        for command in ("verdict", "verify", "report"):
            result = gonogo(command, str(run))
            assert result.exit_code == 3
            assert "changed since the run was sealed: shards/main.jsonl" in result.stderr
            assert result.stdout == ""

    def test_a_run_that_never_came_to_its_end_is_not_judged(self, make: Callable[..., Path]) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        (run / "manifest.json").unlink()
        result = gonogo("verdict", str(run))
        assert result.exit_code == 3
        assert "was never sealed" in result.stderr

    def test_a_folder_that_is_no_run_is_said_in_one_line(self, tmp_path: Path) -> None:
        for command in ("verdict", "verify", "report"):
            result = gonogo(command, str(tmp_path))
            assert result.exit_code == 3
            assert result.stderr.startswith(f"gonogo: {tmp_path}/")
            assert result.stderr.endswith("no such file; give the folder of a run, such as reports/latest\n")
            assert gonogo(command, str(tmp_path / "nowhere")).exit_code == 2

    def test_partial_runs_of_one_release_are_judged_as_one(self, make: Callable[..., Path]) -> None:
        first = make({claim: holds(claim) for claim in OWED[:2]})
        second = make({OWED[2]: holds(OWED[2])}, other_run(1))
        assert gonogo("verdict", str(first)).exit_code == gonogo("verdict", str(second)).exit_code == 10
        joined = gonogo("verdict", str(second), str(first))
        assert joined.exit_code == 0, joined.output
        assert "partial selection" not in joined.output

    def test_joined_runs_still_owe_what_none_of_them_has(self, make: Callable[..., Path]) -> None:
        first = make({OWED[0]: holds(OWED[0])})
        second = make({OWED[2]: holds(OWED[2])}, other_run(1))
        joined = gonogo("verdict", str(first), str(second))
        assert joined.exit_code == 10
        assert "partial selection: 2 of 3 owed claims were collected" in " ".join(joined.output.split())

    def test_a_failure_in_one_run_is_not_outvoted_by_another(self, make: Callable[..., Path]) -> None:
        bad = make({claim: holds(claim, ok=claim.step != "title") for claim in OWED})
        good = make({claim: holds(claim) for claim in OWED}, other_run(1))
        assert gonogo("verdict", str(good), str(bad)).exit_code == 1

    @pytest.mark.parametrize(
        ("info", "options", "what"),
        [
            (replace(INFO, releases={"candidate": {"version": "2.1"}}), {}, "versions of the candidate differ"),
            (
                replace(INFO, releases={**INFO.releases, "candidate": {"version": "2.0", "service": "http://a"}}),
                {},
                "services differ",
            ),
            (replace(INFO, facts=replace(INFO.facts, phase=Phase.NIGHTLY)), {}, "phases differ (pre and nightly)"),
            (replace(INFO, facts=replace(INFO.facts, steps=("facts",))), {}, "steps or cases differ"),
            (replace(INFO, facts=replace(INFO.facts, abilities=frozenset())), {}, "abilities of the target differ"),
            (replace(INFO, planted="counter"), {}, "planted defects differ (none and counter)"),
            (INFO, {"criteria": CRITERIA.replace("< 0.5", "< 0.6")}, "criteria differ"),
        ],
        ids=["release", "service", "phase", "steps", "abilities", "planted", "criteria"],
    )
    def test_runs_about_different_things_are_not_joined(
        self, make: Callable[..., Path], info: RunInfo, options: Mapping[str, str], what: str
    ) -> None:
        whole = {claim: holds(claim) for claim in OWED}
        other = replace(info, id=other_run(1).id, started=other_run(1).started)
        result = gonogo("verdict", str(make(whole)), str(make(whole, other, **options)))
        assert result.exit_code == 2
        assert f"cannot be joined: their {what}" in result.stderr
        assert result.stdout == ""

    def test_runs_on_different_recordings_are_not_joined(self, make: Callable[..., Path]) -> None:
        whole = {claim: holds(claim) for claim in OWED}
        request = Request("ollama", "/api/generate", {"prompt": "a"})
        one = Recording("facts/a", "facts", ("a",), request, Reply("x"), Provenance.CAPTURED, "2026-11-01")
        result = gonogo("verdict", str(make(whole)), str(make(whole, other_run(1), recordings=[one])))
        assert result.exit_code == 2
        assert "their recordings differ" in result.stderr

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("candidate", "files of the candidate"),
            ("baseline", "files of the previous release"),
            ("suites", "files of the suites"),
            ("cases", "files of the cases"),
            ("workflows", "files of the workflows"),
            ("recordings", "files of the recordings"),
        ],
    )
    def test_runs_of_one_version_and_different_files_are_not_joined(
        self, make: Callable[..., Path], name: str, what: str
    ) -> None:
        contents = dict.fromkeys(("candidate", "baseline", "suites", "cases", "workflows", "recordings"), "a" * 64)
        first = make({claim: holds(claim) for claim in OWED[:2]}, replace(INFO, contents=contents))
        other = replace(other_run(1), contents=contents | {name: "b" * 64})
        result = gonogo("verdict", str(first), str(make({OWED[2]: holds(OWED[2])}, other)))
        assert result.exit_code == 2
        assert f"cannot be joined: their {what} differ; run again" in result.stderr
        alike = make({OWED[2]: holds(OWED[2])}, replace(other_run(2), contents=contents))
        assert gonogo("verdict", str(first), str(alike)).exit_code == 0

    def test_a_measured_no_go_is_not_outvoted_by_samples_of_other_runs(self, make: Callable[..., Path]) -> None:
        def sampled(second: int, share: float) -> str:
            values = {f"facts/{second}-{number}": float(number < share * 40) for number in range(40)}
            return str(make({claim: holds(claim, errors=values) for claim in OWED}, other_run(second)))

        bad, *good = sampled(0, 0.9), *(sampled(second, 0.0) for second in (1, 2, 3, 4))
        assert [gonogo("verdict", run).exit_code for run in (bad, *good)] == [1, 0, 0, 0, 0]
        for runs in ([bad, good[0]], [bad, *good], [*good, bad]):
            result = gonogo("verdict", *runs)
            assert result.exit_code == 1, result.output
            assert f"errors: NO-GO in the run {other_run(0).id}: " in " ".join(result.output.split())
        assert gonogo("verdict", *good).exit_code == 0

    def test_a_measured_claim_that_was_open_is_settled_by_more_samples(self, make: Callable[..., Path]) -> None:
        few = {claim: holds(claim, errors={"facts/a": 0.0, "facts/b": 0.0}) for claim in OWED}
        runs = [str(make(few)), str(make({claim: holds(claim) for claim in OWED}, other_run(1)))]
        assert gonogo("verdict", runs[0]).exit_code == 10
        assert gonogo("verdict", *runs).exit_code == 0

    def test_a_candidate_that_did_not_start_in_one_run_is_no_go(self, make: Callable[..., Path]) -> None:
        good = make({claim: holds(claim) for claim in OWED})
        bad = make({claim: holds(claim) for claim in OWED}, replace(other_run(1), failure="the release did not start"))
        result = gonogo("verdict", str(good), str(bad))
        assert result.exit_code == 1
        assert f"{other_run(1).id}: the release did not start" in " ".join(result.output.split())

    def test_a_run_is_not_counted_twice(self, make: Callable[..., Path]) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        result = gonogo("verdict", str(run), str(run))
        assert result.exit_code == 2
        assert "a run is given twice" in result.stderr

    def test_replaying_a_case_in_another_run_is_not_another_sample(self, make: Callable[..., Path]) -> None:
        cases = {"facts/roads": 0.0, "facts/rivers": 0.0}
        runs = [make({claim: holds(claim, errors=cases) for claim in OWED}, other_run(second)) for second in range(6)]
        result = gonogo("verdict", *map(str, runs))
        assert result.exit_code == 10
        assert judged_samples(runs) == 2

    def test_of_two_samples_of_a_case_the_failure_counts(self, make: Callable[..., Path]) -> None:
        good = make({claim: holds(claim, errors={"facts/a": 0.0, "facts/b": 0.0}) for claim in OWED})
        bad = make({claim: holds(claim, errors={"facts/a": 1.0, "facts/c": 0.0}) for claim in OWED}, other_run(1))
        for runs in ([good, bad], [bad, good]):
            records = join([read_part(RunDirectory(run)) for run in runs]).run.evidence
            counted = {one.case: one.values for one in records if isinstance(one, Sampled)}
            assert counted == {"facts/a": (1.0,), "facts/b": (0.0,), "facts/c": (0.0,)}

    def test_the_digest_of_joined_runs_does_not_depend_on_their_order(self, make: Callable[..., Path]) -> None:
        whole = {claim: holds(claim) for claim in OWED}
        parts = [read_part(RunDirectory(make(whole, other_run(second)))) for second in range(3)]
        assert join(parts).digest == join(parts[::-1]).digest
        assert judge_run(join(parts).run).status is Status.GO

    def test_verify_says_in_one_line_that_nothing_was_changed(self, make: Callable[..., Path]) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        digest = RunDirectory(run).digest
        result = gonogo("verify", str(run), "--digest", digest)
        assert result.exit_code == 0
        assert result.output == f"{INFO.id}: unchanged, and the verdict follows from the evidence; digest {digest}\n"

    def test_verify_refuses_another_digest_and_another_verdict(self, make: Callable[..., Path]) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        assert gonogo("verify", str(run), "--digest", "0" * 64).exit_code == 3
        document = json.loads((run / "verdict.json").read_text())
        (run / "verdict.json").write_text(json.dumps({**document, "verdict": "NO-GO"}))
        result = gonogo("verify", str(run))
        assert result.exit_code == 3
        assert "is not what the evidence leads to" in result.stderr

    @pytest.mark.parametrize("command", ["verify", "report"])
    def test_a_verdict_that_was_rewritten_for_its_readers_is_refused(
        self, make: Callable[..., Path], command: str
    ) -> None:
        run = make({claim: holds(claim, ok=claim.step != "title") for claim in OWED})
        text = (run / "verdict.md").read_text()
        (run / "verdict.md").write_text(text.replace("# NO-GO", "# GO"))
        result = gonogo(command, str(run))
        assert (result.exit_code, result.stdout) == (3, "")
        assert "verdict.md is not what verdict.json says; do not rely on it, run again" in result.stderr
        (run / "verdict.md").unlink()
        result = gonogo(command, str(run))
        assert result.exit_code == 3
        assert "verdict.md: cannot be read (No such file or directory)" in result.stderr

    def test_verify_says_which_of_allures_results_are_not_those_of_the_run(self, make: Callable[..., Path]) -> None:
        run = make({claim: holds(claim, ok=claim.step != "title") for claim in OWED})
        result = run / "allure-results" / "structure-title-result.json"
        result.write_text(result.read_text().replace("{", '{"status": "passed", ', 1))
        refused = gonogo("verify", str(run))
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert "was judged with: structure-title-result.json was changed; do not rely on them" in refused.stderr

    def test_verify_says_that_results_in_a_folder_of_others_are_gone(
        self, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        elsewhere = (run / "allure-results").rename(tmp_path / "elsewhere")
        keep_results(RunDirectory(run), elsewhere)
        assert gonogo("verify", str(run)).output.count("\n") == 1
        shutil.rmtree(elsewhere)
        result = gonogo("verify", str(run))
        assert result.exit_code == 0
        assert result.output.endswith(f"its Allure results are no longer in {elsewhere} and were not compared\n")


def judged_samples(runs: Sequence[Path]) -> int:
    """How many samples of errors the verdict of joined runs rests on."""
    verdict = judge_run(join([read_part(RunDirectory(run)) for run in runs]).run)
    (claim,) = [one for one in verdict.claims if one.claim == Claim("errors")]
    counted = claim.bounds[0]["n"]
    assert isinstance(counted, int)
    return counted


class TestReport:
    @pytest.fixture
    def generated(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path]]:
        """Stands in for the generator of the page; keeps what it was asked for."""
        asked: list[tuple[Path, Path]] = []

        def generate_html(run: RunDirectory, reports: Path, *, results: Path | None) -> Path:
            asked.append((run.path, reports))
            if not (results or run.allure_results).is_dir():
                raise ReportError("there are no Allure results\nin this run")
            return run.path / "allure" / "index.html"

        stand_in = ModuleType("gonogo.report.generate")
        stand_in.generate_html = generate_html  # type: ignore[attr-defined]  # a module made for this test
        monkeypatch.setitem(sys.modules, "gonogo.report.generate", stand_in)
        return asked

    def test_the_newest_run_is_reported_unless_another_is_named(
        self,
        make: Callable[..., Path],
        generated: list[tuple[Path, Path]],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        RunDirectory(run).point_latest()
        monkeypatch.chdir(tmp_path)
        result = gonogo("report")
        assert result.exit_code == 0, result.stderr
        assert generated == [(run, tmp_path / "reports")]
        assert result.output.endswith(f"report:   {os.path.join(run, 'allure', 'index.html')}\n")
        assert "\nGO  " in result.output

    def test_a_run_that_was_written_elsewhere_is_reported_with_the_allure_of_the_project(
        self,
        make: Callable[..., Path],
        generated: list[tuple[Path, Path]],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        project = tmp_path / "project"
        (project / "reports").mkdir(parents=True)
        (project / "reports" / "package.json").write_text("{}")
        monkeypatch.chdir(project)
        assert gonogo("report", str(run)).exit_code == 0
        (tmp_path / "reports" / "package.json").write_text("{}")
        assert gonogo("report", str(run)).exit_code == 0
        assert [reports for _, reports in generated] == [project / "reports", tmp_path / "reports"]

    def test_a_report_of_a_failed_run_ends_as_the_run_did(
        self,
        make: Callable[..., Path],
        generated: list[tuple[Path, Path]],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        run = make({claim: holds(claim, ok=claim.step != "title") for claim in OWED})
        result = gonogo("report", str(run))
        assert result.exit_code == 1
        assert generated == [(run, run.parent.parent)]
        assert "report:" in result.output

    def test_a_page_that_cannot_be_generated_still_shows_the_verdict(
        self, make: Callable[..., Path], generated: list[tuple[Path, Path]], tmp_path: Path
    ) -> None:
        run = make({claim: holds(claim) for claim in OWED})
        elsewhere = (run / "allure-results").rename(tmp_path / "elsewhere")
        result = gonogo("report", str(run))
        assert result.exit_code == 2
        assert "\nGO  " in result.stdout
        assert result.stderr == "gonogo: there are no Allure results in this run\n"
        assert gonogo("report", str(run), "--results", str(elsewhere)).exit_code == 0
