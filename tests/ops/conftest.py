"""Sites with two releases, made once and copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from deployed_site import OLD, DeployedSite, prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with both releases; nothing of it runs."""
    return prepare(tmp_path_factory.mktemp("prepared") / "site")


@pytest.fixture
def make_site(prepared: Path, tmp_path: Path) -> Iterator[Callable[..., DeployedSite]]:
    """Makes sites that do not run yet, and ends whatever they have running."""
    numbers = count()
    with ExitStack() as stack:

        def make(**settings: object) -> DeployedSite:
            made = DeployedSite.copied(prepared, tmp_path / f"site{next(numbers)}", **settings)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def serving(make_site: Callable[..., DeployedSite]) -> DeployedSite:
    """A site on which the old release serves."""
    site = make_site()
    site.done("rollback", "--to", OLD)  # the shortest way: no checks, no backup, no trial
    return site
