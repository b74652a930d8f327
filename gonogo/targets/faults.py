"""Faults of the constructor, planted at the name through which an application calls it."""

from __future__ import annotations

import dataclasses
import enum
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NoReturn

from gonogo.errors import TargetError
from gonogo.model import Step

__all__ = ["ENVIRONMENT", "SECRET", "ConstructorFault", "broken_constructor"]

# Stands in every planted exception. A prompt or an answer that holds it has leaked something internal.
SECRET = "planted-by-gonogo: /srv/secret/path.py line 17"

# Set for every worker. No application knows the variable; an answer that holds its value has told the environment.
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"GONOGO_PLANTED": "planted-by-gonogo: a key that opens everything"})


class PlantedError(Exception):
    """An exception type that no application has ever heard of."""


class ConstructorFault(enum.StrEnum):
    """One way in which a constructor fails. One that never returns is none of them: no fallback could follow."""

    VALUE_ERROR = "raises ValueError"
    KEY_ERROR = "raises KeyError"
    TYPE_ERROR = "raises TypeError"
    ATTRIBUTE_ERROR = "raises AttributeError"
    RECURSION_ERROR = "raises RecursionError"
    MEMORY_ERROR = "raises MemoryError"
    OS_ERROR = "raises OSError"
    UNKNOWN_ERROR = "raises an unknown exception"
    SYSTEM_EXIT = "raises SystemExit"
    RAISES_AFTERWARDS = "raises when the prompt is already built"
    GONE = "is not there"
    RETURNS_NONE = "returns None"
    RETURNS_NOTHING = "returns an empty prompt"
    RETURNS_OTHER = "returns another type"
    RETURNS_HALF = "returns half a prompt"
    RETURNS_GAP = "returns a prompt with a section missing"
    RETURNS_DISORDER = "returns a prompt whose last section stands first"
    RETURNS_TWICE = "returns a prompt twice over"
    RETURNS_NO_SECTIONS = "returns a prompt without sections"


_RAISED: dict[ConstructorFault, BaseException] = {
    ConstructorFault.VALUE_ERROR: ValueError(SECRET),
    ConstructorFault.KEY_ERROR: KeyError(SECRET),
    ConstructorFault.TYPE_ERROR: TypeError(SECRET),
    ConstructorFault.ATTRIBUTE_ERROR: AttributeError(SECRET),
    ConstructorFault.RECURSION_ERROR: RecursionError(SECRET),
    ConstructorFault.MEMORY_ERROR: MemoryError(SECRET),
    ConstructorFault.OS_ERROR: OSError(5, SECRET),
    ConstructorFault.UNKNOWN_ERROR: PlantedError(SECRET),
    ConstructorFault.SYSTEM_EXIT: SystemExit(SECRET),
}


def _first_between_last(text: str, step: Step) -> tuple[str, str, str]:
    """The first section, what stands between, and the last one.

    Whatever the grammar: the first ends with system prompt and input template, and the line above the output template
    opens the last.
    """
    opening = (step.system_prompt, step.input_format.llm_instructions, step.input_format.description)
    closing = (step.output_format.llm_instructions, step.output_format.description)
    end = max((text.find(part) + len(part) for part in map(str.strip, opening) if part in text), default=0)
    begin = min((text.rfind(part) for part in map(str.strip, closing) if part and part in text), default=len(text))
    before = text[:begin].rstrip("\n").rpartition("\n")[0]
    return text[:end], text[end : len(before)], text[len(before) :]


def _without_a_section(text: str, step: Step) -> str:
    """The prompt without what stands between its first and its last section; without the last where nothing does."""
    first, between, last = _first_between_last(text, step)
    return first + last if between.strip() else first


def _last_section_first(text: str, step: Step) -> str:
    """The prompt in another order; nothing at all where there is no order in it."""
    first, between, last = _first_between_last(text, step)
    before, after = f"{first}{between}".strip("\n"), last.strip("\n")
    return f"{after}\n\n{before}\n" if before else ""


def _replacement(fault: ConstructorFault, real: Callable[..., Any], step: Step) -> Callable[..., Any]:
    def raising(*args: object, **kwargs: object) -> NoReturn:
        raise _RAISED[fault]

    def raising_afterwards(*args: Any, **kwargs: Any) -> NoReturn:
        real(*args, **kwargs)
        raise PlantedError(SECRET)

    def with_text(change: Callable[[str], str]) -> Callable[..., Any]:
        def changed(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if dataclasses.is_dataclass(result) and not isinstance(result, type):
                return dataclasses.replace(result, text=change(result.text))  # type: ignore[attr-defined]  # any prompt has one
            if isinstance(result, tuple) and hasattr(result, "_replace"):  # a named tuple
                return result._replace(text=change(result.text))  # type: ignore[attr-defined]  # as above
            return change(str(result))

        return changed

    match fault:
        case ConstructorFault.RAISES_AFTERWARDS:
            return raising_afterwards
        case ConstructorFault.RETURNS_NONE:
            return lambda *args, **kwargs: None
        case ConstructorFault.RETURNS_OTHER:
            return lambda *args, **kwargs: {"prompt": SECRET}
        case ConstructorFault.RETURNS_NOTHING:
            return with_text(lambda text: "")
        case ConstructorFault.RETURNS_HALF:
            return with_text(lambda text: text[: len(text) // 2])
        case ConstructorFault.RETURNS_GAP:
            return with_text(lambda text: _without_a_section(text, step))
        case ConstructorFault.RETURNS_DISORDER:
            return with_text(lambda text: _last_section_first(text, step))
        case ConstructorFault.RETURNS_TWICE:
            return with_text(lambda text: f"{text}\n\n{text}")
        case ConstructorFault.RETURNS_NO_SECTIONS:
            return with_text(lambda text: SECRET)
        case _:
            return raising


@contextmanager
def broken_constructor(seam: str | None, fault: ConstructorFault | None, step: Step) -> Iterator[None]:
    """Let the constructor fail in this way, for prompts of this step, until the block ends. No fault: nothing happens.

    Raises:
        TargetError: the seam leads nowhere.
    """
    if fault is None:
        yield
        return
    module_name, _, attribute = (seam or "").partition(":")
    try:
        module = importlib.import_module(module_name)
        real = getattr(module, attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise TargetError(
            f"the adapter's seam {seam!r} leads nowhere ({error}); write 'package.module:function'"
        ) from error
    if fault is ConstructorFault.GONE:
        delattr(module, attribute)
    else:
        setattr(module, attribute, _replacement(fault, real, step))
    try:
        yield
    finally:
        setattr(module, attribute, real)
