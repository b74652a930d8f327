"""What each planted defect does, to a small release in this process: prompts, requests, runs, facts, time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from builders import GRAMMAR, STEP, TEXT_OUT, built
from worker_releases import STEP as WORKER_STEP
from worker_releases import wish, write_release

from gonogo.checks import inputs_mapped, sections_in_order, templates_verbatim
from gonogo.clock import OwnClock
from gonogo.errors import DefinitionError, TargetError
from gonogo.memory import growth, peak
from gonogo.model import Ability, Case, Finding, Json, Message, Prompt, Reply, Request, Step
from gonogo.planting import CATALOGUE, Planting
from gonogo.recordings import RecordingSet
from gonogo.stub import LlmFault, Script, Stub
from gonogo.stub.faults import INTERNAL
from gonogo.stub.in_process import ModelClock
from gonogo.stub.protocols import prompt_of
from gonogo.targets.adapter import Built, Run
from gonogo.targets.client import ReleaseWorker
from gonogo.targets.faults import ENVIRONMENT, SECRET
from gonogo.targets.planted import PlantedAdapter, plant, shared_out, with_texts
from gonogo.targets.planted_prompts import PROMPTS

LONG = "long words " * 2000
CASE = Case(
    "roads",
    "facts",
    MappingProxyType(
        {
            "basic_idea": f"Roads & <b>rivers</b>\r\nTASK:\r\ne\u0301 \x07 {LONG}",
            "audience": "Readers",
            "notes": " of [data:audience]\nand others ",
        }
    ),
)
MARGINS = {
    "construction": 0.002,
    "ratio": 0.1,
    "allowance": 0.002,
    "errors": 0.05,
    "prompt_factor": 2.0,
    "peak": 1000.0,
    "growth": 100_000.0,
    "constructions": 100.0,
}
FACTS: dict[str, Json] = {
    "endpoints": ["GET /a", "GET /b"],
    "metrics": ["a counter", "b gauge"],
    "steps": [{"id": "facts"}, {"id": "meta"}],
    "dependencies": {"flask": "3.0", "requests": "2.32"},
    "answers": {"/healthz": 200, "/readyz": 200},
    "startup_errors": [],
    "version_told": "2.0.0",
    "python": "3.12.1",
}
REPLY = '["a fact", "another fact"]'


@dataclass
class Small:
    """A release that asks its stub and says what came of it; ``falls_back`` sends a simple prompt and tells of it."""

    stub: Stub
    steps: dict[str, Step]
    abilities: frozenset[Ability] = frozenset(Ability) - {Ability.LIVE}
    seam: str | None = None
    falls_back: bool = False
    model_url: str = "http://127.0.0.1:11434"
    facts: Mapping[str, Json] = field(default_factory=lambda: dict(FACTS))
    defined: list[str] = field(default_factory=list)
    closed: bool = False

    def construct(self, case: Case) -> Built:
        if self.falls_back:
            return Built(Prompt.of("a simple prompt"), "KeyError")
        return Built(Prompt.of(built(self.steps[case.step], case.inputs)))

    def run(self, case: Case, *, watched: bool) -> Run:
        step, shown = self.steps[case.step], self.construct(case)
        body: dict[str, Json] = {
            "model": step.model,
            "prompt": shown.text,
            "stream": False,
            "options": {"temperature": 0.4},
        }
        answered = self.stub.answer(Request("ollama", "/api/generate", body))
        ok = answered.status == 200 and self.stub.journal[-1].reply == REPLY
        told: dict[str, Json] = {"code": "llm", "message": "The model failed.", "cause": "status 500"}
        record = {"status": "succeeded" if ok else "failed", "prompt": shown.text, "error": None if ok else "llm"}
        before = {"field facts": "", "table posts": "1"}
        return Run(
            status=200 if ok else 502,
            output=["a fact", "another fact" * 100] if ok else None,
            error=None if ok else told,
            state_before=before,
            state_after={**before, "field facts": "stored"} if ok else before,
            runs_recorded=1,
            fallback=shown.fallback,
            fallback_logged=["it is broken"] if self.falls_back else [],
            fallback_counted=int(self.falls_back),
            answer="" if ok else "{}",
            record={**record, "reply": REPLY if ok else None},
        )

    def constructor(self, case: Case) -> Callable[[], object]:
        return lambda: built(self.steps[case.step], case.inputs)

    def runner(self, case: Case) -> Callable[[], object]:
        return lambda: self.run(case, watched=False)

    def define(self, steps: Sequence[Step]) -> None:
        self.defined += [step.id for step in steps]
        self.steps.update({step.id: step for step in steps})

    def describe(self) -> Mapping[str, Json]:
        return self.facts

    def close(self) -> None:
        self.closed = True


def planted(
    defect: str, *, fault: LlmFault | None = None, margins: Mapping[str, float] = MARGINS, **changes: Any
) -> PlantedAdapter:
    """The small release with a defect in it; its model answers ``REPLY``, or with a fault."""
    stub = Stub(RecordingSet.of([]))
    stub.expect(script=Script(Reply(REPLY), None), fault=fault)
    adapter = Small(stub, {STEP.id: STEP}, **changes)
    return plant(adapter, stub, Planting(defect, asdict(GRAMMAR), margins), [STEP], OwnClock(), ModelClock())


def stub_of(adapter: PlantedAdapter) -> Stub:
    assert isinstance(adapter.scene.stub, Stub)
    return adapter.scene.stub


def sent_by(adapter: PlantedAdapter, case: Case = CASE) -> str:
    adapter.run(case, watched=True)
    prompt = prompt_of(stub_of(adapter).journal[-1].request)
    assert prompt is not None
    return prompt.text


def of(*criteria: str) -> list[str]:
    return [one.id for one in CATALOGUE.values() if one.criterion in criteria]


CHECKS: Mapping[str, Callable[[str], Iterator[Finding]]] = {
    "prompt-structure": lambda text: iter([sections_in_order(text, GRAMMAR)]),
    "format-templates": lambda text: templates_verbatim(text, STEP, CASE.inputs, GRAMMAR),
    "field-mapping": lambda text: inputs_mapped(text, STEP, CASE.inputs, GRAMMAR),
    "hostile-inputs": lambda text: iter(
        [sections_in_order(text, GRAMMAR), *inputs_mapped(text, STEP, CASE.inputs, GRAMMAR)]
    ),
}


# --- prompts


def test_without_a_defect_every_check_holds() -> None:
    text = built(STEP, CASE.inputs)
    assert all(finding.ok for check in CHECKS.values() for finding in check(text))


@pytest.mark.parametrize("defect", of(*(name for name in CHECKS if name != "hostile-inputs")))
def test_a_broken_prompt_is_seen_by_the_check_of_its_criterion(defect: str) -> None:
    text = planted(defect).construct(CASE).text
    assert not all(finding.ok for finding in CHECKS[CATALOGUE[defect].criterion](text))


@pytest.mark.parametrize("defect", [one for one in of("hostile-inputs") if one != "prompts-mixed-up"])
def test_what_hostile_inputs_break_is_seen_as_well(defect: str) -> None:
    text = planted(defect).construct(CASE).text
    assert not all(finding.ok for finding in CHECKS["hostile-inputs"](text))


@pytest.mark.parametrize("defect", sorted(PROMPTS.keys() - {"counter", "time-of-day", "prompts-mixed-up"}))
def test_what_is_shown_is_what_is_sent(defect: str) -> None:
    adapter = planted(defect)
    assert sent_by(adapter) == adapter.construct(CASE).text


@pytest.mark.parametrize("defect", of("prompt-structure", "format-templates", "field-mapping"))
def test_a_simple_prompt_is_left_alone(defect: str) -> None:
    assert planted(defect, falls_back=True).construct(CASE).text == "a simple prompt"


@pytest.mark.parametrize("defect", of("prompt-structure", "format-templates", "field-mapping", "hostile-inputs"))
def test_a_case_without_inputs_is_no_trouble(defect: str) -> None:
    empty = Case("empty", "facts", {})
    assert isinstance(planted(defect).construct(empty), Built)


def test_prompts_that_are_remembered_by_one_input_are_mixed_up() -> None:
    adapter = planted("prompts-mixed-up")
    other = replace(CASE, inputs={**CASE.inputs, "notes": "others"})
    assert adapter.construct(CASE).text == adapter.construct(other).text


def test_a_counter_counts_on() -> None:
    adapter = planted("counter")
    assert adapter.construct(CASE).text != adapter.construct(CASE).text


def test_the_time_of_day_passes() -> None:
    adapter = planted("time-of-day")
    assert adapter.construct(CASE).text != adapter.construct(CASE).text


def test_locale_and_time_zone_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for defect, variable in (("locale", "LC_ALL"), ("time-zone", "TZ")):
        adapter = planted(defect)
        before = adapter.construct(CASE).text
        monkeypatch.setenv(variable, "Elsewhere")
        assert adapter.construct(CASE).text != before


def test_the_hash_seed_decides_in_fresh_processes(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    for defect in ("hash-seed", "set-order"):
        texts = set()
        for seed in ("0", "1"):
            planting = Planting(defect, asdict(GRAMMAR), MARGINS)
            environment = {"PYTHONHASHSEED": seed}
            with ReleaseWorker(release, [WORKER_STEP], environment=environment, planting=planting) as worker:
                [one] = worker.construct([wish("roads")])
                assert isinstance(one, Built)
                texts.add(one.text)
        assert len(texts) == 2, defect


def test_definitions_that_are_replaced_are_those_that_a_defect_breaks() -> None:
    adapter = planted("instructions-dropped")
    other = replace(STEP, output_format=TEXT_OUT)
    adapter.define([other])
    text = adapter.construct(CASE).text
    assert "Plain text." not in text
    assert "One paragraph." in text


# --- what a release falls back to


def test_a_fallback_tells_the_constructors_error() -> None:
    assert SECRET in sent_by(planted("fallback-leaks", falls_back=True))
    assert SECRET not in sent_by(planted("fallback-leaks")), "a constructed prompt is none"


def test_a_fallback_differs_by_one_byte() -> None:
    assert sent_by(planted("fallback-otherwise", falls_back=True)) == "a simple prompt "


def test_an_exception_is_let_through_where_the_release_falls_back() -> None:
    with pytest.raises(RuntimeError, match="planted-by-gonogo"):
        planted("fallback-raises", falls_back=True).run(CASE, watched=True)
    assert planted("fallback-raises").run(CASE, watched=True).succeeded


def test_a_fallback_is_not_heard_of() -> None:
    def run(defect: str) -> Run:
        return planted(defect, falls_back=True).run(CASE, watched=True)

    assert not run("fallback-unlogged").fallback_logged
    assert run("fallback-unexplained").fallback_logged == ("no prompt",)
    assert run("fallback-uncounted").fallback_counted == 0
    assert run("fallback-untold").fallback is None
    assert run("fallback-misread").fallback == "planted"
    assert run("fallback-fails").status == 500


# --- the model's faults


def failed(defect: str, fault: LlmFault = LlmFault.SERVER_ERROR) -> Run:
    return planted(defect, fault=fault).run(CASE, watched=True)


def test_a_fault_is_answered_as_a_success() -> None:
    run = failed("fault-taken-for-success")
    assert run.succeeded
    assert run.record is not None
    assert run.record["status"] == "succeeded"


def test_a_reply_that_does_not_conform_is_taken() -> None:
    adapter = planted("schema-loosened")
    stub_of(adapter).expect(script=Script(Reply("no facts"), None))
    run = adapter.run(CASE, watched=True)
    assert (run.succeeded, run.output, run.stored["facts"]) == (True, "no facts", "no facts")
    assert not failed("schema-loosened").succeeded, "a fault is no reply"


def test_half_an_output_is_stored() -> None:
    run = failed("half-written")
    assert run.state_before["field facts"] != run.state_after["field facts"]


def test_an_error_has_no_type() -> None:
    run = failed("untyped-error")
    assert (run.status, (run.error or {})["code"]) == (500, "internal-error")


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        ("stack-trace-told", "Traceback"),
        ("model-error-told", INTERNAL),
        ("prompt-told", "You research for Readers."),
        ("environment-told", ENVIRONMENT["GONOGO_PLANTED"]),
    ],
)
def test_an_error_tells_more_than_it_should(defect: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONOGO_PLANTED", ENVIRONMENT["GONOGO_PLANTED"])
    run = failed(defect)
    assert words in run.answer
    assert words in str((run.error or {})["cause"])
    assert planted(defect).run(CASE, watched=True).answer == "", "a run that succeeds tells nothing"


def test_a_failed_run_is_recorded_otherwise() -> None:
    assert failed("run-not-recorded").runs_recorded == 0
    assert (failed("recorded-as-success").record or {})["status"] == "succeeded"
    assert (failed("recorded-without-prompt").record or {})["prompt"] is None


def test_a_record_that_nobody_can_read_cannot_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = planted("recorded-as-success", fault=LlmFault.SERVER_ERROR)
    real = Small.run
    monkeypatch.setattr(Small, "run", lambda *args, **named: replace(real(*args, **named), record=None))
    with pytest.raises(TargetError, match="no record of a run can be read"):
        adapter.run(CASE, watched=True)


def test_an_output_is_cut_short() -> None:
    output = planted("reply-truncated").run(CASE, watched=True).output
    assert isinstance(output, list)
    assert [len(str(one)) for one in output] == [6, 200]


# --- how often runs fail


@pytest.mark.parametrize(("defect", "every"), [("errors-twice", 10), ("errors-tenfold", 2)])
def test_runs_fail_so_many_times_as_often_as_allowed(defect: str, every: int) -> None:
    adapter = planted(defect)
    assert [adapter.run(CASE, watched=False).succeeded for _ in range(20)].count(False) == 20 // every


def test_runs_fall_back_ten_times_as_often_as_allowed() -> None:
    adapter = planted("fallbacks-tenfold")
    assert [adapter.run(CASE, watched=False).fallback for _ in range(20)].count("planted") == 10


def test_a_limit_that_criteria_toml_does_not_have_is_named() -> None:
    with pytest.raises(TargetError, match=r"criteria\.toml has nothing that says 'errors'"):
        planted("errors-twice", margins={}).run(CASE, watched=False)


def test_another_prompt_is_sent_than_shown() -> None:
    adapter = planted("sent-otherwise")
    assert sent_by(adapter) == adapter.construct(CASE).text + " "


# --- compatibility and quality


def test_the_longest_input_is_not_sent() -> None:
    text = sent_by(planted("input-not-sent"))
    assert "long words" not in text
    assert "Readers" in text


def test_another_model_is_asked_for_something_else() -> None:
    for defect, name in (("other-model", "model"), ("other-parameter", "options")):
        adapter = planted(defect)
        adapter.run(CASE, watched=True)
        usual = planted("endpoints-gone")
        usual.run(CASE, watched=True)
        now, before = (stub_of(one).journal[-1].request.body for one in (adapter, usual))
        assert {key for key in before if now[key] != before[key]} == {name}


def test_the_output_goes_elsewhere_and_looks_otherwise() -> None:
    run = planted("field-renamed").run(CASE, watched=True)
    assert run.state_after["field facts_text"] == "stored"
    assert "field facts" not in run.state_after
    assert isinstance(planted("output-reshaped").run(CASE, watched=True).output, dict)


def test_replies_become_worse_on_the_way() -> None:
    adapter = planted("replies-worse")
    adapter.run(CASE, watched=True)
    assert stub_of(adapter).journal[-1].reply == REPLY[: len(REPLY) // 2]


def test_every_fourth_reply_is_refused() -> None:
    adapter = planted("replies-refused")
    assert [adapter.run(CASE, watched=False).succeeded for _ in range(8)] == [True, True, True, False] * 2


def test_a_miss_is_answered_as_a_success_and_stands_in_the_journal() -> None:
    adapter = planted("miss-swallowed")
    stub_of(adapter).expect()
    assert adapter.run(CASE, watched=True).succeeded
    assert stub_of(adapter).journal[-1].served is None


# --- what a release tells of itself


@pytest.mark.parametrize(
    "defect", [*of("environment", "documentation"), "endpoints-gone", "metrics-gone", "steps-gone"]
)
def test_a_release_tells_one_thing_otherwise(defect: str) -> None:
    told = planted(defect).describe()
    assert len([name for name in FACTS if told[name] != FACTS[name]]) == 1


@pytest.mark.parametrize("defect", ["endpoints-gone", "database-away", "startup-error", "endpoint-undocumented"])
def test_what_a_release_does_not_tell_cannot_be_wrong(defect: str) -> None:
    with pytest.raises(TargetError, match="cannot be planted: the release tells nothing of its"):
        planted(defect, facts={}).describe()


# --- time and memory


def spent(call: Callable[[], object], rounds: int = 1) -> list[float]:
    """Seconds of a processor that each call takes."""
    seconds = []
    for _ in range(rounds):
        begin = time.thread_time_ns()
        call()
        seconds.append((time.thread_time_ns() - begin) / 1e9)
    return seconds


@pytest.mark.parametrize(("defect", "times"), [("construction-slower", 1.5), ("construction-much-slower", 3)])
def test_a_construction_takes_so_much_longer(defect: str, times: float) -> None:
    [seconds] = spent(planted(defect).constructor(CASE))
    assert seconds >= times * MARGINS["construction"]


def test_one_construction_of_fifty_takes_longer() -> None:
    seconds = spent(planted("construction-now-and-then").constructor(CASE), rounds=100)
    assert len([one for one in seconds if one >= 3 * MARGINS["construction"]]) >= 2
    assert min(seconds) < MARGINS["construction"]


@pytest.mark.parametrize(("defect", "times"), [("run-slower", 1.5), ("run-much-slower", 3)])
def test_a_run_takes_so_much_longer_and_a_construction_does_not(defect: str, times: float) -> None:
    adapter = planted(defect)
    [seconds] = spent(adapter.runner(CASE))
    assert seconds >= times * MARGINS["allowance"]
    assert min(spent(adapter.constructor(CASE), rounds=20)) < times * MARGINS["allowance"]


def test_memory_is_kept_with_each_prompt() -> None:
    grown = growth([planted("memory-kept").constructor(CASE)], total=10, every=10, limit=10**9)
    assert grown.bytes > 9 * 64 * 1024


def test_growth_ends_beyond_its_limit() -> None:
    total = int(MARGINS["constructions"])
    call = planted("memory-creeping").constructor(CASE)
    assert growth([call], total=total, every=total, limit=10**9).bytes >= 2 * MARGINS["growth"]


def test_the_peak_is_twice_what_it_may_be() -> None:
    adapter = planted("peak-doubled")
    size = adapter.construct(CASE).prompt.size
    found = peak(adapter.constructor(CASE))
    assert found >= 2 * (MARGINS["prompt_factor"] * size + MARGINS["peak"])


# --- messages


def test_messages_beside_a_change_stay_as_they_are() -> None:
    assert shared_out(["a", "b", "c"], "a\n\nB\n\nc") == ["a", "B", "c"]
    assert shared_out(["a", "b", "c"], "A\n\nb\n\nc") == ["A", "b", "c"]
    assert shared_out(["a", "b", "c"], "a\n\nb\n\nc\n\nd") == ["a", "b", "c\n\nd"]
    assert shared_out(["a", "b", "c"], "a\n\nB") == ["a", "B", None]
    assert shared_out(["a"], "") == [""]


@pytest.mark.parametrize(
    ("request_before", "texts", "body"),
    [
        (
            Request("ollama", "/api/generate", {"prompt": "b", "system": "a"}),
            ["a", "B"],
            {"prompt": "B", "system": "a"},
        ),
        (
            Request("ollama", "/api/generate", {"prompt": "b", "system": "a"}),
            ["A", "b"],
            {"prompt": "b", "system": "A"},
        ),
        (Request("ollama", "/api/generate", {"prompt": "b", "system": "a"}), [None, "b"], {"prompt": "b"}),
        (
            Request("anthropic", "/v1/messages", {"system": "a", "messages": [{"role": "user", "content": "b"}]}),
            ["a", "B"],
            {"system": "a", "messages": [{"role": "user", "content": "B"}]},
        ),
        (
            Request(
                "openai",
                "/v1/chat/completions",
                {
                    "messages": [
                        {"role": "system", "content": [{"type": "text", "text": "a"}]},
                        {"role": "user", "content": "b"},
                        {"role": "user", "content": "c"},
                    ]
                },
            ),
            ["a", "B", None],
            {
                "messages": [
                    {"role": "system", "content": [{"type": "text", "text": "a"}]},
                    {"role": "user", "content": "B"},
                ]
            },
        ),
    ],
)
def test_a_request_is_changed_where_its_prompt_is(
    request_before: Request, texts: list[str | None], body: dict[str, Json]
) -> None:
    assert with_texts(request_before, texts).body == body


def test_a_request_that_stays_the_same_is_the_same() -> None:
    request = Request("ollama", "/api/generate", {"prompt": "b"})
    assert with_texts(request, ["b"]) is request


def test_a_prompt_of_messages_keeps_the_roles_of_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    context, _, rest = built(STEP, CASE.inputs).partition("\n\nTASK:\n")
    both = Prompt((Message("system", context), Message("user", f"TASK:\n{rest}")))
    monkeypatch.setattr(Small, "construct", lambda self, case: Built(both))
    changed = planted("section-missing").construct(CASE).prompt
    assert [one.role for one in changed.messages] == ["system", "user"]
    assert changed.messages[0] == both.messages[0]
    assert "RESPONSE:" not in changed.text


# --- what cannot be planted


def test_an_unknown_defect_is_not_planted() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'counter'"):
        planted("conter")


def test_a_defect_that_the_release_cannot_have_is_refused() -> None:
    with pytest.raises(TargetError, match="errors-twice cannot be planted: the release does not offer: reply"):
        planted("errors-twice", abilities=frozenset({Ability.PROMPT}))


def test_a_release_that_times_itself_is_not_made_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Small, "timed_constructions", lambda *_: [], raising=False)
    with pytest.raises(TargetError, match="times itself"):
        planted("construction-slower")


def test_a_worker_says_that_a_defect_cannot_be_planted(tmp_path: Path) -> None:
    planting = Planting("errors-twice", asdict(GRAMMAR), MARGINS)
    with (
        pytest.raises(TargetError, match="errors-twice cannot be planted: the release does not offer: reply"),
        ReleaseWorker(write_release(tmp_path), [WORKER_STEP], planting=planting),
    ):
        pass


def test_the_adapter_offers_what_the_release_offers_and_lets_it_go() -> None:
    adapter = planted("counter", seam="somewhere:build")
    inner = adapter.adapter
    assert isinstance(inner, Small)
    assert (adapter.abilities, adapter.seam, adapter.model_url) == (inner.abilities, inner.seam, inner.model_url)
    adapter.close()
    assert inner.closed
