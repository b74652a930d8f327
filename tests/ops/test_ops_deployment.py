"""Releases come and go under load, whoever is killed while they do."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from deployed_site import NEW, OLD, ROOT, DeployedSite, Load, overlaid

from ops.journal import DEPLOY_STEPS

MakeSite = Callable[..., DeployedSite]

# Where a deployment may be killed, and which release serves after the next call.
DEPLOYMENT = {
    **{
        f"{side}:{step}": OLD
        for step in ("check", "backup", "snapshot", "trial", "start", "ready")
        for side in ("before", "after")
    },
    "trial:spawned": OLD,
    "start:listening": OLD,
    "start:spawned": OLD,
    "before:hand-over": NEW,
    "hand-over:previous": NEW,
    "after:hand-over": NEW,
    **{f"{side}:{step}": NEW for step in ("drain", "verify") for side in ("before", "after")},
}
ROLLBACK = [
    *(f"{side}:{step}" for step in ("start", "ready", "hand-over", "drain", "verify") for side in ("before", "after")),
    "start:listening",
    "start:spawned",
    "hand-over:previous",
]


def assert_serves(site: DeployedSite, version: str) -> None:
    status = site.status()
    assert status["well"], status
    assert status["serves"] == status["current"] == version
    assert len(status["running"]) == 1, "everything else has ended"


def assert_nothing_was_lost(site: DeployedSite, load: Load) -> None:
    assert load.failed == []
    assert load.answered > 20
    assert load.written <= site.post_titles()


class TestDeploying:
    def test_a_release_takes_the_place_of_another_and_no_request_is_lost(self, serving: DeployedSite) -> None:
        with Load.on(serving) as load:
            serving.done("deploy", NEW)
        assert_nothing_was_lost(serving, load)
        assert load.releases == {OLD, NEW}
        assert_serves(serving, NEW)
        assert serving.status()["previous"] == OLD
        done = [one["step"] for one in serving.steps() if one["kind"] == "deploy" and one["outcome"] == "done"]
        assert done == [*DEPLOY_STEPS, "end"]

    def test_a_first_release_is_deployed_where_nothing_serves(self, make_site: MakeSite) -> None:
        site = make_site(workers=2)
        site.done("deploy", NEW)
        assert_serves(site, NEW)
        [start] = site.status()["running"]
        assert start["ready"]
        assert len(start["workers"]) == 2
        assert site.status()["previous"] is None

    def test_a_release_that_fails_its_trial_never_gets_near_a_user(self, serving: DeployedSite, tmp_path: Path) -> None:
        broken = overlaid(
            tmp_path / "broken", "app/wsgi.py", "application = create_app", "application = no_such_name or create_app"
        )
        serving.done("add", str(ROOT), "--overlay", str(broken), "--version", NEW + "-broken")
        with Load.on(serving) as load:
            said = serving.refused("deploy", NEW + "-broken")
        assert "NameError" in said
        assert f"{OLD} serves, as before" in said
        assert load.failed == []
        assert load.releases == {OLD}
        assert_serves(serving, OLD)

    def test_a_release_that_fails_in_service_is_taken_back(self, serving: DeployedSite, tmp_path: Path) -> None:
        worn = "if next(_CALLS) > 20:\n        raise RuntimeError('worn out')\n    given = request"
        overlay = overlaid(tmp_path / "worn", "app/views.py", "given = request", worn)
        overlaid(overlay, "app/workflow/scripts/llm_processor.py", 'Final = "2.0.0"', 'Final = "2.0.1"')
        views = overlay / "app" / "views.py"
        views.write_text(
            views.read_text().replace("blueprint = ", "import itertools\n\n_CALLS = itertools.count()\nblueprint = ", 1)
        )
        serving.done("add", str(ROOT), "--overlay", str(overlay), "--version", "2.0.1")
        said = serving.refused("deploy", "2.0.1")
        assert "answers 500" in said
        assert f"{OLD} serves, as before" in said
        assert_serves(serving, OLD)
        assert serving.status()["previous"] is None

    def test_a_release_that_is_not_what_its_name_says_is_refused(self, serving: DeployedSite) -> None:
        serving.done("add", str(ROOT), "--version", "3.0.1")
        said = serving.refused("deploy", "3.0.1")
        assert "/version answers '2.0.0', not '3.0.1'; add the tree under the version that it tells" in said
        assert_serves(serving, OLD)

    def test_another_call_is_kept_away_while_one_is_at_work(self, serving: DeployedSite) -> None:
        with serving.held("before:check", "deploy", NEW) as process:
            said = serving.refused("rollback", "--to", NEW)
            assert f"process {process.pid} is changing this site" in said
            assert serving.status()["change"]["target"] == NEW, "looking is allowed"

    def test_ctrl_c_takes_the_way_back(self, serving: DeployedSite) -> None:
        with serving.held("before:ready", "deploy", NEW) as process:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 1
        assert_serves(serving, OLD)


class TestGoingBack:
    def test_a_release_that_hangs_and_refuses_to_end_is_replaced(self, make_site: MakeSite) -> None:
        site = make_site(rollback_drain_seconds=0.5)
        site.done("rollback", "--to", NEW)
        [start] = site.status()["running"]
        for pid in (start["pid"], *start["workers"]):
            os.kill(pid, signal.SIGSTOP)
        site.done("rollback", "--to", OLD)
        assert_serves(site, OLD)
        assert "was killed" in site.run("logs").stdout

    def test_a_release_that_died_is_replaced(self, serving: DeployedSite) -> None:
        serving.done("rollback", "--to", NEW)
        [start] = serving.status()["running"]
        for pid in (start["pid"], *start["workers"]):
            os.kill(pid, signal.SIGKILL)
        assert serving.status()["serves"] is None
        serving.done("rollback", "--to", OLD)
        assert_serves(serving, OLD)

    @pytest.mark.exhaustive
    def test_a_release_that_comes_back_to_a_long_queue_is_waited_for(
        self, serving: DeployedSite, tmp_path: Path
    ) -> None:
        slow = overlaid(
            tmp_path / "slow", "app/views.py", 'return jsonify(status="ok"), 200', 'import time\n    time.sleep(0.4)\n'
            '    return jsonify(status="ok"), 200'
        )  # fmt: skip
        overlaid(slow, "app/workflow/scripts/llm_processor.py", 'Final = "2.0.0"', 'Final = "2.0.1"')
        serving.done("add", str(ROOT), "--overlay", str(slow), "--version", "2.0.1")
        [start] = serving.status()["running"]
        for pid in (start["pid"], *start["workers"]):
            os.kill(pid, signal.SIGKILL)
        host, port = serving.url.removeprefix("http://").split(":")
        with ExitStack() as waiting:  # 80 at 0.4 seconds in 4 threads: 8 seconds
            for _ in range(80):
                one = waiting.enter_context(socket.create_connection((host, int(port))))
                one.sendall(b"GET /healthz HTTP/1.1\r\nHost: blog\r\nConnection: close\r\n\r\n")
                one.shutdown(socket.SHUT_WR)
            serving.done("rollback", "--to", "2.0.1")
        assert_serves(serving, "2.0.1")

    def test_a_damaged_release_is_gone_back_to_and_the_damage_is_told(self, serving: DeployedSite) -> None:
        serving.done("rollback", "--to", NEW)
        with (serving.folder / "releases" / OLD / "app" / "logs.py").open("a") as module:
            module.write("\n")
        done = serving.run("rollback", "--to", OLD)
        assert done.returncode == 0
        assert "has changed since it was added" in done.stderr
        assert_serves(serving, OLD)

    def test_a_release_that_does_not_start_leaves_the_one_that_serves(self, serving: DeployedSite) -> None:
        (serving.folder / "releases" / NEW / "app" / "wsgi.py").unlink()
        said = serving.refused("rollback", "--to", NEW)
        assert f"{OLD} still serves" in said
        assert_serves(serving, OLD)

    def test_after_a_rollback_there_is_no_previous_release(self, serving: DeployedSite) -> None:
        said = serving.refused("rollback")
        assert "there is no previous release; name one with `rollback --to VERSION`" in said


class TestTheListeningSocket:
    def test_it_is_taken_from_the_release_where_its_holder_is_gone(self, serving: DeployedSite) -> None:
        holder = serving.status()["listener"]
        os.kill(holder, signal.SIGKILL)
        assert "the holder of the listening socket is gone" in serving.status()["problem"]
        url = serving.url
        with Load.on(serving) as load:
            serving.done("rollback", "--to", NEW)
        assert_nothing_was_lost(serving, load)
        assert serving.url == url
        assert serving.status()["listener"] not in {None, holder}
        assert_serves(serving, NEW)

    def test_everything_comes_back_after_the_machine_has_been_started_anew(self, serving: DeployedSite) -> None:
        url = serving.url
        serving.close()
        assert serving.status()["problem"].startswith("nothing listens")
        serving.done("recover")
        assert_serves(serving, OLD)
        assert serving.url == url, "at the same address, as far as it is free"

    def test_what_has_been_stopped_stays_stopped(self, serving: DeployedSite) -> None:
        serving.done("stop")
        assert serving.status()["running"] == ()
        serving.done("recover")
        assert serving.status()["running"] == ()
        assert serving.status()["listener"] is None


class TestKilled:
    @pytest.mark.parametrize(
        "point",
        [
            one if one in {"after:ready", "after:hand-over"} else pytest.param(one, marks=pytest.mark.exhaustive)
            for one in DEPLOYMENT
        ],
    )
    def test_a_deployment_that_was_killed_has_lost_nothing_and_is_brought_to_an_end(
        self, point: str, serving: DeployedSite
    ) -> None:
        with Load.on(serving) as load:
            serving.killed(point, "deploy", NEW)
            serving.done("recover")
        assert_nothing_was_lost(serving, load)
        assert_serves(serving, DEPLOYMENT[point])
        assert serving.status()["previous"] == (OLD if DEPLOYMENT[point] == NEW else None)
        assert list((serving.folder / "backups").glob(".*")) == [], "no backup is left half-made"

    @pytest.mark.parametrize(
        "point", [one if one == "after:start" else pytest.param(one, marks=pytest.mark.exhaustive) for one in ROLLBACK]
    )
    def test_a_rollback_that_was_killed_is_finished(self, point: str, serving: DeployedSite) -> None:
        serving.done("rollback", "--to", NEW)
        with Load.on(serving) as load:
            serving.killed(point, "rollback", "--to", OLD)
            said = serving.done("rollback", "--to", OLD)
        assert_nothing_was_lost(serving, load)
        assert_serves(serving, OLD)
        assert "has been finished" in said

    @pytest.mark.exhaustive
    def test_a_way_back_that_was_killed_is_taken(self, serving: DeployedSite) -> None:
        (serving.folder / "releases" / NEW / "app" / "wsgi.py").unlink()
        with Load.on(serving) as load:
            serving.killed("undo:begun", "deploy", NEW)
            serving.done("recover")
        assert_nothing_was_lost(serving, load)
        assert_serves(serving, OLD)
