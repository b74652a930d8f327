"""``gonogo stub``: the recorded model as a server."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import click

from gonogo.project import find_project

__all__ = ["stub"]

_MIB = 1024 * 1024


@click.group()
def stub() -> None:
    """The model that answers from recordings, as a server."""


class _Pace(click.ParamType[float | None]):
    """``fast``, ``recorded`` or a factor; none is fast."""

    name = "pace"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        return "fast|recorded|FACTOR"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """The factor by which replies are faster than they were recorded."""
        if value == "fast":
            return None
        if value == "recorded":
            return 1.0
        try:
            factor = float(str(value))
        except ValueError:
            factor = 0.0
        if not (math.isfinite(factor) and factor > 0):
            self.fail(f"{value!r} is no pace; write fast, recorded, or a factor such as 2 (twice as fast)", param, ctx)
        return factor


@stub.command("serve")
@click.argument(
    "folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; another than this machine's own needs --token-env.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=11434,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--pace",
    type=_Pace(),
    default="fast",
    show_default=True,
    help="How fast recorded replies come: at once, as recorded, or so many times as fast.",
)
@click.option("--token-env", metavar="NAME", help="The environment variable that holds the token of the control API.")
@click.option(
    "--max-body",
    metavar="MIB",
    type=click.IntRange(1, 1024),
    default=8,
    show_default=True,
    help="The largest body of a request, in MiB.",
)
@click.option(
    "--journal-mib",
    metavar="MIB",
    type=click.IntRange(1, 16384),
    default=64,
    show_default=True,
    help="How much of the journal is kept, in MiB.",
)
@click.option("--stop-with-stdin", is_flag=True, hidden=True, help="End when standard input closes.")
def serve_command(
    folders: Sequence[Path],
    host: str,
    port: int,
    pace: float | None,
    token_env: str | None,
    max_body: int,
    journal_mib: int,
    stop_with_stdin: bool,
) -> None:
    """Answer requests to a model from recordings.

    FOLDER is the folder of a release's recordings; the candidate's of the project in the current folder unless given. Of
    the same request in two folders the first one's recording answers. SIGTERM and SIGINT end the server.
    """
    from gonogo.stub.running import Settings, serve  # a whole server: loaded by this command alone

    settings = Settings(
        folders=tuple(folders) or _of_the_project(),
        host=host,
        port=port,
        pace=pace,
        token=None if token_env is None else _token(token_env),
        max_body=max_body * _MIB,
        journal_bytes=journal_mib * _MIB,
        stop_with_stdin=stop_with_stdin,
    )
    serve(settings, click.echo, lambda said: click.echo(f"gonogo stub: {said}", err=True))


def _of_the_project() -> tuple[Path, ...]:
    project = find_project(Path.cwd())
    return (project.recordings_of(project.candidate),)


def _token(name: str) -> str:
    token = os.environ.get(name, "")
    if not token:
        raise click.UsageError(
            f"--token-env {name}: the environment variable {name} is not set or empty; put the token into it"
        )
    return token
