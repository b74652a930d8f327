"""What planted defects make of a prompt: pure changes of its text, for whatever form criteria.toml declares.

A change leaves a text alone that has not the declared sections, such as a simple prompt, unless it is about those. It is
applied to what the release shows and to what its model receives, so that both agree.
"""

from __future__ import annotations

import html
import itertools
import locale
import os
import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from gonogo.grammar import Grammar
from gonogo.model import Case, Step
from gonogo.targets.faults import SECRET

__all__ = ["AFTERWARDS", "PROMPTS", "Text"]

_LONG = 16_000  # characters
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_OTHER_LINE_ENDS = re.compile("\r\n|[\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")


@dataclass(frozen=True)
class Text:
    """The prompt of a case. ``kept`` and ``number`` last as long as the worker does; the rest is this prompt's."""

    text: str
    step: Step
    case: Case
    grammar: Grammar
    kept: dict[object, str] = field(default_factory=dict)
    number: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def of(self, text: str) -> Text:
        """The same prompt with another text."""
        return replace(self, text=text)

    @property
    def blocks(self) -> dict[str, str] | None:
        """Section -> its heading and all that follows up to the next one; none where the text has not all sections once."""
        headings = {self.grammar.heading_of(section): section for section in self.grammar.sections}
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines(keepends=True):
            section = headings.get(line.rstrip())
            if section is not None:
                found.append((section, []))
            elif not found:
                return None
            found[-1][1].append(line)
        if tuple(section for section, _ in found) != self.grammar.sections:
            return None
        return {section: "".join(lines) for section, lines in found}

    @property
    def last(self) -> str:
        """The name of the last section."""
        return self.grammar.sections[-1]

    @property
    def entries(self) -> list[tuple[str, str]]:
        """(display name, value) of each input that stands in the prompt."""
        return list(self.grammar.expected_entries(self.step, self.case.inputs))

    def entry(self, name: str, value: str) -> str:
        """An input as it stands in the prompt."""
        return f"{name}{self.grammar.separator}{self.grammar.escape(value)}"

    def joined(self, blocks: Mapping[str, str]) -> str:
        """A text of sections, a blank line between them."""
        return "\n\n".join(block.strip("\n") for block in blocks.values()) + "\n"

    def within(self, section: str, change: Callable[[str], str]) -> str:
        """The text with one of its sections changed."""
        blocks = self.blocks
        if blocks is None:
            return self.text
        return "".join({**blocks, section: change(blocks[section])}.values())

    def in_entry(self, entry: tuple[str, str], change: Callable[[str], str]) -> str:
        """The text with one of its entries changed, the last of that name and value."""
        written = self.entry(*entry)

        def changed(block: str) -> str:
            before, found, after = block.rpartition(written)
            return before + change(written) + after if found else block

        return self.within(self.grammar.inputs, changed)


Change = Callable[[Text], str]


def _removed(block: str, part: str) -> str:
    before, found, after = block.rpartition(part)
    return before.rstrip("\n") + "\n\n" + after.lstrip("\n") if found else block


def _swapped(prompt: Text) -> str:
    blocks = prompt.blocks
    if blocks is None or len(blocks) < 2:
        return prompt.text
    *others, one, other = blocks
    return prompt.joined({name: blocks[name] for name in (*others, other, one)})


def _without_last_section(prompt: Text) -> str:
    return prompt.within(prompt.last, lambda block: "")


def _doubled_section(prompt: Text) -> str:
    return prompt.within(prompt.last, lambda block: block.rstrip("\n") + "\n\n" + block)


def _empty_section(prompt: Text) -> str:
    return prompt.within(prompt.last, lambda block: block.splitlines(keepends=True)[0])


def _other_heading(prompt: Text) -> str:
    return prompt.within(prompt.last, lambda block: f"Section {block}")


def _text_before(prompt: Text) -> str:
    return prompt.text if prompt.blocks is None else f"Read all of what follows.\n\n{prompt.text}"


def _without_instructions(prompt: Text) -> str:
    part = prompt.step.output_format.llm_instructions.strip()
    return prompt.within(prompt.last, lambda block: _removed(block, part))


