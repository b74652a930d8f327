"""The help desk of docs/examples: judged in process and in service, by the same suites and with the same outcome.

The commands are those of docs/live.md, with ports and a token of their own.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from sandbox import Answer, run_pytest

from gonogo.documentation import blocks
from gonogo.targets.faults import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
HELPDESK = ROOT / "docs" / "examples" / "helpdesk"
PRE = "pytest acceptance/"
STUB = "gonogo stub serve"
SERVICE = (
    "HELPDESK_TOKEN=only-here HELPDESK_MODEL_TIMEOUT=1 HELPDESK_MODEL_RETRIES=0 "
    "uvicorn --factory helpdesk.service:from_environment --port 8010"
)
LIVE = "--gonogo-phase=post --gonogo-target=http://127.0.0.1:8010 --gonogo-stub=http://127.0.0.1:11434"
POST = f"HELPDESK_TOKEN=only-here pytest acceptance/ {LIVE}"
READ_ONLY = f"HELPDESK_TOKEN=only-here pytest acceptance/ {LIVE} --gonogo-read-only"
RECORD = (
    'gonogo recordings add replies/triage.yaml --release candidate --provenance synthetic --note "written by hand"',
    'gonogo recordings add replies/answer.yaml --release candidate --provenance synthetic --note "written by hand"',
)
_PATIENCE = 30.0  # seconds for a server to come up

# What takes long in the example, and is no other in kind where it is less.
_FEWER = {
    "cases = 50\n": "cases = 4\n",
    "cases = 310 ": "cases = 40 ",
    "minimum = 300": "minimum = 30",
    'go = "< 0.01"': 'go = "< 0.1"',
    "rounds = 600": "rounds = 320",
    'go = "< 0.001"': 'go = "< 0.1"',
}


def copied(folder: Path) -> Path:
    """A copy of the example, with smaller numbers."""
    ignored = shutil.ignore_patterns("reports", "__pycache__", ".gonogo_cache")
    project = Path(shutil.copytree(HELPDESK, folder / "helpdesk", ignore=ignored))
    criteria = project / "acceptance" / "criteria.toml"
    text = criteria.read_text(encoding="utf-8")
    for old, new in _FEWER.items():
        assert text.count(old) == 1, f"{old} stands there {text.count(old)} times"
        text = text.replace(old, new)
    criteria.write_text(text, encoding="utf-8")
    return project


@dataclass(frozen=True)
class Served:
    """A help desk in service: its folder, and what stands in its commands instead of the ports and the token."""

    folder: Path
    token: str
    ports: dict[str, str]

    def here(self, command: str) -> str:
        """A documented command as it is run here."""
        for documented, own in {**self.ports, "only-here": self.token}.items():
            command = re.sub(rf"\b{documented}\b", own, command)
        return command

    def judge(self, command: str, *suites: str, folder: Path | None = None) -> Answer:
        """Run a documented command, or some of its suites."""
        token, _, *arguments = shlex.split(self.here(command))
        name, _, value = token.partition("=")
        arguments = [*(suites or arguments[:1]), *arguments[1:]]
        return run_pytest(folder or self.folder, *arguments, environment={name: value})

    def ask(self, path: str) -> requests.Response:
        """What the service answers."""
        url = f"http://127.0.0.1:{self.ports['8010']}{path}"
        return requests.get(url, headers={"Authorization": f"Bearer {self.token}"}, timeout=5)

    @property
    def log(self) -> Path:
        """What the service wrote."""
        return self.folder / "service.log"


@contextmanager
def running(command: str, folder: Path, log: Path, url: str) -> Iterator[None]:
    """A documented server, until the block ends."""
    words, environment = shlex.split(command), dict[str, str]()
    while "=" in words[0]:
        name, _, environment[name] = words.pop(0).partition("=")
    program = str(Path(sys.executable).parent / words[0])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *words[1:]],
            cwd=folder,
            env={**os.environ, **ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until = time.monotonic() + _PATIENCE
        while not answers(url):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < until, log.read_text(errors="replace")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


@contextmanager
def served(project: Path) -> Iterator[Served]:
    """The stub and the service, started as documented."""
    live = Served(project, secrets.token_hex(16), {"8010": free_port(), "11434": free_port()})
    stub = f"http://127.0.0.1:{live.ports['11434']}"
    serve = live.here(SERVICE).replace("uvicorn", f"HELPDESK_MODEL_URL={stub}/v1 uvicorn", 1)
    service = f"http://127.0.0.1:{live.ports['8010']}/health"
    with (
        running(f"{STUB} --port {live.ports['11434']}", project, project / "stub.log", f"{stub}/_gonogo/health"),
        running(serve, project, live.log, service),
    ):
        yield live


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(copied(tmp_path_factory.mktemp("live"))) as service:
        yield service


def failing(answer: Answer) -> set[str]:
    return {criterion for criterion, verdict in answer.verdicts.items() if verdict == "NO-GO"}


def lose_the_user_message(project: Path) -> None:
    path = project / "helpdesk" / "service.py"
    text = path.read_text(encoding="utf-8")
    assert text.count("return build_prompt(step, form)") == 1
    path.write_text(text.replace("return build_prompt(step, form)", "return build_prompt(step, form)[:1]"))


@pytest.mark.slow
def test_in_process_the_help_desk_ends_go(tmp_path: Path) -> None:
    answer = run_pytest(copied(tmp_path), *shlex.split(PRE)[1:])
    assert answer.status == 0, answer.output
    assert answer.document["run"]["phase"] == "pre"
    assert [name for name, verdict in answer.verdicts.items() if verdict == "GO"] == [
        "prompt-structure",
        "format-templates",
        "field-mapping",
        "hostile-inputs",
        "determinism",
        "error-handling",
        "error-rate",
        "construction-time",
        "report-integrity",
    ]


@pytest.mark.slow
def test_in_service_it_ends_go_leaves_no_ticket_and_the_token_in_no_file(live: Served) -> None:
    answer = live.judge(POST)
    assert answer.status == 0, answer.output
    assert answer.document["run"]["phase"] == "post-stub"
    assert answer.verdicts["environment"] == "GO"
    assert live.ask("/tickets").json() == {"page": {"tickets": []}}
    assert "POST /tickets HTTP/1.1" in live.log.read_text(), "tickets were made, and removed"
    assert live.token not in answer.output
    holding = [path for path in live.folder.rglob("*") if path.is_file() and live.token.encode() in path.read_bytes()]
    assert holding == []


@pytest.mark.slow
def test_read_only_names_what_is_not_judged_and_makes_no_ticket(live: Served) -> None:
    before = live.log.read_text().count("POST /tickets HTTP/1.1")
    answer = live.judge(READ_ONLY)
    assert answer.status == 10, answer.output
    assert "read only: previews alone were asked for" in re.sub(r"\s+", " ", answer.output)
    open_ = {criterion for criterion, verdict in answer.verdicts.items() if verdict == "INCONCLUSIVE"}
    assert open_ == {"error-handling", "error-rate", "report-integrity"}
    assert "the target does not offer: reply" in answer.reasons("error-handling")
    assert answer.verdicts["construction-time"] == "GO", "the service's own histogram tells, whatever is asked"
    assert live.log.read_text().count("POST /tickets HTTP/1.1") == before


def test_a_wrong_token_is_told_without_the_token(live: Served) -> None:
    wrong = "wrong-" + secrets.token_hex(16)
    answer = live.judge(POST.replace("only-here", wrong))
    assert answer.status == 4, answer.output
    assert "put a token that it takes into HELPDESK_TOKEN" in answer.output
    assert wrong not in answer.output
    assert not [path for path in live.folder.rglob("*") if path.is_file() and wrong.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_lost_user_message_fails_the_same_criteria_in_process_and_in_service(tmp_path: Path) -> None:
    project = copied(tmp_path)
    lose_the_user_message(project)
    suites = [f"acceptance/test_{name}.py" for name in ("prompt_structure", "field_mapping", "format_templates")]
    before = run_pytest(project, *suites)
    with served(project) as service:
        after = service.judge(POST, *suites)
    assert (before.status, after.status) == (1, 1)
    assert failing(before) == failing(after) == {"prompt-structure", "field-mapping", "format-templates"}
    assert before.reasons("prompt-structure") == after.reasons("prompt-structure")


def test_replies_are_recorded_as_documented_before_there_are_any(tmp_path: Path) -> None:
    project = copied(tmp_path)
    shutil.rmtree(project / "recordings")
    for command in RECORD:
        words = shlex.split(command)
        program = str(Path(sys.executable).parent / words[0])
        done = subprocess.run(
            [program, *words[1:]], cwd=project, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    kept = {path.name: path.read_text(encoding="utf-8") for path in (HELPDESK / "recordings/3.2.0").iterdir()}
    for name, text in kept.items():
        written = (project / "recordings" / "3.2.0" / name).read_text(encoding="utf-8")
        assert without_provenance(written) == without_provenance(text)


def without_provenance(text: str) -> str:
    return re.sub(r"    (recorded|note): .*\n", "", text)


def test_every_command_of_the_document_is_run_here() -> None:
    text = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    documented = {command for block in blocks(text) if block.language == "console" for command in block.commands}
    assert documented == {f"cd {HELPDESK.relative_to(ROOT)}", STUB, SERVICE, POST, READ_ONLY, *RECORD}


def test_the_suites_of_the_help_desk_are_copies() -> None:
    suites = sorted(HELPDESK.glob("acceptance/test_*.py"))
    assert len(suites) == 9
    for suite in suites:
        assert suite.read_bytes() == (ROOT / "acceptance" / suite.name).read_bytes(), f"copy {suite.name} again"
