"""How gunicorn serves the application: ``gunicorn -c python:app.server app.wsgi:application``.

Every name in ``__all__`` is a setting of gunicorn's. A configuration of one's own begins with ``from app.server import *`` and says
what is to be otherwise. A hook of one's own calls the one here, so that a worker still tells that it serves::

    from app import server
    from app.server import *

    def post_worker_init(worker):
        server.tell_ready(worker, Path("/run/blog/ready"))
"""

from __future__ import annotations

import ast
import importlib.util
import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from app.lines import LineFormatter, PrintedLines, Teller, take_over

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.config import Config
    from gunicorn.workers.base import Worker

__all__ = [
    "child_exit",
    "control_socket_disable",
    "graceful_timeout",
    "keepalive",
    "logger_class",
    "loglevel",
    "post_worker_init",
    "threads",
    "when_ready",
    "worker_class",
]

READY_FILE: Final = "BLOG_READY_FILE"
METRICS_DIR: Final = "BLOG_METRICS_DIR"
PROCESSOR: Final = "app.workflow.scripts.llm_processor"


class LineLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, with lines in the application's form."""

    teller: Teller

    def setup(self, cfg: Config) -> None:
        """Set up anew, also when gunicorn reads its configuration again."""
        super().setup(cfg)
        if not hasattr(self, "teller"):
            self.teller = Teller(release_here(), debug=False)
        self.teller.debug = self.loglevel <= logging.DEBUG
        formatter = LineFormatter(self.teller)
        root = logging.getLogger()
        if not root.handlers:
            root.addHandler(logging.StreamHandler())  # what libraries have to say, from WARNING on
        for handler in (*self.error_log.handlers, *self.access_log.handlers, *root.handlers):
            handler.setFormatter(formatter)
            if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, PrintedLines):
                handler.setStream(handler.stream.raw)
        take_over(self.teller)

    def tell(self, event: str, **fields: object) -> None:
        """An event of the server, at INFO."""
        self.error_log.info(event, extra={"told": fields})


def release_here() -> str:
    """The release that workers will load. Read, not imported: workers started later would not load anew what is imported here."""
    spec = importlib.util.find_spec(PROCESSOR)
    if spec is None or spec.origin is None:
        return "unknown"
    release = "unknown"
    for statement in ast.parse(Path(spec.origin).read_bytes()).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Constant) and any(
            isinstance(one, ast.Name) and one.id == "RELEASE" for one in targets
        ):
            release = str(value.value)
    return release


def tell_ready(worker: Worker, ready_file: Path | None = None) -> None:
    """Log that a worker has loaded the application and serves; and write `ready_file`, whole or not at all."""
    release = getattr(sys.modules.get(PROCESSOR), "RELEASE", None) or release_here()
    if isinstance(worker.log, LineLogger):
        worker.log.teller.release = release
        worker.log.tell("server.ready")
    if ready_file is not None:
        written = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        written.write_text(json.dumps({"pid": os.getpid(), "release": release}) + "\n", encoding="utf-8")
        written.replace(ready_file)


def _tell_ready(worker: Worker) -> None:
    named = os.environ.get(READY_FILE)
    tell_ready(worker, Path(named) if named else None)


def _forget_worker(server: Arbiter, worker: Worker) -> None:
    if named := os.environ.get(METRICS_DIR):
        with suppress(OSError):  # which would end the server; what is left over, nobody shows
            mark_process_dead(worker.pid, named)


def _warn_of_metrics(server: Arbiter) -> None:
    if server.num_workers > 1 and not os.environ.get(METRICS_DIR):
        server.log.warning(
            f"{server.num_workers} workers keep their metrics each on its own; name a folder in {METRICS_DIR}"
        )


worker_class = "gthread"
threads = 8
keepalive = 5  # seconds
graceful_timeout = 10  # seconds
control_socket_disable = True
loglevel = os.environ.get("BLOG_LOG_LEVEL", "info").lower()
logger_class = LineLogger
post_worker_init = _tell_ready
child_exit = _forget_worker
when_ready = _warn_of_metrics
