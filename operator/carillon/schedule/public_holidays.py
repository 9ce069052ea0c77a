"""Public holidays of countries and their subdivisions, from the `holidays` library. Days only; no zone, no clock.

The library is imported when the first country is asked for: that takes 50 ms, and as much again for each country (a few
hundred for some). A year of a country takes about half a millisecond, and is kept.
"""

import difflib
from datetime import date
from functools import lru_cache

from carillon.schedule.errors import ScheduleError, quoted
from carillon.schedule.seconds import EPOCH_ORDINAL

_LONGEST = 64
_CURE = "an ISO 3166 code such as FR"


@lru_cache(maxsize=512)
def check_place(country: str, subdivision: str | None) -> None:
    """Refuse what the library does not know.

    Raises:
        ScheduleError: there is no such country, or no such subdivision of it; with the nearest.
    """
    codes = _codes()
    if country not in codes:
        cure = " or ".join(_nearest_countries(country)) or _CURE
        raise ScheduleError(f"found the country {quoted(country)}; write {cure}", country)
    if subdivision is None:
        return
    known = _subdivisions(country)
    if subdivision in known:
        return
    if not known:
        cure = "leave it out: no subdivision of this country has holidays of its own"
    else:
        near = _nearest(subdivision, {name.lower(): code for name, code in known.items()})
        cure = f"write {' or '.join(near)}" if near else f"write one of {_listed(sorted(set(known.values())))}"
    raise ScheduleError(f"found the subdivision {quoted(subdivision)} of {country}; {cure}", subdivision)


@lru_cache(maxsize=1_024)
def holidays_of(country: str, subdivision: str | None, year: int) -> tuple[tuple[int, str], ...]:
    """List a year's holidays: days from the epoch, ascending, and their names, in English where the library has them.

    The place is one that `check_place` takes. A year for which the library knows nothing has none.
    """
    import holidays

    calendar = holidays.country_holidays(
        country, subdiv=subdivision, years=year, expand=False, language=_language(country)
    )
    return tuple(sorted((day.toordinal() - EPOCH_ORDINAL, name) for day, name in calendar.items()))


def years_of(first_day: int, last_day: int) -> range:
    """Tell the years in which days from the epoch lie."""
    low, high = (
        date.fromordinal(min(max(day + EPOCH_ORDINAL, 1), date.max.toordinal())).year for day in (first_day, last_day)
    )
    return range(low, high + 1)


@lru_cache(maxsize=512)
def _language(country: str) -> str | None:
    import holidays

    known = holidays.country_holidays(country, expand=False)
    default = known.default_language
    if default is not None and default.startswith("en"):
        return default
    return "en_US" if "en_US" in known.supported_languages else default


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """Codes that are taken, and for each the one of two letters."""
    from holidays.registry import COUNTRIES

    return {code: entry[1] for entry in COUNTRIES.values() for code in entry[1:] if code.isupper() and len(code) <= 3}


def _subdivisions(country: str) -> dict[str, str]:
    """Codes and names that are taken, and the code of each."""
    import holidays

    known = holidays.country_holidays(country, expand=False)
    return {**{code: code for code in known.subdivisions}, **dict(known.subdivisions_aliases)}


def _nearest_countries(country: str) -> list[str]:
    from holidays.registry import COUNTRIES

    codes = _codes()
    if country.upper() in codes:
        return [codes[country.upper()]]
    return _nearest(country.replace(" ", "_"), {name: entry[1] for name, entry in COUNTRIES.items()})


def _nearest(found: str, known: dict[str, str]) -> list[str]:
    """List up to three codes by lower-case names."""
    if len(found) > _LONGEST:
        return []
    names = difflib.get_close_matches(found.lower(), known, n=3, cutoff=0.75)
    return list(dict.fromkeys(known[name] for name in names))


def _listed(codes: list[str]) -> str:
    return ", ".join(codes if len(codes) <= 20 else [*codes[:20], "..."])
