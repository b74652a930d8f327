"""What a service counted between two looks: restarts, other releases, pages cut in half, and what is no count."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.counted import Counted, Counter, PageRefused
from gonogo.metrics import MetricSample, read_metrics

RUNS, FAILED = "runs_total", "failed_total"
EDGES = ("0.01", "0.1", "+Inf")


def page(text: str = "", **counts: float) -> list[MetricSample]:
    """Samples, of text or of ``runs_total`` by step."""
    lines = "".join(f'{RUNS}{{step="{step}"}} {value}\n' for step, value in counts.items())
    return list(read_metrics(text + lines))


def counter(*names: str) -> Counter:
    return Counter(frozenset(names or (RUNS, FAILED)))


def taken(counter: Counter, *pages: Iterable[MetricSample], release: str | None = "2") -> list[int | str]:
    """For each page how many runs were counted, or why it was refused."""
    found: list[int | str] = []
    for one in pages:
        try:
            found.append(counter.take(release, one).total(RUNS))
        except PageRefused as refused:
            found.append(str(refused))
    return found


def test_what_was_there_before_the_first_look_does_not_count() -> None:
    first = counter().take("2", page(a=1000))
    assert (first.first, first.restarted, dict(first.grown)) == (True, False, {})


def test_what_grew_between_two_looks_counts() -> None:
    count = counter()
    count.take("2", page(a=1000, b=5))
    second = count.take("2", page(a=1010, b=5))
    assert (second.total(RUNS), second.by(RUNS, "step")) == (10, {"a": 10, "b": 0})
    assert (second.first, second.restarted) == (False, False)


def test_one_look_after_a_long_time_counts_all_that_grew() -> None:
    assert taken(counter(), page(a=1000), page(a=1300)) == [0, 300]


def test_a_series_that_is_new_counts_from_its_beginning() -> None:
    assert taken(counter(), page(a=1000), page(a=1001), page(a=1002, b=7)) == [0, 1, 8]


def test_series_that_are_not_asked_for_do_not_count() -> None:
    count = counter(RUNS)
    count.take("2", page("other_total 5\n", a=1))
    assert list(count.take("2", page("other_total 9\n", a=2)).grown) == [(RUNS, (("step", "a"),))]


class TestRestarts:
    def test_counters_that_go_back_count_from_the_first_page_of_the_new_process(self) -> None:
        count = counter()
        refused = "its counters are less than they were"
        assert taken(count, page(a=1000), page(a=1010), page(a=4)) == [0, 10, refused]
        counted = count.take("2", page(a=15))
        assert (counted.total(RUNS), counted.restarted) == (11, True)
        after = count.take("2", page(a=20, b=2))
        assert (after.total(RUNS), after.restarted) == (7, False)

    def test_a_service_all_of_whose_series_are_gone_counts_again_when_they_are_back(self) -> None:
        count = counter()
        pages = page(a=1000, b=10), page(), page(), page(a=3), page(a=9, b=1), page(a=12, b=4)
        assert taken(count, *pages) == [
            0,
            "the page lacks 2 of 2 series that the last one had",
            0,
            "its counters are less than they were",
            6,
            6,
        ]

    def test_a_restart_is_told_once(self) -> None:
        count = counter()
        taken(count, page(a=1000), page(a=1))
        assert [count.take("2", page(a=value)).restarted for value in (2, 3, 4)] == [True, False, False]

    def test_a_restart_between_two_refused_pages_is_no_growth(self) -> None:
        refused = "its counters are less than they were"
        assert taken(counter(), page(a=1000), page(a=50), page(a=2), page(a=6)) == [0, refused, refused, 4]

    def test_a_counter_that_goes_back_alone_is_a_break_as_well(self) -> None:
        count = counter()
        assert taken(count, page(a=10, b=10), page(a=12, b=9))[1] == "its counters are less than they were"


class TestReleases:
    def test_each_counts_for_itself_while_they_answer_in_turn(self) -> None:
        count = counter()
        old = [counted(count, "1", page(a=value)) for value in (1000,)]
        for value in (1003, 1008, 1010):
            new = counted(count, "2", page(a=value - 1000))
            old.append(counted(count, "1", page(a=value)))
        assert old == [0, 3, 5, 2]
        assert new == 2  # from 8 to 10
        assert not count.are_several

    def test_one_that_comes_back_counts_from_where_it_was(self) -> None:
        count = counter()
        assert counted(count, "1", page(a=1000)) == 0
        assert counted(count, "2", page(a=1)) == 0
        assert counted(count, "1", page(a=1030)) == 30

    def test_history_of_a_release_that_is_seen_first_is_no_growth(self) -> None:
        count = counter()
        counted(count, "1", page(a=1000))
        assert count.take("2", page(a=90000)).first


class TestPagesCutInHalf:
    LACKS = "the page lacks 1 of 2 series that the last one had"

    def test_one_is_refused_and_the_next_one_counts_it_all(self) -> None:
        assert taken(counter(), page(a=1000, b=50), page(a=1004), page(a=1010, b=53)) == [0, self.LACKS, 13]

    def test_the_first_one_makes_no_history_of_what_it_lacked(self) -> None:
        assert taken(counter(), page(a=1000), page(a=1004, b=500), page(a=1005, b=502)) == [0, 4, 3]

    def test_several_in_a_row_count_what_they_show_once_and_never_the_rest(self) -> None:
        count = counter()
        pages = page(a=1000, b=50), page(a=1004), page(a=1006), page(a=1009), page(a=1011, b=70), page(a=1011, b=72)
        assert taken(count, *pages) == [0, self.LACKS, 2, 3, 2, 2]

    def test_one_that_is_cut_within_a_number_is_refused(self) -> None:
        assert taken(counter(), page(a=1000, b=50, c=3), page(a=1004, b=5), page(a=1010, b=53, c=4)) == [
            0,
            "the page lacks 1 of 3 series that the last one had",
            14,
        ]

    def test_one_that_is_cut_within_its_last_number_is_refused(self) -> None:
        refused = "its counters are less than they were"
        assert taken(counter(), page(a=1000, b=50), page(a=1004, b=5), page(a=1010, b=53)) == [0, refused, 13]

    def test_one_that_is_cut_after_a_restart_has_no_history_either(self) -> None:
        pages = page(a=1000, b=500), page(a=3), page(a=5, b=40), page(a=6, b=41)
        assert taken(counter(), *pages)[2:] == [2, 2]

    def test_one_that_is_empty_is_none_to_count_from(self) -> None:
        assert taken(counter(), page(), page(a=1000), page(a=1001)) == [0, 0, 1]


class TestSeveralProcesses:
    def test_they_are_told_where_each_counts_for_itself(self) -> None:
        count = counter()
        for turn in range(10):
            taken(count, page(a=1000 + turn, b=90), page(a=900, b=100 + turn))
        assert count.are_several

    def test_nothing_counts_any_more_then(self) -> None:
        count = counter()
        said = [one for turn in range(12) for one in taken(count, page(a=1000 + turn, b=90), page(a=900, b=100 + turn))]
        assert all(isinstance(one, str) for one in said[10:])
        assert "5 of the last 20 pages do not follow from those before them" in said

    def test_until_the_pages_follow_from_each_other_again(self) -> None:
        count = counter()
        for turn in range(10):
            taken(count, page(a=1000 + turn, b=90), page(a=900, b=100 + turn))
        said = taken(count, *(page(a=2000 + turn, b=200) for turn in range(30)))
        assert said[-1] == 1
        assert not count.are_several

    def test_their_history_is_never_growth(self) -> None:
        # one has many errors from a time that was not watched
        count = counter()
        first, second = page("failed_total 300\n", a=1000), page("failed_total 10\n", a=1200)
        for one in (first, second, second, first, first, second):
            try:
                assert count.take("2", one).total(FAILED) == 0
            except PageRefused:
                continue

    def test_four_restarts_are_restarts(self) -> None:
        count = counter()
        for _ in range(4):
            taken(count, page(a=100), page(a=101), page(a=102))
        assert not count.are_several


class TestWhatIsNoCount:
    @pytest.mark.parametrize("value", ["NaN", "-1", "+Inf", "-Inf", "1e300", "-0.5"])
    def test_it_is_refused_by_name_and_the_next_page_counts_it_all(self, value: str) -> None:
        count = counter()
        said = taken(count, page(a=1000), page(a=float(value)), page(a=1010))
        assert said[0] == 0
        assert said[1] == f"runs_total{{'step': 'a'}} is {float(value)}, which is no count"
        assert said[2] == 10
        assert not count.are_several

    def test_it_is_refused_on_the_first_page_too(self) -> None:
        count = counter()
        assert taken(count, page(a=math.nan), page(a=1000), page(a=1001))[1:] == [0, 1]

    @pytest.mark.parametrize("edge", ["", "fast", "NaN"])
    def test_an_edge_that_is_no_number_is_refused(self, edge: str) -> None:
        said = taken(counter("s_bucket"), page(f's_bucket{{le="{edge}"}} 1\n'))
        assert said == [f"s_bucket{{'le': '{edge}'}} has the edge '{edge}', which is no number"]

    def test_zero_is_a_count(self) -> None:
        assert taken(counter(), page(a=0), page(a=0), page(a=1)) == [0, 0, 1]

    def test_as_many_as_can_be_counted_by_ones_are_taken(self) -> None:
        assert taken(counter(), page(a=0), page(a=2.0**53), page(a=2.0**54))[1:] == [
            2**53,
            f"runs_total{{'step': 'a'}} is {2.0**54}, which is no count",
        ]


def test_growth_is_found_by_name_and_by_labels() -> None:
    text = 'runs_total{{step="a",status="failed"}} {}\nruns_total{{step="a",status="well"}} {}\nruns_total{{host="x"}} {}\n'
    count = counter()
    count.take(None, page(text.format(0, 0, 0)))
    counted = count.take(None, page(text.format(1, 2, 4)))
    assert counted.total(RUNS) == 7
    assert counted.total('runs_total{status="failed"}') == 1
    assert counted.total(RUNS, status="well", step="a") == 2
    assert counted.by(RUNS, "status") == {"failed": 1, "well": 2}
    assert counted.by('runs_total{status="failed"}', "step") == {"a": 1}
    assert counted.by(FAILED, "step") == {}


def counted(count: Counter, release: str, samples: Iterable[MetricSample]) -> int:
    return count.take(release, samples).total(RUNS)


class _Service:
    """Processes that count what really happens, and pages of them as they may arrive."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.happened: dict[str, int] = {}

    def serve(self, release: str, step: str, number: int) -> None:
        counts = self.counts.setdefault(release, {})
        counts[step] = counts.get(step, 0) + number
        self.happened[step] = self.happened.get(step, 0) + number

    def page(self, release: str, lines: int | None) -> list[MetricSample]:
        return page("", **self.counts.get(release, {}))[:lines]