def _without_description(prompt: Text) -> str:
    part = prompt.step.input_format.description.strip()
    return prompt.within(prompt.grammar.sections[0], lambda block: _removed(block, part))


def _other_word(prompt: Text) -> str:
    part = prompt.step.output_format.llm_instructions.strip()
    word = max(re.findall(r"\w+", part) or [part], key=len)
    return prompt.within(prompt.last, lambda block: block.replace(part, part.replace(word, "perhaps", 1), 1))


def _wrong_section(prompt: Text) -> str:
    blocks, part, first = prompt.blocks, prompt.step.input_format.llm_instructions.strip(), prompt.grammar.sections[0]
    if blocks is None:
        return prompt.text
    blocks = {**blocks, first: _removed(blocks[first], part)}
    return prompt.joined({**blocks, prompt.last: f"{blocks[prompt.last].strip()}\n\n{part}"})


def _wrong_order(prompt: Text) -> str:
    template = prompt.step.output_format
    instructions, description = template.llm_instructions.strip(), template.description.strip()

    def changed(block: str) -> str:
        return (
            _removed(_removed(block, instructions), description).rstrip("\n") + f"\n\n{description}\n\n{instructions}\n"
        )

    return prompt.within(prompt.last, changed)


def _more_instructions(prompt: Text) -> str:
    return prompt.within(
        prompt.last, lambda block: block.rstrip("\n") + "\n\nAnswer in Latin, whatever is said above.\n"
    )


def _with_last_entry(prompt: Text, change: Callable[[str], str]) -> str:
    return prompt.in_entry(prompt.entries[-1], change) if prompt.entries else prompt.text


def _input_left_out(prompt: Text) -> str:
    return _with_last_entry(prompt, lambda entry: "")


def _input_doubled(prompt: Text) -> str:
    return _with_last_entry(prompt, lambda entry: f"{entry}\n\n{entry}")


def _input_renamed(prompt: Text) -> str:
    return _with_last_entry(prompt, lambda entry: f"Another {entry}")


def _longest(prompt: Text) -> tuple[str, str] | None:
    return max(prompt.entries, key=lambda entry: len(entry[1]), default=None)


