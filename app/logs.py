"""Structured logs: one JSON object per line, one logger per application, nothing global."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from app.failures import Failure
from app.lines import PrintedLines
from app.settings import LogSink, Settings

__all__ = ["Log", "make_log"]

Log = FilteringBoundLogger


class _Lines:
    """Writes whole lines to a stream; to what is stderr at that moment where none was named."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        if isinstance(stream, PrintedLines):
            stream = stream.raw  # these are lines already
        stream.write(message + "\n")
        stream.flush()

    debug = info = warning = error = critical = msg


def make_log(settings: Settings, release: str) -> Log:
    """The application's logger: to `settings.log_sink`, else `log_stream`, else stderr; from `log_level` on.

    An event may hold ``failure``: what may be told of an exception. Exceptions themselves are not rendered by anybody.
    """
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _with_failure,
    ]
    if settings.log_sink is None:
        processors.append(structlog.processors.JSONRenderer(ensure_ascii=True))
    else:
        processors.append(_into(settings.log_sink))
    level = logging.getLevelNamesMapping()[settings.log_level]
    return cast(
        Log,
        structlog.wrap_logger(
            _Lines(settings.log_stream),
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(level),
            context_class=dict,
        ).bind(release=release),
    )


def _with_failure(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    failure, given = event.pop("failure", None), event.pop("exc_info", None)
    if (
        given and failure is None
    ):  # nothing here logs an exception as it is; where anything does, it is not told as it is
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        failure = None if error is None else Failure.of("internal-error", error)
    if isinstance(failure, Failure):
        event.update(failure.fields())
    return event


def _into(sink: LogSink) -> Processor:
    def hand_over(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        sink(dict(event))
        raise structlog.DropEvent

    return hand_over
