"""What a prompt or a reply must be. Pure: text and declarations in, findings out. Nothing here knows pytest or an application."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from gonogo.grammar import Grammar, ParsedPrompt
from gonogo.model import Finding, FormatTemplate, Json, Step

__all__ = [
    "excerpt",
    "inputs_mapped",
    "nothing_internal",
    "oddities_told",
    "same_text",
    "sections_in_order",
    "sections_told",
    "templates_verbatim",
    "text_difference",
]

_EXCERPT = 160
_STRETCH = 80  # characters of a prompt that no answer holds by chance


def excerpt(text: str, length: int = _EXCERPT) -> str:
    """A text as a sentence can quote it: on one line, cut in the middle where it is long."""
    if len(text) > length:
        half = length // 2
        text = f"{text[:half]} … {text[-half:]}"
    return repr(text)


def text_difference(expected: str, found: str, before: str = "expected", after: str = "found") -> str:
    """Unified diff of two texts; empty where they are equal."""
    return "\n".join(difflib.unified_diff(expected.splitlines(), found.splitlines(), before, after, lineterm="", n=2))


def same_text(check: str, what: str, expected: str, found: str) -> Finding:
    """Whether two texts are equal to the byte; the diff where they are not."""
    if expected == found:
        return Finding(check, True, f"{what} is equal to the byte")
    place = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), min(len(expected), len(found))
    )
    around = slice(max(0, place - 20), place + 40)
    return Finding(
        check,
        False,
        f"{what} differs at character {place}: expected {excerpt(expected[around])}, found {excerpt(found[around])}",
        text_difference(expected, found),
    )


def nothing_internal(check: str, what: str, answer: str, prompt: str, secrets: Mapping[str, str]) -> Finding:
    """Whether an answer (JSON, or any text) gives away neither the prompt nor one of the secrets.

    Args:
        check: the name of the check.
        what: what was answered.
        answer: the answer as its user gets it.
        prompt: what the model was sent; a stretch of 80 characters gives it away, or the whole of a shorter one.
        secrets: what each secret belongs to -> the text that must not be found.
    """
    texts = _texts(answer)
    given_away = [name for name, secret in secrets.items() if any(secret in text for text in texts)]
    stretch = next(filter(None, (_stretch(text, prompt) for text in texts)), "")
    if stretch:
        given_away.append(f"the prompt that was sent ({excerpt(stretch)})")
    if given_away:
        return Finding(check, False, f"{what}: the answer gives away {', '.join(given_away)}", answer)
    return Finding(check, True, f"{what}: the answer gives nothing internal away")


def _texts(answer: str) -> list[str]:
    """The texts in a JSON document, names too and without its escapes; else the answer itself."""
    try:
        document: Json = json.loads(answer)
    except (ValueError, RecursionError):
        return [answer]
    found, left = [], [document]
    while left:
        match left.pop():
            case str(text):
                found.append(text)
            case dict(members):
                found += members
                left += members.values()
            case list(items):
                left += items
    return found


def _stretch(text: str, prompt: str) -> str:
    """The first stretch of a prompt that a text holds; empty where it holds none."""
    length = min(_STRETCH, len(prompt))
    windows = (text[start : start + length] for start in range(len(text) - length + 1))
    return next((window for window in windows if window in prompt), "")


def sections_in_order(text: str, grammar: Grammar) -> Finding:
    """Every section stands in the prompt once, in the declared order, none of them empty, nothing before the first."""
    check = "sections"
    parsed = grammar.parse(text)
    if parsed.headings != grammar.sections:
        absent = [section for section in grammar.sections if section not in parsed.headings]
        repeated = sorted({section for section in parsed.headings if parsed.headings.count(section) > 1})
        reason = (
            f"section {', '.join(absent)} is missing"
            if absent
            else f"section {', '.join(repeated)} stands more than once"
            if repeated
            else f"sections stand in the order {', '.join(parsed.headings)}, not {', '.join(grammar.sections)}"
        )
        return Finding(check, False, reason, text)
    empty = [section for section, body in parsed.as_mapping().items() if not body.strip()]
    if empty:
        return Finding(check, False, f"section {', '.join(empty)} is empty", text)
    if parsed.preamble:
        return Finding(check, False, f"text stands before the first section: {excerpt(parsed.preamble)}", text)
    return Finding(check, True, f"{len(parsed.headings)} sections, in order, none empty")


def sections_told(text: str, told: Mapping[str, str], grammar: Grammar) -> Finding:
    """What a release says that the sections of its prompt are is what stands there, but for line breaks at their ends."""
    check = "sections told"
    stands = {name: body.strip("\n") for name, body in grammar.parse(text).as_mapping().items()}
    says = {name: body.strip("\n") for name, body in told.items()}
    for name in sorted({*stands, *says}):
        if stands.get(name) != says.get(name):
            shown = excerpt(says[name]) if name in says else "nothing"
            return Finding(check, False, f"section {name} is told to be {shown}, and is something else", text)
    return Finding(check, True, f"{len(says)} sections, as they are told")


def oddities_told(warnings: Sequence[str], odd: Collection[str]) -> Finding:
    """A release warns of each input that is odd, by the name of its field, and of nothing else."""
    check = "warnings"
    for name in odd:
        told = sum(bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", one)) for one in warnings)
        if told != 1:
            return Finding(check, False, f"{told} warnings name {name}, which is odd", "\n".join(warnings))
    if len(warnings) != len(odd):
        return Finding(check, False, f"{len(warnings)} warnings of {len(odd)} inputs that are odd", "\n".join(warnings))
    return Finding(check, True, f"{len(warnings)} warnings, of what is odd")


def templates_verbatim(text: str, step: Step, inputs: Mapping[str, str], grammar: Grammar) -> Iterator[Finding]:
    """Both templates' instructions and descriptions stand verbatim in their sections, in the declared order.

    The input template in the first section (after the system prompt), the output template in the last. Nothing else
    stands in these sections, where the grammar says that they are closed.
    """
    parsed = grammar.parse(text)
    first, last = grammar.sections[0], grammar.sections[-1]
    system_prompt = ("system prompt", grammar.resolve(step.system_prompt.strip(), inputs))
    yield _stand_in_order(parsed, first, "input template", step.input_format, grammar, system_prompt)
    yield _stand_in_order(parsed, last, "output template", step.output_format, grammar)


def _stand_in_order(
    parsed: ParsedPrompt,
    section: str,
    what: str,
    template: FormatTemplate,
    grammar: Grammar,
    *before: tuple[str, str],
) -> Finding:
    check = "format-templates"
    body = parsed.body(section)
    if body is None:
        return Finding(check, False, f"there is no section {section} that the {what} {template.id} could stand in")
    position = 0
    between: list[str] = []
    for part, value in (
        *before,
        (f"instructions of the {what} {template.id}", template.llm_instructions.strip()),
        (f"description of the {what} {template.id}", template.description.strip()),
    ):
        found = body.find(value, position)
        if found < 0:
            elsewhere = " (it stands there, but in the wrong order)" if value in body else ""
            return Finding(
                check,
                False,
                f"{section} does not hold the {part}{elsewhere}: {excerpt(value)}",
                text_difference(value, body),
            )
        between.append(body[position:found])
        position = found + len(value)
    foreign = "".join((*between, body[position:])).strip()
    if foreign and grammar.closed:
        return Finding(check, False, f"{section} holds what nobody declared: {excerpt(foreign)}", body)
    return Finding(check, True, f"{what} {template.id} stands verbatim in {section}")


def inputs_mapped(text: str, step: Step, inputs: Mapping[str, str], grammar: Grammar) -> Iterator[Finding]:
    """Every input that is not empty is exactly one entry, equal after unescaping; references are resolved; nothing else.

    Gives a finding on the prompts' own texts (system and task prompt, references resolved once) and one on the entries.
    """
    parsed = grammar.parse(text)
    first = grammar.sections[0]
    expected = grammar.resolve(step.system_prompt.strip(), inputs)
    yield _begins_with(parsed, first, "system prompt", expected)
    body = parsed.body(grammar.inputs)
    if body is None:
        yield Finding("inputs", False, f"there is no section {grammar.inputs} that inputs could stand in")
        return
    task = grammar.resolve(step.task_prompt.strip(), inputs)
    yield _begins_with(parsed, grammar.inputs, "task prompt", task)
    rest = body[len(task) :] if _opens(body, task) else body
    yield _entries(rest, step, inputs, grammar)


def _opens(body: str, text: str) -> bool:
    """Whether a body begins with a text that ends there or at the end of a line."""
    return body.startswith(text) and body[len(text) : len(text) + 1] in ("", "\n")


def _begins_with(parsed: ParsedPrompt, section: str, what: str, expected: str) -> Finding:
    body = parsed.body(section) or ""
    if _opens(body, expected):
        return Finding("placeholders", True, f"the {what} stands in {section} with its references resolved once")
    return Finding(
        "placeholders",
        False,
        f"{section} does not begin with the {what}, its references resolved once: {_first_difference(expected, body)}",
        text_difference(expected, body),
    )


def _first_difference(expected: str, found: str) -> str:
    for number, (one, other) in enumerate(zip(expected.splitlines(), found.splitlines(), strict=False), start=1):
        if one != other:
            return f"line {number} should be {excerpt(one)} and is {excerpt(other)}"
    return f"it ends after line {len(found.splitlines())}"


def _entries(body: str, step: Step, inputs: Mapping[str, str], grammar: Grammar) -> Finding:
    check = "inputs"
    entries, loose = grammar.entries(body, [one.name for one in step.inputs])
    expected = grammar.expected_entries(step, inputs)
    by_name: dict[str, list[str]] = {}
    for entry in entries:
        by_name.setdefault(entry.name, []).append(entry.value)
    problems = []
    for name, value in expected:
        found = by_name.pop(name, [])
        if not found:
            problems.append(f"the input {name!r} is left out")
        elif len(found) > 1:
            problems.append(f"the input {name!r} stands there {len(found)} times")
        elif found[0] != value:
            problems.append(
                f"the input {name!r} is not equal after unescaping: {same_text(check, 'it', value, found[0]).reason}"
            )
    problems.extend(f"{name!r} stands there, but the post has nothing for it" for name in by_name)
    problems.extend(f"a line in column 0 belongs to no input: {excerpt(line)}" for line in loose[:3])
    names = [name for name, _ in expected]
    if not problems and [entry.name for entry in entries] != names:
        problems.append(f"the inputs stand in the order {[entry.name for entry in entries]}, not {names}")
    if problems:
        return Finding(check, False, "; ".join(problems), body)
    return Finding(check, True, f"{len(entries)} inputs, each exactly once and equal after unescaping")
