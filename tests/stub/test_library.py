"""Folders of recordings: several as one, and what changes while they are served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from served_recordings import SPOKEN, STREAM, WHOLE, write_recordings

from gonogo.errors import DefinitionError
from gonogo.model import Reply
from gonogo.stub import Stub
from gonogo.stub.library import Library, Loaded


def test_several_folders_are_one_set_and_the_first_one_answers(tmp_path: Path) -> None:
    again = replace(WHOLE, id="facts/again", reply=Reply("Another."))
    first, second = write_recordings(tmp_path / "2", WHOLE), write_recordings(tmp_path / "1", again, STREAM)
    loaded = Library([first, second]).load()
    assert loaded.recordings.recordings == (WHOLE, STREAM)
    assert loaded.recordings.find(again.request) == WHOLE
    assert loaded.shadowed == {second: ("facts/again",)}


def test_two_releases_may_record_the_same_case(tmp_path: Path) -> None:
    moved = replace(WHOLE, request=SPOKEN.request)
    folders = [write_recordings(tmp_path / "2", WHOLE), write_recordings(tmp_path / "1", moved)]
    assert len(Library(folders).load().recordings.recordings) == 2


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no such folder; name folders that hold recordings"):
        Library([tmp_path / "none"]).load()


def watched(library: Library, change: Callable[[], object], times: int = 1) -> list[Loaded | str]:
    """What is told after a change, as soon as something is."""

    async def wait() -> list[Loaded | str]:
        told: list[Loaded | str] = []
        enough = asyncio.Event()

        def take(found: Loaded | str) -> None:
            told.append(found)
            if len(told) == times:
                enough.set()

        watching = asyncio.ensure_future(library.watch(take, every=0.01))
        change()
        await asyncio.wait_for(enough.wait(), 10)
        await asyncio.sleep(0.1)  # nothing is told twice
        watching.cancel()
        return told

    return asyncio.run(wait())


def test_what_changes_on_disk_is_served_and_the_rest_stays(tmp_path: Path) -> None:
    library = Library([write_recordings(tmp_path / "r", WHOLE)])
    stub = Stub(library.load().recordings)
    stub.answer(WHOLE.request)
    [told] = watched(library, lambda: write_recordings(tmp_path / "r", replace(WHOLE, reply=Reply("Winding."))))
    assert isinstance(told, Loaded)
    stub.exchange_recordings(told.recordings)
    assert b"Winding." in stub.answer(WHOLE.request).body
    assert len(stub.journal) == 2


def test_a_file_more_is_seen_and_a_file_less_too(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "r", WHOLE)
    library = Library([folder])
    library.load()
    assert not library.changed
    (folder / "more.yaml").write_text("step: more\nrecordings: []\n")
    assert library.changed
    library.load()
    (folder / "more.yaml").unlink()
    assert library.changed


def test_a_file_that_is_broken_is_told_once_and_then_served_when_it_is_whole(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "r", WHOLE)
    library = Library([folder])
    library.load()
    [told] = watched(library, lambda: (folder / "facts.yaml").write_text("step: ["))
    assert isinstance(told, str)
    assert "facts.yaml" in told
    assert told.endswith("; what was loaded before is served")
    [whole] = watched(library, lambda: write_recordings(folder, STREAM))
    assert isinstance(whole, Loaded)
    assert whole.recordings.recordings == (STREAM,)
