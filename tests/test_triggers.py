"""When a watch alerts and rolls back, as criteria.toml says it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gonogo.criteria import load_criteria
from gonogo.errors import DefinitionError
from gonogo.triggers import Alarm, Signal, WatchRules

ERRORS = {"id": "errors", "title": "Runs fail", "signal": "failed-runs", "alert": "> 0.05", "rollback": "> 0.1"}
MEMORY = {"id": "memory", "title": "Memory", "signal": "memory", "alert": "> 1.5", "beyond": 1024}


CRITERIA = """version = 1
prompt = { sections = ["CONTEXT", "TASK"], inputs = "TASK" }
[[criterion]]
id = "a"
title = "t"
group = "g"
per = ["run"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""


def criteria_file(tmp_path: Path, watch: dict[str, Any] | None, triggers: Sequence[dict[str, Any]]) -> Path:
    path = tmp_path / "criteria.toml"
    text = CRITERIA
    if watch is not None:
        text += "[watch]\n" + lines_of(watch)
    for trigger in triggers:
        text += "[[trigger]]\n" + lines_of(trigger)
    path.write_text(text, encoding="utf-8")
    return path


def lines_of(data: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in data.items())


def loaded(tmp_path: Path, *triggers: dict[str, Any], watch: dict[str, Any] | None = None) -> WatchRules:
    rules = load_criteria(criteria_file(tmp_path, watch or {}, triggers)).watch
    assert rules is not None
    return rules


def test_criteria_without_a_watch_have_none(tmp_path: Path) -> None:
    assert load_criteria(criteria_file(tmp_path, None, [])).watch is None


def test_a_trigger_has_the_limits_that_are_written(tmp_path: Path) -> None:
    errors = loaded(tmp_path, ERRORS, MEMORY)["errors"]
    assert errors.signal is Signal.FAILED_RUNS
    assert (errors.limit(Alarm.ALERT), errors.limit(Alarm.ROLLBACK), errors.minimum) == (0.05, 0.1, 300)


def test_a_trigger_without_a_rollback_only_alerts(tmp_path: Path) -> None:
    memory = loaded(tmp_path, ERRORS, MEMORY)["memory"]
    assert (memory.limit(Alarm.ALERT), memory.limit(Alarm.ROLLBACK), memory.beyond) == (1.5, None, 1024.0)


def test_a_quantile_of_times_is_a_share_of_slow_ones(tmp_path: Path) -> None:
    slow = {"id": "slow", "title": "Slow", "signal": "construction", "quantile": 0.95, "alert": "> 0.01"}
    trigger = loaded(tmp_path, slow)["slow"]
    assert trigger.share(Alarm.ALERT) == pytest.approx(0.05)
    assert trigger.share(Alarm.ROLLBACK) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"alert": "0.05"}, "not a limit"),
        ({"alert": "< 0.05"}, "write '> ' and a number of 0 or more and below 1"),
        ({"alert": "> 1.5"}, "below 1"),
        ({"alert": "> 0.2"}, "reached before alert"),
        ({"signal": "failed"}, "failed-runs"),
        ({"id": "Errors!"}, "lower-case words"),
        ({"beyond": 3}, "a trigger of the signal 'failed-runs' has none"),
        ({"quantile": 0.9}, "has none; leave it out"),
        ({"run_length": 0}, "outside"),
        ({"minimum": 0}, "outside"),
        ({"limit": "> 1"}, "unknown key"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_trigger_says_what_to_write(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        loaded(tmp_path, {**ERRORS, **wrong})
    assert said in " ".join(str(caught.value).split())
    assert "criteria.toml" in str(caught.value)


def test_a_trigger_that_never_fires_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="never fires"):
        loaded(tmp_path, {key: value for key, value in ERRORS.items() if key not in ("alert", "rollback")})


def test_two_triggers_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="second time"):
        loaded(tmp_path, ERRORS, ERRORS)


def test_a_watch_without_triggers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no trigger"):
        loaded(tmp_path)


def test_triggers_without_a_watch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="without \\[watch\\]"):
        load_criteria(criteria_file(tmp_path, None, [ERRORS]))
