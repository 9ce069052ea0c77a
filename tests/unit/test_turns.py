"""Turns between namespaces: first in, first out within one, and one of each in turn."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.turns import Turns


def turns(*items: str) -> Turns[str]:
    """Items whose first letter is their namespace."""
    made = Turns[str](lambda item: item[0])
    for item in items:
        made.add(item)
    return made


def drain(made: Turns[str]) -> list[str]:
    taken = []
    while (item := made.take()) is not None:
        taken.append(item)
    return taken


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        ("", ""),
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 b1 b2 b3", "a1 b1 a2 b2 b3"),
        ("b1 a1 a2 a3 c1", "b1 a1 c1 a2 a3"),
        ("a1 a2 a1", "a1 a2"),
    ],
)
def test_the_order(arrivals: str, order: str) -> None:
    assert drain(turns(*arrivals.split())) == order.split()


def test_a_namespace_that_comes_back_is_last() -> None:
    made = turns("a1", "b1", "b2", "c1")
    assert made.take() == "a1"
    made.add("a2")
    assert drain(made) == ["b1", "c1", "a2", "b2"]


def test_who_may_not_keeps_the_turn() -> None:
    made = turns("a1", "b1", "b2")
    assert [made.take(lambda namespace: namespace != "a"), made.take()] == ["b1", "a1"]
    assert made.take(lambda _: False) is None
    assert len(made) == 1


def test_who_rests_has_no_turn() -> None:
    made = turns("a1", "b1")
    made.rest("a")
    made.rest("c")
    made.add("a2")
    made.add("c1")
    assert made.waits("a")
    assert drain(made) == ["b1"]
    made.resume("c")
    made.resume("a")
    assert drain(made) == ["c1", "a1", "a2"]


def test_what_is_discarded_has_no_turn() -> None:
    made = turns("a1", "a2", "b1")
    for item in ("a1", "b1", "b1", "c1"):
        made.discard(item)
    assert "a1" not in made
    assert "a2" in made
    assert (len(made), made.waits("b")) == (1, False)
    assert drain(made) == ["a2"]


def test_the_longest_line_gives_first() -> None:
    made = turns("a1", "b1", "b2", "a2", "b3")
    assert [made.take_of_longest() for _ in range(3)] == ["b1", "a1", "b2"]
    assert turns().take_of_longest() is None


def test_clear_forgets_all() -> None:
    made = turns("a1", "b1")
    made.rest("a")
    made.clear()
    made.add("a2")
    assert drain(made) == ["a2"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), max_size=80))
def test_nothing_is_lost_or_doubled_and_nobody_waits_for_more_than_one_of_each(items: list[tuple[str, int]]) -> None:
    words = list(dict.fromkeys(f"{namespace}{number}" for namespace, number in items))
    taken = drain(turns(*words))
    assert sorted(taken) == sorted(words)
    for namespace in "abcd":
        own = [place for place, item in enumerate(taken) if item[0] == namespace]
        assert [taken[place] for place in own] == [word for word in words if word[0] == namespace]
        assert all(later - earlier <= 4 for earlier, later in itertools.pairwise(own))


def test_an_item_costs_the_same_however_many_wait() -> None:
    def seconds(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            made = turns(*(f"a{number}" for number in range(count)), "b1")
            began = time.perf_counter()
            for number in range(2_000):
                made.take()
                made.add(f"a{count + number}")
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(200_000) < 5 * seconds(2_000), "ten times as much if it went over what waits"
