"""What people have signed for a release, and what they complain of: ``acceptance/signoffs.toml``. Reviewed like code.

Whether a signature holds on a day is judged here and nowhere else; nothing here asks what day it is. All days are days of UTC.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from gonogo.assessment import Assessment
from gonogo.documents import Document, Section, closest, parse_toml, read_toml, show, table_lines
from gonogo.errors import DefinitionError
from gonogo.model import Finding

__all__ = [
    "Complaint",
    "Severity",
    "SignOff",
    "SignOffs",
    "flaws",
    "link_flaw",
    "load_signoffs",
    "open_complaints",
    "parse_signoffs",
    "standing",
    "with_complaint",
    "with_resolution",
    "with_signoff",
]

CHECK = "sign-offs"
_QUOTED = 200  # characters of a complaint that a reason quotes; its detail holds all of it


class Severity(enum.StrEnum):
    """Whether a complaint is told, or keeps a release from its users."""

    MINOR = "minor"
    SIGNIFICANT = "significant"


@dataclass(frozen=True, slots=True)
class SignOff:
    """Somebody answers for a release in one respect (``kind``), from one day to another, both included."""

    kind: str
    release: str
    by: str
    link: str
    given: date
    until: date
    note: str = ""

    def __str__(self) -> str:
        said = f"{self.kind}: {self.by} signed {self.release} on {self.given}, until {self.until} ({self.link})"
        return f"{said}: {self.note}" if self.note else said


@dataclass(frozen=True, slots=True)
class Complaint:
    """What somebody found wrong with a release in use. ``resolved`` with who and how, or none of the three."""

    id: str
    release: str
    severity: Severity
    by: str
    text: str
    received: datetime
    resolved: datetime | None = None
    resolved_by: str = ""
    resolution: str = ""

    def is_open(self, today: date) -> bool:
        """Whether nobody has resolved it up to that day."""
        return self.resolved is None or self.resolved.astimezone(UTC).date() > today

    def __str__(self) -> str:
        begun = f"{self.severity} complaint {self.id} of {self.received:%Y-%m-%d} by {self.by}"
        quoted = " ".join(self.text.split())
        quoted = quoted if len(quoted) <= _QUOTED else f"{quoted[:_QUOTED]} ..."
        if self.resolved is None:
            return f"{begun} is open: {quoted}"
        return f"{begun}, resolved on {self.resolved:%Y-%m-%d} by {self.resolved_by}: {self.resolution}"


@dataclass(frozen=True, slots=True)
class SignOffs:
    """Everything that the file holds, in its order."""

    signoffs: tuple[SignOff, ...] = ()
    complaints: tuple[Complaint, ...] = ()

    def about(self, release: str) -> SignOffs:
        """What is about one release."""
        return SignOffs(
            tuple(one for one in self.signoffs if one.release == release),
            tuple(one for one in self.complaints if one.release == release),
        )


def load_signoffs(path: Path, *, root: Path | None = None, must_exist: bool = False) -> SignOffs:
    """Read the file; where there is none, nothing is signed and nobody complains.

    Args:
        path: the file.
        root: the project's folder, for messages.
        must_exist: whether somebody named the file, so that a wrong name must not pass for an empty file.

    Raises:
        DefinitionError: malformed, an unknown key, or an id that stands there twice.
    """
    if not must_exist and not path.exists() and not path.is_symlink():
        return SignOffs()
    return _read(read_toml(path, root=root))


def parse_signoffs(content: bytes, path: Path, *, root: Path | None = None) -> SignOffs:
    """What ``load_signoffs`` would make of a file that holds these bytes.

    Raises:
        DefinitionError: see ``load_signoffs``.
    """
    return _read(parse_toml(content, path, root=root))


def _read(document: Document) -> SignOffs:
    section = Section.of(document)
    signoffs = tuple(_signoff(one) for one in section.sections("signoff", default=()))
    complaints: dict[str, Complaint] = {}
    for entry in section.sections("complaint", default=()):
        complaint = _complaint(entry)
        if complaint.id in complaints:
            entry.fail("id", f"the complaint {complaint.id!r} stands here a second time; give one of them another id")
        complaints[complaint.id] = complaint
    section.finish()
    return SignOffs(signoffs, tuple(complaints.values()))


def _signoff(entry: Section) -> SignOff:
    # whether name, link and days are worth something is judged with the rest, so that one bad entry hides no other
    found = SignOff(
        kind=entry.text("kind", example="code-review"),
        release=entry.text("release", example="2.0.0"),
        by=_maybe_blank(entry, "by"),
        link=_maybe_blank(entry, "link"),
        given=_day(entry, "given"),
        until=_day(entry, "until"),
        note=_maybe_blank(entry, "note"),
    )
    entry.finish()
    return found


def _complaint(entry: Section) -> Complaint:
    found = Complaint(
        id=entry.text("id", example="20261125-1"),
        release=entry.text("release", example="2.0.0"),
        severity=Severity(entry.choice("severity", [one.value for one in Severity])),
        by=entry.text("by", example="a name"),
        text=entry.text("text", example="what is wrong"),
        received=_moment(entry, "received"),
    )
    told = [key for key in ("resolved", "resolved_by", "resolution") if entry.has(key)]
    if told:
        found = replace(
            found,
            resolved=_moment(entry, "resolved"),
            resolved_by=entry.text("resolved_by", example="a name"),
            resolution=entry.text("resolution", example="what was done"),
        )
        if found.resolved is not None and found.resolved < found.received:
            entry.fail("resolved", f"{found.resolved} lies before received = {found.received}; correct one of them")
    else:
        entry.asked |= {"resolved", "resolved_by", "resolution"}
    entry.finish()
    return found


def _maybe_blank(entry: Section, key: str) -> str:
    entry.asked.add(key)
    value = entry.data.get(key, "")
    if not isinstance(value, str):
        entry.fail(key, f"{value!r} is no text; write one in quotes")
    return value.strip()


def _day(entry: Section, key: str) -> date:
    value = entry.value(key, f"{key} = 2026-11-25")
    if not isinstance(value, date) or isinstance(value, datetime):
        entry.fail(key, f"{value!r} is no day; write one like 2026-11-25, without quotes")
    return value


def _moment(entry: Section, key: str) -> datetime:
    value = entry.value(key, f"{key} = 2026-11-25T09:00:00+00:00")
    if not isinstance(value, datetime):
        entry.fail(key, f"{value!r} is no moment; write one like 2026-11-25T09:00:00+00:00, without quotes")
    if value.tzinfo is None:
        entry.fail(key, f"{value.isoformat()} has no offset; add one such as +00:00")
    return value


def link_flaw(link: str) -> str | None:
    """Why a link leads nowhere that a reader could look, or none."""
    if not link:
        return "has no link; say where what was signed can be read"
    try:
        address = urlsplit(link)
        leads = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        leads = False
    if not leads or any(one.isspace() or not one.isprintable() for one in link):
        return f"link = {link!r} is no http or https URL; write one like https://example.com/review/1"
    return None


def flaws(signoff: SignOff, today: date) -> list[str]:
    """Why a sign-off does not hold on that day; nothing where it does."""
    found = [] if signoff.by.strip() else ["by is blank; a name is needed"]
    link = link_flaw(signoff.link)
    found += [link] if link else []
    if signoff.until < signoff.given:
        found.append(f"until = {signoff.until} lies before given = {signoff.given}")
    elif signoff.given > today:
        found.append(f"given = {signoff.given} is still to come")
    elif signoff.until < today:
        found.append(f"expired on {signoff.until}")
    return found


def standing(signoffs: SignOffs, kinds: Sequence[str], release: str, today: date) -> Assessment:
    """Who answers for a release on a day, who does not, and what is complained of.

    A kind that nobody has signed, or whose signature does not hold, is a gap: the evidence is not there. An open significant
    complaint is a finding that fails, a minor one is told.
    """
    own = signoffs.about(release)
    findings: list[Finding] = []
    gaps: list[str] = (
        [] if kinds else ["nobody need sign anything; name kinds in criteria.toml: kinds = ['code-review']"]
    )
    for kind in dict.fromkeys(kinds):
        given = [one for one in own.signoffs if one.kind == kind]
        holding = [one for one in given if not flaws(one, today)]
        findings += [Finding(CHECK, True, str(one)) for one in holding]
        if not holding:
            gaps += [_does_not_hold(one, today) for one in given] or [_missing(kind, release, signoffs.signoffs)]
    for complaint in own.complaints:
        is_open = complaint.is_open(today)
        stops = is_open and complaint.severity is Severity.SIGNIFICANT
        said = f"{complaint}; that day is still to come" if is_open and complaint.resolved else str(complaint)
        findings.append(Finding(CHECK, not stops, said, complaint.text if stops else ""))
    return Assessment(tuple(findings), tuple(gaps))


def _does_not_hold(signoff: SignOff, today: date) -> str:
    by = f" by {signoff.by}" if signoff.by.strip() else ""
    return f"{signoff.kind}{by} for {signoff.release} does not hold on {today}: {'; '.join(flaws(signoff, today))}"


def _missing(kind: str, release: str, signoffs: Sequence[SignOff]) -> str:
    elsewhere = sorted({one.release for one in signoffs if one.kind == kind})
    of_release = {one.kind for one in signoffs if one.release == release}
    signed = f" (signed is {', '.join(elsewhere)})" if elsewhere else closest(kind, of_release)
    return f"{kind}: nobody has signed {release}{signed}; gonogo signoff {kind} --by NAME --link URL --until DATE"


def open_complaints(path: Path, release: str, since: datetime) -> tuple[Complaint, ...]:
    """Complaints of a release, received at ``since`` or later, that nobody has resolved; none where there is no file.

    Raises:
        DefinitionError: the file is malformed.
    """
    found = load_signoffs(path).about(release).complaints
    return tuple(one for one in found if one.resolved is None and one.received >= since)


def with_signoff(text: str, signoff: SignOff) -> str:
    """The file's text with a sign-off at its end."""
    values = {"kind": signoff.kind, "release": signoff.release, "by": signoff.by, "link": signoff.link}
    dates = {"given": signoff.given, "until": signoff.until}
    return _appended(text, "signoff", {**values, **dates, **({"note": signoff.note} if signoff.note else {})})


