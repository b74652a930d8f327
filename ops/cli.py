"""The commands: ``python -m ops --site DIR ...``. Exit status 0 done, 1 refused or failed, 2 wrong usage."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ops import backups, checks, deployment, releases
from ops.errors import OpsError, Refused, UsageError
from ops.journal import Journal, locked
from ops.listener import base_url
from ops.site import Site, create_site, open_site
from ops.status import look

__all__ = ["main"]

_FAILED, _WRONG_USAGE = 1, 2
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class _Commands(click.Group):
    """Commands whose errors are one line and an exit status, never a traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(context)
        except OpsError as error:
            click.echo(f"ops: {_printable(' '.join(str(error).split()))}", err=True)
            raise click.exceptions.Exit(_WRONG_USAGE if isinstance(error, UsageError) else _FAILED) from error


def _printable(text: str) -> str:
    """A text that cannot steer a terminal: control characters as escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--site",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The site's folder.",
)
@click.option("--hold", metavar="POINT", hidden=True, help="Wait at this point, for tests that end the process there.")
@click.pass_context
def main(context: click.Context, folder: Path, hold: str | None) -> None:
    """Bring releases of an application into service on this host, without a request lost, and take them out again.

    Exit status: 0 done, 1 refused or failed (what served before serves), 2 wrong usage.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as ctrl-c: a deployment takes the way back
    context.obj = _Call(folder, hold)


class _Call:
    """What the options before the command say."""

    def __init__(self, folder: Path, hold: str | None) -> None:
        self.folder = folder
        self._hold = hold

    @property
    def site(self) -> Site:
        return open_site(self.folder)

    def journal(self, site: Site) -> Journal:
        return Journal(site, self._held)

    def _held(self, point: str) -> None:
        if point == self._hold:
            sys.stderr.write(f"held at {point}\n")
            sys.stderr.flush()
            signal.pause()


def _settings(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{one!r} is no setting; write NAME=VALUE")
        found[name] = value
    return found


@main.command("init")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="The port; 0 takes any free one."
)
@click.option(
    "--env", multiple=True, metavar="NAME=VALUE", callback=_settings, help="A variable of the application; repeat it."
)
@click.pass_obj
def init_command(call: _Call, host: str, port: int, env: dict[str, str]) -> None:
    """Make the folder of a site, with a site.toml to be looked at. BLOG_DATABASE_URL must be given."""
    site = create_site(call.folder.resolve(), {"host": host, "port": port, "environment": env})
    click.echo(f"{site.folder / 'site.toml'} written")


@main.command("add")
@click.argument("tree", type=_FOLDER)
@click.option("--version", required=True, help="The release's version, as /version will tell it.")
@click.option(
    "--overlay", "overlays", multiple=True, type=_FOLDER, help="A folder whose files are laid over the tree's."
)
@click.pass_obj
def add_command(call: _Call, tree: Path, version: str, overlays: Sequence[Path]) -> None:
    """Take a release in: a copy of what belongs to it in TREE, and a manifest."""
    site = call.site
    with locked(site):
        manifest = releases.add(site, tree, version, overlays)
    click.echo(f"{site.releases / version}: {len(manifest.files)} files and folders")


@main.command("migrate")
@click.argument("version")
@click.pass_obj
def migrate_command(call: _Call, version: str) -> None:
    """Let a release make the tables and load the definitions that it needs (its own init-db)."""
    site = call.site
    with locked(site):
        click.echo(deployment.migrate(site, version))


@main.command("check")
@click.argument("version", required=False)
@click.pass_obj
def check_command(call: _Call, version: str | None) -> None:
    """Look at whether a release may go into service; the current one unless VERSION names another."""
    site = call.site
    wanted = version or site.linked(site.current)
    if wanted is None:
        raise UsageError(f"{site.current}: no release is current; say which one is to be checked")
    found = checks.check(site, wanted)
    for one in found:
        click.echo(f"{'ok' if one.ok else 'NOT OK'}  {one.subject}: {one.text}")
    if not all(one.ok for one in found):
        raise click.exceptions.Exit(_FAILED)


