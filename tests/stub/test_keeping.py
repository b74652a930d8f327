"""The bounded journal: serial numbers never come again, and what falls out is counted."""

from __future__ import annotations

import pytest

from gonogo.model import Request
from gonogo.stub import Exchange, LlmFault
from gonogo.stub.keeping import BoundedJournal, Page


def exchange(number: int = 0, served: str | None = "facts/roads", size: int = 1) -> Exchange:
    return Exchange(Request("ollama", "/api/chat", {"number": number}), served, "x" * size)


def numbers(page: Page) -> list[object]:
    return [one.request.body["number"] for one in page.exchanges]


def test_what_came_since_a_serial_number_is_found() -> None:
    journal = BoundedJournal()
    for number in range(5):
        journal.append(exchange(number))
    page = journal.since(3)
    assert (numbers(page), page.next, page.lost, page.more) == ([3, 4], 5, 0, False)
    assert journal.since(5) == Page((), 5, 0)
    assert journal.since(99) == Page((), 5, 0), "a number of the future is no loss"


@pytest.mark.parametrize("bound", [{"most": 3}, {"most_bytes": 6000}])
def test_the_oldest_make_room_and_are_counted(bound: dict[str, int]) -> None:
    journal = BoundedJournal(**bound)
    for number in range(10):
        journal.append(exchange(number, size=1300))
    page = journal.since(0)
    assert numbers(page) == [7, 8, 9]
    assert (page.next, page.lost, journal.lost, journal.requests) == (10, 7, 7, 10)
    assert journal.since(6).lost == 1
    assert journal.since(7).lost == 0


def test_the_newest_is_kept_whatever_its_size() -> None:
    journal = BoundedJournal(most_bytes=10)
    for number in range(2):
        journal.append(exchange(number, size=100))
    assert numbers(journal.since(0)) == [1]


def test_the_size_is_that_of_what_is_kept() -> None:
    journal = BoundedJournal(most=1)
    for size in (5000, 10, 10):
        journal.append(exchange(size=size))
    assert 0 < journal.size < 1000
    journal.clear()
    assert journal.size == 0


def test_a_page_ends_where_it_is_full_and_says_where_to_go_on() -> None:
    journal = BoundedJournal()
    for number in range(5):
        journal.append(exchange(number, size=1000))
    found, place, more = [], 0, True
    while more:
        page = journal.since(place, most_bytes=3500)
        assert 1 <= len(page.exchanges) <= 2
        found += numbers(page)
        place, more = page.next, page.more
    assert found == [0, 1, 2, 3, 4]
    assert len(journal.since(0, most_bytes=0).exchanges) == 1, "a page without an exchange would lead nowhere"


def test_to_forget_all_is_a_loss_for_who_asks_from_before() -> None:
    journal = BoundedJournal()
    journal.append(exchange())
    journal.clear()
    assert len(journal) == 0
    journal.append(exchange(1))
    assert (numbers(journal.since(0)), journal.since(0).lost, journal.since(1).lost) == ([1], 1, 0)


def test_every_exchange_is_counted_as_what_it_is_for_ever() -> None:
    journal = BoundedJournal(most=1)
    for served in ("facts/roads", "facts/roads", "scripted", None, LlmFault.EMPTY.value, None, None):
        journal.append(exchange(served=served))
    journal.clear()
    assert (journal.requests, journal.hits, journal.scripted, journal.misses) == (7, 2, 1, 3)


def test_it_reads_like_a_list() -> None:
    journal = BoundedJournal()
    for number in range(3):
        journal.append(exchange(number))
    assert [one.request.body["number"] for one in journal] == [0, 1, 2]
    assert journal[-1] == exchange(2)
    assert journal[0] == exchange(0)
