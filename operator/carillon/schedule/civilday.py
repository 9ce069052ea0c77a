"""A day as the clocks of a zone show it, as spans of time: 23, 24 or 25 hours, in two pieces, or nothing at all."""

import re
from datetime import date
from itertools import pairwise

from carillon.schedule.errors import ScheduleError, quoted
from carillon.schedule.offsets import Offsets
from carillon.schedule.seconds import DAY, EPOCH_ORDINAL

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CURE = "write a day as in 2026-12-24"


def spans_of_day(offsets: Offsets, day: int) -> list[tuple[int, int]]:
    """List the spans [start, end) in which the clocks show a day, counted from the epoch; seconds.

    Mostly it is one. It is none where the day never was (30 December 2011 in Pacific/Apia), and two where the clocks go
    back over midnight (America/St_Johns changed at 00:01 until 2011).
    """
    begin, end = (day - 1) * DAY, (day + 2) * DAY
    changes = [block.starts[index] for block, index in offsets.transitions(begin, end - 1)]
    found: list[tuple[int, int]] = []
    for since, until in pairwise([begin, *changes, end]):
        offset = offsets.at(since)
        first, last = max(since, day * DAY - offset), min(until, (day + 1) * DAY - offset)
        if first >= last:
            continue
        if found and found[-1][1] == first:
            first = found.pop()[0]
        found.append((first, last))
    return found


def parse_day(text: str) -> int:
    """Read a date such as 2026-12-24 as days from the epoch.

    Raises:
        ScheduleError: it is none.
    """
    if not _DATE.fullmatch(text):
        raise ScheduleError(f"found {quoted(text)} as date; {_CURE}", text, 0)
    try:
        return date.fromisoformat(text).toordinal() - EPOCH_ORDINAL
    except ValueError as refused:
        raise ScheduleError(f"found {quoted(text)}, no day of the calendar ({refused}); {_CURE}", text, 0) from None
