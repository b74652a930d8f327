"""``gonogo watch``: the live watch after a deploy, from its options to its exit status."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from gonogo.contract import Contract
from gonogo.dashboard import serving
from gonogo.definitions import Definitions, load_definitions
from gonogo.durations import DURATION
from gonogo.errors import DefinitionError
from gonogo.evidence import Shard
from gonogo.model import CriterionVerdict, Json, Phase
from gonogo.monitor import Monitor
from gonogo.project import Service, find_project
from gonogo.recovery import Previous, WayBack
from gonogo.report.watch_table import line_of, table_of
from gonogo.rundown import Rundown, begin_run, exit_status
from gonogo.signoffs import Severity, open_complaints
from gonogo.synthetic import synthetic_runs
from gonogo.targets.looking import Looker
from gonogo.triggers import WatchRules
from gonogo.watching import LIVE_WATCH, Watch, evidence_of, state_of
from gonogo.workbench import Workbench

__all__ = ["watch"]

_EVER = datetime.min.replace(tzinfo=UTC)
_LINE_EVERY = 60.0  # seconds between two lines where nothing is drawn


@click.command()
@click.option(
    "--target", metavar="URL", required=True, help="The live service, as [target] in criteria.toml says how to ask it."
)
@click.option("--for", "duration", type=DURATION, default="1h", show_default=True, help="How long.")
@click.option(
    "--on-rollback",
    metavar="COMMAND",
    help="What restores the previous release; run once, without a shell, when a trigger fires.",
)
@click.option(
    "--prometheus", metavar="URL", help="A Prometheus server that is asked for the metrics, instead of the service."
)
@click.option(
    "--selector",
    metavar="LABELS",
    default="",
    help="Which of Prometheus' series are the service's, such as 'job=\"blog\"'.",
)
@click.option(
    "--synthetic",
    metavar="RATE",
    type=click.FloatRange(0.01, 50),
    help="Recorded cases to be run each second, where users make too few.",
)
@click.option(
    "--stub", metavar="URL", help="The stub that the service asks, as in the run of pytest that the watch belongs to."
)
@click.option("--read-only", is_flag=True, help="As --gonogo-read-only in the run of pytest that the watch belongs to.")
@click.option(
    "--serve",
    "port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Show the watch as a page on this port; 0 takes a free one.",
)
@click.option(
    "--report",
    "reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the evidence is written to; the project's reports folder unless given.",
)
def watch(
    target: str,
    duration: float,
    on_rollback: str | None,
    prometheus: str | None,
    selector: str,
    synthetic: float | None,
    stub: str | None,
    read_only: bool,
    port: int | None,
    reports: Path | None,
) -> None:
    """Watch a live service after a deploy, and roll back where a trigger fires.

    The triggers stand in criteria.toml. Exit status: 0 nothing fired, 1 rolled back, 10 INCONCLUSIVE, 2 wrong usage.
    """
    if selector and prometheus is None:
        raise click.UsageError(
            "--selector chooses among the series of a Prometheus server; name that with --prometheus"
        )
    if synthetic is not None and read_only:
        raise click.UsageError("--synthetic makes posts and runs, which --read-only forbids; leave one of them out")
    try:
        command = shlex.split(on_rollback) if on_rollback is not None else None
    except ValueError as error:
        raise click.UsageError(f"--on-rollback {on_rollback!r} is no command: {error}") from error
    if command == []:
        raise click.UsageError("--on-rollback is empty; write the command that restores the previous release")
    project = find_project(Path.cwd()).with_service(Service(target, read_only), stub)
    definitions = load_definitions(project)
    rules, contract = _rules_of(definitions)
    asked = _Asked(duration, command, prometheus, selector, synthetic, port, reports or project.reports)
    with _stop_signals() as stop:
        verdict, run = _watch(definitions, rules, contract, asked, stop)
    _say_verdict(verdict, run)
    raise click.exceptions.Exit(exit_status(verdict.status))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options."""

    duration: float
    command: list[str] | None
    prometheus: str | None
    selector: str
    synthetic: float | None
    port: int | None
    reports: Path


