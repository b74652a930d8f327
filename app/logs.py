"""Structured logs: one JSON object per line, one logger per application, nothing global."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from app.settings import LogSink, Settings

__all__ = ["Log", "make_log"]

Log = FilteringBoundLogger


class _Lines:
    """Writes whole lines to a stream; to what is stderr at that moment where none was named."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        stream.write(message + "\n")
        stream.flush()

    debug = info = warning = error = critical = msg


def make_log(settings: Settings) -> Log:
    """The application's logger: to `settings.log_sink`, else `log_stream`, else stderr; from `log_level` on."""
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
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
        ),
    )


def _into(sink: LogSink) -> Processor:
    def hand_over(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        sink(dict(event))
        raise structlog.DropEvent

    return hand_over
