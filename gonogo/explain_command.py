"""``gonogo explain``: why a run has the verdict that it has, and what would turn it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from gonogo.errors import EvidenceError
from gonogo.explaining import explain, told_criteria
from gonogo.figures import printable
from gonogo.joining import read_part
from gonogo.model import Level, Status, Verdict
from gonogo.next_steps import Again
from gonogo.planting import MUTANT
from gonogo.rundown import exit_status, judge_run
from gonogo.runs import RunDirectory, RunInfo

__all__ = ["explain_command"]

_NEWEST = Path("reports", "latest")


@click.command("explain")
@click.argument("criterion", metavar="[CRITERION]", required=False)
@click.argument("run", metavar="[RUN]", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def explain_command(context: click.Context, criterion: str | None, run: Path | None) -> None:
    """Say why a run has its verdict, and what would turn it.

    Without CRITERION: every required one that is not GO. RUN is the folder of a run, reports/latest unless given; a single
    argument that is such a folder is the RUN. Exit status as of `gonogo verdict`.
    """
    named, where = _arguments(criterion, run)
    if not where.is_dir():
        raise EvidenceError(f"{where}: no such folder; give the folder of a run, or make one with pytest")
    part = read_part(RunDirectory(where))
    verdict = judge_run(part.run, part.notes)
    told = explain(
        part.run.criteria,
        part.run.info.facts,
        part.run.evidence,
        told_criteria(verdict, named),
        again_of(part.run.info),
    )
    width = shutil.get_terminal_size().columns
    for one in told:
        click.echo(one.text(width))
    click.echo(_summary(verdict, part.run.info.id, named=named is not None))
    context.exit(exit_status(verdict.status))


def _arguments(criterion: str | None, run: Path | None) -> tuple[str | None, Path]:
    # an id of a criterion holds no slash
    if criterion is not None and run is None and ("/" in criterion or (Path(criterion) / "run.json").is_file()):
        return None, Path(criterion)
    return criterion, run or _NEWEST


def again_of(info: RunInfo) -> Again:
    """How a run was made."""
    told = info.releases.get("candidate", {})
    stub = told.get("stub")
    return Again(
        phase=info.facts.phase,
        service=str(told.get("service") or ""),
        stub=str(stub) if stub and stub != "none" else "",
        read_only=told.get("read_only") is True,
        baseline=str(info.releases.get("baseline", {}).get("folder") or ""),
        planted="" if info.planted == MUTANT else info.planted,  # a mutant's source is gone when its run has ended
    )


def _summary(verdict: Verdict, run: str, *, named: bool) -> str:
    required = [one for one in verdict.criteria if one.level is Level.REQUIRED]
    holding = sum(one.status is Status.GO for one in required)
    lines = [f"{verdict.status.value}  {run}: {holding} of {len(required)} required criteria hold"]
    own = {f"{one.criterion} is {one.status}" for one in required}
    lines += [f"- {reason}" for reason in verdict.reasons if reason not in own]
    advisory = [one.criterion for one in verdict.criteria if one.level is not Level.REQUIRED]
    open_ones = [one.criterion for one in verdict.criteria if one.criterion in advisory and one.status is not Status.GO]
    if open_ones and not named:
        lines.append(f"advisory and not GO: {', '.join(open_ones)}")
    if holding == len(required) and required and not named:
        lines.append(f"to see what one of them rests on: gonogo explain {required[0].criterion}")
    return "\n".join(printable(line.replace("\n", " "), keep="") for line in lines)
