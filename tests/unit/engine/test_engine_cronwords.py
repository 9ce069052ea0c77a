"""Schedules in words, for people. What is not a common form is told field by field, and never wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.engine.cronwords import cron_words, interval_words

WORDS = [
    ("30 2 * * *", "at 02:30 every day"),
    ("0 0,12 * * *", "at 00:00 and 12:00 every day"),
    ("0 8 * * MON-FRI", "at 08:00 on Monday to Friday"),
    ("0 3 1 * *", "at 03:00 on day 1 of the month"),
    ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"),
    ("0 0 L * *", "at 00:00 on the last day of the month"),
    ("0 9 * * 1#1", "at 09:00 on the first Monday of the month"),
    ("0 9 * 1-3 5L", "at 09:00 on the last Friday of the month in January to March"),
    ("0 0 13 * FRI", "at 00:00 on day 13 of the month or on Friday"),
    ("*/15 * * * *", "every 15 minutes"),
    ("*/7 * * * *", "every 7th minute of the hour"),
    ("* * * * *", "every minute"),
    ("* 8-17 * * *", "every minute of hours 8 to 17"),
    ("5 */2 * * *", "at minute 5 of every second hour"),
    ("0 * * * *", "at minute 0 of every hour"),
    ("H * * * *", "once an hour, at a minute chosen by its name"),
    ("0 30 2 * * *", "at 02:30 every day"),
    ("*/10 30 2 * * *", "at 02:30, every 10 seconds of the minute every day"),
    ("@daily", "at 00:00 every day"),
    ("@every 90m", "every 90m, counted from the creation or the last edit"),
]


@pytest.mark.parametrize(("cron", "words"), WORDS)
def test_cron(cron: str, words: str) -> None:
    assert cron_words(cron) == words


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ("R/2026-01-01T03:00:00+01:00/P1D", "every day from 2026-01-01T03:00:00+01:00"),
        ("R5/2026-01-01T00:00:00Z/PT15S", "every 15 seconds from 2026-01-01T00:00:00Z, 5 times"),
        ("R/2026-01-01T00:00:00Z/P1DT2H", "R/2026-01-01T00:00:00Z/P1DT2H"),
    ],
)
def test_interval(interval: str, words: str) -> None:
    assert interval_words(interval) == words


FIELD = st.sampled_from(["*", "?", "0", "5", "1,2", "1-5", "*/2", "1-9/3", "H", "L", "MON", "1#2", "5L", "JAN"])


@given(st.lists(FIELD, min_size=1, max_size=7).map(" ".join))
def test_anything_gets_words(cron: str) -> None:
    assert cron_words(cron)
    assert interval_words(cron)
