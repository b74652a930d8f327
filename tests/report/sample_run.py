"""Runs made by hand: six criteria over three steps, and evidence that a test can bend."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gonogo.evidence import Shard
from gonogo.model import (
    Ability,
    Claim,
    Collected,
    Ended,
    Evidence,
    Finding,
    Json,
    Judged,
    Outcome,
    Phase,
    Sampled,
    Verdict,
)
from gonogo.report.allure import write_criteria
from gonogo.report.document import verdict_document
from gonogo.report.results import keep_results
from gonogo.rundown import conclude
from gonogo.runs import LoadedRun, RunDirectory, RunInfo
from gonogo.verdict import Facts, owed_claims

STEPS = ("idea-scope", "structure", "meta")
CRITERIA = ("prompt-structure", "hygiene", "speed", "excess", "memory", "error-rate", "report-integrity")

_LEVELS = 'pre = "required"\npost-stub = "required"\npost-real = "required"\nnightly = "required"\n'


def _criterion(identity: str, title: str, per: str, *more: str) -> str:
    levels = _LEVELS.replace("required", "advisory") if identity == "hygiene" else _LEVELS
    head = f'[[criterion]]\nid = "{identity}"\ntitle = "{title}"\ngroup = "Prompts & speed"\nper = {per}\n'
    return head + levels + "\n".join(more) + "\n"


def _measure(sample: str, statistic: str, unit: str, go: str, *more: str) -> str:
    lines = [f'sample = "{sample}"', f'statistic = "{statistic}"', f'unit = "{unit}"', f'go = "{go}"', *more]
    return "[[criterion.measure]]\n" + "\n".join(lines)


CRITERIA_TOML = "\n".join(
    [
        'version = 1\n[prompt]\nsections = ["CONTEXT", "TASK", "RESPONSE"]\ninputs = "TASK"\n',
        _criterion("prompt-structure", "Every prompt has its *sections*", '["step"]', 'needs = ["prompt"]'),
        _criterion("hygiene", "Wording and format agree", '["step"]'),
        _criterion("speed", "Fast", '["step"]', _measure("time", "quantile", "s", "< 0.001", "quantile = 0.9")),
        _criterion("excess", "No slower", '["step"]', _measure("excess", "median", "s", "<= 0")),
        _criterion(
            "memory",
            "Small",
            '["step", "run"]',
            _measure("peak", "maximum", "B", "<= 65536", 'per = "step"'),
            _measure("growth", "maximum", "B", "<= 1024", 'per = "run"'),
        ),
        _criterion("error-rate", "Few errors", '["run"]', _measure("errors", "proportion", "share", "< 0.01")),
        _criterion("report-integrity", "All is there", '["run"]', "computed = true"),
    ]
)


def good_evidence() -> list[Evidence]:
    """Evidence with which every claim is GO."""
    found: list[Evidence] = []

    def ended(claim: Claim) -> Ended:
        return Ended(claim, Outcome.PASSED, "", f"test.py::{claim}", 0.25)

    for step in STEPS:
        for criterion in ("prompt-structure", "hygiene"):
            claim = Claim(criterion, step)
            found += [Judged(claim, f"{step}/{case}", Finding("check", True, "fine")) for case in ("one", "two")]
            found.append(ended(claim))
        speed, excess, memory = (Claim(criterion, step) for criterion in ("speed", "excess", "memory"))
        found += [Sampled(speed, "time", "s", tuple(0.0002 + 0.000001 * n for n in range(60))), ended(speed)]
        candidate = tuple(0.002 + 0.00001 * (n % 7) for n in range(40))
        previous = tuple(0.003 + 0.00001 * (n % 5) for n in range(40))
        pairs = zip(candidate, previous, strict=True)
        found += [
            Sampled(excess, "candidate", "s", candidate),
            Sampled(excess, "previous", "s", previous),
            Sampled(excess, "excess", "s", tuple(one - other for one, other in pairs)),
            ended(excess),
        ]
        found += [Sampled(memory, "peak", "B", (20_480.0,), f"{step}/one"), ended(memory)]
    growth, errors = Claim("memory"), Claim("error-rate")
    found += [Sampled(growth, "growth", "B", (0.0,)), Sampled(growth, "kept", "B", (64.0, 512.0, 0.0)), ended(growth)]
    found += [*error_samples([0.0] * 400), ended(errors)]
    found.append(Judged(Claim("report-integrity"), None, Finding("integrity", True, "all claims are there")))
    return found


def error_samples(values: Sequence[float]) -> list[Evidence]:
    """One sample of the error rate for each of as many cases."""
    claim = Claim("error-rate")
    return [Sampled(claim, "errors", "share", (value,), f"meta/{number}") for number, value in enumerate(values)]


def with_errors(evidence: Sequence[Evidence], values: Sequence[float]) -> list[Evidence]:
    """The evidence with other values for the error rate."""
    return [one for one in evidence if not (isinstance(one, Sampled) and one.name == "errors")] + error_samples(values)


def without(evidence: Sequence[Evidence], claim: Claim) -> list[Evidence]:
    """The evidence of all other claims."""
    return [one for one in evidence if getattr(one, "claim", None) != claim]


def with_samples(evidence: Sequence[Evidence], claim: Claim, name: str, values: Sequence[float]) -> list[Evidence]:
    """The evidence with other values for one sample."""

    def changed(one: Evidence) -> Evidence:
        if isinstance(one, Sampled) and (one.claim, one.name) == (claim, name):
            return replace(one, values=tuple(values))
        return one

    return [changed(one) for one in evidence]


@dataclass(frozen=True)
class SampleRun:
    """A judged run and its folder of Allure results."""

    directory: RunDirectory
    run: LoadedRun
    verdict: Verdict
    digest: str

    @property
    def results(self) -> Path:
        return self.directory.allure_results

    @property
    def document(self) -> dict[str, Any]:
        return verdict_document(self.run, self.verdict, self.digest)

    def write(self) -> SampleRun:
        write_criteria(self.results, self.run, self.verdict, self.digest)
        keep_results(self.directory, self.results)
        return self

    def read(self, pattern: str) -> list[Any]:
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.results.glob(pattern))]

    def criteria(self) -> dict[str, Any]:
        """Id -> result, of the criteria, in the order of their start."""
        found = [one for one in self.read("*-result.json") if labels(one).get("layer") == "criterion"]
        return {labels(one)["feature"]: one for one in sorted(found, key=lambda one: int(one["start"]))}

    def attachment(self, result: Any, name: str) -> bytes:
        (source,) = [str(one["source"]) for one in result["attachments"] if one["name"] == name]
        return (self.results / source).read_bytes()


def labels(result: Any) -> dict[str, str]:
    return {label["name"]: label["value"] for label in result["labels"]}


MakeRun = Callable[..., SampleRun]


def make(
    folder: Path,
    evidence: Sequence[Evidence],
    *,
    number: int = 1,
    notes: Sequence[str] = (),
    abilities: Sequence[Ability] = (Ability.PROMPT,),
    candidate: Mapping[str, Json] | None = None,
) -> SampleRun:
    criteria = folder / "criteria.toml"
    criteria.write_text(CRITERIA_TOML, encoding="utf-8")
    info = RunInfo(
        id=f"20261123T07000{number}.000Z-pre",
        started=f"2026-11-23T07:00:0{number}.000+00:00",
        facts=Facts(Phase.PRE, STEPS, dict.fromkeys(STEPS, ("one", "two")), frozenset(abilities), synthetic=True),
        releases={
            "candidate": {"version": "2.0.0", "python": "3.12.9", **(candidate or {})},
            "baseline": {"version": "1.9.0"},
        },
        titles={step: f"Planning / Idea / {step}" for step in STEPS},
    )
    directory = RunDirectory.create(folder / "reports", info, criteria, {})
    shard = Shard(directory.shard("main"))
    claims = [claim for claim in owed_claims(directory.load().criteria, info.facts) if claim.criterion != CRITERIA[-1]]
    shard.append(Collected(tuple(claims)))
    for record in evidence:
        shard.append(record)
    shard.close()
    digest, verdict = conclude(directory, notes=notes)
    return SampleRun(directory, directory.load(), verdict, digest)


def write_item(run: SampleRun, claim: Claim, *, status: str = "passed", run_id: str | None = None) -> Path:
    """What allure-pytest leaves of an item."""
    run.results.mkdir(parents=True, exist_ok=True)
    path = run.results / f"{str(claim).replace('/', '-')}-{run_id or 'own'}-result.json"
    item = {
        "uuid": path.stem,
        "name": "test_something[param]",
        "fullName": f"acceptance.test#{claim.criterion}",
        "historyId": f"item-{claim}",
        "testCaseId": f"item-{claim.criterion}",
        "status": status,
        "start": 1_795_417_300_000,
        "stop": 1_795_417_300_050,
        "labels": [
            {"name": "layer", "value": "claim"},
            {"name": "run", "value": run_id or run.run.info.id},
            {"name": "claim", "value": str(claim)},
            {"name": "parentSuite", "value": "Prompts & speed"},
            {"name": "suite", "value": claim.criterion},
        ],
    }
    path.write_text(json.dumps(item), encoding="utf-8")
    return path
