"""Cases that nobody wrote: the same for a seed wherever they are made, distinct, and unpleasant."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from itertools import pairwise

from builders import GRAMMAR, STEP

from gonogo.generated import generated_cases, hostile_references
from gonogo.model import Case, canonical


def values(cases: tuple[Case, ...]) -> list[str]:
    return [value for case in cases for value in case.inputs.values()]


def test_a_seed_means_the_same_cases_on_every_machine() -> None:
    cases = generated_cases(STEP, GRAMMAR, 100, seed_value=20260914)
    made = hashlib.sha256(canonical([dict(case.inputs) for case in cases])).hexdigest()
    assert made == "17399414ab571bfb72002e674533024385ec16a9d7748976b45e428ef0e209f9"


def test_the_state_of_the_random_module_is_neither_used_nor_changed() -> None:
    random.seed(1)
    before = random.getstate()
    first = generated_cases(STEP, GRAMMAR, 5, seed_value=7)
    assert random.getstate() == before
    random.seed(2)
    assert generated_cases(STEP, GRAMMAR, 5, seed_value=7) == first


def test_another_seed_or_another_step_gives_other_cases() -> None:
    usual = generated_cases(STEP, GRAMMAR, 20, seed_value=1)
    of_another_seed = generated_cases(STEP, GRAMMAR, 20, seed_value=2)
    of_another_step = generated_cases(replace(STEP, id="another"), GRAMMAR, 20, seed_value=1)
    for others in (of_another_seed, of_another_step):
        shared = {case.id for case in usual} & {case.id for case in others}
        assert len(shared) <= 1, "short values may meet by chance"


def test_there_are_as_many_as_asked_for_and_no_two_are_alike() -> None:
    cases = generated_cases(STEP, GRAMMAR, 300, seed_value=3)
    assert len(cases) == 300
    assert len({tuple(sorted(case.inputs.items())) for case in cases}) == 300


def test_a_step_without_inputs_has_one_case() -> None:
    assert len(generated_cases(replace(STEP, inputs=()), GRAMMAR, 10, seed_value=3)) == 1


def test_required_inputs_are_there_and_not_blank() -> None:
    required = {one.field for one in STEP.inputs if one.required}
    assert required
    for case in generated_cases(STEP, GRAMMAR, 300, seed_value=4):
        assert required <= set(case.inputs)
        assert all(case.inputs[name].strip() for name in required)
        assert set(case.inputs) <= {one.field for one in STEP.inputs}


def test_what_a_database_cannot_store_is_not_among_them() -> None:
    text = "".join(values(generated_cases(STEP, GRAMMAR, 500, seed_value=5)))
    assert "\x00" not in text
    assert text.encode()  # refuses lone surrogates


def test_every_line_boundary_and_every_heading_is_among_a_few_hundred_of_them() -> None:
    text = "".join(values(generated_cases(STEP, GRAMMAR, 300, seed_value=6)))
    for boundary in ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"):
        assert boundary in text, repr(boundary)
    for section in GRAMMAR.sections:
        assert f"\n{GRAMMAR.heading_of(section)}\n" in text
    assert f"\n{STEP.inputs[0].name}{GRAMMAR.separator}forged" in text
    assert f"[data:{STEP.inputs[0].field}]" in text


def test_they_hold_characters_of_one_two_three_and_four_bytes() -> None:
    sizes = {len(one.encode()) for one in "".join(values(generated_cases(STEP, GRAMMAR, 50, seed_value=8)))}
    assert sizes == {1, 2, 3, 4}


def test_the_first_has_a_value_that_is_very_long() -> None:
    first, *others = generated_cases(STEP, GRAMMAR, 50, seed_value=10)
    assert max(map(len, first.inputs.values())) >= 25_000
    assert max(map(len, values(tuple(others)))) < 25_000


def test_now_and_then_one_differs_from_the_one_before_it_in_one_input_alone() -> None:
    cases = generated_cases(STEP, GRAMMAR, 200, seed_value=11)
    differing = [
        {name for name in one.inputs if one.inputs[name] != other.inputs[name]}
        for one, other in pairwise(cases)
        if set(one.inputs) == set(other.inputs)
    ]
    alone = [fields for fields in differing if len(fields) == 1]
    assert len(alone) >= 200 // 5
    assert set.union(*alone) == {one.field for one in STEP.inputs}, "each input is at times the only one"


def test_now_and_then_two_inputs_hold_the_same() -> None:
    cases = generated_cases(STEP, GRAMMAR, 200, seed_value=9)
    several = [case for case in cases if len(case.inputs) > 1]
    twins = [case for case in several if len(set(case.inputs.values())) < len(case.inputs)]
    assert 0 < len(twins) < len(several) / 2


def test_a_reference_opens_a_line_follows_one_character_and_stands_in_the_middle() -> None:
    moved, _ = next(hostile_references(STEP, GRAMMAR))
    lines = '\n[data:audience]\n"[data:audience]" and [data:audience]'
    assert (moved.system_prompt, moved.task_prompt) == (STEP.system_prompt + lines, STEP.task_prompt + lines)


def test_what_users_write_there_is_each_heading() -> None:
    cases = [case for _, case in hostile_references(STEP, GRAMMAR)]
    assert [case.inputs["audience"] for case in cases] == ["CONTEXT:", "TASK:", "RESPONSE:"]
    assert all(case.inputs["basic_idea"].strip() for case in cases), "required"


def test_a_step_whose_prompts_refer_to_nothing_has_no_reference_to_move() -> None:
    assert list(hostile_references(replace(STEP, system_prompt="You research."), GRAMMAR)) == []
