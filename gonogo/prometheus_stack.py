"""Prometheus and Alertmanager on loopback, with rules, services that are scraped, and a webhook that keeps what arrives.

It shows that an alert of ``gonogo rules`` reaches whoever must act on it: from a service's metrics page to the webhook.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from gonogo.alert_files import as_yaml, routes_text
from gonogo.alert_inbox import Inbox, Received, served_inbox
from gonogo.errors import StackMissing, TargetError

__all__ = ["PrometheusStack", "programs", "running_stack"]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PATIENCE = 30.0  # seconds for a server to come up
_ATTEMPTS = 5  # ports that are tried, as another process may take a free one first
_TAKEN = "address already in use"
_INSTALL = "on Debian and Ubuntu: apt-get install prometheus prometheus-alertmanager"


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    prometheus: str
    alertmanager: str


def programs() -> Programs:
    """The programs that a stack is made of.

    Raises:
        StackMissing: one of them is not installed.
    """
    prometheus = shutil.which("prometheus")
    alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    missing = [name for name, path in {"prometheus": prometheus, "alertmanager": alertmanager}.items() if path is None]
    if prometheus is None or alertmanager is None:
        raise StackMissing(f"{' and '.join(missing)}: no such program on the path; install it ({_INSTALL})")
    return Programs(prometheus, alertmanager)


class _Server:
    """A server that was started here, and ends with this process."""

    def __init__(self, name: str, folder: Path, command: Callable[[int], Sequence[str]]) -> None:
        self.name, self._log = name, folder / f"{name}.log"
        for _ in range(_ATTEMPTS):
            port = _free_port()
            self.url = f"http://127.0.0.1:{port}"
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command(port),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                )
            if self._is_ready():
                return
        raise TargetError(f"{name} found no free port in {_ATTEMPTS} attempts; end what takes them: {self.said()}")

    def _is_ready(self) -> bool:
        """Whether it serves; not where another process has its port."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if self._process.poll() is not None:
                if _TAKEN in self._log.read_text(errors="replace"):
                    return False
                raise TargetError(f"{self.name} ended with status {self._process.returncode}: {self.said()}")
            try:
                if _get(f"{self.url}/-/ready", timeout=2.0).status_code == 200:
                    return True
            except requests.RequestException:
                pass
            time.sleep(0.05)
        self.stop()
        raise TargetError(f"{self.name} is not ready after {_PATIENCE:g} s: {self.said()}")

    def said(self) -> str:
        """The last lines of its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:]) or "it said nothing"

    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it; nothing where it has ended."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class PrometheusStack:
    """Prometheus, Alertmanager and the webhook, while they run.

    Attributes:
        url: of Prometheus.
        alertmanager: the URL of Alertmanager.
    """

    def __init__(self, prometheus: _Server, alertmanager: _Server, inbox: Inbox, stop: Callable[[], None]) -> None:
        self.url, self.alertmanager = prometheus.url, alertmanager.url
        self._servers: tuple[_Server, ...] = (prometheus, alertmanager)
        self._inbox, self._stop = inbox, stop

    def alerts(self) -> tuple[Received, ...]:
        """Everything that has reached the webhook so far, in the order in which it came.

        Raises:
            TargetError: a server has ended, so that nothing more can arrive; or something else than alerts arrived.
        """
        self._check()
        with self._inbox.changed:
            return self._inbox.received()

    def wait_for(self, trigger: str, severity: str, timeout: float, *, job: str | None = None) -> Received:
        """Wait until an alert of a trigger fires at the webhook; it may have come already.

        Args:
            trigger: the id of the trigger, or ``blind``.
            severity: ``alert`` or ``rollback``.
            timeout: seconds.
            job: only of this job.

        Raises:
            TargetError: it did not come in time; the message says what came instead.
        """

        def found() -> Received | None:
            for one in self._inbox.received():
                if (one.trigger, one.severity, one.firing) != (trigger, severity, True):
                    continue
                if job is None or one.labels.get("job") == job:
                    return one
            return None

        until = time.monotonic() + timeout
        with self._inbox.changed:
            while (alert := found()) is None:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._check()
                self._inbox.changed.wait(min(left, 1.0))
        if alert is not None:
            return alert
        came = sorted({f"{one.trigger}/{one.severity}" for one in self.alerts() if one.firing})
        raise TargetError(
            f"no alert {trigger}/{severity}{f' of {job}' if job else ''} within {timeout:g} s; "
            f"{', '.join(came) if came else 'nothing'} came; Prometheus holds {self._active()}"
        )

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What Prometheus answers to an expression now: (labels, value) of each series.

        Raises:
            TargetError: it does not answer, or the expression is none.
        """
        self._check()
        try:
            answer = _get(f"{self.url}/api/v1/query", timeout=10.0, params={"query": expression})
            told = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise TargetError(f"{self.url}: Prometheus does not answer the query {expression!r} ({error})") from error
        if told.get("status") != "success":
            raise TargetError(f"{self.url}: {expression!r} is no query: {told.get('error')}; correct it")
        return [(dict(one["metric"]), float(one["value"][1])) for one in told["data"]["result"]]

    def stop(self) -> None:
        """End all of it; what has arrived can still be read."""
        self._servers = ()
        self._stop()

    def _active(self) -> str:
        held = [
            f"{one.get('trigger')}/{one.get('severity')} {one.get('alertstate')}" for one, _ in self.query("ALERTS")
        ]
        return ", ".join(sorted(set(held))) or "no alert"

    def _check(self) -> None:
        for server in self._servers:
            if not server.running():
                raise TargetError(f"{server.name} has ended: {server.said()}; start the stack anew")


@contextmanager
def running_stack(
    rules: Sequence[str], services: Mapping[str, str], *, scrape: float = 1.0
) -> Iterator[PrometheusStack]:
    """Run Prometheus and Alertmanager until the block ends. It begins when every service has been scraped, or asked in vain.

    They end with the thread that runs them, whatever ends it (on Linux).

    Args:
        rules: files of rules, as ``rules_text`` writes them.
        services: job -> the URL of the service; its metrics lie at ``/metrics`` unless the URL has a path.
        scrape: seconds between two scrapes.

    Raises:
        StackMissing: a program is not installed.
        TargetError: one of them does not come up, for example because it refuses the rules.
    """
    found = programs()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="gonogo-prometheus-")))
        inbox = Inbox()
        webhook = ending.enter_context(served_inbox(inbox))
        routes = folder / "alertmanager.yml"
        routes.write_text(routes_text(f"{webhook}/rollback", f"{webhook}/people", "a stack on loopback"))
        alertmanager = _Server("alertmanager", folder, lambda port: _alertmanager(found, folder, port))
        ending.callback(alertmanager.stop)
        for number, text in enumerate(rules):
            (folder / f"{number}.rules.yml").write_text(text, encoding="utf-8")
        config = _configuration(services, alertmanager.url, scrape)
        (folder / "prometheus.yml").write_text(as_yaml(config, ()), encoding="utf-8")
        prometheus = _Server("prometheus", folder, lambda port: _prometheus(found, folder, port))
        ending.callback(prometheus.stop)
        stack = PrometheusStack(prometheus, alertmanager, inbox, ending.close)
        _wait_until_scraped(stack, services)
        inbox.began = time.monotonic()
        yield stack


def _wait_until_scraped(stack: PrometheusStack, services: Mapping[str, str]) -> None:
    """Prometheus takes some seconds to find what it is to scrape."""
    until = time.monotonic() + _PATIENCE
    while missing := services.keys() - {labels.get("job") for labels, _ in stack.query("up")}:
        if time.monotonic() > until:
            raise TargetError(f"Prometheus does not scrape {', '.join(sorted(missing))} after {_PATIENCE:g} s")
        time.sleep(0.1)


def _alertmanager(found: Programs, folder: Path, port: int) -> Sequence[str]:
    return (
        found.alertmanager,
        "--config.file=alertmanager.yml",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",  # alone, so it listens for no others
        "--log.level=warn",
    )


def _prometheus(found: Programs, folder: Path, port: int) -> Sequence[str]:
    return (
        found.prometheus,
        "--config.file=prometheus.yml",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )


def _configuration(services: Mapping[str, str], alertmanager: str, scrape: float) -> dict[str, Any]:
    jobs = []
    for job, url in services.items():
        parts = urlsplit(url)
        jobs.append(
            {
                "job_name": job,
                "scheme": parts.scheme,
                "metrics_path": parts.path.rstrip("/") or "/metrics",
                "static_configs": [{"targets": [parts.netloc]}],
            }
        )
    interval = f"{max(1, round(scrape * 1000))}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["*.rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [urlsplit(alertmanager).netloc]}]}]},
        "scrape_configs": jobs,
    }


def _get(url: str, *, timeout: float, params: Mapping[str, str] | None = None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not on the way to this machine
        return session.get(url, timeout=timeout, params=params)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
