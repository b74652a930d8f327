"""Services that are nothing but their metrics pages: one healthy, and one for each breach of a trigger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_EDGES = (0.001, 0.01, 0.1)  # seconds
_RATE = 200.0  # runs of a step a second


@dataclass(frozen=True)
class Page:
    """What a service has counted after so many seconds; shares are of the step ``facts``, the step ``title`` is well."""

    seconds: float
    failed: float = 0.0
    fallbacks: float = 0.0
    slow: float = 0.0
    memory: float = 100e6
    hidden: tuple[str, ...] = ()
    release: str = "2.0.0"

    def __str__(self) -> str:
        """As Prometheus reads it."""
        runs = int(_RATE * self.seconds)
        failed, slow = int(runs * self.failed), int(runs * self.slow)
        samples = {
            'blog_runs_total{step="title",status="succeeded"}': runs,
            'blog_runs_total{step="facts",status="succeeded"}': runs - failed,
            f'blog_release_info{{version="{self.release}"}}': 1,
            "blog_resident_memory_bytes": self.memory,
        }
        if failed:
            samples['blog_runs_total{step="facts",status="failed"}'] = failed
        if self.fallbacks:
            samples['blog_fallbacks_total{reason="template-missing"}'] = int(runs * self.fallbacks)
        for step, late in {"title": 0, "facts": slow}.items():
            name = "blog_prompt_construction_seconds"
            for edge in _EDGES:
                samples[f'{name}_bucket{{step="{step}",le="{edge}"}}'] = runs - late
            samples[f'{name}_bucket{{step="{step}",le="+Inf"}}'] = runs
            samples[f'{name}_count{{step="{step}"}}'] = runs
        shown = {name: value for name, value in samples.items() if not name.startswith(self.hidden or ("-",))}
        return "".join(f"{name} {value}\n" for name, value in shown.items())


Service = Callable[[float], Page | None]  # none is no answer


@dataclass
class Served:
    """Where the services are."""

    url: str
    began: dict[str, float] = field(default_factory=dict)


@contextmanager
def served_metrics(services: Mapping[str, Service]) -> Iterator[Served]:
    """Serve each service at ``/<name>``; its time begins when it is asked first."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server asks for
            name = self.path.strip("/")
            began = served.began.setdefault(name, time.monotonic())
            page = services[name](time.monotonic() - began)
            body = b"" if page is None else str(page).encode()
            self.send_response(503 if page is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    served = Served(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
