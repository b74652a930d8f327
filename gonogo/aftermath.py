"""What a run says of the live service that it judged: at its beginning to the reader, at its end as evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gonogo.definitions import Definitions
from gonogo.environment import counted_meanwhile, still_well
from gonogo.errors import ProductError, ServiceGone, TargetError
from gonogo.model import ENVIRONMENT, WHOLE, Evidence, Finding, Gap, Json, Judged
from gonogo.project import Release
from gonogo.targets.client import ReleaseWorker

__all__ = ["counted_note", "live_notes", "look_back", "told_again"]


def live_notes(release: Release, source: str) -> list[str]:
    """What a reader of a live run must know of its evidence; ``source`` is where its prompts come from."""
    if release.service is None:
        return []
    notes = [f"judged is what answers at {release.service.url}", f"source: {source}"]
    if release.stub == "none":
        notes[1] += "; its model is a real one, so prompts are those that it shows, not those that a model received"
    if release.service.read_only:
        notes.append(
            "read only: previews alone were asked for; nothing is known of runs, of what they store, and of their errors"
        )
    return notes


def told_again(definitions: Definitions) -> Mapping[str, Json] | Evidence:
    """What the live service tells of itself when the run has ended, or why it tells nothing."""
    release, contract = definitions.project.candidate, definitions.criteria.target
    try:
        with ReleaseWorker(release, definitions.workflow.steps, contract=contract) as worker:
            return worker.describe()
    except ServiceGone as error:
        return Judged(ENVIRONMENT, None, Finding("environment", False, f"when the run had ended, {error}"))
    except (ProductError, TargetError) as error:
        return Gap(WHOLE, None, f"the service could not be looked at when the run had ended: {error}")


def look_back(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Evidence]:
    """Whether a live service is well when the run has ended, and still the release that it was."""
    for finding in still_well(after):
        yield Judged(ENVIRONMENT, None, finding)
    first, now = before.get("version_told"), after.get("version_told")
    if first != now:
        yield Gap(WHOLE, None, f"the service answered as release {first} first, as {now} at {after.get('told_at')}")


def counted_note(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """What the service counted while the run went on, as a note; none where it counts nothing that is known."""
    counted = counted_meanwhile(before, after)
    return [f"the service counted during the run: {counted}"] if counted else []
