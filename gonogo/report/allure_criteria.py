"""What the Allure report says about a whole run: one result per criterion, the verdict, the coverage grid, the trend.

Everything that comes from a prompt, a reply or an exception is text here: escaped in Markdown, never HTML or SVG.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import (
    Attachment,
    GlobalAttachment,
    GlobalError,
    Globals,
    Label,
    Status,
    StatusDetails,
    TestResult,
)

from gonogo.criteria import Criterion
from gonogo.environment import live_notes
from gonogo.evidence import by_claim
from gonogo.figures import (
    claim_headline,
    deciding,
    headline,
    is_decided,
    limit_text,
    limit_value,
    margin_text,
    printable,
    quantity,
    shortened,
    statistic_name,
)
from gonogo.model import Claim, CriterionVerdict, Decided, Ended, Evidence, Gap, Judged, Sampled, Verdict
from gonogo.model import Status as Answer
from gonogo.next_steps import advice
from gonogo.report.document import verdict_document
from gonogo.report.markdown import amount, as_markdown, cell, coverage_cells, mark, table
from gonogo.report.plots import coverage_plot, criterion_plot
from gonogo.report.results import items_of
from gonogo.runs import LoadedRun

__all__ = ["write_criteria"]

_STATUS = {Answer.GO: Status.PASSED, Answer.NO_GO: Status.FAILED, Answer.INCONCLUSIVE: Status.BROKEN}
_PNG, _JSON, _MARKDOWN, _CSV = "image/png", "application/json", "text/markdown", "text/csv"
_EXTENSIONS = {_PNG: "png", _JSON: "json", _MARKDOWN: "md", _CSV: "csv"}
# how much a page shows; the attached figures and the shards of the run hold everything
_MOST_ROWS = 80
_MOST_FINDINGS = 20
_REASON = 500
_DETAIL = 1500
_NAME = 140


def write_criteria(results: Path, run: LoadedRun, verdict: Verdict, digest: str) -> None:
    """Add to a folder of Allure results what a run's verdict is: call it once, after the items have written theirs.

    Args:
        results: the folder; what other runs left there stays.
        run: with its evidence.
        verdict: what the evidence leads to.
        digest: of the run.
    """
    writer = _Writer(results)
    document = verdict_document(run, verdict, digest)
    records = by_claim(run.evidence)
    start = round(datetime.fromisoformat(run.info.started).timestamp() * 1000)
    # matplotlib takes a second to import: only where something measured is drawn with it anyway
    cells = coverage_plot(document) if any(one.measures for one in run.criteria.criteria) else None
    coverage = [writer.attach("coverage: criterion x step", cells, _PNG)] if cells else []
    grid = writer.attach("coverage as a table", _coverage_csv(document), _CSV)
    for number, (judged, plain) in enumerate(zip(verdict.criteria, document["criteria"], strict=True)):
        criterion = run.criteria[judged.criterion]
        own = {claim.claim: records.get(claim.claim, []) for claim in judged.claims}
        samples = [record for found in own.values() for record in found if isinstance(record, Sampled)]
        plot = criterion_plot(criterion, judged, samples)
        shown = cells if criterion.computed else plot
        result = _Page(criterion, judged, plain, own, run).result(start + number, shown)
        if plot:
            result.attachments.append(writer.attach("measured values against their limits", plot, _PNG))
        if criterion.computed:
            result.attachments += [*coverage, grid]
        result.attachments.append(writer.attach("figures", _json(plain), _JSON))
        writer.result(result)
    writer.about_the_run(
        [
            writer.attach("verdict.md", as_markdown(document), _MARKDOWN),
            *coverage,
            grid,
            writer.attach("verdict.json", _json(document), _JSON),
        ],
        [note for note in document["notes"] if note not in live_notes(run.info.releases["candidate"])],
        start,
    )
    _settle_claims(results, run.info.id, verdict, document)
    writer.write("environment.properties", _properties(_environment(run, document)))
    writer.write("executor.json", _json({"name": "gonogo", "type": "gonogo", "buildName": run.info.id}))
    writer.write(f"{uuid4()}-perf.json", _json(_metrics(document, start)))


def _settle_claims(results: Path, run_id: str, verdict: Verdict, document: Mapping[str, Any]) -> None:
    """Let the items of a run say what their claims were found to be.

    An item that measures passes when it has its samples; only the judge, later, holds their bound against the limit.
    """
    plain = {claim["claim"]: claim for criterion in document["criteria"] for claim in criterion["claims"]}
    decided = {str(claim.claim): claim for claim in verdict.claims}
    for path, name, item in items_of(results, run_id):
        if name not in decided:
            continue
        claim = decided[name]
        item["name"] = _claim_name(claim, plain[name])
        if item.get("status") != _STATUS[claim.status]:
            item["status"] = _STATUS[claim.status]
            item["statusDetails"] = {**(item.get("statusDetails") or {}), "message": _message(claim.reasons)}
        temporary = path.with_name(f".{path.name}.writing")
        temporary.write_text(json.dumps(item), encoding="utf-8")
        temporary.replace(path)


class _Writer:
    """Files in a folder of results."""

    def __init__(self, results: Path) -> None:
        self._logger = AllureFileLogger(results)
        self._results = results

    def attach(self, name: str, body: str | bytes, mime: str) -> Attachment:
        source = f"{uuid4()}-attachment.{_EXTENSIONS[mime]}"
        data = body if isinstance(body, bytes) else body.encode("utf-8", "backslashreplace")
        self._logger.report_attached_data(data, source)
        return Attachment(name=name, source=source, type=mime)

    def result(self, result: TestResult) -> None:
        self._logger.report_result(result)

    def about_the_run(self, attachments: Iterable[Attachment], notes: Iterable[str], when: int) -> None:
        shown = [
            GlobalAttachment(name=one.name, source=one.source, type=one.type, timestamp=when) for one in attachments
        ]
        errors = [GlobalError(message=printable(note), timestamp=when) for note in notes]
        self._logger.report_globals(Globals(attachments=shown, errors=errors))

    def write(self, name: str, text: str) -> None:
        temporary = self._results / f".{name}.writing"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.replace(self._results / name)


class _Page:
    """The page of one criterion."""

    def __init__(
        self,
        criterion: Criterion,
        verdict: CriterionVerdict,
        plain: Mapping[str, Any],
        records: Mapping[Claim, Sequence[Evidence]],
        run: LoadedRun,
    ) -> None:
        self._criterion = criterion
        self._verdict = verdict
        self._plain = plain
        self._records = records
        self._run = run

    def result(self, start: int, plot: bytes | None) -> TestResult:
        """The result, without attachments. ``start``, in milliseconds, puts it into its place among the others."""
        verdict, key = self._verdict, f"criterion/{self._criterion.id}"
        required = verdict.level.value == "required"
        shown = verdict.status.value if required else f"{verdict.status.value} ({verdict.level.value})"
        return TestResult(
            uuid=str(uuid4()),
            name=shortened(printable(f"{verdict.criterion} · {shown} · {headline(self._plain)}", keep=""), _NAME),
            fullName=key,
            testCaseId=_md5(key),
            historyId=_md5(key),
            status=_STATUS[verdict.status],
            statusDetails=self._details(verdict.status, verdict.reasons, self._failing()),
            start=start,
            stop=start + round(1000 * sum(self._seconds(claim.claim) for claim in verdict.claims)),
            description=self._description(plot),
            labels=[
                Label("layer", "criterion"),
                Label("run", self._run.info.id),
                Label("epic", printable(verdict.group, keep="")),
                Label("feature", verdict.criterion),
                Label("severity", "blocker" if required else "minor"),
                Label("tag", verdict.status.value),
            ],
        )

    def _description(self, plot: bytes | None) -> str:
        """What is asked, what the answer is, and what it rests on, as Markdown."""
        verdict = self._verdict
        asked = f"{verdict.level.value} in phase {self._run.info.facts.phase.value}"
        lines = [f"**{cell(verdict.title)}**", "", f"**{verdict.status.value}**, {asked}.", ""]
        if self._run.proof is not None:
            lines += [f"{cell(self._run.proof.of(verdict.criterion))}.", ""]
        if steps := advice(self._criterion, verdict, self._records, self._run.info.facts.abilities):
            lines += ["**What to do next**", "", *(f"{number}. {step}" for number, step in enumerate(steps, 1)), ""]
        rows = self._rows()
        lines += table(_BOUND_HEADER if self._criterion.measures else _HEADER, rows[:_MOST_ROWS])
        if len(rows) > _MOST_ROWS:
            lines += ["", f"and {len(rows) - _MOST_ROWS} more rows; the attached figures hold all of them."]
        lines += self._found_of_the_whole()
        if plot:  # as an attachment alone it would stay folded away
            lines += ["", f"![what is attached as a picture](data:{_PNG};base64,{b64encode(plot).decode()})"]
        return "\n".join([*lines, ""])

    def _found_of_the_whole(self) -> list[str]:
        """What was found of no single step or case: how a rehearsal went, what a release told of itself."""
        records = [record for found in self._records.values() for record in found if isinstance(record, Judged)]
        whole = [record.finding for record in records if record.claim.step is None and record.case is None]
        found = sorted(whole, key=lambda one: one.ok)
        lines = [f"- {'' if one.ok else '**fails**: '}{cell(shortened(one.reason, _REASON))}" for one in found]
        if len(lines) > _MOST_ROWS:
            lines = [
                *lines[:_MOST_ROWS],
                f"- and {len(lines) - _MOST_ROWS} more; the shards of the run hold all of them",
            ]
        return ["", "**What was found**", "", *lines] if lines else []

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for claim in self._plain["claims"]:
            place = claim["step"] or "whole run"
            found = f"{claim['findings'] - claim['failing']} of {claim['findings']}"
            if not self._criterion.measures:
                rows.append((place, claim["verdict"], found, str(claim["cases"] or "")))
                continue
            rows += [(place, claim["verdict"], *_bound_cells(bound)) for bound in claim["bounds"]]
            if not claim["bounds"] or claim["findings"]:
                rows.append((place, claim["verdict"], "findings ok", str(claim["findings"]), found, "", "", ""))
        return rows

    def _seconds(self, claim: Claim) -> float:
        return sum(record.seconds for record in self._records[claim] if isinstance(record, Ended))

    def _details(self, status: Answer, reasons: Sequence[str], trace: Sequence[str]) -> StatusDetails | None:
        if status is Answer.GO:
            return None
        return StatusDetails(message=_message(reasons), trace="\n".join(trace) or None)

    def _failing(self) -> list[str]:
        """The findings that fail, then what could not be judged, with the beginning of their details."""
        records = [record for found in self._records.values() for record in found]
        failing = [record for record in records if isinstance(record, Judged) and not record.finding.ok]
        told = [(one.claim, one.case, one.finding.reason, one.finding.detail) for one in failing]
        told += [(one.claim, one.case, one.reason, one.detail) for one in records if isinstance(one, Gap)]
        lines = []
        for claim, case, reason, detail in told[:_MOST_FINDINGS]:
            lines.append(shortened(printable(f"{case or claim}: {reason}"), _REASON))
            lines += [f"    {line}" for line in shortened(printable(detail), _DETAIL).splitlines()]
        if len(told) > _MOST_FINDINGS:
            lines.append(
                f"and {len(told) - _MOST_FINDINGS} more; the claims and the shards of the run hold all of them"
            )
        return lines


def _claim_name(claim: Decided, plain: Mapping[str, Any]) -> str:
    name = f"{claim.claim.step or 'whole run'} · {claim.status.value} · {claim_headline(plain)}"
    return shortened(printable(name, keep=""), _NAME)


def _message(reasons: Sequence[str]) -> str:
    return "\n".join(shortened(printable(reason), _REASON) for reason in reasons)


_HEADER = ("step", "verdict", "findings ok", "cases")
_BOUND_HEADER = ("step", "verdict", "figure", "n", "estimate", "bound", "limit", "margin")


def _bound_cells(bound: Mapping[str, Any]) -> tuple[str, ...]:
    known = is_decided(bound)
    return (
        statistic_name(bound),
        str(bound["n"]),
        quantity(bound["estimate"], bound["unit"]) if known else "not known",
        quantity(deciding(bound), bound["unit"]) if known else "not known",
        limit_text(bound),
        margin_text(bound),
    )


def _coverage_csv(document: Mapping[str, Any]) -> str:
    """The grid with the number of findings and samples in each cell. Ids only: nothing in it starts a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["criterion", *document["steps"], "whole run"])
    for criterion, claims in coverage_cells(document):
        cells = (mark(claim) + (f" {amount(claim)}" if claim else "") for claim in claims)
        writer.writerow([criterion, *cells])
    return buffer.getvalue()


