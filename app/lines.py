"""Log lines of a server: whatever it, a library or Python itself has to say becomes one JSON object per line.

What the workers' libraries say may hold anybody's text: above DEBUG its constant part is told, and of exceptions type and place.
The main process serves nobody; what it says is told, without what addresses hold of passwords.
Standard library only: the main process imports this before any worker has loaded the application.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from app.failures import Failure

__all__ = ["LineFormatter", "PrintedLines", "Teller", "named_method", "take_over", "without_passwords"]

_PASSWORD = re.compile(r"(?<=://)[^\s/]*@")
_EVENTS = {"gunicorn.error": "server.log", "gunicorn.access": "server.access"}
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
PROCESS_FAILED = "process-failed"  # the kind of an error that nothing in the application has seen


def named_method(method: str) -> str:
    """The method of a request, as lines name it; what a client has made up is ``other``."""
    return method if method in _METHODS else "other"


def without_passwords(text: str) -> str:
    """`text` without user and password of the addresses in it."""
    return _PASSWORD.sub("***@", text)


class Teller:
    """What all lines of one server process have in common, and whether they may hold texts.

    `release` is what the lines are of; a worker that has loaded the application sets it to what it has loaded.
    """

    def __init__(self, release: str, *, debug: bool) -> None:
        self.release = release
        self.debug = debug
        self._main = os.getpid()

    def line(self, name: str, level: str, fields: Mapping[str, object], time: datetime | None = None) -> str:
        """The line of a log event of this process, without its end."""
        said = (time or datetime.now(UTC)).isoformat().replace("+00:00", "Z")
        event = {"event": name, "level": level, "time": said, "release": self.release, "pid": os.getpid(), **fields}
        return json.dumps(event, default=repr)

    def failed(self, error: BaseException) -> dict[str, object]:
        """The fields of an exception that nothing in the application has seen."""
        return Failure.of(PROCESS_FAILED, error).fields()

    def text(self, text: str) -> str | None:
        """As much of a text as may be told; None for nothing of it."""
        if self.debug:
            return text
        return without_passwords(text) if os.getpid() == self._main else None


class LineFormatter(logging.Formatter):
    """Records of Python's logging as lines."""

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self._teller = teller

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {}
        if record.name == "gunicorn.access" and isinstance(record.args, Mapping):
            method = named_method(str(record.args["m"]))
            name, fields = "server.access", {"method": method, "status": int(str(record.args["s"]))}
        elif (told := getattr(record, "told", None)) is not None:
            name, fields = str(record.msg), dict(told)
        else:
            name = _EVENTS.get(record.name, "library.log")
            fields = {"message": self._message(record)}
            if name == "library.log":
                fields["logger"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            fields |= self._teller.failed(record.exc_info[1])
        time = datetime.fromtimestamp(record.created, UTC)
        return self._teller.line(name, record.levelname.lower(), fields, time)

    def _message(self, record: logging.LogRecord) -> str:
        whole = record.getMessage()
        if (told := self._teller.text(whole)) is not None:
            return told
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        if record.args and all(isinstance(one, int) for one in args):
            return whole
        # with values left open it is a constant of the source; without, values may have been put in before
        return str(record.msg) if record.args else re.split(r"[:\n]", str(record.msg), maxsplit=1)[0]


class PrintedLines(io.TextIOBase):
    """Stands in for stdout or stderr: what is printed there becomes lines. ``raw`` is what it stands in for."""

    def __init__(self, raw: TextIO, name: str, teller: Teller) -> None:
        self.raw = raw
        self._name = name
        self._teller = teller
        self._begun = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there
        return self.raw.encoding

    def fileno(self) -> int:
        return self.raw.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._begun, "text", "") + text).split("\n")
        self._begun.text = rest
        for line in lines:
            if line.strip():
                self._tell(line)
        return len(text)

    def flush(self) -> None:
        self.raw.flush()

    def _tell(self, line: str) -> None:
        shown = self._teller.text(line)
        fields: dict[str, object] = {"characters": len(line)} if shown is None else {"text": shown}
        self.raw.write(self._teller.line("output.text", "warning", {"stream": self._name, **fields}) + "\n")
        self.raw.flush()


def take_over(teller: Teller) -> None:
    """Have this process, and those that it forks, write lines only: prints, warnings, exceptions that nobody catches.

    Changes ``sys``, ``threading`` and ``warnings``: for a process that is a server from now on.
    """

    def say(name: str, level: str, fields: Mapping[str, object]) -> None:
        raw = sys.stderr.raw if isinstance(sys.stderr, PrintedLines) else sys.stderr
        raw.write(teller.line(name, level, fields) + "\n")
        raw.flush()

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        say("process.failed", "critical", teller.failed(error))

    def on_thread_exception(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is not None:
            say("process.failed", "critical", teller.failed(failed.exc_value))

    def on_unraisable(failed: sys.UnraisableHookArgs) -> None:
        if failed.exc_value is not None:
            say("process.failed", "error", teller.failed(failed.exc_value))

    def on_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        shown = teller.text(str(message))
        place = f"{'/'.join(Path(filename).parts[-2:])}:{lineno}"
        text = {"text": shown} if shown else {}
        say("python.warning", "warning", {"category": category.__name__, "place": place, **text})

    sys.excepthook, threading.excepthook, sys.unraisablehook = on_exception, on_thread_exception, on_unraisable
    warnings.showwarning = on_warning
    if not isinstance(sys.stdout, PrintedLines):
        sys.stdout = PrintedLines(sys.stdout, "stdout", teller)
    if not isinstance(sys.stderr, PrintedLines):
        sys.stderr = PrintedLines(sys.stderr, "stderr", teller)
