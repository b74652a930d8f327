"""The fixtures that suites ask for. Registered by the plugin where gonogo is active, so that they are unknown elsewhere.

What is the same for every item lives as long as the session: Allure writes a file for each fixture that it sees end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Literal

import pytest

from gonogo.collector import Collector
from gonogo.criteria import Criteria, Criterion
from gonogo.definitions import Definitions
from gonogo.documents import closest
from gonogo.errors import DefinitionError, EvidenceGap
from gonogo.gathering import ClaimEvidence
from gonogo.grammar import Grammar
from gonogo.latency import Race, Stopwatch
from gonogo.llm import Llm
from gonogo.model import Ability, Case, Step
from gonogo.planting import NOTHING
from gonogo.rehearsal import Rehearsal
from gonogo.stub import FaultPlan
from gonogo.workbench import Target, Workbench

COLLECTOR = pytest.StashKey[Collector]()
WORKBENCH = pytest.StashKey[Workbench]()


def criterion_of(node: pytest.Item | pytest.Function, criteria: Criteria) -> Criterion | None:
    """The criterion that a test is marked with, or none where it has no mark.

    Raises:
        pytest.UsageError: the mark names no criterion of criteria.toml.
    """
    marker = node.get_closest_marker("criterion")
    if marker is None:
        return None
    if len(marker.args) != 1 or marker.args[0] not in criteria:
        known = [one.id for one in criteria.criteria]
        near = closest(str(marker.args[0]), known) if marker.args else ""
        raise pytest.UsageError(
            f"{node.nodeid}: criterion{marker.args!r} names none of criteria.toml{near}; write one of {', '.join(known)}, "
            "or add the criterion to criteria.toml"
        )
    return criteria[marker.args[0]]


def check_criteria(only: Sequence[str], criteria: Criteria) -> None:
    """See that the criteria that were asked for are there.

    Raises:
        DefinitionError: criteria.toml has none of a name.
    """
    known = [one.id for one in criteria.criteria]
    for name in only:
        if name not in known:
            raise DefinitionError(
                f"--gonogo-criterion {name}: names none of criteria.toml{closest(name, known)}; write one of {', '.join(known)}"
            )


def of_criteria(
    items: Sequence[pytest.Item], only: Sequence[str], criteria: Criteria
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The items that are evidence for one of these criteria, in the order of the criteria, and those that are not.

    Raises:
        pytest.UsageError: a mark names no criterion of criteria.toml.
    """
    chosen: dict[str, list[pytest.Item]] = {name: [] for name in only}
    others: list[pytest.Item] = []
    for item in items:
        criterion = criterion_of(item, criteria)
        (others if criterion is None else chosen.get(criterion.id, others)).append(item)
    return [item for name in only for item in chosen[name]], others


@pytest.fixture(scope="session")
def definitions(pytestconfig: pytest.Config) -> Definitions:
    """Everything that people wrote: project, criteria, workflow, recordings."""
    return pytestconfig.stash[WORKBENCH].definitions


@pytest.fixture(scope="session")
def grammar(definitions: Definitions) -> Grammar:
    """The declared form of a prompt."""
    return definitions.criteria.grammar


@pytest.fixture(scope="session")
def candidate(pytestconfig: pytest.Config) -> Target:
    """The release under judgement."""
    return pytestconfig.stash[WORKBENCH].candidate


def _as_long(fixture_name: str, config: pytest.Config) -> Literal["function", "session"]:
    # against which release the candidate is then held depends on the criterion
    return "function" if config.getoption("--gonogo-planted") == NOTHING else "session"


@pytest.fixture(scope=_as_long)
def baseline(request: pytest.FixtureRequest, pytestconfig: pytest.Config, definitions: Definitions) -> Target:
    """The previous release; the candidate itself where that is what was asked for.

    What a fallback must send, and what a deployment goes back to, stays with the previous release even then.
    """
    workbench = pytestconfig.stash[WORKBENCH]
    if definitions.project.candidate.planted == NOTHING:
        criterion = criterion_of(request.node, definitions.criteria)
        if criterion is not None and not {Ability.FAULT, Ability.STAGE} & set(criterion.needs):
            return workbench.twin
    return workbench.baseline


@pytest.fixture(scope="session")
def llm(pytestconfig: pytest.Config, candidate: Target) -> Llm:
    """The recorded-response LLM of the candidate."""
    return pytestconfig.stash[WORKBENCH].llm(candidate)


@pytest.fixture(scope="session")
def rehearsal(
    pytestconfig: pytest.Config, definitions: Definitions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rehearsal]:
    """A stage on which releases are swapped and rolled back; taken down when the last test has ended."""
    baseline = pytestconfig.stash[WORKBENCH].baseline
    with closing(Rehearsal(definitions, baseline, tmp_path_factory.mktemp("rehearsal"), os.environ)) as found:
        yield found


@pytest.fixture
def step(request: pytest.FixtureRequest, definitions: Definitions) -> Step:
    """The step that this item is about."""
    return definitions.workflow.step(request.param)


@pytest.fixture
def cases(request: pytest.FixtureRequest, definitions: Definitions) -> tuple[Case, ...]:
    """The recorded cases of the item's step; of all steps where the item is about the whole."""
    workflow = definitions.workflow
    if "step" in request.fixturenames:
        step: Step = request.getfixturevalue("step")
        if not workflow.cases_of(step.id):
            raise EvidenceGap(f"the step {step.id} has no cases; write some, a claim about it rests on them")
        return workflow.cases_of(step.id)
    return tuple(case for step in workflow.steps for case in workflow.cases_of(step.id))


@pytest.fixture
def criterion(request: pytest.FixtureRequest, definitions: Definitions) -> Criterion:
    """The criterion that this item is evidence for, with its parameters in this phase."""
    found = criterion_of(request.node, definitions.criteria)
    assert found is not None
    return found.in_phase(request.config.stash[COLLECTOR].facts.phase)


@pytest.fixture
def evidence(pytestconfig: pytest.Config) -> ClaimEvidence:
    """Where findings and samples of this item's claim go."""
    return pytestconfig.stash[COLLECTOR].current


@pytest.fixture
def plan_faults(candidate: Target) -> Iterator[Callable[[FaultPlan], None]]:
    """Plan faults of the model for all runs of this one test: ``plan_faults(FaultPlan(LlmFault.SERVER_ERROR, rate=0.2))``."""

    def plan(planned: FaultPlan) -> None:
        candidate.planned = planned

    yield plan
    candidate.planned = None


@pytest.fixture(scope="session")
def race(pytestconfig: pytest.Config, definitions: Definitions, candidate: Target) -> Race:
    """Candidate and baseline, each in several fresh processes, timed by turns; or the candidate and itself, as for ``baseline``."""
    workbench = pytestconfig.stash[WORKBENCH]
    other = workbench.twin if definitions.project.candidate.planted == NOTHING else workbench.baseline
    return Race(lambda count: list(zip(candidate.timed_by_turns(count), other.timed_by_turns(count), strict=True)))


@pytest.fixture
def stopwatch(request: pytest.FixtureRequest, criterion: Criterion, candidate: Target) -> Stopwatch:
    """pytest-benchmark with the release worker's own clock: what is timed is the call there, not the way to it."""
    several = criterion.integer("processes") if "processes" in criterion.parameters else 3
    count = 1 if Ability.LIVE in candidate.worker.abilities else several  # a service is one, whoever asks it
    watch = Stopwatch(candidate.timed_alone(count), limit=next((one.go.value for one in criterion.measures), None))
    request.node.add_marker(pytest.mark.benchmark(timer=watch.clock, disable_gc=False))
    return watch
