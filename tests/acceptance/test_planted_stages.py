"""Each defect of the catalogue that is planted in a deployment, on a real one: its criterion says what is expected of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from gonogo.assessment import Assessment
from gonogo.definitions import load_definitions
from gonogo.model import Status
from gonogo.monitoring import alerts_arrive, logs_are_structured
from gonogo.planting import CATALOGUE, Place
from gonogo.project import find_project
from gonogo.rehearsal import Rehearsal
from gonogo.rehearsed import nothing_is_lost
from gonogo.workbench import Workbench

ROOT = Path(__file__).parents[2]
PROMETHEUS = shutil.which("prometheus") and shutil.which("prometheus-alertmanager")
Open = Callable[[str], Rehearsal]


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Open]:
    """A rehearsal of the bundled application with this defect."""
    with ExitStack() as stack:

        def opened(planted: str) -> Rehearsal:
            definitions = load_definitions(find_project(ROOT).with_planted(planted))
            workbench = stack.enter_context(closing(Workbench(definitions)))
            return stack.enter_context(closing(Rehearsal(definitions, workbench.baseline, tmp_path, os.environ)))

        yield opened


def swapped(rehearsal: Rehearsal) -> Assessment:
    return nothing_is_lost(rehearsal.swap(1, rate=50, slow_rate=3, delay=1.5), resolution=5.0)


def rolled_back(rehearsal: Rehearsal) -> Assessment:
    return rehearsal.fire(rehearsal.rules["errors"], rate=20, reference=2, patience=15).assessment


def backed_up(rehearsal: Rehearsal) -> Assessment:
    findings = tuple(rehearsal.stage.back_up())
    return Assessment(findings, () if findings else ("nothing was looked at",))


def monitored(rehearsal: Rehearsal) -> Assessment:
    if not PROMETHEUS:
        pytest.skip("Prometheus is not installed; install prometheus and prometheus-alertmanager")
    rehearsal.rules = replace(rehearsal.rules, triggers=(rehearsal.rules["errors"],))
    found = alerts_arrive(rehearsal, rate=20, window=10, quiet=3, patience=20)
    lines = logs_are_structured(rehearsal.stage.log(), every=["release"], wherever={}, cases=rehearsal.cases)
    return Assessment((*found.findings, *lines), found.gaps)


JUDGED: Mapping[str, Callable[[Rehearsal], Assessment]] = {
    "zero-downtime": swapped,
    "rollback": rolled_back,
    "backup": backed_up,
    "monitoring": monitored,
}
SAID = {
    "hand-over-refuses": "connection refused",
    "hand-over-cuts": "requests had a good answer",
    "hand-over-unavailable": "503",
    "rollback-does-nothing": "not release 1.9.0",
    "rollback-fails": "ended with status 1: planted: there is no way back",
    "breakage-unseen": "errors: did not fire within",
    "backup-differs": "planted: the copy differs",
    "backup-untold": "nothing was looked at",
    "metrics-not-served": "errors: no rollback arrived within 20 s",
    "log-unstructured": "are no JSON objects: INFO {",
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", SAID)
def test_a_defect_of_a_deployment_is_caught(defect: str, rehearsal: Open) -> None:
    found = JUDGED[CATALOGUE[defect].criterion](rehearsal(defect))
    assert found.status is CATALOGUE[defect].expected, "\n".join(found.lines)
    assert SAID[defect] in " ".join(found.lines)


def test_every_defect_of_a_deployment_is_planted_here() -> None:
    assert set(SAID) == {one.id for one in CATALOGUE.values() if one.place is Place.STAGE}


@pytest.mark.exhaustive
def test_a_relay_that_breaks_nothing_loses_nothing(rehearsal: Open) -> None:
    """What withholds metrics passes on all the rest."""
    found = swapped(rehearsal("metrics-not-served"))
    assert found.status is Status.GO, "\n".join(found.lines)
