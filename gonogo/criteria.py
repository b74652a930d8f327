"""The success criteria as they were signed: ``acceptance/criteria.toml``, the only place where thresholds stand."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from gonogo.contract import Contract, read_contract
from gonogo.documents import Section, read_toml
from gonogo.errors import DefinitionError, StatisticsError
from gonogo.grammar import Grammar
from gonogo.model import Ability, Claim, Json, Level, Phase
from gonogo.statistics import Bound, Decision, Limit, maximum, median, proportion, pseudomedian, quantile
from gonogo.triggers import WatchRules, read_watch

__all__ = ["Criteria", "Criterion", "Measure", "ProofRules", "Statistic", "load_criteria"]

_PHASES = frozenset(phase.value for phase in Phase)
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_Word = TypeVar("_Word", bound=enum.StrEnum)


class Statistic(enum.StrEnum):
    """How the samples of a measure become one figure with a bound.

    ``PROPORTION`` and ``SHARE`` are both the share of ones among zeros and ones. A proportion is of distinct cases, which a
    suite may replay; a share is of events that happened by themselves, such as the runs of users.
    """

    PROPORTION = "proportion"
    SHARE = "share"
    QUANTILE = "quantile"
    MEDIAN = "median"
    PSEUDOMEDIAN = "pseudomedian"
    MAXIMUM = "maximum"


class Scope(enum.StrEnum):
    """Whether a criterion (or a measure) is claimed for each step or once for the whole run."""

    STEP = "step"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Measure:
    """A sample, the statistic taken of it, and the limit that its whole confidence bound must keep."""

    sample: str
    statistic: Statistic
    go: Limit
    unit: str
    scope: Scope
    confidence: float = 0.95
    quantile: float | None = None
    minimum: int = 1

    def bound(self, values: Sequence[float]) -> Bound:
        """The statistic of a sample with its one-sided bounds.

        Raises:
            StatisticsError: the sample is empty, holds NaN, or is no sample of this statistic.
        """
        match self.statistic:
            case Statistic.PROPORTION | Statistic.SHARE:
                odd = [value for value in values if value not in (0.0, 1.0)]
                if odd:
                    raise StatisticsError(
                        f"a {self.statistic.value} is taken of 0 and 1, the sample holds {odd[0]!r}; correct the suite"
                    )
                return proportion(int(sum(values)), len(values), confidence=self.confidence)
            case Statistic.QUANTILE if self.quantile is not None:
                return quantile(values, self.quantile, confidence=self.confidence)
            case Statistic.MEDIAN:
                return median(values, confidence=self.confidence)
            case Statistic.PSEUDOMEDIAN:
                return pseudomedian(values, confidence=self.confidence)
            case _:
                return maximum(values)

    def decide(self, values: Sequence[float]) -> Decision:
        """Whether a sample keeps the limit or breaks it for certain; open where more of it could tell.

        Raises:
            StatisticsError: as ``bound`` does.
        """
        return Decision.OPEN if len(values) < self.minimum else self.go.decide(self.bound(values))


@dataclass(frozen=True, slots=True)
class Criterion:
    """One success criterion. ``levels`` says what each phase asks; ``synthetic`` what replies that no model gave can show."""

    id: str
    title: str
    group: str
    scopes: tuple[Scope, ...]
    needs: tuple[Ability, ...]
    levels: Mapping[Phase, Level]
    synthetic: Level | None
    every_case: bool
    measured: bool
    computed: bool
    measures: tuple[Measure, ...]
    parameters: Mapping[str, Json]

    def number(self, name: str) -> float:
        """A number among the parameters.

        Raises:
            DefinitionError: it is missing or no number.
        """
        value = self.parameters.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DefinitionError(
                f"criteria.toml: criterion {self.id!r}: parameters.{name} = {value!r} is not a number; write one, its suite asks for it"
            )
        return float(value)

    def integer(self, name: str) -> int:
        """A whole number among the parameters.

        Raises:
            DefinitionError: it is missing or no whole number.
        """
        value = self.number(name)
        if value != int(value):
            raise DefinitionError(
                f"criteria.toml: criterion {self.id!r}: parameters.{name} = {value!r} is not a whole number"
            )
        return int(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts among the parameters.

        Raises:
            DefinitionError: it is missing, or no list of texts.
        """
        value = self.parameters.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise DefinitionError(
                f"criteria.toml: criterion {self.id!r}: parameters.{name} = {value!r} is no list of texts; write one, its suite asks for it"
            )
        return tuple(str(one) for one in value)

    def in_phase(self, phase: Phase) -> Criterion:
        """The criterion with what ``[criterion.parameters.<phase>]`` says in the place of the usual parameters."""
        own = self.parameters.get(phase.value)
        usual = {name: value for name, value in self.parameters.items() if name not in _PHASES}
        return replace(self, parameters=MappingProxyType(usual | (own if isinstance(own, dict) else {})))

    def level(self, phase: Phase, *, synthetic: bool) -> Level:
        """What the phase asks, given whether replies come from recordings that no model gave."""
        level = self.levels[phase]
        if synthetic and self.synthetic is not None and level is Level.REQUIRED:
            return self.synthetic
        return level

    def measure(self, sample: str) -> Measure:
        """The measure that is taken of a sample.

        Raises:
            DefinitionError: none is.
        """
        for one in self.measures:
            if one.sample == sample:
                return one
        raise DefinitionError(
            f"criteria.toml: criterion {self.id!r} has no measure of the sample {sample!r}; add it, its suite asks for it"
        )

    def claims(self, steps: Iterable[str]) -> tuple[Claim, ...]:
        """The claims that a run owes for this criterion, given the ids of its steps."""
        owed: list[Claim] = []
        if Scope.STEP in self.scopes:
            owed.extend(Claim(self.id, step) for step in steps)
        if Scope.RUN in self.scopes:
            owed.append(Claim(self.id))
        return tuple(owed)


