"""Recordings: keyed by the whole request, readable by people, and refused where they are wrong."""

from __future__ import annotations

import base64
import copy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gonogo.errors import DefinitionError, RecordingError
from gonogo.model import Frame, Json, Provenance, Recording, Reply, Request, ToolCall
from gonogo.recordings import (
    RecordingSet,
    difference,
    dump_patterns,
    dump_recordings,
    load_recordings,
    read_patterns,
    readable,
)
from gonogo.redaction import Redaction

BODY: dict[str, Json] = {
    "model": "llama3.1:8b",
    "prompt": "CONTEXT:\nYou research.\n",
    "stream": False,
    "options": {"temperature": 0.4},
}
ENTRY: dict[str, Any] = {
    "id": "facts/roads",
    "cases": ["roads"],
    "provenance": {"kind": "synthetic", "recorded": "2026-11-23", "note": "by hand"},
    "request": {"provider": "ollama", "operation": "/api/generate", "body": BODY},
    "reply": {"status": 200, "text": "Straight ones."},
}


def request(**changes: Json) -> Request:
    return Request("ollama", "/api/generate", {**BODY, **changes})


def recording(name: str = "roads", **changes: Json) -> Recording:
    made = request(**changes)
    return Recording(f"facts/{name}", "facts", (name,), made, Reply("Straight."), Provenance.SYNTHETIC, "2026-11-23")


def load(folder: Path, *entries: dict[str, Any], name: str = "facts") -> RecordingSet:
    content = {"step": "facts", "recordings": list(entries)}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_recordings(folder, root=folder)


def changed(path: str, value: object) -> dict[str, Any]:
    """The faultless entry with one value replaced; ``...`` removes it."""
    entry = copy.deepcopy(ENTRY)
    *parents, last = path.split("/")
    place: Any = entry
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return entry


def test_a_recording_is_read(tmp_path: Path) -> None:
    [found] = load(tmp_path, ENTRY).recordings
    assert (found.id, found.step, found.cases) == ("facts/roads", "facts", ("roads",))
    assert found.request == request()
    assert found.reply == Reply("Straight ones.", 200)
    assert (found.provenance, found.recorded, found.note) == (Provenance.SYNTHETIC, "2026-11-23", "by hand")


def test_a_folder_that_is_not_there_holds_no_recordings(tmp_path: Path) -> None:
    empty = load_recordings(tmp_path / "gone")
    assert empty.recordings == ()
    assert empty.find(request()) is None
    assert empty.nearest(request()) is None
    assert not empty.synthetic


def test_a_recording_is_found_by_its_whole_request_whatever_the_order_of_keys() -> None:
    recordings = RecordingSet.of([recording()])
    assert recordings.find(Request("ollama", "/api/generate", dict(reversed(BODY.items())))) is recordings.recordings[0]


@pytest.mark.parametrize(
    "moved",
    [
        request(prompt="CONTEXT:\nYou research\n"),
        request(model="llama3.1:70b"),
        request(options={"temperature": 0.5}),
        request(options={"temperature": 0.4, "seed": 1}),
        request(stream=True),
        request(system="You"),
        request(stream=0),
        Request("openai", "/api/generate", BODY),
        Request("ollama", "/api/chat", BODY),
    ],
)
def test_whatever_changes_in_a_request_is_a_miss(moved: Request) -> None:
    assert RecordingSet.of([recording()]).find(moved) is None


def test_two_recordings_of_one_request_are_refused() -> None:
    with pytest.raises(
        RecordingError, match=r"'facts/roads' and 'facts/rivers' hold the same request; keep one and list"
    ):
        RecordingSet.of([recording(), recording("rivers")])


def test_the_nearest_recording_is_that_of_the_likeliest_request() -> None:
    near, far = recording(prompt="a\nb\nc\nd"), recording("rivers", prompt="w\nx\ny\nz")
    recordings = RecordingSet.of([far, near])
    assert recordings.nearest(request(prompt="a\nb\nc\nX")) is near


@pytest.fixture(scope="module")
def many() -> RecordingSet:
    made = [
        recording(str(number), prompt=f"CONTEXT:\nYou research.\n\nTASK:\nFind facts about case{number}.")
        for number in range(9_000)
    ]
    made += [
        replace(recording(f"title-{number}", prompt=f"Find a title for post{number}."), step="title")
        for number in range(1_000)
    ]
    recordings = RecordingSet.of(made)
    assert recordings.sketches
    return recordings


