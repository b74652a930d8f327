"""The wiring: what is judged, on which steps and cases, by which criteria."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gonogo import Project, Release
from gonogo.model import Ability, Case
from gonogo.targets.adapter import WorkerContext
from gonogo.targets.asgi import AsgiTransport
from gonogo.targets.http import HttpApplication

ROOT = Path(__file__).parent


def pytest_gonogo_project() -> Project:
    """The help desk. In the phase post, the service at ``--gonogo-target`` takes the place of the release in this folder."""
    return Project(
        root=ROOT,
        candidate=Release("3.2.0", f"{__file__}:open_release", ROOT, packages=("helpdesk",), stub="wire"),
        baseline=None,
        criteria=ROOT / "acceptance" / "criteria.toml",
        workflows=ROOT / "workflows",
        cases=ROOT / "cases",
        recordings=ROOT / "recordings",
        reports=ROOT / "reports",
    )


def open_release(context: WorkerContext) -> HelpDesk:
    """The help desk in a process of its own. Not needed for a service that is in place."""
    return HelpDesk(context)


class HelpDesk(HttpApplication):
    """The help desk over ASGI."""

    abilities = frozenset({Ability.PROMPT, Ability.REPLY, Ability.WORKER})

    def __init__(self, context: WorkerContext) -> None:
        # imported here and nowhere earlier: by now the release's folder stands first on the path
        from helpdesk.service import Settings, create_app

        settings = Settings("in process", f"{context.model_url}/v1", model_timeout=1.0, model_retries=0)
        self._asgi = AsgiTransport(create_app(settings), {"Authorization": f"Bearer {settings.token}"})
        super().__init__(self._asgi, context.contract)

    def constructor(self, case: Case) -> Callable[[], object]:
        """The constructor itself, so that time and memory are its own."""
        from helpdesk.prompts import build_prompt

        form = self.contract.named(case.inputs)
        return lambda: build_prompt(case.step, form)

    def close(self) -> None:
        """Let the application shut down."""
        self._asgi.close()
