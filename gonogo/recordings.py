"""Recordings: the full request as the model would have received it, and its reply. One YAML file per step and release."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from gonogo.documents import Document, Section, read_toml, read_yaml
from gonogo.errors import DefinitionError, RecordingError
from gonogo.model import Frame, Json, Provenance, Recording, Reply, Request, ToolCall
from gonogo.parsed import ParsedFiles
from gonogo.redaction import Redaction

__all__ = [
    "PATTERNS",
    "RecordingSet",
    "difference",
    "dump_entry",
    "dump_file",
    "dump_patterns",
    "dump_recordings",
    "load_recordings",
    "read_patterns",
    "readable",
    "recordings_in",
]

PATTERNS = "redaction.toml"  # the file of a release's folder that holds patterns of secrets

_ORIGINS = (Provenance.CAPTURED.value, Provenance.SYNTHETIC.value)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but tab and line feed
_BOUNDARY = re.compile(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # where str.splitlines breaks, but \n
_PLAIN_KEY = re.compile(r"[\w-]+")
# a text that reads like a value of another type, or has white space around it that nobody would see
_AMBIGUOUS = re.compile(r"""["{\[\d\s-]|(true|false|null|NaN|Infinity)?\Z|.*\s\Z""")


_COMPARED = 16  # recordings that a request is compared with line by line
_LINES = 1500  # lines of a request up to which their order counts in a comparison
_LOOKED = 50_000  # recordings that are looked at, word by word, for those worth comparing
_SKETCH = 64  # words of a request that are kept for finding others like it


@dataclass(frozen=True)
class RecordingSet:
    """The recordings of one release. ``by_key`` finds one in constant time, however many there are.

    ``redaction`` is what their requests were redacted by.
    """

    recordings: tuple[Recording, ...]
    by_key: Mapping[str, Recording]
    redaction: Redaction = field(default_factory=Redaction)

    @classmethod
    def of(cls, recordings: Iterable[Recording], redaction: Redaction | None = None) -> RecordingSet:
        """Index recordings by the key of their request.

        Raises:
            RecordingError: two recordings hold the same request, or were made for the same case.
        """
        by_key: dict[str, Recording] = {}
        by_case: dict[tuple[str, str], Recording] = {}
        kept = tuple(recordings)
        for recording in kept:
            first = by_key.setdefault(recording.request.key, recording)
            if first is not recording:
                raise RecordingError(
                    f"recordings {first.id!r} and {recording.id!r} hold the same request; keep one and list the cases of both in it"
                )
            for case in recording.cases:
                first = by_case.setdefault((recording.step, case), recording)
                if first is not recording:
                    raise RecordingError(
                        f"recordings {first.id!r} and {recording.id!r} both list the case {case!r} of the step {recording.step!r}; "
                        "take it out of one of them"
                    )
        return cls(kept, MappingProxyType(by_key), redaction or Redaction())

    def find(self, request: Request) -> Recording | None:
        """The recording of exactly this request, or none. A secret in it was redacted before it was recorded."""
        found = self.by_key.get(request.key)
        if found is None:
            redacted = self.redaction.request(request)
            found = None if redacted is request else self.by_key.get(redacted.key)
        return found

    @classmethod
    def joined(cls, sets: Sequence[RecordingSet]) -> RecordingSet:
        """Several releases as one set. Of recordings with the same request the first one stands."""
        by_key: dict[str, Recording] = {}
        for recording in (one for several in sets for one in several.recordings):
            by_key.setdefault(recording.request.key, recording)
        patterns = dict.fromkeys(pattern for several in sets for pattern in several.redaction.patterns)
        return cls(tuple(by_key.values()), MappingProxyType(by_key), Redaction(tuple(patterns)))

    def nearest(self, request: Request, *, step: str | None = None) -> Recording | None:
        """The recording whose request reads most like this one; only those of ``step`` where it is given.

        Of many recordings only those that share the rarest words with the request are compared line by line.
        """
        wanted = readable(request)
        candidates: Sequence[Recording] = [one for one in self.recordings if step is None or one.step == step]
        candidates = candidates or self.recordings
        if len(candidates) > _COMPARED:
            allowed = None if len(candidates) == len(self.recordings) else step
            candidates = self._alike(wanted, allowed) or candidates[:_COMPARED]

        matcher = difflib.SequenceMatcher(None, autojunk=False)
        matcher.set_seq2(wanted)  # what it knows of the second sequence is kept

        def likeness(recording: Recording) -> float:
            lines = readable(recording.request)
            matcher.set_seq1(lines)
            # ratio() is quadratic in the number of lines, quick_ratio(), which counts equal lines, is not
            return matcher.ratio() if len(wanted) * len(lines) <= _LINES**2 else matcher.quick_ratio()

        return max(candidates, key=likeness, default=None)

    def _alike(self, wanted: Sequence[str], step: str | None) -> list[Recording]:
        """The few recordings that share the most words of their sketches with a request."""
        shared: Counter[int] = Counter()
        looked = 0
        for numbers in sorted((self.sketches[word] for word in _sketch(wanted) & self.sketches.keys()), key=len):
            # a word of nearly all recordings tells none of them from another
            if looked > _LOOKED and shared:
                break
            looked += len(numbers)
            shared.update(one for one in numbers if step is None or self.recordings[one].step == step)
        return [self.recordings[number] for number, _ in shared.most_common(_COMPARED)]

    @cached_property
    def sketches(self) -> Mapping[int, Sequence[int]]:
        """Hash of a word -> the recordings, by their place, whose sketches hold it; made once, in time linear in their size."""
        found: dict[int, list[int]] = {}
        for number, recording in enumerate(self.recordings):
            for word in _sketch(readable(recording.request)):
                found.setdefault(word, []).append(number)
        return found

    def of_case(self, step: str, case: str) -> Recording | None:
        """The recording that was made for a case, whether or not its request still is the one the case leads to."""
        return next((one for one in self.recordings if one.step == step and case in one.cases), None)

    @property
    def synthetic(self) -> bool:
        """Whether no model gave any of their replies; of no recordings at all, false."""
        return bool(self.recordings) and not any(one.from_a_model for one in self.recordings)


