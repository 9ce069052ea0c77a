"""The shapes that the CEL rules look for. RE2, which the API server uses, reads these expressions as `re` does."""

import random
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from carillon.api.rules import CRON_SHAPE, INSTANT_SHAPE, INTERVAL_SHAPE
from carillon.schedule import ScheduleError, parse_at, parse_cron, parse_interval
from tests.unit.schedule.crons import expression

CRONS = """
    * * * * *
    0 3 1 * *
    */5 0-23/2 1,15 JAN-jun Mon-FRI
    0 0 ? * SUN#2
    0 0 L * *
    0 0 L-3 * 5L
    H H(0-7) * * *
    H/15 * * * *
    h(0-29)/10 * * * *
    30 0 3 1 * *
    0\t3   1 * *
    0 0 1 * 7
    0 0 15W * *
    +5 +1-+7/+2 * * *
    *-foo *-foo/2 ?-x,1 *-a-b *-日本
    ,,1 0 * * *
    H(+1-5)/+2 0 * jan-MAR,+6 sun-SAT
    @yearly
    @annually
    @monthly
    @weekly
    @daily
    @midnight
    @hourly
    @every 1h30m
    @every 1.5h
    @every +1h30m5µs
"""
SPACED_CRONS = (
    "  0 3 1 * *  ",
    "0\u00a03 *\u00a0* *",
    "0\v3\v*\v*\v*",
    "0\u20033\u3000* * *",
    "@every\u00a090s",
)
"""A web page's no-break space, and what else robfig takes for a space."""
NO_CRONS = """
    every day
    * * * *
    * * * * * * *
    0 3 1 * * root
    0 3 1 * MONDAY
    0 3 1 FOO *
    TZ=Europe/Paris 0 3 * * *
    CRON_TZ=UTC 0 3 * * *
    0 3 1 * $
    3am
    @reboot
    @every
    @every day at 3
    @daily 3
"""
INTERVALS = """
    R/2026-01-01T03:00:00+01:00/P1D
    R5/2026-01-01T03:00:00Z/PT15M
    R/PT15M/2026-01-01T03:00:00Z
    R0/2026-01-01T03:00:00Z/2026-01-02T03:00:00Z
"""
NO_INTERVALS = """
    P1D
    1h
    2026-01-01T03:00:00Z/P1D
    R/P1D
    R//P1D
    R/a/b/c
"""
INSTANTS = """
    2026-12-24T18:00:00Z
    2026-12-24T18:00:00+01:00
    2026-12-24t18:00:00.5z
    2026-12-24 18:00:00-05:30
"""
NO_INSTANTS = """
    tomorrow
    2026-12-24
    2026-12-24T18:00:00
    18:00Z
    24.12.2026 18:00Z
"""


def lines(table: str) -> list[str]:
    return [line.strip() for line in table.strip().splitlines()]


@pytest.mark.parametrize("cron", [*lines(CRONS), *SPACED_CRONS])
def test_cron_that_the_parser_may_accept_passes(cron: str) -> None:
    assert re.search(CRON_SHAPE, cron)


@pytest.mark.parametrize("cron", lines(NO_CRONS))
def test_cron_of_another_shape_is_refused(cron: str) -> None:
    assert not re.search(CRON_SHAPE, cron)


@pytest.mark.parametrize("interval", lines(INTERVALS))
def test_a_repeating_interval_passes(interval: str) -> None:
    assert re.search(INTERVAL_SHAPE, interval)


@pytest.mark.parametrize("interval", lines(NO_INTERVALS))
def test_an_interval_of_another_shape_is_refused(interval: str) -> None:
    assert not re.search(INTERVAL_SHAPE, interval)


@pytest.mark.parametrize("at", lines(INSTANTS))
def test_an_instant_with_its_offset_passes(at: str) -> None:
    assert re.search(INSTANT_SHAPE, at)


@pytest.mark.parametrize("at", lines(NO_INSTANTS))
def test_an_instant_of_another_shape_is_refused(at: str) -> None:
    assert not re.search(INSTANT_SHAPE, at)


NUMBERS = st.builds(lambda sign, number: f"{sign}{number}", st.sampled_from(["", "", "+"]), st.integers(0, 60))
WORDS = st.sampled_from(
    (
        "jan",
        "Feb",
        "SUN",
        "Mon",
        "SAT",
        "*",
        "?",
        "*-foo",
        "?-日本",
        "*-a-b",
        "*-",
        "H",
        "h",
        "L",
        "l",
        "L-3",
        "5L",
        "SUN#2",
    )
)
VALUES = st.one_of(NUMBERS, NUMBERS, WORDS, st.text(max_size=3).map(lambda text: f"*-{text}"))
RANGES = st.one_of(VALUES, st.builds(lambda low, high: f"{low}-{high}", VALUES, VALUES))
HASHED = st.builds(lambda low, high: f"H({low}-{high})", VALUES, VALUES)
ITEMS = st.one_of(RANGES, HASHED, st.builds(lambda span, step: f"{span}/{step}", st.one_of(RANGES, HASHED), VALUES))
FIELDS = st.one_of(ITEMS, st.lists(st.one_of(ITEMS, st.just("")), min_size=1, max_size=3).map(",".join))
SPACES = st.one_of(st.just(" "), st.text("\t\n\v\f\r \x1c\x85\xa0\u2003\u2028\u3000", min_size=1, max_size=3))
DURATIONS = st.lists(st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{0,2})?(h|m|s|ms|us|µs|μs|ns)\Z"), max_size=3).map("".join)


@st.composite
def crons(draw: st.DrawFn) -> str:
    """Text that is nearly a cron, in every form that the parser has a word for."""
    if draw(st.integers(0, 9)) == 0:
        return f"{draw(SPACES)}@every{draw(SPACES)}{draw(st.sampled_from(['', '+']))}{draw(DURATIONS)}{draw(SPACES)}"
    plain = ["0", "3", "1", "*", "*", "*"][: draw(st.sampled_from([5, 5, 6]))]
    for place in draw(st.sets(st.integers(0, len(plain) - 1), max_size=3)):
        plain[place] = draw(FIELDS)
    return "".join(field + draw(SPACES) for field in plain)


class TestNoCronThatTheParserTakesIsRefused:
    @given(cron=crons())
    @example(cron="+0 3 * * *")
    @example(cron="* *-foo * * *")
    @example(cron="*\xa0* * * *")
    def test_of_those_that_people_may_think_of(self, cron: str) -> None:
        try:
            parse_cron(cron, hash_key="name")
        except ScheduleError:
            assume(False)
        assert re.search(CRON_SHAPE, cron)

    @given(seed=st.integers(0, 1 << 32))
    def test_of_those_that_robfig_reads(self, seed: int) -> None:
        assert re.search(CRON_SHAPE, expression(random.Random(seed)))


class TestNoShapeRefusesWhatTheParserAccepts:
    """So what a shape refuses, the parser refuses too."""

    @pytest.mark.parametrize("cron", lines(NO_CRONS))
    def test_cron(self, cron: str) -> None:
        with pytest.raises(ScheduleError):
            parse_cron(cron)

    @pytest.mark.parametrize("interval", lines(NO_INTERVALS))
    def test_interval(self, interval: str) -> None:
        with pytest.raises(ScheduleError):
            parse_interval(interval)

    @pytest.mark.parametrize("at", lines(NO_INSTANTS))
    def test_at(self, at: str) -> None:
        with pytest.raises(ScheduleError):
            parse_at(at)
