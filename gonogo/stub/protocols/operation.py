"""What a provider's protocol says of one operation (a path such as ``/api/generate``), and what all protocols share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gonogo.model import Json, Message, Prompt, Reply, ToolCall

__all__ = ["CREATED", "Listing", "Operation", "Parsed", "as_bytes", "events_of", "messages_of", "pieces_of"]

CREATED = "2026-01-01T00:00:00Z"  # fixed, so that equal replies are equal bytes
_PIECE = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a client makes of an answer.

    ``ended`` is why the model wrote no more, by one name with all providers: ``stop``, ``length``, ``tools``; none where the
    answer does not say that the model has ended, as a stream that was cut off.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    ended: str | None = None
    model: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one provider, as pure functions over bodies.

    Attributes:
        provider: by which recordings name it.
        prompt: what the model receives. Raises KeyError or TypeError where the body is not formed as it must be.
        streamed: whether the body asks for a stream.
        whole: the answer in one piece; from the request's body, the reply and why it ended.
        frames: the same answer as a stream, one frame for each piece.
        parse: what a client makes of the bytes of an answer (streamed or not). Raises ValueError, KeyError or TypeError for
            what is none.
        error: an error in the provider's own format; from the status and a message.
        framed: one object as a frame of the stream.
        stream_type: media type of a stream.
    """

    provider: str
    prompt: Callable[[Mapping[str, Any]], Prompt]
    streamed: Callable[[Mapping[str, Any]], bool]
    whole: Callable[[Mapping[str, Any], Reply, str | None], dict[str, Any]]
    frames: Callable[[Mapping[str, Any], Reply, str | None], list[bytes]]
    parse: Callable[[bytes, bool], Parsed]
    error: Callable[[int, str], dict[str, Any]]
    framed: Callable[[Mapping[str, Any]], bytes]
    stream_type: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a provider answers to a question that is no request to a model, such as which models there are.

    ``header``: the request header by which the provider is told from another one with the same path, or none.
    """

    method: str
    path: str
    body: Callable[[Sequence[str]], dict[str, Any]]  # from the names of the models that recordings name
    header: str | None = None


def as_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8; half a character becomes the escape that JSON has for it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def pieces_of(text: str) -> list[str]:
    """A text in pieces as a model would send them, about a word each; joined they are the text."""
    return _PIECE.findall(text)


def messages_of(messages: Sequence[Mapping[str, Any]]) -> Iterator[Message]:
    """The messages of a chat. Content in parts is the texts of its parts; parts of other kinds stand by their type."""
    for one in messages:
        content = one["content"] if "content" in one or not one.get("tool_calls") else None
        yield Message(str(one["role"]), _text_of(content))


def _text_of(content: Json) -> str:
    if content is None:  # a turn of the model that only called tools
        return ""
    if isinstance(content, list):
        return "\n".join(
            str(part["text"]) if "text" in part else f"[{part['type']}]" for part in content if isinstance(part, dict)
        )
    return str(content)


def events_of(stream: bytes) -> Iterator[str]:
    """The ``data`` of each server-sent event (WHATWG HTML, section 9.2.6). One that no blank line ends is none."""
    text = stream.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    for event in text.split("\n\n")[:-1]:
        data = [line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:")]
        if data:
            yield "\n".join(data)