def _sketch(lines: Iterable[str]) -> set[int]:
    """The smallest hashes of a request's words. Of two requests, the share that is equal is the share of words that is.

    Source: Broder, On the resemblance and containment of documents (1997): a bottom-k sketch.
    """
    words = {word for line in lines for word in line.split()}
    return set(sorted({zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words})[:_SKETCH])


def load_recordings(folder: Path, *, root: Path | None = None, parsed: ParsedFiles | None = None) -> RecordingSet:
    """Load every ``<step>.yaml`` in the folder of one release, and its redaction.toml.

    A folder that is not there holds no recordings.

    Raises:
        DefinitionError: a file cannot be read, or is malformed.
        RecordingError: two recordings hold the same request or the same case.
    """
    recordings: list[Recording] = []
    ids: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        document = read_yaml(path, root=root, parsed=parsed)
        for number, recording in enumerate(recordings_in(document)):
            if recording.id in ids:
                document.fail(
                    ("recordings", number, "id"),
                    f"{recording.id!r} is also the id of a recording in {ids[recording.id]}; give one another id",
                )
            ids[recording.id] = document.shown
            recordings.append(recording)
    return RecordingSet.of(recordings, Redaction(read_patterns(folder, root=root)))


def recordings_in(document: Document) -> list[Recording]:
    """The recordings of one file.

    Raises:
        DefinitionError: it is malformed.
    """
    section = Section.of(document)
    step = section.text("step", example=document.path.stem)
    found = [_recording(document, entry, step) for entry in section.sections("recordings")]
    section.finish()
    return found


def read_patterns(folder: Path, *, root: Path | None = None) -> tuple[str, ...]:
    """The patterns of secrets that a release's folder names in its redaction.toml; none where it has no such file.

    Raises:
        DefinitionError: the file is malformed, or a pattern is no regular expression.
    """
    if not (folder / PATTERNS).exists():
        return ()
    section = Section.of(read_toml(folder / PATTERNS, root=root))
    patterns = section.texts("patterns")
    section.finish()
    try:
        return Redaction(patterns).patterns
    except DefinitionError as error:
        section.fail("patterns", str(error))


def dump_patterns(patterns: Iterable[str]) -> str:
    """The file that ``read_patterns`` reads."""
    # texts of JSON are texts of TOML, but for the one control character that JSON leaves as it is
    lines = [f"    {json.dumps(one, ensure_ascii=False)},\n".replace("\x7f", "\\u007f") for one in patterns]
    return f"# What these match is redacted in recordings, and in a request before its recording is looked for.\npatterns = [\n{''.join(lines)}]\n"


def _recording(document: Document, entry: Section, step: str) -> Recording:
    request = entry.section("request")
    reply = entry.section("reply")
    provenance = entry.section("provenance")
    provider = request.choice("provider", ("ollama", "openai", "anthropic"))
    sent = Request(provider, request.text("operation", example="/api/generate"), request.mapping("body"))
    try:
        _ = sent.key  # kept from here on
    except (ValueError, TypeError) as error:
        request.fail("body", f"not JSON: {error}; write texts, numbers, true/false, lists and mappings only")
    kind = Provenance(provenance.choice("kind", list(Provenance)))
    recording = Recording(
        id=entry.text("id", example=f"{step}/roman-roads"),
        step=step,
        cases=entry.texts("cases"),
        request=sent,
        reply=Reply(
            _reply_text(reply), reply.integer("status", default=200, low=100), _frames(reply), _tool_calls(reply)
        ),
        provenance=kind,
        recorded=provenance.text("recorded", example="a date such as 2026-11-23"),
        note=provenance.text("note", default=""),
        origin=Provenance(provenance.choice("origin", _ORIGINS)) if kind is Provenance.REKEYED else None,
        model=provenance.text("model", default=""),
        model_version=provenance.text("model_version", default=""),
        server=provenance.text("server", default=""),
    )
    for part in (request, reply, provenance, entry):
        part.finish()
    return recording


def _reply_text(reply: Section) -> str:
    value = reply.value("text", "text: what the model answered")
    if not isinstance(value, str):
        reply.fail("text", f"{value!r} is not a text; put it in quotes or a block (|)")
    return value