@main.command("deploy")
@click.argument("version")
@click.pass_obj
def deploy_command(call: _Call, version: str) -> None:
    """Put a release into service."""
    _changed(call, lambda journal, recovered: deployment.deploy(journal, version))
    click.echo(f"{version} serves at {base_url(call.site)}")


@main.command("rollback")
@click.option("--to", "version", metavar="VERSION", help="The release to go back to. Default: the previous one.")
@click.pass_obj
def rollback_command(call: _Call, version: str | None) -> None:
    """Bring the previous release back into service, whatever state the current one is in."""
    told: list[str] = []
    _changed(call, lambda journal, recovered: told.append(deployment.roll_back(journal, version, recovered)))
    click.echo(told[0])


@main.command("recover")
@click.pass_obj
def recover_command(call: _Call) -> None:
    """Finish or undo what was broken off, and start the current release where nothing serves."""
    site = call.site
    with locked(site):
        recovered = deployment.recover(call.journal(site), revive=True)
    if recovered is not None:
        click.echo(f"the {recovered.change.kind} of {recovered.change.target} has been {recovered.outcome}")
    click.echo(f"{look(site).serves or 'nothing'} serves")


def _changed(call: _Call, act: Callable[[Journal, deployment.Recovered | None], object]) -> None:
    """Do what changes the site, after what was broken off has been brought to an end."""
    site = call.site
    with locked(site):
        journal = call.journal(site)
        act(journal, deployment.recover(journal, revive=False))


@main.command("status")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_obj
def status_command(call: _Call, as_json: bool) -> None:
    """Say what serves, and ask it. Status 0 where the current release answers as itself and nothing is broken off."""
    found = look(call.site)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1))
    else:
        from rich.console import Console  # takes longer to load than every other command does
        from rich.table import Table

        table = Table(show_header=False, box=None)
        for name, value in found.rows():
            table.add_row(name, _printable(value))
        Console(highlight=False, soft_wrap=True, markup=False).print(table)
    if not found.well:
        raise click.exceptions.Exit(_FAILED)


@main.command("backup")
@click.pass_obj
def backup_command(call: _Call) -> None:
    """Back the database up, restore it into a fresh one and compare, with what code and settings it belongs to."""
    site = call.site
    with locked(site):
        journal = call.journal(site)
        deployment.recover(journal, revive=False)
        id = backups.new_id()
        try:
            backup = backups.take(site, id)
            backups.snapshot(site, id, journal.state, site.linked(site.current))
        except OSError as error:
            raise Refused(f"{site.backups}: {error}; see to it and call again") from error
    click.echo(
        f"{backup.id}: {backup.contents.rows} rows in {len(backup.contents.tables)} tables; restored and compared: equal"
    )


@main.command("restore")
@click.argument("backup")
@click.option("--into", "url", required=True, metavar="URL", help="An empty database of the same kind.")
@click.pass_obj
def restore_command(call: _Call, backup: str, url: str) -> None:
    """Fill another database from a backup, compare, and say how to switch to it."""
    site = call.site
    restored = backups.restore(site, backup, url)
    version = site.linked(site.current) or "VERSION"
    click.echo(f"{restored.contents.rows} rows in {len(restored.contents.tables)} tables restored and compared: equal")
    click.echo(
        f"to switch: write BLOG_DATABASE_URL of this database into {site.folder / 'site.toml'}, then `deploy {version}`; "
        "what was written since the backup is in the old database only"
    )


@main.command("logs")
@click.option(
    "--lines", type=click.IntRange(1, 10000), default=20, show_default=True, help="How many of the last ones."
)
@click.pass_obj
def logs_command(call: _Call, lines: int) -> None:
    """Show the last lines of the log of steps."""
    path = call.site.steps
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.splitlines()[-lines:]:
        click.echo(line)


@main.command("stop")
@click.pass_obj
def stop_command(call: _Call) -> None:
    """End the release that serves, and the listening socket: an outage, on purpose."""
    site = call.site
    with locked(site):
        for line in deployment.stop(call.journal(site)):
            click.echo(line)
