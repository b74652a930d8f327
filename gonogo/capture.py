"""Recordings made of exchanges with a model, written one after the other.

A file is replaced as a whole, so a recorder that is killed leaves every recording that it had finished and no half one.
"""

from __future__ import annotations

import enum
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from gonogo.documents import parse_yaml
from gonogo.errors import DefinitionError, RecordingError
from gonogo.model import Provenance, Recording, Request, Workflow, canonical
from gonogo.recordings import (
    PATTERNS,
    RecordingSet,
    dump_entry,
    dump_file,
    dump_patterns,
    load_recordings,
    read_patterns,
    recordings_in,
)
from gonogo.redaction import Redaction, kinds_in
from gonogo.stub.protocols import Parsed, parse_reply
from gonogo.stub.recorder import Ending, Passed
from gonogo.stub.redacted import CleanReply, clean_reply
from gonogo.upkeep import by_step, check_layout, place

__all__ = ["UNASSIGNED", "Assigned", "Capture", "Kept", "Outcome", "assign", "begin_patterns", "locked"]

UNASSIGNED = "unassigned"  # the step of recordings that no case leads to


class Outcome(enum.StrEnum):
    """What became of an exchange, in the words of the summary."""

    RECORDED = "recorded"
    THERE = "already there"
    CUT_SHORT = "cut short"
    FAILED = "failed"
    LEFT_OUT = "not recorded"


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an exchange; ``said`` is for a reader, empty where there is nothing to tell."""

    outcome: Outcome
    said: str = ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """The step and the cases that lead to a request."""

    step: str
    cases: tuple[str, ...]


def assign(workflow: Workflow, sent: Mapping[str, Request | str], redaction: Redaction) -> dict[str, Assigned]:
    """Key of a request, as it is recorded -> the cases that lead to it. Of several steps the first one has it."""
    found: dict[str, Assigned] = {}
    for step in workflow.steps:
        for case in workflow.cases_of(step.id):
            request = sent[case.path]
            if isinstance(request, Request):
                key = redaction.request(request).key
                known = found.setdefault(key, Assigned(step.id, ()))
                if known.step == step.id:
                    found[key] = Assigned(step.id, (*known.cases, case.id))
    return found


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other recorders out of it until the block ends, or this process does.

    Raises:
        RecordingError: another recorder writes into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RecordingError(
            f"{folder}: another gonogo record writes into it; end that one, or choose another --out"
        ) from error
    finally:
        os.close(descriptor)


def begin_patterns(folder: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """All patterns of a folder with new ones among them; they are written, so that requests are redacted by them later."""
    before = read_patterns(folder)
    after = tuple(dict.fromkeys((*before, *Redaction(tuple(patterns)).patterns)))
    if after != before:
        _replace(folder / PATTERNS, dump_patterns(after))
    return after


@dataclass
class Capture:
    """The recordings of one folder, and what exchanges add to them. For one thread.

    Attributes:
        folder: of a release's recordings.
        redaction: what counts as a secret.
        assigned: see ``assign``.
        order: step -> its cases in their order.
        errors: whether answers with an error status are recorded.
        over: whether a recording of the same request, or of the same case, is replaced.
    """

    folder: Path
    redaction: Redaction
    assigned: Mapping[str, Assigned] = field(default_factory=dict)
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: bool = False
    over: bool = False
    _recordings: RecordingSet = field(default_factory=lambda: RecordingSet.of(()), init=False)
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)
    _entries: dict[str, tuple[Recording, str]] = field(default_factory=dict, init=False)

    def keep(self, passed: Passed) -> Kept:
        """Record an exchange, or say why not.

        Raises:
            DefinitionError: a file of the folder was made unusable meanwhile.
        """
        kept = self._keep(passed)
        return replace(kept, said=self.redaction.text(kept.said))

    def _keep(self, passed: Passed) -> Kept:
        if passed.request is None:
            return Kept(Outcome.LEFT_OUT, f"{passed.what}: {passed.unfit}" if passed.unfit else "")
        parsed, kept = _judged(passed, passed.request, errors=self.errors)
        if kept is not None:
            return kept
        self._refresh()
        request = self.redaction.request(passed.request)
        known = self._recordings.find(request)
        if known is not None and not self.over:
            return Kept(Outcome.THERE, f"{passed.what}: {known.id} has its request; give --replace to record it anew")
        try:
            clean = clean_reply(
                passed.request, passed.status, passed.frames, self.redaction, spoken_of=request is not passed.request
            )
            recording = self._recording(passed, request, clean, parsed, known)
            self._put(recording, known)
        except RecordingError as error:
            return Kept(Outcome.LEFT_OUT, f"{passed.what}: {error}")
        return Kept(Outcome.RECORDED, f"{passed.what}: {recording.id}")

    def _recording(
        self, passed: Passed, request: Request, clean: CleanReply, parsed: Parsed, known: Recording | None
    ) -> Recording:
        stays = Assigned(known.step, known.cases) if known else Assigned(UNASSIGNED, ())
        found = self.assigned.get(request.key, stays)
        step, cases = found.step, found.cases
        if not self.over:  # a case that has another recording keeps it
            cases = tuple(case for case in cases if self._recordings.of_case(step, case) is None)
        if not cases and (known is None or known.step != step):
            step = UNASSIGNED
        made = Recording(
            id=f"{step}/{cases[0] if cases else request.key[:16]}",
            step=step,
            cases=cases,
            request=request,
            reply=clean.reply,
            provenance=Provenance.CAPTURED,
            recorded=_second(passed.sent),
            model=self.redaction.text(parsed.model or str(request.body.get("model", ""))),
            model_version=passed.model_version,
            server=passed.server,
        )
        return replace(made, note=_note(made, clean))

    def _put(self, recording: Recording, known: Recording | None) -> None:
        files = by_step(self._recordings.recordings)
        taken = {one.id for one in self._recordings.recordings if one.step != recording.step}
        if recording.id in taken:
            recording = replace(recording, id=f"{recording.id}-{recording.request.key[:8]}")
        if known is not None and known.step != recording.step:
            # first, so that no moment has two recordings of one request
            rest = tuple(one for one in files[known.step] if one is not known)
            self._write(known.step, rest)
        order = self.order.get(recording.step, ())
        after = place(files.get(recording.step, ()), [recording], order=order, over=self.over)
        self._write(recording.step, after)

    def _refresh(self) -> None:
        """Load the folder anew where somebody else has changed it."""
        seen = {path.name: _stamp(path) for path in self.folder.glob("*.yaml")}
        if seen != self._seen:
            check_layout(self.folder)
            self._recordings = load_recordings(self.folder)
            self._seen = seen

    def _write(self, step: str, recordings: Sequence[Recording]) -> None:
        path = self.folder / f"{step}.yaml"
        _replace(path, dump_file(step, [self._entry(one) for one in recordings]))
        others = [one for one in self._recordings.recordings if one.step != step]
        self._recordings = RecordingSet.of([*others, *recordings], self._recordings.redaction)
        self._seen[path.name] = _stamp(path)

    def _entry(self, one: Recording) -> str:
        """The text of a recording, made once. Raises RecordingError where it would not come back as it is."""
        before = self._entries.get(one.id)
        if before is not None and before[0] == one:
            return before[1]
        text = dump_entry(one)
        try:
            back = recordings_in(parse_yaml(dump_file(one.step, [text]).encode(), Path(f"{one.step}.yaml")))
        except DefinitionError as error:
            raise RecordingError(f"it cannot be read back from YAML ({error}); nothing of it is written") from error
        if back != [one] or back[0].request.key != one.request.key:
            raise RecordingError("it would not come back from YAML as it is; nothing of it is written")
        self._entries[one.id] = one, text
        return text


def _judged(passed: Passed, request: Request, *, errors: bool) -> tuple[Parsed, Kept | None]:
    """What the answer says, and what became of the exchange where it is not to be recorded."""
    nothing = Parsed()
    if passed.ending is Ending.UNREACHABLE:
        return nothing, Kept(Outcome.FAILED, f"{passed.what}: {passed.ending.value}: {passed.unfit}")
    if passed.ending is not Ending.WHOLE:
        return nothing, Kept(Outcome.CUT_SHORT, f"{passed.what}: {passed.ending.value}; it is not recorded")
    if passed.unfit:
        return nothing, Kept(Outcome.LEFT_OUT, f"{passed.what}: {passed.unfit}")
    failed = passed.status >= 400
    if failed and not errors:
        return nothing, Kept(Outcome.FAILED, f"{passed.what}: status {passed.status}; --errors would record it")
    try:
        parsed = parse_reply(request, passed.body, passed.status)
    except ValueError as error:
        outcome = Outcome.FAILED if failed else Outcome.LEFT_OUT
        return nothing, Kept(outcome, f"{passed.what}: status {passed.status}, and no answer of a model: {error}")
    if not failed and parsed.error is not None:
        return parsed, Kept(Outcome.FAILED, f"{passed.what}: the model's server ends with an error: {parsed.error}")
    if not failed and parsed.ended is None:
        return parsed, Kept(Outcome.CUT_SHORT, f"{passed.what}: the answer does not say that the model has ended")
    return parsed, None


def _note(recording: Recording, clean: CleanReply) -> str:
    body = b"".join(frame.data for frame in recording.reply.frames) + canonical(dict(recording.request.body))
    calls = [str(dict(one.arguments)) for one in recording.reply.tool_calls]
    kinds = kinds_in("\n".join([body.decode("utf-8", "replace"), recording.reply.text, *calls]))
    said = [f"redacted: {', '.join(sorted(kinds))}"] if kinds else []
    if clean.remade:
        said.append("frames made anew from the redacted reply")
    return "; ".join(said)


def _stamp(path: Path) -> tuple[int, int]:
    told = path.stat()
    return told.st_mtime_ns, told.st_size


def _second(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, and see it on the disk."""
    beside = path.with_name(f".{path.name}.writing")  # one name, so that what a killed recorder leaves is overwritten
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