def _frames(reply: Section) -> tuple[Frame, ...]:
    frames = []
    for entry in reply.sections("frames", default=()):
        frames.append(Frame(entry.number("offset", low=0.0), _frame_data(entry)))
        entry.finish()
    return tuple(frames)


def _frame_data(entry: Section) -> bytes:
    if "text" in entry.data and "data" not in entry.data:
        text = entry.value("text", "text: the frame")
        if not isinstance(text, str):
            entry.fail("text", f"{text!r} is not a text; put it in quotes or a block (|)")
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(entry.text("data", example="base64"), validate=True)
    except (binascii.Error, ValueError):
        entry.fail("data", "not base64; write the frame's bytes in base64, or its text under text")


def _tool_calls(reply: Section) -> tuple[ToolCall, ...]:
    calls = []
    for entry in reply.sections("tool_calls", default=()):
        calls.append(ToolCall(entry.text("name", example="search"), entry.mapping("arguments")))
        entry.finish()
    return tuple(calls)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, which people can read and edit."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # control characters are escaped; the next-line character would be read back as \n where it is not
    style = '"' if _CONTROL.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump_recordings(step: str, recordings: Iterable[Recording]) -> str:
    """The YAML file of one step, as ``load_recordings`` reads it.

    Raises:
        RecordingError: a recording holds half a character (a lone surrogate), which no YAML file can.
    """
    return dump_file(step, [dump_entry(one) for one in recordings])


def dump_file(step: str, entries: Sequence[str]) -> str:
    """The YAML file of one step, of what ``dump_entry`` made of its recordings."""
    return _dumped({"step": step}) + ("recordings:\n" + "".join(entries) if entries else "recordings: []\n")


def dump_entry(one: Recording) -> str:
    """A recording as it stands in the file of its step.

    Raises:
        RecordingError: it holds half a character (a lone surrogate), which no YAML file can.
    """
    provenance = {"kind": one.provenance.value, "recorded": one.recorded}
    if one.origin is not None:
        provenance["origin"] = one.origin.value
    told = {"model": one.model, "model_version": one.model_version, "server": one.server, "note": one.note}
    provenance |= {key: value for key, value in told.items() if value}
    entry = {
        "id": one.id,
        "cases": list(one.cases),
        "provenance": provenance,
        "request": {
            "provider": one.request.provider,
            "operation": one.request.operation,
            "body": dict(one.request.body),
        },
        "reply": _dumped_reply(one.reply),
    }
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RecordingError(
            f"recording {one.id!r} holds half a character ({error.object[error.start : error.end]!a}), "
            "which cannot be read back, so nothing is written; take it out of the case's inputs or of the reply"
        ) from error
    return _dumped([entry])


def _dumped(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _dumped_reply(reply: Reply) -> dict[str, Any]:
    dumped: dict[str, Any] = {"status": reply.status, "text": reply.text}
    if reply.tool_calls:
        dumped["tool_calls"] = [{"name": one.name, "arguments": dict(one.arguments)} for one in reply.tool_calls]
    if reply.frames:
        dumped["frames"] = [{"offset": frame.offset, **_dumped_data(frame.data)} for frame in reply.frames]
    return dumped


def _dumped_data(data: bytes) -> dict[str, str]:
    """A frame as text, which people can read and compare; in base64 where it is none, as where it ends within a character."""
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"data": base64.b64encode(data).decode("ascii")}


def readable(request: Request) -> list[str]:
    """A request as lines for a reader or a diff: one line per value, texts line by line. Other requests, other lines.

    JSON is what could be mistaken otherwise: a text that reads like a number, a line that another boundary than \\n ends.
    """
    lines = [f"{request.provider} {request.operation}"]

    def walk(prefix: str, value: Json) -> None:
        if isinstance(value, dict) and value:
            for key in sorted(value):
                shown = key if _PLAIN_KEY.fullmatch(key) else _as_json(key)
                walk(f"{prefix}.{shown}" if prefix else shown, value[key])
        elif isinstance(value, list) and value:
            for index, one in enumerate(value):
                walk(f"{prefix}[{index}]", one)
        elif isinstance(value, str) and "\n" in value:
            lines.append(f"{prefix}:")
            for line in value.split("\n"):
                quoted = line.startswith('"') or _BOUNDARY.search(line)
                lines.append(f"  {_as_json(line) if quoted else line}")
        else:
            quoted = not isinstance(value, str) or _AMBIGUOUS.match(value) or _BOUNDARY.search(value)
            lines.append(f"{prefix}: {_as_json(value) if quoted else value}")

    if request.body:
        walk("", dict(request.body))
    return lines


def _as_json(value: Json) -> str:
    # JSON leaves U+0085, U+2028 and U+2029 as they are
    return _BOUNDARY.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def difference(before: Request, after: Request, *, context: int = 2) -> str:
    """Unified diff of two requests as text; empty where they are equal."""
    lines = difflib.unified_diff(readable(before), readable(after), "recorded", "sent", n=context, lineterm="")
    return "\n".join(lines)
