"""``gonogo prove``: the gate is shown what it must catch, and its rates are kept beside every verdict."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from gonogo.contents import Contents
from gonogo.criteria import ProofRules
from gonogo.definitions import Definitions, load_definitions
from gonogo.documents import closest
from gonogo.errors import DefinitionError, EvidenceError
from gonogo.figures import printable, quantity
from gonogo.found_proof import State, find_proof
from gonogo.model import Status
from gonogo.mutants_command import mutants_folder, prove_by_mutants
from gonogo.planting import CATALOGUE
from gonogo.project import find_project
from gonogo.proof import Itself, Outcome, Proof, Shown, files_hash
from gonogo.proof_results import Control, Record, Results
from gonogo.proof_runner import PytestRunner
from gonogo.proving import Broke, Job, Plan, Prover, Runner, proof_of
from gonogo.pytest_runs import PytestRuns
from gonogo.report.proof_table import listed, matrix, not_caught, result_line
from gonogo.rundown import exit_status
from gonogo.statistics import Bound, Decision, Limit, samples_for_proportion
from gonogo.suites import Suites, find_suites

__all__ = ["Proving", "prove", "status_of"]


@dataclass(frozen=True)
class Proving:
    """A proof of the project in a folder: the files that it rests on, what is planned, what is known.

    ``whole`` is the plan of everything, ``plan`` of what was chosen.
    """

    definitions: Definitions
    contents: Contents
    suites: Suites
    whole: Plan
    plan: Plan
    results: Results

    @property
    def criteria(self) -> list[str]:
        """The criteria that a defect was chosen of."""
        return list(dict.fromkeys(one.criterion for one in self.plan.defects))

    @property
    def folder(self) -> Path:
        """Where results and runs of this proof lie."""
        return self.results.path.parent

    def unchanged(self) -> None:
        """Refuse results of files that are no longer those that the others rest on.

        Raises:
            EvidenceError: some were changed.
        """
        now = Contents.of(self.contents.project, self.contents.suites).tried
        changed = [name for name, found in self.contents.tried.items() if now[name] != found]
        if changed:
            raise EvidenceError(
                f"{' and '.join(changed)} were changed while the proof went on; what is known is kept in {self.folder}. "
                "Run gonogo prove again: it begins anew with the files of now"
            )

    def proof(self) -> Proof:
        """What is known by now. What is open is what the newest proof says, where that is one of the same gate."""
        proof = proof_of(self.results, self.whole, self.contents.proven)
        newest = find_proof(self.definitions.project.newest_proof, self.contents.proven)
        return proof.completed(newest.proof) if newest.state is State.FRESH and newest.proof is not None else proof

    def write(self) -> Path:
        """Make what is known the newest proof."""
        path = self.definitions.project.newest_proof
        temporary = path.with_name(f".{path.name}.writing")
        temporary.write_text(json.dumps(self.proof().as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
        return path


@click.command()
@click.option(
    "--decisions",
    metavar="N",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many claims of each measured criterion are decided on a release that is held against itself.",
)
@click.option("--only", metavar="ID", multiple=True, help="Only this defect, or those of this criterion; repeatable.")
@click.option("--stage", is_flag=True, help="Also what is planted in deployments, where each run takes minutes.")
@click.option("--again", is_flag=True, help="Begin anew; without it, what is known of the same files is kept.")
@click.option(
    "--mutants",
    is_flag=True,
    help="Change the release's own source instead, as mutants.toml says; --only names a file.",
)
@click.option("--list", "listing", is_flag=True, help="Show what is planted, and what became of it; run nothing.")
@click.pass_context
def prove(
    context: click.Context, decisions: int, only: Sequence[str], stage: bool, again: bool, mutants: bool, listing: bool
) -> None:
    """Show that the suites catch planted defects, and how often they err.

    Each defect is planted in the candidate, in a run of its own; its criterion must say NO-GO. On measured criteria the
    release is also held against itself. The rates stand beside every verdict from then on.
    """
    if again and listing:
        raise click.UsageError("--list runs nothing, --again begins anew; give one of the two")
    if mutants:
        if listing:
            raise click.UsageError("--list shows what is planted, and mutants are found one by one; leave it out")
        try:
            with _terminated():
                status = _by_mutants(context, only, again=again)
        except KeyboardInterrupt:
            click.echo("broken off: gonogo prove --mutants goes on from here")
            status = Status.INCONCLUSIVE
        context.exit(exit_status(status))
    opened = Results.read if listing else _opening(context, again=again)
    proving = open_proving(decisions, only, opened, stage=stage or listing)
    console = Console(highlight=False, markup=False, emoji=False)
    if listing:
        known = {defect: one for each in proving.criteria for defect, one in proving.results.shown(each).items()}
        rows = ((one.id, one.criterion, one.title) for one in proving.plan.defects)
        console.print(listed(rows, known))
        return
    project, criteria = proving.definitions.project, proving.definitions.criteria
    runner = PytestRunner(PytestRuns(project.root, proving.suites, proving.folder / "runs"), criteria)
    try:
        with _terminated():
            broken = make(proving, runner, console, forget=runner.forget)
    except KeyboardInterrupt:
        console.print(Text("broken off: gonogo prove goes on from here, and the proof stays what it was before"))
        context.exit(exit_status(Status.INCONCLUSIVE))
    finally:
        runner.stop()
    path = proving.write()
    _say(proving, broken, console)
    console.print(Text(f"written: {printable(str(path))}"), soft_wrap=True)
    context.exit(exit_status(status_of(proving, broken)))


def _by_mutants(context: click.Context, only: Sequence[str], *, again: bool) -> Status:
    definitions = load_definitions(find_project(Path.cwd()))
    suites = find_suites(definitions.project.root)
    contents = Contents.of(definitions.project, suites.folders)
    context.with_resource(_alone(mutants_folder(contents)))
    return prove_by_mutants(definitions, suites, contents, only, again=again, workers=_processors())


def open_proving(
    decisions: int, only: Sequence[str], opened: Callable[[Path, Mapping[str, str]], Results], *, stage: bool = False
) -> Proving:
    """What is to be proven of the project in this folder; ``opened`` opens its results, given their path and files.

    ``stage``: whether what is planted on a stage belongs to it, where ``only`` names nothing.

    Raises:
        GonogoError: the project cannot be loaded, what was chosen is not there, or the results are damaged.
    """
    definitions = load_definitions(find_project(Path.cwd()))
    project, criteria = definitions.project, definitions.criteria
    suites = find_suites(project.root)
    contents = Contents.of(project, suites.folders)
    whole = Plan.of(criteria, CATALOGUE.values(), decisions=decisions)
    if not whole.defects:
        known = ", ".join(dict.fromkeys(one.criterion for one in CATALOGUE.values()))
        raise DefinitionError(
            f"{project.criteria}: none of its criteria is one that a defect can be planted for; name those so that the "
            f"catalogue has defects for: {known}"
        )
    _check(only, whole)
    plan = Plan.of(criteria, CATALOGUE.values(), only=only, decisions=decisions, stage=stage)
    folder = project.reports / "proof" / files_hash(contents.tried)[:16]
    results = opened(folder / "results.jsonl", contents.tried)
    return Proving(definitions, contents, suites, whole, plan, results)


def _opening(context: click.Context, *, again: bool) -> Callable[[Path, Mapping[str, str]], Results]:
    """Opens results that nobody else writes to until the command has ended."""

    def opened(path: Path, holds_for: Mapping[str, str]) -> Results:
        context.with_resource(_alone(path.parent))
        return Results.open(path, holds_for, again=again)

    return opened


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise EvidenceError(f"{folder}: cannot be written ({error.strerror}); correct its permissions") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DefinitionError(f"{folder}: another gonogo prove is at work here; wait until it has ended") from error
        yield


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM break a proof off as Ctrl-C does, so that the runs that go on are ended.

    Both have a handler here: what a shell starts in the background ignores SIGINT, and so would the runs that it is sent to.
    """
    usual = {one: signal.signal(one, signal.default_int_handler) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in usual.items():
            signal.signal(one, handler)


def make(
    proving: Proving, runner: Runner, console: Console, *, forget: Callable[[Job], None] | None = None
) -> list[Broke]:
    """Make what is open, and show how it goes.

    Returns:
        The runs that broke.
    """
    prover = Prover(proving.plan, proving.results, runner, proving.unchanged, workers=_processors())
    if known := len(proving.plan.defects) - len(proving.plan.open_defects(proving.results)):
        console.print(Text(f"{known} planted defects are known already from {proving.results.path}"), soft_wrap=True)
    with _progress(proving) as progress:
        for job, shown in prover.run():
            progress(job)
            for one in shown:
                console.print(_line_of(one))
            if forget is not None and not any(map(_is_worth_a_look, shown)):
                forget(job)
    return prover.broken


def status_of(proving: Proving, broken: Sequence[Broke] = ()) -> Status:
    """GO where all that was chosen is caught and the rates keep their limits, NO-GO where something is missed or a rate
    breaks its limit, else INCONCLUSIVE."""
    results, plan = proving.results, proving.plan
    shown = [results.shown(one.criterion).get(one.id) for one in plan.defects]
    outcomes = [None if one is None else one.outcome for one in shown]
    rules = proving.definitions.criteria.proof
    decisions = [decision for one in plan.itself for *_, decision in _decisions(results.itself(one), rules)]
    if Outcome.MISSED in outcomes or Decision.OUTSIDE in decisions:
        return Status.NO_GO
    is_open = None in outcomes or Outcome.NOT_SHOWN in outcomes or Decision.OPEN in decisions
    if is_open or broken or not plan.is_complete(results) or Outcome.CAUGHT not in outcomes:
        return Status.INCONCLUSIVE
    return Status.GO


def _decisions(itself: Itself | None, rules: ProofRules) -> list[tuple[str, Limit, Bound, Decision]]:
    """The rates of a release against itself, held against their limits; none without a claim."""
    if itself is None or (no_go := itself.false_no_go) is None or (undecided := itself.undecided) is None:
        return []
    rates = (("false NO-GO", rules.false_no_go, no_go), ("INCONCLUSIVE", rules.inconclusive, undecided))
    return [(what, limit, bound, limit.decide(bound)) for what, limit, bound in rates]


def _say(proving: Proving, broken: Sequence[Broke], console: Console) -> None:
    """The matrix, what was not caught, rates that do not keep their limits, and the proof in one line."""
    proof = proving.proof()
    console.print()
    console.print(matrix(proof))
    console.print()
    for line in not_caught(proof, {one.id: one.title for one in proving.whole.defects}):
        console.print(line)
    for one in broken:
        console.print(_line_of(one))
    for criterion in proving.plan.itself:
        for what, limit, bound, decision in _decisions(
            proving.results.itself(criterion), proving.definitions.criteria.proof
        ):
            if decision is not Decision.WITHIN:
                console.print(Text(_beyond(criterion, what, limit, bound, decision)))
    status = status_of(proving, broken)
    chosen = "" if len(proving.plan.defects) == len(proving.whole.defects) else " of what was chosen"
    word = {Status.GO: "shown", Status.NO_GO: "not shown", Status.INCONCLUSIVE: "not yet shown"}[status]
    console.print(Text(f"proof: {proof.says}; {word}{chosen}"))


def _beyond(criterion: str, what: str, limit: Limit, bound: Bound, decision: Decision) -> str:
    place = f"{criterion}: {what} of a release against itself"
    interval = f"in [{quantity(bound.lower, 'share')}, {quantity(bound.upper, 'share')}]"
    asked = f"asked for is {limit.operator} {quantity(limit.value, 'share')}"
    if decision is Decision.OUTSIDE:
        return f"{place} {interval}, {asked}: find out what disturbs the measurement"
    failures = round(bound.estimate * bound.n)
    needed = samples_for_proportion(limit.value, failures, strict=limit.operator == "<")
    return f"{place} {interval}, {asked}: --decisions {needed} would settle it, with no further ones"


def _check(only: Sequence[str], whole: Plan) -> None:
    known = [
        *(one.id for one in whole.defects),
        *dict.fromkeys([*(one.criterion for one in whole.defects), *whole.itself]),
    ]
    for name in only:
        if name not in known:
            raise click.UsageError(
                f"--only {name} is neither a defect nor a criterion that defects are planted for, or that is measured"
                f"{closest(name, known)}; see gonogo prove --list"
            )


def _line_of(record: Record | Broke) -> Text:
    if isinstance(record, Broke):
        return result_line("broke", f"{record.name}: {record.why}")
    if isinstance(record, Shown):
        return result_line(record.outcome, f"{record.criterion}: {record.defect}")
    if isinstance(record, Control):
        return result_line("unplanted", f"{record.criterion}: {record.verdict or 'not judged'}")
    counts = f"{record.no_go} NO-GO, {record.inconclusive} INCONCLUSIVE of {record.claims} claims"
    return result_line("against itself", f"{record.criterion}: {counts}")


def _is_worth_a_look(record: Record | Broke) -> bool:
    """Whether somebody will want to see the run."""
    if isinstance(record, Broke):
        return True
    if isinstance(record, Shown):
        return record.outcome in (Outcome.MISSED, Outcome.NOT_SHOWN)
    if isinstance(record, Control):
        return record.verdict is not Status.GO
    return bool(record.no_go)


@contextmanager
def _progress(proving: Proving) -> Iterator[Callable[[Job], None]]:
    """A bar on standard error, where that is a terminal. It counts runs, and claims against itself as they are decided."""
    plan, results = proving.plan, proving.results

    def left() -> int:
        claims = sum(plan.missing_claims(one, results) for one in plan.itself)
        return len(plan.open_defects(results)) + len(plan.open_controls(results)) + claims

    total = left()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("proving", total=total)

        def advance(job: Job) -> None:
            progress.update(task, completed=total - left(), description=job.name)

        yield advance


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
