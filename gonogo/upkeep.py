"""The upkeep of recordings: adding them, finding those that a changed prompt left behind, moving them to it.

A recording is *moved* where its case now leads to another request, *unused* where no case leads to it, and a case is
*missing* where no recording was made for it. All of it is pure but the functions that ask a release
(``request_of``, ``sent_requests``) and write files (``write_recordings``).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gonogo.documents import Section, closest, read_yaml
from gonogo.errors import DefinitionError, MissingReply, ProductError, RecordingError, TargetError
from gonogo.model import Case, Provenance, Recording, Reply, Request, Step, Workflow
from gonogo.recordings import RecordingSet, difference, dump_recordings, load_recordings
from gonogo.stub import LlmFault, Script
from gonogo.workbench import Target

__all__ = [
    "Moved",
    "Replies",
    "Source",
    "Survey",
    "by_step",
    "check_layout",
    "new_recordings",
    "place",
    "read_replies",
    "rekey",
    "request_of",
    "sent_requests",
    "survey",
    "write_recordings",
]

_ANY_REPLY = "A reply that only serves to see the request."
_REKEYED = re.compile(r"rekeyed \S+ from ")


@dataclass(frozen=True, slots=True)
class Replies:
    """What a file for ``gonogo recordings add`` holds: replies of the model to cases of one step."""

    step: Step
    replies: Mapping[str, str]
    shown: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where replies come from. ``recorded`` is a date in ISO 8601."""

    provenance: Provenance
    recorded: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """Cases of one recording that no longer lead to its request but to another."""

    recording: Recording
    cases: tuple[str, ...]
    sent: Request

    @property
    def difference(self) -> str:
        """Unified diff from the recorded request to the one that is sent now."""
        return difference(self.recording.request, self.sent)


@dataclass(frozen=True, slots=True)
class Survey:
    """How the recordings of one release stand to its cases. Cases are given as ``step/case``; both maps say why."""

    moved: tuple[Moved, ...]
    unused: tuple[Recording, ...]
    missing: Mapping[str, str]
    failed: Mapping[str, str]

    @property
    def clean(self) -> bool:
        """Whether every case leads to the recording made for it, and every recording is led to."""
        return not (self.moved or self.unused or self.missing or self.failed)


def read_replies(path: Path, workflow: Workflow) -> Replies:
    """Read a file ``{step: id, replies: {case id: text}}``.

    Raises:
        DefinitionError: it is malformed, or names a step or a case that the workflow does not have.
    """
    document = read_yaml(path)
    section = Section.of(document)
    step_id = section.text("step", example=path.stem)
    steps = {step.id: step for step in workflow.steps}
    if step_id not in steps:
        near = closest(step_id, steps)
        section.fail("step", f"there is no step {step_id!r}{near}; write the id of a file below workflows/")
    known = [case.id for case in workflow.cases_of(step_id)]
    replies = section.mapping("replies")
    for case, text in replies.items():
        if case not in known:
            near = closest(str(case), known)
            section.fail("replies", f"the step {step_id!r} has no case {case!r}{near}; add the case first")
        if not isinstance(text, str):
            section.fail("replies", f"{case}: {text!r} is not a text; put it in quotes or a block (|)")
    section.finish()
    return Replies(steps[step_id], replies, document.shown)


def request_of(target: Target, step: Step, case: Case, reply: str | None = None) -> Request:
    """The full request that a release sends to its model for a case: the first one, whatever it makes of the answer.

    Args:
        reply: what the model answers; give a reply that conforms where there is one, so that nothing is tried again.

    Raises:
        ProductError: the release raised, or sent no request.
    """
    try:
        ran = target.run(case, script=Script(Reply(_ANY_REPLY if reply is None else reply), step.model))
    except MissingReply:
        # a release that asks another model than the step names; an empty answer is given to any
        ran = target.run(case, fault=LlmFault.EMPTY)
    if not ran.exchanges:
        said = (ran.run.error or {}).get("message", f"status {ran.run.status}")
        raise ProductError(f"{case.path}: the release sent no request to its model ({said})")
    return ran.exchanges[0].request


def sent_requests(target: Target, workflow: Workflow, kept: RecordingSet) -> dict[str, Request | str]:
    """``step/case`` -> the request that a release sends for it, or in words why there is none.

    Args:
        kept: recordings of the release; a case is answered with the reply that was recorded for it.
    """
    sent: dict[str, Request | str] = {}
    for step in workflow.steps:
        for case in workflow.cases_of(step.id):
            made = kept.of_case(step.id, case.id)
            try:
                sent[case.path] = request_of(target, step, case, made.reply.text if made else None)
            except (ProductError, TargetError) as error:
                sent[case.path] = str(error)
    return sent


