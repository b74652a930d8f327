"""What a running application consists of, handed to whoever does its work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.database import Database
from app.logs import Log
from app.metrics import Metrics
from app.settings import Settings
from app.workflow.llm_client import LLMClient

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """One application's parts. `log` carries what is known about the current request from its beginning.

    `about` is what becomes known while the request is served: step, post and format templates. None outside of a request.
    """

    settings: Settings
    database: Database
    llm: LLMClient
    metrics: Metrics
    log: Log
    about: dict[str, object] | None = field(default=None, compare=False)

    def bound(self, **context: object) -> Services:
        """The same parts for one request, with a log that carries `context`."""
        return replace(self, log=self.log.bind(**context), about={})

    def know(self, **facts: object) -> None:
        """Note facts about the request, for the lines that are written at its end."""
        if self.about is not None:
            self.about.update(facts)