class TestTheNearestOfTenThousand:
    @pytest.mark.parametrize(
        ("changes", "step", "nearest"),
        [
            ({"prompt": "CONTEXT:\nYou research.\n\nTASK:\nFind ten facts about case4711."}, None, "facts/4711"),
            ({"prompt": "CONTEXT:\nYou dig.\n\nTASK:\nFind facts about case8999."}, "facts", "facts/8999"),
            ({"prompt": "Find the title for post77."}, None, "facts/title-77"),
            ({"prompt": "Find the title for post77.", "model": "another"}, "title", "facts/title-77"),
            ({"prompt": "A title, case4711. for post500."}, "title", "facts/title-500"),
        ],
    )
    def test_it_is_found_among_those_that_share_the_rarest_words(
        self, many: RecordingSet, changes: dict[str, Json], step: str | None, nearest: str
    ) -> None:
        found = many.nearest(request(**changes), step=step)
        assert found is not None
        assert found.id == nearest

    @pytest.mark.parametrize("step", [None, "title", "unknown"])
    @pytest.mark.parametrize("prompt", ["", "nothing of this was ever recorded", "\n" * 100_000, "a b c\n" * 50_000])
    def test_something_is_named_in_a_moment_whatever_was_asked(
        self, many: RecordingSet, prompt: str, step: str | None
    ) -> None:
        begin = time.process_time()
        found = many.nearest(Request("openai", "/v1/chat/completions", {"prompt": prompt}), step=step)
        assert time.process_time() - begin < 2, "compared with each of them it takes half a minute"
        assert found is not None
        assert step != "title" or found.step == "title"

    def test_of_many_lines_their_order_does_not_count(self) -> None:
        near, far = recording("near", prompt="a\nb\n" * 2000), recording("far", prompt="c\n" * 4000)
        begin = time.process_time()
        assert RecordingSet.of([far, near]).nearest(request(prompt="b\na\n" * 2000)) is near
        assert time.process_time() - begin < 2, "in order it takes minutes"


def test_releases_are_joined_and_the_first_recording_of_a_request_stands() -> None:
    first, other = recording("roads"), recording("rivers", prompt="Other.\n")
    again = replace(recording("again"), reply=Reply("Another."))
    joined = RecordingSet.joined([RecordingSet.of([first]), RecordingSet.of([again, other])])
    assert joined.recordings == (first, other)
    assert joined.find(again.request) is first


def test_the_nearest_recording_is_looked_for_in_the_step_first() -> None:
    same, other = recording(prompt="a\nb"), replace(recording("x", prompt="a\nc"), id="meta/x", step="meta")
    recordings = RecordingSet.of([same, other])
    assert recordings.nearest(request(prompt="a\nb\n"), step="meta") is other
    assert recordings.nearest(request(prompt="a\nb\n"), step="unknown") is same


def test_a_recording_is_found_by_its_case() -> None:
    recordings = RecordingSet.of([recording(), recording("rivers", prompt="x")])
    assert recordings.of_case("facts", "rivers") is recordings.recordings[1]
    assert recordings.of_case("facts", "gone") is None
    assert recordings.of_case("meta", "rivers") is None


REKEYED_CAPTURE = {"provenance": Provenance.REKEYED, "origin": Provenance.CAPTURED}
REKEYED_TEXT = {"provenance": Provenance.REKEYED, "origin": Provenance.SYNTHETIC}


@pytest.mark.parametrize(
    ("others", "synthetic"),
    [
        ([], False),
        ([{"provenance": Provenance.SYNTHETIC}], True),
        ([{"provenance": Provenance.SYNTHETIC}, REKEYED_TEXT], True),
        ([{"provenance": Provenance.CAPTURED}], False),
        ([{"provenance": Provenance.CAPTURED}, {"provenance": Provenance.SYNTHETIC}, REKEYED_TEXT], False),
        ([{"provenance": Provenance.SYNTHETIC}, REKEYED_CAPTURE], False),
    ],
    ids=["none", "written", "written and moved", "captured", "one captured", "a capture that was moved"],
)
def test_a_set_is_synthetic_where_no_model_gave_any_of_its_replies(
    others: list[dict[str, Provenance]], synthetic: bool
) -> None:
    made = [replace(recording(f"r{n}", prompt=f"p{n}"), **one) for n, one in enumerate(others)]  # type: ignore[arg-type]
    assert RecordingSet.of(made).synthetic is synthetic


