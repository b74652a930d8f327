"""Targets of a run: a worker that starts when it is first asked, and a prompt that is built once for each case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from worker_releases import STEP, wish, write_release

from gonogo.errors import DefinitionError, MissingReply, ProductError, ProductFailure
from gonogo.llm import Llm
from gonogo.model import Json, Provenance, Recording, Reply, Request, Workflow
from gonogo.project import Release
from gonogo.recordings import RecordingSet
from gonogo.workbench import Target

SMALL_APPLICATION = Path(__file__).parents[1] / "small_application.py"
RECORDED = (wish("roads"), wish("raise"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    with ExitStack() as stack:
        yield Target(
            write_release(folder), Workflow((STEP,), {"facts": RECORDED}), folder / "recordings", stack, folder
        )


def test_a_recorded_case_is_built_once(target: Target) -> None:
    assert target.construct(RECORDED[0]).text == "candidate: Find facts. roads"
    assert target.construct(RECORDED[0]) is target.construct(RECORDED[0])


def test_what_the_release_raises_is_raised_for_its_case_alone(target: Target) -> None:
    with pytest.raises(ProductError, match="facts/raise: the release raised while it built the prompt: KeyError"):
        target.construct(RECORDED[1])


def test_a_case_of_the_same_name_with_other_inputs_is_built_anew(target: Target) -> None:
    target.construct(RECORDED[0])
    changed = replace(RECORDED[0], inputs={"idea": "hostile"})
    assert target.construct(changed).text == "candidate: Find facts. hostile"


def test_another_definition_holds_until_the_block_ends(target: Target) -> None:
    with target.redefined(replace(STEP, task_prompt="List rivers.")):
        assert target.construct(RECORDED[0]).text == "candidate: List rivers. roads"
    assert target.construct(RECORDED[0]).text == "candidate: Find facts. roads"


def test_of_a_release_that_runs_nothing_the_prompt_received_is_the_one_that_it_constructs(target: Target) -> None:
    assert target.received(RECORDED[0]) is target.construct(RECORDED[0])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Target]]:
    """A release that runs steps: a small blog with what its options say."""
    with ExitStack() as stack:

        def open_target(**options: Json) -> Target:
            release = Release("1.0", f"{SMALL_APPLICATION}:open_release", SMALL_APPLICATION.parent, options=options)
            return Target(release, Workflow((STEP,), {"facts": RECORDED}), tmp_path / "recordings", stack, tmp_path)

        yield open_target


def test_the_prompt_received_is_the_one_that_reaches_the_model_and_not_the_preview(
    running: Callable[..., Target],
) -> None:
    target = running(sends="\nAnswer in Latin.")
    assert target.received(RECORDED[0]).text == target.construct(RECORDED[0]).text + "\nAnswer in Latin."
    assert target.received(RECORDED[0]) is target.received(RECORDED[0]), "each case is run once"


def test_a_run_that_asks_the_model_nothing_falls_short(running: Callable[..., Target]) -> None:
    with pytest.raises(ProductFailure, match=r"a run asks the model for 0 prompts, .*the model is asleep"):
        running(silent=["facts"]).received(RECORDED[0])


def test_a_fallback_is_named_and_no_prompt_to_be_judged(running: Callable[..., Target]) -> None:
    with pytest.raises(
        ProductFailure, match=r"the release sends its fallback \(no template\), not a constructed prompt"
    ):
        running(fallback="no template").received(RECORDED[0])


def test_a_release_describes_itself_unless_its_words_were_kept(target: Target, tmp_path: Path) -> None:
    assert target.describe() == {"mark": "candidate"}
    kept = tmp_path / "2.0.0.json"
    kept.write_text('{"mark": "as it was"}')
    assert with_facts(target, kept).describe() == {"mark": "as it was"}


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_kept_words_that_cannot_be_read_are_an_error_of_the_definition(
    target: Target, tmp_path: Path, content: str | None
) -> None:
    kept = tmp_path / "2.0.0.json"
    if content is not None:
        kept.write_text(content)
    with pytest.raises(DefinitionError, match=r"2\.0\.0\.json: .*write them with gonogo describe"):
        with_facts(target, kept).describe()


def with_facts(target: Target, facts: Path) -> Target:
    changed = replace(target.release, facts=facts)
    return Target(changed, Workflow((STEP,), {"facts": RECORDED}), Path("recordings"), ExitStack(), Path("scratch"))


def test_the_recorded_reply_of_a_step_is_one_that_conforms() -> None:
    def recording(name: str, text: str) -> Recording:
        request = Request("ollama", "/api/generate", {"prompt": name})
        return Recording(f"facts/{name}", "facts", (name,), request, Reply(text), Provenance.CAPTURED, "2026-11-23")

    step = replace(STEP, output_format=replace(STEP.output_format, schema={"type": "array"}))
    llm = Llm(RecordingSet.of([recording("roads", "no list"), recording("rivers", "[1]")]))
    assert llm.reply_to(step) == "[1]"
    assert (llm.script(step).reply.text, llm.script(step).model) == ("[1]", "llama3.1:8b")
    assert llm.script(step, "x", prompt="y", any_model=True).prompt == "y"
    with pytest.raises(
        MissingReply, match="no recording of the step facts has a reply that conforms to out; record one"
    ):
        Llm(RecordingSet.of([recording("roads", "no list")])).reply_to(step)
