"""The near side of a served stub, for suites: says what it answers with, and reads its journal."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from gonogo.errors import TargetError
from gonogo.model import Json
from gonogo.stub.faults import FaultPlan, LlmFault
from gonogo.stub.journal import Exchange, Script
from gonogo.stub.scripts import script_to_json

__all__ = ["RemoteStub", "served_stub"]

_TIMEOUT = 10.0  # seconds that one question to the control API may take
_STOPPING = 15.0  # seconds that a stub has for its last requests
_FIRST_LINE = " recordings on "


class RemoteStub:
    """A served stub, as one who holds its lease sees it. Use it as a context manager, or call ``close`` in the end.

    Args:
        url: of the stub, such as http://127.0.0.1:11434.
        holder: a name that tells who asks; one at a time may.
        token: of the control API, where the stub was started with one.
        ttl: seconds after which the stub is free again, unless ``expect`` is called before.
        patience: seconds to wait while somebody else has it.
    """

    def __init__(
        self, url: str, *, holder: str, token: str | None = None, ttl: float = 120.0, patience: float = 150.0
    ) -> None:
        self.base_url = url.rstrip("/")
        self._holder, self._ttl, self._patience = holder, ttl, patience
        self._since: int | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment is not on the way to a stub
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what ended the block is told, not that the stub cannot be reached any more
        with suppress(TargetError) if error is not None else nullcontext():
            self.close()

    def expect(
        self, *, step: str | None = None, script: Script | None = None, fault: LlmFault | FaultPlan | None = None
    ) -> None:
        """Begin anew: what the next requests are answered with, and a journal that begins here. Takes or renews the lease.

        Raises:
            TargetError: the stub does not answer, or somebody else has it for longer than the patience lasts.
        """
        plan = FaultPlan(fault) if isinstance(fault, LlmFault) else fault
        asked: dict[str, Json] = {
            "holder": self._holder,
            "ttl": self._ttl,
            "step": step,
            "script": None if script is None else script_to_json(script),
            "fault": None if plan is None else plan.as_json(),
        }
        end = time.monotonic() + self._patience
        while True:
            status, told = self._ask("POST", "expect", json=asked, refused=(423,))
            if status != 423:
                self._since = int(told["since"])
                return
            left = end - time.monotonic()
            if left <= 0:
                raise TargetError(
                    f"the stub at {self.base_url} is taken: {told['error']}; waited {self._patience:g} s, "
                    "run one after the other, or start a stub for each"
                )
            time.sleep(min(0.1, left))

    @property
    def journal(self) -> tuple[Exchange, ...]:
        """What reached the stub since the last ``expect``, in order.

        Raises:
            TargetError: nothing was expected yet, the lease has ended meanwhile, or exchanges were lost.
        """
        if self._since is None:
            raise TargetError(f"the stub at {self.base_url} has no journal of {self._holder!r}; call expect first")
        found: list[Exchange] = []
        place, more = self._since, True
        while more:
            _, told = self._ask("GET", "journal", params={"since": str(place), "holder": self._holder})
            if told["lost"]:
                raise TargetError(
                    f"the stub at {self.base_url} has lost {told['lost']} exchanges; start it with a larger --journal-mib"
                )
            found += [Exchange.from_json(one) for one in told["exchanges"]]
            place, more = int(told["next"]), bool(told["more"])
        return tuple(found)

    def release(self) -> None:
        """End the lease, and clear what was set.

        Raises:
            TargetError: the stub does not answer.
        """
        if self._since is not None:
            self._since = None
            # where somebody else has it by now, there is nothing to end
            self._ask("DELETE", "expect", params={"holder": self._holder}, refused=(423,))

    def close(self) -> None:
        """End the lease and the connection."""
        try:
            self.release()
        finally:
            self._session.close()

    def _ask(
        self,
        method: str,
        name: str,
        *,
        json: Json = None,
        params: Mapping[str, str] | None = None,
        refused: Sequence[int] = (),
    ) -> tuple[int, dict[str, Any]]:
        url = f"{self.base_url}/_gonogo/{name}"
        try:
            answer = self._session.request(method, url, json=json, params=params, timeout=_TIMEOUT)
            told = answer.json()
        except requests.RequestException as error:
            raise TargetError(
                f"no stub answers at {self.base_url} ({type(error).__name__}); start one with gonogo stub serve, or correct the URL"
            ) from error
        if not isinstance(told, dict) or (answer.status_code != 200 and "error" not in told):
            raise TargetError(
                f"what answers at {url} is no stub of gonogo (status {answer.status_code}); correct the URL"
            )
        if answer.status_code != 200 and answer.status_code not in refused:
            raise TargetError(f"the stub at {self.base_url} refused {method} {name}: {told['error']}")
        return answer.status_code, told


@contextmanager
def served_stub(folders: Sequence[Path], *, pace: str = "fast") -> Iterator[str]:
    """Serve recordings from a process of its own until the block ends.

    Yields:
        Its URL.

    Raises:
        TargetError: it does not start.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "gonogo",
        "stub",
        "serve",
        "--port",
        "0",
        "--pace",
        pace,
        "--stop-with-stdin",
    ]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            [*command, *(str(folder) for folder in folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            if _FIRST_LINE not in first:
                process.wait(_STOPPING)
                errors.seek(0)
                said = errors.read().strip() or "it says nothing"
                raise TargetError(f"the stub of {', '.join(map(str, folders))} did not start: {said[-1000:]}")
            yield first.rpartition(_FIRST_LINE)[2].strip()
        finally:
            process.stdin.close()
            try:
                process.wait(_STOPPING)
            except subprocess.TimeoutExpired:
                process.kill()
