"""What each defect of a stage does, around a small stage in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from probed_service import Service, served

from gonogo.errors import TargetError
from gonogo.model import Finding
from gonogo.planting import CATALOGUE, Place
from gonogo.recovery import run_once
from gonogo.targets.planted_stage import BACKUPS, HAND_OVERS, LOGS, ROLLBACKS, UNSEEN, WITHHOLDING, planted_stage

STAGED = [one.id for one in CATALOGUE.values() if one.place is Place.STAGE]


@dataclass
class Small:
    """A stage that remembers what it was told to do."""

    url: str = "http://127.0.0.1:9"
    rollback: Sequence[str] = ("restore",)
    did: list[str] = field(default_factory=list)

    def deploy(self, role: str) -> None:
        self.did.append(f"deploy {role}")

    def plant(self, *triggers: str) -> Callable[[], None]:
        self.did.append(f"plant {' '.join(triggers)}")
        return lambda: self.did.append("strike")

    def back_up(self) -> Iterator[Finding]:
        self.did.append("back up")
        yield Finding("backup", True, "restored and compared: equal")

    def log(self) -> Iterable[str]:
        return ['{"release": "2"}']

    def close(self) -> None:
        self.did.append("close")


def is_well(answer: Callable[[], requests.Response]) -> bool:
    try:
        return answer().status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("planted", ["", "nothing", "section-missing", "complaint-open"])
def test_a_stage_stays_as_it_is_where_the_defect_has_its_place_elsewhere(planted: str) -> None:
    small = Small()
    with planted_stage(small, planted) as stage:
        assert stage is small


@pytest.mark.parametrize("defect", STAGED)
def test_whatever_a_defect_does_the_stage_is_asked_to_do_the_same(defect: str) -> None:
    with served(Service()) as service:
        small = Small(service.url)
        with planted_stage(small, defect) as stage:
            stage.deploy("candidate")
            stage.plant("errors", "memory")()
            list(stage.back_up())
            assert len(list(stage.log())) == 1
            stage.close()
    asked = ["deploy candidate", "plant errors memory", "strike", "back up", "close"]
    assert small.did == [one for one in asked if one != "strike" or defect != "breakage-unseen"]


@pytest.mark.parametrize("defect", STAGED)
def test_a_defect_changes_what_it_is_about_and_nothing_else(defect: str) -> None:
    with served(Service()) as service, planted_stage(small := Small(service.url), defect) as stage:
        assert (stage.url == small.url) is (defect not in {*HAND_OVERS, *WITHHOLDING})
        assert (stage.rollback == small.rollback) is (defect not in ROLLBACKS)
        assert (list(stage.back_up()) == list(small.back_up())) is (defect not in BACKUPS)
        assert (list(stage.log()) == small.log()) is (defect not in LOGS)
    assert [table for table in (HAND_OVERS, WITHHOLDING, ROLLBACKS, BACKUPS, LOGS, UNSEEN) if defect in table]


@pytest.mark.parametrize("defect", HAND_OVERS)
def test_users_lose_requests_while_another_release_is_put_in_service_and_none_afterwards(defect: str) -> None:
    service = Service(takes=0.1)
    with served(service), planted_stage(Small(service.url), defect) as stage:
        ended = threading.Event()
        outcomes: list[bool] = []

        def ask() -> None:
            while not ended.is_set():
                with requests.Session() as session:
                    session.trust_env = False
                    outcomes.append(is_well(lambda: session.get(stage.url, timeout=5)))

        users = threading.Thread(target=ask)
        users.start()
        while not outcomes:
            time.sleep(0.01)
        stage.deploy("candidate")
        after = len(outcomes) + 1  # one may be under way
        while len(outcomes) < after + 3:
            time.sleep(0.01)
        ended.set()
        users.join()
    assert outcomes[0]
    assert not all(outcomes[:after])
    assert all(outcomes[after:])


@pytest.mark.parametrize(("defect", "status"), [("rollback-does-nothing", 0), ("rollback-fails", 1)])
def test_a_rollback_is_a_command_that_restores_nothing(defect: str, status: int, tmp_path: Path) -> None:
    with planted_stage(Small(), defect) as stage:
        ended, found = run_once(stage.rollback, tmp_path / "log", cwd=tmp_path, patience=60)
    assert (ended, found.ok) == (status, status == 0)


def test_metrics_are_withheld_where_prometheus_asks_for_them() -> None:
    service = Service()
    with served(service), requests.Session() as session:
        session.trust_env = False
        for url, path in ((service.url, "/metrics"), (f"{service.url}/told/here", "")):
            with planted_stage(Small(url), "metrics-not-served") as stage:
                assert session.get(stage.url + path, timeout=5).status_code == 404
                root = stage.url.removesuffix("/told/here")
                assert session.get(root + "/healthz", timeout=5).status_code == 200


def test_a_backup_is_told_to_differ_or_not_told_at_all() -> None:
    with planted_stage(Small(), "backup-differs") as stage:
        [found] = stage.back_up()
    assert not found.ok
    assert found.reason == "planted: the copy differs, where this was seen: restored and compared: equal"
    with planted_stage(Small(), "backup-untold") as stage:
        assert list(stage.back_up()) == []


def test_a_stage_whose_address_cannot_be_relayed_says_so() -> None:
    with (
        pytest.raises(TargetError, match=r"the stage's url = 'https://blog\.example' cannot be relayed"),
        planted_stage(Small("https://blog.example"), "hand-over-cuts"),
    ):
        pass
