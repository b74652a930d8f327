"""What stands in for the model of a release: a stub in its process, one that serves HTTP, or nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gonogo.clock import OwnClock
from gonogo.errors import TargetError
from gonogo.recordings import load_recordings
from gonogo.stub import Exchange, FaultPlan, LlmFault, Script, Stub
from gonogo.stub.in_process import ModelClock, installed
from gonogo.targets.gate import Gate

__all__ = ["ModelStub", "NoStub", "stand_in"]


class ModelStub(Protocol):
    """Stands in for the model of a release: in this process, on the wire, or not at all (``base_url`` is none)."""

    @property
    def base_url(self) -> str | None:
        """Where it answers; empty where the adapter says it."""
        ...

    def expect(
        self, *, step: str | None = None, script: Script | None = None, fault: LlmFault | FaultPlan | None = None
    ) -> None:
        """What the next requests are answered with; the journal begins anew."""
        ...

    @property
    def journal(self) -> Iterable[Exchange]:
        """What was asked since then."""
        ...

    def release(self) -> None:
        """Let others have it; what was expected is over."""
        ...


class NoStub:
    """Stands where nothing stands in for the model: it is a real one, and what it is sent is not seen."""

    base_url: str | None = None
    journal: tuple[Exchange, ...] = ()

    def expect(
        self, *, step: str | None = None, script: Script | None = None, fault: LlmFault | FaultPlan | None = None
    ) -> None:
        """A script is for a stub; a real model answers as it likes.

        Raises:
            TargetError: a fault is asked for, which nobody can plant.
        """
        if fault is not None:
            raise TargetError(
                "the model is a real one, which no fault can be planted in; name a stub with --gonogo-stub"
            )

    def release(self) -> None:
        """Nothing is held."""


def stand_in(
    opening: Mapping[str, Any], gate: Gate, own_clock: OwnClock, stack: ExitStack
) -> tuple[ModelStub, ModelClock]:
    """What answers for the release's model, as ``Release.stub`` says; and the clock of the waiting for it."""
    kind, recordings = opening["stub"], opening["recordings"]
    folder = Path(recordings) if recordings else Path(opening["tree"]) / "no-recordings"
    if kind == "requests":
        stub = Stub(partial(load_recordings, folder))
        return stub, stack.enter_context(installed(stub, own_clock.now_ns, gate.stray))
    if kind == "none":
        return NoStub(), ModelClock()
    # imported where it is needed: a worker whose stub lives inside it need not wait for this
    from gonogo.stub.remote import RemoteStub, served_stub

    if kind == "wire" and not folder.is_dir():  # as before the first reply is recorded
        folder = Path(opening["scratch"]) / "no-recordings"
        folder.mkdir()
    url = stack.enter_context(served_stub([folder])) if kind == "wire" else kind
    gate.let_through(url)
    token_env = (opening["contract"] or {}).get("stub_token_env")
    holder = f"{platform.node()}, process {os.getpid()}"
    remote = RemoteStub(url, holder=holder, token=os.environ.get(token_env) if token_env else None)
    stack.callback(remote.close)
    return remote, ModelClock()