@dataclass(frozen=True, slots=True)
class ProofRules:
    """How often the gate may err where a release is held against itself: limits of rates (``gonogo prove``)."""

    false_no_go: Limit = field(default_factory=lambda: Limit("<", 0.05))
    inconclusive: Limit = field(default_factory=lambda: Limit("<", 0.2))


@dataclass(frozen=True, slots=True)
class Criteria:
    """All criteria in the order of the file, the grammar of prompts, how the application is asked, how it is watched,
    and what a proof of the gate must keep."""

    criteria: tuple[Criterion, ...]
    grammar: Grammar
    target: Contract | None = None
    watch: WatchRules | None = None
    proof: ProofRules = ProofRules()

    def __getitem__(self, criterion: str) -> Criterion:
        for one in self.criteria:
            if one.id == criterion:
                return one
        raise KeyError(criterion)

    def __contains__(self, criterion: object) -> bool:
        return any(one.id == criterion for one in self.criteria)


def load_criteria(path: Path, *, root: Path | None = None) -> Criteria:
    """Load and validate criteria.toml.

    Raises:
        DefinitionError: malformed, an unknown word, a duplicate id, or a limit that is none.
    """
    section = Section.of(read_toml(path, root=root))
    if section.integer("version") != 1:
        section.fail("version", f"{section.data['version']!r} is not a version that this gonogo reads; write 1")
    grammar = _grammar(section.section("prompt"))
    target = read_contract(section.section("target")) if section.has("target") else None
    watch = _watch(section)
    proof = _proof(section.section("proof", default={}))
    found: dict[str, Criterion] = {}
    for entry in section.sections("criterion"):
        criterion = _criterion(entry)
        if criterion.id in found:
            entry.fail(
                "id", f"the criterion {criterion.id!r} stands here a second time; remove one or give it another id"
            )
        found[criterion.id] = criterion
    section.finish()
    if not found:
        section.fail("criterion", "there is no criterion; write at least one [[criterion]]")
    return Criteria(tuple(found.values()), grammar, target, watch, proof)


def _proof(section: Section) -> ProofRules:
    limits = {}
    for name in ("false_no_go", "inconclusive"):
        usual: Limit = getattr(ProofRules(), name)
        text = section.text(name, example=f"'{usual}'", default=str(usual))
        try:
            limits[name] = Limit.parse(text)
        except StatisticsError as error:
            section.fail(name, str(error))
    section.finish()
    return ProofRules(**limits)


