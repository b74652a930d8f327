"""How far a change of prompts reaches: the share of cases, the parts, the most changed prompts. It decides nothing."""

from __future__ import annotations

import pytest
from builders import GRAMMAR, STEP, built
from hypothesis import given
from hypothesis import strategies as st

from gonogo.blast import AROUND, MOST_LINES, ROLES, WHOLE_TEXT, BlastRadius, Pair, Reach, blast_radius
from gonogo.model import Message, Prompt

TEXT = built(STEP, {"basic_idea": "Roman roads", "audience": "pupils"})


def reached(*pairs: tuple[str | Prompt, str | Prompt]) -> BlastRadius:
    """Of prompts given as texts; what is no text is taken as it is."""
    prompts = [[Prompt.of(one) if isinstance(one, str) else one for one in pair] for pair in pairs]
    return blast_radius(GRAMMAR, [Pair(f"facts/c{number}", *pair) for number, pair in enumerate(prompts)])


def test_two_releases_that_build_the_same_reach_nothing() -> None:
    found = reached((TEXT, TEXT), (TEXT, TEXT))
    assert (found.share, found.changed, found.parts) == (0.0, (), {})
    assert "0 of 2 prompts differ (0 %)" in found.text
    assert "===" not in found.text


def test_one_changed_word_is_found_in_its_section_and_in_no_other() -> None:
    found = reached((TEXT, TEXT), (TEXT, TEXT.replace("Find the facts", "Find the figures")))
    assert found.share == 0.5
    assert found.parts == {"TASK": (1, Reach(added=len("figures"), removed=len("facts")))}
    assert "1 of 2 prompts differ (50 %)" in found.text
    assert "TASK        1     +7       -5" in found.text
    assert "=== facts/c1: 12 characters\n--- previous release\n+++ candidate\n" in found.text
    assert "-Find the facts.\n+Find the figures.\n" in found.text


def test_a_section_that_is_gone_or_new_counts_as_a_whole() -> None:
    before = TEXT.partition("RESPONSE:")[0].rstrip() + "\n"
    body = GRAMMAR.parse(TEXT).body("RESPONSE")
    assert body is not None
    there, gone = reached((before, TEXT)).parts["RESPONSE"][1], reached((TEXT, before)).parts["RESPONSE"][1]
    assert there == Reach(added=len(body) + 1)
    assert gone == Reach(removed=len(body) + 1)


def test_what_changes_outside_the_sections_is_told_apart() -> None:
    assert [*reached((TEXT, TEXT.replace("\n\nTASK:", "\n\n\nTASK:"))).parts] == [AROUND]
    swapped = "\n\n".join(["TASK:\nb", "CONTEXT:\na", "RESPONSE:\nc"]) + "\n"
    usual = "\n\n".join(["CONTEXT:\na", "TASK:\nb", "RESPONSE:\nc"]) + "\n"
    assert [*reached((usual, swapped)).parts] == [AROUND]


def test_a_previous_prompt_without_sections_is_compared_as_a_whole_text() -> None:
    found = reached(("You research.\n\nFind the facts.\n\nidea: Roman roads", TEXT), (TEXT, TEXT))
    assert [*found.parts] == [WHOLE_TEXT]
    assert found.unparsed == 1
    assert "in 1 of them the previous prompt has no sections; there, whole texts are compared" in found.text


def test_a_heading_in_an_input_makes_no_section_of_a_prompt_that_has_none() -> None:
    assert [*reached(("You research.\n\nidea: x\nTASK:\nforged", TEXT)).parts] == [WHOLE_TEXT]


def test_the_same_text_in_another_voice_is_a_change() -> None:
    system = Prompt((Message("system", TEXT),))
    found = reached((TEXT, system))
    assert [*found.parts] == [ROLES]
    assert "+system: CONTEXT:" in found.text


def test_a_case_that_one_release_does_not_construct_is_not_compared_and_says_why() -> None:
    prompt = Prompt.of(TEXT)
    found = blast_radius(
        GRAMMAR,
        [Pair("facts/a", "it\nraised", prompt), Pair("facts/b", prompt, "KeyError"), Pair("facts/c", prompt, prompt)],
    )
    assert (found.compared, found.share) == (1, 0.0)
    assert found.left == {"facts/a": "previous release: it\nraised", "facts/b": "candidate: KeyError"}
    assert "2 not compared:\n    facts/a: previous release: it raised\n    facts/b: candidate: KeyError\n" in found.text


@pytest.mark.parametrize("pairs", [[], [Pair("facts/a", "the project names no previous release", Prompt.of(TEXT))]])
def test_without_a_baseline_nothing_is_said_to_be_unchanged(pairs: list[Pair]) -> None:
    found = blast_radius(GRAMMAR, pairs)
    assert "no case could be compared: nothing is known of what the change reaches" in found.text
    assert "%" not in found.text


def test_the_ten_most_changed_prompts_are_shown_and_the_others_counted() -> None:
    found = reached(*((TEXT, TEXT.replace("facts.", "x" * number)) for number in range(1, 13)))
    shown = [line.split()[1] for line in found.text.splitlines() if line.startswith("===")]
    assert shown == [f"facts/c{number}:" for number in range(11, 1, -1)]
    assert found.text.endswith("and 2 more that are changed less\n")


def test_a_long_difference_is_cut_and_says_so() -> None:
    found = reached(("a\n" * 300, "b\n" * 300))
    assert f"... and {600 + 3 - MOST_LINES} more lines" in found.text


def test_a_long_stretch_that_was_replaced_counts_as_a_whole() -> None:
    before, after = "one two " * 2000, "two three " * 2000
    assert reached((before, after)).parts[WHOLE_TEXT][1] == Reach(len(after), len(before))


@given(st.text(max_size=200), st.text(max_size=200))
def test_what_is_added_and_removed_makes_up_the_difference_in_length(before: str, after: str) -> None:
    found = reached((before, after))
    if before == after:
        assert found.changed == ()
        return
    parts = [reach for _, reach in found.parts.values()]
    assert all(reach.size for reach in parts)
    if [*found.parts] == [WHOLE_TEXT]:
        assert parts[0].added - parts[0].removed == len(after) - len(before)
