"""The control API: journal, faults, scripts, counters, and who may ask."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import httpx
import pytest
import requests
from served_recordings import BODY, RECORDINGS

from gonogo.model import Reply
from gonogo.recordings import RecordingSet
from gonogo.stub import Exchange, FaultPlan, LlmFault, Script, Stub
from gonogo.stub.control import Control, State
from gonogo.stub.keeping import BoundedJournal
from gonogo.stub.lease import Lease
from gonogo.stub.remote import RemoteStub
from gonogo.stub.scripts import script_to_json

PLAN = FaultPlan(LlmFault.SERVER_ERROR, times=1)
SCRIPT = Script(Reply("Scripted."), None)
LOCAL = "http://127.0.0.1:11434/_gonogo/"


def ask_model(url: str) -> requests.Response:
    return requests.post(f"{url}/api/generate", json=BODY, timeout=10)


def control(url: str, method: str, name: str, **options: Any) -> requests.Response:
    return requests.request(method, f"{url}/_gonogo/{name}", timeout=10, **options)


@pytest.fixture
def api() -> Control:
    """The control API without a server."""
    journal = BoundedJournal()
    stub = Stub(RecordingSet.of(RECORDINGS), journal=journal)
    return Control(stub, journal, Lease(stub), State())


def call(api: Control, method: str, name: str, headers: Mapping[str, str] | None = None, body: Any = None) -> Any:
    """The answer to one call from this machine, unless the headers say something else."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=api.application("/_gonogo"))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, LOCAL + name, headers=headers, content=body)

    return asyncio.run(asked())


def test_it_says_that_it_is_well(url: str) -> None:
    assert control(url, "GET", "health").json() == {"status": "ok", "recordings": 3, "version": version("gonogo")}


def test_it_says_that_recordings_on_disk_cannot_be_used(api: Control) -> None:
    api.state.problem = "facts.yaml is broken"
    told = call(api, "GET", "health").json()
    assert (told["status"], told["problem"]) == ("stale recordings", "facts.yaml is broken")


def test_the_journal_is_read_from_a_serial_number_on(url: str, remote: RemoteStub) -> None:
    begin = control(url, "GET", "counters").json()["requests"]
    ask_model(url)
    ask_model(url)
    told = control(url, "GET", f"journal?since={begin + 1}").json()
    assert (told["next"], told["lost"], told["more"]) == (begin + 2, 0, False)
    assert [Exchange.from_json(one) for one in told["exchanges"]] == [remote.journal[1]]


def test_a_journal_of_a_holder_that_holds_no_lease_is_refused(api: Control) -> None:
    answer = call(api, "GET", "journal?since=0&holder=one")
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("'one' holds no lease any more")


def test_a_long_journal_comes_in_parts(api: Control) -> None:
    for number in range(3):
        api.stub.note_stray(f"GET /{number}", "x" * 3_000_000)
    found, place, more = 0, 0, True
    while more:
        told = call(api, "GET", f"journal?since={place}").json()
        assert len(told["exchanges"]) == 1
        found, place, more = found + 1, told["next"], told["more"]
    assert found == 3


def test_a_deleted_journal_is_told_as_lost(url: str, remote: RemoteStub) -> None:
    ask_model(url)
    begin = control(url, "GET", "counters").json()["requests"]
    assert control(url, "DELETE", "journal").status_code == 423, "another holds the lease"
    assert control(url, "DELETE", "journal?holder=a test").json() == {"next": begin}
    told = control(url, "GET", f"journal?since={begin - 1}").json()
    assert (told["exchanges"], told["lost"]) == ([], 1)


def test_faults_are_set_told_and_cleared(url: str, remote: RemoteStub) -> None:
    remote.release()
    assert control(url, "PUT", "faults", json=PLAN.as_json()).json() == {"fault": PLAN.as_json()}
    assert control(url, "GET", "faults").json() == {"fault": PLAN.as_json()}
    assert [ask_model(url).status_code for _ in range(2)] == [500, 200]
    assert control(url, "DELETE", "faults").json() == {"fault": None}


def test_a_script_is_set_told_and_cleared(url: str, remote: RemoteStub) -> None:
    remote.release()
    assert control(url, "PUT", "script", json=script_to_json(SCRIPT)).status_code == 200
    assert control(url, "GET", "script").json() == {"script": script_to_json(SCRIPT)}
    assert ask_model(url).json()["response"] == "Scripted."
    assert control(url, "DELETE", "script").json() == {"script": None}
    assert ask_model(url).json()["response"] == "Straight and paved."


