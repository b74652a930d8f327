"""The constructor beside Jinja2 and LangChain's PromptTemplate: the same text, the same neutralising of inputs.

Each builder is measured in several runs, the builders one after the other in each, so that what else the machine does
meets all of them. The table at the end gives medians and ratios over the runs.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.builders import BARE, BUILDERS, CONSTRUCTOR, prepare
from benchmarks.conftest import Keep
from benchmarks.material import SIZES, VARIANTS, material

RUNS = 5


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("run", range(1, RUNS + 1))
def test_build_a_prompt(
    run: int, size: int, variant: str, builder: str, benchmark: BenchmarkFixture, keep: Keep
) -> None:
    made = material(size, variant)
    benchmark.group = made.group
    build = prepare(builder, made.step)
    _builds_the_same_text(builder, size, variant)
    benchmark(build, made.inputs)
    keep("constructor", made.group, builder)


def _builds_the_same_text(builder: str, size: int, variant: str) -> None:
    """Outside the timing. Bare Jinja2 escapes nothing, so it is held to inputs of one line, which need no escaping."""
    made = material(size, variant)
    inputs = made.inputs
    if builder == BARE:
        inputs = {field: " ".join(value.splitlines()) for field, value in inputs.items()}
    expected = prepare(CONSTRUCTOR, made.step)(inputs)
    built = prepare(builder, made.step)(inputs)
    assert built == expected, f"{builder} builds another text than the constructor for {made.group}"
