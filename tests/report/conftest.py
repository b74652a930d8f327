"""What the tests of the reports share."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from sample_run import MakeRun, SampleRun, good_evidence, make

from gonogo.report.html import AllureGenerator

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Make a judged run of evidence."""
    return partial(make, tmp_path)


@pytest.fixture(scope="session")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """A run that is GO, with its Allure results, pictures included. To look at, not to change."""
    return make(tmp_path_factory.mktemp("good"), good_evidence()).write()


@pytest.fixture(scope="session")
def pinned() -> AllureGenerator:
    """The pinned command line, installed: these tests do not pass without it."""
    generator = AllureGenerator(REPORTS)
    generator.install()
    return generator
