"""What the fallback suite tries on which step: nothing is left out, however many steps there are."""

from __future__ import annotations

from itertools import combinations as pairs
from itertools import groupby

import pytest

from acceptance.faults import INPUT_FAULTS, NONE, TEMPLATE_FAULTS, combinations, trials
from gonogo.model import Case
from gonogo.targets.faults import ConstructorFault

MATRIX = combinations()
CASES = tuple(Case(f"case-{number}", "facts", {"idea": str(number)}) for number in range(4))


def test_every_fault_that_breaks_construction_is_tried_alone() -> None:
    alone = [one for one in MATRIX if (one.template, one.inputs, one.constructor).count(NONE) == 2]
    assert {one.template for one in alone} == {NONE, *TEMPLATE_FAULTS}
    assert {one.constructor for one in alone} == {NONE, *(fault.value for fault in ConstructorFault)}
    assert {one.inputs for one in alone} == {NONE, *list(INPUT_FAULTS)[:3]}


def test_every_pair_of_faults_is_tried() -> None:
    tried = {pair for one in MATRIX for pair in pairs((one.template, one.inputs, one.constructor), 2)}
    constructors = [NONE, *(fault.value for fault in ConstructorFault)]
    for template in TEMPLATE_FAULTS:
        assert {(template, one) for one in (NONE, *INPUT_FAULTS)} <= tried
        assert {(template, one) for one in constructors} <= tried
    assert {(one, other) for one in INPUT_FAULTS for other in constructors[1:]} <= tried


@pytest.mark.parametrize("steps", [1, 3, 18, len(MATRIX) - 1, len(MATRIX)])
def test_every_combination_is_tried_once_on_one_of_the_steps(steps: int) -> None:
    tried = [combination for place in range(steps) for combination, _ in trials(MATRIX, place, steps, CASES)]
    assert len(tried) == len(MATRIX)
    assert set(tried) == set(MATRIX)


@pytest.mark.parametrize("steps", [len(MATRIX) + 1, 3 * len(MATRIX)])
def test_a_step_has_a_combination_also_where_there_are_more_steps_than_combinations(steps: int) -> None:
    assert all(len(trials(MATRIX, place, steps, CASES)) == 1 for place in range(steps))


@pytest.mark.parametrize("steps", [1, 3, 18, len(MATRIX) // 4])
def test_every_case_of_a_step_meets_a_fault(steps: int) -> None:
    for place in range(steps):
        cases = [case for _, case in trials(MATRIX, place, steps, CASES)]
        counted = [cases.count(case) for case in CASES]
        assert min(counted) >= 1
        assert max(counted) - min(counted) <= 1, "their turns come evenly"


def test_steps_with_one_combination_each_do_not_all_take_their_first_case() -> None:
    many = 2 * len(MATRIX)
    first = [trials(MATRIX, place, many, CASES)[0][1] for place in range(many)]
    assert all(case in first for case in CASES)


def test_a_template_fault_is_defined_once_for_all_its_combinations() -> None:
    templates = [name for name, _ in groupby(trials(MATRIX, 0, 3, CASES), key=lambda one: one[0].template)]
    assert len(templates) == len(set(templates))


def test_without_a_matrix_nothing_is_tried() -> None:
    assert trials((), 0, 3, CASES) == ()
