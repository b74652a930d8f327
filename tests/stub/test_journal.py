"""The stub answers from recordings, scripts and faults; a miss explains itself and stands in the journal."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from gonogo.errors import DefinitionError
from gonogo.model import Frame, Json, Provenance, Recording, Reply, Request
from gonogo.recordings import RecordingSet
from gonogo.stub import Exchange, FaultPlan, LlmFault, Script, Stub

PROMPT = "CONTEXT:\nYou research.\n\nTASK:\nFind facts."
BODY: dict[str, Json] = {"model": "llama3.1:8b", "prompt": PROMPT, "stream": False}
REQUEST = Request("ollama", "/api/generate", BODY)
RECORDING = Recording(
    "facts/roads", "facts", ("roads",), REQUEST, Reply("Straight."), Provenance.CAPTURED, "2026-11-23"
)
MOVED = replace(REQUEST, body={**BODY, "prompt": PROMPT.replace("facts", "ten facts")})


@pytest.fixture
def stub() -> Stub:
    return Stub(RecordingSet.of([RECORDING]))


def test_a_recorded_request_is_answered_with_its_reply_as_often_as_it_comes(stub: Stub) -> None:
    for _ in range(3):
        answer = stub.answer(REQUEST)
        assert answer.status == 200
        assert json.loads(answer.body)["response"] == "Straight."
    assert stub.journal == [Exchange(REQUEST, "facts/roads", "Straight.")] * 3


def test_a_miss_names_the_nearest_recording_and_shows_what_moved(stub: Stub) -> None:
    answer = stub.answer(MOVED)
    assert answer.status == 404
    said = (
        "gonogo has no recording for this request; nearest is facts/roads, and the stub's journal holds the difference"
    )
    assert json.loads(answer.body) == {"error": said}
    assert answer.headers["X-Gonogo-Miss"] == "facts/roads"
    [exchange] = stub.journal
    assert exchange.served is None
    assert exchange.reply is None
    assert exchange.miss.startswith("nearest is facts/roads\n--- recorded\n+++ sent\n")
    assert "-  Find facts.\n+  Find ten facts." in exchange.miss


def test_the_header_of_a_miss_is_one_whatever_the_id() -> None:
    stub = Stub(RecordingSet.of([replace(RECORDING, id="facts/straße\r\nx")]))
    assert stub.answer(MOVED).headers["X-Gonogo-Miss"] == "facts/stra%C3%9Fe%0D%0Ax"


def test_a_miss_is_explained_once_and_kept_as_often_as_it_comes(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    nearest = RecordingSet.nearest

    def counted(recordings: RecordingSet, request: Request, *, step: str | None = None) -> Recording | None:
        looked.append(step)
        return nearest(recordings, request, step=step)

    monkeypatch.setattr(RecordingSet, "nearest", counted)
    for _ in range(3):
        stub.answer(MOVED)
    stub.answer_with(step="facts")
    stub.answer(MOVED)
    assert looked == [None, "facts"]
    assert [one.served for one in stub.journal] == [None] * 4
    assert len({one.miss for one in stub.journal}) == 1


def test_reasons_of_misses_are_not_kept_without_end(stub: Stub) -> None:
    for number in range(600):
        stub.answer(replace(REQUEST, body={**BODY, "prompt": f"Find {number}."}))
    assert len(stub.journal) == 600
    assert len(stub._explained) <= 256


def test_a_request_of_great_size_is_not_compared(stub: Stub) -> None:
    stub.answer(replace(REQUEST, body={**BODY, "prompt": "x\n" * 300_000}))
    assert re.fullmatch(r"nothing so large was recorded \(\d+ bytes\), and no diff is made of it", stub.journal[0].miss)


def test_a_body_that_is_not_formed_as_its_operation_asks_is_told_so(stub: Stub) -> None:
    answer = stub.answer(replace(REQUEST, body={"model": "llama3.1:8b"}))
    assert answer.status == 400
    said = "the body is not formed as /api/generate asks"
    assert json.loads(answer.body) == {"error": f"{said}; send the prompt where the operation has it"}
    assert [one.miss for one in stub.journal] == [said]


def test_another_set_answers_from_now_on_and_the_rest_stays(stub: Stub) -> None:
    stub.expect(step="facts", fault=FaultPlan(LlmFault.SERVER_ERROR, rate=0))
    assert stub.answer(MOVED).status == 404
    stub.answer(REQUEST)
    stub.exchange_recordings(RecordingSet.of([replace(RECORDING, request=MOVED, reply=Reply("Moved."))]))
    assert stub.answer(REQUEST).status == 404
    assert json.loads(stub.answer(MOVED).body)["response"] == "Moved."
    assert (len(stub.journal), stub.step) == (4, "facts")
    assert stub.plan is not None


def test_a_fault_for_one_request_is_none_of_the_plan(stub: Stub) -> None:
    stub.expect(fault=FaultPlan(LlmFault.SERVER_ERROR, times=1))
    assert stub.answer(REQUEST, FaultPlan(LlmFault.RATE_LIMITED)).status == 429
    assert [stub.answer(REQUEST).status for _ in range(2)] == [500, 200]
    assert stub.struck == {LlmFault.RATE_LIMITED: 1, LlmFault.SERVER_ERROR: 1}


def test_a_miss_without_any_recording_says_so() -> None:
    stub = Stub(RecordingSet.of([]))
    stub.answer(REQUEST)
    assert stub.journal[0].miss == "there are no recordings of this release"


def test_recorded_status_and_frames_are_served_as_they_came() -> None:
    frames = (Frame(0.0, b'{"response": "Str'), Frame(0.2, b'aight."}'))
    stub = Stub(RecordingSet.of([replace(RECORDING, reply=Reply("Straight.", 503, frames))]))
    answer = stub.answer(REQUEST)
    assert answer.status == 503
    assert answer.body == b'{"response": "Straight."}'


def test_a_script_stands_in_front_of_the_recordings(stub: Stub) -> None:
    stub.expect(script=Script(Reply("Scripted.", 201), "llama3.1:8b"))
    answer = stub.answer(REQUEST)
    assert answer.status == 201
    assert json.loads(answer.body)["response"] == "Scripted."
    assert stub.journal == [Exchange(REQUEST, "scripted", "Scripted.")]


@pytest.mark.parametrize(
    ("script", "request_", "reason"),
    [
        (
            Script(Reply("x"), "llama3.1:70b"),
            REQUEST,
            "the script expects the model 'llama3.1:70b', the request names 'llama3.1:8b'",
        ),
        (
            Script(Reply("x"), "llama3.1:8b", PROMPT + " "),
            REQUEST,
            f"the script expects another prompt ({len(PROMPT) + 1} characters, sent were {len(PROMPT)})",
        ),
        (
            Script(Reply("x"), None),
            Request("ollama", "/api/generate", {"model": "m"}),
            "the body is not formed as /api/generate asks",
        ),
        (
            Script(Reply("x"), "m"),
            Request("ollama", "/api/chat", {"model": "m", "messages": 3}),
            "the body is not formed as /api/chat asks",
        ),
        (
            Script(Reply("x"), "m"),
            Request("ollama", "/api/chat", {"prompt": "x"}),
            "the script expects the model 'm', the request names None",
        ),
    ],
)
def test_a_request_that_a_script_does_not_expect_is_a_miss(
    stub: Stub, script: Script, request_: Request, reason: str
) -> None:
    stub.expect(script=script)
    assert stub.answer(request_).status == 404
    assert stub.journal == [Exchange(request_, None, None, reason)]


def test_a_script_for_any_model_and_any_prompt_expects_every_request(stub: Stub) -> None:
    stub.expect(script=Script(Reply("x"), None))
    assert stub.answer(MOVED).status == 200


def test_to_expect_anew_forgets_what_was(stub: Stub) -> None:
    stub.expect(step="facts", script=Script(Reply("x"), "m"), fault=LlmFault.EMPTY)
    stub.answer(REQUEST)
    stub.expect()
    assert (stub.step, stub.script, stub.plan, len(stub.journal)) == (None, None, None, 0)
    assert stub.answer(REQUEST).status == 200


@pytest.mark.parametrize("fault", [fault for fault in LlmFault if not fault.only_delays])
def test_every_fault_stands_in_the_journal(stub: Stub, fault: LlmFault) -> None:
    stub.expect(fault=fault)
    stub.answer(REQUEST)
    assert stub.journal == [Exchange(REQUEST, fault.value, None)]


@pytest.mark.parametrize("fault", [fault for fault in LlmFault if fault.only_delays])
def test_a_late_reply_is_the_right_one(stub: Stub, fault: LlmFault) -> None:
    stub.expect(fault=FaultPlan(fault, delay=0.5))
    answer = stub.answer(REQUEST)
    assert answer.held
    assert answer.frames[-1].offset == 0.5
    assert json.loads(answer.body)["response"] == "Straight."
    assert stub.journal == [Exchange(REQUEST, "facts/roads", "Straight.")]


def test_a_plan_strikes_its_share_of_the_requests_and_the_same_ones_each_time(stub: Stub) -> None:
    def struck(plan: FaultPlan) -> list[bool]:
        stub.expect(fault=plan)
        return [stub.answer(REQUEST).status == 500 for _ in range(400)]

    plan = FaultPlan(LlmFault.SERVER_ERROR, rate=0.25, seed=3)
    assert struck(plan) == struck(plan)
    assert struck(plan) != struck(replace(plan, seed=4))
    assert 70 < sum(struck(plan)) < 130
    assert sum(struck(replace(plan, rate=1.0, times=3))) == 3
    assert not any(struck(replace(plan, rate=0.0)))


def test_a_plan_goes_on_over_several_sequences(stub: Stub) -> None:
    plan = FaultPlan(LlmFault.SERVER_ERROR, rate=0.3, seed=5, times=4)

    def struck(planned: FaultPlan, requests: int) -> list[bool]:
        stub.expect(fault=planned)
        return [stub.answer(REQUEST).status == 500 for _ in range(requests)]

    whole = struck(plan, 30)
    in_parts = struck(plan, 7) + struck(plan.after(7), 13) + struck(plan.after(7).after(13), 10)
    assert in_parts == whole
    assert sum(whole) == 4


def test_a_plan_goes_over_the_wire() -> None:
    plan = FaultPlan(LlmFault.RATE_LIMITED, rate=0.5, seed=1, times=2, retry_after=3)
    assert FaultPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"fault": "501"}, "'501' is not a valid LlmFault; write a fault"),
        ({"rate": 1.0}, "'fault'; write a fault"),
        ({"fault": "500", "often": 1}, "unexpected keyword argument 'often'"),
        ({"fault": "500", "rate": 2}, "rate = 2 is not a share; write 0 to 1"),
        ({"fault": "500", "rate": "x"}, "write a fault"),
        ({"fault": "500", "delay": -1}, "delay = -1 is too small; write 0 or more"),
    ],
)
def test_what_is_no_plan_is_refused_with_a_remedy(data: dict[str, object], said: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)):
        FaultPlan.from_json(data)


@pytest.mark.parametrize(
    "exchange", [Exchange(REQUEST, "facts/roads", "Straight."), Exchange(MOVED, None, None, "nearest is x")]
)
def test_an_exchange_survives_the_wire(exchange: Exchange) -> None:
    assert Exchange.from_json(json.loads(json.dumps(exchange.as_json()))) == exchange
