"""The served stub beside aimock, both asked by wrk: how many requests are answered in a second.

All servers stand ready before the first round; in each round every one of them is asked, one after the other, so that
what else the machine does meets all of them. Where there are two cores, who answers has one and who asks has the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import requests
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Keep
from benchmarks.served import (
    Aimock,
    Ask,
    Load,
    Material,
    ask_with_wrk,
    chat_of_openai,
    cores,
    generate_of_ollama,
    material,
    on_core,
    streamed_chat_of_openai,
)
from gonogo.stub.protocols import parse_reply, read_request
from gonogo.stub.remote import served_stub

GROUP = "requests in a second"
ROUNDS = 5
FIRST_PASSES = 3  # each of a server of its own
SECONDS = 5
WARM_UP = 6  # every request was asked before
FIRST_PASS = 8  # seconds that a first pass through 10,000 requests may take

pytestmark = pytest.mark.skipif(
    shutil.which("wrk") is None,
    reason="wrk, which asks the servers, is not there; install it (Debian: apt install wrk)",
)


@dataclass(frozen=True)
class Side:
    """One server: who, with how many recordings, how it is asked, and how many copies of its bodies wrk goes through."""

    who: str
    recordings: int
    ask: Ask = chat_of_openai
    copies: int = 1


SIDES: Mapping[str, Side] = {
    "gonogo, 1 recording": Side("gonogo", 1),
    "aimock, 1 recording": Side("aimock", 1),
    "gonogo, 10,000 recordings": Side("gonogo", 10_000),
    "gonogo, 1, of 10,000 copies": Side("gonogo", 1, copies=10_000),
    "aimock, 1,000 recordings": Side("aimock", 1_000),
    "aimock, 10,000 in a map": Side("aimock, by map", 10_000),
    "gonogo, streamed": Side("gonogo", 1, streamed_chat_of_openai),
    "gonogo, Ollama": Side("gonogo", 1, generate_of_ollama),
}
MANY = "gonogo, 10,000 recordings"


@dataclass(frozen=True)
class Files:
    """What the servers read and what wrk posts, written once for each kind of request and number."""

    folder: Path
    aimock: Aimock

    def of(self, side: Side) -> tuple[Material, Path]:
        """What a side is asked, and the folder that holds it in every form."""
        asked = material(side.recordings, side.ask)
        folder = self.folder / f"{side.ask.__name__}-{side.recordings}"
        if not folder.exists():
            folder.mkdir()
            asked.write_recordings(folder / "recordings")
            asked.write_fixtures(folder / "fixtures.json")
            asked.write_bodies(folder / "bodies.jsonl")
        return asked, folder

    def served(self, side: Side) -> AbstractContextManager[str]:
        """The server of a side, until the block ends."""
        _, folder = self.of(side)
        if side.who == "gonogo":
            return served_stub([folder / "recordings"])
        return self.aimock.serve(folder / "fixtures.json", by_map=side.who != "aimock")

    def ask(self, side: Side, url: str, seconds: int) -> Load:
        """Let wrk ask for so long."""
        asked, folder = self.of(side)
        core = cores()
        bodies, on = folder / "bodies.jsonl", core and core[1]
        return ask_with_wrk(url + asked.path, bodies, asked.number, seconds, on, copies=side.copies)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An empty folder for all files, aimock installed beside them."""
    folder = tmp_path_factory.mktemp("stub")
    return Files(folder, Aimock.installed(folder / "aimock"))


@pytest.fixture(scope="module")
def urls(files: Files) -> Iterator[Mapping[str, str]]:
    """Where each side is served: started, warm, and seen to give the right reply."""
    core = cores()
    with ExitStack() as stack:
        found = {}
        for name, side in SIDES.items():
            with on_core(core and core[0]):
                found[name] = stack.enter_context(files.served(side))
            files.ask(side, found[name], WARM_UP)
            _gives_the_right_replies(files, side, found[name])
        yield found


def _gives_the_right_replies(files: Files, side: Side, url: str) -> None:
    """Outside the timing: the first and the last request of the file are answered with their own replies."""
    asked, folder = files.of(side)
    bodies = (folder / "bodies.jsonl").read_bytes().splitlines()
    for number in (0, asked.number - 1):
        request = read_request(asked.path, bodies[number])
        assert request is not None
        answer = requests.post(url + asked.path, data=bodies[number], timeout=10)
        assert answer.status_code == 200, answer.text
        assert parse_reply(request, answer.content).text == asked.reply(number)


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("run", range(1, ROUNDS + 1))
def test_answer_what_wrk_asks(
    run: int, name: str, files: Files, urls: Mapping[str, str], benchmark: BenchmarkFixture, keep: Keep
) -> None:
    benchmark.group = GROUP
    side = SIDES[name]
    files.ask(side, urls[name], 1)  # the processor is warm, and nothing of the side before is left to be done
    seen = benchmark.pedantic(files.ask, (side, urls[name], SECONDS), rounds=1)  # type: ignore[no-untyped-call]
    _take(benchmark, keep, name, seen, seen.seconds)


@pytest.mark.parametrize("run", range(1, FIRST_PASSES + 1))
def test_answer_ten_thousand_requests_that_come_first(
    run: int, files: Files, benchmark: BenchmarkFixture, keep: Keep
) -> None:
    benchmark.group = GROUP
    side = SIDES[MANY]
    core = cores()
    with on_core(core and core[0]):
        server = files.served(side)
    with server as url:
        seen = benchmark.pedantic(files.ask, (side, url, FIRST_PASS), rounds=1)  # type: ignore[no-untyped-call]
    assert seen.first_pass, f"the first pass took longer than {FIRST_PASS} s"
    _take(benchmark, keep, "gonogo, 10,000, first pass", seen, seen.first_pass)


def _take(benchmark: BenchmarkFixture, keep: Keep, name: str, seen: Load, seconds: float) -> None:
    # what is timed here is all of wrk; what counts is what wrk tells
    benchmark.extra_info.update(asdict(seen), requests_per_second=1 / seconds, cores=cores())
    keep("stub", GROUP, name, seconds)
