"""``gonogo signoff``: who answers for a release, and what people complain of, as text in a reviewed file."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import click

from gonogo.criteria import load_criteria
from gonogo.documents import closest, show
from gonogo.errors import DefinitionError
from gonogo.figures import printable
from gonogo.model import Phase
from gonogo.project import Project, find_project
from gonogo.rundown import exit_status
from gonogo.signoffs import (
    Complaint,
    Severity,
    SignOff,
    SignOffs,
    flaws,
    load_signoffs,
    parse_signoffs,
    standing,
    with_complaint,
    with_resolution,
    with_signoff,
)

__all__ = ["kinds_of", "signoff"]

CRITERION = "sign-offs"
_ANY_KIND = "KIND"
_HEADER = "# Who answers for a release, and what people complain of. gonogo signoff writes here; docs/sign-offs.md explains it.\n"


class _Kinds(click.Group):
    """A group in which every other word is a kind of sign-off; the project's criteria say which there are."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or the one that signs."""
        return super().get_command(ctx, cmd_name) or (
            None if cmd_name.startswith("-") else self.commands.get(_ANY_KIND)
        )


@click.group(cls=_Kinds)
def signoff() -> None:
    """Sign for a release, and keep complaints about it.

    Both stand in signoffs.toml beside the criteria, and the criterion `sign-offs` judges them.
    """


class _Words(click.ParamType[str]):
    """A text that says something and that a file can hold."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text without the blanks around it."""
        text = str(value).strip()
        if not text:
            self.fail("is blank; say something", param, ctx)
        if not text.isprintable() and any(0xD800 <= ord(one) <= 0xDFFF for one in text):
            self.fail(f"{text!a} is not UTF-8; write it so", param, ctx)
        return text


class _Day(click.ParamType[date]):
    """A day as ISO 8601 writes it."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day."""
        try:
            return value if isinstance(value, date) else datetime.strptime(str(value), "%Y-%m-%d").date()  # a day
        except ValueError:
            self.fail(f"{value!r} is no day; write one like 2026-11-25", param, ctx)


_BY = click.option("--by", metavar="NAME", type=_Words(), required=True, help="Who it is.")
_RELEASE = click.option(
    "--release",
    "version",
    metavar="VERSION",
    type=_Words(),
    help="The release; the candidate of conftest.py unless given.",
)


@signoff.command(_ANY_KIND)
@_BY
@click.option("--link", metavar="URL", type=_Words(), required=True, help="Where what is signed can be read.")
@click.option("--until", metavar="DATE", type=_Day(), required=True, help="The last day on which it holds.")
@click.option("--note", metavar="TEXT", type=_Words(), default=None, help="What else a reader should know.")
@_RELEASE
@click.pass_context
def sign_command(
    context: click.Context, by: str, link: str, until: date, note: str | None, version: str | None
) -> None:
    """Sign for a release in one respect.

    KIND is one of `kinds` of the criterion `sign-offs` in criteria.toml, such as code-review.
    """
    project = find_project(Path.cwd())
    kind, kinds = str(context.info_name), kinds_of(project)
    if kind not in kinds:
        others = [name for name in signoff.commands if name != _ANY_KIND]
        raise click.UsageError(
            f"{kind!r} is no kind of sign-off{closest(kind, [*kinds, *others])}; write one of {', '.join(kinds)}, or a "
            f"command: {', '.join(others)}"
        )
    today = _now().date()
    given = SignOff(kind, version or project.candidate.version, by, link, today, until, note or "")
    wrong = flaws(given, today)
    if wrong:
        raise click.UsageError(f"this would not hold: {'; '.join(wrong)}")

    def edit(text: str, before: SignOffs) -> tuple[str, SignOffs]:
        return with_signoff(text, given), replace(before, signoffs=(*before.signoffs, given))

    _say(f"{given}, in {_change(project, edit)}")


@signoff.command("complaint")
@click.option(
    "--severity",
    type=click.Choice([one.value for one in Severity]),
    required=True,
    help="A significant one keeps the release from GO until it is resolved.",
)
@_BY
@click.option("--text", metavar="TEXT", type=_Words(), required=True, help="What is wrong.")
@_RELEASE
def complaint_command(severity: str, by: str, text: str, version: str | None) -> None:
    """Keep a complaint about a release."""
    project = find_project(Path.cwd())
    received = _now()
    kept: list[Complaint] = []

    def edit(content: str, before: SignOffs) -> tuple[str, SignOffs]:
        found = Complaint(
            _free_id(before, received),
            version or project.candidate.version,
            Severity(severity),
            by,
            text,
            received,
        )
        kept.append(found)
        return with_complaint(content, found), replace(before, complaints=(*before.complaints, found))

    place = _change(project, edit)
    _say(f"{kept[-1]}, in {place}")


