"""A small workflow of its own, applications on both databases, and a model on the wire whose faults are real ones."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from flask import Flask

from app.database import Database
from app.factory import create_app
from app.seed import init_db
from app.services import Services

FORMATS = {
    "fields-in": ("input", {"type": "object"}, "Each input stands after its name.", "Named fields."),
    "text-out": ("output", {"type": "string", "minLength": 1}, "Answer with plain text.", "One paragraph."),
    "facts-out": (
        "output",
        {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 2, "maxItems": 3},
        "Answer with a JSON array of two or three strings.",
        "A list of facts.",
    ),
}
STEPS: dict[str, dict[str, Any]] = {
    "planning/idea/concept.yaml": {
        "id": "concept",
        "name": "Concept",
        "stage": "Planning",
        "substage": "Idea",
        "order": 1,
        "model": "llama3.1:8b",
        "parameters": {"temperature": 0.4, "num_predict": 512, "mirostat": 1},
        "system_prompt": "You are an editor.\n",
        "task_prompt": "Write a concept for [data:audience].\n",
        "input_format": "fields-in",
        "output_format": "text-out",
        "inputs": [
            {"field": "seed_idea", "name": "Seed Idea", "required": True},
            {"field": "audience", "name": "Audience"},
        ],
        "output_field": "basic_idea",
    },
    "planning/research/facts.yaml": {
        "id": "facts",
        "name": "Facts",
        "stage": "Planning",
        "substage": "Research",
        "order": 2,
        "model": "llama3.1:70b",
        "parameters": {},
        "system_prompt": "You are a researcher.",
        "task_prompt": "List the facts.",
        "input_format": "fields-in",
        "output_format": "facts-out",
        "inputs": [{"field": "basic_idea", "name": "Basic Idea", "required": True}],
        "output_field": "facts",
    },
}


@pytest.fixture
def workflows(tmp_path: Path) -> Path:
    """A workflows folder with two steps: one answers in plain text, one in JSON."""
    folder = tmp_path / "workflows"
    files: dict[str, object] = dict(STEPS)
    for name, (kind, schema, instructions, description) in FORMATS.items():
        files[f"formats/{name}.yaml"] = {
            "id": name,
            "name": name.title(),
            "description": description,
            "fields": {"type": kind, "schema": schema},
            "llm_instructions": instructions,
        }
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1), encoding="utf-8")  # JSON is YAML
    return folder


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A folder with one seed post."""
    folder = tmp_path / "posts"
    folder.mkdir()
    post = {"title": "Roads", "fields": {"seed_idea": "How straight are Roman roads?"}}
    (folder / "roads.yaml").write_text(json.dumps(post), encoding="utf-8")
    return folder


class MakeApp(Protocol):
    def __call__(self, **config: object) -> Flask: ...


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """The log events of the applications that `make_app` made."""
    return []


@pytest.fixture
def make_app(tmp_path: Path, workflows: Path, posts: Path, events: list[dict[str, Any]]) -> Iterator[MakeApp]:
    """Makes seeded applications, each with a database of its own unless DATABASE_URL says otherwise."""
    numbers = count()
    with ExitStack() as stack:

        def make(**config: object) -> Flask:
            app = create_app(
                {
                    "DATABASE_URL": f"sqlite:///{tmp_path / f'app{next(numbers)}.sqlite3'}",
                    "LLM_BACKOFF": 0,
                    "LLM_TIMEOUT": 5,
                    "LOG_SINK": events.append,
                    "LOG_LEVEL": "DEBUG",
                    "WORKFLOWS": workflows,
                    "POSTS": posts,
                    **config,
                }
            )
            services: Services = app.extensions["blog"]
            stack.callback(services.database.close)
            stack.callback(services.llm.close)
            stack.callback(services.metrics.close)
            init_db(services.database, services.settings)
            return app

        yield make


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of this session; the URL of its database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("pg_ctl")
    if not found and not on_path:
        pytest.fail("no PostgreSQL server found; install one (on Debian and Ubuntu: apt-get install postgresql)")
    binaries = found[-1].parent if found else Path(str(on_path)).parent
    # the server refuses to run as root; then it runs as the user that came with its installation
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # not under pytest's folder, into which another user may not look
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    if prefix:
        shutil.chown(home, "postgres")

    def run(*command: str) -> None:
        done = subprocess.run([*prefix, *command], cwd=home, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.fail(f"{command[0]} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")

    data = home / "data"
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
    options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    pg_ctl = str(binaries / "pg_ctl")
    try:
        run(str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        # with its log in a file: a server that kept our pipe would keep us waiting for the pipe's end
        run(pg_ctl, "-D", str(data), "-w", "-o", options, "-l", str(home / "log"), "start")
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'both.sqlite3'}"
    server: str = request.getfixturevalue("postgres_server")
    # emptied rather than created anew, which takes ten times as long
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return server


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database of `database_url`."""
    database = Database(database_url)
    yield database
    database.close()


class Wire:
    """A model's server on a real socket. It plays `script`, one answer a connection, the last one again and again.

    An answer is the bytes to send, or ``"reset"`` (drop the connection), or ``"hang"`` (say nothing), or a pair of the
    bytes to send first and one of these.
    """

    def __init__(self) -> None:
        self.script: list[bytes | str | tuple[bytes, str]] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []  # path and body
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._over.set()
        with closing(socket.create_connection(self._socket.getsockname())):
            pass  # wakes the thread
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self._over.is_set():
                    return
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append((head.split(b" ")[1].decode(), json.loads(body)))
        answer = self.script[min(len(self.requests), len(self.script)) - 1]
        first, then = (
            answer if isinstance(answer, tuple) else (answer, "") if isinstance(answer, bytes) else (b"", answer)
        )
        connection.sendall(first)
        if then == "hang":
            self._over.wait(3)
        elif then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def http() -> Callable[..., bytes]:
    """Builds an HTTP answer."""

    def answer(body: bytes | object, status: int = 200, headers: str = "", length: int | None = None) -> bytes:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        size = len(content) if length is None else length
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}"
        return f"{head}Content-Length: {size}\r\n\r\n".encode() + content

    return answer