def test_a_re_keyed_recording_says_where_its_reply_came_from(tmp_path: Path) -> None:
    moved = replace(recording(), **REKEYED_CAPTURE)  # type: ignore[arg-type]  # of Provenance fields
    (tmp_path / "facts.yaml").write_text(dump_recordings("facts", [moved]), encoding="utf-8")
    assert load_recordings(tmp_path).recordings[0].origin is Provenance.CAPTURED


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("id", ..., ["the key 'id' is missing", "write id: facts/roman-roads"]),
        ("cases", "roads", ["cases: 'roads' is a text", "write a list of texts"]),
        ("request/provider", "mistral", ["request.provider: 'mistral' is not one of ollama, openai, anthropic"]),
        ("request/body", "x", ["request.body: 'x' is a text", "write a mapping"]),
        ("request/body/options", {"temperature": float("nan")}, ["request.body: not JSON", "write texts, numbers"]),
        ("request/headers", {}, ["request.headers: unknown key 'headers'", "known are body, operation, provider"]),
        ("reply/text", 7, ["reply.text: 7 is not a text", "in quotes or a block"]),
        ("reply/text", ..., ["reply: the key 'text' is missing"]),
        ("reply/status", 20, ["reply.status: 20 lies outside 100"]),
        ("reply/frames", [{"offset": -1, "data": "eA=="}], ["frames[0].offset: -1 lies outside 0.0"]),
        ("reply/frames", [{"offset": 0, "data": "x"}], ["frames[0].data: not base64", "in base64"]),
        ("reply/frames", [{"offset": 0, "text": 7}], ["frames[0].text: 7 is not a text"]),
        ("reply/frames", [{"offset": 0, "text": "x", "data": "eA=="}], ["frames[0].text: unknown key 'text'"]),
        ("reply/tool_calls", [{"arguments": {}}], ["tool_calls[0]: the key 'name' is missing"]),
        ("reply/tool_calls", [{"name": "f", "arguments": "x"}], ["arguments: 'x' is a text", "write a mapping"]),
        ("reply/frames", [{"offset": 0, "data": "é==="}], ["frames[0].data: not base64", "in base64"]),
        (
            "provenance/kind",
            "rekeyed",
            ["provenance: the key 'origin' is missing; write origin: captured or synthetic"],
        ),
        ("provenance/origin", "captured", ["provenance.origin: unknown key 'origin'"]),
        ("provenance/kind", "real", ["provenance.kind: 'real' is not one of captured, synthetic, rekeyed"]),
        ("provenance/recorded", ..., ["provenance: the key 'recorded' is missing", "2026-11-23"]),
        ("replies", [], ["unknown key 'replies'", "did you mean 'reply'"]),
    ],
)
def test_a_wrong_recording_is_refused_with_value_place_and_remedy(
    tmp_path: Path, path: str, value: object, parts: list[str]
) -> None:
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, changed(path, value))
    said = str(caught.value)
    assert said.startswith("facts.yaml:")
    for part in parts:
        assert part in said


def test_one_id_in_two_files_is_refused(tmp_path: Path) -> None:
    load(tmp_path, ENTRY, name="facts")
    with pytest.raises(
        DefinitionError,
        match=r"meta\.yaml.*'facts/roads' is also the id of a recording in facts\.yaml; give one another",
    ):
        load(tmp_path, changed("request/body", {"model": "x"}), name="meta")


