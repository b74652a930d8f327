"""Cases that nobody wrote: the same for a seed wherever they are made, distinct, and unpleasant."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

from builders import GRAMMAR, STEP

from gonogo.generated import generated_cases
from gonogo.model import Case, canonical


def values(cases: tuple[Case, ...]) -> list[str]:
    return [value for case in cases for value in case.inputs.values()]


def test_a_seed_means_the_same_cases_on_every_machine() -> None:
    cases = generated_cases(STEP, GRAMMAR, 100, seed_value=20260914)
    made = hashlib.sha256(canonical([dict(case.inputs) for case in cases])).hexdigest()
    assert made == "8c1d40e7740397ffc75400c5ca84ae2f11d1f1be5c27aaffc64b04a3ea895c73"


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
    assert not {case.id for case in usual} & {case.id for case in of_another_seed}
    assert not {case.id for case in usual} & {case.id for case in of_another_step}


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


def test_now_and_then_two_inputs_hold_the_same() -> None:
    cases = generated_cases(STEP, GRAMMAR, 200, seed_value=9)
    several = [case for case in cases if len(case.inputs) > 1]
    twins = [case for case in several if len(set(case.inputs.values())) < len(case.inputs)]
    assert 0 < len(twins) < len(several) / 2
