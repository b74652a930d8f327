"""Alerting rules out of triggers: which there are, what they say, and what cannot be made a rule."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from prometheus_here import (
    ALL,
    AWAY,
    COMPLAINTS,
    ERRORS,
    FALLBACKS,
    MEMORY,
    METRICS,
    SLOW,
    STEPS,
    alerting,
    of_this_project,
)

from gonogo.alert_files import read_webhook, routes_text, rule_tests_text, rules_text
from gonogo.alert_rules import Rules, alerting_rules
from gonogo.alert_tests import rule_tests
from gonogo.alerting import alert_name
from gonogo.errors import DefinitionError
from gonogo.triggers import Signal, Trigger


def alerts(rules: Rules) -> list[dict[str, Any]]:
    return [rule for group in rules.groups for rule in group["rules"] if "alert" in rule]


def alerts_of(rules: Rules, trigger: str) -> dict[str, dict[str, Any]]:
    """Severity -> alert."""
    found = [rule for rule in alerts(rules) if rule["labels"]["trigger"] == trigger]
    return {rule["labels"]["severity"]: rule for rule in found}


def test_every_trigger_has_an_alert_for_each_of_its_limits() -> None:
    rules = alerting_rules(alerting())
    found = {trigger.id: [*alerts_of(rules, trigger.id)] for trigger in ALL}
    both = ["alert", "rollback"]
    assert found == {
        **dict.fromkeys(("errors", "fallbacks", "steps-failing", "slow", "service-away"), both),
        "memory": ["alert"],
        "complaints": [],
    }


def test_an_alert_names_its_limit_a_remedy_and_its_section_of_the_runbook() -> None:
    rollback = alerts_of(alerting_rules(alerting(ERRORS)), "errors")["rollback"]
    assert rollback["alert"] == alert_name("errors") == "GonogoErrors"
    assert rollback["expr"].startswith('gonogo:lower{job="app",trigger="errors"} > 0.1\n')
    assert rollback["annotations"]["runbook"] == "docs/runbook.md#errors"
    assert "0.1" in rollback["annotations"]["summary"]
    assert "roll back" in rollback["annotations"]["summary"]
    assert "{{ $value" in rollback["annotations"]["description"]


def test_a_quantile_of_times_is_a_share_beyond_an_edge() -> None:
    found = alerts_of(alerting_rules(alerting(SLOW)), "slow")
    assert 'above="0.01"' in found["alert"]["expr"]
    assert "> 0.01\n" in found["alert"]["expr"]
    assert 'above="1"' in found["rollback"]["expr"]
    assert "histogram_quantile(0.99" in found["alert"]["annotations"]["description"]
    text = rules_text(alerting_rules(alerting(SLOW)), "criteria.toml")
    assert 'le=~"1([.]0)?"' in text, "applications write 1 or 1.0"


def test_a_trigger_of_each_step_shares_its_run_length_among_them() -> None:
    def score_in(steps: int) -> float:
        return alerting(STEPS, steps=steps).score(STEPS)

    assert score_in(18) > score_in(1)
    assert alerting(ERRORS, steps=18).score(ERRORS) == alerting(ERRORS).score(ERRORS)


def test_only_a_service_of_which_no_instance_answers_is_rolled_back() -> None:
    found = alerts_of(alerting_rules(alerting(AWAY)), "service-away")
    assert (found["alert"]["expr"], found["alert"]["for"]) == ('up{job="app"} == 0', "5s")
    assert (found["rollback"]["expr"], found["rollback"]["for"]) == ('max by (job) (up{job="app"}) == 0', "15s")


def test_whatever_the_rules_rest_on_must_be_there() -> None:
    missing = [rule["expr"] for rule in alerts(alerting_rules(alerting())) if rule["labels"].get("reason") == "missing"]
    for name in ("up", "app_runs_total", "app_construction_seconds_count", "app_memory_bytes", "app_info"):
        assert any(expression.startswith(f'absent({name}{{job="app"') for expression in missing), name
    edges = [expression for expression in missing if "app_construction_seconds_bucket" in expression]
    assert len(edges) == 2


def test_every_trigger_that_counts_tells_when_nothing_is_to_be_counted() -> None:
    thin = {
        rule["labels"]["of"] for rule in alerts(alerting_rules(alerting())) if rule["labels"].get("reason") == "thin"
    }
    assert thin == {trigger.id for trigger in ALL if trigger.signal.is_share}


@pytest.mark.parametrize(
    ("trigger", "without", "named"),
    [
        (ERRORS, "failed_runs", "failed_runs"),
        (STEPS, "runs", "runs"),
        (FALLBACKS, "construction", "construction"),
        (SLOW, "construction", "construction"),
        (MEMORY, "release", "release"),
    ],
    ids=lambda value: getattr(value, "id", value),
)
def test_a_metric_that_is_not_named_is_said_and_leaves_its_rule_out(trigger: Trigger, without: str, named: str) -> None:
    metrics = {name: metric for name, metric in METRICS.items() if name != without}
    rules = alerting_rules(alerting(trigger, AWAY, metrics=metrics))
    assert alerts_of(rules, trigger.id) == {}
    assert rules.remarks == (
        f"{trigger.id}: no rule, as criteria.toml does not name {named}; add it to [target.metric_names]",
    )
    assert rules.remarks[0] in rules_text(rules, "criteria.toml"), "on top of the rules as well"


def test_complaints_have_no_rule_and_that_is_said() -> None:
    assert alerting_rules(alerting(ERRORS, COMPLAINTS)).remarks == (
        "complaints: no rule, as complaints are no metric; gonogo watch looks at them",
    )


def test_nothing_but_what_cannot_be_a_rule_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="there is no rule to write; complaints: no rule"):
        alerting_rules(alerting(COMPLAINTS))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"metrics": {**METRICS, "runs": "app runs"}},
            r"target.metric_names: runs = 'app runs' is not a metric; write",
        ),
        ({"metrics": {**METRICS, "runs": "runs{a=b}"}}, "'runs{a=b}' is not a metric"),
        ({"metrics": {**METRICS, "runs": 'runs{a="b"} or vector(1)'}}, "is not a metric"),
        ({"window": 0.2}, "a window of 0.2 s shows nothing of use; write one of 1s to 1d"),
        ({"window": float("inf")}, "a window of inf s"),
    ],
    ids=["spaces", "no quotes", "an expression", "a short window", "an endless window"],
)
def test_what_no_rule_can_be_made_of_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        alerting(**wrong)
    assert said in str(caught.value)


def test_a_trigger_may_not_be_called_as_what_cannot_be_seen() -> None:
    with pytest.raises(DefinitionError, match=r"trigger 'blind': .*give it another id"):
        alerting(Trigger("blind", "t", Signal.AWAY, 1.0, None))


def test_a_job_is_a_name() -> None:
    with pytest.raises(DefinitionError, match="the job 'a\"b' is not a name"):
        of_this_project(job='a"b')


def test_two_triggers_of_one_signal_share_their_counters() -> None:
    other = Trigger("worse", "Most runs fail", Signal.FAILED_RUNS, 0.5, None)
    memory = Trigger("more", "Memory explodes", Signal.MEMORY, None, 4.0)
    rules = alerting_rules(alerting(ERRORS, other, MEMORY, memory))
    recorded = [
        (rule["record"], str(rule.get("labels")))
        for group in rules.groups
        for rule in group["rules"]
        if "record" in rule
    ]
    assert len(recorded) == len(set(recorded))


def test_the_same_criteria_give_the_same_bytes() -> None:
    first, second = (alerting_rules(of_this_project()) for _ in range(2))
    assert rules_text(first, "c") == rules_text(second, "c")
    assert rule_tests_text(rule_tests(first, "r"), "c") == rule_tests_text(rule_tests(second, "r"), "c")


def test_files_say_where_they_come_from() -> None:
    text = rules_text(alerting_rules(of_this_project()), "acceptance/criteria.toml")
    assert text.startswith("# Written by gonogo rules from acceptance/criteria.toml; do not edit.\n")
    assert yaml.safe_load(text)["groups"]


def test_every_question_of_a_test_lies_within_its_input() -> None:
    tests = rule_tests(alerting_rules(of_this_project()), "r.yml")
    scrape = 15.0
    for test in tests["tests"]:
        units = {"s": 1, "m": 60, "h": 3600}
        last = max(int(one["eval_time"][:-1]) * units[one["eval_time"][-1]] for one in test["promql_expr_test"])
        for series in test["input_series"]:
            assert scrapes_of(series["values"]) * scrape > last + scrape, f"{test['name']}: {series['series']}"


def scrapes_of(values: str) -> int:
    found = 0
    for part in values.split():
        _, times, count = part.partition("x")
        found += (int(count) + (not part.startswith("_"))) if times else 1
    return found


class TestRoutes:
    def test_a_rollback_is_reported_at_once_and_people_hear_of_everything(self) -> None:
        routes = yaml.safe_load(routes_text("http://127.0.0.1:1/back", "http://127.0.0.1:1/chat", "c"))
        first, rest = routes["route"]["routes"]
        assert (first["receiver"], first["matchers"], first["group_wait"]) == (
            "rollback",
            ['severity="rollback"'],
            "0s",
        )
        assert first["continue"] is True
        assert rest == {"receiver": "people"}
        receivers = {one["name"]: one["webhook_configs"] for one in routes["receivers"]}
        assert receivers["rollback"] == [{"url": "http://127.0.0.1:1/back", "send_resolved": False}]
        assert receivers["people"][0]["url"] == "http://127.0.0.1:1/chat"

    def test_that_nobody_hears_of_alerts_stands_on_top(self) -> None:
        assert "# The receiver people is empty, so alerts reach nobody" in routes_text("http://a/b", None, "c")

    @pytest.mark.parametrize("url", ["", "a/b", "ftp://a/b", "http://", "http://a:99999/", "http://[::1/"])
    def test_what_is_no_url_is_refused(self, url: str) -> None:
        with pytest.raises(DefinitionError, match="is not the URL of a webhook; write one such as"):
            read_webhook(url)
