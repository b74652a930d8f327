"""The recordings that a served stub answers from: folders of releases, read anew when a file changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gonogo.errors import DefinitionError, GonogoError
from gonogo.recordings import PATTERNS, RecordingSet, load_recordings

__all__ = ["Library", "Loaded"]


@dataclass(frozen=True)
class Loaded:
    """What the folders hold. ``shadowed``: folder -> ids of its recordings whose request an earlier folder answers."""

    recordings: RecordingSet
    shadowed: Mapping[Path, tuple[str, ...]]


@dataclass
class Library:
    """Folders of recordings, each that of one release. The same request in two of them: the first folder answers."""

    folders: Sequence[Path]
    _seen: frozenset[tuple[str, int, int]] = field(default=frozenset(), init=False)

    def load(self) -> Loaded:
        """Read all folders.

        Raises:
            DefinitionError: a file is malformed, or one of the folders is none.
        """
        self._seen = self._state()
        sets = []
        for folder in self.folders:
            if not folder.is_dir():
                raise DefinitionError(
                    f"{folder}: no such folder; name folders that hold recordings, one YAML file per step"
                )
            sets.append(load_recordings(folder))
        joined = RecordingSet.joined(sets)
        shadowed: dict[Path, tuple[str, ...]] = {}
        for folder, several in zip(self.folders, sets, strict=True):
            ids = tuple(one.id for one in several.recordings if joined.by_key[one.request.key] is not one)
            if ids:
                shadowed[folder] = ids
        _ = joined.sketches  # made here, so that the first miss keeps nobody waiting
        return Loaded(joined, shadowed)

    @property
    def changed(self) -> bool:
        """Whether a file was changed, added or removed since the folders were read last."""
        return self._state() != self._seen

    async def watch(self, take: Callable[[Loaded | str], None], every: float = 1.0) -> None:
        """Read the folders anew whenever a file has changed, beside the running loop, for ever.

        Args:
            take: gets what they hold, or why it cannot be used: somebody may be at work on a file.
            every: seconds between two looks.
        """
        while True:
            await asyncio.sleep(every)
            if await asyncio.to_thread(lambda: self.changed):
                try:
                    found: Loaded | str = await asyncio.to_thread(self.load)
                except (GonogoError, OSError) as error:
                    found = f"{error}; what was loaded before is served"
                take(found)

    def _state(self) -> frozenset[tuple[str, int, int]]:
        found = []
        for path in (path for folder in self.folders for path in (*folder.glob("*.yaml"), folder / PATTERNS)):
            try:
                told = path.stat()
            except FileNotFoundError:  # removed since it was listed, or no patterns
                continue
            found.append((str(path), told.st_mtime_ns, told.st_size))
        return frozenset(found)
