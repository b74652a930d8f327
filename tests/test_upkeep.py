"""Recordings are added, found to have moved, and moved, without ever losing what a reply was given to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from small_project import set_options, write_project

from gonogo.definitions import load_definitions
from gonogo.errors import DefinitionError, ProductError, RecordingError
from gonogo.model import Case, Provenance, Recording, Reply, Request, Workflow
from gonogo.project import find_project
from gonogo.recordings import RecordingSet, load_recordings
from gonogo.upkeep import (
    Moved,
    Source,
    check_layout,
    new_recordings,
    place,
    read_replies,
    rekey,
    request_of,
    survey,
    write_recordings,
)
from gonogo.workbench import Workbench

SYNTHETIC = Source(Provenance.SYNTHETIC, "2026-11-01", "by hand")
TODAY = "2026-11-23"


def request(prompt: str) -> Request:
    return Request("ollama", "/api/generate", {"model": "m", "prompt": prompt})


def recording(name: str, *cases: str, prompt: str, reply: str = "A reply.") -> Recording:
    return Recording(
        f"facts/{name}", "facts", cases, request(prompt), Reply(reply), Provenance.CAPTURED, "2026-10-01", "llama"
    )


def case(name: str) -> Case:
    return Case(name, "facts", {"idea": name})


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """The small project's, with the cases roads, rivers and seas of the step facts alone."""
    write_project(tmp_path)
    step = load_definitions(find_project(tmp_path)).workflow.step("facts")
    return Workflow((step,), MappingProxyType({"facts": (case("roads"), case("rivers"), case("seas"))}))


class TestNewRecordings:
    def test_one_recording_is_made_for_each_request(self) -> None:
        found = [("roads", "One.", request("a")), ("rivers", "Two.", request("b"))]
        made = new_recordings("facts", found, SYNTHETIC)
        assert [(one.id, one.cases, one.reply.text) for one in made] == [
            ("facts/roads", ("roads",), "One."),
            ("facts/rivers", ("rivers",), "Two."),
        ]
        assert {(one.provenance, one.recorded, one.note) for one in made} == {
            (Provenance.SYNTHETIC, "2026-11-01", "by hand")
        }

    def test_cases_that_lead_to_one_request_share_a_recording(self) -> None:
        (made,) = new_recordings(
            "facts", [("roads", "One.", request("a")), ("rivers", "One.", request("a"))], SYNTHETIC
        )
        assert made.cases == ("roads", "rivers")

    def test_one_request_cannot_have_two_replies(self) -> None:
        found = [("roads", "One.", request("a")), ("rivers", "Two.", request("a"))]
        with pytest.raises(
            RecordingError, match=r"facts/rivers: leads to the same request as facts/roads but has another"
        ):
            new_recordings("facts", found, SYNTHETIC)


