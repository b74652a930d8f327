"""The near side of a probe, for suites: starts ``gonogo probe`` as a process of its own, and ends it with an account."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gonogo.errors import TargetError
from gonogo.model import Json
from gonogo.probe.account import Account, Connections, read_account

__all__ = ["RunningProbe", "running_probe"]

_LAST_WORDS = 15.0  # seconds for the account, when the last answer has come
_FIRST_LINE = " answers, after "
_ENDED_WELL = (0, 1, 10)


@dataclass
class RunningProbe:
    """A probe that has had its first good answer. It goes on until ``stop``, or until its time is over."""

    process: subprocess.Popen[str]
    _file: Path
    _errors: IO[str]
    _timeout: float
    _account: Account | None = field(default=None, init=False)

    def stop(self) -> Account:
        """Send nothing more, wait for the answers, and give the account; the same one however often it is asked for.

        Raises:
            TargetError: the probe broke down.
            EvidenceError: its account contradicts itself.
        """
        if self._account is None:
            self._end()
            if self.process.returncode not in _ENDED_WELL or not self._file.is_file():
                raise TargetError(f"the probe broke down (status {self.process.returncode}): {_said(self._errors)}")
            self._account = read_account(self._file.read_text(encoding="utf-8"))
        return self._account

    def _end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(self._timeout + _LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _said(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read().strip()[-1000:] or "it says nothing"


@contextmanager
def running_probe(
    url: str,
    *,
    rate: float = 200.0,
    duration: float = 3600.0,
    connections: Connections = Connections.BOTH,
    paths: Sequence[str] = ("/",),
    method: str = "GET",
    body: Json = None,
    timeout: float = 5.0,
    expected: Sequence[int] = (),
    release_header: str = "",
    folder: Path | None = None,
) -> Iterator[RunningProbe]:
    """Probe a service until the block ends or ``stop`` is called. The block begins when the first good answer has come.

    The probe ends with this process, whatever ends that.

    Args:
        url: of the service.
        rate: requests a second.
        duration: seconds after which it ends by itself.
        connections: kept, fresh, or both in turn.
        paths, method, body: what is asked; a body is sent as JSON.
        timeout: seconds for an answer.
        expected: statuses that are good; 200 to 399 unless given.
        release_header: the header that tells the release; empty: none does.
        folder: of a project whose criteria.toml says where the token is and what certificates are trusted; none: neither.

    Raises:
        TargetError: the service gives no good answer, or the probe cannot be started.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gonogo-probe-") as scratch,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        out, carried = Path(scratch, "account.json"), Path(scratch, "body.json")
        command = [sys.executable, "-P", "-m", "gonogo", "probe", url, "--json", str(out), "--stop-with-stdin"]
        command += ["--for", f"{duration:.6f}s", "--rate", repr(float(rate)), "--connections", connections.value]
        command += ["--method", method, "--timeout", f"{timeout:.6f}s", "--release-header", release_header]
        for path in paths:
            command += ["--path", path]
        for status in expected:
            command += ["--expect", str(status)]
        if body is not None:
            carried.write_text(json.dumps(body), encoding="utf-8")
            command += ["--body", str(carried)]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder or scratch,
        ) as process:
            probe = RunningProbe(process, out, errors, timeout)
            try:
                assert process.stdout is not None
                first = process.stdout.readline()
                if _FIRST_LINE not in first:
                    told = (first + process.stdout.read()).strip().rpartition("\n")[2]
                    process.wait()
                    raise TargetError(f"nothing to be probed at {url}: {told or _said(errors)}")
                yield probe
            finally:
                probe._end()
