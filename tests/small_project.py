"""A project in a folder: three cases of two steps, over the small application in two releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFTEST = """\
import json
from pathlib import Path

from gonogo.project import Project, Release

ROOT = Path(__file__).parent
OPTIONS = json.loads((ROOT / "options.json").read_text())


def pytest_gonogo_project():
    return Project(
        root=ROOT,
        candidate=Release("2.0", OPTIONS["adapter"], ROOT, options=OPTIONS["candidate"]),
        baseline=Release("1.0", OPTIONS["adapter"], ROOT, options=OPTIONS["baseline"]),
        criteria=ROOT / "criteria.toml",
        workflows=ROOT / "workflows",
        cases=ROOT / "cases",
        recordings=ROOT / "recordings",
        reports=ROOT / "reports",
    )
"""

CRITERIA = """\
version = 1

[prompt]
sections = ["CONTEXT", "TASK", "RESPONSE"]
inputs = "TASK"

[[criterion]]
id = "structure"
title = "Every prompt has its sections"
group = "Prompts"
per = ["step"]
needs = ["prompt"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"

[[criterion]]
id = "errors"
title = "Few runs fail"
group = "Behaviour"
per = ["run"]
needs = ["reply"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"

[[criterion.measure]]
sample = "errors"
statistic = "proportion"
unit = "share"
go = "< 0.5"

[[criterion]]
id = "report-integrity"
title = "Everything that is owed was looked at"
group = "Behaviour"
per = ["run"]
computed = true
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""

FILES = {
    "conftest.py": CONFTEST,
    "criteria.toml": CRITERIA,
    "workflows/formats/fields-in.yaml": (
        "id: fields-in\nname: Fields\ndescription: Named fields.\nllm_instructions: Each input has a name.\n"
        "fields: {type: input, schema: {type: object}}\n"
    ),
    "workflows/formats/text-out.yaml": (
        "id: text-out\nname: Text\ndescription: One paragraph.\nllm_instructions: Answer with plain text.\n"
        "fields: {type: output, schema: {type: string, minLength: 1}}\n"
    ),
    "workflows/planning/facts.yaml": (
        "id: facts\nname: Facts\nstage: Planning\nsubstage: Research\norder: 10\nmodel: llama3.1:70b\n"
        "parameters: {temperature: 0.4}\nsystem_prompt: You research.\ntask_prompt: Find facts.\n"
        "input_format: fields-in\noutput_format: text-out\noutput_field: facts\n"
        "inputs: [{field: idea, name: Idea, required: true}, {field: audience, name: Audience}]\n"
    ),
    "workflows/planning/title.yaml": (
        "id: title\nname: Title\nstage: Planning\nsubstage: Idea\norder: 20\nmodel: llama3.1:8b\n"
        "parameters: {}\nsystem_prompt: You name things.\ntask_prompt: Write a title.\n"
        "input_format: fields-in\noutput_format: text-out\noutput_field: title\n"
        "inputs: [{field: idea, name: Idea, required: true}]\n"
    ),
    "cases/facts.yaml": (
        "step: facts\ncases:\n- {id: roads, inputs: {idea: Roman roads}}\n- {id: rivers, inputs: {idea: Rivers}}\n"
    ),
    "cases/title.yaml": "step: title\ncases:\n- {id: roads, inputs: {idea: Roman roads}}\n",
}


def write_project(folder: Path) -> None:
    """Write the files of the project; both releases are alike."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    set_options(folder)


def set_options(
    folder: Path, *, candidate: dict[str, Any] | None = None, baseline: dict[str, Any] | None = None
) -> None:
    """Say what the releases do differently; see small_application.py."""
    adapter = f"{Path(__file__).parent / 'small_application.py'}:open_release"
    options = {"adapter": adapter, "candidate": candidate or {}, "baseline": baseline or {}}
    (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
