"""One run from its beginning to its verdict: facts, measured pass, integrity, verdict, reports. It knows no pytest hooks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from gonogo.aftermath import counted_note, look_back, newest_proof, told_again
from gonogo.contents import Contents, change_notes
from gonogo.definitions import Definitions
from gonogo.environment import live_notes
from gonogo.errors import EvidenceError, ProductError, ServiceGone
from gonogo.evidence import Shard, read_shard
from gonogo.model import (
    WHOLE,
    Ability,
    Claim,
    Collected,
    Ended,
    Evidence,
    Finding,
    Gap,
    Json,
    Judged,
    Phase,
    Sampled,
    Status,
    Verdict,
)
from gonogo.plantable import check_planted
from gonogo.planting import planted_note
from gonogo.report import allure as allure_report
from gonogo.report.document import verdict_document
from gonogo.report.markdown import as_markdown
from gonogo.report.results import check_results, keep_results, kept_results
from gonogo.runs import LoadedRun, RunDirectory, RunInfo, as_written
from gonogo.verdict import judge, owed_claims
from gonogo.workbench import Workbench

__all__ = [
    "INTEGRITY",
    "Rundown",
    "begin_run",
    "check_documents",
    "completeness",
    "conclude",
    "exit_status",
    "integrity",
    "judge_run",
    "missing_results",
    "partial_note",
    "verify",
]

INTEGRITY = Claim("report-integrity")
_MEASURED_TIMEOUT = 1800.0
_ALLURE_IS_OFF = "Allure is switched off; its results cannot be compared (leave out -p no:allure_pytest)"


def exit_status(status: Status) -> int:
    """0 GO, 1 NO-GO, 10 INCONCLUSIVE."""
    return {Status.GO: 0, Status.NO_GO: 1, Status.INCONCLUSIVE: 10}[status]


def begin_run(
    workbench: Workbench, phase: Phase, *, reports: Path, suites: Sequence[Path] = (), baseline: Path | None = None
) -> Rundown:
    """Ask the releases what they offer, and write down what the run is about.

    Args:
        workbench: the releases.
        phase: what is required in it is owed.
        reports: the folder that the run is written to.
        suites: the folders of the suites that will judge.
        baseline: the folder of the previous release, where the command line names another one than the project.

    Raises:
        GonogoError: definitions are malformed, an adapter does not load, or the folder cannot be written.
    """
    definitions = workbench.definitions
    contents = Contents.of(definitions.project, suites)  # before a release has read any of its files
    workbench.candidate.start()
    recordings = definitions.recordings  # read while the release starts
    releases: dict[str, dict[str, Json]] = {}
    abilities: set[Ability] = set()
    failure = ""
    for role, release in definitions.releases.items():
        releases[role] = {"version": release.version}
        if role != "candidate":
            continue
        try:
            worker = workbench.candidate.worker
            abilities |= worker.abilities
            releases[role] |= worker.describe()
            if release.service is not None:
                asked: dict[str, Json] = {"stub": release.stub, "read_only": release.service.read_only}
                releases[role] |= {**asked, "source": workbench.candidate.source}
        except (ProductError, ServiceGone) as error:
            failure = str(error).splitlines()[0]
    if baseline is not None:
        releases["baseline"]["folder"] = str(baseline)
    facts = definitions.facts(phase, abilities)
    if not failure:  # what did not even start does not say what it would offer
        check_planted(definitions.project.candidate.planted, facts.abilities)
    started = datetime.now(UTC)
    info = RunInfo(
        id=f"{started:%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{phase.value}",
        started=started.isoformat(timespec="milliseconds"),
        facts=facts,
        releases=releases,
        titles={step.id: step.path for step in definitions.workflow.steps},
        failure=failure,
        contents=contents.hashes,
        planted=definitions.project.candidate.planted,
    )
    directory = RunDirectory.create(reports, info, definitions.project.criteria, recordings)
    return Rundown(directory, info, contents, definitions)


@dataclass
class Rundown:
    """A run that goes on."""

    directory: RunDirectory
    info: RunInfo
    contents: Contents | None = None
    definitions: Definitions | None = None
    notes: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    digest: str = ""
    _changed: dict[str, set[str]] = field(default_factory=dict)

    @property
    def phase(self) -> Phase:
        """The phase."""
        return self.info.facts.phase

    @property
    def headline(self) -> str:
        """One line: what is judged against what."""
        versions = {role: release["version"] for role, release in self.info.releases.items()}
        against = f" against {versions['baseline']}" if "baseline" in versions else ""
        return f"gonogo: phase {self.phase.value}, release {versions['candidate']}{against}, run {self.info.id}"

    def measure(self, items: Sequence[str], arguments: Sequence[str], root: Path, *, has_cache: bool = False) -> None:
        """Run the measured items in one serial pytest process, in ``root``, that adds its shard to this run.

        A process that breaks leaves its claims without evidence, and a note says why. ``has_cache``: whether pytest has its
        cache here.
        """
        self._look_again()  # what is measured must be what was looked at
        command = [sys.executable, "-m", "pytest", *items, *arguments, "-q"]
        command.append(f"--gonogo-measured-run={self.directory.ask_in()}@{self.directory.path}")
        log = self.directory.path / "measured.log"
        with tempfile.TemporaryDirectory(prefix="gonogo-cache-") as cache, log.open("wb") as output:
            if (
                has_cache
            ):  # one of its own: what failed last is the leader's to remember, and options like --lf stay known
                command += ["-o", f"cache_dir={cache}"]
            try:
                done = subprocess.run(
                    command,
                    cwd=root,  # items are named from there, wherever pytest was started
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=_MEASURED_TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                self.notes.append(
                    f"the measured pass was stopped after {_MEASURED_TIMEOUT:g} s; see measured.log in the run's folder"
                )
                return
            finally:
                self.directory.shut()
        if done.returncode not in (0, 1) or not self.directory.shard("measured").exists():
            lines = log.read_text(errors="replace").strip().splitlines()
            errors = [line for line in lines if line.lower().startswith("error") or "error:" in line]
            last = (errors or lines[-1:] or ["(no output)"])[:1]
            self.notes.append(
                f"the measured pass ended with status {done.returncode}: {last[0]}; see measured.log in the run's folder"
            )

    def judge(self, allure_results: Path | None, *, failed: Sequence[str] = ()) -> Verdict:
        """Close the books: integrity, verdict, digest, files. Afterwards nothing may be added.

        Args:
            allure_results: the folder of Allure's results, or none where Allure is switched off.
            failed: names of the tests and modules that failed in this run, those of claims among them.
        """
        self._look_again()
        changes = [Gap(WHOLE, None, note) for note in change_notes(self._changed)]
        if self.contents is not None and self.contents.suites and not self.info.planted:
            self.directory.keep_proof(newest_proof(self.contents))
        run = self.directory.load()
        shard = Shard(self.directory.shard("leader"))
        for record in (*integrity(run, allure_results), *_strays(run, failed), *changes, *self._after_a_service()):
            shard.append(record)
        shard.close()
        run = replace(run, shards=(*run.shards, read_shard(self.directory.shard("leader"))))
        digest, verdict = conclude(self.directory, notes=self.notes, run=run)
        if allure_results is not None:
            allure_report.write_criteria(allure_results, run, verdict, digest)
            keep_results(self.directory, allure_results)
        self.verdict, self.digest = verdict, digest
        return verdict

    def _after_a_service(self) -> list[Evidence]:
        """What a live service is when the run has ended; nothing of one that did not even answer first."""
        if self.definitions is None or self.definitions.project.candidate.service is None or self.info.failure:
            return []
        before, after = self.info.releases["candidate"], told_again(self.definitions)
        if not isinstance(after, Mapping):
            return [after]
        self.notes += counted_note(before, after)
        return list(look_back(before, after))

    def _look_again(self) -> None:
        """Remember which files are no longer what they were when the run began, even where they are put back later."""
        for name, paths in (self.contents.changed() if self.contents else {}).items():
            self._changed.setdefault(name, set()).update(paths)


def _strays(run: LoadedRun, failed: Sequence[str]) -> list[Gap]:
    """What failed and feeds no claim: the verdict says nothing of it, so it may not be forgotten."""
    of_claims = {record.item for record in run.evidence if isinstance(record, Ended)}
    strays = sorted({item for item in failed if item not in of_claims})
    if not strays:
        return []
    more = f" and {len(strays) - 3} more" if len(strays) > 3 else ""
    return [Gap(WHOLE, None, f"failed, and feeds no claim that came to its end: {', '.join(strays[:3])}{more}")]


def integrity(run: LoadedRun, allure_results: Path | None) -> tuple[Judged | Gap, ...]:
    """Whether claims expected = collected = executed = in the ledger = in the Allure results.

    A difference is a gap: it does not say that the product falls short, only that not everything was looked at.
    """
    return completeness(run, None if allure_results is None else allure_report.claims_in(allure_results, run.info.id))


def completeness(run: LoadedRun, in_results: Set[Claim] | None) -> tuple[Judged | Gap, ...]:
    """``integrity``, given the claims that have an Allure result (none: Allure is switched off)."""
    computed = {criterion.id for criterion in run.criteria.criteria if criterion.computed}
    expected = {claim for claim in owed_claims(run.criteria, run.info.facts) if claim.criterion not in computed}
    records = run.evidence
    found: dict[str, Set[Claim]] = {
        "collected": {claim for record in records if isinstance(record, Collected) for claim in record.claims},
        "executed": {record.claim for record in records if isinstance(record, Ended)},
        "in the ledger": {record.claim for record in records if isinstance(record, Judged | Sampled | Gap)},
    }
    judged: list[Judged | Gap] = []

    def gap(reason: str) -> None:
        judged.append(Gap(INTEGRITY, None, reason))

    if not expected:
        gap("no claim is expected in this phase; there is nothing that could be whole")
    if in_results is None:
        gap(_ALLURE_IS_OFF)
    else:
        found["in the Allure results"] = in_results
    for what, claims in found.items():
        absent = sorted(str(claim) for claim in expected - claims)
        if absent:
            more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
            gap(f"{len(absent)} of {len(expected)} expected claims are not {what}: {', '.join(absent[:3])}{more}")
        else:
            finding = Finding("integrity", True, f"all {len(expected)} expected claims are {what}")
            judged.append(Judged(INTEGRITY, None, finding))
    for reason in damage(run):
        gap(reason)
    return tuple(judged)


def damage(run: LoadedRun) -> list[str]:
    """What is known to be lost of a run's evidence: it may have been the one finding that fails."""
    torn = [
        f"shard {shard.name} ends in the middle of a line: its process died while it wrote"
        for shard in run.shards
        if shard.torn
    ]
    of_the_run = [record.reason for record in run.evidence if isinstance(record, Gap) and record.claim == WHOLE]
    return [*torn, *sorted(of_the_run)]


