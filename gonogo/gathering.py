"""The evidence of one claim while its item runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from gonogo.assessment import Assessment
from gonogo.errors import EvidenceGap, GonogoError, MissingReply, ProductFailure
from gonogo.model import Case, Claim, Ended, Evidence, Finding, Gap, Judged, Outcome, Sampled

__all__ = ["Attachment", "ClaimEvidence"]

_QUOTED = 20  # failing findings whose details an assertion message holds; the report has all of them


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something for a reader of the report. ``kind`` is ``text``, ``json``, ``diff`` or ``png``; never HTML or SVG."""

    name: str
    kind: str
    content: str | bytes


@dataclass
class ClaimEvidence:
    """Takes findings and samples of one claim, writes each at once, and says at the end of the item what fails."""

    claim: Claim
    item: str
    write: Callable[[Sequence[Evidence]], None]
    complete: bool = False
    samples: list[Sampled] = field(default_factory=list)
    _failing: list[Judged] = field(default_factory=list)
    _gaps: list[Gap] = field(default_factory=list)
    _attachments: list[Attachment] = field(default_factory=list)
    _outcome: Outcome | None = None
    _reason: str = ""
    _seconds: float = 0.0

    def add(self, case: Case | None, findings: Finding | Iterable[Finding]) -> None:
        """Keep findings on a case (or on none, where a claim is about the whole)."""
        judged: list[Judged] = []
        try:
            for finding in [findings] if isinstance(findings, Finding) else findings:
                judged.append(Judged(self.claim, case.path if case else None, finding))
        finally:  # a check that breaks down has said something before
            self.write(judged)
            self._failing += [one for one in judged if not one.finding.ok]

    def sample(self, name: str, values: Sequence[float], *, unit: str, case: Case | None = None) -> None:
        """Keep measured values of one quantity.

        Raises:
            EvidenceError: one of them is NaN or infinite.
        """
        sampled = Sampled(self.claim, name, unit, tuple(values), case.path if case else None)
        self.write([sampled])
        self.samples.append(sampled)

    def gap(self, case: Case | None, reason: str, detail: str = "") -> None:
        """Say what could not be judged; the claim cannot be GO any more."""
        gap = Gap(self.claim, case.path if case else None, reason, detail)
        self.write([gap])
        self._gaps.append(gap)

    def assess(self, standing: Assessment) -> None:
        """Keep what one look found, and what it could not judge."""
        self.add(None, standing.findings)
        for reason in standing.gaps:
            self.gap(None, reason)

    @contextmanager
    def about(self, case: Case) -> Iterator[None]:
        """Keep what goes wrong with one case with that case, so that the others are judged all the same.

        What the product raises or does not do is a failing finding; what gonogo lacks is a gap.
        """
        try:
            yield
        except ProductFailure as error:
            said = str(error).removeprefix(f"{case.path}: ")  # the finding names its case itself
            self.add(case, Finding("raised", False, said, "\n".join(getattr(error, "__notes__", []))))
        except MissingReply as error:
            self.gap(case, "prompt moved: no recording answers the request", str(error))
        except GonogoError as error:
            self.gap(case, str(error))

    def attach(self, name: str, kind: str, content: str | bytes) -> None:
        """Keep something for a reader of the report."""
        self._attachments.append(Attachment(name, kind, content))

    def attachments(self) -> tuple[Attachment, ...]:
        """What a reader of the report gets: what the suite attached, then the details of what fails or is missing."""
        details = [
            Attachment(
                f"{one.case or 'finding'}: {one.finding.reason[:80]}", _kind(one.finding.detail), one.finding.detail
            )
            for one in self._failing[:_QUOTED]
            if one.finding.detail
        ]
        details += [
            Attachment(f"{one.case}: {one.reason[:80]}", _kind(one.detail), one.detail)
            for one in self._gaps[:_QUOTED]
            if one.detail
        ]
        return (*self._attachments, *details)

    def conclude(self) -> None:
        """The end of the item.

        Raises:
            ProductFailure: findings fail; the message holds all of them.
            EvidenceGap: nothing fails, but something could not be judged.
        """
        if self._failing:
            lines = [f"{self.claim}: {len(self._failing)} findings fail"]
            for number, one in enumerate(self._failing):
                lines.append(f"  {one.case + ': ' if one.case else ''}{one.finding.reason}")
                if one.finding.detail and number < 3:
                    lines.extend(f"      {line}" for line in one.finding.detail.splitlines()[:40])
            raise ProductFailure(_sayable(lines))
        if self._gaps:
            lines = [f"{self.claim}: {len(self._gaps)} cases could not be judged"]
            for number, gap in enumerate(self._gaps):
                lines.append(f"  {gap.case + ': ' if gap.case else ''}{gap.reason}")
                if gap.detail and number < 3:
                    lines.extend(f"      {line}" for line in gap.detail.splitlines()[:40])
            raise EvidenceGap(_sayable(lines))

    def note(self, outcome: Outcome, reason: str, seconds: float) -> None:
        """A stage of the item ended; the worst outcome stays."""
        order = (Outcome.PASSED, Outcome.SKIPPED, Outcome.BROKEN, Outcome.FAILED)
        self._seconds += seconds
        if self._outcome is None or order.index(outcome) > order.index(self._outcome):
            self._outcome, self._reason = outcome, reason

    def note_error(self, error: BaseException, seconds: float) -> None:
        """A stage ended with an exception: an AssertionError is the product's failure, anything else the tool's."""
        lines = str(error).splitlines()
        if isinstance(error, AssertionError):
            self.note(Outcome.FAILED, lines[0] if lines else "assertion without a message", seconds)
        else:
            self.note(Outcome.BROKEN, f"{type(error).__name__}: {lines[0] if lines else ''}", seconds)

    def ended(self) -> Ended | None:
        """How the item ended, or none where it was cut off before its last stage did (``complete``)."""
        if self._outcome is None or not self.complete:
            return None
        return Ended(self.claim, self._outcome, self._reason, self.item, self._seconds)


def _sayable(lines: Sequence[str]) -> str:
    """One text that any terminal and any report can encode: a lone surrogate becomes an escape."""
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def _kind(detail: str) -> str:
    return "diff" if detail.startswith(("--- ", "nearest is")) else "text"
