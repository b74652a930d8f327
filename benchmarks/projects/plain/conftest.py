"""Everything a plain suite needs: the material, loaded once, and a model that answers by the hash of the request."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import requests
import responses
import yaml

SHARED = Path(__file__).parents[1] / "shared"
sys.path.insert(0, REPOSITORY)


def pytest_addoption(parser):
    parser.addoption("--attach-prompts", action="store_true", help="Attach every prompt to its Allure result.")
    parser.addoption("--look-up", action="store_true", help="Look replies up by their request, without HTTP.")


def key_of(body):
    whole = {"operation": "/api/generate", "body": body}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.fixture(scope="session")
def replies():
    replies = {}
    for path in sorted((SHARED / "recordings" / "2.0.0").glob("*.yaml")):
        for one in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["recordings"]:
            replies[key_of(one["request"]["body"])] = one["reply"]["text"]
    return replies


@pytest.fixture(scope="session")
def ask(replies, pytestconfig):
    """A function: the body of a request in, the text of the reply out, or none."""
    if pytestconfig.getoption("--look-up"):
        yield lambda body: replies.get(key_of(body))
        return

    def answer(request):
        body = json.loads(request.body)
        text = replies.get(key_of(body))
        if text is None:
            return 404, {}, json.dumps({"error": "no recording"})
        return 200, {}, json.dumps({"model": body["model"], "response": text, "done": True})

    with responses.RequestsMock() as router:
        router.add_callback(responses.POST, "http://127.0.0.1:11434/api/generate", answer, content_type="application/json")


        def post(body):
            answered = requests.post("http://127.0.0.1:11434/api/generate", json=body, timeout=10)
            router.calls.reset()  # responses keeps every call for ever
            return answered.json()["response"] if answered.status_code == 200 else None

        yield post