def partial_note(run: LoadedRun) -> str | None:
    """One line that says so where only a part of what is owed was collected."""
    owed = {claim for claim in owed_claims(run.criteria, run.info.facts) if not run.criteria[claim.criterion].computed}
    collected = {claim for record in run.evidence if isinstance(record, Collected) for claim in record.claims}
    if owed <= collected:
        return None
    return f"partial selection: {len(owed & collected)} of {len(owed)} owed claims were collected; the verdict is at best INCONCLUSIVE"


def judge_run(run: LoadedRun, notes: Sequence[str] = ()) -> Verdict:
    """The verdict that the evidence of a run leads to."""
    partial, planted = partial_note(run), run.info.planted
    said = [planted_note(planted)] if planted else []
    return judge(
        run.criteria,
        run.info.facts,
        run.evidence,
        failures=[run.info.failure] if run.info.failure else [],
        damage=[*damage(run), *([f"planted on purpose: {planted}"] if planted else [])],
        notes=[*said, *live_notes(run.info.releases["candidate"]), *notes, *([partial] if partial else [])],
        unproven=run.proof.unproven if run.proof else {},
    )


def conclude(
    directory: RunDirectory, *, notes: Sequence[str] = (), run: LoadedRun | None = None
) -> tuple[str, Verdict]:
    """Judge what lies in a run's folder, seal it, and write verdict.json and verdict.md.

    Returns:
        The digest of the run, and the verdict.
    """
    if notes:
        directory.write_json("notes.json", {"notes": list(notes)})
    run = run or directory.load()
    verdict = judge_run(run, notes)
    digest = directory.seal()
    document = verdict_document(run, verdict, digest)
    directory.write_json("verdict.json", document)
    directory.write_text("verdict.md", as_markdown(document))
    return digest, verdict


