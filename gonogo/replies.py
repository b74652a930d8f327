"""Whether a model's reply is what its output format asks for. Pure; written without a look at any application's parser."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import NoReturn

import jsonschema_rs

from gonogo.model import Finding, FormatTemplate, Json

__all__ = ["json_in", "reply_conforms"]

CHECK = "reply"
_FENCED = re.compile(r"^[ \t]*```[\w-]*[ \t]*\r?\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_OPENING = re.compile(r"[\[{]")
# A bracket that begins a JSON value, and not a remark such as "[as requested]".
_BEGINS_A_VALUE = re.compile(r"[\[{]\s*(?:[\"\[{\]}\d-]|true\b|false\b|null\b)")
# an escape that may stand for half a character, or half a character as it is: neither can be sent or stored
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_EXCERPT = 120


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def json_in(text: str) -> Json:
    """The JSON value of a reply: the whole of it, else a fenced block, else the longest value among words.

    A part of a value that was cut off is never taken for the whole.

    Raises:
        ValueError: there is none, it is broken, or it holds what no JSON may hold (NaN, an infinity, a lone surrogate).
    """
    for candidate in (text, *_FENCED.findall(text)):
        try:
            value, end = _decode(candidate.strip(), 0)
        except json.JSONDecodeError:
            continue
        if end == len(candidate.strip()):
            return value
    found: list[tuple[int, Json]] = []
    position = 0
    while (opening := _OPENING.search(text, position)) is not None:
        start = opening.start()
        try:
            value, position = _decode(text, start)
            found.append((position - start, value))
        except json.JSONDecodeError as error:
            if _BEGINS_A_VALUE.match(text, start):
                raise ValueError(f"the JSON that begins at character {start} is broken: {error.msg}") from error
            position = start + 1
    if not found:
        raise ValueError("there is no JSON in it")
    return max(found, key=lambda pair: pair[0])[1]


def _decode(text: str, start: int) -> tuple[Json, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("the JSON is nested beyond all bounds") from error
    return value, end


@lru_cache(maxsize=64)
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(json.loads(schema))


def reply_conforms(text: str, template: FormatTemplate) -> Finding:
    """Whether a reply is what its output format asks for, also inside a Markdown fence or after a preamble."""
    try:
        value: Json = text.strip() if template.is_plain_text else json_in(text)
        if template.is_plain_text:
            text.encode()  # half a character can be neither sent nor stored
    except ValueError as error:
        return Finding(CHECK, False, f"the reply is not what {template.id} asks for: {error}", text)
    validator = _validator(template.schema_text)
    error_found = next(iter(validator.iter_errors(value)), None)
    if error_found is None:
        return Finding(CHECK, True, f"the reply conforms to {template.id}")
    place = "/".join(str(part) for part in error_found.instance_path) or "the whole"
    message = error_found.message if len(error_found.message) <= _EXCERPT else error_found.message[:_EXCERPT] + " …"
    return Finding(CHECK, False, f"the reply does not conform to {template.id}: {place}: {message}", text)
