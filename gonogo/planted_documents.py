"""What planted defects make of what people wrote for a release: definitions of steps, sign-offs and complaints. Pure.

The files stay as they are; a run with such a defect is judged by what it makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from gonogo.model import Step, Workflow
from gonogo.signoffs import Complaint, Severity, SignOffs

__all__ = ["SIGNOFFS", "STEPS", "planted_signoffs", "planted_workflow"]

_RECEIVED = datetime(2000, 1, 1, tzinfo=UTC)  # before any day on which a run is made, and ...
_AHEAD = datetime(9999, 12, 31, tzinfo=UTC)  # ... after it
_FORMS = {"array": "a JSON array", "object": "a JSON object"}


def _contradicted(step: Step) -> Step:
    # most prompts name their form themselves, so the format is what changes; those that name none are made to
    form = step.output_format.schema.get("type")
    asked = f"{step.task_prompt}\n\nAnswer with {_FORMS.get(str(form), 'plain text')}.\n"
    schema = {**step.output_format.schema, "type": "object" if form == "array" else "array"}
    return replace(step, task_prompt=asked, output_format=replace(step.output_format, schema=schema))


def _exchanged(step: Step) -> Step:
    return replace(step, input_format=step.output_format, output_format=step.input_format)


def _malformed(step: Step) -> Step:
    # where braces are how a reference is written, it is one to an input that no step has
    return replace(step, task_prompt=f"{step.task_prompt}\n\nMind {{{{planted, of no input}}}}.\n")


def _unmapped(step: Step) -> Step:
    # whatever a reference looks like, it holds the name of its field
    wording = f"{step.system_prompt}\n{step.task_prompt}"
    return replace(step, inputs=tuple(one for one in step.inputs if one.field not in wording))


STEPS: Mapping[str, Callable[[Step], Step]] = {
    "form-contradicted": _contradicted,
    "templates-exchanged": _exchanged,
    "reference-malformed": _malformed,
    "reference-unmapped": _unmapped,
}


def planted_workflow(workflow: Workflow, planted: str) -> Workflow:
    """The workflow with a defect in each of its steps; as it is where the defect has its place elsewhere."""
    change = STEPS.get(planted)
    return workflow if change is None else replace(workflow, steps=tuple(map(change, workflow.steps)))


def _complained(signoffs: SignOffs, release: str) -> SignOffs:
    complaint = Complaint("planted", release, Severity.SIGNIFICANT, "gonogo", "planted on purpose", _RECEIVED)
    return replace(signoffs, complaints=(*signoffs.complaints, complaint))


def _resolved_ahead(signoffs: SignOffs, release: str) -> SignOffs:
    *others, complaint = _complained(signoffs, release).complaints
    resolved = replace(complaint, resolved=_AHEAD, resolved_by="gonogo", resolution="planted on purpose")
    return replace(signoffs, complaints=(*others, resolved))


SIGNOFFS: Mapping[str, Callable[[SignOffs, str], SignOffs]] = {
    "complaint-open": _complained,
    "complaint-resolved-ahead": _resolved_ahead,
}


def planted_signoffs(signoffs: SignOffs, planted: str, release: str) -> SignOffs:
    """Sign-offs and complaints with a defect about ``release``; as they are where the defect has its place elsewhere."""
    change = SIGNOFFS.get(planted)
    return signoffs if change is None else change(signoffs, release)
