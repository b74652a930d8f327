"""What the plugin can be told, on the command line and in the ini file, and what pytest itself was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gonogo.documents import closest
from gonogo.model import Phase
from gonogo.project import Service

__all__ = ["Settings", "declare", "ends_at_first", "handed_on", "name_a_suite", "only_shows_something", "settings_of"]

_POST = "post"
_PHASES = (Phase.PRE.value, _POST, Phase.NIGHTLY.value)


@dataclass(frozen=True)
class Settings:
    """The options of a run, validated."""

    phase: Phase
    service: Service | None
    stub: str | None
    baseline: Path | None
    report: Path | None
    planted: str
    mutant: Path | None
    criteria: tuple[str, ...]
    measured_run: str | None
    suites: tuple[Path, ...]


def declare(parser: pytest.Parser) -> None:
    """Declare the options and their ini twins."""
    group = parser.getgroup("gonogo", "gonogo: go/no-go acceptance of the part of an application that builds prompts")
    group.addoption(
        "--gonogo-phase",
        choices=_PHASES,
        help="Phase of the run: what criteria.toml requires in it is owed; post needs --gonogo-target. Default: pre.",
    )
    group.addoption(
        "--gonogo-target",
        metavar="URL",
        help="The live service that is judged in the phase post, as [target] in criteria.toml says how to ask it.",
    )
    group.addoption(
        "--gonogo-stub",
        metavar="URL",
        help="The stub (gonogo stub serve) that the live service asks in place of its model. Without it the model is real.",
    )
    group.addoption(
        "--gonogo-read-only",
        action="store_true",
        default=None,
        help="Ask the live service for previews alone, which write nothing. What needs runs is then INCONCLUSIVE.",
    )
    group.addoption(
        "--gonogo-baseline",
        metavar="PATH",
        help="Folder of the previous release, instead of the one that conftest.py names.",
    )
    group.addoption(
        "--gonogo-report",
        metavar="DIR",
        help="Folder that the run is written to. Default: the project's reports folder.",
    )
    group.addoption(
        "--gonogo-planted",
        metavar="DEFECT",
        default="",
        help="Plant a defect of docs/proving.md in the candidate on purpose, to see that the gate catches it; 'nothing' compares "
        "the candidate with itself. Such a run is never GO. It has no ini twin: nobody shall forget it there.",
    )
    group.addoption(
        "--gonogo-criterion",
        metavar="CRITERION",
        action="append",
        default=[],
        help="Run the tests of this criterion of criteria.toml and no others; repeatable, and run in that order. As of any part, "
        "the verdict is at best INCONCLUSIVE.",
    )
    group.addoption("--gonogo-mutant", metavar="DIR", help=_HIDDEN_MUTANT)
    group.addoption("--gonogo-measured-run", metavar="WORD@RUN", help=_HIDDEN)
    parser.addini(
        "gonogo_suites",
        "Folders of acceptance suites; gonogo is active where an argument lies inside one.",
        "paths",
        [],
    )
    parser.addini("gonogo_phase", "Twin of --gonogo-phase.", default=Phase.PRE.value)
    parser.addini("gonogo_target", "Twin of --gonogo-target.", default="")
    parser.addini("gonogo_stub", "Twin of --gonogo-stub.", default="")
    parser.addini("gonogo_read_only", "Twin of --gonogo-read-only.", "bool", default=False)
    parser.addini("gonogo_baseline", "Twin of --gonogo-baseline.", default="")
    parser.addini("gonogo_report", "Twin of --gonogo-report.", default="")


_HIDDEN_MUTANT = "Used by gonogo prove --mutants: judge the candidate as it lies in this folder, changed on purpose, on one case of each step."
_HIDDEN = "Used by gonogo itself for its serial, measured pass: add a shard to this run and judge nothing."


def settings_of(config: pytest.Config) -> Settings:
    """The options of a run; what stands on the command line goes before the ini file.

    Raises:
        pytest.UsageError: the phase is none, or phase and target (or a planted defect) do not go together.
    """
    phase = config.getoption("--gonogo-phase") or config.getini("gonogo_phase")
    if phase not in _PHASES:
        raise pytest.UsageError(
            f"gonogo_phase = {phase!r} is not a phase{closest(phase, _PHASES)}; write one of {', '.join(_PHASES)}"
        )

    def path(option: str) -> Path | None:
        given: str | None = config.getoption(f"--gonogo-{option}")
        if given:
            return (config.invocation_params.dir / given).resolve()
        written: str = config.getini(f"gonogo_{option}")
        beside = config.inipath.parent if config.inipath else config.rootpath  # wherever pytest is started
        return (beside / written).resolve() if written else None

    target, stub = (config.getoption(f"--gonogo-{one}") or config.getini(f"gonogo_{one}") for one in ("target", "stub"))
    given = config.getoption("--gonogo-read-only")
    read_only = config.getini("gonogo_read_only") if given is None else given
    if phase == _POST:
        if not target:
            raise pytest.UsageError(
                "gonogo: the phase post judges a live service; say where it is: --gonogo-target=http://127.0.0.1:8000"
            )
        phase = Phase.POST_STUB if stub else Phase.POST_REAL
    elif config.getoption("--gonogo-target") or config.getoption("--gonogo-stub") or given:
        raise pytest.UsageError(
            f"gonogo: --gonogo-target, --gonogo-stub and --gonogo-read-only are for a live service, which the phase {phase} "
            "does not ask; add --gonogo-phase=post"
        )
    else:
        target = ""
    if config.getoption("--gonogo-planted") and config.getoption("--gonogo-mutant"):
        raise pytest.UsageError(
            "gonogo: --gonogo-planted and --gonogo-mutant change the candidate both; give one of the two"
        )
    if target and (config.getoption("--gonogo-planted") or config.getoption("--gonogo-mutant")):
        raise pytest.UsageError(
            "gonogo: --gonogo-planted (or --gonogo-mutant) is for a release in its own worker, not for a live service; leave --gonogo-phase=post out"
        )
    return Settings(
        Phase(phase),
        Service(target, bool(read_only)) if target else None,
        stub or None,
        path("baseline"),
        path("report"),
        config.getoption("--gonogo-planted"),
        Path(mutant).resolve() if (mutant := config.getoption("--gonogo-mutant")) else None,
        tuple(dict.fromkeys(config.getoption("--gonogo-criterion"))),
        config.getoption("--gonogo-measured-run"),
        tuple(config.getini("gonogo_suites")),
    )


def handed_on(settings: Settings) -> list[str]:
    """The options by which another pytest process works on what this one works on."""
    options = {
        "phase": _POST if settings.service else settings.phase.value,
        "target": settings.service.url if settings.service else "",
        "stub": settings.stub if settings.service and settings.stub else "",
        "baseline": str(settings.baseline or ""),
        "planted": settings.planted,
        "mutant": str(settings.mutant or ""),
    }
    given = [f"--gonogo-{name}={value}" for name, value in options.items() if value]
    given += [f"--gonogo-criterion={one}" for one in settings.criteria]
    return [*given, "--gonogo-read-only"] if settings.service and settings.service.read_only else given


def name_a_suite(config: pytest.Config, suites: Sequence[Path]) -> bool:
    """Whether an argument of pytest lies inside one of these folders."""
    base = config.invocation_params.dir
    arguments = [(base / argument.split("::", 1)[0]).resolve() for argument in config.args]
    return any(argument.is_relative_to(suite.resolve()) for argument in arguments for suite in suites)


def only_shows_something(config: pytest.Config) -> bool:
    """Whether pytest was asked for a list and will run no test."""
    shows = ("collectonly", "help", "version", "showfixtures", "show_fixtures_per_test", "markers", "cacheshow")
    return any(getattr(config.option, name, None) for name in shows)


def ends_at_first(config: pytest.Config) -> bool:
    """Whether pytest was asked to end at the first failure (``-x``)."""
    return bool(config.getoption("maxfail") == 1)
