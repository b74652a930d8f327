"""``gonogo prove --mutants``: the release's own source is changed, one place at a time, and the suites must notice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gonogo.contents import Contents
from gonogo.definitions import Definitions
from gonogo.documents import closest
from gonogo.errors import DefinitionError, EvidenceError
from gonogo.figures import printable, quantity
from gonogo.model import Status
from gonogo.mutant_trials import Judges, MutantTrials, Tried, Tries
from gonogo.mutants import Explained, MutationRules, load_mutation_rules, mutants_of, places_of
from gonogo.project import Release
from gonogo.proof import files_hash
from gonogo.pytest_runs import PytestRuns, RunBroke
from gonogo.result_lines import set_aside
from gonogo.suites import Suites

__all__ = ["Tally", "mutants_folder", "prove_by_mutants"]


@dataclass
class Tally:
    """What became of the mutants of some files."""

    rules: MutationRules
    tried: list[Tried] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    changes: int = 0  # that make no other program

    @property
    def survivors(self) -> list[Tried]:
        """The mutants that nobody noticed."""
        return [one for one in self.tried if one.survived]

    @property
    def unexplained(self) -> list[Tried]:
        """The survivors of which nobody has said why."""
        return [one for one in self.survivors if self.rules.explained(one) is None]

    @property
    def equivalent(self) -> list[Tried]:
        """The survivors of which somebody has said that they do the same as the release: nobody can notice them."""
        known = ((one, self.rules.explained(one)) for one in self.survivors)
        return [one for one, explained in known if explained is not None and explained.equivalent]

    @property
    def noticed(self) -> float | None:
        """The share that was noticed of those that are not equivalent; none without a mutant."""
        counted = len(self.tried) - len(self.equivalent)
        return (len(self.tried) - len(self.survivors)) / counted if counted else None

    @property
    def status(self) -> Status:
        """GO where enough were noticed, and of every other one somebody has said why."""
        if self.noticed is None or self.broken:
            return Status.INCONCLUSIVE
        return Status.GO if self.rules.killed.admits(self.noticed) and not self.unexplained else Status.NO_GO


def mutants_folder(contents: Contents) -> Path:
    """Where the results for these files lie."""
    return contents.project.reports / "proof" / f"mutants-{files_hash(contents.tried)[:16]}"


def prove_by_mutants(
    definitions: Definitions, suites: Suites, contents: Contents, only: Sequence[str], *, again: bool, workers: int
) -> Status:
    """Try every mutant of the files in mutants.toml, or of those that ``only`` names, and say what became of them.

    Raises:
        GonogoError: a file is not there, no criterion can judge, or results are damaged.
    """
    project = definitions.project
    rules = load_mutation_rules(project.criteria.with_name("mutants.toml"), root=project.root)
    for name in only:
        if name not in rules.files:
            raise click.UsageError(f"--only {name}: no file of mutants.toml{closest(name, rules.files)}")
    files = [one for one in rules.files if not only or one in only]
    folder = mutants_folder(contents)
    results = folder / "mutants.jsonl"
    if again and results.exists():
        set_aside(results)

    def unchanged() -> None:
        if mutants_folder(Contents.of(project, suites.folders)) != folder:
            raise EvidenceError(
                f"files that the runs rest on were changed meanwhile; what is known is kept in {folder}. "
                "Run gonogo prove --mutants again: it begins anew with the files of now"
            )

    console = Console(highlight=False, markup=False, emoji=False)
    runs = PytestRuns(project.root, suites, folder / "runs")
    tally = Tally(rules)
    try:
        with tempfile.TemporaryDirectory(prefix="gonogo-mutants-") as scratch, _progress() as progress:
            sources = _sources(project.candidate, files, Path(scratch) / "release")
            places = {name: places_of(text) for name, text in sources.items()}
            progress.begin(sum(map(len, places.values())))
            judges = Judges.found(runs, project.candidate, definitions.criteria, Path(scratch))
            console.print(Text(f"judged by {', '.join(judges.criteria)}"), soft_wrap=True)
            trials = MutantTrials(
                runs, project.candidate, judges, Tries.read(results), Path(scratch), unchanged, workers
            )
            every = (one for name, text in sources.items() for one in mutants_of(name, text, places[name]))
            for found in trials.each(every):
                progress.advance()
                _note(tally, found, console)
    finally:
        runs.stop()
    _say(tally, files, console)
    console.print(Text(f"written: {printable(str(results))}"), soft_wrap=True)
    return tally.status


def _sources(release: Release, files: Sequence[str], tree: Path) -> dict[str, str]:
    release.copied_to(tree)
    found = {}
    for name in files:
        try:
            found[name] = (tree / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DefinitionError(
                f"mutants.toml: {name} is no source of the candidate ({error}); name a file below {release.tree} that lies in "
                f"one of its packages ({', '.join(release.packages)})"
            ) from error
    return found


def _note(tally: Tally, found: Tried | RunBroke | None, console: Console) -> None:
    if found is None:
        tally.changes += 1
    elif isinstance(found, RunBroke):
        tally.broken.append(str(found))
        console.print(Text(f"broke: {printable(str(found))}", style="yellow"), soft_wrap=True)
    else:
        tally.tried.append(found)
        if found.survived:
            place = f"survives: {found.file}:{found.line} {found.operator}"
            console.print(Text(f"{place}: {found.was} -> {found.becomes}"), soft_wrap=True)


def _say(tally: Tally, files: Sequence[str], console: Console) -> None:
    table = Table("source", "mutants", "NO-GO", "INCONCLUSIVE", "GO", "equivalent", "noticed", box=None, pad_edge=False)
    for name in files:
        own = Tally(tally.rules, [one for one in tally.tried if one.file == name])
        counts = [
            sum(one.verdict is status for one in own.tried) for status in (Status.NO_GO, Status.INCONCLUSIVE, Status.GO)
        ]
        share = "-" if own.noticed is None else quantity(own.noticed, "share")
        table.add_row(name, str(len(own.tried)), *map(str, [*counts, len(own.equivalent)]), share)
    console.print()
    console.print(table)
    for one in tally.survivors:
        console.print()
        console.print(Text(one.diff))
        console.print(Text(f"  {_told(tally.rules.explained(one))}"))
    console.print()
    noticed = "-" if tally.noticed is None else quantity(tally.noticed, "share")
    word = {Status.GO: "shown", Status.NO_GO: "not shown", Status.INCONCLUSIVE: "not yet shown"}[tally.status]
    console.print(
        Text(
            f"mutants: {noticed} of {len(tally.tried)} noticed, asked for is {tally.rules.killed}; {len(tally.survivors)} survive, "
            f"{len(tally.equivalent)} of them equivalent and not counted, {len(tally.unexplained)} unexplained; "
            f"{tally.changes} further changes make no other program; {word}"
        ),
        soft_wrap=True,
    )


def _told(explained: Explained | None) -> str:
    if explained is None:
        return "nobody has said why it may survive: strengthen a suite, or explain it"
    return f"equivalent: {explained.why}" if explained.equivalent else explained.why


class _Bar:
    """A bar on standard error, where that is a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("finding what can be changed", total=None)

    def begin(self, total: int) -> None:
        self._progress.update(self._task, description="trying mutants", total=total)

    def advance(self) -> None:
        self._progress.advance(self._task)


@contextmanager
def _progress() -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Bar(progress)
