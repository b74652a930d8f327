"""Writes two pytest projects that verify the same 1,000 recorded cases: one on gonogo, one on plain pytest.

The material is the repository's own: ten steps of ``workflows/``, their cases and their recorded replies, varied until
each step has a hundred distinct cases. Both projects read the same YAML files and use the same checks.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType

import yaml

from app.workflow.definitions import Step as AppStep
from app.workflow.loader import load_workflow as load_app_workflow
from app.workflow.scripts.prompt_constructor import construct_prompt
from gonogo.model import Case, Provenance, Recording, Reply, Request, Step
from gonogo.recordings import RecordingSet, dump_recordings, load_recordings
from gonogo.replies import reply_conforms
from gonogo.workflows import load_workflow

__all__ = ["CASES", "ROOT", "STEPS", "Replay", "write_replay"]

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "projects"
RELEASE = "2.0.0"
STEPS = 10
CASES = 100  # for each step


@dataclass(frozen=True)
class Replay:
    """Where the two projects lie, and how much they verify."""

    gonogo: Path
    plain: Path
    cases: int


def write_replay(folder: Path, *, steps: int = STEPS, cases: int = CASES) -> Replay:
    """Write both projects below an empty folder.

    Raises:
        ValueError: a step of the repository has no recorded reply that conforms.
    """
    shutil.copytree(
        TEMPLATES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "aimock", "wrk")
    )
    workflow = load_workflow(ROOT / "workflows", ROOT / "fixtures" / "cases", root=ROOT)
    recorded = load_recordings(ROOT / "fixtures" / "recordings" / RELEASE, root=ROOT)
    constructed_from = {step.id: step for step in load_app_workflow(ROOT / "workflows").steps}
    shared = folder / "shared"
    for name in ("cases", f"recordings/{RELEASE}"):
        (shared / name).mkdir(parents=True)
    shutil.copytree(ROOT / "workflows" / "formats", shared / "workflows" / "formats")
    taken = workflow.steps[:steps]
    for step in taken:
        source = next((ROOT / "workflows").glob(f"*/*/{step.id}.yaml"))
        target = shared / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        varied = list(islice(_varied(step, workflow.cases_of(step.id)), cases))
        (shared / "cases" / f"{step.id}.yaml").write_text(_cases_file(step, varied), encoding="utf-8")
        replies = cycle(_conforming(step, recorded))
        recordings = [_recording(step, constructed_from[step.id], case, next(replies)) for case in varied]
        text = dump_recordings(step.id, recordings)
        (shared / "recordings" / RELEASE / f"{step.id}.yaml").write_text(text, encoding="utf-8")
    for suite in ("prompt_structure", "format_templates", "field_mapping"):
        shutil.copy(ROOT / "acceptance" / f"test_{suite}.py", folder / "gonogo" / "acceptance")
    # not called conftest.py where they are kept, so that pytest and type checkers take them for what they are: material
    (folder / "gonogo" / "wiring.py").rename(folder / "gonogo" / "conftest.py")
    (folder / "plain" / "model.py").rename(folder / "plain" / "conftest.py")
    (shared / "repository.txt").write_text(str(ROOT), encoding="utf-8")
    return Replay(folder / "gonogo", folder / "plain", cases * len(taken))


def _varied(step: Step, cases: tuple[Case, ...]) -> Iterator[Case]:
    """The cases of a step again and again, each time with another last line in their first input."""
    first = step.inputs[0].field
    for number, case in enumerate(cycle(cases)):
        changed = {**case.inputs, first: f"{case.inputs.get(first, '')}\n\nEdition {number + 1}."}
        yield Case(f"{case.id}-{number + 1}", step.id, MappingProxyType(changed), case.title, case.traits)


def _cases_file(step: Step, cases: list[Case]) -> str:
    entries = [
        {"id": case.id, "title": case.title, "traits": list(case.traits), "inputs": dict(case.inputs)} for case in cases
    ]
    return yaml.safe_dump({"step": step.id, "cases": entries}, sort_keys=False, allow_unicode=True, width=120)


def _conforming(step: Step, recorded: RecordingSet) -> list[str]:
    replies = [one.reply.text for one in recorded.recordings if one.step == step.id]
    found = [text for text in replies if reply_conforms(text, step.output_format).ok]
    if not found:
        raise ValueError(f"no recorded reply of the step {step.id} conforms to {step.output_format.id}")
    return found


def _recording(step: Step, constructed_from: AppStep, case: Case, reply: str) -> Recording:
    prompt = construct_prompt(constructed_from, case.inputs).text
    body: Mapping[str, object] = {
        "model": step.model,
        "prompt": prompt,
        "stream": False,
        "options": dict(step.parameters),
    }
    request = Request("ollama", "/api/generate", body)  # type: ignore[arg-type]  # parameters come from YAML
    return Recording(
        case.path,
        step.id,
        (case.id,),
        request,
        Reply(reply),
        Provenance.SYNTHETIC,
        "2026-11-23",
        "made for a benchmark",
    )
