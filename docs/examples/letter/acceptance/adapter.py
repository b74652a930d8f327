"""How gonogo reaches the application. Called in a process of its own, where the release's folder stands first on the path."""

from __future__ import annotations

from gonogo.targets.adapter import WorkerContext
from gonogo.targets.constructor import FunctionAdapter


def open_release(context: WorkerContext) -> FunctionAdapter:
    """The release is one function. It is imported here and nowhere earlier, so that it is the release's own."""
    from letters import build_prompt

    return FunctionAdapter(context, build_prompt)