EVENTS = st.one_of(
    st.tuples(st.just("serve"), st.sampled_from("12"), st.sampled_from("abc"), st.integers(0, 40)),
    st.tuples(st.just("look"), st.sampled_from("12"), st.sampled_from([None, None, None, 0, 1, 2]), st.just(0)),
    st.tuples(st.just("restart"), st.sampled_from("12"), st.none(), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=60))
def test_whatever_happens_nothing_is_counted_that_did_not_happen_or_was_counted_before(
    events: list[tuple[str, str, str | int | None, int]],
) -> None:
    service, count = _Service(), counter()
    total: dict[str, int] = {}
    for what, release, detail, number in events:
        if what == "serve":
            service.serve(release, str(detail), number)
        elif what == "restart":
            service.counts[release] = {}
        else:
            assert detail is None or isinstance(detail, int)
            try:
                grown = count.take(release, service.page(release, detail)).by(RUNS, "step")
            except PageRefused:
                continue
            assert all(growth >= 0 for growth in grown.values())
            for step, growth in grown.items():
                total[step] = total.get(step, 0) + growth
    assert all(number <= service.happened.get(step, 0) for step, number in total.items())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0, 1, 2, 2, 2])), min_size=2))
def test_cut_pages_lose_nothing_of_a_process_that_goes_on(looks: list[tuple[int, int, int]]) -> None:
    count, a, b, total, after_a_cut = counter(), 5, 7, 0, 0
    count.take("2", page(a=a, b=b))
    for more_a, more_b, lines in looks:
        a, b = a + more_a, b + more_b
        cut = lines < 2 and not after_a_cut and not count.are_several  # two in a row may count as a process that began
        after_a_cut = cut
        several, refused = count.are_several, False
        try:
            total += count.take("2", page(a=a, b=b)[: lines if cut else 2]).total(RUNS)
        except PageRefused:
            if several or count.are_several:
                return  # so many were cut that they look like several processes; nothing counts then
            refused = True
        assert cut or not refused, "a whole page is refused"
    try:
        total += count.take("2", page(a=a, b=b)).total(RUNS)
    except PageRefused:
        return
    assert total == a + b - 12


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "1", "2"]),
            st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats() | st.integers(0, 9).map(float), max_size=3),
        )
    )
)
def test_any_pages_are_counted_or_refused_and_never_below_zero(
    pages: list[tuple[str | None, dict[str, float]]],
) -> None:
    count = counter()
    for release, counts in pages:
        samples = [MetricSample(RUNS, {"step": step}, value) for step, value in counts.items()]
        try:
            found = count.take(release, samples)
        except PageRefused:
            continue
        assert isinstance(found, Counted)
        assert found.total(RUNS) >= 0
        assert all(0 <= growth < math.inf for growth in found.grown.values())