@signoff.command("resolve")
@click.argument("complaint_id", metavar="ID")
@_BY
@click.option("--text", metavar="TEXT", type=_Words(), required=True, help="What was done.")
def resolve_command(complaint_id: str, by: str, text: str) -> None:
    """Resolve the complaint with this ID."""
    project = find_project(Path.cwd())
    path, kept = project.signoffs_file, list[Complaint]()

    def edit(content: str, before: SignOffs) -> tuple[str, SignOffs]:
        ids = [one.id for one in before.complaints]
        if complaint_id not in ids:
            known = f"; there are {', '.join(ids)}" if ids else "; there is none at all"
            raise click.UsageError(f"there is no complaint {complaint_id!r}{closest(complaint_id, ids)}{known}")
        index = ids.index(complaint_id)
        one = before.complaints[index]
        if one.resolved is not None:
            raise click.UsageError(f"the {one}; nothing is left to resolve")
        done = replace(one, resolved=max(_now(), one.received), resolved_by=by, resolution=text)
        kept.append(done)
        after = (*before.complaints[:index], done, *before.complaints[index + 1 :])
        return with_resolution(content, index, done, path, project.root), replace(before, complaints=after)

    place = _change(project, edit)
    _say(f"{kept[-1]}, in {place}")


@signoff.command("list")
@_RELEASE
@click.pass_context
def list_command(context: click.Context, version: str | None) -> None:
    """Show how a release stands today.

    Exit status: 0 where everybody has signed and nothing serious is open, 1 where a significant complaint is, else 10.
    """
    project = find_project(Path.cwd())
    release = version or project.candidate.version
    found = load_signoffs(project.signoffs_file, root=project.root, must_exist=project.signoffs is not None)
    stands = standing(found, kinds_of(project), release, _now().date())
    for line in stands.lines:
        _say(line)
    about = {one.release for one in found.signoffs} | {one.release for one in found.complaints}
    others = sorted(about - {release})
    if others:
        _say(f"not shown: {', '.join(others)} (--release)")
    context.exit(exit_status(stands.status))


def kinds_of(project: Project) -> tuple[str, ...]:
    """Every kind of sign-off that some phase asks for.

    Raises:
        DefinitionError: there is no criterion for them, or it names none.
    """
    criteria = load_criteria(project.criteria, root=project.root)
    if CRITERION not in criteria:
        raise DefinitionError(
            f"{show(project.criteria, project.root)}: there is no criterion {CRITERION!r}; add it, with its kinds, and its suite"
        )
    asked = [kind for phase in Phase for kind in criteria[CRITERION].in_phase(phase).texts("kinds")]
    return tuple(dict.fromkeys(asked))


def _now() -> datetime:
    return datetime.now(UTC)


def _say(line: str) -> None:
    click.echo(printable(line))


def _free_id(before: SignOffs, received: datetime) -> str:
    taken = {one.id for one in before.complaints}
    numbers = (f"{received:%Y%m%d}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in numbers if name not in taken)


def _change(project: Project, edit: Callable[[str, SignOffs], tuple[str, SignOffs]]) -> str:
    """Change the file as a whole or not at all, while nobody else does. ``edit`` gives the new text and what it must mean.

    Returns:
        The file, as a reader knows it.

    Raises:
        DefinitionError: it is malformed, cannot be written, or would not mean what it must.
    """
    shown = show(project.signoffs_file, project.root)
    path = project.signoffs_file.resolve()  # of a link, the file behind it is replaced
    try:
        with _locked(path.parent):
            content = path.read_bytes() if path.exists() else _HEADER.encode()
            before = parse_signoffs(content, project.signoffs_file, root=project.root)
            text, meant = edit(content.decode("utf-8"), before)
            if parse_signoffs(text.encode("utf-8"), project.signoffs_file, root=project.root) != meant:
                raise DefinitionError(f"{shown}: this cannot be added to what stands there; add it by hand")
            _replace(path, text)
    except OSError as error:
        raise DefinitionError(
            f"{shown}: cannot be written ({error.strerror}); correct its folder or its permissions, nothing was changed"
        ) from error
    return shown


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other ``gonogo signoff`` writes into the folder, and keep others waiting until the block ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.writing")  # one name, so that what a killed command leaves is overwritten
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        beside.chmod(stat.S_IMODE(path.stat().st_mode))
    beside.replace(path)