class TestPlace:
    order = ("roads", "rivers", "seas")

    def test_new_recordings_stand_in_the_order_of_the_cases(self) -> None:
        old = recording("seas", "seas", prompt="c"), recording("roads", "roads", prompt="a")
        placed = place(old, [recording("rivers", "rivers", prompt="b")], order=self.order)
        assert [one.id for one in placed] == ["facts/roads", "facts/rivers", "facts/seas"]

    def test_what_is_recorded_already_keeps_its_provenance(self) -> None:
        old = recording("roads", "roads", prompt="a")
        assert place([old], [replace(old, provenance=Provenance.SYNTHETIC, note="")], order=self.order) == (old,)

    def test_another_case_of_a_recorded_request_joins_its_recording(self) -> None:
        old = recording("roads", "roads", prompt="a")
        (placed,) = place([old], [recording("rivers", "rivers", prompt="a")], order=self.order)
        assert placed == replace(old, cases=("roads", "rivers"))

    @pytest.mark.parametrize("over", [False, True])
    def test_a_recording_that_was_made_for_no_case_stays(self, over: bool) -> None:
        old, new = recording("x", prompt="x"), recording("roads", "roads", prompt="a")
        assert place([old], [new], order=self.order, over=over) == (new, old)

    @pytest.mark.parametrize(
        ("new", "what"),
        [
            (recording("roads", "roads", prompt="b"), "the same case with another request"),
            (recording("rivers", "rivers", prompt="a", reply="Other."), "the same request with another reply"),
        ],
        ids=["case", "request"],
    )
    def test_nothing_is_put_in_the_place_of_a_recording_unless_asked(self, new: Recording, what: str) -> None:
        with pytest.raises(RecordingError, match=f"facts/roads is a recording of {what}; give --replace"):
            place([recording("roads", "roads", prompt="a")], [new], order=self.order)

    def test_a_replaced_request_takes_its_case_from_a_shared_recording(self) -> None:
        old = recording("roads", "roads", "rivers", prompt="a")
        placed = place([old], [recording("roads", "roads", prompt="b")], order=self.order, over=True)
        assert [(one.id, one.cases, one.request) for one in placed] == [
            ("facts/roads-2", ("roads",), request("b")),
            ("facts/roads", ("rivers",), request("a")),
        ]

    def test_a_replaced_reply_serves_every_case_of_its_request(self) -> None:
        old = recording("roads", "roads", "rivers", prompt="a")
        new = recording("rivers", "rivers", prompt="a", reply="Better.")
        (placed,) = place([old], [new], order=self.order, over=True)
        assert (placed.reply.text, set(placed.cases)) == ("Better.", {"roads", "rivers"})


class TestSurvey:
    def test_recordings_that_fit_are_not_listed(self, workflow: Workflow) -> None:
        kept = RecordingSet.of(
            [recording("roads", "roads", "rivers", prompt="a"), recording("seas", "seas", prompt="b")]
        )
        sent = {"facts/roads": request("a"), "facts/rivers": request("a"), "facts/seas": request("b")}
        assert survey(kept, workflow, sent).clean

    def test_a_request_fits_its_recording_where_a_secret_in_it_was_redacted(self, workflow: Workflow) -> None:
        kept = RecordingSet.of([recording("roads", "roads", prompt="With [redacted:openai-key].")])
        sent: dict[str, Request | str] = {"facts/rivers": "it raised", "facts/seas": "it raised"}
        key = "sk-" + "x1" * 20
        assert survey(kept, workflow, sent | {"facts/roads": request(f"With {key}.")}).moved == ()
        (moved,) = survey(kept, workflow, sent | {"facts/roads": request(f"Without {key}.")}).moved
        assert moved.sent == request("Without [redacted:openai-key]."), "what update is to write holds no secret"

    def test_moved_unused_missing_and_failed_are_told_apart(self, workflow: Workflow) -> None:
        roads, gone = recording("roads", "roads", prompt="a"), recording("gone", "gone", prompt="z")
        sent: dict[str, Request | str] = {
            "facts/roads": request("a\nand more"),
            "facts/rivers": request("b"),
            "facts/seas": "it raised",
        }
        found = survey(RecordingSet.of([roads, gone]), workflow, sent)
        assert found.moved == (Moved(roads, ("roads",), request("a\nand more")),)
        assert "+  and more" in found.moved[0].difference
        assert found.unused == (gone,)
        assert found.missing == {"facts/rivers": "no recording was made for it"}
        assert found.failed == {"facts/seas": "it raised"}
        assert not found.clean

    def test_cases_of_one_recording_that_move_together_are_one_move(self, workflow: Workflow) -> None:
        shared = recording("roads", "roads", "rivers", "seas", prompt="a")
        sent = {"facts/roads": request("b"), "facts/rivers": request("c"), "facts/seas": request("b")}
        found = survey(RecordingSet.of([shared]), workflow, sent)
        assert [one.cases for one in found.moved] == [("roads", "seas"), ("rivers",)]
        assert not found.unused

    def test_a_case_whose_request_is_recorded_for_another_is_missing_with_advice(self, workflow: Workflow) -> None:
        kept = RecordingSet.of([recording("roads", "roads", prompt="a"), recording("seas", "seas", prompt="b")])
        sent = {"facts/roads": request("a"), "facts/rivers": request("a"), "facts/seas": request("b")}
        assert survey(kept, workflow, sent).missing == {
            "facts/rivers": "facts/roads has its request; list the case there"
        }


