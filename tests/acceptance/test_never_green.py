"""No green without evidence: whatever is left out, breaks or is bent, a run that did not look at everything is not GO."""

from __future__ import annotations

from pathlib import Path

import pytest
from constructor_project import (
    ADAPTER,
    CRITERIA,
    SPEED,
    TEST_LENGTH,
    TEST_STRUCTURE,
    add_integrity,
    add_speed,
    write,
    write_project,
)
from sandbox import Answer, Copy, Judge, run_pytest

from gonogo.errors import EvidenceError
from gonogo.rundown import verify
from gonogo.runs import RunDirectory

pytest_plugins = ["pytester"]


STRUCTURE, LENGTH = "acceptance/test_structure.py", "acceptance/test_length.py"
QUIET = ("-p", "no:allure_pytest", "-p", "no:randomly")


def in_structure(body: str, *, head: str = "", parameters: str = "step, cases, candidate, grammar, evidence") -> str:
    """The suite of ``structure`` with another body; ``CHECK`` in it stands for the usual one."""
    check = "[evidence.add(case, sections_in_order(candidate.construct(case).text, grammar)) for case in cases]"
    lines = "\n".join(f"    {line}" for line in body.replace("CHECK", check).splitlines())
    return f"""\
import pytest

from gonogo.checks import sections_in_order

pytestmark = pytest.mark.criterion("structure")

{head}
def test_structure({parameters}):
{lines}
"""


def test_the_project_as_it_stands_is_go(judge: Judge) -> None:
    answer = judge()
    assert (answer.status, answer.document["verdict"]) == (0, "GO"), answer.output


SELECTIONS = {
    "a suite ignored": (f"--ignore={LENGTH}",),
    "one item deselected": (f"--deselect={STRUCTURE}::test_structure[title]",),
    "a suite deselected": (f"--deselect={LENGTH}",),
    "a keyword": ("-k", "facts"),
    "a keyword that matches nothing": ("-k", "nothing_like_it"),
    "a marker expression": ("-m", "not criterion"),
    "nothing but fixtures": ("--setup-only",),
    "nothing but a plan": ("--setup-plan",),
}


@pytest.mark.parametrize("arguments", SELECTIONS.values(), ids=SELECTIONS)
def test_a_selection_is_at_best_inconclusive(judge: Judge, arguments: tuple[str, ...]) -> None:
    answer = judge("acceptance", *arguments)
    assert (answer.status, answer.document["verdict"]) == (10, "INCONCLUSIVE"), answer.output


def test_a_selection_says_so_in_one_line(judge: Judge) -> None:
    answer = judge(STRUCTURE)
    assert answer.status == 10
    assert "partial selection: 2 of 3 owed claims were collected" in answer.document["notes"][0]
    assert answer.verdicts == {"structure": "GO", "length": "INCONCLUSIVE"}


