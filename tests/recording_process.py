"""A model's server that does as it is told, and ``gonogo record`` in front of it as a process of its own."""

from __future__ import annotations

import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gonogo.model import Json, Reply, Request
from gonogo.stub.protocols import media_type, reply_frames


@dataclass
class Told:
    """What the server answers to one path: chunks, each after a wait; without ``ends`` the connection breaks after them."""

    chunks: Sequence[tuple[float, bytes]] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ends: bool = True


@dataclass
class Model:
    """The server. ``asked`` are the requests that reached it: first line, headers, body."""

    url: str = ""
    answers: dict[str, Told] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)  # when each chunk was sent, by time.monotonic
    broken: threading.Event = field(default_factory=threading.Event)  # a client left before the answer had ended

    def says(self, request: Request, reply: Reply, *, waits: Sequence[float] = (), pieces: int = 0) -> None:
        """Answer the operation of this request with a reply: its frames, or its body in so many pieces."""
        frames = [frame.data for frame in reply_frames(request, reply)]
        if pieces:
            body = b"".join(frames)
            size = len(body) // pieces + 1
            frames = [body[start : start + size] for start in range(0, len(body), size)]
        chunks = [(waits[number % len(waits)] if waits else 0.0, data) for number, data in enumerate(frames)]
        self.answers[request.operation] = Told(chunks, reply.status, {"Content-Type": media_type(request)})


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        model: Model = self.server.model  # type: ignore[attr-defined]  # set below
        first = self.rfile.readline().decode().strip()
        if not first:  # a client that connected and was killed
            return
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        while headers.get("transfer-encoding") == "chunked" and (size := int(self.rfile.readline(), 16)):
            body += self.rfile.read(size)
            self.rfile.readline()
        model.asked.append((first, headers, body))
        told = model.answers.get(first.split(" ")[1].partition("?")[0], Told(status=404))
        try:
            self._answer(told, model)
        except OSError:
            model.broken.set()

    def _answer(self, told: Told, model: Model) -> None:
        head = {"Transfer-Encoding": "chunked", "Connection": "close", **told.headers}
        lines = [f"HTTP/1.1 {told.status} Told", *(f"{name}: {value}" for name, value in head.items())]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())
        for wait, data in told.chunks:
            time.sleep(wait)
            model.sent.append(time.monotonic())
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if told.ends:
            self.wfile.write(b"0\r\n\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def served_model() -> Iterator[Model]:
    """The server, until the block ends."""
    model = Model()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.model = model  # type: ignore[attr-defined]
        model.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Recorder:
    """The process. ``url`` is where it listens; ``said`` and ``complained`` are there when it has been stopped."""

    process: subprocess.Popen[str]
    first: str
    url: str
    said: str = ""
    complained: str = ""

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        if self.process.poll() is None and self.process.returncode is None:
            self.process.send_signal(how)
        self.said, self.complained = self.process.communicate(timeout=30)
        return self.process.returncode


@contextmanager
def recorder(
    upstream: str,
    out: Path,
    *options: str,
    provider: str = "ollama",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Recorder]:
    """``gonogo record`` until the block ends; killed where the block has not stopped it."""
    command = [sys.executable, "-P", "-m", "gonogo", "record", "--provider", provider, "--upstream", upstream]
    with subprocess.Popen(
        [*command, "--out", str(out), "--port", "0", "--stop-with-stdin", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder or out.parent,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("gonogo record: "), process.communicate(timeout=30)
            yield Recorder(process, first, first.split(" ")[2])
        finally:
            if process.returncode is None:
                process.kill()
                process.communicate(timeout=30)


def sse(*values: Json) -> bytes:
    """Server-sent events."""
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in values)