class TestRekey:
    def test_a_moved_recording_keeps_its_reply_and_says_what_it_was(self) -> None:
        old = recording("roads", "roads", prompt="a")
        (moved,) = rekey([old], [Moved(old, ("roads",), request("b"))], today=TODAY)
        assert moved == replace(
            old,
            request=request("b"),
            provenance=Provenance.REKEYED,
            origin=Provenance.CAPTURED,
            note="rekeyed 2026-11-23 from captured, 2026-10-01; llama",
        )

    def test_a_second_move_does_not_hide_where_the_reply_came_from(self) -> None:
        old = recording("roads", "roads", prompt="a")
        (once,) = rekey([old], [Moved(old, ("roads",), request("b"))], today="2026-11-22")
        (twice,) = rekey([once], [Moved(once, ("roads",), request("c"))], today=TODAY)
        assert twice.note == "rekeyed 2026-11-23 from captured, 2026-10-01; llama"
        assert twice.request == request("c")
        assert twice.origin is Provenance.CAPTURED

    def test_what_is_not_to_be_moved_stays_as_it_is(self) -> None:
        roads, rivers = recording("roads", "roads", prompt="a"), recording("rivers", "rivers", prompt="b")
        assert rekey([roads, rivers], [Moved(roads, ("roads",), request("c"))], today=TODAY)[1] is not roads
        assert rekey([roads, rivers], [], today=TODAY) == (roads, rivers)

    def test_cases_that_move_apart_get_a_recording_each(self) -> None:
        old = recording("roads", "roads", "rivers", "seas", prompt="a")
        moves = [Moved(old, ("roads",), request("b")), Moved(old, ("rivers",), request("c"))]
        kept = rekey([old], moves, today=TODAY)
        assert [(one.id, one.cases, one.request, one.provenance) for one in kept] == [
            ("facts/roads", ("seas",), request("a"), Provenance.CAPTURED),
            ("facts/roads-2", ("roads",), request("b"), Provenance.REKEYED),
            ("facts/rivers", ("rivers",), request("c"), Provenance.REKEYED),
        ]

    def test_recordings_may_trade_their_requests(self) -> None:
        roads, rivers = recording("roads", "roads", prompt="a"), recording("rivers", "rivers", prompt="b", reply="B.")
        moves = [Moved(roads, ("roads",), request("b")), Moved(rivers, ("rivers",), request("a"))]
        kept = rekey([roads, rivers], moves, today=TODAY)
        assert [(one.id, one.request, one.reply.text) for one in kept] == [
            ("facts/roads", request("b"), "A reply."),
            ("facts/rivers", request("a"), "B."),
        ]

    def test_a_case_joins_the_recording_that_has_its_request_and_reply(self) -> None:
        roads, rivers = recording("roads", "roads", prompt="a"), recording("rivers", "rivers", prompt="b")
        kept = rekey([roads, rivers], [Moved(roads, ("roads",), request("b"))], today=TODAY)
        assert kept == (replace(rivers, cases=("rivers", "roads")),)

    def test_a_case_is_not_moved_onto_another_reply(self) -> None:
        roads, rivers = recording("roads", "roads", prompt="a"), recording("rivers", "rivers", prompt="b", reply="B.")
        with pytest.raises(
            RecordingError,
            match=r"'roads' now leads to the request of facts/rivers, which has another reply; remove one",
        ):
            rekey([roads, rivers], [Moved(roads, ("roads",), request("b"))], today=TODAY)


