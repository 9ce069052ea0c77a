"""Who is due at the same instant, and when they are called to have their runs written."""

from datetime import timedelta

import pytest

from carillon.controller.crowds import Crowds
from carillon.engine.ahead import FEWEST
from carillon.engine.model import Key
from tests.unit.engine.builders import at

KEYS = [Key("n", f"job-{number}") for number in range(FEWEST)]
NOON = at("12:00")


@pytest.fixture
def crowds() -> Crowds:
    return Crowds()


def gather(crowds: Crowds, count: int = FEWEST, due: str = "12:00") -> None:
    for key in KEYS[:count]:
        crowds.expect(key, at(due))


def test_nobody_is_alone_with_himself(crowds: Crowds) -> None:
    assert crowds.together(KEYS[0]) == 1
    crowds.expect(KEYS[0], NOON)
    assert crowds.together(KEYS[0]) == 1


def test_it_counts_who_is_due_together(crowds: Crowds) -> None:
    gather(crowds, 3)
    crowds.expect(KEYS[3], at("12:01"))
    assert [crowds.together(key) for key in KEYS[:4]] == [3, 3, 3, 1]


def test_who_moves_on_is_counted_elsewhere(crowds: Crowds) -> None:
    gather(crowds, 3)
    crowds.expect(KEYS[0], at("12:01"))
    crowds.expect(KEYS[1], None)
    assert [crowds.together(key) for key in KEYS[:3]] == [1, 1, 1]


def test_they_are_called_once_when_it_is_time(crowds: Crowds) -> None:
    gather(crowds)
    assert crowds.ripe(NOON - timedelta(seconds=6)) == []
    assert crowds.ripe(NOON - timedelta(seconds=5)) == KEYS
    assert crowds.ripe(NOON - timedelta(seconds=4)) == []


def test_few_are_not_called(crowds: Crowds) -> None:
    gather(crowds, FEWEST - 1)
    assert crowds.ripe(NOON - timedelta(seconds=1)) == []
    crowds.expect(KEYS[-1], NOON)
    assert len(crowds.ripe(NOON - timedelta(seconds=1))) == FEWEST


def test_nobody_is_called_when_it_is_too_late(crowds: Crowds) -> None:
    gather(crowds)
    assert crowds.ripe(NOON) == []


def test_they_are_called_again_for_the_next_time(crowds: Crowds) -> None:
    gather(crowds)
    assert crowds.ripe(NOON - timedelta(seconds=5)) == KEYS
    gather(crowds, due="12:01")
    assert crowds.ripe(at("12:00:55")) == KEYS
    assert crowds.ripe(at("12:00:56")) == []


def test_an_instant_that_all_have_left_and_come_back_to_counts_anew(crowds: Crowds) -> None:
    gather(crowds)
    crowds.ripe(NOON - timedelta(seconds=5))
    gather(crowds, due="13:00")
    gather(crowds)
    assert crowds.ripe(NOON - timedelta(seconds=4)) == KEYS


def test_instants_are_called_each_in_its_time(crowds: Crowds) -> None:
    for number in range(FEWEST):
        crowds.expect(Key("n", f"early-{number}"), NOON)
        crowds.expect(Key("n", f"late-{number}"), at("12:00:10"))
    first = crowds.ripe(NOON - timedelta(seconds=5))
    assert {key.name.partition("-")[0] for key in first} == {"early"}
    assert {key.name.partition("-")[0] for key in crowds.ripe(at("12:00:05"))} == {"late"}


def test_clear_forgets_all(crowds: Crowds) -> None:
    gather(crowds)
    crowds.clear()
    assert crowds.together(KEYS[0]) == 1
    assert crowds.ripe(NOON - timedelta(seconds=1)) == []
