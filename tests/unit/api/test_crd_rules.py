"""The shapes that the CEL rules look for. RE2, which the API server uses, reads these expressions as `re` does."""

import re

import pytest

from carillon.api.rules import CRON_SHAPE, INSTANT_SHAPE, INTERVAL_SHAPE
from carillon.schedule import ScheduleError, parse_at, parse_cron, parse_interval

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
    @yearly
    @annually
    @monthly
    @weekly
    @daily
    @midnight
    @hourly
    @every 1h30m
    @every 1.5h
"""
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


@pytest.mark.parametrize("cron", [*lines(CRONS), "  0 3 1 * *  "])
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
