"""What may be told of an exception: its type and where it came from. Never its message, which may hold anybody's text.

Standard library only: the server's main process imports this before any worker has loaded the application.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

__all__ = ["Failure", "fingerprint"]

# A line stays well below what a pipe takes in one piece (4096 bytes on Linux), or those of two workers might mix
FRAMES = 12  # told of an exception, the innermost ones
CAUSES, CAUSE_FRAMES = 3, 4  # told behind it
PACKAGE = "app"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception without what it says.

    The fingerprint stays the same from release to release as long as nobody moves or renames the function in ``app/`` that it
    came from: there is no line in it and no message, so there are no more of them than places.
    """

    kind: str
    fingerprint: str
    told: dict[str, object]  # JSON values only

    @classmethod
    def of(cls, kind: str, error: BaseException) -> Failure:
        """What may be told of `error`; `kind` is the code that users are told."""
        ours = [place for module, place, _ in _frames(error.__traceback__) if module.split(".")[0] == PACKAGE]
        return cls(kind, fingerprint(kind, _name(error), ours[-1] if ours else ""), _told(error))

    def fields(self) -> dict[str, object]:
        """The fields of a log event."""
        return {"kind": self.kind, "fingerprint": self.fingerprint, "exception": self.told}


def fingerprint(kind: str, *rest: str) -> str:
    """Twelve hexadecimal digits, the same for the same words in any process."""
    return hashlib.sha256("\0".join((kind, *rest)).encode()).hexdigest()[:12]


def _told(error: BaseException) -> dict[str, object]:
    told: dict[str, object] = {"type": _name(error), "frames": _places(error)[-FRAMES:]}
    if getattr(error, "loggable", False):
        told["message"] = str(error)
    causes = [{"type": _name(cause), "frames": _places(cause)[-CAUSE_FRAMES:]} for cause in _causes(error)]
    return {**told, "causes": causes} if causes else told


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _places(error: BaseException) -> list[str]:
    """``app/views.py:83 list_steps``, the innermost last. Named by module: no folder of this machine is told."""
    return [place.replace(" ", f":{line} ", 1) for _, place, line in _frames(error.__traceback__)]


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, str, int]]:
    """Of each frame its module, ``file function``, and its line."""
    while traceback is not None:
        frame = traceback.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        yield module, f"{module.replace('.', '/')}.py {frame.f_code.co_qualname}", traceback.tb_lineno
        traceback = traceback.tb_next


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    for _ in range(CAUSES):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        yield cause
        error = cause
