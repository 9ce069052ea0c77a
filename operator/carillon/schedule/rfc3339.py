"""Instants as RFC 3339 writes them (section 5.6): a date, a time and an offset from UTC."""

import calendar
import re
from datetime import date

from carillon.schedule.at import At
from carillon.schedule.errors import ScheduleError, quoted, refusal
from carillon.schedule.protocol import Schedule
from carillon.schedule.seconds import DAY, EPOCH_ORDINAL

LONGEST = 200
CURE = "write an instant as in 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"
_SHAPE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})[Tt](?P<hour>\d{2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?P<fraction>\.\d+)?)?"
    r"(?P<offset>[Zz]|(?P<sign>[+-])(?P<offset_hour>\d{2}):(?P<offset_minute>\d{2}))?",
    re.ASCII,
)
_RANGES = {"hour": 23, "minute": 59, "second": 59, "offset_hour": 23, "offset_minute": 59}


def parse_at(text: str) -> Schedule:
    """Read one instant: RFC 3339 with an offset or Z, to the second.

    Raises:
        ScheduleError: what was found, where, and what would be right.
    """
    civil, offset = parse_instant(text, 0, len(text), seconds_required=True)
    return At(civil - offset)


def parse_instant(text: str, start: int, end: int, *, seconds_required: bool = False) -> tuple[int, int]:
    """Read text[start:end] as civil seconds and the offset in seconds east of UTC.

    Raises:
        ScheduleError: it is no instant with an offset and whole seconds.
    """
    if len(text) > LONGEST:
        raise ScheduleError(f"found {len(text)} characters, at most {LONGEST} are read; {CURE}", text, LONGEST)
    found = _SHAPE.fullmatch(text, start, end)
    if found is None or (seconds_required and found["second"] is None):
        raise refusal(text, start, f"found {quoted(text[start:end])}", CURE)
    if found["offset"] is None:
        raise refusal(
            text, end, f"found no offset after {quoted(text[start:end])}", "add Z for UTC, or one such as +01:00"
        )
    if found["fraction"] and found["fraction"].strip(".0"):
        raise refusal(
            text,
            found.start("fraction"),
            f"found the fraction {quoted(found['fraction'])} of a second",
            "write whole seconds",
        )
    for name, high in _RANGES.items():
        if found[name] is not None and int(found[name]) > high:
            raise refusal(
                text, found.start(name), f"found {name.replace('_', ' ')} {found[name]}", f"write 00 to {high}"
            )
    civil_day = _day(text, found)
    civil = civil_day * DAY + int(found["hour"]) * 3_600 + int(found["minute"]) * 60 + int(found["second"] or 0)
    if found["sign"] is None:
        return civil, 0
    offset = int(found["offset_hour"]) * 3_600 + int(found["offset_minute"]) * 60
    return civil, -offset if found["sign"] == "-" else offset


def _day(text: str, found: re.Match[str]) -> int:
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if year == 0:
        raise refusal(text, found.start("year"), "found the year 0000", "write a year from 0001")
    if not 1 <= month <= 12:
        raise refusal(text, found.start("month"), f"found month {found['month']}", "write 01 to 12")
    length = calendar.monthrange(year, month)[1]
    if not 1 <= day <= length:
        raise refusal(
            text, found.start("day"), f"found day {found['day']}", f"write 01 to {length}: that month has no other"
        )
    return date(year, month, day).toordinal() - EPOCH_ORDINAL
