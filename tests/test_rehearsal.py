"""Triggers are fired on several stages at a time, each once, and told in the order of criteria.toml."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gonogo.assessment import Assessment
from gonogo.definitions import load_definitions
from gonogo.errors import TargetError
from gonogo.project import find_project
from gonogo.rehearsal import Rehearsal
from gonogo.rehearsed import Fired, wanted_of
from gonogo.triggers import Alarm, Trigger

ROOT = Path(__file__).parent.parent


class Lanes:
    """What was fired, and by which rehearsal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
        self.fired: list[tuple[str, Rehearsal]] = []
        self.refused = ""
        self._together = threading.Barrier(together, timeout=10)
        lanes = self

        def fire(rehearsal: Rehearsal, trigger: Trigger, **asked: Any) -> Fired:
            lanes.fired.append((trigger.id, rehearsal))
            if len(lanes.fired) <= together:
                lanes._together.wait()
            if trigger.id == lanes.refused:
                raise TargetError("no stage")
            return Fired(trigger, wanted_of(trigger), asked["rate"], None, Assessment())

        monkeypatch.setattr(Rehearsal, "fire", fire)


def rehearsal(tmp_path: Path, planted: str = "") -> Rehearsal:
    definitions = load_definitions(find_project(ROOT).with_planted(planted))
    baseline: Any = SimpleNamespace(release=definitions.project.baseline)
    known: Any = "what the previous release answers"
    return Rehearsal(definitions, baseline, tmp_path, {}, known)


def test_every_trigger_is_fired_once_on_as_many_stages_as_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes, one = Lanes(monkeypatch, together=3), rehearsal(tmp_path)
    fired = one.fire_all(stages=3, rate=20, reference=2, patience=60)
    assert [each.trigger for each in fired] == list(one.rules.triggers)
    assert sorted(name for name, _ in lanes.fired) == sorted(trigger.id for trigger in one.rules.triggers)
    assert len({id(lane) for _, lane in lanes.fired}) == 3


def test_those_that_leave_a_broken_release_in_service_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes, one = Lanes(monkeypatch, together=1), rehearsal(tmp_path)
    one.fire_all(stages=1, rate=20, reference=2, patience=60)
    wanted = [wanted_of(one.rules[name]) for name, _ in lanes.fired]
    assert wanted == sorted(wanted, reverse=True)
    assert Alarm.ALERT in wanted


def test_what_breaks_off_one_breaks_off_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes, one = Lanes(monkeypatch, together=1), rehearsal(tmp_path)
    lanes.refused = one.rules.triggers[0].id
    with pytest.raises(TargetError, match="no stage"):
        one.fire_all(stages=1, rate=20, reference=2, patience=60)


@pytest.mark.parametrize("planted", ["", "nothing", "rollback-fails"])
def test_what_is_planted_in_a_deployment_stands_around_its_stage(
    planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    real = SimpleNamespace(rollback=("restore",), url="http://127.0.0.1:9", close=lambda: closed.append("closed"))
    monkeypatch.setattr("gonogo.rehearsal.open_stage", lambda reference, context: real)
    monkeypatch.setattr("gonogo.rehearsal.served_stub", lambda folders: nullcontext("http://127.0.0.1:9"))
    one = rehearsal(tmp_path, planted)
    assert (one.stage.rollback == ("restore",)) is (planted != "rollback-fails")
    assert one.stage.url == real.url
    one.close()
    assert closed == ["closed"]