def test_an_untrusted_recording_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "facts.yaml").write_text("step: facts\nrecordings: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(DefinitionError, match="not usable YAML"):
        load_recordings(tmp_path)


def test_an_empty_reply_is_a_reply(tmp_path: Path) -> None:
    assert load(tmp_path, changed("reply/text", "")).recordings[0].reply.text == ""


# NEL and lone surrogates have tests of their own below
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=30)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4), st.binary(max_size=8))
@example("a\n\n", {"p": " indented\nx \n\ty\r\nz\u2028"}, b"")
@example("1e5", {"p": "2026-11-23", "q": "null", "=": "<<"}, b"\xff")
def test_what_is_written_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, text: str, body: dict[str, Json], data: bytes
) -> None:
    frames = (Frame(0.5, data or b"x"),)
    made = replace(
        recording(), request=Request("openai", "/v1/chat/completions", body), reply=Reply(text, 429, frames), note="n"
    )
    assert written_and_read(tmp_path_factory.getbasetemp() / "recordings", made) == made


def written_and_read(folder: Path, made: Recording) -> Recording:
    folder.mkdir(exist_ok=True)
    (folder / "facts.yaml").write_text(dump_recordings("facts", [made]), encoding="utf-8", newline="")
    [found] = load_recordings(folder).recordings
    assert found.request.key == made.request.key
    return found


@pytest.mark.parametrize("text", ["\x85", "a\x85b", "a\x85\nb"])
def test_a_next_line_character_survives_the_file(tmp_path: Path, text: str) -> None:
    made = replace(recording(prompt=text), reply=Reply(text))
    assert written_and_read(tmp_path, made) == made


@pytest.mark.parametrize("text", ["\ud83d", "a\n\ud83d"])
def test_half_a_character_is_refused_when_it_is_written_or_survives(tmp_path: Path, text: str) -> None:
    made = recording(prompt=text)
    try:
        dump_recordings("facts", [made])
    except RecordingError:
        return
    assert written_and_read(tmp_path, made) == made


def test_texts_of_several_lines_are_written_as_blocks_for_people() -> None:
    written = dump_recordings("facts", [recording(prompt="one\ntwo\n")])
    assert "prompt: |\n" in written
    assert written.startswith("step: facts\n")


def test_a_request_is_shown_line_by_line() -> None:
    shown = readable(request(prompt="a\nb", messages=[{"role": "user"}], options={}))
    assert shown[0] == "ollama /api/generate"
    assert shown[shown.index("prompt:") : shown.index("prompt:") + 3] == ["prompt:", "  a", "  b"]
    assert "messages[0].role: user" in shown


def test_a_difference_shows_what_was_recorded_and_what_was_sent() -> None:
    assert difference(request(prompt="a\nb"), request(prompt="a\nc")).splitlines()[:2] == ["--- recorded", "+++ sent"]
    assert "-  b\n+  c" in difference(request(prompt="a\nb"), request(prompt="a\nc"))
    assert difference(request(), request()) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb", "a\nb\n"),
        ("a\r\nb", "a\nb"),
        ("a\u2028b", "a\nb"),
        (1, "1"),
        (None, "None"),
        (1, 1.0),
        ([], {}),
        ({}, None),
        ({"a.b": 1}, {"a": {"b": 1}}),
    ],
)
def test_requests_that_differ_have_a_difference_to_show(before: Json, after: Json) -> None:
    one, other = request(prompt=before), request(prompt=after)
    if one.key != other.key:
        assert difference(one, other) != ""


@pytest.mark.parametrize(
    "reply",
    [
        Reply(
            "x", tool_calls=(ToolCall("search", {"query": "a\nb", "n": [1, None, {"deep": 0.5}]}), ToolCall("stop", {}))
        ),
        Reply("x", frames=(Frame(0.25, b'{"a": "\xc3\xa9"}\n'), Frame(1.5, b"data: x\n\n"), Frame(2.0, b"\xc3"))),
        Reply(
            "x", frames=tuple(Frame(0.0, text.encode()) for text in ("", " ", "\n", "\r\n", "\ufeff", "\x85", "null"))
        ),
    ],
    ids=["tool calls", "frames", "odd frames"],
)
def test_tool_calls_and_frames_are_read_back_equal(tmp_path: Path, reply: Reply) -> None:
    made = replace(recording(), reply=reply)
    assert written_and_read(tmp_path, made) == made


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=12) | TEXTS.map(str.encode), min_size=1, max_size=4))
def test_any_frames_are_read_back_equal(tmp_path_factory: pytest.TempPathFactory, data: list[bytes]) -> None:
    made = replace(recording(), reply=Reply("x", frames=tuple(Frame(0.5, one) for one in data)))
    assert written_and_read(tmp_path_factory.getbasetemp() / "frames", made) == made