def with_complaint(text: str, complaint: Complaint) -> str:
    """The file's text with an open complaint at its end."""
    values: dict[str, str | date] = {
        "id": complaint.id,
        "release": complaint.release,
        "severity": complaint.severity.value,
        "by": complaint.by,
        "text": complaint.text,
        "received": complaint.received,
    }
    return _appended(text, "complaint", values)


def with_resolution(text: str, index: int, complaint: Complaint, path: Path, root: Path | None = None) -> str:
    """The file's text with who resolved the complaint at ``index``, when and how, below what stands there of it.

    Raises:
        DefinitionError: the complaint does not stand below a line ``[[complaint]]``.
    """
    assert complaint.resolved is not None
    begins = table_lines(text, "complaint")
    if index >= len(begins):
        raise DefinitionError(
            f"{show(path, root)}: the complaint {complaint.id!r} does not stand below a line [[complaint]]; write it so"
        )
    newline = _newline(text)
    lines = (text if text.endswith("\n") else text + newline).split("\n")
    after = [line for name in ("complaint", "signoff") for line in table_lines(text, name) if line > begins[index]]
    end = min(after, default=len(lines) + 1) - 1  # of lines counted from 1, the one before the next table
    while not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#"):
        end -= 1
    values: dict[str, str | date] = {
        "resolved": complaint.resolved,
        "resolved_by": complaint.resolved_by,
        "resolution": complaint.resolution,
    }
    added = [f"{line}{newline}".removesuffix("\n") for line in _lines(values)]
    return "\n".join([*lines[:end], *added, *lines[end:]])


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _appended(text: str, table: str, values: Mapping[str, str | date]) -> str:
    newline = _newline(text)
    before = text if not text or text.endswith("\n") else text + newline
    return before + (newline if before else "") + newline.join([f"[[{table}]]", *_lines(values), ""])


def _lines(values: Mapping[str, str | date]) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} = {_quoted(value) if isinstance(value, str) else value.isoformat()}"


def _quoted(text: str) -> str:
    """A text as a basic string of TOML, in one line. JSON escapes the same, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