def test_options_of_the_environment_select_as_well(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k title")
    answer = judge()
    assert (answer.status, answer.document["verdict"]) == (10, "INCONCLUSIVE"), answer.output


# Skips and expected failures here are material: suites that a run is given, and that must not end GO.
BENT_SUITES = {
    "skipped by a mark": in_structure("CHECK", head="@pytest.mark.skip(reason='flaky')"),
    "skipped where a condition holds": in_structure("CHECK", head="@pytest.mark.skipif(True, reason='flaky')"),
    "skipped inside": in_structure("pytest.skip('no time')"),
    "skipped after its evidence": in_structure("CHECK\npytest.skip('no time')"),
    "skipped as a module": in_structure("CHECK", head="pytest.skip('later', allow_module_level=True)"),
    "skipped for a missing module": in_structure("pytest.importorskip('no_such_module')\nCHECK"),
    "expected to fail, and failing": in_structure("CHECK\nassert not cases", head="@pytest.mark.xfail"),
    "expected to fail, and passing": in_structure("CHECK", head="@pytest.mark.xfail"),
    "expected to fail, and not run": in_structure("CHECK", head="@pytest.mark.xfail(run=False)"),
    "its fixture raises": in_structure(
        "CHECK",
        head="@pytest.fixture\ndef broken():\n    raise OSError('disk full')\n\n",
        parameters="broken, cases, step, candidate, grammar, evidence",
    ),
    "its fixture raises at the end": in_structure(
        "CHECK",
        head="@pytest.fixture\ndef broken():\n    yield\n    raise OSError('disk full')\n\n",
        parameters="broken, cases, step, candidate, grammar, evidence",
    ),
    "it breaks halfway": in_structure("evidence.add(cases[0], sections_in_order('', grammar)) if 0 else CHECK\n1 / 0"),
    "it leaves": in_structure("CHECK\nraise SystemExit(0)"),
    "it adds nothing": in_structure("pass"),
    "it adds an empty list": in_structure("for case in cases: evidence.add(case, [])"),
    "its findings are used up": in_structure(
        "found = (sections_in_order(candidate.construct(case).text, grammar) for case in cases)\n"
        "assert all(one.ok for one in found)\nevidence.add(None, found)"
    ),
    "it swallows what is raised": in_structure(
        "try:\n    candidate.construct(cases[0], None)\nexcept TypeError:\n    pass"
    ),
    "it looks at one case only": in_structure(
        "evidence.add(cases[0], sections_in_order(candidate.construct(cases[0]).text, grammar))"
    ),
    "its cases are cut": in_structure("CHECK", head="@pytest.fixture\ndef cases():\n    return ()\n\n"),
    "its step is another": in_structure(
        "CHECK",
        head="@pytest.fixture\ndef step(request, definitions):\n    return definitions.workflow.steps[0]\n\n",
    ),
    "its evidence goes nowhere": in_structure("evidence.write = lambda record: None\nCHECK"),
    "its evidence goes to another claim": in_structure(
        "kept.append(evidence)\nevidence = kept[0]\nCHECK", head="kept = []\n\n"
    ),
    "it names no criterion": TEST_STRUCTURE.replace('pytestmark = pytest.mark.criterion("structure")', ""),
    "it waits for ever": in_structure("CHECK").replace("def test_structure", "async def test_structure"),
    "it yields": in_structure("CHECK\nyield"),
    "it is no test any more": TEST_STRUCTURE.replace("def test_structure", "def structure"),
    "it cannot be imported": "import no_such_module\n",
}


SAMPLES = {
    "not a number": "evidence.sample('length', [float('nan')], unit='B')",
    "infinite": "evidence.sample('length', [float('-inf')], unit='B')",
    "none at all": "evidence.sample('length', [], unit='B')",
    "of another name": "evidence.sample('lenght', [3], unit='B')",
    "of another unit": "evidence.sample('length', [3], unit='KiB')",
    "a finding in its place": "evidence.add(None, sections_in_order(candidate.construct(cases[0]).text, grammar))",
}


def _named(words: str) -> str:
    """An id for a criterion."""
    return "-".join(words.replace(",", "").split())


@pytest.fixture(scope="module")
def bent(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """One run over a project with a criterion for each bent suite beside the usual two. A run of its own would be as good."""
    folder = tmp_path_factory.mktemp("bent")
    write_project(folder)
    head, structure, length = CRITERIA.partition("[[criterion]]")[0], *CRITERIA.split("[[criterion]]")[1:]
    criteria = [head, structure, length]
    for name, suite in BENT_SUITES.items():
        criteria.append(structure.replace('"structure"', f'"{_named(name)}"'))
        write(folder, f"acceptance/test_{_named(name)}.py", suite.replace('"structure"', f'"{_named(name)}"'))
    for name, line in SAMPLES.items():
        criteria.append(length.replace('id = "length"', f'id = "{_named(name)}"'))
        suite = in_structure(line, parameters="cases, candidate, grammar, evidence")
        write(folder, f"acceptance/test_{_named(name)}.py", suite.replace('"structure"', f'"{_named(name)}"'))
    write(folder, "acceptance/criteria.toml", "[[criterion]]".join(criteria))
    return run_pytest(folder, "acceptance", "--continue-on-collection-errors", *QUIET)


def test_bent_suites_keep_a_run_from_go(bent: Answer) -> None:
    assert (bent.status, bent.document["verdict"]) == (10, "INCONCLUSIVE"), bent.output
    assert {name for name, verdict in bent.verdicts.items() if verdict != "INCONCLUSIVE"} == {"structure", "length"}


@pytest.mark.parametrize("name", [*BENT_SUITES, *SAMPLES])
def test_a_bent_suite_is_not_go(bent: Answer, name: str) -> None:
    assert bent.verdicts[_named(name)] == "INCONCLUSIVE"
    assert bent.reasons(_named(name))


@pytest.mark.parametrize("name", ["skipped inside", "its fixture raises", "it adds nothing", "it is no test any more"])
def test_with_a_failing_claim_beside_it_the_run_is_no_go(project: Path, judge: Judge, name: str) -> None:
    write(project, STRUCTURE, BENT_SUITES[name])
    write(project, LENGTH, TEST_LENGTH.replace(".prompt.size]", ".prompt.size + 2000]"))
    answer = judge()
    assert (answer.status, answer.document["verdict"]) == (1, "NO-GO"), answer.output
    assert answer.verdicts == {"structure": "INCONCLUSIVE", "length": "NO-GO"}


def test_leaving_pytest_with_status_0_is_not_go(project: Path, judge: Judge) -> None:
    write(project, STRUCTURE, in_structure("CHECK\npytest.exit('enough', returncode=0)"))
    answer = judge()
    assert (answer.status, answer.document["verdict"]) == (10, "INCONCLUSIVE"), answer.output


def test_a_step_without_cases_is_not_go(project: Path, judge: Judge) -> None:
    (project / "cases" / "title.yaml").unlink()
    answer = judge()
    assert answer.status == 10, answer.output
    assert "the step title has no cases" in answer.reasons("structure")


def test_an_empty_workflow_is_not_go(project: Path, judge: Judge) -> None:
    for path in (*project.glob("workflows/planning/*.yaml"), *project.glob("cases/*.yaml")):
        path.unlink()
    answer = judge()
    assert answer.status == 10, answer.output
    assert "the workflow has no steps" in "\n".join(answer.document["reasons"])


def test_a_criterion_that_no_suite_feeds_is_not_go(project: Path, judge: Judge) -> None:
    write(project, "acceptance/criteria.toml", CRITERIA + SPEED)
    answer = judge()
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "GO", "length": "GO", "speed": "INCONCLUSIVE"}


def test_a_phase_that_requires_nothing_is_not_go(judge: Judge) -> None:
    answer = judge("acceptance", "--gonogo-phase=nightly")
    assert answer.status == 10, answer.output
    assert "criteria.toml requires nothing in this phase" in answer.document["reasons"]


def test_a_release_that_cannot_do_what_is_needed_is_not_go(project: Path, judge: Judge) -> None:
    write(project, "acceptance/criteria.toml", CRITERIA.replace('needs = ["prompt"]', 'needs = ["prompt", "reply"]'))
    answer = judge()
    assert answer.status == 10, answer.output
    assert "the target does not offer: reply" in answer.reasons("structure")


@pytest.mark.parametrize(
    "adapter",
    [
        ADAPTER.replace("    entries =", "    raise KeyError('no entries')\n    entries ="),
        ADAPTER.replace("RESPONSE:", "ANSWER:"),
    ],
    ids=["raises", "drops a section"],
)
def test_a_release_that_falls_short_is_no_go(project: Path, judge: Judge, adapter: str) -> None:
    write(project, "adapter.py", adapter)
    answer = judge(STRUCTURE)
    assert answer.status == 1, answer.output
    assert answer.verdicts["structure"] == "NO-GO"


@pytest.mark.parametrize(
    "adapter",
    [
        ADAPTER.replace("    entries =", "    import os\n    os._exit(0)\n    entries ="),
        ADAPTER.replace("    return FunctionAdapter", "    raise OSError('no disk')\n    return FunctionAdapter"),
        ADAPTER.replace("    return FunctionAdapter", "    import os\n    os._exit(0)\n    return FunctionAdapter"),
    ],
    ids=["ends its process", "does not start", "ends its process at the start"],
)
def test_a_release_that_does_not_live_is_not_go(tmp_path: Path, adapter: str) -> None:
    write_project(tmp_path)
    write(tmp_path, "adapter.py", adapter)
    answer = run_pytest(tmp_path, "acceptance", *QUIET)
    assert answer.status in (1, 4, 10), answer.output
    assert answer.status == 4 or answer.verdicts["structure"] != "GO"


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_what_comes_after_a_broken_item_is_missed(project: Path, judge: Judge, option: str) -> None:
    write(project, "acceptance/test_a_length.py", TEST_LENGTH.replace("    for case", "    1 / 0\n    for case"))
    (project / LENGTH).unlink()
    answer = judge("acceptance", option)
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "INCONCLUSIVE", "length": "INCONCLUSIVE"}


