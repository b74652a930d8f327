"""The command line: the upkeep of recordings, and verdicts from runs that lie on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from gonogo import rundown
from gonogo.definitions import load_definitions
from gonogo.errors import EvidenceError, GonogoError, ProductFailure
from gonogo.explain_command import explain_command
from gonogo.joining import Part, join, read_part
from gonogo.model import Provenance, Workflow
from gonogo.preflight_command import preflight
from gonogo.probe_command import probe
from gonogo.project import find_project
from gonogo.prove_command import prove
from gonogo.record_command import record
from gonogo.recordings import RecordingSet, load_recordings
from gonogo.report.document import verdict_document
from gonogo.report.terminal import render
from gonogo.rules_command import rules
from gonogo.runs import RunDirectory
from gonogo.signoff_command import signoff
from gonogo.stub_commands import stub
from gonogo.upkeep import (
    Moved,
    Source,
    Survey,
    by_step,
    check_layout,
    new_recordings,
    place,
    read_replies,
    rekey,
    request_of,
    sent_requests,
    survey,
    write_recordings,
)
from gonogo.watch_command import watch
from gonogo.workbench import Target, Workbench

__all__ = ["main"]

_NO_GO, _WRONG_USAGE, _DAMAGED = 1, 2, 3
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ROLE = click.Choice(["candidate", "baseline"])
_DIFF = {"+": "green", "-": "red", "@": "cyan"}


class _Commands(click.Group):
    """Commands whose errors are one line and an exit status, never a traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(context)
        except (GonogoError, ProductFailure) as error:
            click.echo(f"gonogo: {' '.join(_printable(str(error)).split())}", err=True)
            raise click.exceptions.Exit(_status_of(error)) from error


def _status_of(error: GonogoError | ProductFailure) -> int:
    if isinstance(error, ProductFailure):
        return _NO_GO
    return _DAMAGED if isinstance(error, EvidenceError) else _WRONG_USAGE


def _printable(text: str) -> str:
    """A text that cannot steer a terminal: control characters as escapes, but line feeds and tabs."""
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("gonogo"), prog_name="gonogo")
def main() -> None:
    """GO, NO-GO or INCONCLUSIVE for a release of an LLM application, from evidence.

    Runs are made by pytest (`pytest acceptance/`). Exit status: 0 GO, 1 NO-GO, 10 INCONCLUSIVE, 2 wrong usage,
    3 damaged evidence.
    """


main.add_command(stub)
main.add_command(record)
main.add_command(rules)
main.add_command(watch)
main.add_command(probe)
main.add_command(signoff)
main.add_command(preflight)
main.add_command(explain_command)
main.add_command(prove)


@main.group()
def recordings() -> None:
    """Keep up the recorded replies of the model."""


@contextmanager
def _workbench() -> Iterator[Workbench]:
    workbench = Workbench(load_definitions(find_project(Path.cwd())))
    try:
        yield workbench
    finally:
        workbench.close()


@main.command()
@click.option("--release", "role", type=_ROLE, default="candidate", show_default=True, help="The release to be asked.")
def describe(role: str) -> None:
    """Print what a release says of itself.

    Keep it when the release ships (`gonogo describe > fixtures/releases/2.0.0.json`), and name the file as `facts` of the
    baseline of the next one.
    """
    with _workbench() as bench:
        told = _target(bench, role).worker.describe()
    click.echo(json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False))


