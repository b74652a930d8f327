"""Allure results: the places and attachments of items. What is said about a whole run is in ``allure_criteria``.

These two are the only modules that import allure.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import allure

from gonogo.criteria import Criterion
from gonogo.figures import printable
from gonogo.gathering import Attachment
from gonogo.model import Claim, Step
from gonogo.report.allure_criteria import write_criteria
from gonogo.report.results import items_of

__all__ = ["attach_evidence", "claims_in", "item_labels", "name_item", "write_criteria"]

_TYPES = {
    "text": allure.attachment_type.TEXT,
    "json": allure.attachment_type.JSON,
    "diff": allure.attachment_type.TEXT,
    "png": allure.attachment_type.PNG,
}


def item_labels(run_id: str, criterion: Criterion, claim: Claim, step: Step | None) -> tuple[tuple[str, str], ...]:
    """(type, value) of the labels that give an item its place: epic = group, feature = criterion, story = step."""
    return (
        ("layer", "claim"),
        ("run", run_id),
        ("claim", str(claim)),
        ("epic", criterion.group),
        ("feature", criterion.id),
        ("story", step.path if step else "the whole run"),
        ("parentSuite", criterion.group),
        ("suite", criterion.id),
    )


def name_item(claim: Claim) -> None:
    """Give the running item a name that a reader of the report knows."""
    title = f"{claim.criterion} · {claim.step or 'the whole run'}"
    allure.dynamic.title(title)


def attach_evidence(attachments: Iterable[Attachment]) -> None:
    """Attach what a suite gives a reader. Never HTML or SVG."""
    for one in attachments:
        content = one.content if isinstance(one.content, bytes) else one.content.encode("utf-8", "backslashreplace")
        allure.attach(content, name=printable(one.name, keep=""), attachment_type=_TYPES[one.kind])


def claims_in(results: Path, run_id: str) -> set[Claim]:
    """The claims of a run that have a result in a folder of Allure results."""
    found = set()
    for _, claim, _ in items_of(results, run_id):
        criterion, _, step = claim.partition("/")
        found.add(Claim(criterion, step or None))
    return found
