"""The constructor beside Jinja2 and LangChain's PromptTemplate: the same text, the same neutralising of inputs.

Each builder is measured in several runs, the builders one after the other in each, so that what else the machine does
meets all of them. The table at the end gives medians and ratios over the runs.
"""

from __future__ import annotations

import pickle

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.builders import BARE, BUILDERS, CONSTRUCTOR, prepare
from benchmarks.conftest import Keep
from benchmarks.material import LOADED_ANEW, PLAIN, SIZES, VARIANTS, Material, material

RUNS = 5
# bare Jinja2 stands there for scale, once for each size
COMPARED = [(variant, name) for variant in VARIANTS for name in BUILDERS if name != BARE or variant == PLAIN]
LOADS = 1000  # rounds where each call gets a step of its own


@pytest.mark.parametrize(("variant", "builder"), COMPARED)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("run", range(1, RUNS + 1))
def test_build_a_prompt(
    run: int, size: int, variant: str, builder: str, benchmark: BenchmarkFixture, keep: Keep
) -> None:
    made = material(size, variant)
    benchmark.group = made.group
    build = prepare(builder, made.step)
    _builds_the_same_text(builder, made)
    if variant == LOADED_ANEW:
        stored = pickle.dumps(made.step)
        benchmark.pedantic(  # type: ignore[no-untyped-call]
            build, setup=lambda: ((pickle.loads(stored), made.inputs), {}), rounds=LOADS, warmup_rounds=20
        )
    else:
        benchmark(build, made.step, made.inputs)
    keep("constructor", made.group, builder)


def _builds_the_same_text(builder: str, made: Material) -> None:
    """Outside the timing. Bare Jinja2 escapes nothing, so it is held to inputs of one line, which need no escaping."""
    inputs = made.inputs
    if builder == BARE:
        inputs = {field: " ".join(value.splitlines()) for field, value in inputs.items()}
    expected = prepare(CONSTRUCTOR, made.step)(made.step, inputs)
    built = prepare(builder, made.step)(made.step, inputs)
    assert built == expected, f"{builder} builds another text than the constructor for {made.group}"
