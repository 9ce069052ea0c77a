"""A schedule in words: `at 02:30 on Monday to Friday`. What is not a common form is told field by field.

For people only: nothing is decided from it, and the expression is always shown beside it.
"""

import re

from carillon.engine.words import listed

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NTH = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth"}
_NUMBER = re.compile(r"\d{1,2}")
_UNITS = {"W": "week", "D": "day", "H": "hour", "M": "minute", "S": "second"}


def cron_words(cron: str) -> str:
    """Say when a cron expression is due, without its time zone.

    Args:
        cron: an expression that is understood; five fields, six with seconds, or a macro.
    """
    written = cron.strip()
    if written.lower().startswith("@every"):
        return f"every {written[6:].strip()}, counted from the creation or the last edit"
    fields = _MACROS.get(written.lower(), written).split()
    if len(fields) == 6:
        second, *fields = fields
        # A plain second does not change how people say it.
        extra = "" if second == "0" else f", {_seconds(second)}"
    else:
        extra = ""
    if len(fields) != 5:
        return written
    minute, hour, day, month, weekday = fields
    time, date = _time(minute, hour) + extra, _date(day, weekday)
    if not date and time.startswith("at ") and (_numbers(hour) or "of" not in time):
        date = "every day"
    return " ".join(part for part in (time, date, _month(month)) if part)


def interval_words(interval: str) -> str:
    """Say how often an ISO 8601 repeating interval is due: `every 15 minutes from 2026-01-01T03:00:00+01:00`."""
    parts = interval.split("/")
    found = re.fullmatch(r"P(?:(\d+)([WD]))?(?:T(\d+)([HMS]))?", parts[-1])
    if len(parts) != 3 or found is None or (found[1] and found[3]):
        return interval
    number, unit = (found[1], found[2]) if found[1] else (found[3], found[4])
    if not number:
        return interval
    times = f", {parts[0][1:]} times" if len(parts[0]) > 1 else ""
    every = _UNITS[unit] if number == "1" else f"{number} {_UNITS[unit]}s"
    return f"every {every} from {parts[1]}{times}"


def _time(minute: str, hour: str) -> str:
    minutes, hours = _numbers(minute), _numbers(hour)
    if minutes is not None and hours is not None and len(minutes) * len(hours) <= 6:
        return f"at {listed([f'{h:02}:{m:02}' for h in hours for m in minutes])}"
    if minute == "*" or minute.startswith("*/"):
        often = _every_minutes(minute)
        return often if hour == "*" else f"{often} of {_plain(hour, 'hour')}"
    if minute == "H" and hour == "*":
        return "once an hour, at a minute chosen by its name"
    if minute == "H" and hours is not None and len(hours) == 1:
        return f"once between {hours[0]:02}:00 and {hours[0]:02}:59, at a minute chosen by its name"
    if minute == "H" and hour == "H":
        return "once, at a time chosen by its name"
    at = f"at {_plain(minute, 'minute')}"
    if hour == "*":
        return f"{at} of every hour"
    if hour.startswith("*/"):
        return f"{at} of every {hour[2:]}th hour" if hour != "*/2" else f"{at} of every second hour"
    return f"{at} of {_plain(hour, 'hour')}"


def _every_minutes(minute: str) -> str:
    if minute in ("*", "*/1"):
        return "every minute"
    step = minute[2:]
    # Counting begins anew with each hour.
    return f"every {step} minutes" if step.isdigit() and 60 % int(step) == 0 else f"every {step}th minute of the hour"


def _seconds(field: str) -> str:
    return f"every {field[2:]} seconds of the minute" if field.startswith("*/") else f"at {_plain(field, 'second')}"


def _date(day: str, weekday: str) -> str:
    which = "the last day" if day == "L" else _plain(day, "day")
    days = "" if day in ("*", "?") else f"on {which} of the month"
    weekdays = "" if weekday in ("*", "?") else f"on {_weekdays(weekday)}"
    if days and weekdays:
        # The day rule of cron: with both given, either is enough.
        joined = " and " if day.startswith("*") or weekday.startswith("*") else " or "
        return f"{days}{joined}{weekdays}"
    return days or weekdays


def _weekdays(field: str) -> str:
    return listed([_weekday(part) for part in field.upper().split(",")])


def _weekday(part: str) -> str:
    if found := re.fullmatch(r"(\w+)#([1-5])", part):
        return f"the {_NTH[found[2]]} {_day(found[1])} of the month"
    if (found := re.fullmatch(r"(\w+)L", part)) and _day(found[1]) != found[1]:
        return f"the last {_day(found[1])} of the month"
    if found := re.fullmatch(r"(\w+)-(\w+)", part):
        return f"{_day(found[1])} to {_day(found[2])}"
    return _day(part)


def _day(word: str) -> str:
    if word.isdigit() and int(word) < len(_DAYS):
        return _DAYS[int(word)]
    return next((day for day in _DAYS if day[:3].upper() == word), word)


def _month(field: str) -> str:
    if field == "*":
        return ""
    names = [" to ".join(_month_name(end) for end in part.split("-")) for part in field.split(",")]
    return f"in {listed(names)}"


def _month_name(word: str) -> str:
    if word.isdigit() and 1 <= int(word) <= len(_MONTHS):
        return _MONTHS[int(word) - 1]
    return next((month for month in _MONTHS if month[:3].upper() == word.upper()), word)


def _numbers(field: str) -> list[int] | None:
    parts = field.split(",")
    return [int(part) for part in parts] if all(_NUMBER.fullmatch(part) for part in parts) else None


def _plain(field: str, unit: str) -> str:
    several = not _NUMBER.fullmatch(field)
    words = [part.replace("-", " to ").replace("/", " every ") for part in field.split(",")]
    return f"{unit}{'s' if several else ''} {listed(words)}"
