"""One heap of the moments at which definitions have to be looked at again."""

import random
from datetime import timedelta

import pytest

from carillon.controller.agenda import Agenda
from carillon.engine.model import Key
from tests.unit.engine.builders import at

A, B, C = (Key("n", name) for name in "abc")


@pytest.fixture
def agenda() -> Agenda:
    return Agenda()


def test_an_empty_one_waits_for_nothing(agenda: Agenda) -> None:
    assert agenda.next() is None
    assert agenda.due(at("12:00")) == []


def test_keys_come_in_the_order_of_their_moments(agenda: Agenda) -> None:
    for key, when in ((B, "12:02"), (A, "12:03"), (C, "12:01")):
        agenda.set(key, at(when))
    assert agenda.next() == at("12:01")
    assert agenda.due(at("12:02")) == [C, B]
    assert agenda.due(at("12:03")) == [A]
    assert len(agenda) == 0


def test_a_key_comes_once(agenda: Agenda) -> None:
    agenda.set(A, at("12:00"))
    assert agenda.due(at("12:00")) == [A]
    assert agenda.due(at("12:00")) == []


@pytest.mark.parametrize(("first", "second"), [("12:00", "12:05"), ("12:05", "12:00")])
def test_the_moment_that_was_set_last_counts(agenda: Agenda, first: str, second: str) -> None:
    agenda.set(A, at(first))
    agenda.set(A, at(second))
    assert agenda.next() == at(second)
    assert agenda.due(at(second) - timedelta(seconds=1)) == []
    assert agenda.due(at("12:10")) == [A]


def test_a_moment_can_be_taken_back(agenda: Agenda) -> None:
    agenda.set(A, at("12:00"))
    agenda.set(A, None)
    assert agenda.next() is None
    assert agenda.due(at("12:10")) == []


def test_a_moment_that_was_taken_back_and_set_again_comes_once(agenda: Agenda) -> None:
    agenda.set(A, at("12:00"))
    agenda.set(A, None)
    agenda.set(A, at("12:00"))
    assert agenda.due(at("12:00")) == [A]


@pytest.mark.parametrize(("noted", "asked", "expected"), [("12:00", "12:05", "12:00"), ("12:05", "12:00", "12:00")])
def test_a_moment_is_brought_forward_and_not_back(agenda: Agenda, noted: str, asked: str, expected: str) -> None:
    agenda.set(A, at(noted))
    agenda.bring_forward(A, at(asked))
    assert agenda.next() == at(expected)


def test_bringing_forward_what_was_not_noted_notes_it(agenda: Agenda) -> None:
    agenda.bring_forward(A, at("12:00"))
    assert agenda.next() == at("12:00")


def test_clear_forgets_all(agenda: Agenda) -> None:
    agenda.set(A, at("12:00"))
    agenda.clear()
    assert agenda.next() is None
    assert len(agenda) == 0


def test_it_does_what_a_plain_table_would(agenda: Agenda) -> None:
    rng, table = random.Random(7), {}
    keys = [Key("n", str(i)) for i in range(50)]
    now = at("12:00")
    for _ in range(3000):
        key = rng.choice(keys)
        when = now + timedelta(seconds=rng.randrange(1, 100)) if rng.random() < 0.8 else None
        agenda.set(key, when)
        table[key] = when
        if rng.random() < 0.2:
            now += timedelta(seconds=rng.randrange(1, 20))
            expected = {key for key, moment in table.items() if moment is not None and moment <= now}
            assert set(agenda.due(now)) == expected
            table.update(dict.fromkeys(expected))
        assert agenda.next() == min((moment for moment in table.values() if moment is not None), default=None)