@recordings.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--release", "role", type=_ROLE, required=True, help="The release whose prompts the replies answer.")
@click.option(
    "--provenance",
    type=click.Choice([Provenance.CAPTURED.value, Provenance.SYNTHETIC.value]),
    default=Provenance.SYNTHETIC.value,
    show_default=True,
    help="Whether a model gave the replies, or somebody else.",
)
@click.option("--note", default="", help="Where the replies come from, in words; a captured reply needs it.")
@click.option("--replace", "over", is_flag=True, help="Put a reply in the place of one that is recorded already.")
def add(files: Sequence[Path], role: str, provenance: str, note: str, over: bool) -> None:
    """Record replies for cases.

    Each FILE is YAML, `step: id` and `replies: {case id: text}`. The request that goes with a reply is the one that the
    release sends for the case now.
    """
    if provenance == Provenance.CAPTURED.value and not note.strip():
        raise click.UsageError("--provenance captured needs --note: say which model gave the replies, and when")
    source = Source(Provenance(provenance), _today(), note)
    with _workbench() as bench:
        target = _target(bench, role)
        project, workflow = bench.definitions.project, bench.definitions.workflow
        folder = project.recordings_of(target.release)
        check_layout(folder, root=project.root)
        kept = load_recordings(folder, root=project.root)
        before = by_step(kept.recordings)
        after = dict(before)
        for replies in [read_replies(path, workflow) for path in files]:
            step = replies.step
            cases = workflow.cases_of(step.id)
            asked = [case for case in cases if case.id in replies.replies]
            texts = [replies.replies[case.id] for case in asked]
            found = [
                (case.id, text, kept.redaction.request(request_of(target, step, case, text)))
                for case, text in zip(asked, texts, strict=True)
            ]
            new = new_recordings(step.id, found, source)
            after[step.id] = place(after.get(step.id, ()), new, order=[case.id for case in cases], over=over)
    _say_written(_console(), write_recordings(folder, before, after))


@recordings.command()
@click.pass_context
def check(context: click.Context) -> None:
    """List recordings that no longer fit: moved, unused, missing.

    Every case of both releases is taken to the request that the release sends for it; nothing is judged. Exit status: 0
    where every recording fits, else 1.
    """
    console = _console()
    with _workbench() as bench:
        roles = list(bench.definitions.releases)
        surveys = _surveys(bench, roles)
        for role in roles:
            _show(console, bench, role, surveys[role])
    context.exit(0 if all(found.clean for found in surveys.values()) else _NO_GO)


@recordings.command()
@click.option("--release", "roles", type=_ROLE, multiple=True, help="Only this release; both unless given.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def update(roles: Sequence[str], yes: bool) -> None:
    """Move recordings to the prompts of today, after a look at each difference.

    The reply stays and no model is asked, so a recording that was moved says `rekeyed`: criteria that judge the model's
    replies no longer rest on it.
    """
    console = _console()
    with _workbench() as bench:
        surveys = _surveys(bench, roles or list(bench.definitions.releases))
        for role, found in surveys.items():
            target = _target(bench, role)
            folder = bench.definitions.project.recordings_of(target.release)
            check_layout(folder, root=bench.definitions.project.root)
            chosen, shown = [], dict[tuple[str, ...], str]()
            console.print(Text(f"{role} {target.release.version}: {len(found.moved)} moved", style="bold"))
            for one in found.moved:
                _show_moved(console, one, shown)
                if yes or click.confirm(f"move {one.recording.id} to this prompt?"):
                    chosen.append(one)
            before = by_step(bench.definitions.recordings[target.release.version].recordings)
            after = {step: rekey(kept, chosen, today=_today()) for step, kept in before.items()}
            _say_written(console, write_recordings(folder, before, after))
            for path, why in {**found.missing, **found.failed}.items():
                console.print(Text(_printable(f"not updatable: {path}: {why}")))


def _surveys(bench: Workbench, roles: Sequence[str]) -> dict[str, Survey]:
    """Role -> how its recordings stand; the releases are asked side by side, each in its own process."""
    targets = {role: _target(bench, role) for role in roles}
    kept = bench.definitions.recordings
    with ThreadPoolExecutor() as pool:
        found = pool.map(
            lambda target: _survey(bench.definitions.workflow, target, kept[target.release.version]), targets.values()
        )
        return dict(zip(targets, found, strict=True))


def _survey(workflow: Workflow, target: Target, kept: RecordingSet) -> Survey:
    return survey(kept, workflow, sent_requests(target, workflow, kept))


def _show(console: Console, bench: Workbench, role: str, found: Survey) -> None:
    release = bench.definitions.releases[role]
    cases = sum(len(bench.definitions.workflow.cases_of(step.id)) for step in bench.definitions.workflow.steps)
    kept = len(bench.definitions.recordings[release.version].recordings)
    listed = {"moved": found.moved, "unused": found.unused, "missing": found.missing, "failed": found.failed}
    said = ", ".join(f"{len(some)} {what}" for what, some in listed.items() if some) or "all fit"
    console.print(Text(f"{role} {release.version}: {cases} cases, {kept} recordings: {said}", style="bold"))
    shown: dict[tuple[str, ...], str] = {}
    for one in found.moved:
        _show_moved(console, one, shown)
    lines = [f"unused: {one.id}: no case leads to it; remove it or add its case" for one in found.unused]
    lines += [f"missing: {path}: {why}" for path, why in found.missing.items()]
    lines += [f"failed: {path}: {why}" for path, why in found.failed.items()]
    for line in lines:
        console.print(Text(_printable(line)))


def _show_moved(console: Console, moved: Moved, shown: dict[tuple[str, ...], str]) -> None:
    """Show what has moved and how; a difference that ``shown`` holds already goes by the recording that it was shown with."""
    cases = ", ".join(moved.cases)
    console.print(Text(_printable(f"moved: {moved.recording.id} ({moved.recording.provenance.value}), cases: {cases}")))
    lines = moved.difference.split("\n")
    first = shown.setdefault(tuple(line for line in lines if not line.startswith("@@")), moved.recording.id)
    if first != moved.recording.id:
        lines = [f"the same difference as in {first}"]
    for line in lines:
        console.print(Text(f"    {_printable(line)}", style=_DIFF.get(line[:1], "")))


def _target(bench: Workbench, role: str) -> Target:
    return bench.candidate if role == "candidate" else bench.baseline


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _say_written(console: Console, written: Sequence[Path]) -> None:
    for path in written:
        console.print(Text(f"wrote {path}"))
    if not written:
        console.print(Text("nothing was written"))


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=_FOLDER)
@click.pass_context
def verdict(context: click.Context, runs: Sequence[Path]) -> None:
    """Judge runs again from their evidence.

    Several runs are judged as one, where release, phase, criteria, cases and recordings are equal. They stay as they are.
    """
    part = join([read_part(RunDirectory(path)) for path in runs])
    context.exit(_print_verdict(part, ", ".join(str(path) for path in runs)))


