"""``gonogo record``: which case a recording belongs to, what of it is a secret, and what is refused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from planted import PLANTED
from recording_process import Model, recorder, served_model
from small_project import set_options, write_project

from gonogo.cli import main
from gonogo.model import Reply, Request, ToolCall
from gonogo.recordings import load_recordings
from gonogo.stub import Stub

OWN = "INT-123456"
EXACT = "tr0ub4dor & three"
TOLD = "; ".join([*(text for _, text, _ in PLANTED), OWN, EXACT])
SECRETS = [*(secret for _, _, secret in PLANTED), OWN, EXACT]


@pytest.fixture
def model() -> Iterator[Model]:
    """A model's server that has been told nothing yet."""
    with served_model() as served:
        yield served


@pytest.fixture(scope="module")
def requests_of_cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Request]:
    """What the candidate of the small project sends, by ``step/case``."""
    folder = tmp_path_factory.mktemp("asked")
    write_project(folder)
    (folder / "facts.yaml").write_text("step: facts\nreplies: {roads: x, rivers: x}\n")
    (folder / "title.yaml").write_text("step: title\nreplies: {roads: x}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        added = CliRunner().invoke(main, ["recordings", "add", "facts.yaml", "title.yaml", "--release", "candidate"])
    assert added.exit_code == 0, added.output
    return {one.id: one.request for one in load_recordings(folder / "recordings" / "2.0").recordings}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The small project, without recordings."""
    write_project(tmp_path)
    return tmp_path


def ask(url: str, request: Request, **options: object) -> httpx.Response:
    return httpx.post(url + request.operation, json=dict(request.body), timeout=30, **options)  # type: ignore[arg-type]


def written(folder: Path) -> dict[str, tuple[str, ...]]:
    return {f"{one.step}:{one.id}": one.cases for one in load_recordings(folder).recordings}


class TestCases:
    def test_a_recording_goes_to_the_step_and_the_case_that_lead_to_it(
        self, model: Model, project: Path, requests_of_cases: dict[str, Request]
    ) -> None:
        out = project / "recordings" / "2.0"
        other = Request("ollama", "/api/generate", {"model": "m", "prompt": "Another.", "stream": False})
        with recorder(model.url, out, folder=project) as recording:
            for request in (*reversed(requests_of_cases.values()), other):
                model.says(request, Reply(f"To {request.key}."))
                ask(recording.url, request)
            assert recording.stop() == 0, recording.complained
        assert "recorded 4" in recording.said
        assert written(out) == {
            "facts:facts/roads": ("roads",),
            "facts:facts/rivers": ("rivers",),
            "title:title/roads": ("roads",),
            f"unassigned:unassigned/{other.key[:16]}": (),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(project)
            checked = CliRunner().invoke(main, ["recordings", "check"])
        assert "candidate 2.0: 3 cases, 4 recordings: 1 unused" in checked.output

    def test_a_case_that_has_another_recording_keeps_it_unless_it_is_replaced(
        self, model: Model, project: Path, requests_of_cases: dict[str, Request]
    ) -> None:
        out = project / "recordings" / "2.0"
        request = requests_of_cases["facts/roads"]
        model.says(request, Reply("Before."))
        with recorder(model.url, out, folder=project) as recording:
            ask(recording.url, request)
            recording.stop()
        set_options(project, candidate={"sends": " Be brief."})
        changed = Request(
            request.provider, request.operation, {**request.body, "prompt": f"{request.body['prompt']} Be brief."}
        )
        model.says(changed, Reply("After."))
        with recorder(model.url, out, folder=project) as recording:
            ask(recording.url, changed)
            recording.stop()
        unassigned = f"unassigned:unassigned/{changed.key[:16]}"
        assert written(out) == {"facts:facts/roads": ("roads",), unassigned: ()}
        with recorder(model.url, out, "--replace", folder=project) as recording:
            ask(recording.url, changed)
            recording.stop()
        assert written(out) == {"facts:facts/roads": ("roads",)}
        assert load_recordings(out).recordings[0].reply.text == "After."

    def test_the_release_can_be_left_alone(
        self, model: Model, project: Path, requests_of_cases: dict[str, Request]
    ) -> None:
        out = project / "recordings" / "2.0"
        request = requests_of_cases["title/roads"]
        model.says(request, Reply("A title."))
        with recorder(model.url, out, "--release", "none", folder=project) as recording:
            ask(recording.url, request)
            recording.stop()
        assert written(out) == {f"unassigned:unassigned/{request.key[:16]}": ()}
        assert "recordings go to unassigned.yaml" in recording.complained

    def test_what_somebody_else_writes_meanwhile_stays(self, model: Model, tmp_path: Path) -> None:
        out = tmp_path / "2.0"
        some, other = (Request("ollama", "/api/generate", {"prompt": name, "stream": False}) for name in "ab")
        model.says(some, Reply("x"))
        with recorder(model.url, out) as recording:
            ask(recording.url, some)
            for _ in range(100):
                if (out / "unassigned.yaml").exists():
                    break
                time.sleep(0.05)
            file = out / "unassigned.yaml"
            file.write_text(file.read_text().replace("text: x", "text: corrected by hand"))
            ask(recording.url, other)
            recording.stop()
        assert {one.reply.text for one in load_recordings(out).recordings} == {"corrected by hand", "x"}


def every_text(folder: Path) -> str:
    """All that was written: each file as it is, and what stands in base64 in it."""
    texts = []
    for path in folder.rglob("*"):
        if path.is_file():
            texts.append(path.read_text(encoding="utf-8"))
    for one in load_recordings(folder).recordings:
        texts += [one.reply.text, json.dumps(dict(one.request.body), ensure_ascii=False), one.note, one.model]
        texts += [json.dumps(dict(call.arguments), ensure_ascii=False) for call in one.reply.tool_calls]
        texts.append(b"".join(frame.data for frame in one.reply.frames).decode("utf-8"))
        texts += [frame.data.decode("utf-8", "replace") for frame in one.reply.frames]
    return "\n".join(texts)


class TestSecrets:
    @pytest.mark.parametrize(
        "request_",
        [
            Request("ollama", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": TOLD}]}),
            Request(
                "ollama", "/api/generate", {"model": "m", "prompt": TOLD, "stream": False, "api_key": "not by form"}
            ),
            Request(
                "openai",
                "/v1/chat/completions",
                {"model": "m", "stream": True, "messages": [{"role": "user", "content": json.dumps({"a": TOLD})}]},
            ),
            Request(
                "anthropic",
                "/v1/messages",
                {
                    "model": "m",
                    "stream": True,
                    "messages": [{"role": "user", "content": [{"type": "text", "text": TOLD}]}],
                },
            ),
        ],
        ids=lambda request: request.operation,
    )
    def test_no_secret_is_written_and_the_request_that_holds_it_still_finds_its_recording(
        self, model: Model, tmp_path: Path, request_: Request
    ) -> None:
        out = tmp_path / "2.0"
        calls: tuple[ToolCall, ...] = (
            ToolCall("send", {"all": TOLD, "password": "not by form", "in": json.dumps([TOLD])}),
        )
        calls = () if request_.operation == "/api/generate" else calls
        reply = Reply(f"You said: {TOLD}", tool_calls=calls)
        model.says(request_, reply, pieces=400)
        headers = {"Authorization": "Bearer t0ken-of-the-client", "Cookie": "session=0815abc"}
        options = ["--redact", "INT-[0-9]{6}", "--redact-env", "THE_SECRET"]
        environment = {**os.environ, "THE_SECRET": EXACT}
        with recorder(model.url, out, *options, provider=request_.provider, environment=environment) as recording:
            answer = ask(recording.url, request_, headers=headers, params={"key": "AIza" + "x" * 35})
            assert recording.stop() == 0
        assert "recorded 1" in recording.said, recording.complained
        assert OWN in answer.text, "the client gets what the model said"
        left = every_text(out) + recording.said + recording.complained
        for secret in (*SECRETS, "t0ken-of-the-client", "not by form", "AIza" + "x" * 35):
            for shown in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3]):
                assert shown not in left
        recordings = load_recordings(out)
        [found] = recordings.recordings
        assert "redacted: THE_SECRET, anthropic-key" in found.note
        assert "frames made anew" not in found.note
        # a secret that is known by a pattern is redacted before its recording is looked for; an exact value is known no more
        replayed = json.loads(json.dumps(dict(request_.body)).replace(EXACT, "[redacted:THE_SECRET]"))
        answered = Stub(recordings).answer(Request(request_.provider, request_.operation, replayed))
        assert answered.status == 200
        assert answered.body == b"".join(frame.data for frame in found.reply.frames)
        moved = json.loads(json.dumps(replayed).replace("; ", ", "))
        assert Stub(recordings).answer(Request(request_.provider, request_.operation, moved)).status == 404

    def test_what_the_models_server_says_in_an_error_is_told_without_secrets(
        self, model: Model, tmp_path: Path
    ) -> None:
        request = Request("ollama", "/api/generate", {"model": "m", "prompt": "x"})
        model.says(request, Reply(""))
        key = PLANTED[0][2]
        model.answers["/api/generate"].chunks = [(0, json.dumps({"error": f"bad key {key}"}).encode() + b"\n")]
        with recorder(model.url, tmp_path / "2.0") as recording:
            ask(recording.url, request)
            recording.stop()
        assert "bad key [redacted:openai-key]" in recording.complained
        assert key not in recording.complained

    def test_patterns_stay_in_the_folder_and_are_added_to(self, model: Model, tmp_path: Path) -> None:
        out = tmp_path / "2.0"
        for pattern in ("INT-[0-9]{6}", r'say "(?P<secret>\w+)"', "INT-[0-9]{6}"):
            with recorder(model.url, out, "--redact", pattern) as recording:
                recording.stop()
        assert load_recordings(out).redaction.patterns == ("INT-[0-9]{6}", r'say "(?P<secret>\w+)"')


class TestUse:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--redact", "("], "is no regular expression"),
            (["--redact-env", "NOT_SET_AT_ALL"], "the environment variable NOT_SET_AT_ALL is not set"),
            (["--redact-env", "SHORT"], "has 3 characters, as many words have"),
            (["--upstream", "127.0.0.1:11434"], "--upstream"),
            (["--upstream", "http://jo:hunter2@x/?key=1"], "not the address of a server"),
            (["--host", "203.0.113.7"], "cannot be listened on"),
            (["--ca", "conftest.py"], "no certificates"),
            (["--release", "candidate"], "run the command in the folder of a project's conftest.py"),
        ],
    )
    def test_what_cannot_be_used_is_refused_in_a_line(
        self, options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SHORT", "abc")
        if "--ca" in options:
            (tmp_path / "conftest.py").write_text("# none\n")
        result = CliRunner().invoke(main, ["record", "--provider", "ollama", "--out", "2.0", "--port", "0", *options])
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
        assert "hunter2" not in result.stderr
        assert not list(tmp_path.glob("2.0/*"))

    def test_a_folder_that_cannot_be_loaded_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "2.0").mkdir()
        (tmp_path / "2.0" / "other.yaml").write_text("step: facts\nrecordings: []\n")
        result = CliRunner().invoke(main, ["record", "--provider", "ollama", "--out", "2.0", "--port", "0"])
        assert result.exit_code == 2
        assert "name the file facts.yaml" in " ".join(result.stderr.split())

    def test_every_provider_has_a_place_where_its_model_usually_is(self) -> None:
        command = main.commands["record"]
        upstream = next(one for one in command.params if one.name == "upstream")
        assert isinstance(upstream, click.Option)
        for url in ("http://127.0.0.1:11434", "https://api.openai.com", "https://api.anthropic.com"):
            assert url in str(upstream.help)