def test_everything_is_counted(url: str, remote: RemoteStub) -> None:
    before = control(url, "GET", "counters").json()
    remote.expect(script=SCRIPT, fault=PLAN)
    for _ in range(2):
        ask_model(url)  # a fault, a scripted reply
    remote.expect()
    ask_model(url)
    requests.post(f"{url}/api/generate", json={**BODY, "prompt": "Moved."}, timeout=10)
    requests.post(f"{url}/api/generate", data=b"none", timeout=10)
    after = control(url, "GET", "counters").json()
    grown = {name: after[name] - before[name] for name in ("requests", "hits", "scripted", "misses", "refused")}
    assert grown == {"requests": 5, "hits": 1, "scripted": 1, "misses": 2, "refused": 1}
    assert after["faults"]["500"] - before["faults"].get("500", 0) == 1
    assert after["recordings"] == 3
    assert after["journal"] + after["lost"] == after["requests"]


def test_metrics_are_what_prometheus_reads(api: Control) -> None:
    api.stub.expect(fault=LlmFault.EMPTY)
    api.stub.answer(RECORDINGS[0].request)
    answer = call(api, "GET", "metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = dict(re.findall(r"^(gonogo_stub_\S+?(?:\{[^}]*\})?) (\d+)$", answer.text, re.MULTILINE))
    assert samples['gonogo_stub_faults_total{fault="empty reply"}'] == "1"
    assert samples["gonogo_stub_requests_total"] == "1"
    assert samples["gonogo_stub_misses_total"] == "0"
    typed = re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", answer.text, re.MULTILINE)
    assert {name.partition("{")[0] for name in samples} == set(typed)


def test_a_slow_reply_is_counted_as_a_fault_and_as_a_hit(api: Control) -> None:
    api.stub.expect(fault=LlmFault.SLOW_FIRST)
    api.stub.answer(RECORDINGS[0].request)
    told = call(api, "GET", "counters").json()
    assert (told["hits"], told["faults"]) == (1, {"slow first token": 1})


class TestTheLease:
    def expect(self, url: str, **data: Any) -> requests.Response:
        return control(url, "POST", "expect", json={"holder": "one", "ttl": 60, **data})

    def test_one_holds_it_and_the_next_is_told_who_and_how_long(self, api: Control) -> None:
        assert call(api, "POST", "expect", body='{"holder": "one", "ttl": 60}').json() == {"since": 0}
        answer = call(api, "POST", "expect", body='{"holder": "two", "ttl": 60}')
        assert answer.status_code == 423
        assert re.fullmatch(r"'one' has the stub for (60|59) s more; wait", answer.json()["error"])
        assert int(answer.headers["retry-after"]) in (59, 60)

    @pytest.mark.parametrize(
        ("method", "name"),
        [("PUT", "faults"), ("DELETE", "faults"), ("PUT", "script"), ("DELETE", "script"), ("DELETE", "journal")],
    )
    def test_nobody_else_may_change_what_it_set(self, api: Control, method: str, name: str) -> None:
        call(api, "POST", "expect", body='{"holder": "one", "ttl": 60}')
        body = json.dumps(PLAN.as_json() if name == "faults" else script_to_json(SCRIPT))
        assert call(api, method, name, body=body).status_code == 423
        assert call(api, method, f"{name}?holder=one", body=body).status_code == 200

    def test_another_cannot_end_it(self, api: Control) -> None:
        call(api, "POST", "expect", body='{"holder": "one", "ttl": 60, "fault": "500"}')
        assert call(api, "DELETE", "expect?holder=two").status_code == 423
        assert api.stub.plan == FaultPlan(LlmFault.SERVER_ERROR)
        assert call(api, "DELETE", "expect?holder=one").status_code == 200
        assert api.lease.holder is None
        assert call(api, "GET", "faults").json() == {"fault": None}

    def test_to_end_what_nobody_holds_changes_nothing(self, api: Control) -> None:
        api.stub.answer_with(fault=PLAN)
        assert call(api, "DELETE", "expect?holder=one").status_code == 200
        assert api.stub.plan == PLAN

    def test_what_it_set_is_gone_for_the_first_request_after_its_end(self, url: str, remote: RemoteStub) -> None:
        remote.release()
        assert self.expect(url, ttl=0.05, fault="500").status_code == 200
        assert ask_model(url).status_code == 500
        for _ in range(100):
            if ask_model(url).status_code == 200:
                break
        assert ask_model(url).status_code == 200

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ({"holder": ""}, "expect: holder = '' is no name; write a text that tells who asks"),
            ({"ttl": 0}, "expect: ttl = 0 is no time; write seconds, at most 3600"),
            ({"ttl": 3601}, "expect: ttl = 3601 is no time"),
            ({"ttl": True}, "expect: ttl = True is no time"),
            ({"ttl": "60"}, "expect: ttl = '60' is no time"),
            ({"step": 3}, "expect: step = 3 is no step; write its id, or null"),
            ({"script": 3}, "script: 3 is none; send an object"),
            ({"script": {}}, "script: KeyError: 'reply'; write "),
            ({"fault": "501"}, "fault plan: '501' is not a valid LlmFault; write a fault ('connection refused', "),
            ({"fault": {"fault": "500", "rate": 2}}, "fault plan: rate = 2 is not a share"),
            ({"faults": "500"}, "expect: 'faults' is unknown; known are holder, ttl, step, script, fault"),
        ],
    )
    def test_what_cannot_be_set_is_refused_and_changes_nothing(
        self, api: Control, data: dict[str, Any], said: str
    ) -> None:
        answer = call(api, "POST", "expect", body=json.dumps({"holder": "one", "ttl": 60, **data}))
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(said)
        assert api.lease.holder is None


