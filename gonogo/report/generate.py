"""A run's Allure results -> ``<run>/allure/index.html``, with the runs before it as its history."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from gonogo.errors import ReportError
from gonogo.figures import printable
from gonogo.report.html import AllureGenerator
from gonogo.report.results import check_results
from gonogo.runs import RunDirectory

__all__ = ["generate_html"]


def generate_html(run: RunDirectory, reports: Path, *, results: Path | None = None) -> Path:
    """Write the HTML report of a judged run; install the Allure command line first where that is needed.

    The run becomes one line of ``<reports>/history.jsonl``. Generating it again replaces the page, not the line.

    Args:
        run: has its verdict.json.
        reports: holds the package.json that pins Allure, its lock file, and allurerc.mjs.
        results: the folder of raw results, where it is not the run's own (``pytest --alluredir``).

    Returns:
        The page: one file that opens from disk.

    Raises:
        EvidenceError: the run is none, is damaged, or was not judged; or its results are not those it was judged with.
        ReportError: there are no results of this run, Allure cannot be installed, or it fails.
    """
    document = run.read_json("verdict.json")
    found = results or run.allure_results
    if not any(found.glob("*-result.json")):
        raise ReportError(
            f"{found}: no Allure results; if the run wrote them elsewhere (--alluredir), name that folder with --results, "
            "if Allure was switched off (-p no:allure_pytest), run again with it"
        )
    check_results(run, found)
    name = printable(f"gonogo · {document['verdict']} · {document['run']['phase']}", keep="")
    generator = AllureGenerator(reports)
    generator.install()
    out, config, history = run.path / "allure", reports / "allurerc.mjs", reports / "history.jsonl"
    before = _without(history, document["run"]["id"])
    if before is None:
        generator.generate(found, out, config=config, history=history, name=name)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            others = Path(scratch, "history.jsonl")
            others.write_text(before, encoding="utf-8")
            try:
                generator.generate(found, out, config=config, history=others, name=name)
            except ReportError as error:  # that file is gone by the time it is read of
                raise ReportError(str(error).replace(str(others), str(history))) from error
    return out / "index.html"


def _without(history: Path, run_id: str) -> str | None:
    """The history without a run; none where the run is not in it."""
    try:
        lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(
            f"{history}: cannot be read ({error}); move it away, the next run begins a new one"
        ) from error
    others = [line for line in lines if not _is_about(line, run_id)]
    return "".join(others) if len(others) < len(lines) else None


def _is_about(line: str, run_id: str) -> bool:
    """Whether a line of history tells of a run: its results carry the run's id as a label."""
    if run_id not in line:
        return False
    try:
        results = json.loads(line)["testResults"].values()
        labels = [label for result in results for label in result["labels"]]
        return any(label["name"] == "run" and label["value"] == run_id for label in labels)
    except (ValueError, LookupError, TypeError, AttributeError):
        return False  # Allure says itself what is wrong with its history
