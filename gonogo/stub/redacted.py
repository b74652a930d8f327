"""A recorded reply without its secrets, frame by frame.

A model writes a secret a few letters at a time, so the pieces of a stream that belong together (the same place in each
object) are read as one text, and what is replaced in it is replaced in the pieces. Everything else stays as it came.
Where that leaves something, the frames are made anew from the redacted reply.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gonogo.errors import RecordingError
from gonogo.model import Frame, Reply, Request, ToolCall
from gonogo.redaction import Redaction, Span, is_secret, joined
from gonogo.stub.protocols import Parsed, is_streamed, parse_reply, reply_frames
from gonogo.stub.protocols.operation import as_bytes

__all__ = ["CleanReply", "clean_reply"]

_ROUNDS = 4
_TOKENS = ("logprobs", "context")  # the reply once more as tokens, which no pattern finds a secret in
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class CleanReply:
    """A reply that can be written. ``remade``: its frames are not those that came, but made from the redacted text."""

    reply: Reply
    remade: bool = False


def clean_reply(
    request: Request, status: int, frames: Sequence[Frame], redaction: Redaction, *, spoken_of: bool = False
) -> CleanReply:
    """What an answer says, without secrets.

    Args:
        request: as it was sent.
        status: of the answer.
        frames: its body as it came.
        redaction: what counts as a secret.
        spoken_of: the request held a secret, so that the reply's tokens may hold it too.

    Raises:
        ValueError: it is no answer to this request.
        RecordingError: it holds a secret that could not be taken out.
    """
    body = b"".join(frame.data for frame in frames)
    parsed = parse_reply(request, body, status)
    streamed = is_streamed(request) and status < 400
    stream = _Stream.read(body, streamed)
    changed = stream.redact(redaction)
    if changed or spoken_of:
        stream.forget_tokens()
    if not changed and stream.is_clean(redaction):
        kept = stream.cut_anew(frames)
        return CleanReply(_reply(parsed, status, kept))
    if changed and stream.readable and _Stream.read(stream.body, streamed).is_clean(redaction):
        return CleanReply(_reply(parse_reply(request, stream.body, status), status, stream.cut_anew(frames)))
    return CleanReply(_made_anew(request, status, frames, parsed, redaction), remade=True)


def _reply(parsed: Parsed, status: int, frames: tuple[Frame, ...]) -> Reply:
    text = parsed.text if parsed.error is None else parsed.error
    return Reply(text, status, frames, parsed.tool_calls)


def _made_anew(request: Request, status: int, frames: Sequence[Frame], parsed: Parsed, redaction: Redaction) -> Reply:
    calls = tuple(ToolCall(one.name, _redacted(one.arguments, redaction)) for one in parsed.tool_calls)
    said = _reply(parsed, status, ())
    reply = Reply(redaction.text(said.text), status, (), calls)
    made = reply_frames(request, reply, parsed.ended)
    last = len(frames) - 1
    offsets = [frames[min(number * len(frames) // len(made), last)].offset for number in range(len(made))]
    whole = b"".join(frame.data for frame in made)
    if not _Stream.read(whole, is_streamed(request) and status < 400).is_clean(redaction):
        raise RecordingError("it holds a secret that cannot be taken out; nothing of it is written")
    paced = tuple(Frame(offset, frame.data) for offset, frame in zip(offsets, made, strict=True))
    return Reply(reply.text, status, paced, calls)


def _redacted(arguments: Mapping[str, Any], redaction: Redaction) -> dict[str, Any]:
    value = redaction.value(dict(arguments))
    assert isinstance(value, dict)
    return value


@dataclass
class _Piece:
    """A line of a stream, or a whole body: JSON with something before and after it, or something else."""

    raw: bytes
    before: bytes = b""
    value: Any = None
    after: bytes = b""
    changed: bool = False

    @property
    def bytes(self) -> bytes:
        return self.before + _as_bytes(self.value) + self.after if self.changed else self.raw


def _as_bytes(value: Any) -> bytes:
    return as_bytes(value) if isinstance(value, dict) else json.dumps(value, ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A text in an object of a stream, and where it can be replaced."""

    piece: _Piece
    holder: Any
    key: str | int
    name: str

    @property
    def text(self) -> str:
        return str(self.holder[self.key])

    def put(self, text: str) -> None:
        if text != self.holder[self.key]:
            self.holder[self.key] = text
            self.piece.changed = True


