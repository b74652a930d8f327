"""``gonogo preflight``: the checks of the criterion ``environment`` in seconds, without pytest, for a deployer of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import click

from gonogo.assessment import Assessment
from gonogo.definitions import Definitions, load_definitions
from gonogo.environment import Asked, asked_of, standing
from gonogo.errors import DefinitionError, ProductError, ServiceGone, TargetError
from gonogo.figures import printable
from gonogo.model import Finding, Json, Phase
from gonogo.project import Service, find_project
from gonogo.rundown import exit_status
from gonogo.workbench import Workbench

__all__ = ["look", "preflight"]

CRITERION = "environment"
_UNITS: Mapping[str, int] = MappingProxyType(
    {"": 1, **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T"), start=1)}}
    | {f"{unit}i": 1024**power for power, unit in enumerate(("K", "M", "G", "T"), start=1)}
)


class _Size(click.ParamType[float]):
    """Bytes, as 500MB or 1.5GiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The bytes."""
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kMGT]|[KMGT]i)?B?", str(value))
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is no size; write one like 500MB, 1GB or 1.5GiB", param, ctx)
        return float(found[1]) * _UNITS[found[2] or ""]


@click.command()
@click.option("--target", metavar="URL", help="A running service, in the place of the release in conftest.py.")
@click.option(
    "--disk",
    metavar="SIZE",
    type=_Size(),
    help="What must be free on the disk, such as 1GB; disk_free of the criterion unless given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.pass_context
def preflight(context: click.Context, target: str | None, disk: float | None, as_json: bool) -> None:
    """See in seconds whether a release stands on what it declares.

    Python, dependencies, files, free disk, start-up, health and database of the release in conftest.py, or of a service that
    runs. These are the checks of the criterion `environment`, without pytest; no run is written.
    """
    project = find_project(Path.cwd())
    if target is not None:
        if disk is not None:
            raise click.UsageError("--disk looks at this machine, --target asks a service; give one of the two")
        project = project.with_service(Service(_address(target), describe_only=True), None)
    definitions = load_definitions(project)
    if target is not None and definitions.criteria.target is None:
        raise DefinitionError(
            f"{project.criteria}: there is no [target], so nobody knows how to ask {target}; write it as docs/live.md says"
        )
    asked = _asked(definitions)
    stands = look(definitions, asked if disk is None else replace(asked, disk_free=disk))
    if as_json:
        click.echo(json.dumps(_document(stands, asked.version, target), indent=1))
    else:
        for line in (*stands.lines, f"{stands.status.value}  {asked.version}{' at ' + target if target else ''}"):
            click.echo(printable(line))
    context.exit(exit_status(stands.status))


def look(definitions: Definitions, asked: Asked) -> Assessment:
    """Start the release, or ask the service, and hold what it tells against what is asked.

    A release that does not start, and a service that does not answer, fall short: a finding fails. What keeps gonogo from
    asking is a gap. What can be seen without the release is told all the same.
    """
    with closing(Workbench(definitions)) as bench:
        try:
            return standing(bench.candidate.worker.describe(), asked)
        except (ProductError, ServiceGone) as error:
            lost = Assessment((Finding(CRITERION, False, str(error)),))
        except TargetError as error:
            lost = Assessment((), (str(error),))
    # that it tells nothing else follows from this one reason
    return Assessment((*lost.findings, *standing({}, asked).findings), lost.gaps)


def _asked(definitions: Definitions) -> Asked:
    phase = Phase.PRE if definitions.project.candidate.service is None else Phase.POST_REAL
    criteria = definitions.criteria
    parameters = criteria[CRITERION].in_phase(phase).parameters if CRITERION in criteria else {}
    return asked_of(definitions.project, parameters)


def _address(target: str) -> str:
    try:
        address = urlsplit(target)
        is_one = address.scheme in ("http", "https") and bool(address.hostname) and address.username is None
    except ValueError:
        is_one = False
    if not is_one:
        raise click.UsageError(
            "--target is not the address of a service; write one like http://127.0.0.1:8000, "
            "and name the variable that holds a token as token_env in [target]"
        )
    return target


def _document(stands: Assessment, version: str, target: str | None) -> dict[str, Json]:
    return {
        "verdict": stands.status.value,
        "release": version,
        "target": target,
        "findings": [{"ok": one.ok, "reason": one.reason} for one in stands.findings],
        "open": list(stands.gaps),
    }