def test_collecting_alone_gives_no_verdict(project: Path, judge: Judge) -> None:
    answer = judge("acceptance", "--collect-only")
    assert answer.status == 0, answer.output
    assert not (project / "reports").exists()
    assert "GO" not in answer.output


def test_an_interrupted_run_keeps_its_status_and_is_not_go(tmp_path: Path) -> None:
    write_project(tmp_path)
    write(tmp_path, STRUCTURE, in_structure("CHECK\nraise KeyboardInterrupt"))
    answer = run_pytest(tmp_path, "acceptance", *QUIET)
    assert (answer.status, answer.document["verdict"]) == (2, "INCONCLUSIVE"), answer.output


def test_a_module_that_cannot_be_collected_interrupts_the_run(project: Path, judge: Judge) -> None:
    write(project, STRUCTURE, "import no_such_module\n")
    answer = judge()
    assert (answer.status, answer.document["verdict"]) == (2, "INCONCLUSIVE"), answer.output


HOOKS = {
    "items removed after everybody else": """\
import pytest

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "title" not in item.nodeid]
""",
    "items not run": """\
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True if "title" in item.nodeid else None
""",
    "functions not called": """\
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return True if "title" in pyfuncitem.nodeid else None
""",
    "reports polished": """\
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report

@pytest.fixture(autouse=True)
def broken():
    raise OSError("no disk")
""",
}