@dataclass
class _Stream:
    """The body of an answer in pieces. ``readable`` is false where something in it is neither JSON nor what belongs to a stream."""

    pieces: list[_Piece]
    readable: bool = True
    others: list[str] = field(default_factory=list)  # what is no JSON

    @classmethod
    def read(cls, body: bytes, streamed: bool) -> _Stream:
        """Take a body apart."""
        stream = cls([])
        for line in body.splitlines(keepends=True) if streamed else [body]:
            stream._take(line, streamed)
        return stream

    def _take(self, line: bytes, streamed: bool) -> None:
        content = line.strip()
        start = line.index(content)
        if streamed and content.startswith(b"data:"):
            content = content[5:].strip()
            start = line.index(content, start + 5)
        try:
            value = json.loads(content, object_pairs_hook=_without_doubles)
        except (ValueError, RecursionError):
            self.pieces.append(_Piece(line))
            self.others.append(line.decode("utf-8", "replace"))
            self.readable &= (
                not content or content == b"[DONE]" or content.startswith((b"event:", b"id:", b"retry:", b":"))
            )
        else:
            self.pieces.append(_Piece(line, line[:start], value, line[start + len(content) :]))

    @property
    def body(self) -> bytes:
        """All pieces together."""
        return b"".join(piece.bytes for piece in self.pieces)

    def _texts(self) -> dict[Path, list[_Leaf]]:
        """Texts by their place; those of one place are one text that came bit by bit."""
        found: dict[Path, list[_Leaf]] = {}
        for piece in self.pieces:
            for path, leaf in _leaves(piece, {"": piece.value}, (), ""):
                found.setdefault(path, []).append(leaf)
        return found

    def _findings(self, redaction: Redaction) -> Iterator[tuple[list[_Leaf], list[Span]]]:
        known: dict[tuple[str, str], list[Span]] = {}
        for leaves in self._texts().values():
            spans, whole = [], []
            position = 0
            for leaf in leaves:
                text = leaf.text
                if (text, leaf.name) not in known:
                    known[text, leaf.name] = redaction.named_spans(text, leaf.name)
                spans += [Span(one.start + position, one.end + position, one.instead) for one in known[text, leaf.name]]
                whole.append(text)
                position += len(text)
            if len(leaves) > 1:
                spans += redaction.spans("".join(whole))
            if spans:
                yield leaves, joined(spans)

    def redact(self, redaction: Redaction) -> bool:
        """Take secrets out of the texts; whether there were any."""
        found = self._redact_numbers()
        for _ in range(_ROUNDS):
            findings = list(self._findings(redaction))
            if not findings:
                break
            found = True
            for leaves, spans in findings:
                _replace(leaves, spans)
        return found

    def _redact_numbers(self) -> bool:
        """Take numbers out that stand under the name of a secret, as a PIN does."""
        found = False
        for piece in self.pieces:
            for holder, key, value in _members(piece.value):
                if isinstance(value, int | float) and is_secret(key, value):
                    holder[key] = "[redacted:field]"
                    piece.changed = found = True
        return found

    def is_clean(self, redaction: Redaction) -> bool:
        """Whether no secret is left, be it in a key, in a number or in what is no JSON."""
        keys = {key for piece in self.pieces for _, key, _ in _members(piece.value)}
        numbers = any(
            isinstance(value, int | float) and is_secret(key, value)
            for piece in self.pieces
            for _, key, value in _members(piece.value)
        )
        others = "".join(self.others)
        return (
            not numbers
            and not any(redaction.spans(key) for key in keys)
            and not redaction.spans(others)
            and next(self._findings(redaction), None) is None
        )

    def forget_tokens(self) -> None:
        """Remove what repeats the reply as tokens."""
        for piece in self.pieces:
            for holder, key, value in list(_members(piece.value)):
                if key in _TOKENS and value:
                    holder[key] = [] if isinstance(value, list) else None
                    piece.changed = True

    def cut_anew(self, frames: Sequence[Frame]) -> tuple[Frame, ...]:
        """The body in frames that end where they ended, at the same offsets; one of which nothing is left falls out."""
        if not any(piece.changed for piece in self.pieces):
            return tuple(frames)
        olds, news = [0], [0]
        for piece in self.pieces:
            olds.append(olds[-1] + len(piece.raw))
            news.append(news[-1] + len(piece.bytes))

        def moved(position: int) -> int:
            number = bisect_right(olds, position) - 1
            if number == len(self.pieces):
                return news[-1]
            return min(news[number] + position - olds[number], news[number + 1])

        body, made, position = self.body, [], 0
        for frame in frames:
            begin, position = moved(position), position + len(frame.data)
            data = body[begin : moved(position)]
            if data:
                made.append(Frame(frame.offset, data))
        return tuple(made)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as it is read; one that holds a key twice would hide what it held first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands there twice")
    return made


def _leaves(piece: _Piece, holder: Any, path: Path, name: str) -> Iterator[tuple[Path, _Leaf]]:
    """The texts below a list or an object; an entry of a list goes by its ``index`` where it has one."""
    for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
        index = value.get("index") if isinstance(value, dict) else None
        below = (*path, key, index) if isinstance(key, str) and isinstance(index, int) else (*path, key)
        if isinstance(key, int) and isinstance(index, int):
            below = (*path, index)
        called = key if isinstance(key, str) else name
        if isinstance(value, str):
            yield below, _Leaf(piece, holder, key, called)
        elif isinstance(value, dict | list):
            yield from _leaves(piece, value, below, called)


def _members(value: Any) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Every entry of every object in a value."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield value, key, one
            yield from _members(one)
    elif isinstance(value, list):
        for one in value:
            yield from _members(one)


def _replace(leaves: Sequence[_Leaf], spans: Sequence[Span]) -> None:
    """Replace spans of the whole in its pieces: what stands instead goes where a span begins."""
    begin, first = 0, 0
    for leaf in leaves:
        text = leaf.text
        end, position, parts = begin + len(text), begin, []
        while first < len(spans) and spans[first].end <= begin:
            first += 1
        for span in spans[first:]:
            if span.start >= end:
                break
            parts.append(text[position - begin : max(span.start - begin, position - begin)])
            if span.start >= begin:
                parts.append(span.instead)
            position = max(position, span.end)
        parts.append(text[min(position, end) - begin :])
        leaf.put("".join(parts))
        begin = end
