"""The catalogue of defects that can be planted in a release, so that a gate shows what it catches.

What each of them does stands in ``gonogo.targets.planted`` (inside a release worker), ``gonogo.targets.planted_stage`` and
``gonogo.planted_documents``. A defect wraps what is there, so that it works on any application; no file of it is touched.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from gonogo.documents import closest
from gonogo.errors import DefinitionError
from gonogo.model import Ability, Json, Status

__all__ = [
    "CATALOGUE",
    "MUTANT",
    "NOTHING",
    "Defect",
    "Place",
    "Planting",
    "find_defect",
    "planted_note",
]

NOTHING = "nothing"  # plants nothing: the candidate is compared with itself
MUTANT = "mutant"  # nor does this: the candidate's own source was changed (gonogo.mutants)
_PROMPT = frozenset({Ability.PROMPT})
_PROCESS = frozenset({Ability.PROMPT, Ability.WORKER})
_REPLY = frozenset({Ability.REPLY})
_MODEL = frozenset({Ability.REPLY, Ability.STUB})
_FAULT = frozenset({Ability.REPLY, Ability.STUB, Ability.FAULT})
_TOLD = frozenset({Ability.APPLICATION})
_SPEED = frozenset({Ability.WORKER, Ability.TIMING})
_RUNS = frozenset({Ability.WORKER, Ability.REPLY})
_DEFINED = frozenset({Ability.DEFINITIONS})
_STAGED = frozenset({Ability.STAGE})


class Place(enum.StrEnum):
    """Where a defect is planted: in the release worker, or around what else the release is judged by."""

    RELEASE = "release"
    DEFINITIONS = "definitions"
    STAGE = "stage"
    SIGNOFFS = "sign-offs"


@dataclass(frozen=True, slots=True)
class Defect:
    """A way in which a release falls short, and who must notice.

    Attributes:
        id: its name, as in ``--gonogo-planted``.
        criterion: the criterion that must catch it.
        title: what the release does, in words that follow "the release".
        needs: what the release must offer so that the defect can be planted in it.
        expected: what the criterion must say.
        between: whether it strikes on the way between the release and its model, which takes a stub in the release worker.
        place: where it is planted.
    """

    id: str
    criterion: str
    title: str
    needs: frozenset[Ability]
    expected: Status = Status.NO_GO
    between: bool = False
    place: Place = Place.RELEASE


def _all(
    criterion: str,
    needs: frozenset[Ability],
    titles: Mapping[str, str],
    *,
    expected: Status = Status.NO_GO,
    between: bool = False,
    place: Place = Place.RELEASE,
) -> tuple[Defect, ...]:
    return tuple(Defect(name, criterion, title, needs, expected, between, place) for name, title in titles.items())


_DEFECTS = (
    *_all(
        "prompt-structure",
        _PROMPT,
        {
            "section-missing": "leaves the last section out",
            "sections-swapped": "swaps the last two sections",
            "section-doubled": "writes the last section twice",
            "section-empty": "writes the last section's heading and nothing below it",
            "heading-changed": "writes the last section's heading otherwise",
            "text-before-sections": "writes a sentence before the first section",
        },
        between=True,
    ),
    *_all(
        "format-templates",
        _PROMPT,
        {
            "instructions-dropped": "drops the output template's instructions",
            "description-dropped": "drops the input template's description",
            "word-changed": "changes one word of the output template's instructions",
            "wrong-section": "writes the input template's instructions into another section",
            "wrong-order": "writes the output template's description before its instructions",
            "instructions-added": "adds an instruction that stands in no template",
        },
        between=True,
    ),
    *_all(
        "field-mapping",
        _PROMPT,
        {
            "input-left-out": "leaves the last input out",
            "input-doubled": "writes the last input twice",
            "input-renamed": "writes the last input under another name",
            "input-truncated": "cuts the longest input in half",
            "inputs-swapped": "exchanges the values of the first and the last input",
            "placeholder-left": "leaves references in system and task prompt as they are",
            "user-text-expanded": "resolves references that users wrote into their inputs",
            "escaping-dropped": "does not escape inputs of several lines",
        },
        between=True,
    ),
    *_all(
        "hostile-inputs",
        _PROMPT,
        {
            "forged-heading": "lets a heading through that an input forges",
            "control-swallowed": "swallows control characters",
            "normalised": "normalises text to Unicode's form NFC",
            "line-ends-changed": "turns line ends of other kinds into newlines",
            "spaces-trimmed": "trims the white space around inputs",
            "long-input-cut": "cuts inputs after 16,000 characters",
            "markup-escaped": "escapes inputs as HTML",
            "prompts-mixed-up": "remembers prompts by their first input alone",
        },
        between=True,
    ),
    *_all(
        "determinism",
        _PROCESS,
        {
            "hash-seed": "writes a figure that depends on the hash seed",
            "time-of-day": "writes the time of day",
            "set-order": "writes words in the order of a set",
            "counter": "numbers its prompts",
            "locale": "writes the locale of its process",
            "time-zone": "writes the time zone of its process",
        },
        between=True,
    ),
    *_all(
        "fallback",
        _FAULT,
        {
            "fallback-leaks": "adds the constructor's error to the simple prompt",
            "fallback-otherwise": "adds one space to the previous release's simple prompt",
        },
        between=True,
    ),
    *_all(
        "fallback",
        _FAULT,
        {
            "fallback-raises": "lets the constructor's exception through",
            "fallback-fails": "answers a run that falls back with an error",
            "fallback-unlogged": "writes no log event of a fallback",
            "fallback-unexplained": "does not say in its log what is wrong",
            "fallback-uncounted": "counts no fallback",
            "fallback-untold": "gives no reason of a fallback",
            "fallback-misread": "gives every fallback a reason that is none",
        },
    ),
    *_all(
        "error-handling",
        _MODEL,
        {
            "fault-taken-for-success": "answers a fault of the model as a success",
            "schema-loosened": "takes a reply that does not conform",
            "half-written": "stores half an output where a run fails",
            "untyped-error": "answers a fault of the model with an error of no type",
            "stack-trace-told": "answers with a stack trace",
            "environment-told": "answers with its environment",
            "prompt-told": "answers an error with the prompt that was sent",
            "model-error-told": "passes the body of the model's error on",
            "run-not-recorded": "keeps no record of a run that fails",
            "recorded-as-success": "records a run that failed as a success",
            "recorded-without-prompt": "records runs without their prompts",
            "reply-truncated": "cuts each text of an output after 200 characters",
        },
    ),
    *_all(
        "error-rate",
        _REPLY,
        {
            "errors-twice": "fails in runs, twice as often as the criterion allows",
            "errors-tenfold": "fails in runs, ten times as often as the criterion allows",
            "fallbacks-tenfold": "falls back without a fault, ten times as often as the criterion allows",
        },
    ),
    *_all("error-rate", _MODEL, {"sent-otherwise": "sends another prompt than it shows"}, between=True),
    *_all(
        "no-breaking-changes",
        _MODEL,
        {
            "input-not-sent": "no longer sends the model the longest input",
            "other-model": "asks another model",
            "other-parameter": "asks the model with another temperature",
        },
        between=True,
    ),
    *_all(
        "no-breaking-changes",
        _MODEL,
        {
            "field-renamed": "stores the output under another name",
            "output-reshaped": "answers with the output in another shape",
        },
    ),
    *_all(
        "no-breaking-changes",
        _TOLD,
        {
            "endpoints-gone": "no longer has its endpoints but for one",
            "metrics-gone": "no longer has its metrics but for one",
            "steps-gone": "no longer has its steps but for one",
        },
    ),
    *_all(
        "response-quality",
        _MODEL,
        {"replies-worse": "sends prompts that the model answers with half a reply"},
        between=True,
    ),
    *_all("response-quality", _REPLY, {"replies-refused": "refuses one of four replies, whatever they hold"}),
    Defect(
        "miss-swallowed",
        "response-quality",
        "sends what was never recorded, and answers the miss as a success",
        _MODEL,
        expected=Status.INCONCLUSIVE,
        between=True,
    ),
    *_all(
        "construction-time",
        _SPEED,
        {
            "construction-slower": "takes 1.5 times the limit longer to build a prompt",
            "construction-much-slower": "takes 3 times the limit longer to build a prompt",
            "construction-now-and-then": "takes 3 times the limit longer for one prompt of fifty",
        },
    ),
    *_all(
        "performance-maintained",
        _RUNS,
        {
            "run-slower": "takes 1.5 times the margin longer for a run",
            "run-much-slower": "takes 3 times the margin longer for a run",
        },
    ),
    *_all(
        "memory",
        _PROCESS,
        {
            "memory-kept": "keeps 64 KiB for ever with each prompt",
            "memory-creeping": "keeps so little with each prompt that growth ends at twice its limit",
            "peak-doubled": "takes twice the memory that a construction may take at its peak",
        },
    ),
    *_all(
        "environment",
        _TOLD,
        {
            "dependencies-old": "runs with dependencies of other versions than it declares",
            "dependency-missing": "runs without a dependency that it declares",
            "database-away": "cannot reach its database",
            "startup-error": "logs an error while it starts",
            "other-version": "says that it is another version",
            "python-old": "runs with a Python that it does not support",
        },
    ),
    *_all(
        "documentation",
        _TOLD,
        {
            "endpoint-undocumented": "has an endpoint that no document names",
            "endpoints-untold": "does not tell its endpoints, so that nobody can compare them with the documents",
        },
    ),
    *_all(
        "prompt-hygiene",
        _DEFINED,
        {
            "form-contradicted": "asks for a reply in one form and has an output format of another",
            "templates-exchanged": "has its input template on the side of the output, and the other way round",
            "reference-malformed": "has a reference in its task prompts that is written wrongly",
            "reference-unmapped": "no longer maps the inputs that its prompts refer to",
        },
        place=Place.DEFINITIONS,
    ),
    *_all(
        "zero-downtime",
        _STAGED,
        {
            "hand-over-refuses": "refuses connections for a second after each hand-over",
            "hand-over-cuts": "cuts connections for a second after each hand-over, with requests under way on them",
            "hand-over-unavailable": "answers fresh connections with 503 for a second after each hand-over",
        },
        place=Place.STAGE,
    ),
    *_all(
        "rollback",
        _STAGED,
        {
            "rollback-does-nothing": "stays in service after a rollback that ends well and does nothing",
            "rollback-fails": "stays in service after a rollback that ends with an error",
            "breakage-unseen": "does not break where a trigger of the watch must fire",
        },
        place=Place.STAGE,
    ),
    *_all(
        "backup", _STAGED, {"backup-differs": "restores to a copy that its stage reports to differ"}, place=Place.STAGE
    ),
    *_all(
        "backup",
        _STAGED,
        {"backup-untold": "has a backup of which its stage reports nothing"},
        expected=Status.INCONCLUSIVE,
        place=Place.STAGE,
    ),
    *_all(
        "monitoring",
        _STAGED,
        {
            "metrics-not-served": "answers whoever asks for its metrics with 404",
            "log-unstructured": "writes its log as plain text",
        },
        place=Place.STAGE,
    ),
    *_all(
        "sign-offs",
        frozenset(),
        {
            "complaint-open": "has a significant complaint that is open",
            "complaint-resolved-ahead": "has a significant complaint that is resolved on a day still to come",
        },
        place=Place.SIGNOFFS,
    ),
)
CATALOGUE: Mapping[str, Defect] = MappingProxyType({one.id: one for one in _DEFECTS})


@dataclass(frozen=True)
class Planting:
    """A defect with what it takes to plant it, for a release worker: plain data.

    ``grammar`` holds the fields of the ``Grammar`` of prompts; ``margins`` are what criteria.toml allows (``gonogo.margins``).
    """

    defect: str
    grammar: Mapping[str, Any]
    margins: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Plain data, for the wire."""
        return asdict(self)


def find_defect(defect: str) -> Defect:
    """The defect of this name.

    Raises:
        DefinitionError: there is none.
    """
    if defect not in CATALOGUE:
        raise DefinitionError(
            f"planted = {defect!r} is no defect{closest(defect, (NOTHING, *CATALOGUE))}; write one of docs/proving.md, or "
            f"{NOTHING!r} to compare the candidate with itself"
        )
    return CATALOGUE[defect]


def planted_note(planted: str) -> str:
    """What a run says of the defect that was planted in its candidate."""
    about = "this verdict is about the gate, not about the release"
    if planted == NOTHING:
        return f"nothing was planted, and the candidate was compared with itself on purpose; {about}"
    if planted == MUTANT:
        return f"the candidate's source was changed on purpose; {about}"
    known = CATALOGUE.get(planted)
    what = f" (the release {known.title})" if known else ""
    return f"a defect was planted on purpose: {planted}{what}; {about}"
