"""The same case gives the same bytes in every process, whatever its hash seed, locale, time zone, day and order."""

from __future__ import annotations

import pytest

from gonogo.checks import same_text

pytestmark = pytest.mark.criterion("determinism")


def test_fresh_processes_build_the_same_bytes(step, cases, criterion, candidate, evidence):
    environments, day = criterion.parameters["environments"], criterion.parameters["day"]
    for environment, worker in zip(environments, candidate.variants(environments, day=day), strict=True):
        words = " ".join(f"{name}={value}" for name, value in environment.items())
        for case, built in zip(reversed(cases), worker.construct(reversed(cases)), strict=True):
            with evidence.about(case):
                if isinstance(built, AssertionError):
                    raise built
                usual, what = candidate.construct(case), f"the prompt with {words} on {day}"
                evidence.add(case, same_text("determinism", what, usual.prompt.transcript, built.prompt.transcript))
