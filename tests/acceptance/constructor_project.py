"""A project whose release is one function: two steps, three cases, two criteria. Runs of it take a second."""

from __future__ import annotations

from pathlib import Path

CONFTEST = """\
from pathlib import Path

from gonogo import Project, Release

ROOT = Path(__file__).parent


def pytest_gonogo_project():
    return Project(
        root=ROOT,
        candidate=Release("2.0", f"{ROOT / 'adapter.py'}:open_release", ROOT),
        baseline=None,
        criteria=ROOT / "acceptance" / "criteria.toml",
        workflows=ROOT / "workflows",
        cases=ROOT / "cases",
        recordings=ROOT / "recordings",
        reports=ROOT / "reports",
    )
"""

ADAPTER = """\
from gonogo.targets.constructor import FunctionAdapter


def open_release(context):
    return FunctionAdapter(context, build)


def build(step, inputs):
    entries = [f"{one.name}: {inputs[one.field]}" for one in step.inputs if inputs.get(one.field)]
    task = "\\n\\n".join([step.task_prompt.strip(), *entries])
    response = step.output_format.llm_instructions.strip()
    return f"CONTEXT:\\n{step.system_prompt.strip()}\\n\\nTASK:\\n{task}\\n\\nRESPONSE:\\n{response}\\n"
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
nightly = "advisory"
every_case = true

[[criterion]]
id = "length"
title = "No prompt is longer than 2,000 bytes"
group = "Prompts"
per = ["run"]
needs = ["prompt"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "not judged"

[[criterion.measure]]
sample = "length"
statistic = "maximum"
unit = "B"
go = "<= 2000"
"""

# A criterion that is fed in the measured pass, which is a process of its own.
SPEED = """
[[criterion]]
id = "speed"
title = "Every step is built in under ten seconds"
group = "Speed"
per = ["step"]
needs = ["worker"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
measured = true

[[criterion.measure]]
sample = "seconds"
statistic = "maximum"
unit = "s"
go = "< 10"
"""

INTEGRITY = """
[[criterion]]
id = "report-integrity"
title = "Everything that is owed was looked at"
group = "Operation"
per = ["run"]
computed = true
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""

TEST_STRUCTURE = """\
import pytest

from gonogo.checks import sections_in_order

pytestmark = pytest.mark.criterion("structure")


def test_structure(step, cases, candidate, grammar, evidence):
    for case in cases:
        with evidence.about(case):
            evidence.add(case, sections_in_order(candidate.construct(case).text, grammar))
"""

TEST_LENGTH = """\
import pytest

pytestmark = pytest.mark.criterion("length")


def test_length(cases, candidate, evidence):
    for case in cases:
        evidence.sample("length", [candidate.construct(case).prompt.size], unit="B", case=case)
"""

TEST_SPEED = """\
import pytest

pytestmark = pytest.mark.criterion("speed")


def test_speed(step, cases, candidate, evidence):
    evidence.sample("seconds", [spent / 1e9 for spent in candidate.timed.time_construct(cases, len(cases))], unit="s")
"""

STEP = """\
id: {id}
name: {id}
stage: Planning
substage: Research
order: {order}
model: llama3.1:8b
system_prompt: You research.
task_prompt: Find something.
input_format: fields-in
output_format: text-out
inputs: [{{field: idea, name: Idea, required: true}}]
output_field: {id}
"""

FILES = {
    "pytest.ini": (
        "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\ngonogo_suites = acceptance\n"
    ),
    "conftest.py": CONFTEST,
    "adapter.py": ADAPTER,
    "acceptance/criteria.toml": CRITERIA,
    "acceptance/test_structure.py": TEST_STRUCTURE,
    "acceptance/test_length.py": TEST_LENGTH,
    "workflows/formats/fields-in.yaml": (
        "id: fields-in\nname: Fields\ndescription: Named fields.\nllm_instructions: Each input has a name.\n"
        "fields: {type: input, schema: {type: object}}\n"
    ),
    "workflows/formats/text-out.yaml": (
        "id: text-out\nname: Text\ndescription: One paragraph.\nllm_instructions: Answer with plain text.\n"
        "fields: {type: output, schema: {type: string, minLength: 1}}\n"
    ),
    "workflows/planning/facts.yaml": STEP.format(id="facts", order=10),
    "workflows/planning/title.yaml": STEP.format(id="title", order=20),
    "cases/facts.yaml": (
        "step: facts\ncases:\n- {id: roads, inputs: {idea: Roman roads}}\n- {id: rivers, inputs: {idea: Rivers}}\n"
    ),
    "cases/title.yaml": "step: title\ncases:\n- {id: roads, inputs: {idea: Roman roads}}\n",
}


def write_project(folder: Path) -> None:
    """Write the files of the project."""
    for name, text in FILES.items():
        write(folder, name, text)


def write(folder: Path, name: str, text: str) -> None:
    """Write one file, in the place of what stands there."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def add_speed(folder: Path) -> None:
    """Add the measured criterion and its suite."""
    criteria = (folder / "acceptance" / "criteria.toml").read_text(encoding="utf-8")
    write(folder, "acceptance/criteria.toml", criteria + SPEED)
    write(folder, "acceptance/test_speed.py", TEST_SPEED)


def add_integrity(folder: Path) -> None:
    """Add report-integrity, which needs Allure."""
    criteria = (folder / "acceptance" / "criteria.toml").read_text(encoding="utf-8")
    write(folder, "acceptance/criteria.toml", criteria + INTEGRITY)