@main.command()
@click.argument("run", metavar="RUN", type=_FOLDER)
@click.option("--digest", help="The digest that was printed with the verdict.")
def verify(run: Path, digest: str | None) -> None:
    """Check that a run is unchanged.

    Nothing may differ from what was there when it was judged, and its verdict must follow from its evidence.
    """
    directory = RunDirectory(run)
    found = rundown.verify(directory, digest=digest)
    loaded = directory.load()
    click.echo(f"{loaded.info.id}: unchanged, and the verdict follows from the evidence; digest {found}")
    gone = rundown.missing_results(directory, loaded)
    if gone is not None:
        click.echo(f"its Allure results are no longer in {_printable(str(gone))} and were not compared")


@main.command()
@click.argument("run", metavar="[RUN]", type=_FOLDER, default=Path("reports", "latest"))
@click.option("--results", type=_FOLDER, help="Allure's raw results, where pytest was told to write them elsewhere.")
@click.pass_context
def report(context: click.Context, run: Path, results: Path | None) -> None:
    """Generate the Allure report of a run.

    RUN is reports/latest unless given. Prints the verdict and where the report lies.
    """
    directory = RunDirectory(run.resolve())
    part = read_part(directory)
    rundown.check_documents(directory, part.run)  # the page is named after the verdict
    status = _print_verdict(part, str(run))
    from gonogo.report.generate import generate_html  # draws and asks Node: loaded by this command alone

    page = generate_html(directory, _reports_of(directory), results=results)
    click.echo(f"report:   {page}")
    context.exit(status)


def _reports_of(directory: RunDirectory) -> Path:
    """The folder that pins Allure: the one that the run was written to, or reports/ where the run lies elsewhere."""
    runs, usual = directory.path.parent, Path("reports").resolve()
    if runs.name != "runs":
        return usual
    pinned = [folder for folder in (runs.parent, usual) if (folder / "package.json").is_file()]
    return pinned[0] if pinned else runs.parent


def _print_verdict(part: Part, where: str) -> int:
    """Print the table of a run or of joined runs; the exit status that its verdict asks for."""
    console = Console()
    judged = rundown.judge_run(part.run, part.notes)
    document = verdict_document(part.run, judged, part.digest)
    color = console.is_terminal and not console.no_color
    click.echo(render(document, Path(where), width=console.width, color=color), nl=False)
    return rundown.exit_status(judged.status)
