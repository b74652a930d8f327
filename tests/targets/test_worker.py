"""A release worker: what it answers, and what it makes of a release that raises, dies, hangs or telephones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from worker_releases import STEP, wish, write_release

from gonogo.errors import GonogoError, MissingReply, OutboundConnection, ProductError, TargetError, WorkerDied
from gonogo.model import Ability, Provenance, Recording, Reply, Request
from gonogo.recordings import dump_recordings
from gonogo.stub import LlmFault, Script
from gonogo.targets.adapter import Built
from gonogo.targets.client import ReleaseWorker
from gonogo.targets.faults import ENVIRONMENT, SECRET, ConstructorFault

PROMPT = "candidate: Find facts. roads"
RECORDING = Recording(
    "facts/roads",
    "facts",
    ("roads",),
    Request("ollama", "/api/generate", {"model": "llama3.1:8b", "prompt": PROMPT, "stream": False}),
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


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseWorker]:
    """A function alone, with everything set that can be set for a process."""
    release = write_release(
        tmp_path_factory.mktemp("function"), network=("127.0.0.1",), frozen_at="2026-01-31T09:00:00+00:00"
    )
    with ReleaseWorker(release, [STEP], environment={"PYTHONHASHSEED": "17", "TZ": "Asia/Tokyo"}) as worker:
        yield worker


@pytest.fixture
def open_worker(tmp_path: Path) -> Iterator[Callable[..., ReleaseWorker]]:
    workers: list[ReleaseWorker] = []

    def make(
        adapter: str = "function", timeout: float = 30.0, environment: dict[str, str] | None = None, **changes: object
    ) -> ReleaseWorker:
        release = write_release(tmp_path, adapter, **changes)
        workers.append(ReleaseWorker(release, [STEP], timeout=timeout, environment=environment))
        return workers[-1].opened()

    yield make
    for worker in workers:
        worker.close()


def built(worker: ReleaseWorker, text: str) -> Built:
    [one] = worker.construct([wish(text)])
    assert isinstance(one, Built)
    return one


def test_a_function_alone_is_a_release(function: ReleaseWorker) -> None:
    offered = {Ability.PROMPT, Ability.WORKER, Ability.TIMING, Ability.DEFINITIONS, Ability.STUB}
    assert function.abilities == offered
    assert function.describe() == {"mark": "candidate"}
    assert built(function, "roads").text == PROMPT


def test_what_an_adapter_does_not_offer_is_no_failure_of_the_product(function: ReleaseWorker) -> None:
    with pytest.raises(GonogoError, match="a constructor alone cannot run facts/roads"):
        function.run(wish("roads"))


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
    with pytest.raises(
        WorkerDied,
        match=r"release 2\.0\.0: the worker ended with status 7 before it answered; its last lines: .*to standard error",
    ):
        worker.construct([wish("exit")])
    with pytest.raises(WorkerDied):
        worker.construct([wish("roads")])


def test_a_worker_that_hangs_is_stopped(open_worker: Callable[..., ReleaseWorker]) -> None:
    worker = open_worker(timeout=5.0)
    worker._timeout = 0.3  # the start may take longer
    with pytest.raises(
        TargetError, match=r"no answer within 0\.3 s; the worker was stopped\. Look for an endless loop or a lock"
    ):
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
def test_a_connection_is_refused_by_name_whatever_was_asked(
    open_worker: Callable[..., ReleaseWorker], ask: str
) -> None:
    worker = open_worker("whole", options={"connects": True})
    with pytest.raises(OutboundConnection):
        worker.describe() if ask == "describe" else worker.time_construct([wish("connect")], 1)


def test_a_connection_while_the_release_starts_is_refused_too(open_worker: Callable[..., ReleaseWorker]) -> None:
    with pytest.raises(OutboundConnection):
        open_worker("quietly_connecting")


def test_the_process_has_its_own_time_zone(open_worker: Callable[..., ReleaseWorker]) -> None:
    assert built(open_worker(environment={"TZ": "Asia/Tokyo"}), "environment").text.endswith(" Asia/Tokyo")


def test_a_secret_is_planted_in_the_environment_of_every_release(
    shared: ReleaseWorker, function: ReleaseWorker
) -> None:
    [(name, value)] = ENVIRONMENT.items()
    assert built(shared, f"variable {name}").text == built(function, f"variable {name}").text == value


def test_hosts_that_are_allowed_can_be_reached(function: ReleaseWorker) -> None:
    assert built(function, "allowed").text.endswith("allowed")


def test_the_process_has_its_own_environment_also_with_a_frozen_clock(function: ReleaseWorker) -> None:
    assert built(function, "environment").text == "17 Asia/Tokyo"


def test_a_frozen_clock_stands_still_and_time_is_measured_all_the_same(function: ReleaseWorker) -> None:
    assert built(function, "date").text == built(function, "date").text == "2026-01-31T09:00:00+00:00"
    assert min(function.time_construct([wish("date")], 2)) > 0


def test_text_that_no_encoding_takes_survives_the_pipe(shared: ReleaseWorker) -> None:
    assert built(shared, "surrogate").text == "half \ud83d"
    assert built(shared, "half \ud83d\x00").text.endswith("half \ud83d\x00")


def test_a_release_that_raises_while_it_starts_is_the_products_error(open_worker: Callable[..., ReleaseWorker]) -> None:
    with pytest.raises(ProductError, match=r"release 2\.0\.0: it does not start: RuntimeError: no database"):
        open_worker("broken")


def test_an_adapter_that_cannot_be_loaded_is_the_tools_error(open_worker: Callable[..., ReleaseWorker]) -> None:
    with pytest.raises(
        TargetError, match=r"release 2\.0\.0: the adapter '.*adapter\.py:gone' cannot be loaded \(AttributeError"
    ) as caught:
        open_worker("gone")
    assert not isinstance(caught.value, WorkerDied)


def test_a_package_that_comes_from_elsewhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, open_worker: Callable[..., ReleaseWorker]
) -> None:
    other = tmp_path_factory.mktemp("other")
    write_release(other)
    with pytest.raises(
        TargetError,
        match=r"the package 'smallapp' was loaded from .*other\d+/smallapp/__init__\.py, not from the release in",
    ) as caught:
        open_worker("elsewhere", options={"elsewhere": str(other)})
    assert "Import it inside the adapter's function and nowhere earlier" in str(caught.value)


def test_a_single_module_that_comes_from_elsewhere_is_refused_too(
    tmp_path_factory: pytest.TempPathFactory, open_worker: Callable[..., ReleaseWorker]
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "letters.py").write_text("")
    (other / "sitecustomize.py").write_text("import letters\n")
    with pytest.raises(TargetError, match=r"the package 'letters' was loaded from .*letters\.py, not from the release"):
        open_worker(packages=("letters.py",), environment={"PYTHONPATH": str(other)})


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


def test_a_stub_on_the_wire_is_there_before_anything_is_recorded(tmp_path: Path) -> None:
    release = write_release(tmp_path, stub="wire")
    with ReleaseWorker(release, [STEP], recordings=tmp_path / "recordings") as worker:
        assert Ability.STUB in worker.abilities


def test_a_prompt_that_moved_is_a_missing_reply_whatever_the_application_made_of_it(shared: ReleaseWorker) -> None:
    with pytest.raises(
        MissingReply, match=r"nearest is facts/roads\n(.*\n)+.*\+prompt: candidate: Find facts\. rivers"
    ):
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
    ran = shared.run(wish("roads"), script=SCRIPT, fault=fault)
    if fault.only_delays:
        assert (ran.run.status, [one.served for one in ran.exchanges]) == (200, ["scripted"])
        return
    assert [one.served for one in ran.exchanges] == [fault.value]
    # requests puts a character of its own in the place of bytes that are not UTF-8; neither end nor length of a reply are looked at
    unnoticed = (LlmFault.INVALID_UTF8, LlmFault.CUT_OFF, LlmFault.UNFINISHED, LlmFault.OVERSIZED)
    assert ran.run.status == (200 if fault in unnoticed else 502)


def test_an_exception_that_the_release_lets_through_is_the_products_error(shared: ReleaseWorker) -> None:
    with pytest.raises(
        ProductError, match="facts/run-raises: the release let an exception through: OSError: disk full"
    ):
        shared.run(wish("run raises"), script=SCRIPT)


@pytest.mark.parametrize("fault", list(ConstructorFault))
def test_every_fault_of_the_constructor_is_planted_and_taken_out_again(
    shared: ReleaseWorker, fault: ConstructorFault
) -> None:
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
        ConstructorFault.SYSTEM_EXIT: "SystemExit",
        ConstructorFault.RAISES_AFTERWARDS: "PlantedError",
        ConstructorFault.GONE: "AttributeError",
        ConstructorFault.RETURNS_NONE: "AttributeError",
        ConstructorFault.RETURNS_OTHER: "AttributeError",
        ConstructorFault.RETURNS_NOTHING: "ValueError",
        ConstructorFault.RETURNS_GAP: "ValueError",
        ConstructorFault.RETURNS_DISORDER: "ValueError",
        ConstructorFault.RETURNS_TWICE: None,
        ConstructorFault.RETURNS_HALF: None,
        ConstructorFault.RETURNS_NO_SECTIONS: None,
    }[fault]
    assert ran.run.fallback == expected
    sent = {
        ConstructorFault.RETURNS_HALF: PROMPT[: len(PROMPT) // 2],
        ConstructorFault.RETURNS_TWICE: f"{PROMPT}\n\n{PROMPT}",
        ConstructorFault.RETURNS_NO_SECTIONS: SECRET,
    }
    assert ran.prompt == sent.get(fault, "Find facts.")
    assert shared.run(wish("roads")).run.fallback is None


def test_other_definitions_are_used_until_the_usual_ones_are_back(function: ReleaseWorker) -> None:
    assert len(function.time_construct([wish("roads"), wish("rivers")], 3)) == 3
    function.define([replace(STEP, task_prompt="List rivers.")])
    assert built(function, "roads").text == "candidate: List rivers. roads"
    function.define([STEP])
    assert built(function, "roads").text == PROMPT


def test_constructions_and_runs_are_timed_inside(shared: ReleaseWorker) -> None:
    assert 0 < shared.time_construct([wish("roads")], 1)[0] < 1e9
    assert all(0 < one < 1e9 for one in shared.time_runs(wish("roads"), SCRIPT, 2))


def test_a_timed_run_that_was_not_answered_as_scripted_is_no_measurement(shared: ReleaseWorker) -> None:
    with pytest.raises(
        TargetError, match=r"the timed run of facts/roads was not answered as scripted: \[.*another prompt"
    ):
        shared.time_runs(wish("roads"), replace(SCRIPT, prompt="x"), 1)
    with pytest.raises(
        TargetError, match=r"the timed run of facts/no-request was not answered as scripted: no request was sent"
    ):
        shared.time_runs(wish("no request"), SCRIPT, 1)


def test_memory_is_traced_inside(function: ReleaseWorker) -> None:
    traced = function.trace_peak(wish("x" * 10_000, "long"))
    assert traced["peak"] > 10_000
    assert any(site["place"].startswith("smallapp/constructor.py:") for site in traced["sites"])
    grown = function.trace_growth([wish("roads")], total=200, every=100, limit=65536)
    assert grown["calls"] == 200
    assert grown["bytes"] < 65536


def test_another_case_of_the_same_name_is_another_call(function: ReleaseWorker) -> None:
    small = function.trace_peak(wish("x", "same"))["peak"]
    assert function.trace_peak(wish("x" * 100_000, "same"))["peak"] > small + 90_000


def test_a_closed_worker_has_ended_and_may_be_closed_again(tmp_path: Path) -> None:
    worker = ReleaseWorker(write_release(tmp_path), [STEP]).opened()
    worker.close()
    worker.close()
    assert worker._process.returncode == 0
    with pytest.raises(GonogoError):
        worker.describe()