def _rules_of(definitions: Definitions) -> tuple[WatchRules, Contract]:
    criteria = definitions.criteria
    if criteria.target is None:
        raise DefinitionError("criteria.toml does not say how the service is asked; write [target], see docs/live.md")
    if criteria.watch is None:
        raise DefinitionError("criteria.toml has no [watch] and no [[trigger]]; write them, see docs/watching.md")
    if LIVE_WATCH.criterion not in criteria:
        raise DefinitionError(
            f"criteria.toml has no criterion {LIVE_WATCH.criterion!r} that a watch could be evidence for; add it, see docs/watching.md"
        )
    return criteria.watch, criteria.target


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Set when somebody wants the watch to end (SIGINT, SIGTERM): it is then judged by what it has seen."""
    stop = threading.Event()
    usual = {one: signal.signal(one, lambda number, frame: stop.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for one, handler in usual.items():
            signal.signal(one, handler)


def _watch(
    definitions: Definitions, rules: WatchRules, contract: Contract, asked: _Asked, stop: threading.Event
) -> tuple[CriterionVerdict, Path]:
    """Watch, and judge. Returns the verdict of the criterion, and the run's folder."""
    with ExitStack() as stack:
        workbench = stack.enter_context(closing(Workbench(definitions)))
        phase = Phase.POST_REAL if definitions.project.candidate.stub == "none" else Phase.POST_STUB
        rundown = begin_run(workbench, phase, reports=asked.reports, suites=[definitions.project.criteria.parent])
        back = _way_back(workbench, rundown, contract, asked)
        looker = Looker(
            _url(definitions),
            contract,
            os.environ,
            complaints=lambda: _complaints(definitions),
            prometheus=asked.prometheus,
            selector=asked.selector,
        )
        stack.callback(looker.close)
        monitor = Monitor(rules, contract.metrics, [step.id for step in definitions.workflow.steps])

        def pause(seconds: float) -> None:
            stop.wait(seconds)

        one = Watch(monitor, looker, rules.interval, asked.duration, back, stop.is_set, sleep=pause)
        ended: list[str] = []
        if asked.port is not None:
            about = _about(definitions, rules, asked.duration)
            shown = serving(
                lambda: state_of(one, about, ended[-1] if ended else None), port=asked.port, title=_url(definitions)
            )
            click.echo(f"the watch is shown on {stack.enter_context(shown)}")
        with synthetic_runs(definitions, asked.synthetic):
            first = _follow(one, asked.duration)
        verdict = _judge(definitions, rundown, one, first)
        ended.append(verdict.status.value)
    return verdict, rundown.directory.path


def _about(definitions: Definitions, rules: WatchRules, duration: float) -> dict[str, Json]:
    """What the dashboard says of the watch as a whole."""
    previous = definitions.project.baseline
    return {
        "target": _url(definitions),
        "for": duration,
        "interval": rules.interval,
        "candidate": definitions.project.candidate.version,
        "previous": previous.version if previous is not None else None,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "runbook": rules.runbook,
    }


def _complaints(definitions: Definitions) -> Mapping[str, bool] | None:
    """Open complaints of the release that is watched, as the file has them now."""
    project = definitions.project
    try:
        found = open_complaints(project.signoffs_file, project.candidate.version, _EVER)
    except DefinitionError:  # somebody may be writing it; the trigger says that it is blind
        return None
    return {one.id: one.severity is Severity.SIGNIFICANT for one in found}


def _url(definitions: Definitions) -> str:
    service = definitions.project.candidate.service
    assert service is not None
    return service.url


def _way_back(workbench: Workbench, rundown: Rundown, contract: Contract, asked: _Asked) -> WayBack | None:
    """What a trigger sets off. What the previous release's prompts are is asked now, while all is well."""
    if asked.command is None:
        return None
    definitions = workbench.definitions
    cases = [case for step in definitions.workflow.steps for case in definitions.workflow.cases_of(step.id)]
    previous = Previous.of(workbench.baseline, cases)
    log = rundown.directory.path / "rollback.log"
    return WayBack(_url(definitions), contract, definitions, previous, asked.command, log, os.environ)


def _follow(one: Watch, duration: float) -> str | None:
    """Show each standing. Returns the release that answered first."""
    console = Console(highlight=False)
    first: str | None = None
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            for standing in one.standings():
                first = first or standing.release
                live.update(table_of(standing, duration, one.recovery.findings if one.recovery else ()), refresh=True)
        return first
    said, next_line = 0, 0.0
    for standing in one.standings():
        first = first or standing.release
        for at, what in standing.log[said:] if said <= len(standing.log) else standing.log[-1:]:
            click.echo(f"{at:7.1f} s  {what}")
        said = len(standing.log)
        if standing.at >= next_line:
            click.echo(line_of(standing, duration))
            next_line = standing.at + _LINE_EVERY
    return first


def _judge(definitions: Definitions, rundown: Rundown, one: Watch, first: str | None) -> CriterionVerdict:
    criterion = definitions.criteria[LIVE_WATCH.criterion]
    measure = next(iter(criterion.measures), None)
    shard = Shard(rundown.directory.shard("watch"))
    candidate = definitions.project.candidate.version
    shard.extend(list(evidence_of(one, measure, candidate=candidate, first=first)))
    shard.close()
    verdict = rundown.judge(None)
    return next(found for found in verdict.criteria if found.criterion == criterion.id)


def _say_verdict(verdict: CriterionVerdict, run: Path) -> None:
    click.echo(f"{verdict.status}: {verdict.title}")
    for reason in (reason for claim in verdict.claims for reason in claim.reasons):
        click.echo(f"  {reason}")
    click.echo(
        f"evidence: {os.path.relpath(run)}; with the run of pytest after the deploy: gonogo verdict RUN {os.path.relpath(run)}"
    )