def _environment(run: LoadedRun, document: Mapping[str, Any]) -> dict[str, str]:
    releases = run.info.releases
    before = f" (previous: {releases['baseline']['version']})" if "baseline" in releases else ""
    where = f" at {releases['candidate']['service']}" if "service" in releases["candidate"] else ""
    return {  # together with the executor eight entries, which is what the first page shows of them
        "Verdict": document["verdict"],
        "Phase": document["run"]["phase"],
        "Release": f"{releases['candidate']['version']}{where}{before}",
        "Digest": f"{document['run']['digest'][:16]}…",
        "Recordings": "synthetic: no model gave the replies" if run.info.facts.synthetic else "not synthetic",
        "Python": str(releases["candidate"].get("python") or platform.python_version()),
        "Started": run.info.started,
    }


def _properties(pairs: Mapping[str, str]) -> str:
    """Java's properties format, in ASCII."""

    def escaped(text: str, special: str) -> str:
        units = text.encode("utf-16-be", "surrogatepass")
        shown = ""
        for high, low in zip(units[::2], units[1::2], strict=True):
            one = chr(high << 8 | low)
            plain = one.isascii() and one.isprintable()
            shown += f"\\{one}" if one in special else one if plain else f"\\u{ord(one):04x}"
        return f"\\{shown}" if shown.startswith(" ") else shown

    return "".join(f"{escaped(key, chr(92) + ' :=#!')}={escaped(value, chr(92))}\n" for key, value in pairs.items())


