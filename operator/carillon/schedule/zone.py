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


@lru_cache(maxsize=256)
def nearest_names(name: str) -> list[str]:
    """List up to three zones that may have been meant: by the whole name, or by its last part."""
    whole, last = _names()
    found = difflib.get_close_matches(name.lower(), whole, n=3, cutoff=0.75)
    names = [whole[near] for near in found]
    if not names:
        place = name.lower().rpartition("/")[2]
        names = [last[near] for near in difflib.get_close_matches(place, last, n=3, cutoff=0.75)]
    return names


@lru_cache(maxsize=1)
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Zones by their lower-case name, and by its last part."""
    try:
        names = (resources.files("tzdata") / "zones").read_text().split()
    except (ModuleNotFoundError, OSError):
        names = sorted(available_timezones())
    whole = {name.lower(): name for name in names}
    return whole, {name.rpartition("/")[2]: whole[name] for name in whole}
