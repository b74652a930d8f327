"""Copies of this project in which something is changed, run from outside as its users run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_REHEARSED = ("zero-downtime", "rollback", "backup")
_COPIED = ("acceptance", "app", "conftest.py", "fixtures", "pyproject.toml", "pytest.ini", "workflows")


@dataclass(frozen=True)
class Answer:
    """How a run of pytest ended: its exit status, what it printed, and the folder of the gonogo run that it wrote."""

    status: int
    output: str
    folder: Path | None

    @cached_property
    def document(self) -> dict[str, Any]:
        """The verdict.json of the run."""
        assert self.folder is not None, f"no run was written:\n{self.output}"
        document: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text(encoding="utf-8"))
        return document

    @property
    def verdicts(self) -> dict[str, str]:
        """Criterion -> verdict."""
        return {criterion["id"]: criterion["verdict"] for criterion in self.document["criteria"]}

    def reasons(self, criterion: str) -> str:
        """Every reason that the claims of a criterion give, one on a line."""
        claims = next(one for one in self.document["criteria"] if one["id"] == criterion)["claims"]
        return "\n".join(reason for claim in claims for reason in claim["reasons"])


def run_pytest(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Answer:
    """Run pytest in a folder, in a process of its own, without what this process or its user has set for pytest."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONDONTWRITE"))}
    # plugins of other packages that take seconds to import, and that no run of gonogo has a use for
    unused = ("cacheprovider", "hypothesispytest", "langsmith_plugin", "pytest_postgresql")
    command = [sys.executable, "-m", "pytest", *(word for name in unused for word in ("-p", f"no:{name}")), *arguments]
    before = _runs(folder)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    new = _runs(folder) - before
    assert len(new) <= 1, f"one run of pytest wrote several runs: {new}"
    return Answer(done.returncode, done.stdout.decode(errors="replace"), new.pop() if new else None)


Judge = Callable[..., Answer]


def run_in_process(pytester: pytest.Pytester, *arguments: str) -> Answer:
    """Run pytest in pytester's folder in this process, quickly: with gonogo's plugin and no other.

    Not for projects with a measured pass, whose process needs its plugins.
    """
    before = _runs(pytester.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # else each run imports every plugin anew
        result = pytester.runpytest_inprocess("-p", "gonogo.plugin", "-p", "no:cacheprovider", *arguments)
    new = _runs(pytester.path) - before
    assert len(new) <= 1, f"one run of pytest wrote several runs: {new}"
    return Answer(int(result.ret), result.stdout.str() + result.stderr.str(), new.pop() if new else None)


def _runs(folder: Path) -> set[Path]:
    return {path.parent.resolve() for path in folder.rglob("run.json")}


@dataclass(frozen=True)
class Copy:
    """A copy of this project, free to be broken."""

    root: Path

    @classmethod
    def of_project(cls, root: Path, *, steps: Iterable[str] | None = None) -> Copy:
        """Copy the project; only some of its steps where ``steps`` names them."""
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name)  # with its byte code, which stays valid
            else:
                shutil.copy2(source, root / name)
        if steps is not None:
            kept = set(steps)
            for pattern in ("workflows/*/*/*.yaml", "fixtures/cases/*.yaml", "fixtures/recordings/*/*.yaml"):
                for path in root.glob(pattern):
                    if path.stem not in kept:
                        path.unlink()
            assert {path.stem for path in root.glob("workflows/*/*/*.yaml")} == kept
            for path in root.glob("fixtures/releases/*.json"):
                facts = json.loads(path.read_text(encoding="utf-8"))
                facts["steps"] = [step for step in facts["steps"] if step["id"] in kept]
                path.write_text(json.dumps(facts), encoding="utf-8")
        copy = cls(root)
        for criterion in _REHEARSED:  # each takes a deployment, and minutes; the rehearsal has tests of its own
            copy.remove_criterion(criterion)
        return copy

    def append(self, file: str, code: str) -> None:
        """Add code at the end of a module: it may wrap or replace what the module defines."""
        path = self.root / file
        path.write_text(f"{path.read_text(encoding='utf-8')}\n\n{code}", encoding="utf-8")

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands in a file exactly once."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times; the patch no longer fits"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def set_parameter(self, criterion: str, name: str, value: int) -> None:
        """Give a parameter of a criterion another whole number."""
        path = self.root / "acceptance" / "criteria.toml"
        pattern = rf'(id = "{re.escape(criterion)}"\n(?:(?!\n\[\[criterion\]\]).)*?\n{re.escape(name)} = )\d+'
        text, found = re.subn(pattern, rf"\g<1>{value}", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert found == 1, f"criteria.toml: {criterion} has not one parameter {name}"
        path.write_text(text, encoding="utf-8")

    def require(self, criterion: str) -> None:
        """Let every phase require a criterion that is advisory, so that it decides."""
        path = self.root / "acceptance" / "criteria.toml"
        first, *entries = path.read_text(encoding="utf-8").split("[[criterion]]\n")
        changed = [
            entry.replace('= "advisory"', '= "required"') if f'id = "{criterion}"\n' in entry else entry
            for entry in entries
        ]
        assert changed != entries, f"criteria.toml has no advisory criterion {criterion}"
        path.write_text("[[criterion]]\n".join([first, *changed]), encoding="utf-8")

    def remove_criterion(self, criterion: str) -> None:
        """Take a criterion out of criteria.toml, and its suite with it."""
        path = self.root / "acceptance" / "criteria.toml"
        first, *entries = path.read_text(encoding="utf-8").split("[[criterion]]\n")
        kept = [entry for entry in entries if f'id = "{criterion}"\n' not in entry]
        assert len(kept) == len(entries) - 1, f"criteria.toml has not one criterion {criterion}"
        path.write_text("[[criterion]]\n".join([first, *kept]), encoding="utf-8")
        (self.root / "acceptance" / f"test_{criterion.replace('-', '_')}.py").unlink()

    def judge(self, *criteria: str, options: Sequence[str] = ()) -> Answer:
        """Run the suites of these criteria."""
        suites = [f"acceptance/test_{criterion.replace('-', '_')}.py" for criterion in criteria]
        return run_pytest(self.root, *suites, "-q", "-p", "no:randomly", "-p", "no:allure_pytest", *options)