def _watch(section: Section) -> WatchRules | None:
    triggers = section.sections("trigger", default=())
    if section.has("watch"):
        return read_watch(section.section("watch"), triggers)
    if triggers:
        section.fail("trigger", "triggers stand here without [watch]; write interval = 2 under [watch]")
    return None


def _grammar(prompt: Section) -> Grammar:
    defaults = {
        name: Grammar.__dataclass_fields__[name].default
        for name in ("heading", "separator", "continuation", "placeholder")
    }
    texts = {}
    for name, default in defaults.items():
        value = prompt.value(name, name) if prompt.has(name) else default
        if not isinstance(value, str) or not value:
            prompt.fail(name, f"{value!r} is not a text; write for example {name} = {default!r}")
        texts[name] = value
    try:
        grammar = Grammar(
            sections=prompt.texts("sections"),
            inputs=prompt.text("inputs", example="TASK"),
            closed=prompt.flag("closed", default=True),
            **texts,
        )
    except DefinitionError as error:
        prompt.fail(None, str(error))
    prompt.finish()
    return grammar


def _criterion(entry: Section) -> Criterion:
    criterion_id = entry.text("id", example="prompt-structure")
    if not _ID.fullmatch(criterion_id):
        entry.fail("id", f"{criterion_id!r} is not an id; write lower-case words joined by hyphens")
    levels = [level.value for level in Level]
    scopes = tuple(_word(entry, "per", word, Scope) for word in entry.texts("per"))
    if not scopes:
        entry.fail("per", "the list is empty; write ['step'], ['run'] or both")
    measures = tuple(_measure(one, scopes) for one in entry.sections("measure", default=()))
    criterion = Criterion(
        id=criterion_id,
        title=entry.text("title"),
        group=entry.text("group"),
        scopes=scopes,
        needs=tuple(_word(entry, "needs", word, Ability) for word in entry.texts("needs", default=())),
        levels=MappingProxyType({phase: Level(entry.choice(phase.value, levels)) for phase in Phase}),
        synthetic=Level(entry.choice("synthetic", levels)) if entry.has("synthetic") else None,
        every_case=entry.flag("every_case", default=False),
        measured=entry.flag("measured", default=False),
        computed=entry.flag("computed", default=False),
        measures=measures,
        parameters=_parameters(entry),
    )
    entry.finish()
    return criterion


def _parameters(entry: Section) -> Mapping[str, Json]:
    """The parameters of a suite; under the name of a phase, those that differ in it."""
    found = entry.mapping("parameters", default={})
    for phase in _PHASES & found.keys():
        if not isinstance(found[phase], dict):
            entry.fail("parameters", f"{phase} = {found[phase]!r} is no table; write [criterion.parameters.{phase}]")
    return MappingProxyType(found)


def _word(section: Section, key: str, word: str, words: type[_Word]) -> _Word:
    try:
        return words(word)
    except ValueError:
        section.fail(key, f"{word!r} is not one of {', '.join(one.value for one in words)}")


def _measure(section: Section, scopes: tuple[Scope, ...]) -> Measure:
    statistic = Statistic(section.choice("statistic", [one.value for one in Statistic]))
    text = section.text("go", example="'< 0.001'")
    try:
        limit = Limit.parse(text)
    except StatisticsError as error:
        section.fail("go", str(error))
    quantile = section.number("quantile", low=0.0, high=1.0) if statistic is Statistic.QUANTILE else None
    if quantile in (0.0, 1.0):
        section.fail("quantile", f"{quantile!r} is no quantile; write a number between 0 and 1 such as 0.99")
    confidence = section.number("confidence", default=0.95, low=0.5, high=1.0)
    if confidence == 1.0:
        section.fail("confidence", "no sample gives certainty; write a number below 1 such as 0.95")
    scope = Scope(section.choice("per", [one.value for one in scopes], default=scopes[0].value))
    measure = Measure(
        sample=section.text("sample"),
        statistic=statistic,
        go=limit,
        unit=section.text("unit", example="s"),
        scope=scope,
        confidence=confidence,
        quantile=quantile,
        minimum=section.integer("minimum", default=1, low=1),
    )
    section.finish()
    return measure
