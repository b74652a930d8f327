"""``gonogo probe``: asks a live service at fixed moments, and gives an account of every request."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from gonogo.contract import Contract
from gonogo.criteria import load_criteria
from gonogo.durations import DURATION
from gonogo.errors import TargetError
from gonogo.figures import printable
from gonogo.model import Status
from gonogo.probe.account import Account, Connections, Load, Schedule
from gonogo.probe.tally import LEAST, Judgement, Tally, judged
from gonogo.probe.text import render
from gonogo.project import find_project, is_project

if TYPE_CHECKING:
    from gonogo.probe.sending import Probe

__all__ = ["loop_factory", "probe"]

_STATUS = {Status.GO: 0, Status.NO_GO: 1, Status.INCONCLUSIVE: 10}
_MOST_IN_FLIGHT = 10_000
_OWN_FILES = 100  # that the process has open besides its connections
_METHOD = re.compile(r"[A-Z]+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[!-\"$-~]*")
_WITHOUT_EFFECT = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class _Wanted:
    """The options of the command, and what criteria.toml says where they say nothing."""

    contract: Contract = field(default_factory=lambda: Contract({}))

    def paths(self, given: Sequence[str], method: str) -> tuple[str, ...]:
        for path in given:
            if not _PATH.fullmatch(path):
                raise click.UsageError(f"--path {path!r} is none; write one such as /healthz, percent-encoded")
        if given:
            return tuple(given)
        if method not in _WITHOUT_EFFECT:
            raise click.UsageError(f"--method {method} needs --path; say what is to be asked with it")
        version = self.contract.calls.get("version")
        known = [*self.contract.health, *([version.path] if version and version.method == "GET" else [])]
        return tuple(known) or ("/",)

    def headers(self, token_env: str | None) -> dict[str, str]:
        """The one that carries the token, where there is one."""
        name = token_env or self.contract.token_env
        if not name:
            return {}
        token = os.environ.get(name, "").strip()  # a file's last line break comes along easily
        if not token:
            where = "--token-env" if token_env else "[target] token_env"
            raise click.UsageError(f"{where} {name}: the environment variable {name} is not set; put the token into it")
        if not (token.isascii() and token.isprintable()):
            raise click.UsageError(f"{name} holds what no header may; write printable ASCII on one line")
        return {self.contract.token_header: self.contract.token_form.replace("{token}", token)}


@click.command()
@click.argument("url")
@click.option("--for", "duration", type=DURATION, default="60s", show_default=True, help="How long.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=100.0,
    show_default=True,
    help="Requests a second, whatever becomes of those before.",
)
@click.option(
    "--connections",
    type=click.Choice([one.value for one in Connections]),
    default=Connections.BOTH.value,
    show_default=True,
    help="Kept connections, a fresh one for each request, or both in turn.",
)
@click.option(
    "--path",
    "paths",
    metavar="PATH",
    multiple=True,
    help="What is asked, in turn with others; unless given, health and version of criteria.toml, else /.",
)
@click.option("--method", metavar="METHOD", help="GET unless given, and POST with a body.")
@click.option(
    "--body",
    "body_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of JSON that each request carries.",
)
@click.option("--timeout", type=DURATION, default="5s", show_default=True, help="For an answer, a second try included.")
@click.option(
    "--expect",
    "expected",
    metavar="STATUS",
    multiple=True,
    type=click.IntRange(200, 599),
    help="A status that is good; 200 to 399 unless given.",
)
@click.option(
    "--release-header", metavar="NAME", help="The header that tells the release; unless given, that of criteria.toml."
)
@click.option("--token-env", metavar="NAME", help="The environment variable that holds the service's token.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificates to trust (PEM).")
@click.option(
    "--least",
    metavar="N",
    type=click.IntRange(1),
    default=LEAST,
    show_default=True,
    help="Good answers without which nothing is decided.",
)
@click.option(
    "--json",
    "out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the account there, too.",
)
@click.option("--stop-with-stdin", is_flag=True, hidden=True, help="End when standard input closes.")
@click.pass_context
def probe(
    context: click.Context,
    url: str,
    duration: float,
    rate: float,
    connections: str,
    paths: Sequence[str],
    method: str | None,
    body_file: Path | None,
    timeout: float,
    expected: Sequence[int],
    release_header: str | None,
    token_env: str | None,
    ca: Path | None,
    least: int,
    out: Path | None,
    stop_with_stdin: bool,
) -> None:
    """Ask a live service at fixed moments, and account for every request.

    Requests are sent when they are due, not when the one before was answered, so that a service that is away for a second
    is seen to be. SIGINT and SIGTERM end it early, with the account; a second one does not wait for answers. Exit status: 0 every
    request had a good answer, 1 requests failed, 10 too little was seen or the schedule was not kept.
    """
    # a client of HTTP, loaded by this command alone
    from gonogo.probe.sending import Probe, Request

    wanted = _of_the_project()
    body = None if body_file is None else _json(body_file)
    method = method or ("GET" if body is None else "POST")
    if not _METHOD.fullmatch(method):
        raise click.UsageError(f"--method {method!r} is none; write one such as GET")
    header = wanted.contract.version_header if release_header is None else release_header
    if header and not _HEADER.fullmatch(header):
        raise click.UsageError(f"--release-header {header!r} is the name of no header; write one such as X-Release")
    load = Load(
        url,
        wanted.paths(paths, method),
        method,
        Connections(connections),
        timeout,
        tuple(expected),
        header,
    )
    headers = wanted.headers(token_env) | ({} if body is None else {"Content-Type": "application/json"})
    if out is not None and not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        raise click.UsageError(f"--json {out}: {out.parent} is no folder that can be written to; make it first")
    progress = _Progress(duration)
    asked = Probe(
        load,
        Schedule(rate, duration),
        Request(headers, body),
        tls=_trusted(ca or (Path(wanted.contract.ca) if wanted.contract.ca else None)),
        most_in_flight=min(_MOST_IN_FLIGHT, _allow_files(_MOST_IN_FLIGHT + _OWN_FILES) - _OWN_FILES),
        on_answer=lambda moment: _say(f"gonogo probe: {printable(url)} answers, after {moment:.3f} s"),
        tell=progress.tell if progress.shown else None,
    )

    def finish(account: Account) -> Judgement:
        found = judged(account, least=least)
        progress.clear()
        console = Console()
        color = console.is_terminal and not console.no_color
        click.echo(render(account, found, width=console.width, color=color), nl=False)
        if out is not None:
            _write(out, account)
        return found

    context.exit(_STATUS[_run(asked, stop_with_stdin, finish).status])


def _of_the_project() -> _Wanted:
    """What the project in the current folder says, where there is one that says how it is asked."""
    if not is_project(Path.cwd()):
        return _Wanted()
    project = find_project(Path.cwd())
    contract = load_criteria(project.criteria, root=project.root).target
    return _Wanted() if contract is None else _Wanted(contract)


def _json(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        json.loads(content)
    except ValueError as error:  # UnicodeDecodeError is one
        raise click.UsageError(f"--body {path}: not JSON ({error}); correct the file") from error
    return content


def _trusted(ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"--ca {ca}: no certificates ({error}); give a file of certificates in PEM") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _allow_files(wanted: int) -> int:
    """How many files the process may have open, after asking for as many as it needs."""
    if sys.platform == "win32":
        return wanted
    import resource  # not there on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return wanted if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True)
class _Progress:
    """One line on the terminal that says how far the probe has come; nothing where standard error is none."""

    duration: float
    shown: bool = field(default_factory=sys.stderr.isatty)

    def tell(self, tally: Tally, now: float) -> None:
        """Write it anew."""
        said = f"{min(now, self.duration):.0f} of {self.duration:g} s: {tally.answered:,} answered, {tally.failed:,} failed"
        click.echo(f"\r\x1b[K{said}", nl=False, err=True)

    def clear(self) -> None:
        """Take it away."""
        if self.shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def _run(asked: Probe, stop_with_stdin: bool, finish: Callable[[Account], Judgement]) -> Judgement:
    """Probe until the end or a signal. What is done at last is done while signals are still held."""
    gc.freeze()  # looking through all that was imported would delay requests

    async def run() -> Judgement:
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, asked.stop)
        if stop_with_stdin:
            from gonogo.stub.serving import when_stdin_ends  # comes with a server, which nobody else needs here

            when_stdin_ends(asked.stop)
        return finish(await asked.run())

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The quicker loop, where there is one: less of the processor is taken from the service, if it runs here, too."""
    if sys.platform == "win32":
        return None
    import uvloop  # not there on Windows

    return uvloop.new_event_loop


def _say(line: str) -> None:
    with suppress(BrokenPipeError):  # who started the probe has gone; its input ends now as well
        click.echo(line)  # flushes


def _write(path: Path, account: Account) -> None:
    """Write the account whole or not at all."""
    beside = path.with_name(f".{path.name}.writing")
    try:
        beside.write_text(json.dumps(account.as_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise TargetError(f"--json {path}: cannot be written ({error.strerror}); the account is lost") from error
