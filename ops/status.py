"""What a site looks like from outside: nothing is changed, and nothing is believed that was not asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ops import probe
from ops.backups import known_backups
from ops.errors import Refused
from ops.journal import read_state
from ops.listener import address, base_url, holder
from ops.releases import known_versions
from ops.servers import is_ready, starts
from ops.site import Site

__all__ = ["Status", "look"]

_TIMEOUT = 2.0  # seconds for each answer


@dataclass(frozen=True)
class Running:
    """A start that runs."""

    id: str
    version: str
    pid: int
    workers: tuple[int, ...]
    trial: bool
    ready: bool


@dataclass(frozen=True)
class Status:
    """What the site's files say, which processes run, and what answers."""

    url: str | None
    wanted: str  # running, stopped
    current: str | None
    previous: str | None
    serving: str | None  # the start's id
    serves: str | None  # the version that /version answered
    problem: str | None  # why the current release does not serve as it should
    listener: int | None  # the holder's process
    change: dict[str, Any] | None  # one that goes on or was broken off
    running: tuple[Running, ...]
    releases: tuple[str, ...]
    backups: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Whether the current release answers as itself and nothing is left to be done."""
        return self.problem is None and self.change is None

    def as_json(self) -> dict[str, Any]:
        """The status as JSON holds it."""
        return {**asdict(self), "well": self.well}

    def rows(self) -> list[tuple[str, str]]:
        """The status as people read it."""
        change = self.change
        return [
            ("well", "yes" if self.well else f"no: {self.problem or 'a change goes on or was broken off'}"),
            ("address", self.url or "none yet"),
            ("serves", self.serves or "nothing"),
            ("current", self.current or "none"),
            ("previous", self.previous or "none"),
            ("change", f"{change['kind']} of {change['target']} at {change['step']}" if change else "none"),
            *((("trial" if one.trial else "start"), f"{one.id}, process {one.pid}") for one in self.running),
            ("listener", f"process {self.listener}" if self.listener else "gone"),
            ("releases", ", ".join(self.releases) or "none"),
            ("backups", f"{len(self.backups)}, the last {self.backups[-1]}" if self.backups else "none"),
        ]


def look(site: Site) -> Status:
    """Look at a site, and ask what serves there for health, readiness and version."""
    state = read_state(site)
    running = tuple(
        Running(
            one.id,
            one.version,
            one.process.pid,
            tuple(sorted(process.pid for process in one.process.session())),
            one.trial,
            is_ready(site, one),
        )
        for one in starts(site)
        if one.process is not None and one.remains
    )
    held, current = holder(site), site.linked(site.current)
    serves = problem = None
    url = base_url(site) if address(site) else None
    if url is None or (held is None and not running):
        problem = "nothing listens; `recover` starts the current release, `deploy` another"
    else:
        try:
            serves = probe.version_of(url, timeout=_TIMEOUT)
            probe.answers_as(url, current or "(none)", timeout=_TIMEOUT)
        except Refused as refused:
            problem = str(refused)
    if problem is None and held is None:
        problem = "the holder of the listening socket is gone; the next `deploy` or `rollback` takes the socket from the release"
    return Status(
        url=url,
        wanted=state.wanted,
        current=current,
        previous=site.linked(site.previous),
        serving=state.serving,
        serves=serves,
        problem=problem,
        listener=held.pid if held else None,
        change=asdict(state.change) if state.change else None,
        running=running,
        releases=tuple(known_versions(site)),
        backups=tuple(known_backups(site)),
    )
