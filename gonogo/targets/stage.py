"""A deployment of a project's own, on loopback, on which releases are put in service and taken out again.

A stage is what a project writes so that its deployer can be rehearsed: a function that takes a ``StageContext`` and returns a
``Stage``, named in conftest.py (``Project.stage``). It drives the deployer that is used in earnest; gonogo deploys nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gonogo.model import Finding
from gonogo.project import Release
from gonogo.targets.loading import load_function

__all__ = ["Stage", "StageContext", "open_stage"]


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage is given.

    Attributes:
        root: the project's folder.
        candidate, baseline: the releases as plain folders (``Release.tree``).
        scratch: a folder for whatever it needs; removed afterwards.
        model_url: the stub that the deployed releases ask.
    """

    root: Path
    candidate: Release
    baseline: Release
    scratch: Path
    model_url: str


class Stage(Protocol):
    """Releases in service. Where a release cannot be put in service, a method raises ``ProductFailure`` with the reason.

    What the stage itself cannot do (a program is missing, say) is a ``TargetError``.
    """

    @property
    def url(self) -> str:
        """Where users ask. It stays the same, whatever is in service."""
        ...

    @property
    def rollback(self) -> Sequence[str]:
        """The command that restores the previous release, as an operator would type it; run in the project's folder."""
        ...

    def deploy(self, role: str) -> None:
        """Put ``candidate`` or ``baseline`` in service, in place of whatever is; back when users are served by it alone."""
        ...

    def plant(self, *triggers: str) -> Callable[[], None]:
        """Put a candidate in service that is well, and in which something is going to break by which these triggers must fire.

        Returns:
            What breaks it.

        Raises:
            TargetError: the stage has no defect for a trigger of this id.
        """
        ...

    def back_up(self) -> Iterable[Finding]:
        """Take the backup that is taken before a deploy, restore it into an empty database, and compare the two."""
        ...

    def log(self) -> Iterable[str]:
        """Every line that the deployed releases have written so far."""
        ...

    def close(self) -> None:
        """Take everything out of service."""
        ...


def open_stage(reference: str, context: StageContext) -> Stage:
    """The stage that ``file.py:function`` or ``package.module:function`` opens, with the baseline in service.

    Raises:
        TargetError: the reference leads nowhere, or the stage cannot be set up.
        ProductFailure: the previous release cannot be put in service.
    """
    stage: Stage = load_function(reference, "the stage", "a StageContext")(context)
    stage.deploy("baseline")
    return stage
