"""A few recordings that are served to tests over the wire: in one piece, as a recorded stream, of two providers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gonogo.model import Frame, Json, Provenance, Recording, Reply, Request
from gonogo.recordings import dump_recordings

BODY: dict[str, Json] = {"model": "llama3.1:8b", "prompt": "Find facts.\nAbout roads.", "stream": False}
CHAT: dict[str, Json] = {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "Go."}]}
WHOLE = Recording(
    "facts/roads",
    "facts",
    ("roads",),
    Request("ollama", "/api/generate", BODY),
    Reply("Straight and paved."),
    Provenance.SYNTHETIC,
    "2026-11-23",
)
LINES = (
    b'{"model": "llama3.1:8b", "message": {"role": "assistant", "content": "Straight "}, "done": false}\n',
    b'{"model": "llama3.1:8b", "message": {"role": "assistant", "content": "ahead."}, "done": false}\n',
    b'{"model": "llama3.1:8b", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"}\n',
)
FRAMES = tuple(Frame(offset, line) for offset, line in zip((0.2, 0.4, 0.6), LINES, strict=True))
STREAM = replace(
    WHOLE,
    id="facts/stream",
    cases=("stream",),
    request=Request("ollama", "/api/chat", CHAT),
    reply=Reply("Straight ahead.", frames=FRAMES),
)
SPOKEN = replace(
    WHOLE, id="facts/spoken", cases=("spoken",), request=Request("openai", "/v1/chat/completions", {**CHAT, "n": 1})
)
RECORDINGS = (WHOLE, STREAM, SPOKEN)


def write_recordings(folder: Path, *recordings: Recording) -> Path:
    """A folder of recordings as a release has it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "facts.yaml").write_text(dump_recordings("facts", recordings), encoding="utf-8")
    return folder
