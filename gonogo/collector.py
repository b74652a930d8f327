"""Which claims a process collected, which of them it runs, and the shard that their evidence goes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from gonogo.criteria import Criteria, Criterion, Scope
from gonogo.errors import GonogoError
from gonogo.evidence import Shard
from gonogo.gathering import ClaimEvidence
from gonogo.model import Claim, Collected, Level, Status
from gonogo.verdict import Facts, judge_claim

__all__ = ["Collector", "NotASuite"]


class NotASuite(GonogoError):
    """The tests do not fit the criteria."""


@dataclass
class Collector:
    """The claims of one process. ``measured_pass`` says which half it runs: the measured claims, or the others."""

    run_id: str
    facts: Facts
    shard: Shard
    measured_pass: bool
    claims: dict[str, Claim] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    deselected: int = 0
    _items: dict[Claim, str] = field(default_factory=dict)
    _waived: set[str] = field(default_factory=set)
    _current: ClaimEvidence | None = None

    def take(self, item: str, claim: Claim, criterion: Criterion) -> None:
        """Take note of an item and of the claim that it is evidence for.

        Raises:
            NotASuite: the claim has an item already, or the criterion is not claimed in this scope.
        """
        scope = Scope.STEP if claim.step else Scope.RUN
        if scope not in criterion.scopes:
            raise NotASuite(
                f"{item}: criterion {criterion.id!r} is claimed per {' and '.join(one.value for one in criterion.scopes)}, "
                f"this test feeds it per {scope.value}; ask for the fixture 'step' or leave it, or correct per in criteria.toml"
            )
        if claim in self._items:
            raise NotASuite(
                f"{item}: the claim {claim} is fed by {self._items[claim]} already; one test feeds one claim, join the two"
            )
        self._items[claim] = item
        not_judged = criterion.level(self.facts.phase, synthetic=self.facts.synthetic) is Level.NOT_JUDGED
        if not_judged or not set(criterion.needs) <= self.facts.abilities:
            self._waived.add(item)  # the verdict says what the target lacks
        elif criterion.measured and not self.measured_pass:
            self.left_out.append(item)
            self.claims[item] = claim
        elif criterion.measured is self.measured_pass:
            self.claims[item] = claim
        else:
            self._waived.add(item)

    def runs_now(self, item: str) -> bool:
        """Whether this process runs an item. Tests that name no criterion run as they always do, but not twice."""
        if item in self._waived or item in self.left_out:
            return False
        return item in self.claims or not self.measured_pass

    def note_collected(self) -> None:
        """Write down what was collected."""
        claims = sorted(self.claims.values(), key=str)
        self.shard.append(Collected(tuple(claims), self.deselected))

    def begin(self, item: str) -> None:
        """An item starts."""
        self._current = ClaimEvidence(self.claims[item], item, self.shard.extend)

    @property
    def current(self) -> ClaimEvidence:
        """The evidence of the item that runs now.

        Raises:
            NotASuite: the test that asks names no criterion.
        """
        if self._current is None:
            raise NotASuite(
                "this test names no criterion; mark it with @pytest.mark.criterion('…') before it asks for evidence"
            )
        return self._current

    def sampled_no_go(self, criteria: Criteria) -> bool:
        """Whether the samples of the item that runs now make its claim NO-GO already."""
        criterion = criteria[self.current.claim.criterion]
        level = criterion.level(self.facts.phase, synthetic=self.facts.synthetic)
        decided = judge_claim(self.current.claim, criterion, level, self.facts, self.current.samples)
        return decided.status is Status.NO_GO

    def end(self) -> None:
        """The item came to its end, or was cut off."""
        ended = self.current.ended()
        if ended is not None:
            self.shard.append(ended)
        self._current = None

    def close(self) -> None:
        """Close the shard."""
        self.shard.close()