@pytest.mark.parametrize("hooks", HOOKS.values(), ids=HOOKS)
def test_a_conftest_cannot_take_an_item_out_of_the_books(project: Path, judge: Judge, hooks: str) -> None:
    write(project, "acceptance/conftest.py", hooks)
    answer = judge()
    assert answer.status == 10, answer.output
    assert answer.verdicts["structure"] == "INCONCLUSIVE"


def test_a_finding_that_fails_cannot_be_taken_back(project: Path, judge: Judge) -> None:
    body = "evidence.add(cases[0], sections_in_order('', grammar))\nevidence._failing.clear()\nCHECK"
    write(project, STRUCTURE, in_structure(body))
    answer = judge()
    assert (answer.status, answer.verdicts["structure"]) == (1, "NO-GO"), answer.output


def test_a_finding_that_fails_after_the_test_counts(project: Path, judge: Judge) -> None:
    late = "@pytest.fixture(autouse=True)\ndef late(evidence, grammar):\n    yield\n    evidence.add(None, sections_in_order('', grammar))\n\n"
    write(project, STRUCTURE, in_structure("CHECK", head=late))
    answer = judge()
    assert (answer.status, answer.verdicts["structure"]) == (1, "NO-GO"), answer.output


def test_a_threshold_moved_while_the_run_goes_on_moves_nothing(project: Path, judge: Judge) -> None:
    moving = (
        "    from pathlib import Path\n    path = Path('acceptance/criteria.toml')\n"
        "    path.write_text(path.read_text().replace('<= 2000', '<= 99000'))\n    for case"
    )
    write(project, LENGTH, TEST_LENGTH.replace("    for case", moving).replace(".size]", ".size + 2000]"))
    answer = judge()
    assert "99000" in (project / "acceptance" / "criteria.toml").read_text()
    assert (answer.status, answer.verdicts["length"]) == (1, "NO-GO"), answer.output


