"""Time zones by name. The names are those of Go's time.LoadLocation as CronJob takes them, without "Local".

The data is what `zoneinfo` finds: the system's, or else the `tzdata` package that Carillon depends on.
"""

import difflib
import re
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo, available_timezones

from carillon.schedule.errors import ScheduleError, quoted

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_LONGEST = 64
_NOT_ZONES = ("posix/", "right/", "localtime", "posixrules")
"""Found in a system's directory and no names of the IANA database; `right/` would count leap seconds."""


def load_zone(name: str) -> ZoneInfo:
    """Load a time zone of the IANA database.

    Raises:
        ScheduleError: there is no such zone, or the name says nothing to another machine; with the nearest names.
    """
    if not name:
        raise ScheduleError(
            'found an empty time zone; write an IANA name such as "Europe/Paris", or leave it out for UTC', name
        )
    if name.lower() == "local":
        raise ScheduleError(f'found time zone {quoted(name)}; write an IANA name such as "Europe/Paris" or "UTC"', name)
    if name.startswith(("/", "\\")) or ".." in name:
        raise ScheduleError(
            f'found a path as time zone, {quoted(name)}; write an IANA name such as "Europe/Paris"', name
        )
    if len(name) <= _LONGEST and _NAME.fullmatch(name) and not name.startswith(_NOT_ZONES):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    nearest = nearest_names(name) if len(name) <= _LONGEST else []
    cure = " or ".join(f'"{near}"' for near in nearest) or 'an IANA name such as "Europe/Paris" or "UTC"'
    raise ScheduleError(f"unknown time zone {quoted(name)}; write {cure}", name)


def _read_places() -> dict[str, list[str]]:
    try:
        names = (resources.files("tzdata") / "zones").read_text().split()
    except (ModuleNotFoundError, OSError):
        names = sorted(available_timezones())
    places: dict[str, list[str]] = {}
    for name in names:
        places.setdefault(name.lower().rpartition("/")[2], []).append(name)
    return places


PLACES = _read_places()
"""Zones by the last part of their name, in lower case. Read at import: the first refusal would wait for it (10 ms)."""


@lru_cache(maxsize=256)
def nearest_names(name: str) -> list[str]:
    """List up to three zones that may have been meant: the place is nearly the same; the whole name sorts them."""
    whole = name.lower()
    found = difflib.get_close_matches(whole.rpartition("/")[2], PLACES, n=3, cutoff=0.8)
    return difflib.get_close_matches(whole, [near for place in found for near in PLACES[place]], n=3, cutoff=0.4)
