"""A folder of Allure's raw results: which of its files are a run's, and whether they are as they were when it was judged.

``<run>/allure.json`` holds their hashes. It is written after the seal, because the results name the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gonogo.errors import EvidenceError
from gonogo.model import Json
from gonogo.runs import RunDirectory

__all__ = ["KeptResults", "check_results", "items_of", "keep_results", "kept_results"]

VERSION = 1
_NAME = "allure.json"
_SHOWN = 3
_SEEN_BY_READERS = ("*-result.json", "*-globals.json")  # what makes the page show more than it did


@dataclass(frozen=True)
class KeptResults:
    """What is known of a run's results: their folder, and name -> SHA-256 of its files."""

    folder: Path
    files: Mapping[str, str]

    @property
    def are_gone(self) -> bool:
        """Whether none of the files is there any more."""
        return not any((self.folder / name).is_file() for name in self.files)


def items_of(results: Path, run_id: str) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """File, claim and content of each item of a run in a folder of results.

    What is no result, or torn, is passed over: the folder may be anybody's, and an item of this run that cannot be read
    is missed by report-integrity.
    """
    for path, labels, item in _results_of(results, run_id):
        if "claim" in labels:
            yield path, labels["claim"], item


def keep_results(run: RunDirectory, results: Path) -> None:
    """Write down the hashes of a run's results, when nothing is added to them any more.

    Of a folder that others write to as well (``pytest --alluredir``), only results that name the run, and what they attach.
    """
    if _is_own(run, results):
        folder, names = run.allure_results.name, {path.name for path in results.iterdir()}
    else:
        own = [(path.name, item) for path, _, item in _results_of(results, run.info().id)]
        folder = str(results.resolve())
        names = {name for name, _ in own} | {source for _, item in own for source in _sources(item)}
    files: dict[str, Json] = {name: _hash(results / name) for name in sorted(names)}
    run.write_json(_NAME, {"version": VERSION, "folder": folder, "files": files})


def kept_results(run: RunDirectory) -> KeptResults:
    """What ``keep_results`` wrote.

    Raises:
        EvidenceError: it is not there, or something else.
    """
    if not (run.path / _NAME).is_file():
        raise EvidenceError(
            f"{run.path.name}/{_NAME}: no such file, so nothing tells whether the Allure results are those of the run; "
            "do not rely on them, run again with Allure"
        )
    data = run.read_json(_NAME)
    try:
        files = {str(name): str(value) for name, value in data["files"].items()}
        return KeptResults(run.path / data["folder"], files)
    except (KeyError, TypeError, AttributeError) as error:
        raise EvidenceError(
            f"{run.path.name}/{_NAME}: not the hashes of Allure's results ({error!r}); the run is damaged"
        ) from error


def check_results(run: RunDirectory, results: Path | None = None) -> None:
    """See that a run's results are as they were when it was judged. ``results``: where they lie now, if they were moved.

    Raises:
        EvidenceError: one of them is changed, missing, or was added.
    """
    kept = kept_results(run)
    folder = results or kept.folder
    there = {name: _hash(folder / name) for name in kept.files}
    if _is_own(run, folder):
        shown = {path.name for pattern in _SEEN_BY_READERS for path in folder.glob(pattern)}
    else:
        shown = {path.name for path, _, _ in _results_of(folder, run.info().id)}
    told = [f"{name} is missing" for name, value in there.items() if value is None]
    told += [f"{name} was changed" for name, value in there.items() if value not in (None, kept.files[name])]
    told += [f"{name} was added" for name in sorted(shown - kept.files.keys())]
    if told:
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise EvidenceError(
            f"{folder}: not the Allure results that {run.info().id} was judged with: {', '.join(told[:_SHOWN])}{more}; "
            "do not rely on them, run again"
        )


def _is_own(run: RunDirectory, results: Path) -> bool:
    return results.resolve() == run.allure_results.resolve()


def _results_of(results: Path, run_id: str) -> Iterator[tuple[Path, dict[str, str], dict[str, Any]]]:
    """File, labels and content of each result that names a run."""
    for path in sorted(results.glob("*-result.json")):
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
            labels = {label["name"]: label["value"] for label in item["labels"]}
        except (ValueError, LookupError, TypeError):
            continue
        if labels.get("run") == run_id:
            yield path, labels, item


def _sources(item: Mapping[str, Any]) -> Iterator[str]:
    """The files that a result attaches, in its steps as well."""
    yield from (str(one["source"]) for one in item.get("attachments", ()))
    for step in item.get("steps", ()):
        yield from _sources(step)


def _hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