def test_a_failing_test_that_feeds_no_claim_keeps_the_run_from_exit_0(project: Path, judge: Judge) -> None:
    write(project, "acceptance/test_other.py", "def test_other():\n    assert not 'fine'\n")
    answer = judge()
    assert "1 failed" in answer.output
    assert answer.status != 0


def test_a_run_does_not_live_on_the_evidence_of_another(project: Path, judge: Judge) -> None:
    first = judge("acceptance", "--gonogo-report=reports/")
    second = judge(LENGTH, "--gonogo-report=reports/")
    assert (first.status, second.status) == (0, 10)
    assert second.verdicts == {"structure": "INCONCLUSIVE", "length": "GO"}
    assert first.folder != second.folder == (project / "reports" / "latest").resolve()


def test_a_run_written_into_an_older_run_is_judged_by_itself(project: Path, judge: Judge) -> None:
    first = judge()
    assert first.status == 0
    assert first.folder is not None
    second = judge(LENGTH, f"--gonogo-report={first.folder}")
    assert second.status == 10, second.output
    assert verify(RunDirectory(first.folder))


@pytest.mark.parametrize("status", [0, 1])
def test_a_measured_pass_that_ends_early_is_not_go(tmp_path: Path, status: int) -> None:
    write_project(tmp_path)
    add_speed(tmp_path)
    write(
        tmp_path,
        "acceptance/test_speed.py",
        'import os\nimport pytest\n\npytestmark = pytest.mark.criterion("speed")\n\n\n'
        f"def test_speed(step):\n    os._exit({status})\n",
    )
    answer = run_pytest(tmp_path, "acceptance", *QUIET)
    assert answer.status == 10, answer.output
    assert answer.verdicts == {"structure": "GO", "length": "GO", "speed": "INCONCLUSIVE"}


DEATHS = {"a signal": "os.kill(os.getpid(), 9)", "status 0": "os._exit(0)"}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_killed_worker_is_not_go(tmp_path: Path, death: str) -> None:
    write_project(tmp_path)
    write(tmp_path, STRUCTURE, in_structure(f"import os\nCHECK\nif step.id == 'title': {death}"))
    answer = run_pytest(tmp_path, "acceptance", "-n", "2", *QUIET)
    assert answer.status == 10, answer.output
    assert answer.verdicts["structure"] == "INCONCLUSIVE"
    assert answer.verdicts["length"] == "GO"


@pytest.mark.parametrize("option", ["--benchmark-disable", "--benchmark-skip"])
def test_a_benchmark_that_is_switched_off_is_not_go(tmp_path: Path, option: str) -> None:
    copy = Copy.of_project(tmp_path, steps=["meta"])
    answer = run_pytest(
        copy.root, "acceptance/test_construction_time.py", *QUIET, environment={"PYTEST_ADDOPTS": option}
    )
    assert answer.status == 10, answer.output
    assert answer.verdicts["construction-time"] == "INCONCLUSIVE"


def test_results_of_allure_that_are_wiped_are_missed_or_kept(tmp_path: Path) -> None:
    write_project(tmp_path)
    add_speed(tmp_path)
    add_integrity(tmp_path)
    answer = run_pytest(tmp_path, "acceptance", environment={"PYTEST_ADDOPTS": "--clean-alluredir"})
    assert answer.folder is not None
    kept = [path for path in answer.folder.glob("allure-results/*-result.json") if '"claim"' in path.read_text()]
    assert (answer.status, len(kept)) == (0, 5), answer.output
    run = RunDirectory(answer.folder)
    assert verify(run)
    kept[0].write_text(kept[0].read_text().replace('"passed"', '"failed"', 1))
    with pytest.raises(EvidenceError, match=f"{kept[0].name} was changed"):
        verify(run)


