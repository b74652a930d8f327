"""What litellm makes of a reply of each provider: the same behind the recorder and at replay as from the model itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded_clients import TEXT, recorded_and_replayed

pytestmark = pytest.mark.slow  # importing litellm alone takes seconds

# In a process of its own: it warns of how it is built, and asks the network for prices unless it is told not to.
LITELLM = """
import json, sys
import litellm
litellm.telemetry = False
print("ready", flush=True)
for line in sys.stdin:
    url, provider, streamed = json.loads(line)
    model = {"ollama": "ollama_chat/m", "openai": "openai/m", "anthropic": "anthropic/m"}[provider]
    base = url + "/v1" if provider == "openai" else url
    said = litellm.completion(model=model, api_base=base, api_key="none", max_tokens=9, num_retries=0, stream=streamed,
        messages=[{"role": "user", "content": "Go."}])
    def plain(one):
        part = one.choices[0].delta if streamed else one.choices[0].message
        return [part.content, one.choices[0].finish_reason]
    print("said", json.dumps([plain(one) for one in said] if streamed else plain(said)), flush=True)
"""
ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}


@pytest.fixture(scope="module")
def litellm() -> Iterator[subprocess.Popen[str]]:
    """litellm, imported once."""
    with subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", "-c", LITELLM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "ready\n":
            assert line, "litellm cannot be imported; see above what it says"
        yield process
        process.kill()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["ollama", "openai", "anthropic"])
def test_litellm_is_told_the_same_by_the_model_the_recorder_and_the_recording(
    litellm: subprocess.Popen[str], provider: str, streamed: bool, tmp_path: Path
) -> None:
    def ask(url: str, streamed: bool) -> object:
        assert litellm.stdin is not None
        assert litellm.stdout is not None
        litellm.stdin.write(json.dumps([url, provider, streamed]) + "\n")
        litellm.stdin.flush()
        while not (line := litellm.stdout.readline()).startswith("said "):
            assert line, "litellm has ended; see above what it says"
        return json.loads(line.removeprefix("said "))

    recorded_and_replayed(ask, provider, TEXT, streamed, tmp_path)
