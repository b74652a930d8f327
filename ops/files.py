"""Files and links that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["link_target", "replace_link", "write_whole"]


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace the file at ``path`` by one that holds ``text`` and is on the disk."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(descriptor)
    beside.replace(path)


def replace_link(link: Path, target: Path | None) -> None:
    """Make ``link`` point to ``target``, by a relative path, in one step; None removes it."""
    if target is None:
        link.unlink(missing_ok=True)
        return
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(os.path.relpath(target, link.parent))
    beside.replace(link)


def link_target(link: Path) -> Path | None:
    """Where ``link`` points; None where there is no link."""
    try:
        return link.parent / os.readlink(link)
    except FileNotFoundError:
        return None
