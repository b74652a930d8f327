"""A probe against a service that misbehaves: what is counted, and how well the time is known that the service was away."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from probed_service import LOOPBACK, Does, Service, serving

from gonogo.errors import TargetError
from gonogo.model import Status
from gonogo.probe.account import Account, Connections, Load, Schedule
from gonogo.probe.sending import Probe, Request
from gonogo.probe.tally import judged
from gonogo.probe.wire import read_address

FRESH, KEPT, BOTH = Connections.FRESH, Connections.KEPT, Connections.BOTH
Meanwhile = Callable[[Service, Probe], Coroutine[Any, Any, None]]


async def nothing(service: Service, probe: Probe) -> None:
    """What happens meanwhile, unless a test says otherwise."""


def probed(
    service: Service,
    *,
    rate: float = 100.0,
    duration: float = 0.3,
    meanwhile: Meanwhile = nothing,
    request: Request | None = None,
    tls: ssl.SSLContext | None = None,
    most_in_flight: int = 1000,
    patience: float = 10.0,
    **load: Any,
) -> Account:
    """The account of a probe of this service, in one loop with it."""

    async def run() -> Account:
        async with serving(service):
            probe = Probe(
                Load(service.url, **{"timeout": 2.0, "release_header": "X-Release", **load}),
                Schedule(rate, duration),
                request or Request(),
                tls=tls,
                most_in_flight=most_in_flight,
                patience=patience,
            )
            other = asyncio.ensure_future(meanwhile(service, probe))
            account = await probe.run()
            await other
            return account

    account = asyncio.run(run())
    assert account.lost == 0
    assert account.scheduled == account.answered + account.failed
    return account


def kinds(account: Account) -> dict[str, int]:
    return {one.kind: one.count for one in account.failures}


class TestTheGap:
    @pytest.mark.parametrize("connections", list(Connections))
    @pytest.mark.parametrize("how", [Does.IS_CLOSED, Does.WAITS, Does.SAYS_503, Does.RESETS])
    def test_it_is_right_to_within_the_resolution(self, how: Does, connections: Connections) -> None:
        async def go_away(service: Service, probe: Probe) -> None:
            await asyncio.sleep(0.25)
            await service.be_away(how, 0.5)

        service = Service()
        account = probed(service, duration=1.1, meanwhile=go_away, connections=connections)
        away = service.away[1] - service.away[0]
        low, high = account.away
        assert low <= away <= high, f"{away} against {account.gap}, resolution {account.resolution}"
        assert account.gap.start <= account.moment(service.away[0]) + account.resolution
        assert account.gap.end >= account.moment(service.away[1]) - account.resolution
        assert (account.failed == 0) is (how is Does.WAITS), "requests that wait are answered in the end"
        assert account.answered > 0

    def test_who_waits_has_waited_since_the_moment_that_was_planned(self) -> None:
        async def go_away(service: Service, probe: Probe) -> None:
            await asyncio.sleep(0.1)
            await service.be_away(Does.WAITS, 0.5)

        account = probed(Service(), duration=0.8, meanwhile=go_away)
        assert account.failed == 0
        assert account.latency is not None
        # a client that waits for one answer before it asks again would have one long wait, and a p50 of nothing
        assert account.latency.p50 > 0.1
        assert account.worst_wait >= account.latency.largest > 0.4

    def test_a_service_that_never_answers_is_away_all_the_time(self) -> None:
        account = probed(Service(Does.SAYS_503), duration=0.2)
        assert (account.gap.start, account.gap.end) == (0.0, 0.2)
        assert judged(account).status is Status.NO_GO
        assert "no good answer at all: status 503" in judged(account).reasons[0]


class TestTheSchedule:
    def test_requests_are_sent_whatever_becomes_of_those_before(self) -> None:
        service = Service(takes=0.2)
        account = probed(service, rate=50, duration=0.6)
        assert account.scheduled == account.answered == 30
        assert service.most_at_once > 5, "they should not wait for each other"

    def test_who_cannot_keep_it_decides_nothing(self) -> None:
        async def stand_in_the_way(service: Service, probe: Probe) -> None:
            for _ in range(5):
                await asyncio.sleep(0.02)
                time.sleep(0.05)  # nothing else happens in this loop

        account = probed(Service(), duration=0.5, meanwhile=stand_in_the_way)
        assert account.failed == 0
        assert account.late > 5
        assert account.resolution > 0.03
        found = judged(account, least=1)
        assert found.status is Status.INCONCLUSIVE
        assert "the schedule was not kept" in found.reasons[0]

    def test_stopped_early_the_account_is_of_the_time_until_then(self) -> None:
        async def stop(service: Service, probe: Probe) -> None:
            while len(service.asked) < 10:
                await asyncio.sleep(0.005)
            probe.stop()

        account = probed(Service(), duration=60.0, meanwhile=stop)
        assert account.ended < 30
        assert 10 <= account.scheduled < 3000
        assert account.failed == 0

    def test_stopped_twice_it_waits_no_longer(self) -> None:
        async def stop_twice(service: Service, probe: Probe) -> None:
            while len(service.asked) < 5:
                await asyncio.sleep(0.005)
            probe.stop()
            await asyncio.sleep(0)
            probe.stop()

        began = time.monotonic()
        account = probed(Service(takes=30.0), duration=60.0, meanwhile=stop_twice, timeout=60.0)
        assert time.monotonic() - began < 30
        assert kinds(account) == {"no answer before the probe was ended": account.scheduled}

    def test_it_gives_up_where_nothing_answers_from_the_beginning(self) -> None:
        account = probed(Service(Does.RESETS), duration=60.0, patience=0.2)
        assert account.ended < 30
        assert account.answered == 0

    def test_it_does_not_give_up_on_a_service_that_goes_away_later(self) -> None:
        async def go_away(service: Service, probe: Probe) -> None:
            await asyncio.sleep(0.1)
            await service.be_away(Does.RESETS, 0.4)

        account = probed(Service(), duration=0.7, patience=0.05, meanwhile=go_away)
        assert account.ended == 0.7

    def test_what_cannot_be_sent_is_in_the_account(self) -> None:
        account = probed(Service(takes=30.0), duration=0.3, most_in_flight=5, timeout=0.5)
        assert kinds(account) == {"not sent: too many in flight": 25, "no answer within 0.5 s": 5}
        assert account.unsent == 25


class TestConnections:
    def test_one_that_was_closed_while_it_was_idle_is_not_used_again(self) -> None:
        account = probed(Service(Does.CLOSES_IDLE), connections=KEPT)
        assert account.failed == 0
        assert judged(account, least=30).status is Status.GO

    def test_a_request_that_a_used_one_did_not_take_is_sent_once_more(self) -> None:
        service = Service(Does.TAKES_ONE)
        account = probed(service, connections=KEPT)
        assert account.failed == 0
        assert account.retried == account.reused > 5
        assert len(service.asked) == account.scheduled + account.retried

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_one_that_has_an_effect_is_not_sent_twice(self, method: str) -> None:
        service = Service(Does.TAKES_ONE)
        account = probed(service, connections=KEPT, method=method, request=Request(body=b"{}"))
        assert account.retried == 0
        assert kinds(account) == {"connection closed before an answer": account.reused}
        assert len(service.asked) == account.scheduled

    def test_one_whose_answer_had_begun_is_not_sent_twice(self) -> None:
        account = probed(Service(Does.TAKES_ONE_AND_A_HALF), connections=KEPT)
        assert account.retried == 0
        assert kinds(account) == {"answer cut off": account.reused}
        assert account.reused > 5

    def test_one_on_a_fresh_connection_is_not_sent_twice(self) -> None:
        service = Service(Does.RESETS)
        account = probed(service, connections=FRESH)
        assert (account.reused, account.retried) == (0, 0)
        assert kinds(account) == {"connection reset": 30}
        assert service.connections == 30

    def test_kept_ones_are_used_again_and_fresh_ones_are_not(self) -> None:
        services = {connections: Service() for connections in Connections}
        accounts = {one: probed(service, duration=0.5, connections=one) for one, service in services.items()}
        assert services[FRESH].connections == 50
        assert services[KEPT].connections < 50
        assert 25 < services[BOTH].connections < 50
        assert accounts[FRESH].reused == 0
        assert accounts[KEPT].reused == 50 - services[KEPT].connections
        closes = [headers.get("connection") for _, headers, _ in services[BOTH].asked]
        assert closes.count("close") == 25

    def test_every_path_meets_both_kinds(self) -> None:
        service = Service()
        probed(service, paths=("/a", "/b"), duration=0.4)
        met = {(line, headers.get("connection")) for line, headers, _ in service.asked}
        assert met == {(f"GET /{path}", kind) for path in "ab" for kind in (None, "close")}


class TestAnswers:
    def test_each_release_is_seen_with_its_time(self) -> None:
        async def ship(service: Service, probe: Probe) -> None:
            while len(service.asked) < 15:
                await asyncio.sleep(0.005)
            service.release = "2.0.0"

        account = probed(Service(), meanwhile=ship)
        old, new = account.releases
        assert (old.release, new.release) == ("1.9.0", "2.0.0")
        assert old.count + new.count == 30
        assert old.first < old.last < new.last

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
            (b"HTTP/1.1 204 No Content\r\n\r\n", None),
            (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", None),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
            (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "status 101"),
        ],
        ids=["chunked", "204", "302", "103", "404", "101"],
    )
    @pytest.mark.parametrize("connections", [FRESH, KEPT])
    def test_every_form_of_an_answer_is_read(self, said: bytes, kind: str | None, connections: Connections) -> None:
        account = probed(Service(said={"/": said}), connections=connections, timeout=1.0)
        assert kinds(account) == ({kind: 30} if kind else {})

    def test_one_that_ends_with_its_connection_is_whole(self) -> None:
        service = Service(Does.CLOSES_IDLE, said={"/": b"HTTP/1.1 200 OK\r\n\r\nas long as it takes"})
        assert probed(service).failed == 0

    @pytest.mark.parametrize(
        ("does", "kind"),
        [
            (Does.BREAKS_OFF, "answer cut off"),
            (Does.BABBLES, "no HTTP in the answer"),
            (Does.RESETS, "connection reset"),
            (Does.SAYS_503, "status 503"),
        ],
    )
    def test_what_is_none_is_a_failure_by_its_kind(self, does: Does, kind: str) -> None:
        account = probed(Service(does), paths=("/a", "/b"))
        assert kinds(account) == {kind: 30}
        assert set(account.failures[0].paths) == {"/a", "/b"}

    def test_one_that_is_cut_off_at_its_length_is_a_failure(self) -> None:
        service = Service(Does.CLOSES_IDLE, said={"/": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"})
        assert kinds(probed(service)) == {"answer cut off": 30}

    def test_a_head_request_has_an_answer_without_a_body(self) -> None:
        account = probed(Service(), method="HEAD", connections=KEPT)
        assert account.failed == 0
        assert account.reused > 5

    def test_only_what_is_expected_is_good(self) -> None:
        assert probed(Service(Does.SAYS_503), expected=(503,)).failed == 0
        assert kinds(probed(Service(), expected=(204,))) == {"status 200": 30}

    def test_none_in_time_is_a_failure(self) -> None:
        assert kinds(probed(Service(takes=30.0), timeout=0.2)) == {"no answer within 0.2 s": 30}

    def test_headers_and_body_arrive(self) -> None:
        service = Service()
        request = Request({"Authorization": "Bearer told-to-nobody", "Content-Type": "application/json"}, b'{"a": 1}')
        account = probed(service, method="POST", request=request, paths=("/api?q=1",))
        assert account.failed == 0
        line, headers, body = service.asked[0]
        assert (line, body) == ("POST /api?q=1", b'{"a": 1}')
        assert headers["authorization"] == "Bearer told-to-nobody"
        assert headers["host"] == f"127.0.0.1:{service.port}"
        assert "told-to-nobody" not in repr(request)
        assert "told-to-nobody" not in str(account.as_json())


class TestTls:
    def test_a_service_is_probed_whose_certificate_is_trusted(self) -> None:
        account = probed(self._service(), tls=ssl.create_default_context(cafile=LOOPBACK))
        assert account.failed == 0
        assert account.reused > 0

    def test_one_whose_certificate_is_not_fails(self) -> None:
        assert kinds(probed(self._service(), tls=ssl.create_default_context())) == {"certificate not trusted": 30}

    def _service(self) -> Service:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(LOOPBACK)
        return Service(tls=context)


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "host", "port", "base"),
        [
            ("http://127.0.0.1:8000", "127.0.0.1:8000", 8000, ""),
            ("https://example.org/blog/", "example.org", 443, "/blog"),
            ("http://[::1]:80", "[::1]", 80, ""),
        ],
    )
    def test_a_url_is_read(self, url: str, host: str, port: int, base: str) -> None:
        address = read_address(url)
        assert (address.host_header, address.port, address.base) == (host, port, base)

    @pytest.mark.parametrize(
        "url", ["x", "ftp://x", "http://", "http://x:99999", "http://x?q", "http://x/ä", "http://[::1", "http://a b"]
    )
    def test_what_is_none_is_refused_with_a_remedy(self, url: str) -> None:
        with pytest.raises(TargetError, match=r"write"):
            read_address(url)

    def test_a_password_in_it_is_refused_and_not_told(self) -> None:
        with pytest.raises(TargetError) as caught:
            read_address("http://me:s3cret@x")
        assert "s3cret" not in str(caught.value)

    def test_a_host_that_has_no_address_is_a_failure(self) -> None:
        async def run() -> Account:
            return await Probe(Load("http://nobody.invalid", timeout=5.0), Schedule(10, 0.2), Request()).run()

        assert set(kinds(asyncio.run(run()))) <= {"name not resolved", "no connection within 5 s"}

    def test_a_host_with_several_addresses_is_reached_at_the_one_that_listens(self) -> None:
        service = Service()

        async def run() -> Account:
            async with serving(service):
                url = f"http://localhost:{service.port}"
                return await Probe(Load(url), Schedule(50, 0.2), Request()).run()

        assert asyncio.run(run()).failed == 0


def test_a_fault_of_the_probe_itself_is_not_swallowed() -> None:
    def fail(moment: float) -> None:
        raise LookupError("planted")

    async def run() -> None:
        async with serving(Service()) as service:
            await Probe(Load(service.url), Schedule(50, 0.2), Request(), on_answer=fail).run()

    with pytest.raises(ExceptionGroup) as caught, suppress(TargetError):
        asyncio.run(run())
    assert isinstance(caught.value.exceptions[0], LookupError)
