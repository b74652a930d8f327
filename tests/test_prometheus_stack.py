"""From a service's metrics page to the webhook: planted breaches arrive, a healthy service is silent."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from prometheus_here import needs_prometheus, of_this_project
from served_metrics import Page, Service, served_metrics

from gonogo import prometheus_stack
from gonogo.alert_files import rules_text
from gonogo.alert_inbox import Inbox, served_inbox
from gonogo.alert_rules import alerting_rules
from gonogo.errors import StackMissing, TargetError
from gonogo.prometheus_stack import PrometheusStack, running_stack
from gonogo.triggers import Signal

# Seconds that a window is long; an alert takes some of them, and five more until people hear of it.
WINDOW = 10.0
PATIENCE = 60.0

SERVICES: dict[str, Service] = {
    "healthy": lambda now: Page(now),
    "restarting": lambda now: Page(now % 7),
    "failing": lambda now: Page(now, failed=1.0),
    "falling-back": lambda now: Page(now, fallbacks=0.5),
    "slow": lambda now: Page(now, slow=0.05),
    "leaving": lambda now: Page(now) if now < 3 else None,
    "growing": lambda now: Page(now, memory=100e6 if now < 6 else 300e6),
    "unmeasured": lambda now: Page(now, hidden=("blog_runs_total",)),
}
BREACHES = [
    ("failing", "errors", "rollback"),
    ("failing", "steps-failing", "rollback"),
    ("falling-back", "fallbacks", "rollback"),
    ("slow", "construction-slow", "rollback"),
    ("leaving", "service-away", "rollback"),
    ("failing", "errors", "alert"),
    ("failing", "steps-failing", "alert"),
    ("falling-back", "fallbacks", "alert"),
    ("slow", "construction-slow", "alert"),
    ("leaving", "service-away", "alert"),
    ("unmeasured", "blind", "alert"),
    ("growing", "memory", "alert"),
]


def rules_of(job: str) -> str:
    """The rules of this project with a window of seconds, and with the times of the trigger ``away`` shortened."""
    made = of_this_project(job=job, window=WINDOW, reference=3.0)
    triggers = [
        replace(one, alert=1.0, rollback=2.0) if one.signal is Signal.AWAY else one for one in made.watch.triggers
    ]
    return rules_text(
        alerting_rules(replace(made, watch=replace(made.watch, triggers=tuple(triggers)))), "criteria.toml"
    )


@needs_prometheus
def test_every_planted_breach_arrives_and_nothing_of_a_healthy_service() -> None:
    with served_metrics(SERVICES) as served:
        places = {job: f"{served.url}/{job}" for job in SERVICES}
        with running_stack([rules_of(job) for job in SERVICES], places) as stack:
            for job, trigger, severity in BREACHES:
                alert = stack.wait_for(trigger, severity, PATIENCE, job=job)
                assert alert.annotations["runbook"] == f"docs/runbook.md#{trigger}"
                assert "<no value>" not in str(alert.annotations)
                assert "error" not in alert.annotations["description"].lower()
            came = stack.alerts()
    assert {one.labels["job"] for one in came} & {"healthy", "restarting"} == set()
    assert {one.receiver for one in came if one.severity == "alert"} == {"people"}
    assert all(one.severity == "rollback" and one.firing for one in came if one.receiver == "rollback")
    arrived = {(one.labels["job"], one.trigger, one.severity) for one in came if one.firing}
    assert arrived == set(BREACHES), "nothing fires but what was planted"


@pytest.fixture(scope="module")
def stack() -> Iterator[PrometheusStack]:
    """A stack that scrapes one service, which is well."""
    with (
        served_metrics({"healthy": SERVICES["healthy"]}) as served,
        running_stack([rules_of("healthy")], {"healthy": f"{served.url}/healthy"}) as running,
    ):
        yield running


@needs_prometheus
class TestStack:
    def test_an_alert_that_does_not_come_is_an_error_that_says_what_came(self, stack: PrometheusStack) -> None:
        with pytest.raises(TargetError) as caught:
            stack.wait_for("errors", "alert", 0.2, job="healthy")
        assert str(caught.value).startswith(
            "no alert errors/alert of healthy within 0.2 s; nothing came; Prometheus holds"
        )

    def test_prometheus_can_be_asked(self, stack: PrometheusStack) -> None:
        assert [value for _, value in stack.query('up{job="healthy"}')] == [1.0]
        with pytest.raises(TargetError, match=r"'up\{' is no query: .*; correct it"):
            stack.query("up{")

    def test_rules_that_prometheus_refuses_are_an_error_in_its_words(self) -> None:
        broken = rules_of("healthy").replace("absent(", "absent((")
        with (
            pytest.raises(TargetError, match=r"prometheus ended with status .*unclosed left parenthesis"),
            running_stack([broken], {}),
        ):
            pytest.fail("it runs")

    def test_a_port_that_is_taken_is_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = prometheus_stack._free_port
            ports = iter([taken.getsockname()[1], *(free() for _ in range(4))])
            monkeypatch.setattr(prometheus_stack, "_free_port", lambda: next(ports))
            with running_stack([], {}) as running:
                assert running.query("vector(1)") == [({}, 1.0)]

    def test_after_its_end_nothing_listens_and_what_arrived_is_kept(self) -> None:
        with running_stack([], {}) as running:
            running.stop()
            assert running.alerts() == ()
            for url in (running.url, running.alertmanager):
                with pytest.raises(requests.ConnectionError):
                    requests.get(url, timeout=5)

    def test_a_server_that_has_ended_is_told(self) -> None:
        with running_stack([], {}) as running:
            running._servers[1].stop()
            with pytest.raises(TargetError, match=r"alertmanager has ended: .*start the stack anew"):
                running.wait_for("errors", "alert", 30)

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent has ended")
    def test_it_ends_with_its_parent(self, tmp_path: Path) -> None:
        script = tmp_path / "parent.py"
        script.write_text(
            "from gonogo.prometheus_stack import running_stack\n"
            "with running_stack([], {}) as stack:\n"
            "    print(stack.url, stack.alertmanager, flush=True)\n"
            "    input()\n"
        )
        command = [sys.executable, str(script)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            ports = [int(url.rpartition(":")[2]) for url in parent.stdout.readline().split()]
            with ExitStack() as opened:
                held = [
                    opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for port in ports
                ]
                parent.send_signal(signal.SIGKILL)
                parent.wait()
                assert [one.recv(1) for one in held] == [b"", b""], "a connection ends with its server"


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        pytest.raises(StackMissing) as caught,
        running_stack([], {}),
    ):
        pytest.fail("it runs")
    assert str(caught.value) == (
        "prometheus and alertmanager: no such program on the path; install it "
        "(on Debian and Ubuntu: apt-get install prometheus prometheus-alertmanager)"
    )


class TestInbox:
    def test_an_alert_is_kept_with_the_receiver_that_it_came_for(self) -> None:
        inbox = Inbox()
        alert = {"status": "resolved", "labels": {"trigger": "errors", "severity": "alert"}, "annotations": {"a": "b"}}
        with served_inbox(inbox) as url:
            assert requests.post(f"{url}/people", json={"alerts": [alert]}, timeout=5).status_code == 200
        (found,) = inbox.received()
        assert (found.receiver, found.trigger, found.severity, found.firing) == ("people", "errors", "alert", False)
        assert found.annotations == {"a": "b"}

    @pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"alerts": [{}]}', b'{"alerts": 3}', b"\xff"])
    def test_something_else_is_refused_and_not_swallowed(self, body: bytes) -> None:
        inbox = Inbox()
        with served_inbox(inbox) as url:
            assert requests.post(f"{url}/people", data=body, timeout=5).status_code == 400
        with pytest.raises(TargetError, match="is not a notification of Alertmanager"):
            inbox.received()
