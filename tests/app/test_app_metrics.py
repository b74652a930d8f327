"""Metrics: of one process, and of all that keep theirs in one folder; errors by their fingerprint."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from served_application import metric_in, value_of

from app import repository
from app.errors import SettingsError
from app.failures import Failure, fingerprint
from app.metric_files import LIVE_MAXIMUM, ValueFiles
from app.metrics import CONSTRUCTION_BUCKETS, MEMORY_INTERVAL, Metrics, resident_memory
from app.settings import Settings

FORK = multiprocessing.get_context("fork")
NAMES = {
    "blog_prompt_construction_seconds",
    "blog_runs_total",
    "blog_errors_total",
    "blog_fallbacks_total",
    "blog_template_usage_total",
    "blog_resident_memory_bytes",
    "blog_release_info",
}


@pytest.fixture(params=["process", "folder"])
def metrics(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metrics]:
    """Metrics of both kinds: they are read alike."""
    with closing(Metrics("2.0.0", tmp_path / "metrics" if request.param == "folder" else None)) as metrics:
        yield metrics


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Metrics]:
    """Metrics of all processes that keep theirs in the folder of this test."""
    with closing(Metrics("2.0.0", tmp_path)) as metrics:
        yield metrics


def page(metrics: Metrics, *names: str) -> str:
    return metrics.render(names).decode()


def in_a_child(metrics: Metrics, work: Callable[[Metrics], object]) -> int:
    """Do something in a process that is then killed; its id."""

    def child() -> None:
        work(metrics)
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    return int(process.pid or 0)


def count_something(metrics: Metrics) -> None:
    metrics.runs.labels("facts", "failed").inc()
    metrics.construction.labels("facts").observe(0.002)


def test_both_kinds_tell_the_same(metrics: Metrics) -> None:
    count_something(metrics)
    count_something(metrics)
    metrics.fallbacks.labels("invalid-result").inc()
    shown = page(metrics)
    assert metric_in(shown, 'blog_runs_total{step="facts",status="failed"}') == 2
    assert metric_in(shown, 'blog_prompt_construction_seconds_count{step="facts"}') == 2
    assert metric_in(shown, 'blog_prompt_construction_seconds_sum{step="facts"}') == 0.004
    assert metric_in(shown, 'blog_prompt_construction_seconds_bucket{step="facts",le="0.001"}') == 0
    assert metric_in(shown, 'blog_prompt_construction_seconds_bucket{step="facts",le="0.0025"}') == 2
    for edge in CONSTRUCTION_BUCKETS:
        assert f'le="{edge}"' in shown
    assert metric_in(shown, 'blog_release_info{version="2.0.0"}') == 1


def test_what_nobody_has_counted_is_declared(metrics: Metrics) -> None:
    declared = {line.split()[2] for line in page(metrics).splitlines() if line.startswith("# TYPE ")}
    assert declared == NAMES


def test_names_choose_what_is_shown(metrics: Metrics) -> None:
    count_something(metrics)
    metrics.fallbacks.labels("invalid-result").inc()
    shown = page(metrics, "blog_runs_total", "blog_release_info")
    assert metric_in(shown, "blog_runs_total") == 1
    assert metric_in(shown, "blog_release_info") == 1
    assert "blog_fallbacks" not in shown
    assert "blog_prompt_construction_seconds" not in shown


def test_memory_is_told_of_a_process_that_has_served_nothing_yet(metrics: Metrics) -> None:
    resident = resident_memory()
    assert resident is not None
    assert 0.5 < metric_in(page(metrics), "blog_resident_memory_bytes") / resident < 2


def test_memory_is_looked_at_once_a_second(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def looked() -> int:
        looks.append(1)
        return 1000

    monkeypatch.setattr("app.metrics.resident_memory", looked)
    now = 100.0
    for _ in range(5):
        metrics.look_at_memory(lambda: now)
    assert len(looks) == 1
    now += MEMORY_INTERVAL
    metrics.look_at_memory(lambda: now)
    assert len(looks) == 2


def test_memory_that_the_system_does_not_tell_is_no_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.metrics.resident_memory", lambda: None)
    for folder in (None, tmp_path):
        assert "blog_resident_memory_bytes" not in page(Metrics("2.0.0", folder))


def test_a_killed_process_leaves_its_counts_and_not_its_memory(shared: Metrics, tmp_path: Path) -> None:
    metrics = shared
    count_something(metrics)

    def work(ours: Metrics) -> None:
        count_something(ours)
        assert ours.memory is not None
        ours.memory.set(10.0**15)

    dead = in_a_child(metrics, work)
    assert (tmp_path / f"counter_{dead}.db").exists()
    assert (tmp_path / f"{LIVE_MAXIMUM}_{dead}.db").exists()
    shown = page(metrics)
    assert metric_in(shown, "blog_runs_total") == 2
    assert metric_in(shown, "blog_prompt_construction_seconds_count") == 2
    assert 0 < metric_in(shown, "blog_resident_memory_bytes") < 10**15


def test_the_largest_of_the_living_processes_is_the_memory(shared: Metrics) -> None:
    metrics = shared
    ready, over = FORK.Event(), FORK.Event()

    def large() -> None:
        assert metrics.memory is not None
        metrics.memory.set(10.0**15)
        ready.set()
        over.wait(30)

    process = FORK.Process(target=large)
    process.start()
    try:
        assert ready.wait(30)
        assert metric_in(page(metrics), "blog_resident_memory_bytes") == 10**15
    finally:
        over.set()
        process.join(30)
    assert metric_in(page(metrics), "blog_resident_memory_bytes") < 10**15


def test_a_file_that_has_just_been_made_is_read_over(shared: Metrics, tmp_path: Path) -> None:
    metrics = shared
    count_something(metrics)
    (tmp_path / "counter_1.db").touch()
    assert metric_in(page(metrics), "blog_runs_total") == 1


def test_without_a_folder_processes_know_nothing_of_each_other() -> None:
    metrics = Metrics("2.0.0")
    in_a_child(metrics, count_something)
    assert metric_in(page(metrics), "blog_runs_total") == 0


def test_a_folder_that_cannot_be_written_to_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"METRICS_DIR = .*file/below.* cannot be written to .*; name a folder"):
        Metrics("2.0.0", tmp_path / "file" / "below")


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    ValueFiles(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_applications_with_folders_of_their_own_share_nothing(make_app: Any, tmp_path: Path) -> None:
    first, second, alone = make_app(METRICS_DIR=tmp_path / "1"), make_app(METRICS_DIR=tmp_path / "2"), make_app()
    first.test_client().post("/api/steps/concept/preview", json={"fields": {"seed_idea": "x"}})
    constructed = 'blog_prompt_construction_seconds_count{step="concept"}'
    assert [value_of(app.test_client(), constructed) for app in (first, second, alone)] == [1, 0, 0]


# --- errors by fingerprint -------------------------------------------------------------------------------------------


def raised(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is looked at
        return error
    raise AssertionError("nothing was raised")


def test_a_fingerprint_tells_kind_type_and_place_and_nothing_else() -> None:
    one, other = (raised(partial(repository._possible, kind, 2**40)) for kind in ("post", "run"))
    same = [Failure.of("x", error).fingerprint for error in (one, other)]
    assert str(one) != str(other)
    assert same[0] == same[1] == fingerprint("x", "app.errors.NotFound", "app/repository.py _possible")
    assert Failure.of("y", one).fingerprint != same[0]
    assert Failure.of("x", KeyError()).fingerprint != Failure.of("x", ValueError()).fingerprint


def test_the_innermost_frame_of_the_application_is_the_place() -> None:
    error = raised(lambda: Settings.from_mapping({"DATABASE_URL": 5}))
    assert Failure.of("x", error).fingerprint == fingerprint(
        "x", "app.errors.SettingsError", "app/settings.py Settings.from_mapping"
    )


def test_causes_are_told_by_type_and_place_and_end_somewhere() -> None:
    def first() -> None:
        raise ValueError("private")

    def second() -> None:
        try:
            first()
        except ValueError as error:
            raise KeyError("private too") from error

    error = raised(second)
    told = Failure.of("x", error).told
    assert told["type"] == "KeyError"
    assert [cause["type"] for cause in told["causes"]] == ["ValueError"]  # type: ignore[attr-defined]
    assert "private" not in str(told)
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error  # a circle
    assert len(Failure.of("x", error).told["causes"]) == 1  # type: ignore[arg-type]


def test_the_same_error_is_counted_in_one_place(make_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError(os.urandom(4).hex())

    client = make_app().test_client()
    monkeypatch.setattr("app.repository.list_steps", broken)
    client.get("/api/steps")
    client.get("/api/steps")
    monkeypatch.setattr("app.repository.list_posts", broken)
    client.get("/api/posts")
    shown = client.get("/metrics").get_data(as_text=True)
    counted = [line for line in shown.splitlines() if line.startswith("blog_errors_total{")]
    assert sorted(line.rpartition(" ")[2] for line in counted) == ["1.0", "2.0"]
    assert metric_in(shown, 'blog_errors_total{kind="internal-error"}') == 3


# --- runs that nobody foresaw to fail --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["parse_reply", "load_task", "store", "build_prompt"])
def test_a_run_that_ends_in_an_unforeseen_error_is_a_failed_run(
    make_app: Any, wire: Any, http: Any, monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]], where: str
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("private")

    monkeypatch.setattr(f"app.workflow.scripts.llm_processor.{where}", broken)
    wire.script = [http({"response": "A concept.", "done": True})]
    client = make_app(LLM_BASE_URL=wire.url).test_client()
    assert client.post("/api/posts/1/steps/concept/run").status_code == 500
    step = "" if where == "load_task" else "concept"
    assert value_of(client, f'blog_runs_total{{step="{step}",status="failed"}}') == 1
    assert value_of(client, "blog_runs_total") == 1
    assert value_of(client, 'blog_errors_total{kind="internal-error"}') == 1
    (finished,) = (event for event in events if event["event"] == "run.finished")
    assert (finished["status"], finished["error"], finished["run"]) == ("failed", "internal-error", None)
    (failed,) = (event for event in events if event["event"] == "request.failed")
    if step:
        for event in (finished, failed):
            assert (event["step"], event["input_format"], event["output_format"]) == (
                "concept",
                "fields-in",
                "text-out",
            )


def test_a_preview_or_a_wrong_id_is_no_failed_run(make_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_app().test_client()
    assert client.post("/api/posts/1/steps/nothing/run").status_code == 404
    monkeypatch.setattr("app.workflow.scripts.llm_processor.build", lambda *arguments: 1 / 0)
    assert client.post("/api/posts/1/steps/concept/preview").status_code == 500
    assert value_of(client, "blog_runs_total") == 0
