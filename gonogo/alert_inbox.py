"""A webhook for Alertmanager that keeps what arrives, and wakes whoever waits for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gonogo.errors import TargetError

__all__ = ["Inbox", "Received", "served_inbox"]


@dataclass(frozen=True)
class Received:
    """One alert of a notification, as the webhook got it.

    Attributes:
        receiver: ``rollback`` or ``people``.
        trigger, severity: its labels; empty where it has none.
        firing: whether it fires, or has ended.
        labels, annotations: all of them.
        after: seconds since the stack stood.
    """

    receiver: str
    trigger: str
    severity: str
    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    after: float


class Inbox:
    """What has arrived.

    Attributes:
        began: the moment (``time.monotonic``) from which arrivals are counted.
        changed: held and notified where something arrives.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.changed = threading.Condition()
        self._received: list[Received] = []
        self._problems: list[str] = []

    def take(self, receiver: str, body: bytes) -> bool:
        """Keep the alerts of a notification; whether it was one."""
        after = time.monotonic() - self.began
        try:
            alerts = json.loads(body)["alerts"]
            found = [_received(receiver, one, after) for one in alerts]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            with self.changed:
                self._problems.append(f"{body[:200]!r} is not a notification of Alertmanager ({error!r})")
                self.changed.notify_all()
            return False
        with self.changed:
            self._received += found
            self.changed.notify_all()
        return True

    def received(self) -> tuple[Received, ...]:
        """What has arrived so far; hold ``changed`` where it must not change meanwhile.

        Raises:
            TargetError: something arrived that is not a notification.
        """
        if self._problems:
            raise TargetError(f"the webhook: {self._problems[0]}; find out who sends to it")
        return tuple(self._received)


def _received(receiver: str, alert: Mapping[str, Any], after: float) -> Received:
    labels = dict(alert["labels"])
    return Received(
        receiver=receiver,
        trigger=labels.get("trigger", ""),
        severity=labels.get("severity", ""),
        firing=alert["status"] == "firing",
        labels=labels,
        annotations=dict(alert["annotations"]),
        after=after,
    )


def _handler(inbox: Inbox) -> type[BaseHTTPRequestHandler]:
    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server asks for
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200 if inbox.take(self.path.strip("/"), body) else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing; what arrives is kept."""

    return Webhook


@contextmanager
def served_inbox(inbox: Inbox) -> Iterator[str]:
    """Serve an inbox on loopback: what is sent to ``/rollback`` comes for the receiver ``rollback``; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(inbox))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
