"""Targets of a run: a worker that starts when it is first asked, and a prompt that is built once for each case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from worker_releases import STEP, wish, write_release

from gonogo.errors import MissingReply, ProductError
from gonogo.model import Provenance, Recording, Reply, Request, Workflow
from gonogo.recordings import RecordingSet
from gonogo.workbench import Llm, Target

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
