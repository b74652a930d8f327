"""From a model's reply to a value in the output format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from app.errors import ReplyInvalid
from app.workflow.definitions import FormatTemplate
from app.workflow.llm_client import Reply

__all__ = ["Output", "find_json", "parse_reply"]

SHOWN_VIOLATIONS: Final = 5
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*\r?\n", re.MULTILINE)
_OPENING = re.compile(r"[\[{]")


@dataclass(frozen=True, slots=True)
class Output:
    """A reply's value (any JSON value) and the text that is stored for it."""

    value: Any
    text: str


def parse_reply(reply: Reply, template: FormatTemplate) -> Output:
    """The output in `reply`: text without its outer white space, or JSON in canonical form. Raises ReplyInvalid."""
    try:
        if template.plain_text:
            text = reply.text.strip()
            output = Output(text, text)
        else:
            value = find_json(reply.text)
            output = Output(value, _canonical(value))
    except ValueError as error:
        raise _invalid(reply, str(error)) from error
    violations = []
    for violation in _validator(template).iter_errors(output.value):
        path = "/".join(str(part) for part in violation.instance_path)
        violations.append(f"at /{path}: {violation.message}")
    if violations:
        more = len(violations) - SHOWN_VIOLATIONS
        shown = "; ".join(violations[:SHOWN_VIOLATIONS]) + (f"; and {more} more" if more > 0 else "")
        raise _invalid(reply, f"the reply does not satisfy format {template.id!r}: {shown}")
    return output


def _invalid(reply: Reply, cause: str) -> ReplyInvalid:
    return ReplyInvalid(cause, step=reply.step, model=reply.model, attempt=reply.attempt, reply=reply.text)


@lru_cache(maxsize=64)
def _validator(template: FormatTemplate) -> jsonschema_rs.Draft202012Validator:
    # values are masked, as messages go into logs and HTTP answers, and a value may be the whole reply
    return jsonschema_rs.Draft202012Validator(dict(template.schema), mask="the value", offline=True)


def find_json(text: str) -> Any:
    """The JSON value that is the text; else that stands in a Markdown fence; else the longest that follows some words.

    Raises ValueError where there is none, or where the first that begins does not end: a part of a broken value is
    never taken for the whole.
    """
    try:
        return _decode(text.strip())[0]
    except _NoJson:
        pass
    for fence in _FENCE.finditer(text):
        try:
            return _decode(text[fence.end() :].lstrip(), rest="```")[0]
        except _NoJson:
            continue
    return _after_preamble(text)


def _after_preamble(text: str) -> Any:
    best: tuple[int, Any] | None = None
    position = 0
    while (opening := _OPENING.search(text, position)) is not None:
        start = opening.start()
        try:
            value, length = _decode(text[start:], rest=None)
        except _NoJson as error:
            if error.position > 1:
                raise ValueError(f"the reply's JSON is broken: {error}") from error
            position = start + 1  # a bracket of the words before it, such as "[as requested]"
            continue
        if best is None or length > best[0]:
            best = length, value
        position = start + length
    if best is None:
        raise ValueError("the reply holds no JSON")
    return best[1]


class _NoJson(ValueError):
    """No JSON value begins here; `position` is where that shows, counted from the first white space or bracket."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def _decode(text: str, rest: str | None = "") -> tuple[Any, int]:
    """The JSON value at the start of `text`, and its length.

    What follows it must be nothing (``""``), must begin with `rest` or be nothing, or may be anything (None).
    """
    try:
        value, length = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        blanks = len(text[1 : error.pos]) - len(text[1 : error.pos].strip())
        raise _NoJson(f"{error.msg} at character {error.pos}", error.pos - blanks) from error
    except (ValueError, RecursionError) as error:
        raise _NoJson(f"a number or a nesting beyond all bounds ({type(error).__name__})", len(text)) from error
    following = text[length:].strip()
    if rest is not None and following and not (rest and following.startswith(rest)):
        raise _NoJson("there is more after the JSON value", length)
    return value, length


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _canonical(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("the reply's JSON holds a lone surrogate, which cannot be stored") from error
    except ValueError as error:
        raise ValueError("the reply's JSON holds a number beyond all bounds") from error
    return text
