"""One release takes the place of another: the steps, the way back, and what is made of a change that was broken off."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ops import backups, probe
from ops.checks import check
from ops.errors import OpsError, Refused
from ops.files import replace_link
from ops.journal import Change, Journal
from ops.listener import BACKLOG, base_url, listening, stop_holder
from ops.processes import Process
from ops.releases import read_manifest
from ops.servers import MARGIN, Start, end, environment, next_id, prune, read_start, start, starts, wait_until_ready
from ops.site import Site

__all__ = ["Recovered", "deploy", "migrate", "recover", "roll_back", "stop"]

_ROUNDS = 10  # of questions on fresh connections, after a hand-over
_MIGRATE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from flask.cli import main; main()"


@dataclass(frozen=True)
class Recovered:
    """What was made of a change that was broken off: ``undone`` or ``finished``."""

    change: Change
    outcome: str
    serves: str | None

    @property
    def is_a_way_back(self) -> bool:
        """Whether it led to the release that a rollback would have led to."""
        return self.outcome == "undone" or self.change.kind == "rollback"


def deploy(journal: Journal, version: str) -> None:
    """Put a release into service, without a request lost, or leave the one that serves.

    Raises:
        UsageError: there is no such release.
        Refused: something does not hold or did not work; what served before serves.
    """
    site = journal.site
    read_manifest(site, version)
    serving = _serving(journal)
    journal.begin(
        Change(
            id=backups.new_id(),
            kind="deploy",
            step="begun",
            target=version,
            source=site.linked(site.current),
            old=serving.id if serving else None,
            previous=site.linked(site.previous),
        )
    )
    with _or_back(journal):
        _prepare(journal)
        _swap(journal, site.settings.drain_seconds + MARGIN)
        _verify(journal)
    _finish(journal)


@contextmanager
def _or_back(journal: Journal) -> Iterator[None]:
    """Go back where a step of a deployment fails, or where somebody breaks it off."""
    try:
        yield
    except (OpsError, KeyboardInterrupt) as problem:
        reason = str(problem) or "interrupted"
        journal.tell("way back", f"{journal.change.target} does not go into service", "started", detail=reason)
        serves = _go_back(journal)
        raise Refused(f"{reason} -- {_serves(serves)}") from problem


def _serves(version: str | None) -> str:
    return f"{version} serves, as before" if version else "nothing served before, and nothing serves"


def _prepare(journal: Journal) -> None:
    """Everything that is done before the new release gets near a user."""
    site, change = journal.site, journal.change
    with journal.step("check", f"whether {change.target} may go into service") as details:
        found = check(site, change.target)
        failing = [one for one in found if not one.ok]
        details += [f"{one.subject}: {one.text}" for one in found if one.ok]
        if failing:
            raise Refused("; ".join(f"{one.subject}: {one.text}" for one in failing))
    with journal.step("backup", "the database, restored and compared") as details:
        backup = backups.take(site, change.id)
        details.append(f"{change.id}: {backup.contents.rows} rows in {len(backup.contents.tables)} tables are equal")
    with journal.step("snapshot", "code and state"):
        backups.snapshot(site, change.id, journal.state, change.source)
    with journal.step("trial", f"{change.target} on a socket of its own") as details:
        id = next_id(site, change.target)
        journal.note(trial=id)
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as private:
            tried = start(
                site, id, change.target, private, trial=True, held=lambda point: journal.hold(f"trial:{point}")
            )
            wait_until_ready(site, tried)
            host, port = private.getsockname()
            details.append(probe.works(f"http://{host}:{port}", change.target, rounds=1))
        end([tried], MARGIN)


def _swap(journal: Journal, drain_seconds: float) -> None:
    """Start the target on the shared socket, make it the current release, and end all others."""
    site, change = journal.site, journal.change
    with journal.step("start", f"{change.target} on the shared socket") as details:
        id = next_id(site, change.target)
        journal.note(new=id)
        with listening(site, _masters(site)) as shared:
            journal.hold("start:listening")
            new = start(site, id, change.target, shared, trial=False, held=lambda point: journal.hold(f"start:{point}"))
        details.append(f"{id}, process {new.process.pid if new.process else None}")
    with journal.step("ready", f"every worker of {change.target}"):
        wait_until_ready(site, new)
    _hand_over(journal)
    _drain(journal, drain_seconds)


def _hand_over(journal: Journal) -> None:
    change = journal.change
    with journal.step("hand-over", f"{change.target} is the current release"):
        _link(journal, change.target, _previous_after(change))


def _previous_after(change: Change) -> str | None:
    """What ``previous`` names after a change.

    After a rollback nothing: the release that was left is no place to go back to.
    """
    if change.source == change.target:
        return change.previous
    return change.source if change.kind == "deploy" else None


def _link(journal: Journal, current: str | None, previous: str | None) -> None:
    site = journal.site
    replace_link(site.previous, site.releases / previous if previous else None)
    journal.hold("hand-over:previous")
    replace_link(site.current, site.releases / current if current else None)


def _drain(journal: Journal, seconds: float) -> None:
    site, change = journal.site, journal.change
    others = [one for one in starts(site) if one.id != change.new and one.remains]
    with journal.step("drain", f"{', '.join(one.id for one in others) or 'nothing'} ends") as details:
        details += end(others, seconds)


def _verify(journal: Journal) -> None:
    """See that the target answers on the shared socket.

    Where the service was away, users' requests wait in the socket's queue and ours stands behind them: that takes as long as it
    takes, and is no reason to doubt a release that has just started.
    """
    change = journal.change
    was_away = change.kind == "rollback" or change.old is None
    timeout = max(journal.site.settings.ready_seconds, probe.TIMEOUT) if was_away else probe.TIMEOUT
    with journal.step("verify", f"{change.target} answers") as details:
        details.append(probe.works(base_url(journal.site), change.target, rounds=_ROUNDS, timeout=timeout))


def _finish(journal: Journal) -> None:
    new = journal.change.new
    journal.tell("end", f"{journal.change.target} serves", "done")
    journal.finish(new, "running")
    prune(journal.site)


def roll_back(journal: Journal, version: str | None, recovered: Recovered | None) -> str:
    """Bring ``version``, or the previous release, back into service as fast as can be; what was done, in words.

    Nothing that is found wrong keeps it from being done, only from being said.

    Raises:
        UsageError: there is no such release.
        Refused: there is no previous release, or it does not come up; what served, serves.
    """
    site = journal.site
    if recovered is not None and recovered.is_a_way_back and version in {None, recovered.serves}:
        return (
            f"the {recovered.change.kind} that was broken off has been {recovered.outcome}: {recovered.serves} serves"
        )
    target = version or site.linked(site.previous)
    if target is None:
        raise Refused(f"{site.previous}: there is no previous release; name one with `rollback --to VERSION`")
    read_manifest(site, target)
    serving = _serving(journal)
    journal.begin(
        Change(
            id=backups.new_id(),
            kind="rollback",
            step="begun",
            target=target,
            source=site.linked(site.current),
            old=serving.id if serving else None,
            previous=site.linked(site.previous),
        )
    )
    _carry_out_rollback(journal)
    for one in check(site, target):
        if not one.ok:
            journal.tell("check", one.subject, "reported", detail=one.text)
    return f"{target} serves"


def _carry_out_rollback(journal: Journal) -> None:
    """The steps of a rollback. What fails before the hand-over leaves what serves; what fails after it is only said.

    Raises:
        Refused: the target does not come up.
    """
    change = journal.change
    try:
        _swap(journal, journal.site.settings.rollback_drain_seconds)
    except (OpsError, KeyboardInterrupt) as problem:
        reason = str(problem) or "interrupted"
        if not journal.change.has_reached("hand-over"):
            end(_known(journal, journal.change.new), MARGIN)
            old = _known(journal, change.old)
            journal.finish(change.old if any(one.alive for one in old) else None, "running")
            still = f"{change.source} still serves" if any(one.alive for one in old) else "nothing serves"
            raise Refused(
                f"rollback to {change.target} failed: {reason} -- {still}; name another with --to"
            ) from problem
        raise
    try:
        _verify(journal)
    except Refused as problem:
        _finish(journal)
        raise Refused(
            f"{change.target} has been brought back, but does not answer as it should: {problem}"
        ) from problem
    _finish(journal)


def _go_back(journal: Journal) -> str | None:
    """Take a deployment back; the version that serves then.

    Raises:
        Refused: the release that served does not come up any more.
    """
    site, change = journal.site, journal.change
    old = [one for one in _known(journal, change.old) if one.alive]
    draining = change.has_reached("drain")
    begun = change.has_reached("start")
    if change.source is None or (old and not draining) or not begun:
        # whatever was started is ended; what served has never been touched
        journal.note(step="undo")
        journal.hold("undo:begun")
        end(
            [one for one in starts(site) if one.remains and one.id != change.old],
            site.settings.rollback_drain_seconds,
        )
        _link(journal, change.source, change.previous)
        _drop_backup(journal)
        serves = bool(old)
        journal.tell("way back", _serves(change.source if serves else None), "done")
        journal.finish(change.old if serves else None, "running" if serves else journal.state.wanted)
        return change.source if serves else None
    journal.begin(
        replace(
            change, kind="rollback", step="begun", target=change.source, source=change.target, old=change.new, new=None
        )
    )
    _carry_out_rollback(journal)
    return change.source


def _drop_backup(journal: Journal) -> None:
    try:
        backups.drop_unfinished(journal.site)
    except Refused as problem:  # the database is away; the next backup tries again
        journal.tell("way back", "a backup is left half-made", "reported", detail=str(problem))


def recover(journal: Journal, *, revive: bool) -> Recovered | None:
    """Bring a change that was broken off to one end; with ``revive`` also start what should serve and does not.

    Before the hand-over the way leads back, after it forward; a rollback is finished.

    Raises:
        Refused: the release that is to serve does not come up.
    """
    recovered = _brought_to_an_end(journal) if journal.state.change is not None else None
    if revive and journal.state.wanted == "running" and _serving(journal) is None:
        _revive(journal)
    return recovered


def _brought_to_an_end(journal: Journal) -> Recovered:
    site, change = journal.site, journal.change
    journal.tell("recover", f"the {change.kind} of {change.target} was broken off at {change.step!r}", "started")
    new = [one for one in _known(journal, change.new) if one.alive]
    if change.kind == "rollback":
        if new and change.has_reached("hand-over"):
            _forward(journal, site.settings.rollback_drain_seconds)
            _finish(journal)
        else:
            end(_known(journal, change.new), MARGIN)
            journal.begin(replace(change, step="begun", new=None))
            _carry_out_rollback(journal)
        return Recovered(change, "finished", change.target)
    if not new or not change.has_reached("hand-over"):
        return Recovered(change, "undone", _go_back(journal))
    try:
        _forward(journal, site.settings.drain_seconds + MARGIN)
        _verify(journal)
    except OpsError as problem:
        journal.tell("recover", f"{change.target} does not answer as it should", "failed", detail=str(problem))
        return Recovered(change, "undone", _go_back(journal))
    _finish(journal)
    return Recovered(change, "finished", change.target)


def _forward(journal: Journal, drain_seconds: float) -> None:
    _hand_over(journal)
    _drain(journal, drain_seconds)


def _revive(journal: Journal) -> None:
    """Start the current release where nothing serves: the machine has been started anew, or the release has died."""
    site = journal.site
    version = site.linked(site.current)
    if version is None:
        return
    change = Change(
        id=backups.new_id(),
        kind="rollback",
        step="begun",
        target=version,
        source=version,
        old=None,
        previous=site.linked(site.previous),
    )
    journal.begin(change)
    _carry_out_rollback(journal)


def stop(journal: Journal) -> list[str]:
    """End everything that the site has running; what was done, in words."""
    site = journal.site
    told = end(starts(site), site.settings.drain_seconds + MARGIN)
    stop_holder(site)
    _drop_backup(journal)
    journal.finish(None, "stopped")
    return told


def migrate(site: Site, version: str) -> str:
    """Let a release make its tables and load its definitions (``flask init-db``); what it says.

    Raises:
        UsageError: there is no such release.
        Refused: it fails.
    """
    read_manifest(site, version)
    tree = site.releases / version
    done = subprocess.run(
        [site.settings.python, "-P", "-c", _MIGRATE, str(tree), "--app", "app.wsgi", "init-db"],
        cwd=tree,
        env=environment(site),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["(nothing)"])[-1]
        raise Refused(f"{tree}: init-db ended with status {done.returncode}: {last[:300]}")
    return done.stdout.strip()


def _serving(journal: Journal) -> Start | None:
    """The start that serves."""
    return next((one for one in _known(journal, journal.state.serving) if one.alive), None)


def _known(journal: Journal, id: str | None) -> list[Start]:
    one = read_start(journal.site, id) if id else None
    return [one] if one else []


def _masters(site: Site) -> list[Process]:
    return [one.process for one in starts(site) if one.process is not None and not one.trial]
