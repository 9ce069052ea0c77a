"""Random crons and instants for the tests; most instants lie near a change of the clocks."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from carillon.schedule import load_zone
from carillon.schedule.offsets import offsets_of

DAY = 86_400

SKIPPING = {
    "Pacific/Apia": datetime(2011, 12, 30, tzinfo=UTC),
    "Pacific/Fakaofo": datetime(2011, 12, 30, tzinfo=UTC),
    "Pacific/Kiritimati": datetime(1994, 12, 31, tzinfo=UTC),
    "Pacific/Kwajalein": datetime(1993, 8, 21, tzinfo=UTC),
}
"""Zones in which a whole day never was. Before it robfig never answers, unless every day matches."""

ZONES = (
    *SKIPPING,
    "UTC",
    "Africa/Cairo",  # gaps at midnight, on Fridays
    "Africa/Casablanca",  # standard time in Ramadan only
    "Africa/El_Aaiun",
    "Africa/Juba",
    "Africa/Monrovia",  # 44 minutes 30 seconds until 1972
    "America/Asuncion",  # gaps at midnight, sometimes on the first of October
    "America/Caracas",  # half an hour, twice
    "America/Havana",  # 01:00 becomes midnight
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",  # 24:00 becomes 23:00
    "America/Sao_Paulo",  # gaps at midnight
    "America/Scoresbysund",
    "America/St_Johns",  # changed at 00:01 until 2011
    "Antarctica/Casey",  # three hours
    "Antarctica/Troll",  # two hours
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Dhaka",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Tehran",  # gaps at midnight
    "Atlantic/Azores",
    "Australia/Lord_Howe",  # half an hour
    "Australia/Sydney",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Paris",
    "Europe/Volgograd",
    "Pacific/Chatham",  # 12:45
    "Pacific/Easter",
    "Pacific/Norfolk",
)


@dataclass(frozen=True)
class Query:
    """A cron in a zone, and instants (unix seconds) to ask it about."""

    expression: str
    zone: str
    instants: tuple[int, ...]


@lru_cache
def changes(zone: str, first_year: int, last_year: int) -> tuple[int, ...]:
    """List when a zone's clocks change."""
    low = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    high = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    return tuple(block.starts[index] for block, index in offsets_of(load_zone(zone)).transitions(low, high))


def instant(rng: random.Random, zone: str) -> int:
    """Draw an instant from 1970 to 2037, three of four near a change of the clocks."""
    near = changes(zone, 1970, 2037)
    if near and rng.random() < 0.75:
        back = rng.choice([40 * DAY, 3 * DAY, DAY, 7_200, 3_600, 1, 0, -1_800, -3_600])
        return rng.choice(near) - back + rng.choice([0, rng.randint(-DAY, DAY)])
    return rng.randint(0, 2_145_916_800)


def cron_field(rng: random.Random, low: int, high: int, star: float) -> str:
    """Draw a field in any form that robfig reads."""
    kind = rng.random()
    if kind < star:
        return rng.choice(["*", "*", "*", "?", "*/1"])
    if kind < star + 0.1:
        return f"*/{rng.randint(2, (high - low) // 2 + 1)}"
    return ",".join(_item(rng, low, high) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def _item(rng: random.Random, low: int, high: int) -> str:
    kind, first = rng.random(), rng.randint(low, high)
    last = rng.randint(first, high)
    if kind < 0.6:
        return str(first)
    if kind < 0.8:
        return f"{first}-{last}"
    return f"{first}-{last}/{rng.randint(1, 7)}" if kind < 0.9 else f"{first}/{rng.randint(1, 9)}"


def expression(rng: random.Random, *, every_day: bool = False, seconds: float = 0.1) -> str:
    """Draw a cron; hours are mostly those at which clocks change."""
    if rng.random() < 0.04 and not every_day:
        return rng.choice(["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"])
    minute, hour = cron_field(rng, 0, 59, 0.2), cron_field(rng, 0, 23, 0.3)
    if rng.random() < 0.4:
        hour = rng.choice(["0", "1", "2", "3", "23", "0-3", "1,2", "0,23", "1-2", "22-23"])
    days = "* * *"
    if not every_day:
        days = f"{cron_field(rng, 1, 31, 0.6)} {cron_field(rng, 1, 12, 0.6)} {cron_field(rng, 0, 6, 0.6)}"
    text = f"{minute} {hour} {days}"
    return f"{cron_field(rng, 0, 59, 0.1)} {text}" if rng.random() < seconds else text


def corpus(seed: int, queries: int) -> Iterator[Query]:
    """Draw queries with two instants each, over all zones in turn."""
    rng = random.Random(seed)
    for number in range(queries // 2):
        zone = ZONES[number % len(ZONES)]
        instants = (instant(rng, zone), instant(rng, zone))
        before_skip = zone in SKIPPING and any(_shortly_before(SKIPPING[zone], moment) for moment in instants)
        yield Query(expression(rng, every_day=before_skip), zone, instants)


def _shortly_before(skipped: datetime, moment: int) -> bool:
    """Whether a walk may come by the skipped day: up to six years later, when it gives up."""
    return skipped.timestamp() - 6 * 366 * DAY < moment <= skipped.timestamp() + DAY
