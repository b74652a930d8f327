"""A service that breaks is seen: alerts arrive by Prometheus and Alertmanager, none while all is well; logs can be read."""

from __future__ import annotations

import pytest

from gonogo.monitoring import alerts_arrive, logs_are_structured

pytestmark = pytest.mark.criterion("monitoring")


def test_alerts_arrive_when_the_service_breaks_and_logs_say_what_they_are_about(rehearsal, criterion, evidence):
    figures = {name: criterion.number(name) for name in ("rate", "window", "quiet", "patience")}
    evidence.assess(alerts_arrive(rehearsal, **figures))
    every, wherever = criterion.texts("log_keys"), criterion.parameters["log_wherever"]
    evidence.add(
        None, logs_are_structured(rehearsal.stage.log(), every=every, wherever=wherever, cases=rehearsal.cases)
    )
