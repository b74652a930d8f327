"""A site with two releases, its deployer as a process, and users who never stop asking."""

from __future__ import annotations

import http.client
import json
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from ops.listener import address, stop_holder
from ops.servers import starts
from ops.site import Site, create_site, open_site
from ops.status import look

ROOT = Path(__file__).parent.parent
OLD, NEW = "1.9.0", "2.0.0"


def prepare(folder: Path) -> Path:
    """A site with both releases and a database, to be copied: nothing of it runs."""
    site = DeployedSite.make(folder)
    site.done("add", str(ROOT), "--overlay", str(ROOT / "fixtures" / "releases" / OLD), "--version", OLD)
    site.done("add", str(ROOT), "--version", NEW)
    site.done("migrate", OLD)
    return folder


def overlaid(folder: Path, path: str, old: str, new: str) -> Path:
    """A folder to lay over the bundled release: one file of it, with one text replaced."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path}: {old!r} does not stand there once"
    target.write_text(text.replace(old, new), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class DeployedSite:
    """A site in a folder of its own, by its command line."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, **settings: object) -> DeployedSite:
        """A new site, over a SQLite database in its folder unless ``environment`` says otherwise."""
        usual = {
            "BLOG_DATABASE_URL": f"sqlite:///{folder}/blog.sqlite3",
            "BLOG_LLM_BASE_URL": "http://127.0.0.1:9",
            "BLOG_LLM_BACKOFF": "0",
        }
        create_site(folder, {"environment": usual, "threads": 4, **settings})
        return cls(folder)

    @classmethod
    def copied(cls, prepared: Path, folder: Path, **settings: object) -> DeployedSite:
        """A site with the releases and the database of a prepared one."""
        made = cls.make(folder, **settings)
        shutil.copytree(prepared / "releases", folder / "releases", dirs_exist_ok=True)
        shutil.copyfile(prepared / "blog.sqlite3", folder / "blog.sqlite3")
        return made

    @property
    def site(self) -> Site:
        return open_site(self.folder)

    @property
    def url(self) -> str:
        known = address(self.site)
        assert known is not None
        return f"http://{known[0]}:{known[1]}"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One call of the deployer."""
        return subprocess.run(
            self._command(arguments),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def done(self, *arguments: str) -> str:
        """What a call printed that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, status: int = 1) -> str:
        """The last line of a call that must not succeed."""
        done = self.run(*arguments)
        assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1]

    @contextmanager
    def held(self, point: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A call that stands still at a point; killed at the end, as by kill -9."""
        with subprocess.Popen(
            self._command(["--hold", point, *arguments]),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            try:
                said = ""
                for line in process.stderr:
                    said += line
                    if line == f"held at {point}\n":
                        break
                else:
                    raise AssertionError(f"{arguments} never came to {point}:\n{said}")
                yield process
            finally:
                process.kill()

    def killed(self, point: str, *arguments: str) -> None:
        """A call that was killed at a point."""
        with self.held(point, *arguments):
            pass

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        return look(self.site).as_json()

    def steps(self) -> list[dict[str, Any]]:
        """The log of steps."""
        return [json.loads(line) for line in self.site.steps.read_text(encoding="utf-8").splitlines()]

    def ask(self, path: str, timeout: float = 10) -> Any:
        """An answer of what serves."""
        with requests.Session() as session:
            return session.get(self.url + path, timeout=timeout).json()

    def post_titles(self) -> set[str]:
        """The titles of all posts."""
        titles, after = set(), 0
        while page := self.ask(f"/api/posts?after={after}")["posts"]:
            titles |= {one["title"] for one in page}
            after = page[-1]["id"]
        return titles

    def close(self) -> None:
        """End everything that it has running, at once."""
        site = self.site
        for one in starts(site):
            if one.process is not None:
                one.process.kill_session()
        stop_holder(site)

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "ops", "--site", str(self.folder), *arguments]


@dataclass
class Load:
    """Users of a site: some on fresh connections, some on kept ones; some read, some write."""

    url: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def on(cls, site: DeployedSite) -> Iterator[Load]:
        """Users who ask until the block ends."""
        load = cls(site.url)
        threads = [
            threading.Thread(target=load._go, args=(keep, name)) for name, keep in (("fresh", False), ("kept", True))
        ]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load._over.set()
            for thread in threads:
                thread.join()

    def _go(self, keep: bool, name: str) -> None:
        connection = self._connect()
        number = 0
        while not self._over.wait(0.01):
            number += 1
            if not keep or _was_closed(connection):
                connection.close()
                connection = self._connect()
            title = f"{name} {number}" if number % 5 == 0 else None
            try:
                if title is None:
                    connection.request("GET", "/readyz")
                else:
                    connection.request(
                        "POST", "/api/posts", json.dumps({"title": title, "fields": {"seed_idea": "x" * 200}})
                    )
                answer = connection.getresponse()
                answer.read()
                problem = None if answer.status in {200, 201} else f"status {answer.status}"
                release = answer.headers["X-Release"] or ""
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                problem, release = repr(error), ""
            with self._lock:
                if problem is not None:
                    self.failed.append(f"{name} {number} at {time.monotonic():.3f}: {problem}")
                    continue
                self.answered += 1
                self.releases.add(release)
                if title is not None:
                    self.written.add(title)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)


def _was_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a kept connection: a client looks before it sends."""
    return connection.sock is None or bool(select.select([connection.sock], [], [], 0)[0])
