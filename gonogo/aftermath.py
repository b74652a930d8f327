"""What a run says when it has ended: of the live service that it judged, and of how the gate itself is proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gonogo.contents import Contents
from gonogo.definitions import Definitions
from gonogo.environment import counted_meanwhile, still_well
from gonogo.errors import ProductError, ServiceGone, TargetError
from gonogo.found_proof import FoundProof, find_proof
from gonogo.model import ENVIRONMENT, WHOLE, Evidence, Finding, Gap, Json, Judged
from gonogo.targets.client import ReleaseWorker

__all__ = ["counted_note", "look_back", "newest_proof", "told_again"]


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
    """What the service counted while the run went on, where errors that nobody foresaw are among it."""
    counted = counted_meanwhile(before, after)
    if not counted.get("unexpected"):
        return []
    return [f"the service counted during the run: {', '.join(f'{number} {name}' for name, number in counted.items())}"]


def newest_proof(contents: Contents) -> FoundProof:
    """The newest proof of the gate, held against the files of a run."""
    return find_proof(contents.project.newest_proof, contents.proven)