@pytest.mark.parametrize(
    ("method", "name", "body", "status", "said"),
    [
        ("GET", "nothing", "", 404, "GET /_gonogo/nothing is not served; served are GET /_gonogo/health, "),
        ("POST", "health", "", 404, "POST /_gonogo/health is not served"),
        ("GET", "", "", 404, "GET /_gonogo/ is not served"),
        ("GET", "journal?since=-1", "", 400, "since = '-1' is no serial number; write 0, or the next of an earlier"),
        ("GET", "journal?since=x", "", 400, "since = 'x' is no serial number"),
        ("PUT", "faults", "{", 400, "the body is no JSON ("),
        ("PUT", "faults", "[1]", 400, "the body is [1]; send an object"),
        ("PUT", "faults", "{}", 400, "fault plan: 'fault'; write a fault"),
        ("PUT", "script", "{}", 400, "script: KeyError: 'reply'"),
        ("DELETE", "expect", "", 400, "expect: say whose lease ends; write ?holder=NAME"),
    ],
)
def test_a_wrong_call_is_told_what_is_right(
    api: Control, method: str, name: str, body: str, status: int, said: str
) -> None:
    answer = call(api, method, name, body=body)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(said)


class TestWhoMayAsk:
    @pytest.mark.parametrize("host", ["127.0.0.1:11434", "localhost", "LOCALHOST:1", "[::1]:11434", "127.8.9.1"])
    def test_this_machine_may(self, api: Control, host: str) -> None:
        assert call(api, "GET", "health", {"host": host}).status_code == 200

    @pytest.mark.parametrize("host", ["rebound.example", "192.0.2.7:11434", "127.0.0.1.example", "[::1", "", "0.0.0.0"])
    def test_a_name_that_leads_here_from_elsewhere_may_not(self, api: Control, host: str) -> None:
        answer = call(api, "GET", "health", {"host": host})
        assert answer.status_code == 403
        assert "is not this machine; ask 127.0.0.1" in answer.json()["error"]

    def test_a_page_in_a_browser_may_not(self, api: Control) -> None:
        answer = call(api, "PUT", "faults", {"origin": "http://127.0.0.1:11434"}, json.dumps(PLAN.as_json()))
        assert answer.status_code == 403
        assert api.stub.plan is None

    @pytest.mark.parametrize("given", [None, "Bearer ", "Bearer secre", "Bearer secret2", "Basic secret", "secret"])
    def test_with_a_token_only_who_sends_it_may(self, api: Control, given: str | None) -> None:
        api.token = "secret"
        answer = call(api, "GET", "health", {} if given is None else {"authorization": given})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "secret" not in answer.text

    def test_who_sends_the_token_may_from_everywhere(self, api: Control) -> None:
        api.token = "secret"
        headers = {"authorization": "Bearer secret", "host": "stub.example"}
        assert call(api, "GET", "health", headers).status_code == 200

    def test_the_token_is_not_shown(self, api: Control) -> None:
        api.token = "secret"
        assert "secret" not in repr(api)