class TestFiles:
    def test_recordings_come_back_from_the_files_that_are_written(self, tmp_path: Path) -> None:
        text = "tabs\tand  \ntrailing spaces \r\n\x85\u2028 \U0001f600 é\n\n"
        kept = (recording("roads", "roads", prompt=text, reply=text), recording("rivers", "rivers", prompt=": - #"))
        written = write_recordings(tmp_path / "2.0", {}, {"facts": kept})
        assert written == (tmp_path / "2.0" / "facts.yaml",)
        assert load_recordings(tmp_path / "2.0").recordings == kept
        assert [path.name for path in (tmp_path / "2.0").iterdir()] == ["facts.yaml"]

    def test_what_yaml_cannot_hold_is_not_written(self, tmp_path: Path) -> None:
        kept = [recording("roads", "roads", prompt="a", reply="half of a pair: \ud83d")]
        with pytest.raises(RecordingError, match="cannot be read back, so nothing is written"):
            write_recordings(tmp_path, {}, {"facts": kept})
        assert not list(tmp_path.iterdir())

    def test_files_of_steps_that_did_not_change_are_not_touched(self, tmp_path: Path) -> None:
        kept = {"facts": (recording("roads", "roads", prompt="a"),)}
        (tmp_path / "facts.yaml").write_text("# never read, never written\n")
        assert write_recordings(tmp_path, kept, dict(kept)) == ()
        assert (tmp_path / "facts.yaml").read_text() == "# never read, never written\n"

    def test_nothing_is_written_when_recordings_contradict_each_other(self, tmp_path: Path) -> None:
        other = replace(recording("x", "x", prompt="a", reply="B."), id="title/x", step="title")
        with pytest.raises(RecordingError, match=r"'facts/roads' and 'title/x' hold the same request"):
            write_recordings(
                tmp_path / "2.0", {}, {"facts": [recording("roads", "roads", prompt="a")], "title": [other]}
            )
        assert not (tmp_path / "2.0").exists()

    def test_a_file_that_is_not_named_after_its_step_cannot_be_kept_up(self, tmp_path: Path) -> None:
        (tmp_path / "more.yaml").write_text("step: facts\nrecordings: []\n")
        with pytest.raises(
            RecordingError, match=r"^more\.yaml: holds recordings of the step 'facts'; name the file facts\.yaml$"
        ):
            check_layout(tmp_path, root=tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("step: fact\nreplies: {roads: A.}\n", r"there is no step 'fact' \(did you mean 'facts'\?\)"),
            ("step: facts\nreplies: {road: A.}\n", r"the step 'facts' has no case 'road' \(did you mean 'roads'\?\)"),
            ("step: facts\nreplies: {roads: 1}\n", r"roads: 1 is not a text; put it in quotes"),
            ("step: facts\nreplies: {roads: A.}\nnote: x\n", r"unknown key 'note'"),
        ],
        ids=["step", "case", "text", "key"],
    )
    def test_a_file_of_replies_is_read_strictly(
        self, workflow: Workflow, tmp_path: Path, text: str, message: str
    ) -> None:
        path = tmp_path / "replies.yaml"
        path.write_text(text)
        with pytest.raises(DefinitionError, match=message):
            read_replies(path, workflow)


class TestRequests:
    @pytest.fixture
    def ask(self, tmp_path: Path) -> Iterator[Callable[..., Request]]:
        """The request of facts/roads, for a release with these options."""
        with ExitStack() as stack:

            def asked(**options: object) -> Request:
                write_project(tmp_path)
                set_options(tmp_path, candidate=options)
                bench = Workbench(load_definitions(find_project(tmp_path)))
                stack.callback(bench.close)
                workflow = bench.definitions.workflow
                return request_of(bench.candidate, workflow.step("facts"), workflow.cases_of("facts")[0])

            yield asked

    def test_the_request_is_the_whole_body_that_the_release_sends(self, ask: Callable[..., Request]) -> None:
        sent = ask()
        assert sent.operation == "/api/generate"
        assert {name: value for name, value in sent.body.items() if name != "prompt"} == {
            "model": "llama3.1:70b",
            "options": {"temperature": 0.4},
            "stream": False,
        }
        assert "Idea: Roman roads" in str(sent.body["prompt"])

    def test_a_release_that_asks_another_model_is_seen_too(self, ask: Callable[..., Request]) -> None:
        assert ask(model="mistral:7b").body["model"] == "mistral:7b"

    def test_a_release_that_asks_nothing_fails_with_what_it_said(self, ask: Callable[..., Request]) -> None:
        message = r"facts/roads: the release sent no request to its model \(the model is asleep\)"
        with pytest.raises(ProductError, match=message):
            ask(silent=["facts"])
