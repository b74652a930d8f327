"""The written rules in Prometheus' own hands: they load, their tests pass, and tests fail where a rule is another one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_here import (
    AWAY,
    ERRORS,
    FALLBACKS,
    MEMORY,
    METRICS,
    SLOW,
    STEPS,
    alerting,
    needs_prometheus,
    of_this_project,
    run_tool,
)

from gonogo.alert_files import ROUTES, RULE_TESTS, RULES, routes_text, rule_tests_text, rules_text, write_files
from gonogo.alert_rules import Rules, alerting_rules
from gonogo.alert_tests import rule_tests
from gonogo.alerting import Alerting
from gonogo.triggers import Trigger

pytestmark = needs_prometheus

OTHER_NAMES = {
    **METRICS,
    "runs": 'jobs_total{kind="prompt"}',
    "failed_runs": 'jobs_broken_total{kind="prompt"}',
    "fallbacks": 'simple_total{why="broken"}',
    "construction": 'build_seconds{phase="prompt"}',
}
# What a wrong rule would look like: a trigger, a pattern of what is in its rules, and what stands there instead.
WRONG: Mapping[str, tuple[Trigger, str, str]] = {
    "a higher limit": (ERRORS, r"> 0\.05\n", "> 0.07\n"),
    "a lower limit": (ERRORS, r"> 0\.1\n", "> 0.08\n"),
    "the share and no bound": (ERRORS, r"gonogo:lower({.*?}) > 0\.05", r"gonogo:bad\1 / gonogo:events\1 > 0.05"),
    "without the least number": (ERRORS, r"and gonogo:bad.* >= 3", ""),
    "without the first failures": (ERRORS, r"or label_replace\((.|\n)*?\"new\", \"\", \"\"\)", ""),
    "of another metric": (ERRORS, r"absent\(app_runs_total\{", "absent(up{"),
    "told after hours of nothing": (ERRORS, r"for: 1h", "for: 3h"),
    "counters that go back are let pass": (ERRORS, r"max\(resets\((.*)\)\) > 5", r"max(resets(\1)) > 500"),
    "all steps together": (STEPS, r"sum by \(step\) \(gonogo:counted", "sum (gonogo:counted"),
    "another edge": (SLOW, r'above="0\.01"} > 0\.01', 'above="1"} > 0.01'),
    "longer away": (AWAY, r"for: 15s", "for: 2m"),
    "one of two instances": (AWAY, r"max by \(job\) \(up", "min by (job) (up"),
    "a multiple alone": (MEMORY, r"and max by \(job, instance\) \(quantile_over_time.*", ""),
    "a higher multiple": (MEMORY, r"> 1\.5\n", "> 1.7\n"),
    "memory of all releases": (MEMORY, r"max by \(job, instance, version\)", "max by (job, instance)"),
    "of another counter": (FALLBACKS, r'counter="fallbacks"', 'counter="constructions"'),
}


def write(folder: Path, made: Alerting) -> Rules:
    """Rules and their tests."""
    rules = alerting_rules(made)
    write_files(
        folder, {RULES: rules_text(rules, "criteria.toml"), RULE_TESTS: rule_tests_text(rule_tests(rules, RULES), "c")}
    )
    return rules


def holds(folder: Path) -> tuple[int, str]:
    return run_tool(folder, "promtool", "test", "rules", RULE_TESTS)


def test_the_rules_of_this_project_hold_their_tests(tmp_path: Path) -> None:
    write(tmp_path, of_this_project())
    checked, said = run_tool(tmp_path, "promtool", "check", "rules", RULES)
    assert checked == 0, said
    tested, said = holds(tmp_path)
    assert tested == 0, said


@pytest.mark.parametrize("trigger", [ERRORS, STEPS, SLOW, FALLBACKS], ids=lambda one: one.id)
def test_metrics_may_have_other_names_and_labels(trigger: Trigger, tmp_path: Path) -> None:
    write(tmp_path, alerting(trigger, metrics=OTHER_NAMES))
    status, said = holds(tmp_path)
    assert status == 0, said


@pytest.mark.parametrize("window", [10.0, 1800.0])
def test_the_window_may_be_another(window: float, tmp_path: Path) -> None:
    write(tmp_path, alerting(ERRORS, AWAY, MEMORY, window=window, steps=3))
    status, said = holds(tmp_path)
    assert status == 0, said


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_fails_its_tests(name: str, tmp_path: Path) -> None:
    trigger, right, wrong = WRONG[name]
    write(tmp_path, alerting(trigger))
    path = tmp_path / RULES
    text = path.read_text(encoding="utf-8")
    changed = re.sub(right, wrong, text)
    assert changed != text, "nothing was changed"
    path.write_text(changed, encoding="utf-8")
    loads, said = run_tool(tmp_path, "promtool", "check", "rules", RULES)
    assert loads == 0, said
    status, said = holds(tmp_path)
    assert status == 1, said
    assert "FAILED" in said


def test_a_rule_that_is_gone_fails_the_tests(tmp_path: Path) -> None:
    rules = write(tmp_path, alerting(ERRORS))
    kept: list[dict[str, Any]] = [
        {**group, "rules": [one for one in group["rules"] if one.get("labels", {}).get("severity") != "rollback"]}
        for group in rules.groups
    ]
    (tmp_path / RULES).write_text(yaml.safe_dump({"groups": kept}), encoding="utf-8")
    assert holds(tmp_path)[0] == 1


def test_alertmanager_takes_its_routes(tmp_path: Path) -> None:
    write_files(tmp_path, {ROUTES: routes_text("http://127.0.0.1:1/back", "http://127.0.0.1:1/chat", "c")})
    status, said = run_tool(tmp_path, "amtool", "check-config", ROUTES)
    assert status == 0, said
    for severity, receivers in {"rollback": "rollback,people", "alert": "people"}.items():
        status, said = run_tool(
            tmp_path, "amtool", "config", "routes", "test", f"--config.file={ROUTES}", f"severity={severity}"
        )
        assert (status, said.splitlines()[0]) == (0, receivers)
