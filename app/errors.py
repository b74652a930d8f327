"""What the application raises.

::

    Exception
    ├── AppError                        knows its code (kebab-case) and its HTTP status
    │   ├── SettingsError               a configuration key or value is wrong
    │   ├── DefinitionError             a workflow or post file is wrong: names file and key
    │   ├── RequestError
    │   │   ├── InvalidRequest          400: names the field
    │   │   └── NotFound                404
    │   ├── DatabaseAway                503: the database does not answer in time, or its file is gone
    │   └── LLMError                    502: names step, model, attempt and cause
    │       ├── LLMConnectionError      refused, reset, or broken off
    │       ├── LLMTimeout              504
    │       ├── LLMRateLimited          the model's server said 429, to the last attempt
    │       ├── LLMServerError          it answered with another error status
    │       ├── LLMBadResponse          its answer is not what the API promises: malformed, not UTF-8, not whole
    │       ├── LLMEmptyReply           the model said nothing
    │       └── ReplyInvalid            the reply is not in the output format
    └── ValueError
        └── PromptConstructionError     in app.workflow.scripts.prompt_constructor, which depends on nothing
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

__all__ = [
    "AppError",
    "DatabaseAway",
    "DefinitionError",
    "InvalidRequest",
    "LLMBadResponse",
    "LLMConnectionError",
    "LLMEmptyReply",
    "LLMError",
    "LLMRateLimited",
    "LLMServerError",
    "LLMTimeout",
    "NotFound",
    "ReplyInvalid",
    "RequestError",
    "SettingsError",
]


class AppError(Exception):
    """An error that the application foresees."""

    code: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    loggable: ClassVar[bool] = False  # whether the message may stand in a log: nobody's text, and no secret

    def details(self) -> dict[str, object]:
        """What belongs into the ``error`` object of an HTTP answer. JSON values only."""
        return {"code": self.code, "message": str(self)}


class SettingsError(AppError):
    """A configuration key is unknown or has a value that cannot be used."""

    code = "settings-invalid"
    loggable = True


class DefinitionError(AppError):
    """A file that people write is wrong."""

    code = "definition-invalid"

    def __init__(self, file: Path, key: str, message: str) -> None:
        super().__init__(f"{file}: {key}: {message}" if key else f"{file}: {message}")
        self.file = file
        self.key = key


class RequestError(AppError):
    """The request cannot be served as it is."""


class InvalidRequest(RequestError):
    """The body of a request is wrong at `field` (dotted, ``body`` for the whole)."""

    code = "invalid-request"
    status = 400

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field

    def details(self) -> dict[str, object]:
        return {**super().details(), "field": self.field}


class NotFound(RequestError):
    """There is no such post, step or run."""

    status = 404

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"there is no {kind} {key!r}")
        self.kind = kind

    def details(self) -> dict[str, object]:
        return {**super().details(), "code": f"{self.kind}-not-found"}


class DatabaseAway(AppError):
    """The database does not answer in time, or its file is gone."""

    code = "database-unavailable"
    status = 503


class LLMError(AppError):
    """The model gave no usable reply. `attempt` counts from 1; `reply` is what it said, where it said something."""

    code = "llm-error"
    status = 502

    def __init__(self, cause: str, *, step: str, model: str, attempt: int, reply: str | None = None) -> None:
        super().__init__(f"step {step!r}, model {model!r}, attempt {attempt}: {cause}")
        self.cause = cause
        self.step = step
        self.model = model
        self.attempt = attempt
        self.reply = reply
        self.run_id: int | None = None  # of the record of the failed run, once it is written

    def details(self) -> dict[str, object]:
        return {
            **super().details(),
            "step": self.step,
            "model": self.model,
            "attempt": self.attempt,
            "cause": self.cause,
            "run_id": self.run_id,
        }


class LLMConnectionError(LLMError):
    """No connection, or one that broke before the answer was whole."""

    code = "llm-unreachable"


class LLMTimeout(LLMError):
    """No answer in time."""

    code = "llm-timeout"
    status = 504


class LLMRateLimited(LLMError):
    """The model's server answered 429."""

    code = "llm-rate-limited"


class LLMServerError(LLMError):
    """The model's server answered with an error status other than 429."""

    code = "llm-server-error"


class LLMBadResponse(LLMError):
    """The answer is malformed, not UTF-8, an error with status 200, or not whole."""

    code = "llm-bad-response"


class LLMEmptyReply(LLMError):
    """The answer is well formed and its text empty."""

    code = "llm-empty-reply"


class ReplyInvalid(LLMError):
    """The reply is no JSON, or does not satisfy the output format's schema."""

    code = "reply-invalid"
