"""Instants and spans as people read them; the same everywhere that Carillon explains a time."""

from datetime import UTC, datetime, timedelta, tzinfo


def clock(instant: datetime, zone: tzinfo = UTC, *, day: bool = True) -> str:
    """Write an instant in a zone: `Sun 2026-03-29 03:00 CEST +02:00`, `Sun 2026-03-29 01:00Z`; seconds if any."""
    local = instant.astimezone(zone)
    text = local.strftime("%a %Y-%m-%d %H:%M" if day else "%Y-%m-%d %H:%M")
    if local.second:
        text += local.strftime(":%S")
    name = local.tzname() or ""
    if name == "UTC":
        return f"{text}Z"
    offset = local.strftime("%z")
    offset = f"{offset[:3]}:{offset[3:5]}"
    return f"{text} {offset}" if not name or name[0] in "+-" else f"{text} {name} {offset}"


def civil(moment: datetime) -> str:
    """Write a time on the wall, given as if it were UTC: `02:30`, with seconds if there are any."""
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")


def span(length: timedelta) -> str:
    """Write how long something takes in its two largest units: `4 d 6 h`, `35 min`, `12 s`."""
    seconds = int(abs(length).total_seconds())
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit} {rest} {smaller_unit}" if rest else f"{seconds // size} {unit}"
    minutes, rest = divmod(seconds, 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def distance(instant: datetime, now: datetime) -> str:
    """Tell how far an instant is: `in 4 d 6 h`, `12 s ago`, `now`."""
    if abs(instant - now) < timedelta(seconds=1):
        return "now"
    return f"in {span(instant - now)}" if instant > now else f"{span(now - instant)} ago"


def listed(items: list[str] | tuple[str, ...]) -> str:
    """Join words: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def counted(number: int, noun: str) -> str:
    """Write a count with its noun: `1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
