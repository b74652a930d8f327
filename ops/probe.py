"""Asking a release over HTTP, as its users do."""

from __future__ import annotations

import json
from typing import Any

import requests

from ops.errors import Refused

__all__ = ["TIMEOUT", "answers_as", "version_of", "works"]

TIMEOUT = 5.0  # seconds for an answer of a healthy release


def works(base: str, version: str, *, rounds: int, timeout: float = TIMEOUT) -> str:
    """Ask for health, readiness and version, each time on a fresh connection, then for a preview. What was found, in words.

    Args:
        base: the URL to ask.
        version: the release that must answer.
        rounds: how often.
        timeout: seconds for each answer.

    Raises:
        Refused: an answer is missing, is not 200, or is another release's.
    """
    for _ in range(rounds):
        answers_as(base, version, timeout=timeout)
    step = _preview(base, version, timeout)
    return f"{3 * rounds} answers of {version}, and a preview of {step}"


def answers_as(base: str, version: str, *, timeout: float = TIMEOUT) -> None:
    """Ask for health, readiness and version once.

    Raises:
        Refused: an answer is missing, is not 200, or is another release's.
    """
    for path in ("/healthz", "/readyz"):
        _ask("GET", base + path, timeout=timeout)
    told = version_of(base, timeout=timeout)
    if told != version:
        raise Refused(f"{base}/version answers {told!r}, not {version!r}; add the tree under the version that it tells")


def version_of(base: str, *, timeout: float = TIMEOUT) -> str:
    """The version that answers.

    Raises:
        Refused: none does.
    """
    answer = _ask("GET", f"{base}/version", timeout=timeout)
    version = answer.get("version") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        raise Refused(f"{base}/version tells no version: {json.dumps(answer)[:200]}")
    return version


def _preview(base: str, version: str, timeout: float) -> str:
    """The step whose prompt was built."""
    answer = _ask("GET", f"{base}/api/steps", timeout=timeout)
    steps = answer.get("steps") if isinstance(answer, dict) else None
    if not steps:
        raise Refused(f"{base}/api/steps: {version} knows no steps; load them with `migrate {version}`")
    step = steps[0]
    body = {"fields": {item["field"]: f"a text for {item['name']}" for item in step["inputs"]}}
    preview = _ask("POST", f"{base}/api/steps/{step['id']}/preview", body, timeout=timeout)
    if not isinstance(preview, dict) or not preview.get("prompt"):
        raise Refused(f"{base}/api/steps/{step['id']}/preview: {version} builds no prompt: {json.dumps(preview)[:200]}")
    if preview.get("fallback"):
        raise Refused(
            f"{base}/api/steps/{step['id']}/preview: {version} falls back to the simple prompt: {preview['fallback']}; "
            "its log says why"
        )
    return str(step["id"])


def _ask(method: str, url: str, body: object = None, *, timeout: float = TIMEOUT) -> Any:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not on the way to this machine
        try:
            answer = session.request(method, url, json=body, timeout=timeout, headers={"Connection": "close"})
            if answer.status_code != 200:
                raise Refused(f"{method} {url} answers {answer.status_code}: {answer.text[:200]!r}; its log says why")
            return answer.json()
        except requests.RequestException as error:
            raise Refused(f"{method} {url}: no answer ({type(error).__name__}: {error})") from error