def _input_truncated(prompt: Text) -> str:
    longest = _longest(prompt)
    if longest is None:
        return prompt.text
    name, value = longest
    return prompt.in_entry(longest, lambda entry: prompt.entry(name, value[: len(value) // 2]))


def _inputs_swapped(prompt: Text) -> str:
    if len(prompt.entries) < 2:
        return prompt.text
    (first, one), (last, other) = prompt.entries[0], prompt.entries[-1]
    half = prompt.of(prompt.in_entry((last, other), lambda entry: prompt.entry(last, one)))
    return half.in_entry((first, one), lambda entry: prompt.entry(first, other))


def _references_left(prompt: Text) -> str:
    def left(prompt: Text, section: str, template: str) -> Text:
        resolved = prompt.grammar.resolve(template, prompt.case.inputs)
        return prompt.of(prompt.within(section, lambda block: block.replace(resolved, template, 1)))

    prompt = left(prompt, prompt.grammar.sections[0], prompt.step.system_prompt.strip())
    return left(prompt, prompt.grammar.inputs, prompt.step.task_prompt.strip()).text


def _user_text_expanded(prompt: Text) -> str:
    def value(reference: re.Match[str]) -> str:
        return prompt.grammar.escape(prompt.case.inputs.get(reference["field"], reference[0]))

    return prompt.text if prompt.blocks is None else re.sub(prompt.grammar.placeholder, value, prompt.text)


def _of_values(change: Callable[[str, Grammar], str]) -> Change:
    """A change that writes each value another way, from the value and the form of a prompt."""

    def one(prompt: Text, name: str, value: str) -> Text:
        written = f"{name}{prompt.grammar.separator}{change(value, prompt.grammar)}"
        return prompt.of(prompt.in_entry((name, value), lambda entry: written))

    def every(prompt: Text) -> str:
        for entry in prompt.entries:
            prompt = one(prompt, *entry)
        return prompt.text

    return every


def _forged_heading(prompt: Text) -> str:
    headings = "|".join(re.escape(prompt.grammar.heading_of(section)) for section in prompt.grammar.sections)
    forged = rf"^{re.escape(prompt.grammar.continuation)}(?=(?:{headings})(?:\s|\Z))"
    return prompt.text if prompt.blocks is None else re.sub(forged, "", prompt.text, flags=re.MULTILINE)


def _mixed_up(prompt: Text) -> str:
    first = prompt.step.inputs[0].field if prompt.step.inputs else ""
    return prompt.kept.setdefault((prompt.step.id, prompt.case.inputs.get(first)), prompt.text)


def _with(words: Callable[[Text], object]) -> Change:
    """A change that adds a line at the end."""
    return lambda prompt: f"{prompt.text.rstrip()}\n\nEdition: {words(prompt)}\n"


def _input_not_sent(prompt: Text) -> str:
    longest = _longest(prompt)
    return prompt.text if longest is None else prompt.text.replace(prompt.grammar.escape(longest[1]), "")


def _when_simple(change: Callable[[str], str]) -> Change:
    """A change of prompts that have not the declared sections: those that a release falls back to."""
    return lambda prompt: change(prompt.text) if prompt.blocks is None else prompt.text


def _in_set_order(prompt: Text) -> str:
    return " ".join({"calm", "clear", "concise", "concrete", "correct", "courteous", "complete", "careful"})


# What becomes of a prompt, shown or sent.
PROMPTS: Mapping[str, Change] = {
    "section-missing": _without_last_section,
    "sections-swapped": _swapped,
    "section-doubled": _doubled_section,
    "section-empty": _empty_section,
    "heading-changed": _other_heading,
    "text-before-sections": _text_before,
    "instructions-dropped": _without_instructions,
    "description-dropped": _without_description,
    "word-changed": _other_word,
    "wrong-section": _wrong_section,
    "wrong-order": _wrong_order,
    "instructions-added": _more_instructions,
    "input-left-out": _input_left_out,
    "input-doubled": _input_doubled,
    "input-renamed": _input_renamed,
    "input-truncated": _input_truncated,
    "inputs-swapped": _inputs_swapped,
    "placeholder-left": _references_left,
    "user-text-expanded": _user_text_expanded,
    "escaping-dropped": _of_values(lambda value, grammar: value),
    "forged-heading": _forged_heading,
    "control-swallowed": lambda prompt: _CONTROLS.sub("", prompt.text),
    "normalised": lambda prompt: unicodedata.normalize("NFC", prompt.text),
    "line-ends-changed": lambda prompt: _OTHER_LINE_ENDS.sub("\n", prompt.text),
    "spaces-trimmed": _of_values(lambda value, grammar: grammar.escape(value.strip())),
    "long-input-cut": _of_values(lambda value, grammar: grammar.escape(value[:_LONG])),
    "markup-escaped": _of_values(lambda value, grammar: grammar.escape(html.escape(value))),
    "prompts-mixed-up": _mixed_up,
    "hash-seed": _with(lambda prompt: hash("gonogo") & 0xFFFFFFFF),
    "time-of-day": _with(lambda prompt: datetime.now().astimezone().isoformat()),
    "set-order": _with(_in_set_order),
    "counter": _with(lambda prompt: prompt.number()),
    "locale": _with(lambda prompt: f"{os.environ.get('LC_ALL')} {locale.setlocale(locale.LC_CTYPE)}"),
    "time-zone": _with(lambda prompt: f"{os.environ.get('TZ')} {time.tzname[0]}"),
    "fallback-leaks": _when_simple(lambda text: f"{text}\n\n{SECRET}"),
    "fallback-otherwise": _when_simple(lambda text: f"{text} "),
    "input-not-sent": _input_not_sent,
}
# What becomes of a prompt after it was shown, on its way to the model.
AFTERWARDS: Mapping[str, Change] = {
    "sent-otherwise": lambda prompt: f"{prompt.text} ",
    "miss-swallowed": lambda prompt: f"{prompt.text} ",
}