def test_a_run_that_was_cut_off_stands_as_the_latest_and_has_no_verdict(tmp_path: Path) -> None:
    write_project(tmp_path)
    assert run_pytest(tmp_path, "acceptance", *QUIET).status == 0
    write(tmp_path, LENGTH, TEST_LENGTH.replace("    for case", "    __import__('os')._exit(0)\n    for case"))
    cut_off = run_pytest(tmp_path, "acceptance", *QUIET)
    assert cut_off.folder == (tmp_path / "reports" / "latest").resolve()
    with pytest.raises(EvidenceError):
        verify(RunDirectory(tmp_path / "reports" / "latest"))
    assert cut_off.folder is not None
    for run in (str(cut_off.folder), f"@{cut_off.folder}", f"word@{cut_off.folder}"):
        write(tmp_path, LENGTH, TEST_LENGTH)
        joined = run_pytest(tmp_path, "acceptance", *QUIET, f"--gonogo-measured-run={run}")
        assert joined.status == 4, joined.output
        assert "does not ask for its measured pass; leave the option out" in joined.output


def test_nothing_is_added_to_a_run_that_is_over(judge: Judge) -> None:
    first = judge()
    assert first.folder is not None
    run = RunDirectory(first.folder)
    for word in ("", "word@", f"{run.ask_in()}@"):
        answer = judge("acceptance", f"--gonogo-measured-run={word}{first.folder}")
        assert answer.status == 4, answer.output
    assert verify(run)


def test_a_run_that_is_measured_asks_for_it_once(tmp_path: Path) -> None:
    write_project(tmp_path)
    add_speed(tmp_path)
    answer = run_pytest(tmp_path, "acceptance", *QUIET)
    assert answer.status == 0, answer.output
    assert answer.folder is not None
    assert not list(answer.folder.glob("measured.pass"))


def test_python_without_asserts_is_refused(tmp_path: Path) -> None:
    write_project(tmp_path)
    optimised = {"PYTHONOPTIMIZE": "1"}
    assert run_pytest(tmp_path, "acceptance", *QUIET, environment=optimised).status != 0
    warned = ("-W", "ignore::pytest.PytestConfigWarning")  # of pytest itself, which may be taken for an error
    answer = run_pytest(tmp_path, "acceptance", *QUIET, *warned, environment=optimised)
    assert answer.status == 4, answer.output
    assert "Python runs with -O (PYTHONOPTIMIZE=1)" in answer.output


SET_BACK = """
import pytest

{mark}
def pytest_sessionfinish(session, exitstatus):
    session.exitstatus = pytest.ExitCode.OK
"""


@pytest.mark.parametrize("mark", ["", "@pytest.hookimpl(trylast=True)"], ids=["early", "late"])
def test_a_conftest_cannot_set_the_status_back(tmp_path: Path, mark: str) -> None:
    write_project(tmp_path)
    write(tmp_path, "acceptance/conftest.py", SET_BACK.format(mark=mark))
    write(tmp_path, "adapter.py", ADAPTER.replace("RESPONSE:", "ANSWER:"))
    assert run_pytest(tmp_path, "acceptance", *QUIET).status == 1
    assert run_pytest(tmp_path, "acceptance", *QUIET, "-k", "structure").status == 1
    write(tmp_path, "adapter.py", ADAPTER)
    assert run_pytest(tmp_path, "acceptance", *QUIET, "-k", "structure").status == 10


def test_without_the_plugin_there_is_no_verdict(tmp_path: Path) -> None:
    write_project(tmp_path)
    answer = run_pytest(tmp_path, "acceptance", "-p", "no:gonogo")
    assert answer.status not in (0, 10), answer.output
    assert answer.folder is None
