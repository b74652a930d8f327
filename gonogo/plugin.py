"""The pytest plugin: the hooks (``options`` and ``fixtures`` have the others). An adapter; what it decides is decided
elsewhere, in modules that never heard of pytest.

It is active where an argument of pytest lies inside the ini value ``gonogo_suites``, and inert everywhere else.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gonogo import fixtures, options
from gonogo.collector import Collector, NotASuite
from gonogo.definitions import Definitions, load_definitions
from gonogo.errors import EvidenceGap, GonogoError, ProductFailure
from gonogo.evidence import Shard
from gonogo.model import Claim, Outcome
from gonogo.options import Settings
from gonogo.project import Project
from gonogo.report import allure as allure_report
from gonogo.report.terminal import render
from gonogo.rundown import Rundown, begin_run, exit_status
from gonogo.runs import RunDirectory
from gonogo.workbench import Workbench


class Hooks:
    """The hooks that gonogo asks for."""

    @pytest.hookspec(firstresult=True)
    def pytest_gonogo_project(self) -> Project | None:
        """Return the ``gonogo.Project`` that is judged. Written in the conftest.py at the root of a project."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make ``pytest_gonogo_project`` known."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and their ini twins."""
    options.declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register what this process does in a run: gather evidence, lead the run, or both."""
    config.addinivalue_line(
        "markers", "criterion(id): the success criterion of criteria.toml that a test is evidence for"
    )
    settings = options.settings_of(config)
    worker = getattr(config, "workerinput", None)
    if options.only_shows_something(config) or not options.name_a_suite(config, settings.suites):
        return
    if sys.flags.optimize:
        raise pytest.UsageError(
            f"gonogo: Python runs with -O (PYTHONOPTIMIZE={sys.flags.optimize}), which takes every assert out of suites "
            "and of what they import; run it without"
        )
    try:
        with _nothing_to_collect():
            _activate(config, settings, worker)
    except GonogoError as error:
        raise pytest.UsageError(str(error)) from error


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Keep the garbage collector from looking through definitions and recordings, while they are read and afterwards.

    They are ten thousands of objects, and all of them stay to the end.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Say why suites cannot run where gonogo is inert, instead of letting each fail for want of its fixtures."""
    if fixtures.WORKBENCH in config.stash or options.only_shows_something(config):
        return
    suites: list[Path] = config.getini("gonogo_suites")
    meant = [item for item in items if any(item.path.is_relative_to(suite) for suite in suites)]
    if meant:
        folders = " ".join(os.path.relpath(suite, config.rootpath) for suite in suites)
        raise pytest.UsageError(
            f"gonogo: {meant[0].nodeid} lies in gonogo_suites, but no argument of pytest does; name the suites (pytest "
            f"{folders}) to judge a release, or leave them out (--ignore)"
        )


def _activate(config: pytest.Config, settings: Settings, worker: dict[str, Any] | None) -> None:
    project: Project | None = config.hook.pytest_gonogo_project()
    if project is None:
        raise pytest.UsageError(
            "gonogo: no conftest.py says what is judged; write pytest_gonogo_project() in the conftest.py next to pytest.ini"
        )
    if settings.baseline is not None:
        project = project.with_baseline(settings.baseline)
    if settings.service is not None:
        told = _told_first(settings, worker)
        project = project.with_service(replace(settings.service, version=told), settings.stub)
    if settings.planted:
        project = project.with_planted(settings.planted)
    if settings.mutant is not None:
        project = project.with_mutant(settings.mutant)
    definitions = load_definitions(project)
    if settings.mutant is not None:
        definitions = definitions.with_one_case_per_step()
    fixtures.check_criteria(settings.criteria, definitions.criteria)
    workbench = Workbench(definitions)
    rundown: Rundown | None = None
    if worker is not None:
        directory, name = RunDirectory(Path(worker["gonogo_run"])), str(worker["workerid"])
        config.option.allure_report_dir = worker["gonogo_allure"]  # xdist hands on the command line, no more
    elif settings.measured_run is not None:
        word, _, run = settings.measured_run.partition("@")
        directory, name = RunDirectory(Path(run)), "measured"
        if directory.is_sealed or directory.shard(name).exists() or not directory.let_in(word):
            workbench.close()
            raise pytest.UsageError(
                f"--gonogo-measured-run {settings.measured_run}: this run is over, or does not ask for its measured pass; "
                "leave the option out, it is gonogo's own"
            )
    else:
        try:
            reports = settings.report or project.reports
            rundown = begin_run(
                workbench, settings.phase, reports=reports, suites=settings.suites, baseline=settings.baseline
            )
        except GonogoError:
            workbench.close()
            raise
        directory, name = rundown.directory, "main"
        if not getattr(config.option, "allure_report_dir", None):
            config.option.allure_report_dir = str(directory.allure_results)
    if rundown is None:
        config.option.clean_alluredir = False  # or this process would wipe what the others have written
    info = directory.info()
    collector = Collector(info.id, info.facts, Shard(directory.shard(name)), measured_pass=name == "measured")
    in_allure = config.pluginmanager.hasplugin("allure_pytest")
    gatherer = Gatherer(collector, workbench, in_allure=in_allure, only=settings.criteria)
    config.stash[fixtures.WORKBENCH], config.stash[fixtures.COLLECTOR] = workbench, collector
    config.pluginmanager.register(fixtures, "gonogo-fixtures")
    config.pluginmanager.register(gatherer, "gonogo-gatherer")
    if rundown is not None:
        config.pluginmanager.register(Leader(config, settings, rundown, gatherer), "gonogo-leader")


def _told_first(settings: Settings, worker: dict[str, Any] | None) -> str | None:
    """The version that the live service told whoever began the run; none where this process begins it."""
    run = worker["gonogo_run"] if worker is not None else (settings.measured_run or "").partition("@")[2]
    if not run or not (Path(run) / "run.json").is_file():
        return None
    told = RunDirectory(Path(run)).info().releases["candidate"].get("version_told")
    return None if told is None else str(told)


class Leader:
    """Leads a run: begins it, has the measured claims run when everybody else has stopped, judges and reports."""

    def __init__(self, config: pytest.Config, settings: Settings, rundown: Rundown, gatherer: Gatherer) -> None:
        self._config = config
        self._settings = settings
        self._rundown = rundown
        self._gatherer = gatherer
        self._measured: list[str] = []
        self._failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed, wherever it ran; what feeds no claim must not be forgotten."""
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected."""
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_report_header(self) -> str:
        """Say what is judged."""
        return self._rundown.headline

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker which run it works for."""
        node.workerinput["gonogo_run"] = str(self._rundown.directory.path)
        node.workerinput["gonogo_allure"] = self._config.option.allure_report_dir if self._allure_is_on() else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """From here on this run is the latest, whatever becomes of it: nobody shall read an older one's GO as its own."""
        self._rundown.directory.point_latest()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take from an xdist worker which measured items it left out."""
        output = getattr(node, "workeroutput", None) or {}
        self.leave_for_later(output.get("gonogo_measured", []))

    def leave_for_later(self, items: Sequence[str]) -> None:
        """Remember measured items; every worker names the same ones."""
        self._measured = list(dict.fromkeys([*self._measured, *items]))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Run the measured pass, judge, and set the exit status; nobody who comes later may set it back.

        Status 2 to 4 of pytest stay as they are.
        """
        self.leave_for_later(self._gatherer.collector.left_out)
        self._gatherer.finish()
        if exitstatus in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            return (yield)  # nothing was looked at that a verdict could be about
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if self._measured and not interrupted and not session.shouldfail:
            self._say(f"gonogo: measuring {len(self._measured)} claims, one after the other, in a process of their own")
            has_cache = self._config.pluginmanager.hasplugin("cacheprovider")
            self._rundown.measure(self._measured, self._pytest_arguments(), self._config.rootpath, has_cache=has_cache)
        results = Path(self._config.option.allure_report_dir) if self._allure_is_on() else None
        if exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed > len(self._failed):
            self._failed.append("something that is no test (a limit of coverage?), told above")
        verdict = self._rundown.judge(results, failed=self._failed)
        status = exitstatus if interrupted else exit_status(verdict.status)
        session.exitstatus = status  # for those who come later and read it
        try:
            return (yield)
        finally:
            session.exitstatus = status

    def _allure_is_on(self) -> bool:
        return self._config.pluginmanager.hasplugin("allure_pytest") and bool(
            getattr(self._config.option, "allure_report_dir", None)
        )

    def _pytest_arguments(self) -> list[str]:
        arguments = [f"--rootdir={self._config.rootpath}", *options.handed_on(self._settings)]
        if self._config.pluginmanager.hasplugin("xdist"):
            arguments += ["-n", "0"]
        if options.ends_at_first(self._config):
            arguments.append("-x")
        if self._config.pluginmanager.hasplugin("benchmark"):
            arguments.append("--benchmark-quiet")
        if self._config.inipath is not None:
            arguments.append(f"--config-file={self._config.inipath}")
        if self._allure_is_on():
            arguments.append(f"--alluredir={self._config.option.allure_report_dir}")
        return arguments

    def _say(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line("")
            reporter.write_line(line)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdict table."""
        if self._rundown.verdict is not None:
            width = terminalreporter._tw.fullwidth
            terminalreporter.write_line("")
            document = self._rundown.directory.read_json("verdict.json")
            terminalreporter.write(
                render(document, self._rundown.directory.path, width=width, color=terminalreporter._tw.hasmarkup)
            )


class Gatherer:
    """Runs items and writes their evidence into this process's shard."""

    def __init__(
        self, collector: Collector, workbench: Workbench, *, in_allure: bool, only: Sequence[str] = ()
    ) -> None:
        self._in_allure = in_allure
        self._only = only  # the criteria whose tests run, in this order; empty: all run
        self._finished = False
        self.collector = collector
        self.workbench = workbench

    @property
    def _definitions(self) -> Definitions:
        return self.workbench.definitions

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item per step for every test that asks for ``step``."""
        if "step" in metafunc.fixturenames and metafunc.definition.get_closest_marker("criterion"):
            metafunc.parametrize("step", [step.id for step in self._definitions.workflow.steps], indirect=True)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the items of this pass, and note which claims were collected."""
        if self._only:
            chosen, others = fixtures.of_criteria(items, self._only, self._definitions.criteria)
            items[:] = chosen
            config.hook.pytest_deselected(items=others)
        for item in items:
            criterion = fixtures.criterion_of(item, self._definitions.criteria)
            if criterion is None:
                continue
            parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
            step = parameters.get("step")
            if step is not None and not isinstance(step, str):
                continue  # the empty parameter set of a workflow without steps
            try:
                self.collector.take(item.nodeid, Claim(criterion.id, step), criterion)
            except NotASuite as error:
                raise pytest.UsageError(str(error)) from error
            claimed = self._definitions.workflow.step(step) if step else None
            if self._in_allure:  # else nobody has declared the marker
                labels = allure_report.item_labels(self.collector.run_id, criterion, Claim(criterion.id, step), claimed)
                for kind, value in labels:
                    item.add_marker(pytest.mark.allure_label(value, label_type=kind))
        items[:] = [item for item in items if self.collector.runs_now(item.nodeid)]
        self.collector.note_collected()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what a selection left out."""
        self.collector.deselected += len(items)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Open the evidence of an item's claim, and close it with the item's outcome."""
        claim = self.collector.claims.get(item.nodeid)
        if claim is None:
            return (yield)
        self.collector.begin(item.nodeid)
        try:
            return (yield)
        finally:
            # samples are judged at the end, and their item passes; -x ends a run at what they show all the same
            if options.ends_at_first(item.config) and self.collector.sampled_no_go(self._definitions.criteria):
                item.session.shouldfail = f"stopping after {claim}, which is NO-GO"
            self.collector.end()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Give the item a name in the Allure report, after allure-pytest has given it one."""
        yield
        claim = self.collector.claims.get(item.nodeid)
        if claim is not None:
            allure_report.name_item(claim)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Let failing findings fail the item, all of them in one message."""
        yield
        if item.nodeid in self.collector.claims:
            self.collector.current.conclude()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note how each stage of the item ended, by the type of its exception."""
        report = yield
        if item.nodeid in self.collector.claims:
            evidence = self.collector.current
            error = call.excinfo.value if call.excinfo else None
            if report.skipped or hasattr(report, "wasxfail"):
                evidence.note(Outcome.SKIPPED, getattr(report, "wasxfail", "") or str(error), report.duration)
            elif error is None:
                evidence.note(Outcome.PASSED, "", report.duration)
            else:
                evidence.note_error(error, report.duration)
                if isinstance(error, ProductFailure | EvidenceGap):
                    report.longrepr = str(error)  # where it was raised is gonogo's own business
            if report.when == "call":
                allure_report.attach_evidence(evidence.attachments())
            evidence.complete = report.when == "teardown"
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """An xdist worker tells the leader what it left out."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["gonogo_measured"] = list(self.collector.left_out)
            self.finish()

    def finish(self) -> None:
        """End workers and close the shard."""
        if not self._finished:
            self._finished = True
            self.collector.shard.extend(list(self.workbench.last_words()))
        self.workbench.close()
        self.collector.close()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """The measured pass ends here."""
        self.finish()
        gc.unfreeze()
