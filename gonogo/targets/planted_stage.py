"""Plants a defect in a deployment: a stage around the project's own, which hands over, goes back or tells otherwise.

The deployer works on the real addresses, as without a defect; whoever asks at ``url`` may meet a relay in front of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gonogo.model import Finding
from gonogo.planting import CATALOGUE, Place
from gonogo.targets.relay import Relay
from gonogo.targets.stage import Stage

__all__ = ["BACKUPS", "HAND_OVERS", "LOGS", "ROLLBACKS", "UNSEEN", "WITHHOLDING", "PlantedStage", "planted_stage"]

_AWAY = 1.0  # seconds

# What users meet when another release has been put in service.
HAND_OVERS: Mapping[str, Callable[[Relay], None]] = {
    "hand-over-refuses": lambda relay: relay.refuse(_AWAY),
    "hand-over-cuts": lambda relay: relay.cut(_AWAY),
    "hand-over-unavailable": lambda relay: relay.answer(503, _AWAY),
}

# What is run in the place of the command that restores the previous release.
ROLLBACKS: Mapping[str, Sequence[str]] = {
    "rollback-does-nothing": (sys.executable, "-c", ""),
    "rollback-fails": (sys.executable, "-c", "import sys; sys.exit('planted: there is no way back')"),
}

# Nothing breaks in what the stage has planted.
UNSEEN = frozenset({"breakage-unseen"})

# Whoever asks for metrics is told that there are none.
WITHHOLDING = frozenset({"metrics-not-served"})


def _differing(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield replace(finding, ok=False, reason=f"planted: the copy differs, where this was seen: {finding.reason}")


# What the stage tells of a backup.
BACKUPS: Mapping[str, Callable[[Iterable[Finding]], Iterable[Finding]]] = {
    "backup-differs": _differing,
    "backup-untold": lambda findings: list(findings)[:0],
}

# What the releases have written.
LOGS: Mapping[str, Callable[[Iterable[str]], Iterable[str]]] = {
    "log-unstructured": lambda lines: (f"INFO {line}" for line in lines),
}


@dataclass(frozen=True)
class PlantedStage:
    """A ``Stage`` around another one, which does what a defect of the catalogue does. ``relay``: in front of it, or none."""

    stage: Stage
    defect: str
    relay: Relay | None = None

    @property
    def url(self) -> str:
        """Where users ask."""
        return self.stage.url if self.relay is None else self.relay.url

    @property
    def rollback(self) -> Sequence[str]:
        """The command that restores the previous release, or should."""
        return ROLLBACKS.get(self.defect) or self.stage.rollback

    def deploy(self, role: str) -> None:
        """Put a release in service; back when users have met what they meet."""
        self.stage.deploy(role)
        if self.relay is not None and self.defect in HAND_OVERS:
            HAND_OVERS[self.defect](self.relay)

    def plant(self, *triggers: str) -> Callable[[], None]:
        """Put a candidate in service that is going to break, or should."""
        strike = self.stage.plant(*triggers)
        return (lambda: None) if self.defect in UNSEEN else strike

    def back_up(self) -> Iterable[Finding]:
        """Take a backup, and tell of it what is told."""
        findings = self.stage.back_up()
        return BACKUPS[self.defect](findings) if self.defect in BACKUPS else findings

    def log(self) -> Iterable[str]:
        """Every line, as it is told."""
        return LOGS[self.defect](self.stage.log()) if self.defect in LOGS else self.stage.log()

    def close(self) -> None:
        """Take everything out of service."""
        self.stage.close()


@contextmanager
def planted_stage(stage: Stage, planted: str) -> Iterator[Stage]:
    """The stage with a defect until the block ends, and as it is where the defect has its place elsewhere.

    Raises:
        TargetError: the defect needs a relay, and the stage's address cannot be relayed.
    """
    defect = CATALOGUE.get(planted)
    if defect is None or defect.place is not Place.STAGE:
        yield stage
    elif planted in HAND_OVERS or planted in WITHHOLDING:
        # Prometheus asks there (``gonogo.prometheus_stack``)
        withheld = (urlsplit(stage.url).path.rstrip("/") or "/metrics") if planted in WITHHOLDING else ""
        with closing(Relay(stage.url, withheld=withheld)) as relay:
            yield PlantedStage(stage, planted, relay)
    else:
        yield PlantedStage(stage, planted)
