"""A reply on its way from a model through the recorder into recordings, and from there back to the same client."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from recording_process import recorder, served_model

from gonogo.model import Recording, Reply, Request, ToolCall
from gonogo.recordings import load_recordings
from gonogo.stub.protocols import parse_reply, reply_frames
from gonogo.stub.remote import served_stub

OPERATIONS = {"ollama": "/api/chat", "openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
TEXT = Reply("Straight, paved and é \U0001f600.\n\nRoads, that is.")
CALLS = Reply("Looking.", tool_calls=(ToolCall("search", {"query": 'a "road"', "n": [1, None]}), ToolCall("stop", {})))


def recorded_and_replayed(
    client: Callable[[str, bool], object], provider: str, reply: Reply, streamed: bool, folder: Path
) -> Recording:
    """Let a client ask the model, the recorder and the stub, and see that it is told the same.

    The frames of the model come at uneven times, each by itself.
    """
    out = folder / "2.0.0"
    spoken = Request(provider, OPERATIONS[provider], {"model": "m", "stream": streamed})
    jitter = random.Random(7)
    with served_model() as model:
        waits = [jitter.uniform(0.005, 0.03) for _ in range(40)]
        model.says(spoken, reply, waits=waits)
        told = client(model.url, streamed)
        with recorder(model.url, out, provider=provider) as recording:
            assert client(recording.url, streamed) == told
            assert recording.stop() == 0
        assert "recorded 1, already there 0, cut short 0, failed 0" in recording.said, recording.complained
    [found] = load_recordings(out).recordings
    frames = reply_frames(spoken, reply)
    assert [one.data for one in found.reply.frames] == [one.data for one in frames]
    offsets = [one.offset for one in found.reply.frames]
    assert offsets == sorted(offsets)
    assert offsets[-1] > 0.9 * sum(waits[: len(frames)]), "frames keep their distance"
    parsed = parse_reply(spoken, b"".join(one.data for one in frames))
    assert (found.reply.text, found.reply.tool_calls) == (parsed.text, parsed.tool_calls)
    with served_stub([out], pace="recorded") as url:
        assert client(url, streamed) == told
    return found
