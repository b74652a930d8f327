"""How a proof is made: what is still to be shown, and one run after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from gonogo.criteria import Criteria, Criterion
from gonogo.errors import GonogoError
from gonogo.model import Ability, Level, Phase, Status
from gonogo.proof import CriterionProof, Itself, Outcome, Proof, Seen, Shown, outcome_of
from gonogo.proof_results import Control, Record, Results

__all__ = [
    "NOTHING",
    "Broke",
    "Job",
    "Plan",
    "PlantedDefect",
    "Prover",
    "missed",
    "proof_of",
]

NOTHING = "nothing"  # planted to hold a release against itself


class PlantedDefect(Protocol):
    """A defect of the catalogue (``gonogo.planting.Defect``), as far as a proof has to know it."""

    @property
    def id(self) -> str: ...
    @property
    def criterion(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def needs(self) -> frozenset[Ability]: ...
    @property
    def expected(self) -> Status: ...


@dataclass(frozen=True)
class Job:
    """One run of pytest: the criteria it judges, and what is planted; nothing at all where ``planted`` is empty.

    A defect is planted for one criterion alone; against itself a release is held for several at once.
    """

    criteria: tuple[str, ...]
    planted: str = ""
    phase: Phase = Phase.PRE
    number: int = 1  # of those that are alike

    @property
    def name(self) -> str:
        """A name for its folder."""
        name = f"{'+'.join(self.criteria)}-{self.planted or 'unplanted'}"
        return name if self.number == 1 else f"{name}-{self.number}"


@dataclass(frozen=True)
class Broke:
    """A run that shows nothing of a criterion, and why; it is to be made again."""

    criterion: str
    planted: str
    why: str

    @property
    def name(self) -> str:
        """What the run was."""
        return Job((self.criterion,), self.planted).name


Runner = Callable[[Job], Mapping[str, Seen]]


@dataclass(frozen=True)
class Plan:
    """What is to be shown: the defects that are planted, and the criteria whose errors are counted.

    Attributes:
        criteria: of the project.
        defects: that were chosen, all of them of criteria of the project.
        itself: the measured criteria on which a release is held against itself.
        decisions: how many claims of each must have been decided.
    """

    criteria: Criteria
    defects: Sequence[PlantedDefect]
    itself: Sequence[str]
    decisions: int

    @classmethod
    def of(
        cls,
        criteria: Criteria,
        catalogue: Iterable[PlantedDefect],
        *,
        only: Sequence[str] = (),
        decisions: int = 100,
        stage: bool = True,
    ) -> Plan:
        """The plan for a project; ``only`` names defects or criteria, else ``stage`` says whether those on a stage belong to it."""

        def is_chosen(criterion: str, *more: str) -> bool:
            return bool({criterion, *more} & {*only}) if only else stage or not _is_staged(criteria, criterion)

        known = [one for one in catalogue if one.criterion in criteria]
        defects = [one for one in known if is_chosen(one.criterion, one.id)]
        itself = [one.id for one in criteria.criteria if one.measured and _is_judged(one) and is_chosen(one.id)]
        return cls(criteria, defects, itself, decisions)

    def job(self, criterion: str, *others: str, planted: str = "") -> Job:
        """A run of criteria that are judged in the same phase."""
        return Job((criterion, *others), planted, self._phase(criterion))

    def is_measured(self, criterion: str) -> bool:
        """Whether a criterion rests on measurements."""
        return self.criteria[criterion].measured

    def runs_alone(self, criterion: str) -> bool:
        """Whether a run of a criterion takes the machine for itself: it measures, or users of a stage must not wait for others."""
        return self.is_measured(criterion) or _is_staged(self.criteria, criterion)

    def open_defects(self, results: Results) -> list[PlantedDefect]:
        """The defects that nothing is known of yet."""
        return [one for one in self.defects if one.id not in results.shown(one.criterion)]

    def open_controls(self, results: Results) -> list[str]:
        """Criteria that nobody has looked at without a planted defect."""
        wanted = dict.fromkeys(one.criterion for one in self.open_defects(results))
        return [one for one in wanted if results.control(one) is None]

    def control_jobs(self, results: Results) -> Iterator[Job]:
        """Runs without a planted defect: each criterion alone, and all measured ones of a phase at once."""
        measured: dict[Phase, list[str]] = {}
        for one in self.open_controls(results):
            if self.is_measured(one):
                measured.setdefault(self._phase(one), []).append(one)
            else:
                yield self.job(one)
        yield from (self.job(*together) for together in measured.values())

    def doubtful_jobs(self, results: Results) -> Iterator[Job]:
        """Measured criteria that were NO-GO without a defect, once more: a single false one would hide every defect of theirs."""
        wanted = dict.fromkeys(one.criterion for one in self.open_defects(results))
        for one in filter(self.is_measured, wanted):
            looked = [record for record in results.of(one) if isinstance(record, Control)]
            if len(looked) == 1 and looked[0].verdict is Status.NO_GO:
                yield replace(self.job(one), number=2)

    def missing_claims(self, criterion: str, results: Results) -> int:
        """How many claims of a release against itself are still to be decided; none where none can be."""
        found = results.itself(criterion)
        if found is not None and any(isinstance(one, Itself) and not one.claims for one in results.of(criterion)):
            return 0
        return max(0, self.decisions - (found.claims if found else 0))

    def itself_job(self, results: Results, broken: Collection[str]) -> Job | None:
        """The next run against itself, of all criteria of a phase of which claims are missing, but for those that broke."""
        missing = [one for one in self.itself if one not in broken and self.missing_claims(one, results)]
        together = [one for one in missing if self._phase(one) is self._phase(missing[0])]
        if not together:
            return None
        made = max(sum(isinstance(record, Itself) for record in results.of(one)) for one in together)
        return replace(self.job(*together, planted=NOTHING), number=made + 1)

    def _phase(self, criterion: str) -> Phase:
        """Before a deploy, but for what is judged at night alone."""
        levels = self.criteria[criterion].levels
        nightly_alone = levels[Phase.PRE] is Level.NOT_JUDGED and levels[Phase.NIGHTLY] is not Level.NOT_JUDGED
        return Phase.NIGHTLY if nightly_alone else Phase.PRE

    def is_complete(self, results: Results) -> bool:
        """Whether there is nothing left to be done."""
        return not self.open_defects(results) and not any(self.missing_claims(one, results) for one in self.itself)


def _is_judged(criterion: Criterion) -> bool:
    """Whether a criterion is judged before a deploy or at night, as the runs of a proof are."""
    return any(criterion.levels[phase] is not Level.NOT_JUDGED for phase in (Phase.PRE, Phase.NIGHTLY))


def _is_staged(criteria: Criteria, criterion: str) -> bool:
    """Whether a run of a criterion deploys releases, which takes minutes."""
    return Ability.STAGE in criteria[criterion].needs


@dataclass
class Prover:
    """Makes what is open of a plan, and tells of each result as soon as it is kept.

    Attributes:
        plan: what is to be shown.
        results: what is known already, and where the rest is kept.
        runner: makes one run; raises a GonogoError where it did not come to a verdict.
        unchanged: raises where the files that the proof holds for are no longer the same.
        workers: how many runs go on at a time, of criteria whose runs need not go alone.
    """

    plan: Plan
    results: Results
    runner: Runner
    unchanged: Callable[[], None]
    workers: int = 1
    broken: list[Broke] = field(default_factory=list)

    def run(self) -> Iterator[tuple[Job, list[Record | Broke]]]:
        """Every run as it ends, with what it showed of each of its criteria; ``broken`` remembers those that broke."""
        yield from self._each(list(self.plan.control_jobs(self.results)))
        yield from self._each(list(self.plan.doubtful_jobs(self.results)))
        defects = self.plan.open_defects(self.results)
        # a NO-GO shows nothing while nobody knows that it is not there without the defect as well
        compared = [one for one in defects if self.results.control(one.criterion) is not None]
        yield from self._each([self.plan.job(one.criterion, planted=one.id) for one in compared])
        while job := self._next_against_itself():
            yield job, self._made(job, partial(self.runner, job))

    def _next_against_itself(self) -> Job | None:
        return self.plan.itself_job(self.results, {one.criterion for one in self.broken if one.planted == NOTHING})

    def _each(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, list[Record | Broke]]]:
        """First those that may go side by side, then the others, one after the other."""
        alone = [job for job in jobs if any(map(self.plan.runs_alone, job.criteria))]
        yield from self._side_by_side([job for job in jobs if job not in alone])
        for job in alone:
            yield job, self._made(job, partial(self.runner, job))

    def _side_by_side(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, list[Record | Broke]]]:
        pool = ThreadPoolExecutor(self.workers)
        try:
            futures: dict[Future[Mapping[str, Seen]], Job] = {pool.submit(self.runner, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], self._made(futures[future], future.result)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _made(self, job: Job, made: Callable[[], Mapping[str, Seen]]) -> list[Record | Broke]:
        try:
            seen = made()
        except GonogoError as error:
            return [self._broke(job, criterion, str(error)) for criterion in job.criteria]
        self.unchanged()  # else the results would be kept as those of other files
        return [self._kept(job, criterion, seen[criterion]) for criterion in job.criteria]

    def _kept(self, job: Job, criterion: str, seen: Seen) -> Record | Broke:
        if job.planted == NOTHING and not seen.claims and not seen.lacking:
            return self._broke(job, criterion, f"no claim of the release against itself was decided: {seen.reason}")
        record = self._record(job.planted, criterion, seen)
        self.results.add(record)
        return record

    def _broke(self, job: Job, criterion: str, why: str) -> Broke:
        self.broken.append(Broke(criterion, job.planted, why))
        return self.broken[-1]

    def _record(self, planted: str, criterion: str, seen: Seen) -> Record:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        if not planted:
            return Control(criterion, seen.verdict, seen.reason, at)
        if planted == NOTHING:
            reason = seen.lacking or seen.reason
            return Itself(criterion, seen.claims, seen.no_go, seen.inconclusive, reason, at)
        expected = next(one.expected for one in self.plan.defects if one.id == planted)
        control = self.results.control(criterion)
        outcome, why = outcome_of(
            expected,
            seen,
            measured=self.plan.is_measured(criterion),
            unplanted=control.verdict if control else None,
        )
        told = "not judged" if seen.verdict is None else seen.verdict.value
        return Shown(planted, criterion, outcome, expected.value, told, why, at)


def proof_of(results: Results, plan: Plan, holds_for: Mapping[str, str]) -> Proof:
    """The proof that the results make.

    Args:
        results: what is known.
        plan: of everything, whatever was chosen this time.
        holds_for: name -> hash of the files that the proof is of.
    """
    made = max((one.at for one in results.records), default=datetime.now(UTC).isoformat(timespec="seconds"))
    criteria = []
    for criterion in dict.fromkeys([*(one.criterion for one in plan.defects), *plan.itself]):
        shown = results.shown(criterion)
        wanted = [one.id for one in plan.defects if one.criterion == criterion]
        criteria.append(
            CriterionProof(
                criterion,
                tuple(shown[one] for one in wanted if one in shown),
                tuple(one for one in wanted if one not in shown),
                results.itself(criterion) or Itself(criterion, 0, 0, 0, at=made)
                if plan.is_measured(criterion)
                else None,
            )
        )
    return Proof(made, holds_for, tuple(criteria))


def missed(results: Results, defects: Iterable[PlantedDefect]) -> list[Shown]:
    """What was planted of these and not caught, though it should have been."""
    found = [results.shown(one.criterion).get(one.id) for one in defects]
    return [one for one in found if one is not None and one.outcome is Outcome.MISSED]
