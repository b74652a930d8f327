"""The faults that a model, or the way to it, can have."""

from __future__ import annotations

import enum

__all__ = ["INTERNAL", "LlmFault"]

# Stands in the body of every error of the model, beside its message. Who passes the message on gives a user the cause;
# who passes this on gives away the body as it came.
INTERNAL = "planted-by-gonogo: runner.go line 117 at 192.0.2.7"


class LlmFault(enum.StrEnum):
    """One fault. The wording is what a report shows. A reply of the wrong schema is a scripted reply, not a fault."""

    REFUSED = "connection refused"
    TIMEOUT = "timeout"
    BAD_REQUEST = "400"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    ERROR_WITH_200 = "error with status 200"
    MALFORMED_JSON = "malformed JSON"
    TRUNCATED = "truncated body"
    CUT_OFF = "reply cut off at the token limit"
    UNFINISHED = "reply that has not ended"
    EMPTY = "empty reply"
    INVALID_UTF8 = "invalid UTF-8"
