"""``gonogo rules``: alerting rules for Prometheus, out of the triggers in criteria.toml."""

from __future__ import annotations

from pathlib import Path

import click

from gonogo.alert_files import (
    ROUTES,
    RULE_TESTS,
    RULES,
    read_webhook,
    routes_text,
    rule_tests_text,
    rules_text,
    write_files,
)
from gonogo.alert_rules import alerting_rules
from gonogo.alert_tests import rule_tests
from gonogo.alerting import Alerting
from gonogo.definitions import load_definitions
from gonogo.durations import DURATION
from gonogo.errors import DefinitionError
from gonogo.project import Project, find_project

__all__ = ["rules"]


@click.command()
@click.option(
    "--job",
    default="application",
    show_default=True,
    help="The job_name under which Prometheus scrapes the service.",
)
@click.option(
    "--window",
    type=DURATION,
    default="5m",
    show_default=True,
    help="How far back the rules look; at least four scrapes.",
)
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write rules, their tests and Alertmanager's routes to this folder; unless given, print the rules.",
)
@click.option(
    "--webhook", metavar="URL", help="Where Alertmanager reports what is to be rolled back; needed for its routes."
)
@click.option("--alert-webhook", "people", metavar="URL", help="Where Alertmanager reports everything, for people.")
def rules(job: str, window: float, folder: Path | None, webhook: str | None, people: str | None) -> None:
    """Write the triggers of criteria.toml as alerting rules for Prometheus.

    What has no rule is said on standard error and on top of the rules, with the reason.
    """
    if folder is None and (webhook is not None or people is not None):
        raise click.UsageError("a webhook stands in Alertmanager's routes, which are written with --out DIR; give it")
    if webhook is None and people is not None:
        raise click.UsageError("--alert-webhook goes with --webhook, which says where roll-backs are reported; give it")
    for url in (webhook, people):
        if url is not None:
            read_webhook(url)
    project = find_project(Path.cwd())
    made = alerting_rules(_alerting(project, job, window))
    criteria = _shown(project)
    for remark in made.remarks:
        _say(remark)
    if folder is None:
        click.echo(rules_text(made, criteria), nl=False)
        return
    files = {RULES: rules_text(made, criteria), RULE_TESTS: rule_tests_text(rule_tests(made, RULES), criteria)}
    if webhook is not None:
        files[ROUTES] = routes_text(webhook, people, criteria)
        if people is None:
            _say(f"{ROUTES}: the receiver people is empty, so alerts reach nobody; give --alert-webhook")
    else:
        _say(f"{ROUTES} is not written, as nothing says where roll-backs are reported; give --webhook")
    for path in write_files(folder, files):
        click.echo(f"wrote {path}")


def _alerting(project: Project, job: str, window: float) -> Alerting:
    definitions = load_definitions(project)
    criteria = definitions.criteria
    if criteria.watch is None:
        raise DefinitionError(
            f"{_shown(project)}: there are no triggers to make rules of; write [watch] and at least one [[trigger]]"
        )
    return Alerting(
        watch=criteria.watch,
        metrics=criteria.target.metrics if criteria.target is not None else {},
        job=job,
        window=window,
        steps=max(1, len(definitions.workflow.steps)),
    )


def _shown(project: Project) -> str:
    try:
        return project.criteria.relative_to(project.root).as_posix()
    except ValueError:
        return project.criteria.name


def _say(remark: str) -> None:
    click.echo(f"gonogo rules: {remark}", err=True)