def test_a_frame_of_text_is_written_for_people_and_one_in_base64_is_read_as_before(tmp_path: Path) -> None:
    line = b'{"response": "Straight."}\n'
    made = replace(recording(), reply=Reply("x", frames=(Frame(0.5, line),)))
    assert '      text: |\n        {"response": "Straight."}\n' in dump_recordings("facts", [made])
    encoded = {"offset": 0.5, "data": base64.b64encode(line).decode()}
    assert load(tmp_path, changed("reply/frames", [encoded])).recordings[0].reply.frames == (Frame(0.5, line),)


def test_what_the_models_server_said_of_itself_is_read_back(tmp_path: Path) -> None:
    made = replace(
        recording(),
        provenance=Provenance.CAPTURED,
        recorded="2026-11-25T09:00:00+00:00",
        model="llama3.1:8b",
        model_version="46e0c10c039e",
        server="ollama 0.12.6",
    )
    assert written_and_read(tmp_path, made) == made


def test_a_stream_of_thousands_of_frames_is_loaded_in_no_time(tmp_path: Path) -> None:
    frames = tuple(Frame(number / 100, b'data: {"choices": [{"delta": "%d"}]}\n\n' % number) for number in range(5000))
    made = replace(recording(), reply=Reply("x", frames=frames))
    (tmp_path / "facts.yaml").write_text(dump_recordings("facts", [made]), encoding="utf-8")
    begin = time.process_time()
    assert load_recordings(tmp_path).recordings == (made,)
    assert time.process_time() - begin < 2.0, "a tenth of a second on a quiet machine"


KEY = "sk-" + "proj-" + "aB3dE5gH7jK9mN1pQ2sT4vW6xY8zA0cD"


class TestRedactedRequests:
    def test_a_request_is_found_whatever_its_secret_is(self) -> None:
        redacted, plain = recording(prompt="Use [redacted:openai-key]."), recording("rivers", prompt=f"With {KEY}.")
        found = RecordingSet.of([redacted, plain])
        for secret in (KEY, KEY.lower()):
            assert found.find(request(prompt=f"Use {secret}.")) is redacted
        assert found.find(request(prompt=f"With {KEY}.")) is plain, "what stands there as it is comes first"
        assert found.find(request(prompt=f"Use {KEY}!")) is None

    def test_nothing_is_redacted_where_a_request_is_found_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = RecordingSet.of([recording()])
        monkeypatch.setattr(Redaction, "request", None)
        assert found.find(request()) is found.recordings[0]

    def test_patterns_of_the_folder_are_applied(self, tmp_path: Path) -> None:
        (tmp_path / "redaction.toml").write_text(dump_patterns(["INT-[0-9]{6}"]), encoding="utf-8")
        found = load(tmp_path, changed("request/body/prompt", "I am [redacted:custom]."))
        assert found.find(request(prompt="I am INT-123456.")) is found.recordings[0]
        assert found.find(request(prompt="I am INT-12345.")) is None
        assert RecordingSet.joined([found, RecordingSet.of([])]).redaction.patterns == ("INT-[0-9]{6}",)

    @pytest.mark.parametrize("pattern", ['say "\\w+"', "\\\\", "é\u2028\x7f\x01x", '"""', "'''"])
    def test_patterns_are_read_back_as_they_were(self, tmp_path: Path, pattern: str) -> None:
        (tmp_path / "redaction.toml").write_text(dump_patterns([pattern]), encoding="utf-8")
        assert read_patterns(tmp_path) == (pattern,)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("patterns = ['(']", r"redaction.toml: patterns: the pattern '\(' is no regular expression"),
            ("patterns = 'x'", r"redaction.toml: patterns: 'x' is a text; write a list of texts"),
            ("patterns = []\nvalues = []", r"redaction.toml: values: unknown key 'values'"),
        ],
    )
    def test_wrong_patterns_are_refused_with_value_place_and_remedy(
        self, tmp_path: Path, content: str, said: str
    ) -> None:
        (tmp_path / "redaction.toml").write_text(content)
        with pytest.raises(DefinitionError, match=said):
            load_recordings(tmp_path, root=tmp_path)