def new_recordings(step: str, found: Iterable[tuple[str, str, Request]], source: Source) -> tuple[Recording, ...]:
    """Recordings made of (case id, reply, request); cases that lead to one request share a recording.

    Raises:
        RecordingError: two cases lead to one request and have different replies.
    """
    made: dict[str, Recording] = {}
    for case, text, request in found:
        first = made.get(request.key)
        if first is None:
            made[request.key] = Recording(
                id=f"{step}/{case}",
                step=step,
                cases=(case,),
                request=request,
                reply=Reply(text),
                provenance=source.provenance,
                recorded=source.recorded,
                note=source.note,
            )
        elif first.reply.text == text:
            made[request.key] = replace(first, cases=(*first.cases, case))
        else:
            raise RecordingError(
                f"{step}/{case}: leads to the same request as {first.id} but has another reply; "
                "a model that is asked the same is replayed with one reply: give both cases the same text"
            )
    return tuple(made.values())


def place(
    existing: Sequence[Recording], new: Sequence[Recording], *, order: Sequence[str], over: bool = False
) -> tuple[Recording, ...]:
    """The recordings of one step with new ones among them, in the order of the cases ``order``.

    What says the same as an existing recording changes nothing.

    Args:
        over: whether a new recording may take the place of another one of the same case or request.

    Raises:
        RecordingError: a case or a request has another recording already, and ``over`` is false.
    """
    kept = list(existing)
    for one in new:
        result: list[Recording] = []
        for old in kept:
            same = old.request.key == one.request.key
            if same and old.reply == one.reply:
                one = replace(old, cases=_joined(old.cases, one.cases))
            elif not over and (same or set(old.cases) & set(one.cases)):
                what = "the same request" if same else "the same case"
                differing = "reply" if same else "request"
                raise RecordingError(
                    f"{one.id}: {old.id} is a recording of {what} with another {differing}; "
                    "give --replace to put the new one in its place"
                )
            elif same:
                one = replace(one, cases=_joined(one.cases, old.cases))
            elif not old.cases:  # made for none, as what a recorder could not assign
                result.append(old)
            elif rest := tuple(case for case in old.cases if case not in one.cases):
                result.append(replace(old, cases=rest))
        kept = [*result, replace(one, id=_free_id(one.id, {old.id for old in result}))]
    rank = {case: index for index, case in enumerate(order)}
    last = len(rank)
    return tuple(sorted(kept, key=lambda one: min((rank.get(case, last) for case in one.cases), default=last)))