def _metrics(document: Mapping[str, Any], start: int) -> list[dict[str, Any]]:
    """The worst bound of each measure, for the trend over runs; in one unit always, so that runs can be compared."""
    worst: dict[str, tuple[float, Mapping[str, Any], str]] = {}
    for criterion in document["criteria"]:
        for claim in criterion["claims"]:
            for bound in claim["bounds"]:
                value = deciding(bound) if is_decided(bound) else None
                if value is None:
                    continue
                distance = limit_value(bound) - value if _lower_is_better(bound) else value - limit_value(bound)
                key = f"{criterion['id']} · {statistic_name(bound)}"
                if key not in worst or distance < worst[key][0]:
                    worst[key] = (distance, bound, criterion["group"])
    found = []
    for number, (key, (_, bound, group)) in enumerate(worst.items()):
        factor, unit = _TREND_UNITS.get(bound["unit"], (1.0, bound["unit"]))
        value = deciding(bound)
        assert value is not None
        found.append(
            {
                "id": f"gonogo-{number}",
                "key": printable(key, keep=""),
                "title": printable(f"{key}, worst bound", keep=""),
                "value": round(value * factor, 9),
                "unit": printable(unit, keep=""),
                "group": printable(group, keep=""),
                "better": "lower" if _lower_is_better(bound) else "higher",
                "start": start,
                "stop": start,
            }
        )
    return found


_TREND_UNITS = {"s": (1e3, "ms"), "B": (1 / 1024, "KiB"), "share": (100.0, "%")}


def _lower_is_better(bound: Mapping[str, Any]) -> bool:
    return str(bound["limit"]).startswith("<")


def _md5(key: str) -> str:
    """Allure's ids are MD5 sums."""
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


def _json(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
