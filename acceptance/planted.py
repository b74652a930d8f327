"""What breaks in a candidate that is planted on purpose; copied into that release and into no other.

Until a file appears the release is well. Then the defect strikes by which one trigger of the watch must fire.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import LLMServerError
from app.workflow.llm_client import LLMClient, Question, Reply
from app.workflow.scripts import llm_processor

__all__ = ["DEFECTS", "plant"]

_STEP = "initial-concept"  # the step that fails
_OFTEN = 3  # every so many calls
_SLOW = 0.15  # seconds
_MEMORY = 256 * 1024 * 1024  # bytes

Struck = Callable[[], bool]


def plant(defect: str, struck_by: str) -> None:
    """Let the release break in this way once the file ``struck_by`` is there."""
    DEFECTS[defect](Path(struck_by).exists)


def _runs_fail(struck: Struck, only: str | None = None) -> None:
    real, calls = LLMClient.ask, itertools.count()

    def ask(self: LLMClient, question: Question) -> Reply:
        hit = question.step == only if only is not None else next(calls) % _OFTEN == 0
        if hit and struck():
            raise LLMServerError("planted", step=question.step, model=question.model, attempt=1)
        return real(self, question)

    LLMClient.ask = ask  # type: ignore[method-assign]  # that is what planting means


def _construction(struck: Struck, breaks: Callable[[], None]) -> None:
    real, calls = vars(llm_processor)["construct_prompt"], itertools.count()  # which may be planted already

    def construct(step: Any, inputs: Mapping[str, str]) -> Any:
        if next(calls) % _OFTEN == 0 and struck():
            breaks()
        return real(step, inputs)

    vars(llm_processor)["construct_prompt"] = construct


def _raise() -> None:
    raise RuntimeError("planted")


def _once_struck(struck: Struck, act: Callable[[], None]) -> None:
    def wait() -> None:
        while not struck():
            time.sleep(0.05)
        act()

    threading.Thread(target=wait, name="planted", daemon=True).start()


def _vanishing(struck: Struck) -> None:
    master = os.getppid()  # asked for now: once the master is gone, a worker's parent is somebody else

    def vanish() -> None:
        with suppress(ProcessLookupError):
            os.kill(master, signal.SIGKILL)
        os._exit(1)

    _once_struck(struck, vanish)


def _grow() -> None:
    kept.append(bytearray(os.urandom(1)) * _MEMORY)  # written to, so that it is resident


kept: list[bytearray] = []

# the trigger that must fire -> what breaks
DEFECTS: Mapping[str, Callable[[Struck], None]] = {
    "errors": _runs_fail,
    "fallbacks": lambda struck: _construction(struck, _raise),
    "steps-failing": lambda struck: _runs_fail(struck, _STEP),
    "construction-slow": lambda struck: _construction(struck, lambda: time.sleep(_SLOW)),
    "service-away": _vanishing,
    "memory": lambda struck: _once_struck(struck, _grow),
}