def _joined(some: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def _free_id(wanted: str, taken: Container[str]) -> str:
    number, free = 2, wanted
    while free in taken:
        number, free = number + 1, f"{wanted}-{number}"
    return free


def survey(recordings: RecordingSet, workflow: Workflow, sent: Mapping[str, Request | str]) -> Survey:
    """Compare recordings with what every case leads to.

    Args:
        sent: ``step/case`` -> the request, or in words why there is none.
    """
    moves: dict[tuple[str, str], Moved] = {}
    led_to: set[str] = set()
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    for step in workflow.steps:
        for case in workflow.cases_of(step.id):
            made, request = recordings.of_case(step.id, case.id), sent[case.path]
            if isinstance(request, str):
                failed[case.path] = request
            elif made is None:
                other = recordings.find(request)
                advice = f"{other.id} has its request; list the case there" if other else "no recording was made for it"
                missing[case.path] = advice
            elif recordings.find(request) is not made:
                sent_now = recordings.redaction.request(request)  # what update is to write
                earlier = moves.get((made.id, sent_now.key))
                cases = (*(earlier.cases if earlier else ()), case.id)
                moves[made.id, sent_now.key] = Moved(made, cases, sent_now)
            if made is not None:
                led_to.add(made.id)
            if isinstance(request, Request) and (answered := recordings.find(request)) is not None:
                led_to.add(answered.id)
    unused = tuple(one for one in recordings.recordings if one.id not in led_to)
    return Survey(tuple(moves.values()), unused, missing, failed)


def rekey(recordings: Sequence[Recording], moves: Iterable[Moved], *, today: str) -> tuple[Recording, ...]:
    """The recordings of one step with the given moves made: requests replaced, provenance ``rekeyed``.

    Cases of a recording that have moved apart get a recording each; cases that still lead to it stay with it.

    Raises:
        RecordingError: a case has moved to a request that another recording answers differently.
    """
    pieces: dict[str, list[Moved]] = {}
    for move in moves:
        pieces.setdefault(move.recording.id, []).append(move)
    ids = {one.id for one in recordings}
    # what stays comes first, so that a case joins a recording made for its request rather than a moved one
    slots: list[Recording | None] = []
    moved: list[tuple[int, Recording]] = []
    for old in recordings:
        gone = {case for move in pieces.get(old.id, ()) for case in move.cases}
        stay = tuple(case for case in old.cases if case not in gone)
        slots.append(replace(old, cases=stay) if stay or not gone else None)
        for number, move in enumerate(pieces.get(old.id, ())):
            new_id = old.id if not stay and number == 0 else _free_id(f"{old.step}/{move.cases[0]}", ids)
            ids.add(new_id)
            piece = replace(old, id=new_id, cases=move.cases, request=move.sent, note=_rekeyed_note(old, today))
            moved.append(
                (len(slots), replace(piece, provenance=Provenance.REKEYED, origin=old.origin or old.provenance))
            )
            slots.append(None)
    by_key = {one.request.key: index for index, one in enumerate(slots) if one is not None}
    for index, piece in moved:
        twin = slots[by_key.setdefault(piece.request.key, index)]
        if twin is None:
            slots[index] = piece
        elif twin.reply == piece.reply:
            slots[by_key[piece.request.key]] = replace(twin, cases=_joined(twin.cases, piece.cases))
        else:
            raise RecordingError(
                f"{piece.id}: its case {piece.cases[0]!r} now leads to the request of {twin.id}, "
                "which has another reply; remove one of the two recordings and list the cases of both in the other"
            )
    return tuple(one for one in slots if one is not None)


def _rekeyed_note(recording: Recording, today: str) -> str:
    if recording.provenance is Provenance.REKEYED and _REKEYED.match(recording.note):
        return _REKEYED.sub(f"rekeyed {today} from ", recording.note, count=1)
    before = f"rekeyed {today} from {recording.provenance.value}, {recording.recorded}"
    return f"{before}; {recording.note}" if recording.note else before


def by_step(recordings: Iterable[Recording]) -> dict[str, tuple[Recording, ...]]:
    """The recordings of each step, in their order."""
    found: dict[str, tuple[Recording, ...]] = {}
    for one in recordings:
        found[one.step] = (*found.get(one.step, ()), one)
    return found


def check_layout(folder: Path, *, root: Path | None = None) -> None:
    """Whether each file of a release's folder is named after its step, which writing relies on.

    Raises:
        RecordingError: one is not.
    """
    for path in sorted(folder.glob("*.yaml")):
        document = read_yaml(path, root=root)
        step = document.data.get("step")
        if step != path.stem:
            raise RecordingError(f"{document.shown}: holds recordings of the step {step!r}; name the file {step}.yaml")


def write_recordings(
    folder: Path, before: Mapping[str, Sequence[Recording]], after: Mapping[str, Sequence[Recording]]
) -> tuple[Path, ...]:
    """Write ``<step>.yaml`` for every step whose recordings have changed; each whole or not at all.

    Everything is read back and compared before the first file is replaced.

    Returns:
        The files that were written.

    Raises:
        RecordingError: the recordings contradict each other, or do not come back from YAML as they were.
    """
    RecordingSet.of(one for recordings in {**before, **after}.values() for one in recordings)
    changed = {step: recordings for step, recordings in after.items() if [*recordings] != [*before.get(step, ())]}
    if not changed:
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as scratch:
        for step, recordings in changed.items():
            (Path(scratch) / f"{step}.yaml").write_text(dump_recordings(step, recordings), encoding="utf-8")
        try:
            back = by_step(load_recordings(Path(scratch)).recordings)
        except DefinitionError as error:  # lone surrogates, for one, are not to be had in YAML
            raise RecordingError(
                f"what is to be written cannot be read back, so nothing is written: {error}"
            ) from error
        for step, recordings in changed.items():
            if [(one, one.request.key) for one in back.get(step, ())] != [(one, one.request.key) for one in recordings]:
                raise RecordingError(
                    f"the recordings of {step} would not come back from YAML as they are; nothing is written"
                )
        for step in changed:
            (Path(scratch) / f"{step}.yaml").replace(folder / f"{step}.yaml")
    return tuple(folder / f"{step}.yaml" for step in changed)
