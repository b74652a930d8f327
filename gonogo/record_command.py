"""``gonogo record``: a proxy between an application and its model that records what goes through."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import click

from gonogo.definitions import load_definitions
from gonogo.model import Request, Workflow
from gonogo.project import find_project, is_project
from gonogo.recordings import load_recordings
from gonogo.redaction import SHORTEST_VALUE, Redaction
from gonogo.upkeep import check_layout, sent_requests
from gonogo.workbench import Workbench

__all__ = ["record"]

_UPSTREAMS: Mapping[str, str] = MappingProxyType(
    {
        "ollama": "http://127.0.0.1:11434",
        "openai": "https://api.openai.com",
        "anthropic": "https://api.anthropic.com",
    }
)


@dataclass(frozen=True, slots=True)
class _Cases:
    """What a release sends for its cases: ``step/case`` -> request, or why there is none."""

    workflow: Workflow = field(default_factory=lambda: Workflow(()))
    sent: Mapping[str, Request | str] = field(default_factory=dict)


@click.command()
@click.option(
    "--provider",
    type=click.Choice(list(_UPSTREAMS)),
    required=True,
    help="Whose requests are recorded; others go through.",
)
@click.option(
    "--upstream",
    metavar="URL",
    help=f"Where the model is, without the path of a request; unless given, {', '.join(_UPSTREAMS.values())}.",
)
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of a release's recordings.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. Whoever reaches another than this machine's own reaches the model.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=11435,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--release",
    "role",
    type=click.Choice(["candidate", "baseline", "none"]),
    help="The release whose cases recordings are assigned to; the candidate where the current folder is a project.",
)
@click.option("--replace", "over", is_flag=True, help="Put a reply in the place of one that is recorded already.")
@click.option("--errors", is_flag=True, help="Record answers with an error status too.")
@click.option(
    "--redact",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="A regular expression whose matches are secrets too; kept in the folder, for replays. May be given several times.",
)
@click.option(
    "--redact-env",
    "names",
    metavar="NAME",
    multiple=True,
    help="An environment variable whose value is a secret. May be given several times.",
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificates to trust (PEM).")
@click.option("--stop-with-stdin", is_flag=True, hidden=True, help="End when standard input closes.")
def record(
    provider: str,
    upstream: str | None,
    folder: Path,
    host: str,
    port: int,
    role: str | None,
    over: bool,
    errors: bool,
    patterns: Sequence[str],
    names: Sequence[str],
    ca: Path | None,
    stop_with_stdin: bool,
) -> None:
    """Record what goes between an application and its model.

    Point the application at this proxy instead of its model. Everything goes through unchanged; what is whole is written
    without secrets. SIGTERM and SIGINT end it.
    """
    # a server and a client of HTTP, loaded by this command alone
    from gonogo.capture import Capture, assign, begin_patterns, locked
    from gonogo.recording_server import Address, read_upstream, serve, summary

    address = Address(read_upstream(upstream or _UPSTREAMS[provider]), host, port, ca, stop_with_stdin)
    values = {name: _value(name) for name in names}
    Redaction(tuple(patterns))  # refused before anything is written
    with locked(folder):
        check_layout(folder)
        redaction = Redaction(begin_patterns(folder, patterns), values)
        found = _cases(role, folder)
        _say_failed(found)
        capture = Capture(
            folder,
            redaction,
            assign(found.workflow, found.sent, redaction),
            {step.id: [case.id for case in found.workflow.cases_of(step.id)] for step in found.workflow.steps},
            errors=errors,
            over=over,
        )
        counted = serve(address, provider, capture, _say, _complain)
    _say(f"gonogo record: {summary(counted)}")


def _say(line: str) -> None:
    click.echo(line)  # flushes


def _complain(line: str) -> None:
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
    click.echo(f"gonogo record: {shown}", err=True)


def _cases(role: str | None, folder: Path) -> _Cases:
    """The requests that cases lead to; of no release, none."""
    if role == "none" or (role is None and not is_project(Path.cwd())):
        _complain("no project's cases are looked at; recordings go to unassigned.yaml")
        return _Cases()
    kept = load_recordings(folder)
    with closing(Workbench(load_definitions(find_project(Path.cwd())))) as bench:
        target = bench.baseline if role == "baseline" else bench.candidate
        workflow = bench.definitions.workflow
        return _Cases(workflow, sent_requests(target, workflow, kept))


def _say_failed(found: _Cases) -> None:
    for path, why in found.sent.items():
        if isinstance(why, str):
            _complain(f"{path} leads to no request: {why}")


def _value(name: str) -> str:
    value = os.environ.get(name, "")
    if len(value) < SHORTEST_VALUE:
        what = "is not set" if not value else f"has {len(value)} characters, as many words have"
        raise click.UsageError(
            f"--redact-env {name}: the environment variable {name} {what}; put a secret of at least {SHORTEST_VALUE} into it"
        )
    return value
