"""Copied as conftest.py. What a plain suite needs: recorded replies, loaded once, and a model that answers with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests
import responses
import yaml

SHARED = Path(__file__).parents[1] / "shared"
MODEL = "http://127.0.0.1:11434/api/generate"

Body: TypeAlias = "dict[str, Any]"
Ask: TypeAlias = "Callable[[Body], str | None]"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the benchmark varies."""
    parser.addoption("--attach-prompts", action="store_true", help="Attach every prompt to its Allure result.")
    parser.addoption("--look-up", action="store_true", help="Look replies up by their request, without HTTP.")


def key_of(body: Body) -> str:
    """What a recording is found by."""
    whole = {"operation": "/api/generate", "body": body}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.fixture(scope="session")
def replies() -> dict[str, str]:
    """Key of a request -> the text of its reply."""
    found: dict[str, str] = {}
    for path in sorted((SHARED / "recordings" / "2.0.0").glob("*.yaml")):
        for one in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["recordings"]:
            found[key_of(one["request"]["body"])] = one["reply"]["text"]
    return found


@pytest.fixture(scope="session")
def ask(replies: dict[str, str], pytestconfig: pytest.Config) -> Iterator[Ask]:
    """A function: the body of a request in, the text of the reply out, or none."""
    if pytestconfig.getoption("--look-up"):
        yield lambda body: replies.get(key_of(body))
        return

    def answer(request: requests.PreparedRequest) -> tuple[int, Mapping[str, str], str]:
        body = json.loads(request.body or b"")
        text = replies.get(key_of(body))
        if text is None:
            return 404, {}, json.dumps({"error": "no recording"})
        return 200, {}, json.dumps({"model": body["model"], "response": text, "done": True})

    with responses.RequestsMock() as router:
        router.add_callback(responses.POST, MODEL, answer, content_type="application/json")

        def post(body: Body) -> str | None:
            answered = requests.post(MODEL, json=body, timeout=10)
            router.calls.reset()  # responses keeps every call for ever
            return answered.json()["response"] if answered.status_code == 200 else None

        yield post