def notes_of(directory: RunDirectory) -> list[str]:
    """The notes that were made while a run went on."""
    if not (directory.path / "notes.json").is_file():
        return []
    notes = directory.read_json("notes.json").get("notes")
    return [str(note) for note in notes]


def verify(directory: RunDirectory, *, digest: str | None = None) -> str:
    """Derive the verdict of a sealed run again and compare everything with what was written, Allure's results included.

    Results that lay in a folder of others (``pytest --alluredir``) and are gone are not compared; see ``missing_results``.

    Returns:
        The digest.

    Raises:
        EvidenceError: something was changed, or the digest is another one.
    """
    changed = directory.changed_files()
    if changed:
        raise EvidenceError(
            f"{directory.path.name}: changed since the run was sealed: {', '.join(changed)}; do not rely on it, run again"
        )
    found = directory.digest
    if digest is not None and digest != found:
        raise EvidenceError(
            f"{directory.path.name}: the digest is {found}, expected was {digest}; this is not the evidence that the digest was given for"
        )
    run = directory.load()
    check_documents(directory, run)
    if _has_results(run) and missing_results(directory, run) is None:
        check_results(directory)
    return found


def check_documents(directory: RunDirectory, run: LoadedRun) -> None:
    """Compare what a sealed run says to its readers with what its evidence leads to.

    Raises:
        EvidenceError: verdict.json or verdict.md is gone, or says something else.
    """
    document = verdict_document(run, judge_run(run, notes_of(directory)), directory.digest)
    if document != directory.read_json("verdict.json"):
        raise EvidenceError(
            f"{directory.path.name}/verdict.json is not what the evidence leads to; do not rely on it, run again"
        )
    if directory.read_bytes("verdict.md") != as_written(as_markdown(document)):
        raise EvidenceError(
            f"{directory.path.name}/verdict.md is not what verdict.json says; do not rely on it, run again"
        )


def missing_results(directory: RunDirectory, run: LoadedRun) -> Path | None:
    """The folder outside the run that held its Allure results, where none of them is there any more."""
    if not _has_results(run):
        return None
    kept = kept_results(directory)
    return kept.folder if kept.are_gone and kept.folder != directory.allure_results else None


def _has_results(run: LoadedRun) -> bool:
    """Whether Allure was on: the run then compared its results."""
    compared = [record for record in run.evidence if isinstance(record, Judged | Gap) and record.claim == INTEGRITY]
    return bool(compared) and not any(isinstance(one, Gap) and one.reason == _ALLURE_IS_OFF for one in compared)
