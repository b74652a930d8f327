"""The faults that a model, or the way to it, can have, and when they strike."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from gonogo.errors import DefinitionError
from gonogo.model import Json

__all__ = ["INTERNAL", "OVERSIZE", "FaultPlan", "LlmFault"]

# Stands in the body of every error of the model, beside its message. Who passes the message on gives a user the cause;
# who passes this on gives away the body as it came.
INTERNAL = "planted-by-gonogo: runner.go line 117 at 192.0.2.7"
OVERSIZE = 16 * 1024 * 1024  # characters of an oversized reply


class LlmFault(enum.StrEnum):
    """One fault. The wording is what a report shows. A reply of the wrong schema is a scripted reply, not a fault."""

    REFUSED = "connection refused"
    RESET = "connection reset"
    TIMEOUT = "timeout"
    BAD_REQUEST = "400"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    ERROR_WITH_200 = "error with status 200"
    MALFORMED_JSON = "malformed JSON"
    TRUNCATED = "truncated body"
    CUT_OFF = "reply cut off at the token limit"
    UNFINISHED = "reply that has not ended"
    EMPTY = "empty reply"
    EMPTY_BODY = "empty body"
    OVERSIZED = "oversized body"
    INVALID_UTF8 = "invalid UTF-8"
    SLOW_FIRST = "slow first token"
    SLOW_TOKENS = "slow tokens"

    @property
    def only_delays(self) -> bool:
        """Whether the reply is right and merely late, so that an application must succeed all the same."""
        return self in (LlmFault.SLOW_FIRST, LlmFault.SLOW_TOKENS)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which fault strikes which requests. The same plan strikes the same requests of the same sequence.

    Attributes:
        fault: what happens.
        rate: the share of requests that it happens to, from 0 to 1.
        seed: chooses them.
        times: after so many strikes there are no more; none: it never ends.
        begin: the number of the first request, where a plan goes on over several sequences.
        delay: seconds before the first token (SLOW_FIRST), or before all of them together (SLOW_TOKENS, evenly).
        hang: seconds after which a connection that got no answer (TIMEOUT) is closed, on the wire.
        retry_after: seconds that RATE_LIMITED and UNAVAILABLE ask for.
    """

    fault: LlmFault
    rate: float = 1.0
    seed: int = 0
    times: int | None = None
    delay: float = 0.05
    hang: float = 600.0
    retry_after: int = 0
    begin: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no plan.

        Raises:
            DefinitionError: a rate that is none, or a negative time.
        """
        if not 0 <= self.rate <= 1:
            raise DefinitionError(f"fault plan: rate = {self.rate!r} is not a share; write 0 to 1")
        for name in ("begin", "delay", "hang", "retry_after", "times"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise DefinitionError(f"fault plan: {name} = {value!r} is too small; write 0 or more")

    def strikes(self, number: int) -> bool:
        """Whether it strikes the request of this number, counted from 0 since the plan was made; ``times`` aside."""
        return self.rate >= 1 or random.Random(f"{self.seed} {self.begin + number}").random() < self.rate

    def after(self, requests: int) -> FaultPlan:
        """The plan for what follows after so many requests."""
        struck = sum(self.strikes(number) for number in range(requests))
        times = None if self.times is None else max(0, self.times - struck)
        return replace(self, begin=self.begin + requests, times=times)

    def as_json(self) -> dict[str, Json]:
        """Plain data, for the wire."""
        return {**asdict(self), "fault": self.fault.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FaultPlan:
        """The plan that ``as_json`` wrote, or that somebody else did.

        Raises:
            DefinitionError: it is none.
        """
        try:
            return cls(**{**data, "fault": LlmFault(data["fault"])})
        except (KeyError, TypeError, ValueError) as error:
            known = ", ".join(repr(one.value) for one in LlmFault)
            raise DefinitionError(f"fault plan: {error}; write a fault ({known}) and its figures") from error
