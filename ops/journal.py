"""What goes on, on disk: the state that the next call finds, whatever ended this one; the log of steps; the lock."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ops.errors import OpsError, Refused, UsageError
from ops.files import write_whole
from ops.site import Site

__all__ = ["DEPLOY_STEPS", "ROLLBACK_STEPS", "Change", "Journal", "State", "locked", "read_state"]

DEPLOY_STEPS = ("check", "backup", "snapshot", "trial", "start", "ready", "hand-over", "drain", "verify")
ROLLBACK_STEPS = ("start", "ready", "hand-over", "drain", "verify")


@dataclass(frozen=True)
class Change:
    """A change of the release that serves, and how far it has come."""

    id: str
    kind: str  # deploy, rollback
    step: str  # the one that is under way, or "begun"
    target: str  # the version that is to serve
    source: str | None  # the version that served
    old: str | None  # the start that served
    previous: str | None  # what `previous` named
    new: str | None = None  # the start that is to serve
    trial: str | None = None
    scratch: str | None = None  # a database that exists for a comparison only
    backup: str | None = None

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of its kind, in order."""
        return DEPLOY_STEPS if self.kind == "deploy" else ROLLBACK_STEPS

    def has_reached(self, step: str) -> bool:
        """Whether this step has been begun."""
        return self.step in self.steps and self.steps.index(self.step) >= self.steps.index(step)


@dataclass(frozen=True)
class State:
    """What serves, whether it is meant to, and the change that goes on."""

    wanted: str = "stopped"  # running, stopped
    serving: str | None = None  # the id of a start
    change: Change | None = None


def read_state(site: Site) -> State:
    """The state as it was last written.

    Raises:
        UsageError: the file is damaged, which nothing here can do to it.
    """
    try:
        data = json.loads(site.state.read_text(encoding="utf-8"))
        return State(data["wanted"], data["serving"], Change(**data["change"]) if data["change"] else None)
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{site.state}: damaged ({error!r}); restore it, or remove it and see with `status` what serves"
        ) from error


def _nothing(point: str) -> None:
    pass


class Journal:
    """The state of a site in the hands of the one call that may change it."""

    def __init__(self, site: Site, hold: Callable[[str], None] = _nothing) -> None:
        self.site = site
        self.hold = hold  # told of points such as "before:drain"; a test ends the process there
        self.state = read_state(site)

    @property
    def change(self) -> Change:
        """The change that goes on."""
        assert self.state.change is not None
        return self.state.change

    def begin(self, change: Change) -> None:
        """A change goes on from here, in the place of any other."""
        self._write(replace(self.state, change=change))

    def note(self, **known: Any) -> None:
        """More is known of the change."""
        self._write(replace(self.state, change=replace(self.change, **known)))

    def finish(self, serving: str | None, wanted: str) -> None:
        """No change goes on any more."""
        self._write(State(wanted, serving))

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[list[str]]:
        """One step: written down before it is done, told when it begins and when it has ended. What it yields takes details.

        Raises:
            Refused: in place of an error of the operating system inside.
        """
        self.note(step=name)
        self.tell(name, what, "started")
        self.hold(f"before:{name}")
        began, details = time.monotonic(), list[str]()
        try:
            yield details
        except OpsError as problem:
            self.tell(name, what, "failed", time.monotonic() - began, str(problem))
            raise
        except OSError as problem:
            self.tell(name, what, "failed", time.monotonic() - began, str(problem))
            raise Refused(f"{name}: {problem}; see to it and call again") from problem
        self.tell(name, what, "done", time.monotonic() - began, "; ".join(details))
        self.hold(f"after:{name}")

    def tell(self, name: str, what: str, outcome: str, seconds: float | None = None, detail: str = "") -> None:
        """One line for machines in deploy.jsonl, one for people on stderr."""
        change = self.state.change
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "change": change.id if change else None,
            "kind": change.kind if change else None,
            "step": name,
            "what": what,
            "outcome": outcome,
            "seconds": None if seconds is None else round(seconds, 3),
            "detail": detail,
        }
        with self.site.steps.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
        shown = f"{name}: {what} ..." if outcome == "started" else f"{name}: {outcome}"
        shown += f" ({seconds:.2f} s)" if seconds is not None else ""
        sys.stderr.write(shown + (f": {detail}" if detail else "") + "\n")
        sys.stderr.flush()

    def _write(self, state: State) -> None:
        write_whole(self.site.state, json.dumps(asdict(state), indent=1) + "\n")
        self.state = state


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Keep every other call away that would change the site; the lock goes with the process.

    Raises:
        Refused: another call is at work.
    """
    with (site.folder / "lock").open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise Refused(
                f"{site.folder}/lock: process {handle.read().strip() or '(unknown)'} is changing this site; wait until it has ended"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield
