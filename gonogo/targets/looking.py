"""Looks at a live service: its health, its page of metrics, its release; or at what a Prometheus server knows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol
from urllib.parse import quote

from gonogo.contract import Contract
from gonogo.errors import TargetError
from gonogo.metrics import MetricSample, read_metrics
from gonogo.standing import Look
from gonogo.targets.sockets import NoAnswer, SocketTransport

__all__ = ["Looker", "PrometheusPages", "ServicePages"]

_PATIENCE = 5.0  # seconds for one answer; a service that takes longer to say how it is, is not well
Page = tuple[tuple[MetricSample, ...] | None, str | None, str]  # samples, release, and why there are none


class Pages(Protocol):
    """Where pages of metrics come from."""

    def __call__(self) -> Page:
        """The newest page, and the release that it is of; or why there is none."""
        ...


class ServicePages:
    """The service's own metrics, as ``metrics`` of ``[target]`` says how to ask for them.

    Raises:
        TargetError: the contract does not say.
    """

    def __init__(self, transport: SocketTransport, contract: Contract) -> None:
        call = contract.call("metrics")
        self._transport, self._contract = transport, contract
        self._method, path = call.method, call.path
        self._path = path.partition("?")[0] if "{name}" in path.partition("?")[2] else path  # the whole page
        if "{name}" in self._path:
            raise TargetError(
                f"[target] metrics = {call.method} {call.path}: a watch asks for all metrics at once; let {{name}} stand behind a ? only"
            )

    def __call__(self) -> Page:
        """The page as it is now. A page that was cut off shows nothing."""
        try:
            answer = self._transport(self._method, self._path)
        except NoAnswer as lost:
            return None, None, f"{self._path}: {lost}"
        release = answer.headers.get(self._contract.version_header.lower()) if self._contract.version_header else None
        if answer.status != 200:
            return None, release, f"{self._path} answers {answer.status}"
        text = answer.body.decode(errors="replace")
        if not text.endswith("\n"):
            return None, release, f"{self._path}: the page of metrics is cut off after {len(text)} characters"
        samples = tuple(read_metrics(text))
        if not samples:
            return None, release, f"{self._path}: there is no sample on the page; correct metrics in [target]"
        return samples, release or _told_release(samples, self._contract), ""


class PrometheusPages:
    """What a Prometheus server has scraped last of a service; ``selector`` tells which, as ``job="blog"``.

    Series that the server no longer gets vanish from its answers after five minutes, or at once where their target is gone.
    """

    def __init__(self, transport: SocketTransport, contract: Contract, selector: str) -> None:
        names = sorted({one.partition("{")[0] for one in contract.metrics.values()})
        wanted = "|".join(f"{name}(_bucket|_count)?" for name in names)
        query = f'{{__name__=~"{wanted}"{"," if selector else ""}{selector}}}'
        self._transport, self._contract, self._selector = transport, contract, selector
        self._path = f"/api/v1/query?query={quote(query, safe='')}"

    def __call__(self) -> Page:
        """The newest values."""
        try:
            answer = self._transport("GET", self._path)
            told = answer.json()
        except (NoAnswer, ValueError) as lost:
            return None, None, f"Prometheus: {lost}"
        if answer.status != 200 or not isinstance(told, dict) or told.get("status") != "success":
            return None, None, f"Prometheus answers {answer.status}: {json.dumps(told)[:200]}"
        samples = tuple(
            MetricSample(
                one["metric"]["__name__"],
                {name: value for name, value in one["metric"].items() if name != "__name__"},
                float(one["value"][1]),
            )
            for one in told["data"]["result"]
        )
        if not samples:
            return (
                None,
                None,
                f"Prometheus knows no metric of [target.metric_names] with {self._selector or 'any labels'}",
            )
        return samples, _told_release(samples, self._contract), ""


def _told_release(samples: tuple[MetricSample, ...], contract: Contract) -> str | None:
    """The release by the metric that tells it; none where several answer, or none does."""
    metric = contract.metrics.get("release")
    told = {one.labels.get("version") for one in samples if metric is not None and one.is_of(metric) and one.value}
    return told.pop() if len(told) == 1 else None


class Looker:
    """Looks at everything that a watch judges, all of it at once: a service that hangs costs a look the time of one answer.

    ``close`` ends its connections.

    Args:
        url: where the service is.
        contract: how it is asked.
        environ: where its token is read.
        complaints: what users complain of at this moment: id -> whether it is significant; none where that is unknown.
        prometheus: the address of a Prometheus server that is asked for the metrics, or none.
        selector: which of the series that it has are the service's.

    Raises:
        TargetError: the address is none, or the contract does not say how to ask for health or for metrics.
    """

    def __init__(
        self,
        url: str,
        contract: Contract,
        environ: Mapping[str, str],
        *,
        complaints: Callable[[], Mapping[str, bool] | None] = dict,
        prometheus: str | None = None,
        selector: str = "",
    ) -> None:
        quick = replace(contract, timeout=min(contract.timeout, _PATIENCE))
        if not quick.health:
            raise TargetError(
                "criteria.toml does not say how to ask whether the service is well; add health to [target]"
            )
        self._complaints = complaints
        self._health = {path: SocketTransport(url, quick, environ) for path in quick.health}
        self._pages: Pages
        if prometheus is None:
            source = SocketTransport(url, quick, environ)
            self._pages = ServicePages(source, quick)
        else:
            source = SocketTransport(prometheus, replace(quick, token_env="", ca=""), environ)
            self._pages = PrometheusPages(source, quick, selector)
        self._transports = [source, *self._health.values()]
        self._threads = ThreadPoolExecutor(len(self._transports), "look")

    def __call__(self, at: float) -> Look:
        """What is to be seen at a moment, in seconds from the beginning of the watch."""
        page = self._threads.submit(self._pages)
        asked = {path: self._threads.submit(_status, transport, path) for path, transport in self._health.items()}
        health = {path: one.result() for path, one in asked.items()}
        samples, release, why = page.result()
        return Look(at, samples, release, health, why, self._complaints())

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown()
        for transport in self._transports:
            transport.close()


def _status(transport: SocketTransport, path: str) -> int:
    try:
        return transport("GET", path).status
    except NoAnswer:
        return 0
