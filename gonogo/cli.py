"""The command line: the upkeep of recordings, and verdicts from runs that lie on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from gonogo.errors import EvidenceError, GonogoError, ProductFailure
from gonogo.model import Provenance
from gonogo.project import find_project
from gonogo.recordings import load_recordings
from gonogo.upkeep import Source, by_step, check_layout, new_recordings, place, read_replies, request_of, write_recordings
from gonogo.workbench import Target, Workbench, load_definitions

__all__ = ["main"]

_WRONG_USAGE, _DAMAGED, _NO_GO = 2, 3, 1
_FOLDER = click.Path(path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Commands(click.Group):
    """Commands whose errors are one line and an exit status, never a traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(context)
        except EvidenceError as error:
            status, said = _DAMAGED, error
        except GonogoError as error:
            status, said = _WRONG_USAGE, error
        except ProductFailure as error:
            status, said = _NO_GO, error
        click.echo(f"gonogo: {' '.join(_printable(str(said)).split())}", err=True)
        context.exit(status)


def _printable(text: str) -> str:
    """A text that cannot steer a terminal: control characters as escapes, but line feeds and tabs."""
    return "".join(char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("gonogo"), prog_name="gonogo")
def main() -> None:
    """GO, NO-GO or INCONCLUSIVE for a release of an LLM application, from evidence.

    Runs are made by pytest (`pytest acceptance/`). Exit status: 0 GO, 1 NO-GO, 10 INCONCLUSIVE, 2 wrong usage,
    3 damaged evidence.
    """


@main.group()
def recordings() -> None:
    """Add, check and update what the recorded-response LLM answers from."""


@contextmanager
def _workbench() -> Iterator[Workbench]:
    workbench = Workbench(load_definitions(find_project(Path.cwd())))
    try:
        yield workbench
    finally:
        workbench.close()


@recordings.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--release", "role", type=click.Choice(["candidate", "baseline"]), required=True, help="The release whose prompts the replies answer.")
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
        before = by_step(load_recordings(folder, root=project.root).recordings)
        after = dict(before)
        for replies in [read_replies(path, workflow) for path in files]:
            step = replies.step
            cases = workflow.cases_of(step.id)
            asked = [case for case in cases if case.id in replies.replies]
            found = [(case.id, replies.replies[case.id], request_of(target, step, case, replies.replies[case.id])) for case in asked]
            new = new_recordings(step.id, found, source)
            after[step.id] = place(after.get(step.id, ()), new, order=[case.id for case in cases], over=over)
    _say_written(write_recordings(folder, before, after))


def _target(bench: Workbench, role: str) -> Target:
    return bench.candidate if role == "candidate" else bench.baseline


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _say_written(written: Sequence[Path]) -> None:
    console = _console()
    for path in written:
        console.print(Text(f"wrote {path}"))
    if not written:
        console.print(Text("nothing to write: the recordings say that already"))
