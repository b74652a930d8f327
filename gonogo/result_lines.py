"""Files of results, a line each: lines are added, and none is ever taken away."""

from __future__ import annotations

from pathlib import Path

__all__ = ["set_aside", "whole_lines"]


def whole_lines(content: bytes) -> bytes:
    """Without a last line that was cut short by the end of its process; it is no result yet."""
    return content[: content.rfind(b"\n") + 1]


def set_aside(path: Path) -> None:
    """Give a file another name beside its own, so that it can begin anew."""
    numbers = range(1, 10**6)
    names = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in numbers)
    path.rename(next(name for name in names if not name.exists()))
