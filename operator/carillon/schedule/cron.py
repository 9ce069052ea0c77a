"""Cron expressions: five fields, six with seconds first, or a macro; as CronJob reads them, and more.

The rules are those of robfig/cron v3 (ParseStandard), the parser of the native controller; the fields' grammar is in
`fields`. An expression that can never fire is refused: robfig takes it and stays silent.
"""

import re
from functools import lru_cache

from carillon.schedule.days import DayRule
from carillon.schedule.errors import ScheduleError, quoted, refusal
from carillon.schedule.every import parse_every
from carillon.schedule.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, SECOND, FieldParser
from carillon.schedule.offsets import STILL, offsets_of
from carillon.schedule.pattern import CivilPattern
from carillon.schedule.protocol import DaylightSaving, Schedule
from carillon.schedule.runonce import RunOnce
from carillon.schedule.wallclock import WallClock
from carillon.schedule.zone import load_zone

_LONGEST = 1_000
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_KINDS = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
_FIELDS_CURE = "write five: minute hour day-of-month month day-of-week, or six with seconds first"
_WORD = re.compile(r"\S+")


def parse_cron(
    expression: str,
    *,
    time_zone: str | None = None,
    daylight_saving: DaylightSaving = DaylightSaving.RUN_ONCE,
    hash_key: str = "",
) -> Schedule:
    """Read a cron expression.

    Args:
        expression: five fields, six with seconds first, a macro or `@every <Go duration>`.
        time_zone: IANA name; None is UTC.
        daylight_saving: what happens to skipped and repeated civil times.
        hash_key: the name that chooses what `H` stands for.

    Raises:
        ScheduleError: what was found, where, and what would be right.
    """
    if "h" not in expression and "H" not in expression:
        hash_key = ""
    return _parse(expression, time_zone, daylight_saving, hash_key)


@lru_cache(maxsize=16_384)
def _parse(expression: str, time_zone: str | None, daylight_saving: DaylightSaving, hash_key: str) -> Schedule:
    zone_name = "UTC" if time_zone is None else time_zone
    zone = load_zone(zone_name)
    if len(expression) > _LONGEST:
        raise ScheduleError(f"found {len(expression)} characters; a cron has at most {_LONGEST}", expression, _LONGEST)
    words = [(word[0], word.start()) for word in _WORD.finditer(expression)]
    if not words:
        raise ScheduleError(f"found an empty cron; {_FIELDS_CURE}", expression, 0)
    first, start = words[0]
    if first.startswith(("TZ=", "CRON_TZ=")):
        raise refusal(expression, start, f"found {quoted(first)}", "leave it out and use timeZone")
    if first == "@every":
        return parse_every(expression.rstrip(), words[1][1] if len(words) > 1 else start + len(first))
    if first.startswith("@"):
        if len(words) > 1 or first not in _MACROS:
            macros = ", ".join(_MACROS)
            raise refusal(
                expression,
                start,
                f"found {quoted(expression[start:])}",
                f"the macros are {macros} and @every <duration>",
            )
        pattern, free_hours = _pattern(_MACROS[first], "")
    else:
        pattern, free_hours = _pattern(expression, hash_key)
    wall_clock = daylight_saving is DaylightSaving.WALL_CLOCK or free_hours
    # Where the clocks never change the two are the same, and RunOnce is simpler.
    chosen = WallClock if wall_clock and zone_name not in STILL else RunOnce
    return chosen(pattern, offsets_of(zone))


def _pattern(expression: str, hash_key: str) -> tuple[CivilPattern, bool]:
    """Read the fields; the flag says that the hour field holds a star (design 3.4; `?` is another star)."""
    words = [(word.start(), word.end()) for word in _WORD.finditer(expression)]
    if len(words) not in (5, 6):
        where = words[6][0] if len(words) > 6 else len(expression)
        raise ScheduleError(f"found {len(words)} fields in {quoted(expression)}; {_FIELDS_CURE}", expression, where)
    kinds = _KINDS[6 - len(words) :]
    fields = {
        kind.name: FieldParser(kind, expression, hash_key).parse(*word) for kind, word in zip(kinds, words, strict=True)
    }
    days_of_month, months, days_of_week = fields["day-of-month"], fields["month"], fields["day-of-week"]
    days = DayRule(
        months=months.mask,
        days=days_of_month.mask,
        weekdays=days_of_week.mask,
        days_free=days_of_month.star,
        weekdays_free=days_of_week.star,
        from_end=days_of_month.from_end,
        nth=tuple(days_of_week.nth),
        last=days_of_week.last,
    )
    if not days.possible:
        begin = words[-3][0]
        named = expression[begin : words[-2][1]]
        raise refusal(
            expression,
            begin,
            f"found {quoted(named)} as day-of-month and month, a day that never comes",
            "write a day that the month has, or L for its last",
        )
    seconds = fields["second"].mask if "second" in fields else 1
    hour = expression[slice(*words[-4])]
    return CivilPattern.of(seconds, fields["minute"].mask, fields["hour"].mask, days), "*" in hour or "?" in hour
