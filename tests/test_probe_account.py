"""The account of a probe: what is counted, what it says, and that a damaged one is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.errors import EvidenceError, TargetError
from gonogo.model import Status
from gonogo.probe.account import Account, Connections, Ending, Gap, Load, Schedule, Sent, read_account
from gonogo.probe.tally import LATE_SHARE, Tally, judged
from gonogo.probe.text import render

LOAD = Load("http://127.0.0.1:8000", ("/healthz", "/readyz"), release_header="X-Release")


def good(scheduled: float, *, done: float | None = None, late: float = 0.001, release: str | None = "1.9.0") -> Sent:
    ended = scheduled + 0.002 if done is None else done
    return Sent("/healthz", scheduled, scheduled + late, ended, Ending.ANSWERED, status=200, release=release)


def bad(scheduled: float, cause: str = "connection refused", *, ending: Ending = Ending.FAILED) -> Sent:
    return Sent("/readyz", scheduled, scheduled, scheduled + 0.001, ending, cause)


def account_of(*sent: Sent, rate: float = 10.0, duration: float | None = None, ended: float | None = None) -> Account:
    """The account of these requests; of a schedule that has a moment for each, unless it is said."""
    duration = len(sent) / rate if duration is None else duration
    tally = Tally()
    for one in sent:
        tally.take(one)
    return tally.account(
        LOAD,
        Schedule(rate, duration),
        ended=duration if ended is None else ended,
        started="2026-11-25T09:00:00.000+00:00",
        began=1000.0,
    )


def of_good(number: int, **options: Any) -> Account:
    return account_of(*(good(place / 10, **options) for place in range(number)))


MIXED = account_of(
    *(good(place / 10) for place in range(100)),
    *(bad(place / 10) for place in range(100, 110)),
    *(good(place / 10, release="2.0.0") for place in range(110, 200)),
    replace(bad(20.0, "status 503"), status=503, release="2.0.0"),
    replace(good(20.1), reused=True, retried=True),
)


class TestTheSchedule:
    @given(st.floats(0.01, 5000.0), st.floats(0.001, 3600.0), st.floats(0.0, 4000.0))
    def test_due_are_exactly_the_moments_before_the_end(self, rate: float, duration: float, until: float) -> None:
        schedule = Schedule(rate, duration)
        due, end = schedule.due(until), min(duration, until)
        assert due == 0 or schedule.moment(due - 1) < end
        assert schedule.moment(due) >= end

    def test_a_minute_at_two_hundred_a_second_are_twelve_thousand(self) -> None:
        assert Schedule(200, 60).due(60) == 12_000
        assert Schedule(200, 60).period == 0.005

    @pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
    def test_what_is_none_is_refused(self, value: float) -> None:
        with pytest.raises(TargetError, match=r"rate = .* is no positive number"):
            Schedule(value, 1.0)
        with pytest.raises(TargetError, match=r"duration = .* is no positive number"):
            Schedule(1.0, value)


class TestTheGap:
    def test_it_is_the_longest_time_between_two_good_answers(self) -> None:
        account = account_of(good(0.0, done=0.1), good(0.1, done=0.2), bad(0.2), bad(0.3), good(0.4, done=0.41))
        assert account.gap == Gap(0.2, 0.41)

    def test_it_counts_from_the_beginning_to_the_first(self) -> None:
        assert account_of(bad(0.0), bad(0.1), good(0.2, done=0.25), duration=0.3).gap == Gap(0.0, 0.25)

    def test_it_counts_from_the_last_to_the_end(self) -> None:
        assert account_of(good(0.0, done=0.05), bad(0.1), bad(0.2), duration=0.3).gap == Gap(0.05, 0.3)

    def test_an_answer_that_came_after_the_end_leaves_no_gap_behind_it(self) -> None:
        assert account_of(good(0.0, done=0.1), good(0.1, done=0.9)).gap == Gap(0.1, 0.9)

    def test_it_is_all_of_the_time_where_nothing_is_good(self) -> None:
        assert account_of(bad(0.0), bad(0.1)).gap == Gap(0.0, 0.2)

    def test_the_resolution_is_the_period_and_the_largest_lag(self) -> None:
        account = account_of(good(0.0), good(0.1, late=0.03), good(0.2))
        assert account.resolution == pytest.approx(0.13)
        low, high = account.away
        assert (low, high) == (0.0, account.gap.length + account.resolution)

    @given(st.integers(2, 60), st.floats(0.0, 0.09), st.floats(0.35, 1.5), st.floats(0.0, 0.05))
    def test_the_true_time_lies_within_what_is_told(self, rest: int, at: float, away: float, lag: float) -> None:
        start = 1.0 + at
        moments = [place / 10 for place in range(30 + rest)]
        sent = [
            bad(one) if start <= one + lag < start + away else good(one, late=lag, done=one + lag + 0.0001)
            for one in moments
        ]
        low, high = account_of(*sent).away
        assert low <= away <= high


class TestCounting:
    def test_every_request_is_answered_or_failed(self) -> None:
        assert MIXED.scheduled == MIXED.sent == 202
        assert (MIXED.answered, MIXED.failed, MIXED.lost) == (191, 11, 0)
        assert (MIXED.reused, MIXED.retried) == (1, 1)

    def test_one_that_nobody_has_entered_is_lost(self) -> None:
        account = account_of(good(0.0), duration=0.2)
        assert account.lost == 1
        found = judged(account, least=1)
        assert found.status is Status.INCONCLUSIVE
        assert "1 requests are not accounted for" in found.reasons[0]

    def test_failures_are_told_by_kind_with_their_time(self) -> None:
        refused, unavailable = MIXED.failures
        assert (refused.kind, refused.count, refused.paths) == ("connection refused", 10, ("/readyz",))
        assert (refused.first, refused.last) == pytest.approx((10.001, 10.901))
        assert (unavailable.kind, unavailable.count) == ("status 503", 1)

    def test_releases_are_told_by_whatever_they_answered(self) -> None:
        assert [(one.release, one.count) for one in MIXED.releases] == [("1.9.0", 101), ("2.0.0", 91)]

    def test_too_many_names_become_one(self) -> None:
        named = [good(place / 10, release=f"{place}") for place in range(80)]
        failed = [bad(8 + place / 10, f"status {place}") for place in range(80)]
        account = account_of(*named, *failed)
        assert (len(account.releases), account.releases[-1].release, account.releases[-1].count) == (51, "(others)", 30)
        assert sum(one.count for one in account.failures) == 80
        assert len(account.failures) == 51

    @given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=300))
    def test_quantiles_are_never_too_small_and_at_most_one_per_cent_too_large(self, waits: list[float]) -> None:
        account = account_of(*(good(place / 10, done=place / 10 + wait) for place, wait in enumerate(waits)))
        latency = account.latency
        assert latency is not None
        ordered = sorted(waits)
        for share, told in ((0.5, latency.p50), (0.99, latency.p99)):
            true = ordered[math.ceil(share * len(ordered)) - 1]
            assert true - 1e-6 <= told <= max(true * 1.0101, 1e-6) + 1e-9
        assert latency.largest == pytest.approx(ordered[-1])

    def test_latency_counts_from_the_moment_that_was_planned(self) -> None:
        latency = account_of(good(0.0, late=0.9, done=1.0)).latency
        assert latency is not None
        assert latency.largest == 1.0

    def test_a_failure_has_no_latency_but_is_waited_for(self) -> None:
        account = account_of(good(0.0, done=0.01), replace(bad(0.1), done=5.1))
        assert account.latency is not None
        assert account.latency.largest == 0.01
        assert account.worst_wait == 5.0


class TestTheJudgement:
    def test_enough_good_answers_are_go(self) -> None:
        assert judged(of_good(100)).status is Status.GO

    def test_one_failed_request_is_no_go(self) -> None:
        account = account_of(*(good(place / 10) for place in range(500)), bad(50.0))
        found = judged(account)
        assert (found.status, found.reasons) == (Status.NO_GO, ("1 of 501 requests failed",))

    @pytest.mark.parametrize(
        ("account", "reason"),
        [
            (of_good(99), "99 good answers are too few, 100 are needed"),
            (account_of(duration=0.1, ended=0.0), "nothing was sent"),
            (of_good(200, late=0.0201), "the schedule was not kept: 200 of 200"),
            (account_of(*(good(one / 10, late=2.0 if one == 7 else 0.0) for one in range(200))), "stood still for 2 s"),
            (
                account_of(
                    *(good(one / 10) for one in range(200)),
                    bad(20.0, "not sent: too many in flight", ending=Ending.UNSENT),
                ),
                "1 requests could not be sent",
            ),
        ],
        ids=["few", "none", "late", "stalled", "unsent"],
    )
    def test_what_cannot_tell_is_inconclusive_and_says_why(self, account: Account, reason: str) -> None:
        found = judged(account)
        assert found.status is Status.INCONCLUSIVE
        assert any(reason in one for one in found.reasons), found.reasons

    def test_a_few_late_requests_are_let_pass(self) -> None:
        late = int(LATE_SHARE * 200)
        sent = [good(place / 10, late=0.5 if place < late else 0.0) for place in range(200)]
        assert judged(account_of(*sent)).status is Status.GO
        assert judged(account_of(*sent, good(20.0, late=0.5), duration=20.1)).status is Status.INCONCLUSIVE

    def test_a_failure_counts_although_the_schedule_was_not_kept(self) -> None:
        found = judged(account_of(*(good(place / 10, late=0.5) for place in range(200)), bad(20.0)))
        assert found.status is Status.NO_GO
        assert len(found.reasons) == 2


class TestJson:
    @pytest.mark.parametrize("account", [MIXED, of_good(3), account_of(bad(0.0)), account_of(duration=1.0, ended=0.0)])
    def test_what_was_written_is_read(self, account: Account) -> None:
        assert read_account(json.dumps(account.as_json())) == account

    def test_a_load_comes_back_whole(self) -> None:
        load = Load("http://x", ("/a",), "HEAD", Connections.KEPT, 1.5, (200, 404), "X-Release")
        account = replace(MIXED, load=load)
        assert read_account(json.dumps(account.as_json())).load == load

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda data: data.update(version=2),
            lambda data: data.pop("gap"),
            lambda data: data.update(failed=0),
            lambda data: data.update(scheduled=1),
            lambda data: data.update(answered="191"),
            lambda data: data.update(answered=-1),
            lambda data: data.update(ended=math.nan),
            lambda data: data["gap"].update(end=math.inf),
            lambda data: data["gap"].update(end=-1.0),
            lambda data: data["lag"].update(largest="0.1"),
            lambda data: data.update(latency=None),
            lambda data: data.update(lag=None),
            lambda data: data["schedule"].update(rate=0.0),
            lambda data: data["load"].update(connections="some"),
            lambda data: data.update(unsent=12),
            lambda data: data.update(load=1),
        ],
    )
    def test_a_damaged_one_is_refused(self, spoil: Callable[[dict[str, Any]], object]) -> None:
        data = json.loads(json.dumps(MIXED.as_json()))
        spoil(data)
        with pytest.raises(EvidenceError, match="no account of a probe"):
            read_account(json.dumps(data))

    @pytest.mark.parametrize("text", ["", "[]", "null", "{"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(EvidenceError, match="no account of a probe"):
            read_account(text)


class TestTheText:
    def test_it_tells_all_that_matters(self) -> None:
        said = render(MIXED, judged(MIXED), width=160, color=False)
        for part in (
            "202 scheduled, 202 sent: 191 answered, 11 failed",
            "10 connection refused, from 10.001 s to 10.901 s: /readyz",
            "without a good answer, from 9.902 s to 11.002 s",
            "release 2.0.0",
            "NO-GO  11 of 202 requests failed",
        ):
            assert part in said

    def test_it_says_what_is_missing(self) -> None:
        account = account_of(bad(0.0, ending=Ending.UNSENT), bad(0.1, ending=Ending.UNSENT), duration=0.3)
        said = render(account, judged(account), width=80, color=False)
        assert "1 lost" in said
        assert "INCONCLUSIVE" in said

    def test_what_a_service_tells_cannot_steer_the_terminal(self) -> None:
        account = account_of(good(0.0, release="\x1b[2J[bold]x"))
        said = render(account, judged(account), width=80, color=False)
        assert "\x1b" not in said
        assert "[bold]x" in said

    def test_it_fits_and_has_no_loose_ends(self) -> None:
        lines = render(MIXED, judged(MIXED), width=80, color=False).splitlines()
        assert max(map(len, lines)) <= 80
        assert all(line == line.rstrip() for line in lines)
