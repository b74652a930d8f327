"""The stub behind ``requests``, through ``responses``: one callback over the recordings, however many there are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import requests
import responses
from urllib3.exceptions import IncompleteRead, ProtocolError

from gonogo.stub.faults import LlmFault
from gonogo.stub.journal import Stub
from gonogo.stub.protocols import read_request

__all__ = ["ModelClock", "installed"]

_METHODS = (responses.GET, responses.POST, responses.PUT, responses.PATCH, responses.DELETE)


@dataclass
class ModelClock:
    """Nanoseconds that the application has waited for its model since the start."""

    waited_ns: int = 0


def _as_requests_tells(fault: LlmFault, received: int, url: str) -> requests.RequestException:
    """What ``requests`` raises where this happens to a connection."""
    match fault:
        case LlmFault.REFUSED:
            return requests.exceptions.ConnectionError(f"Connection refused by {url}")
        case LlmFault.RESET:
            reset = ConnectionResetError(104, "Connection reset by peer")
            return requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", reset))
        case LlmFault.TIMEOUT:
            return requests.exceptions.ReadTimeout(f"Read timed out: {url}")
        case _:
            missing = IncompleteRead(received, received)
            return requests.exceptions.ChunkedEncodingError(ProtocolError(f"Connection broken: {missing!r}", missing))


@contextmanager
def installed(
    stub: Stub, now_ns: Callable[[], int] = time.perf_counter_ns, on_stray: Callable[[str], None] | None = None
) -> Iterator[ModelClock]:
    """Answer every call that ``requests`` makes in this process from ``stub``, until the block ends.

    Args:
        stub: what answers.
        now_ns: the clock by which the waiting for the model is counted.
        on_stray: told of every call that is no request to a model; the application may swallow the refusal.

    Yields:
        A clock of the time spent in calls, so that a run can be timed without its model.
    """
    router = responses.RequestsMock(assert_all_requests_are_fired=False)

    def answer(call: requests.PreparedRequest) -> tuple[int, Mapping[str, str], Any]:
        body = call.body or b""
        url = call.url or ""
        known = not stub.base_url or url.startswith(
            f"{stub.base_url.rstrip('/')}/"
        )  # the whole host, not a part of its name
        request = read_request(url, body.encode() if isinstance(body, str) else body) if known else None
        if request is None:
            stray = f"{call.method} {call.url}"
            stub.note_stray(stray)
            if on_stray is not None:
                on_stray(stray)
            raise requests.exceptions.ConnectionError(
                f"{stray} is no request to a model that gonogo knows; no call leaves this process"
            )
        answered = stub.answer(request)
        if answered.fault is not None:
            raise _as_requests_tells(answered.fault.fault, len(answered.body), url)
        if answered.held:
            time.sleep(answered.frames[-1].offset)
        return answered.status, dict(answered.headers), answered.body

    for method in _METHODS:
        router.add_callback(method, re.compile(".*"), callback=answer, content_type=None)
    clock = ModelClock()
    with router:
        routed = requests.adapters.HTTPAdapter.send

        def timed(*args: Any, **kwargs: Any) -> requests.Response:
            begin = now_ns()
            try:
                return routed(*args, **kwargs)
            finally:
                clock.waited_ns += now_ns() - begin
                router.calls.reset()  # responses keeps every call for ever

        with mock.patch.object(requests.adapters.HTTPAdapter, "send", timed):
            yield clock
