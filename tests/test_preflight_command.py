"""``gonogo preflight``: the environment of a release or of a service, in lines or JSON, and the status that a deployer reads."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from small_project import CONFTEST, CRITERIA, write_project

from gonogo.cli import main

ADAPTER = """\
import json
from pathlib import Path

from gonogo.targets.constructor import FunctionAdapter


def open_release(context):
    facts = json.loads(Path(__file__).with_name("facts.json").read_text())
    if "raises" in facts:
        raise OSError(facts["raises"])
    return FunctionAdapter(context, lambda step, inputs: "", facts)
"""
PYPROJECT = """\
[project]
requires-python = ">=3.9"
dependencies = ["Flask_Login>=1", "tomli; python_version < '3.9'"]
"""
FACTS: dict[str, Any] = {
    "python": "3.11.7",
    "dependencies": {"flask-login": "1.2"},
    "answers": {"/healthz": 200, "/readyz": 200},
    "version_told": "2.0",
    "startup_errors": [],
    "deployed": {"answers": {"/healthz": 200}, "keeps_posts": True, "same_steps": True},
}
TARGET = """
[target]
preview = "POST /posts/{post}/preview"
create = "POST /posts"
delete = "DELETE /posts/{post}"
version = "GET /version"
health = ["/healthz"]
"""
ENVIRONMENT = """
[[criterion]]
id = "environment"
title = "It stands on what it declares"
group = "Operation"
per = ["run"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose release is sound, worked in."""
    write_project(tmp_path)
    release = 'candidate=Release("2.0", '
    assert release in CONFTEST
    adapter = 'f"{ROOT / \'adapter.py\'}:open_release", ROOT, packages=("letters",)),\n        baseline=Release("1.0", '
    rest = CONFTEST.partition('baseline=Release("1.0", ')[2]
    write(tmp_path, "conftest.py", CONFTEST.partition(release)[0] + release + adapter + rest)
    write(tmp_path, "letters/__init__.py", "")
    (tmp_path / "letters" / "__init__.py").chmod(0o644)
    write(tmp_path, "adapter.py", ADAPTER)
    write(tmp_path, "pyproject.toml", PYPROJECT)
    write(tmp_path, "criteria.toml", CRITERIA + ENVIRONMENT + TARGET)
    told(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(text, encoding="utf-8")


def told(project: Path, **other: Any) -> None:
    """Let the release tell something else; nothing of what is none."""
    facts = {name: value for name, value in {**FACTS, **other}.items() if value is not None}
    write(project, "facts.json", json.dumps(facts))


def preflight(*arguments: str) -> Result:
    """Run the command. A traceback is no way to end."""
    result = CliRunner().invoke(main, ["preflight", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_sound_release_is_go_line_by_line(project: Path) -> None:
    result = preflight()
    assert result.exit_code == 0, result.output
    *lines, disk, reports, last = result.output.splitlines()
    assert lines == [
        "ok      Python 3.11.7 is within >=3.9",
        "ok      Flask_Login 1.2 satisfies Flask_Login>=1",
        "ok      tomli; python_version < '3.9' is not asked for here",
        "ok      /healthz answers 200",
        "ok      /readyz answers 200",
        "ok      the application says that it is 2.0, judged is 2.0",
        "ok      deployed, /healthz answers 200",
        "ok      deployed and set up twice: keeps_posts is True",
        "ok      deployed and set up twice: same_steps is True",
        "ok      no errors at start-up",
        "ok      2 files and folders of letters are owned, readable and closed to others",
    ]
    assert disk.endswith("are free at the release; nobody asks for any")
    assert reports.endswith("are free at the reports; nobody asks for any")
    assert last == "GO  2.0"
    assert not (project / "reports").exists(), "no run is written"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"python": "3.8.1"}, "failed  Python 3.8.1 is not within >=3.9"),
        ({"python": "three"}, "failed  Python three is not within >=3.9"),
        ({"dependencies": {"flask-login": "0.9"}}, "failed  Flask_Login 0.9 does not satisfy Flask_Login>=1"),
        ({"dependencies": {"flask-login": "?"}}, "failed  Flask_Login ? does not satisfy Flask_Login>=1"),
        ({"dependencies": {}}, "failed  Flask_Login is not installed; Flask_Login>=1 is declared"),
        ({"answers": {"/readyz": 503}}, "failed  /readyz answers 503"),
        ({"version_told": "1.9"}, "failed  the application says that it is 1.9, judged is 2.0"),
        ({"startup_errors": ["no cache"]}, "failed  errors at start-up: ['no cache']"),
    ],
)
def test_what_falls_short_is_no_go_and_named_first(project: Path, facts: dict[str, Any], said: str) -> None:
    told(project, **facts)
    result = preflight()
    assert result.exit_code == 1, result.output
    assert result.output.splitlines()[0] == said
    assert result.output.splitlines()[-1] == "NO-GO  2.0"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"python": None}, "open    the release does not tell python; let describe() of its adapter tell it"),
        ({"deployed": None}, "open    the release does not tell deployed"),
        ({"deployed": {"answers": {}}}, "open    the release tells deployed = {'answers': {}}; let describe()"),
        ({"dependencies": ["flask"]}, "open    the release tells its dependencies as ['flask'], not as names"),
    ],
)
def test_what_is_not_told_is_open_and_the_rest_is_judged(project: Path, facts: dict[str, Any], said: str) -> None:
    told(project, **facts)
    result = preflight()
    assert result.exit_code == 10, result.output
    assert result.output.startswith(said)
    assert "ok      /healthz answers 200" in result.output
    assert result.output.splitlines()[-1] == "INCONCLUSIVE  2.0"


def test_a_release_that_does_not_start_is_no_go_and_its_files_are_judged(project: Path) -> None:
    told(project, raises="no cache folder")
    result = preflight()
    assert result.exit_code == 1, result.output
    assert "no cache folder" in result.output.splitlines()[0]
    assert "ok      2 files and folders of letters" in result.output
    assert "does not tell" not in result.output


def test_an_adapter_that_cannot_be_loaded_is_open(project: Path) -> None:
    write(project, "adapter.py", "import no_such_module\n")
    result = preflight()
    assert result.exit_code == 10, result.output
    assert result.output.startswith("open    ")
    assert "no_such_module" in result.output


def test_json_says_the_same(project: Path) -> None:
    told(project, python=None, answers={"/readyz": 503})
    result = preflight("--json")
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert {name: document[name] for name in ("verdict", "release", "target")} == {
        "verdict": "NO-GO",
        "release": "2.0",
        "target": None,
    }
    assert {"ok": False, "reason": "/readyz answers 503"} in document["findings"]
    assert len(document["open"]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--disk", "1B"), 0, "asked for are 1 B"),
        (("--disk", "1.5GiB"), 1, "asked for are 1.5 GiB"),
        (("--disk", "2GB"), 1, "asked for are 1.86 GiB"),
        ((), 1, "asked for are 1 GiB"),
    ],
)
def test_free_disk_is_held_against_the_option_or_the_criterion(
    project: Path, arguments: tuple[str, ...], status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "criteria.toml", CRITERIA + ENVIRONMENT + "parameters = { disk_free = 1073741824 }\n")
    usage = shutil.disk_usage(project)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    result = preflight(*arguments)
    assert result.exit_code == status, result.output
    assert result.output.count(f"977 KiB are free at the release; {said}") == 1
    assert result.output.count(f"977 KiB are free at the reports; {said}") == 1


def test_the_extra_of_the_criterion_holds_the_requirements(project: Path) -> None:
    extra = '[project.optional-dependencies]\napp = ["sqlalchemy"]\n'
    write(project, "pyproject.toml", PYPROJECT + extra)
    write(project, "criteria.toml", CRITERIA + ENVIRONMENT + 'parameters = { extra = "app" }\n')
    result = preflight()
    assert result.exit_code == 1
    assert "failed  sqlalchemy is not installed" in result.output
    assert "Flask_Login" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--disk", "much"), "'much' is no size; write one like 500MB, 1GB or 1.5GiB"),
        (("--disk", "0GB"), "'0GB' is no size"),
        (
            ("--target", "localhost:80"),
            "--target is not the address of a service; write one like http://127.0.0.1:8000",
        ),
        (("--target", "http://me:pw@host"), "--target is not the address of a service"),
        (("--target", "http://[::1"), "--target is not the address of a service"),
        (("--target", "http://127.0.0.1:1", "--disk", "1GB"), "give one of the two"),
    ],
)
def test_wrong_usage_is_said_with_a_remedy(arguments: tuple[str, ...], said: str) -> None:
    result = preflight(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("pyproject.toml", "[project]\n", "pyproject.toml: project: the key 'dependencies' is missing"),
        ("pyproject.toml", "project = 3\n", "pyproject.toml: project: 3 is a number (3)"),
        ("pyproject.toml", PYPROJECT.replace(">=3.9", "new"), "project.requires-python: 'new' cannot be read"),
        (
            "criteria.toml",
            CRITERIA + ENVIRONMENT + "parameters = { extra = 3 }\n",
            "parameters.extra = 3 is no text",
        ),
        (
            "criteria.toml",
            CRITERIA + ENVIRONMENT + "parameters = { disk_free = '1GB' }\n",
            "parameters.disk_free = '1GB' is no size; write bytes",
        ),
    ],
)
def test_definitions_that_cannot_be_used_are_wrong_usage(project: Path, file: str, content: str, said: str) -> None:
    write(project, file, content)
    result = preflight()
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@dataclass
class Service:
    """A service that tells of itself; ``asked`` is what it was asked."""

    url: str = ""
    version: str = "2.0"
    health: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    known = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the name that http.server calls
            known.asked.append(f"{self.command} {self.path}")
            told = {"version": known.version, "python": "3.11.7", "dependencies": {"flask-login": "1.2"}}
            content = json.dumps(told if self.path == "/version" else {}).encode()
            self.send_response(known.health if self.path == "/healthz" else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestService:
    def test_a_sound_service_is_go_and_only_asked_for_what_it_tells(self, service: Service) -> None:
        result = preflight("--target", service.url)
        assert result.exit_code == 0, result.output
        assert result.output.splitlines()[-1] == f"GO  2.0 at {service.url}"
        assert "files" not in result.output
        assert "are free" not in result.output
        assert set(service.asked) == {"GET /version", "GET /healthz"}

    def test_another_version_is_no_go(self, service: Service) -> None:
        service.version = "1.9"
        result = preflight("--target", service.url)
        assert result.exit_code == 1
        assert result.output.startswith("failed  the application says that it is 1.9, judged is 2.0")

    def test_a_service_that_is_not_ready_is_no_go(self, service: Service) -> None:
        service.health = 503
        assert preflight("--target", service.url).output.startswith("failed  /healthz answers 503")

    def test_a_service_that_does_not_answer_is_no_go(self, service: Service) -> None:
        result = preflight("--target", "http://127.0.0.1:1")
        assert result.exit_code == 1, result.output
        assert result.output.startswith("failed  release 2.0: http://127.0.0.1:1 does not answer, at ")

    def test_without_a_contract_nobody_knows_how_to_ask(self, project: Path, service: Service) -> None:
        write(project, "criteria.toml", CRITERIA + ENVIRONMENT)
        result = preflight("--target", service.url)
        assert result.exit_code == 2
        assert "there is no [target], so nobody knows how to ask" in result.stderr
        assert service.asked == []
