"""Imports point one way: who may import whom in the house."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A module imports modules of its own row and of rows above it, never of a row below.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("model", "errors", "clock"),
    (
        "documents",
        "parsed",
        "assessment",
        "figures",
        "statistics",
        "grammar",
        "memory",
        "metrics",
        "sequential",
        "counted",
        "tally",
        "durations",
        "promql",
    ),
    (
        "alert_files",
        "alert_inbox",
        "alert_rules",
        "alert_tests",
        "alerting",
        "blast",
        "checks",
        "contract",
        "criteria",
        "environment",
        "documentation",
        "evidence",
        "found_proof",
        "hygiene",
        "plantable",
        "planted_documents",
        "planting",
        "margins",
        "project",
        "proof",
        "recordings",
        "redaction",
        "replies",
        "signoffs",
        "triggers",
        "standing",
        "suites",
        "workflows",
    ),
    ("gathering", "generated", "verdict", "supposing", "next_steps", "explaining", "contents", "monitor"),
    ("definitions",),
    ("stub", "runs"),
    ("collector", "targets", "probe", "dashboard", "prometheus_stack"),
    # measurement through workers, and the workers at work
    ("latency", "llm", "report", "workbench"),
    ("aftermath", "recovery", "synthetic", "watching", "rehearsed", "rehearsal", "monitoring"),
    (
        "rundown",
        "joining",
        "upkeep",
        "fixtures",
        "options",
        "stub_commands",
        "probe_command",
        "proof_results",
        "proving",
        "pytest_runs",
        "result_lines",
        "proof_runner",
        "mutants",
        "mutant_trials",
    ),
    (
        "capture",
        "recording_server",
        "record_command",
        "watch_command",
        "signoff_command",
        "preflight_command",
        "mutants_command",
        "prove_command",
        "rules_command",
        "explain_command",
    ),
    ("plugin", "cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted((ROOT / "gonogo").rglob("*.py"))
ALLURE = ("allure", "allure_commons", "allure_pytest")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; write the full name"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    """The module or package directly below gonogo/ that a file belongs to."""
    return path.relative_to(ROOT / "gonogo").parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def importers_of(packages: tuple[str, ...], below: str) -> set[str]:
    return {
        name(path)
        for path in (ROOT / below).rglob("*.py")
        if any(imported.split(".")[0] in packages for imported in imports(path))
    }


def test_the_rules_see_the_imports() -> None:
    assert "gonogo.errors.DefinitionError" in set(imports(ROOT / "gonogo" / "documents.py"))
    assert importers_of(("pytest",), "gonogo"), "the plugin imports pytest; a rule that finds nothing looks at nothing"
    assert len(MODULES) > 30


def test_gonogo_never_imports_the_application_and_the_application_never_gonogo() -> None:
    assert importers_of(("app", "acceptance", "tests"), "gonogo") == set()
    assert importers_of(("gonogo", "acceptance", "tests"), "app") == set()
    assert importers_of(("gonogo", "acceptance", "tests"), "fixtures/releases") == set()


def test_only_the_plugin_its_options_and_its_fixtures_import_pytest() -> None:
    found = importers_of(("pytest", "_pytest", "pluggy", "xdist", "pytest_benchmark"), "gonogo")
    assert found <= {f"gonogo/{name}.py" for name in ("plugin", "fixtures", "options")}


def test_only_the_report_imports_allure_and_matplotlib() -> None:
    for path in importers_of((*ALLURE, "matplotlib"), "gonogo"):
        assert path.startswith("gonogo/report/"), f"{path} imports allure or matplotlib; move that to gonogo/report/"


def test_only_statistics_imports_scipy() -> None:
    assert importers_of(("scipy", "numpy"), "gonogo") <= {"gonogo/statistics.py", "gonogo/report/plots.py"}


def test_model_and_errors_rest_on_the_standard_library_alone() -> None:
    import sys

    for module in ("model", "errors"):
        for imported in imports(ROOT / "gonogo" / f"{module}.py"):
            assert imported.split(".")[0] in sys.stdlib_module_names, f"{module} imports {imported}"


@pytest.mark.parametrize("path", [path for path in MODULES if path != ROOT / "gonogo" / "__init__.py"], ids=name)
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    own = room(path)
    assert own in LEVEL, f"{name(path)}: say in LAYERS of this test where {own} stands"
    for imported in imports(path):
        parts = imported.split(".")
        if parts[0] != "gonogo" or len(parts) == 1:
            continue
        other = parts[1]
        assert other in LEVEL, f"{name(path)}: {imported} is imported; import from the module that defines it"
        assert LEVEL[other] <= LEVEL[own], f"{name(path)} imports gonogo.{other}, which stands below it"


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        found = {imported.split(".")[1] for imported in imports(path) if imported.startswith("gonogo.")}
        if path != ROOT / "gonogo" / "__init__.py":
            graph.setdefault(room(path), set()).update(found - {room(path)})
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " imports ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in sorted(graph.get(module, ())):
            visit(other, (*way, module))
        done.add(module)

    for module in sorted(graph):
        visit(module, ())
