"""What a running application consists of, handed to whoever does its work."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.database import Database
from app.logs import Log
from app.metrics import Metrics
from app.settings import Settings
from app.workflow.llm_client import LLMClient

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """One application's parts. `log` carries what is known about the current request."""

    settings: Settings
    database: Database
    llm: LLMClient
    metrics: Metrics
    log: Log

    def bound(self, **context: object) -> Services:
        """The same parts, with a log that carries `context`."""
        return replace(self, log=self.log.bind(**context))
