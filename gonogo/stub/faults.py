"""The faults that a model, or the way to it, can have."""

from __future__ import annotations

import enum

__all__ = ["LlmFault"]


class LlmFault(enum.StrEnum):
    """One fault. The wording is what a report shows. A reply of the wrong schema is a scripted reply, not a fault."""

    REFUSED = "connection refused"
    TIMEOUT = "timeout"
    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    MALFORMED_JSON = "malformed JSON"
    TRUNCATED = "truncated body"
    EMPTY = "empty reply"
    INVALID_UTF8 = "invalid UTF-8"
