"""The way back: runs the command that restores the previous release, once, and sees whether that one is in service again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from gonogo.checks import same_text
from gonogo.contract import Contract
from gonogo.definitions import Definitions
from gonogo.errors import GonogoError, ProductFailure
from gonogo.model import Case, Finding, Json
from gonogo.project import Service
from gonogo.standing import TriggerStanding
from gonogo.targets.sockets import NoAnswer, SocketTransport
from gonogo.triggers import Alarm
from gonogo.workbench import Target, Workbench

__all__ = ["Previous", "Recovery", "WayBack"]

_ANSWERS = 10  # that the previous release must give in a row, each on a connection of its own
_PAUSE = 0.05  # seconds between two of them
_COMMAND_TIME = 300.0  # seconds that the command may take
CHECK = "rollback"


@dataclass(frozen=True)
class Previous:
    """The previous release as it is to be found again: its version, and the prompt of each case (``transcript``)."""

    version: str
    prompts: Mapping[str, str]
    cases: Sequence[Case]

    @classmethod
    def of(cls, baseline: Target, cases: Sequence[Case]) -> Previous:
        """What the previous release constructs now, before anything goes wrong.

        Raises:
            TargetError: it cannot be asked, or fails.
        """
        return cls(
            baseline.release.version,
            {case.path: baseline.construct(case).prompt.transcript for case in cases},
            tuple(cases),
        )


@dataclass(frozen=True)
class Recovery:
    """How a rollback went.

    Attributes:
        trigger: the id of the trigger.
        detected: seconds from the beginning of the watch at which it fired.
        status: of the command; none where it could not be run or did not end in time.
        ended: seconds from the trigger until the command had ended.
        answered: seconds from the trigger until the previous release answered, or none where it did not.
        findings: what was looked at afterwards.
    """

    trigger: str
    detected: float
    status: int | None
    ended: float
    answered: float | None
    findings: tuple[Finding, ...]

    @property
    def is_verified(self) -> bool:
        """Whether the previous release is in service again, by everything that was looked at."""
        return bool(self.findings) and all(finding.ok for finding in self.findings)

    def as_json(self) -> dict[str, Json]:
        """Plain data, for the dashboard; its moments are seconds from the beginning of the watch."""
        return {
            "state": "verified" if self.is_verified else "failed",
            "trigger": self.trigger,
            "detected": round(self.detected, 3),
            "status": self.status,
            "recovered": None if self.answered is None else round(self.detected + self.answered, 3),
            "findings": [{"ok": one.ok, "reason": one.reason} for one in self.findings],
        }


def run_once(command: Sequence[str], log: Path, *, cwd: Path, patience: float) -> tuple[int | None, Finding]:
    """Run the command; its output goes to ``log``. A command that hangs is stopped after ``patience`` seconds."""
    shown = " ".join(command)
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                list(command),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=patience,
                check=False,
            )
    except OSError as error:
        return None, Finding(CHECK, False, f"the command {shown!r} cannot be run: {error.strerror or error}")
    except subprocess.TimeoutExpired:
        return None, Finding(CHECK, False, f"the command {shown!r} did not end within {patience:g} s and was stopped")
    reason = f"the command {shown!r} ended with status {done.returncode}"
    if done.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        reason += f": {last[0]}" if last else ""
    return done.returncode, Finding(CHECK, done.returncode == 0, reason)


def say_again(
    ask: Callable[[], SocketTransport], contract: Contract, version: str, *, patience: float
) -> tuple[float | None, Finding]:
    """Ask until the service answers as this version, several times in a row, on fresh connections.

    Returns:
        Seconds until the first answer of that row, or none; and the finding.
    """
    began, first, row, told = time.monotonic(), 0.0, 0, "nothing"
    while (now := time.monotonic() - began) < patience:
        told = _told(ask, contract)
        if told == version:
            first = first if row else now
            row += 1
            if row == _ANSWERS:
                return first, Finding(CHECK, True, f"release {version} answers, {_ANSWERS} times in a row")
        else:
            row = 0
        time.sleep(_PAUSE)
    return None, Finding(CHECK, False, f"after {patience:g} s {told} answers, not release {version}")


def _told(ask: Callable[[], SocketTransport], contract: Contract) -> str:
    """The version that answers on a fresh connection, where it is well."""
    transport = ask()
    try:
        for path in contract.health:
            status = transport("GET", path).status
            if status != 200:
                return f"{path} with {status}"
        return str(contract.find("version", transport(*contract.call("version").at()).json()))
    except NoAnswer:
        return "nothing"
    except ValueError:
        return "something that is no JSON"
    finally:
        transport.close()


def same_prompts(live: Target, previous: Previous) -> Finding:
    """Whether the service shows the prompts that the previous release constructs, for every case."""
    differing: list[str] = []
    detail = ""
    for case in previous.cases:
        try:
            found = same_text(CHECK, case.path, previous.prompts[case.path], live.construct(case).prompt.transcript)
        except ProductFailure as error:
            found = Finding(CHECK, False, f"{case.path}: {error}")
        except GonogoError as error:
            return Finding(CHECK, False, f"the prompts could not be compared: {' '.join(str(error).split())}")
        if not found.ok:
            differing.append(found.reason)
            detail = detail or found.detail
    count = len(previous.cases)
    if not count:
        return Finding(CHECK, False, "there are no cases whose prompts could be compared; write some")
    if differing:
        reason = f"{len(differing)} of {count} prompts are not the previous release's: {differing[0]}"
        return Finding(CHECK, False, reason, detail)
    return Finding(CHECK, True, f"{count} of {count} prompts are those of the previous release")


@dataclass(frozen=True)
class WayBack:
    """What a trigger sets off: the command, once, and then the look whether the previous release is in service again.

    Attributes:
        url: of the service.
        contract: how it is asked.
        definitions: of the project.
        previous: the release that is to be found again.
        command: what restores it, word by word.
        log: the file that its output goes to.
        environ: where the service's token is read.
        patience: seconds after the command within which the previous release must answer.
    """

    url: str
    contract: Contract
    definitions: Definitions
    previous: Previous
    command: Sequence[str]
    log: Path
    environ: Mapping[str, str]
    patience: float = 60.0

    def __call__(self, trigger: TriggerStanding) -> Recovery:
        """Go back."""
        fired = time.monotonic()
        status, ran = run_once(self.command, self.log, cwd=self.definitions.project.root, patience=_COMMAND_TIME)
        ended = time.monotonic() - fired
        quick = replace(self.contract, timeout=min(self.contract.timeout, 5.0))
        answered, says = say_again(
            lambda: SocketTransport(self.url, quick, self.environ),
            quick,
            self.previous.version,
            patience=self.patience,
        )
        findings = [ran, says]
        if answered is not None:
            service = Service(self.url, read_only="preview_inputs" in self.contract.calls)
            released = self.definitions.project.with_planted("")  # what was planted was planted in the candidate
            again = replace(self.definitions, project=released.with_service(service, None))
            with closing(Workbench(again)) as looking:
                findings.append(same_prompts(looking.candidate, self.previous))
        recovered = None if answered is None else ended + answered
        detected = trigger.fired[Alarm.ROLLBACK]
        return Recovery(trigger.trigger.id, detected, status, ended, recovered, tuple(findings))
