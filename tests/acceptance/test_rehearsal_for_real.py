"""The rehearsal's criteria on a real deployment, with the hand-over and the way back broken on purpose: each is NO-GO."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from postgres_server import served_postgres

from gonogo.definitions import load_definitions
from gonogo.model import Status
from gonogo.monitoring import alerts_arrive, logs_are_structured
from gonogo.project import find_project
from gonogo.rehearsal import Rehearsal
from gonogo.rehearsed import nothing_is_lost
from gonogo.targets.stage import Stage
from gonogo.triggers import Alarm
from gonogo.workbench import Workbench

ROOT = Path(__file__).parents[2]
COLD = "2.0.0+cold"
NOT_READY = """
import time

_WARM, _warm = time.monotonic() + 6, application
with open({told!r}, "a") as _told:
    print(_WARM, file=_told)


def application(environ, start_response):
    if time.monotonic() < _WARM:
        start_response("503 Service Unavailable", [("Content-Length", "0")])
        return [b""]
    return _warm(environ, start_response)
"""
PROMETHEUS = shutil.which("prometheus") and shutil.which("prometheus-alertmanager")


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    definitions = load_definitions(find_project(ROOT))
    with (
        closing(Workbench(definitions)) as workbench,
        closing(Rehearsal(definitions, workbench.baseline, tmp_path, os.environ)) as found,
    ):
        yield found


@dataclass
class Broken:
    """A stage whose hand-over, or whose way back, is broken."""

    real: Stage
    deploys: Callable[[Stage, str], None]
    rollback: Sequence[str] = ()
    outages: list[tuple[float, float]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.real.url

    def deploy(self, role: str) -> None:
        began = time.monotonic()
        self.deploys(self.real, role)
        self.outages.append((began, time.monotonic()))

    def plant(self, *triggers: str) -> Callable[[], None]:
        return self.real.plant(*triggers)

    def close(self) -> None:
        self.real.close()


class Sound(Broken):
    """A stage whose defects break nothing."""

    def __init__(self, real: Stage) -> None:
        super().__init__(real, lambda stage, role: stage.deploy(role))

    def plant(self, *triggers: str) -> Callable[[], None]:
        self.real.deploy("candidate")
        return lambda: None


def stops_first(stage: Stage, role: str) -> None:
    stage._ops("stop")  # type: ignore[attr-defined]  # the bundled stage, whose deployer is used in a wrong way
    stage.deploy(role)


def kills_the_old_one(stage: Stage, role: str) -> None:
    """No drain: the old release is killed while it serves, and the new one is started then."""
    told = json.loads(stage._call("status", "--json").stdout)  # type: ignore[attr-defined]  # as above
    for running in told["running"]:
        for pid in (running["pid"], *running["workers"]):
            os.kill(pid, signal.SIGKILL)
    stage.deploy(role)


def ignores_readiness(stage: Stage, role: str) -> None:
    """The old release ends as soon as the new one accepts, each of whose workers says for six seconds that it is not ready."""
    stage._call("rollback", "--to", COLD)  # type: ignore[attr-defined]  # as above; it says that the release does not answer


@pytest.mark.exhaustive
def test_a_release_that_serves_before_it_is_ready_is_no_go_and_the_gap_is_right(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    overlay = tmp_path / "cold"
    processor, entry = "app/workflow/scripts/llm_processor.py", "app/wsgi.py"
    changed = {
        processor: (ROOT / processor).read_text(encoding="utf-8").replace('"2.0.0"', f'"{COLD}"'),
        entry: (ROOT / entry).read_text(encoding="utf-8") + NOT_READY.replace("{told!r}", repr(str(tmp_path / "warm"))),
    }
    for path, text in changed.items():
        (overlay / path).parent.mkdir(parents=True, exist_ok=True)
        (overlay / path).write_text(text, encoding="utf-8")
    rehearsal.stage._add(COLD, ROOT, overlay)  # type: ignore[attr-defined]  # as above
    rehearsal.__dict__["stage"] = Broken(rehearsal.stage, ignores_readiness)
    swapped = rehearsal.swap(1, rate=50, slow_rate=2, delay=4.0)
    assessment = nothing_is_lost(swapped, resolution=5.0)
    assert assessment.status is Status.NO_GO
    assert "503" in assessment.lines[0]
    account = swapped.asked
    # by a clock that all processes share
    warm = [account.moment(float(told)) for told in (tmp_path / "warm").read_text().split()]
    assert account.gap.length > 1.0
    told_apart = account.resolution + 1 / 50
    assert min(warm) - told_apart <= account.gap.end <= max(warm) + told_apart, "it ends when the release is ready"


@pytest.mark.exhaustive
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_twenty_swaps_under_load_lose_nothing_and_the_backup_is_equal(database: str, tmp_path: Path) -> None:
    definitions = load_definitions(find_project(ROOT))
    with ExitStack() as stack:
        if database == "PostgreSQL":
            url = stack.enter_context(served_postgres())
            (tmp_path / "stage.py").write_text(
                f"from acceptance.stage import OpsStage\n\ndef opened(context):\n    return OpsStage(context, {url!r})\n"
            )
            project = replace(definitions.project, stage=f"{tmp_path / 'stage.py'}:opened")
            definitions = replace(definitions, project=project)
        workbench = stack.enter_context(closing(Workbench(definitions)))
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        rehearsal = stack.enter_context(closing(Rehearsal(definitions, workbench.baseline, scratch, os.environ)))
        swapped = rehearsal.swap(20, rate=100, slow_rate=3, delay=1.5)
        assessment = nothing_is_lost(swapped, resolution=0.5)
        assert assessment.status is Status.GO, "\n".join(assessment.lines)
        assert {one.ok for one in rehearsal.stage.back_up()} == {True}


@pytest.mark.exhaustive
@pytest.mark.parametrize("deploys", [stops_first, kills_the_old_one], ids=["socket closed first", "no drain"])
def test_a_broken_hand_over_is_no_go_and_its_gap_is_right(
    rehearsal: Rehearsal, deploys: Callable[[Stage, str], None]
) -> None:
    broken = Broken(rehearsal.stage, deploys)
    rehearsal.__dict__["stage"] = broken
    swapped = rehearsal.swap(1, rate=50, slow_rate=2, delay=1.0)
    assessment = nothing_is_lost(swapped, resolution=5.0)
    assert assessment.status is Status.NO_GO
    assert "failed" in assessment.lines[0]
    (began, ended), account = broken.outages[-1], swapped.asked
    first, last = account.gap.start, account.gap.end
    assert account.moment(began) - account.resolution <= first, "the gap lies within the hand-over"
    assert last <= account.moment(ended) + account.resolution
    assert account.gap.length > 0.5, "a release does not start in less"
    # reads may wait for the release to come; runs that were going on cannot
    assert account.failed + swapped.slow.failed > 0


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("rollback", "said"),
    [
        (
            (sys.executable, "-c", "import sys; sys.exit('no previous release')"),
            "ended with status 1: no previous release",
        ),
        ((sys.executable, "-c", ""), "not release 1.9.0"),
    ],
    ids=["a command that fails", "a command that does nothing"],
)
def test_a_way_back_that_is_none_is_no_go(rehearsal: Rehearsal, rollback: Sequence[str], said: str) -> None:
    rehearsal.__dict__["stage"] = Broken(rehearsal.stage, lambda stage, role: stage.deploy(role), rollback)
    fired = rehearsal.fire(rehearsal.rules["errors"], rate=20, reference=2, patience=15)
    assert fired.wanted is Alarm.ROLLBACK
    assert fired.detected is not None
    assert fired.assessment.status is Status.NO_GO
    assert said in " ".join(fired.assessment.lines)
    assert fired.row[3] == "NO"


@pytest.mark.exhaustive
def test_a_trigger_for_which_nothing_can_be_planted_is_unproven(rehearsal: Rehearsal) -> None:
    unknown = replace(rehearsal.rules["errors"], id="unheard-of")
    fired = rehearsal.fire(unknown, rate=20, reference=2, patience=5)
    assert fired.assessment.status is Status.INCONCLUSIVE
    assert "unheard-of was never seen firing" in fired.assessment.lines[0]


@pytest.mark.exhaustive
@pytest.mark.skipif(
    not PROMETHEUS, reason="Prometheus is not installed; install prometheus and prometheus-alertmanager"
)
def test_each_alert_arrives_when_the_service_breaks_and_none_before(rehearsal: Rehearsal) -> None:
    assessment = alerts_arrive(rehearsal, rate=40, window=20, quiet=20, patience=90)
    assert assessment.status is Status.GO, "\n".join(assessment.lines)
    (*lines,) = rehearsal.stage.log()
    every, wherever = ["release"], {"route": ["request_id"], "step": ["request_id", "input_format", "output_format"]}
    found = list(logs_are_structured(lines, every=every, wherever=wherever, cases=rehearsal.cases))
    assert [one.reason for one in found if not one.ok] == []


@pytest.mark.exhaustive
@pytest.mark.skipif(
    not PROMETHEUS, reason="Prometheus is not installed; install prometheus and prometheus-alertmanager"
)
def test_an_alert_for_which_nothing_breaks_is_missed(rehearsal: Rehearsal) -> None:
    rehearsal.__dict__["stage"] = Sound(rehearsal.stage)
    rehearsal.rules = replace(rehearsal.rules, triggers=(rehearsal.rules["errors"],))
    assessment = alerts_arrive(rehearsal, rate=20, window=10, quiet=3, patience=12)
    assert assessment.status is Status.NO_GO
    assert "errors: no rollback arrived within 12 s" in assessment.lines[0]
