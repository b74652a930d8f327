"""How something stands: what one look at it found, and what it could not judge."""

from __future__ import annotations

from dataclasses import dataclass

from gonogo.model import Finding, Status

__all__ = ["Assessment"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Findings, and what could not be judged: each of the ``gaps`` says why, and keeps it from GO."""

    findings: tuple[Finding, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """A finding that fails is NO-GO; a gap, or nothing found at all, is INCONCLUSIVE."""
        if not all(finding.ok for finding in self.findings):
            return Status.NO_GO
        return Status.GO if self.findings and not self.gaps else Status.INCONCLUSIVE

    @property
    def lines(self) -> list[str]:
        """One line for each finding and gap: ``failed`` first, then ``open``, then ``ok``."""
        told = [("failed", one.reason) for one in self.findings if not one.ok]
        told += [("open", reason) for reason in self.gaps]
        told += [("ok", one.reason) for one in self.findings if one.ok]
        return [f"{word:<6}  {' '.join(reason.split())}" for word, reason in told]
