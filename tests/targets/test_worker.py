"""A release worker: what it answers, and what it makes of a release that raises, dies, hangs or telephones."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from worker_releases import STEP, wish, write_release

from gonogo.errors import GonogoError, MissingReply, OutboundConnection, ProductError, TargetError, WorkerDied
from gonogo.model import Ability, Provenance, Recording, Reply, Request
from gonogo.project import Release
from gonogo.recordings import dump_recordings
from gonogo.stub import LlmFault, Script
from gonogo.targets.adapter import Built
from gonogo.targets.client import ReleaseWorker
from gonogo.targets.faults import SECRET, ConstructorFault

PROMPT = "candidate: Find facts. roads"
RECORDING = Recording(
    "facts/roads",
    "facts",
    ("roads",),
    Request("ollama", "/api/generate", {"model": "llama3.1:8b", "prompt": PROMPT}),
    Reply("Straight."),
    Provenance.SYNTHETIC,
    "2026-11-23",
)
SCRIPT = Script(Reply("Scripted."), "llama3.1:8b")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseWorker]:
    """A whole release for the questions that leave nothing behind."""
    folder = tmp_path_factory.mktemp("release")
    recordings = folder / "recordings"
    recordings.mkdir()
    (recordings / "facts.yaml").write_text(dump_recordings("facts", [RECORDING]), encoding="utf-8")
    with ReleaseWorker(write_release(folder, "whole", options={"mark": 1}), [STEP], recordings=recordings) as worker:
        yield worker


@pytest.fixture
def open_worker(tmp_path: Path) -> Iterator[Callable[..., ReleaseWorker]]:
    workers: list[ReleaseWorker] = []

    def make(adapter: str = "function", timeout: float = 30.0, environment: dict[str, str] | None = None, **changes: object) -> ReleaseWorker:
        workers.append(ReleaseWorker(write_release(tmp_path, adapter, **changes), [STEP], timeout=timeout, environment=environment))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def built(worker: ReleaseWorker, text: str) -> Built:
    [one] = worker.construct([wish(text)])
    assert isinstance(one, Built)
    return one


def test_a_function_alone_is_a_release(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker()
    assert worker.abilities == {Ability.PROMPT, Ability.WORKER, Ability.DEFINITIONS}
    assert worker.describe() == {"mark": "candidate"}
    assert built(worker, "roads").text == PROMPT
    with pytest.raises(GonogoError, match="a constructor alone cannot run facts/roads"):
        worker.run(wish("roads"))


def test_prompts_come_in_order_and_what_is_raised_stands_in_its_place(shared: ReleaseWorker) -> None:
    first, raised, last = shared.construct([wish("one"), wish("raise"), wish("two")])
    assert isinstance(first, Built)
    assert isinstance(last, Built)
    assert (first.text, last.text) == ("candidate: Find facts. one", "candidate: Find facts. two")
    assert isinstance(raised, ProductError)
    assert str(raised) == "facts/raise: the release raised while it built the prompt: KeyError: 'no such thing'"
    assert "construct_prompt" in raised.__notes__[0], "the traceback of the release must come along"


def test_a_release_that_exits_is_the_products_error(open_worker: Callable[..., ReleaseWorker]) -> None:
    [raised] = open_worker().construct([wish("sys.exit")])
    assert isinstance(raised, ProductError)
    assert "SystemExit: the release gives up" in str(raised)


def test_a_worker_that_dies_is_said_with_its_status_and_last_lines(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker()
    built(worker, "print")
    with pytest.raises(WorkerDied, match=r"release 2\.0\.0: the worker ended with status 7 before it answered; its last lines: .*to standard error"):
        worker.construct([wish("exit")])
    with pytest.raises(WorkerDied):
        worker.construct([wish("roads")])


def test_a_worker_that_hangs_is_stopped(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker(timeout=5.0)
    worker._timeout = 0.3  # the start may take longer
    with pytest.raises(TargetError, match=r"no answer within 0\.3 s; the worker was stopped\. Look for an endless loop or a lock"):
        worker.construct([wish("hang")])
    with pytest.raises(WorkerDied):
        worker.construct([wish("roads")])


@pytest.mark.parametrize("text", ["connect", "swallow", "look up"])
def test_an_outbound_connection_is_refused_by_name_also_when_it_is_swallowed(shared: ReleaseWorker, text: str) -> None:
    place = "collector.example" if text == "look up" else r"192\.0\.2\.1"
    with pytest.raises(OutboundConnection, match=rf"release 2\.0\.0: the release tried to reach {place}"):
        shared.construct([wish(text)])
    assert built(shared, "roads").text == PROMPT, "what is asked afterwards must be answered"


@pytest.mark.parametrize("text", ["datagram", "swallowed requests"])
def test_no_other_way_out_of_the_process_is_open(shared: ReleaseWorker, text: str) -> None:
    with pytest.raises(OutboundConnection):
        shared.construct([wish(text)])


@pytest.mark.parametrize("ask", ["describe", "time"])
def test_a_connection_is_refused_by_name_whatever_was_asked(open_worker: Callable[..., ReleaseWorker], ask: str) -> None:
    worker = open_worker("whole", options={"connects": True})
    with pytest.raises(OutboundConnection):
        worker.describe() if ask == "describe" else worker.time_construct(wish("connect"))


def test_a_connection_while_the_release_starts_is_refused_too(open_worker: Callable[..., ReleaseWorker]) -> None:
    with pytest.raises(OutboundConnection):
        open_worker("quietly_connecting")


def test_hosts_that_are_allowed_can_be_reached(open_worker: Callable[..., ReleaseWorker]) -> None:
    assert built(open_worker(network=("127.0.0.1",)), "allowed").text.endswith("allowed")


def test_the_process_has_its_own_environment(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker(environment={"PYTHONHASHSEED": "17", "TZ": "Asia/Tokyo"})
    assert built(worker, "environment").text == "17 Asia/Tokyo"


def test_a_frozen_clock_stands_still(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker(frozen_at="2026-01-31T09:00:00+00:00")
    assert built(worker, "date").text == built(worker, "date").text == "2026-01-31T09:00:00+00:00"
    assert worker.time_construct(wish("date")) > 0


def test_text_that_no_encoding_takes_survives_the_pipe(shared: ReleaseWorker) -> None:
    assert built(shared, "surrogate").text == "half \ud83d"
    assert built(shared, "half \ud83d\x00").text.endswith("half \ud83d\x00")


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("adapter.py:gone", ["AttributeError", "'gone'"]),
        ("nowhere.py:function", ["FileNotFoundError", "nowhere.py"]),
        ("no.such.package:function", ["ModuleNotFoundError", "No module named 'no'"]),
        ("nonsense", ["ValueError"]),
        ("bad.py:function", ["SyntaxError"]),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_said_with_the_remedy(tmp_path: Path, reference: str, parts: list[str]) -> None:
    release = write_release(tmp_path)
    (tmp_path / "bad.py").write_text("def function(:\n")
    reference = f"{tmp_path}/{reference}" if ".py" in reference else reference
    with pytest.raises(TargetError) as caught:
        ReleaseWorker(replace(release, adapter=reference), [STEP])
    said = str(caught.value)
    assert not isinstance(caught.value, WorkerDied)
    assert said.startswith("release 2.0.0: the adapter ")
    assert said.endswith("write 'file.py:function' or 'package.module:function', and see that its imports are installed")
    for part in parts:
        assert part in said


def test_an_adapter_that_is_no_function_is_refused(open_worker: Callable[..., ReleaseWorker]) -> None:
    with pytest.raises(TargetError, match=r"adapter\.py:number' is 3; it must be a function that takes a WorkerContext"):
        open_worker("number")


def test_a_release_that_raises_while_it_starts_is_the_products_error(open_worker: Callable[..., ReleaseWorker]) -> None:
    with pytest.raises(ProductError, match=r"release 2\.0\.0: release 2\.0\.0 does not start: RuntimeError: no database"):
        open_worker("broken")


def test_a_package_that_comes_from_elsewhere_is_refused(tmp_path: Path, open_worker: Callable[..., ReleaseWorker]) -> None:
    other = tmp_path / "other"
    write_release(other)
    with pytest.raises(TargetError, match=r"the package 'smallapp' was loaded from .*other/smallapp/__init__\.py, not from the release in") as caught:
        open_worker("elsewhere", options={"elsewhere": str(other)})
    assert "Import it inside the adapter's function and nowhere earlier" in str(caught.value)


def test_a_namespace_package_of_the_release_is_its_own(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    (tmp_path / "smallapp" / "__init__.py").unlink()
    with ReleaseWorker(release, [STEP]) as worker:
        assert built(worker, "roads").text == PROMPT


def test_a_recorded_run_is_answered_and_its_exchange_comes_back(shared: ReleaseWorker) -> None:
    ran = shared.run(wish("roads"))
    assert ran.run.succeeded
    assert ran.run.output == "Straight."
    assert [one.served for one in ran.exchanges] == ["facts/roads"]
    assert ran.prompt == PROMPT


def test_recordings_are_found_from_wherever_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "facts.yaml").write_text(dump_recordings("facts", [RECORDING]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with ReleaseWorker(write_release(tmp_path, "whole"), [STEP], recordings=Path("recordings")) as worker:
        assert worker.run(wish("roads")).run.output == "Straight."


def test_a_prompt_that_moved_is_a_missing_reply_whatever_the_application_made_of_it(shared: ReleaseWorker) -> None:
    with pytest.raises(MissingReply, match=r"nearest is facts/roads\n(.*\n)+.*\+prompt: candidate: Find facts\. rivers"):
        shared.run(wish("rivers"))


def test_a_scripted_reply_is_answered_and_its_mismatch_is_a_missing_reply(shared: ReleaseWorker) -> None:
    assert shared.run(wish("rivers"), script=SCRIPT).run.output == "Scripted."
    with pytest.raises(MissingReply, match="the script expects another prompt"):
        shared.run(wish("rivers"), script=replace(SCRIPT, prompt="x"))
    with pytest.raises(MissingReply, match="the script expects the model 'other'"):
        shared.run(wish("rivers"), script=replace(SCRIPT, model="other"))


def test_a_scripted_status_reaches_the_release(shared: ReleaseWorker) -> None:
    assert shared.run(wish("roads"), script=replace(SCRIPT, reply=Reply("x", status=500))).run.status == 502


@pytest.mark.parametrize("fault", list(LlmFault))
def test_every_fault_of_the_model_reaches_the_release(shared: ReleaseWorker, fault: LlmFault) -> None:
    ran = shared.run(wish("roads"), fault=fault)
    assert [one.served for one in ran.exchanges] == [fault.value]
    # requests puts a character of its own in the place of bytes that are not UTF-8
    assert ran.run.status == (200 if fault is LlmFault.INVALID_UTF8 else 502)


def test_an_exception_that_the_release_lets_through_is_the_products_error(shared: ReleaseWorker) -> None:
    with pytest.raises(ProductError, match="facts/run-raises: the release let an exception through: OSError: disk full"):
        shared.run(wish("run raises"), script=SCRIPT)


@pytest.mark.parametrize("fault", list(ConstructorFault))
def test_every_fault_of_the_constructor_is_planted_and_taken_out_again(shared: ReleaseWorker, fault: ConstructorFault) -> None:
    ran = shared.run(wish("roads"), script=SCRIPT, constructor=fault)
    expected = {
        ConstructorFault.VALUE_ERROR: "ValueError",
        ConstructorFault.KEY_ERROR: "KeyError",
        ConstructorFault.TYPE_ERROR: "TypeError",
        ConstructorFault.ATTRIBUTE_ERROR: "AttributeError",
        ConstructorFault.RECURSION_ERROR: "RecursionError",
        ConstructorFault.MEMORY_ERROR: "MemoryError",
        ConstructorFault.OS_ERROR: "OSError",
        ConstructorFault.UNKNOWN_ERROR: "PlantedError",
        ConstructorFault.RAISES_AFTERWARDS: "PlantedError",
        ConstructorFault.GONE: "AttributeError",
        ConstructorFault.RETURNS_NONE: "AttributeError",
        ConstructorFault.RETURNS_OTHER: "AttributeError",
        ConstructorFault.RETURNS_NOTHING: "ValueError",
        ConstructorFault.RETURNS_HALF: None,
        ConstructorFault.RETURNS_NO_SECTIONS: None,
    }[fault]
    assert ran.run.fallback == expected
    sent = {ConstructorFault.RETURNS_HALF: PROMPT[: len(PROMPT) // 2], ConstructorFault.RETURNS_NO_SECTIONS: SECRET}
    assert ran.prompt == sent.get(fault, "Find facts.")
    assert shared.run(wish("roads")).run.fallback is None


@pytest.mark.parametrize("seam", [None, "", "smallapp.constructor", "smallapp.constructor:gone", "no.such:thing", ".relative:x"])
def test_a_seam_that_leads_nowhere_is_said_with_the_remedy(open_worker: Callable[..., ReleaseWorker], seam: str | None) -> None:
    worker = open_worker("seamless", options={"seam": seam})
    with pytest.raises(TargetError, match=r"the adapter's seam .* leads nowhere \(.*\); write 'package\.module:function'"):
        worker.run(wish("roads"), script=SCRIPT, constructor=ConstructorFault.GONE)


def test_other_definitions_are_used_from_then_on(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker()
    assert worker.time_construct(wish("roads")) > 0
    worker.define([replace(STEP, task_prompt="List rivers.")])
    assert built(worker, "roads").text == "candidate: List rivers. roads"


def test_constructions_and_runs_are_timed_inside(shared: ReleaseWorker) -> None:
    assert 0 < shared.time_construct(wish("roads")) < 1e9
    assert 0 < shared.time_run(wish("roads"), SCRIPT) < 1e9


def test_a_timed_run_that_was_not_answered_as_scripted_is_no_measurement(shared: ReleaseWorker) -> None:
    with pytest.raises(TargetError, match=r"the timed run of facts/roads was not answered as scripted: \[.*another prompt"):
        shared.time_run(wish("roads"), replace(SCRIPT, prompt="x"))
    with pytest.raises(TargetError, match=r"the timed run of facts/no-request was not answered as scripted: no request was sent"):
        shared.time_run(wish("no request"), SCRIPT)


def test_memory_is_traced_inside(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker()
    traced = worker.trace_peak(wish("x" * 10_000, "long"))
    assert traced["peak"] > 10_000
    assert any(site["place"].startswith("smallapp/constructor.py:") for site in traced["sites"])
    grown = worker.trace_growth([wish("roads")], total=200, every=100, limit=65536)
    assert grown["calls"] == 200
    assert grown["bytes"] < 65536


def test_another_case_of_the_same_name_is_another_call(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker()
    small = worker.trace_peak(wish("x", "same"))["peak"]
    assert worker.trace_peak(wish("x" * 100_000, "same"))["peak"] > small + 90_000


def test_a_closed_worker_has_ended_and_may_be_closed_again(tmp_path: Path) -> None:
    worker = ReleaseWorker(write_release(tmp_path), [STEP])
    worker.close()
    worker.close()
    assert worker._process.returncode == 0
    with pytest.raises(GonogoError):
        worker.describe()


def test_two_workers_share_nothing(open_worker: Callable[..., ReleaseWorker]) -> None:
    assert open_worker().pid != open_worker().pid


def test_messages_are_plain_json(shared: ReleaseWorker) -> None:
    json.dumps(shared.describe())
    assert threading.active_count() >= 1
    assert isinstance(shared.release, Release)
