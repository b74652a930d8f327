"""A function as a release: what it may return, and what its roles count for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from worker_releases import STEP

from gonogo import Case, Message, Prompt, Step
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.constructor import FunctionAdapter

CASE = Case("roads", STEP.id, {"idea": "Roads"})


def adapter(returned: object) -> FunctionAdapter:
    def build(step: Step, inputs: Mapping[str, str]) -> Prompt:
        return returned  # type: ignore[return-value]  # whatever a function without types returns

    return FunctionAdapter(WorkerContext(Path("scratch"), (STEP,), MappingProxyType({})), build)


def test_a_text_is_a_prompt_of_one_message() -> None:
    assert adapter("Find facts.").construct(CASE).prompt == Prompt.of("Find facts.")


def test_messages_are_a_prompt_with_roles() -> None:
    prompt = Prompt((Message("system", "Be brief."), Message("user", "Find facts.")))
    built = adapter(prompt).construct(CASE)
    assert built.text == "Be brief.\n\nFind facts."
    assert built.prompt.transcript == "system: Be brief.\n\nuser: Find facts."


NO_MESSAGE: Any = {"role": "user", "content": "Find facts."}


@pytest.mark.parametrize("returned", [None, b"Find facts.", [NO_MESSAGE], Prompt((NO_MESSAGE,))])
def test_anything_else_is_refused_with_what_to_return(returned: object) -> None:
    with pytest.raises(TypeError, match=r"it returned .*; return a text, or Prompt\(\(Message\(role, content\)"):
        adapter(returned).construct(CASE)
