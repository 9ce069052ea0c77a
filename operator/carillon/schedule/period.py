"""Durations as ISO 8601 writes them: P1Y2M3W4DT5H6M7S.

Years and months are calendar units, and are kept as months; everything else has one length, and is kept as seconds. A
day is 86,400 seconds, because intervals are computed at a fixed offset from UTC. The last unit may have a fraction if
that makes whole seconds; years and months may not.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from carillon.schedule.errors import quoted, refusal

CURE = "write a duration as in PT15M, P1D, P2W, P1M or P1M2DT3H"
_MONTHS = {"Y": 12, "M": 1}
_SECONDS = {"W": 604_800, "D": 86_400, "TH": 3_600, "TM": 60, "TS": 1}
_ORDER = (*_MONTHS, *_SECONDS)
_TERM = re.compile(r"(?P<number>[0-9]{1,9}(?:[.,][0-9]{1,9})?)(?P<unit>[A-Z])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """A duration longer than nothing."""

    months: int
    seconds: int


def parse_period(text: str, start: int, end: int) -> Period:
    """Read text[start:end].

    Raises:
        ScheduleError: it is no duration, or not longer than nothing.
    """
    if text[start : start + 1] in ("-", "+"):
        raise refusal(
            text, start, f"found a sign before {quoted(text[start + 1 : end])}", "write a duration without one"
        )
    if text[start : start + 1] != "P" or start + 1 >= end:
        raise refusal(text, start, f"found {quoted(text[start:end])}", CURE)
    position, prefix, rank, fraction = start + 1, "", -1, False
    months, seconds = 0, Fraction(0)
    while position < end:
        if text[position] == "T" and not prefix:
            position, prefix = position + 1, "T"
            if position == end:
                raise refusal(text, position - 1, "found T with no time after it", CURE)
            continue
        term = _TERM.match(text, position, end)
        unit = prefix + term["unit"] if term else ""
        if term is None or unit not in _ORDER or _ORDER.index(unit) <= rank or fraction:
            raise refusal(text, position, f"found {quoted(text[position:end])}", _cure(term, unit, fraction=fraction))
        amount = Fraction(term["number"].replace(",", "."))
        rank, fraction, position = _ORDER.index(unit), amount.denominator != 1, term.end()
        if unit in _SECONDS:
            seconds += amount * _SECONDS[unit]
        elif fraction:
            raise refusal(
                text, term.start(), f"found {quoted(term[0])}, part of a calendar unit", "write months or days"
            )
        else:
            months += int(amount) * _MONTHS[unit]
    if seconds.denominator != 1:
        raise refusal(
            text, start, f"found {quoted(text[start:end])}, no whole number of seconds", "write whole seconds"
        )
    if not months and not seconds:
        raise refusal(text, start, f"found {quoted(text[start:end])}, no time at all", CURE)
    return Period(months, int(seconds))


def _cure(term: re.Match[str] | None, unit: str, *, fraction: bool) -> str:
    if fraction:
        return "only the last unit may have a fraction"
    if term is not None and unit in ("H", "S"):
        return f"hours, minutes and seconds come after a T: {CURE}"
    if term is not None and unit in _ORDER:
        return f"each unit comes once, in the order Y M W D T H M S: {CURE}"
    return CURE
