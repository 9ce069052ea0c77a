"""Which civil times a cron names: days and times of day, on a clock that never changes.

Civil seconds are seconds since the epoch as a clock on the wall counts them, without any zone. What the zone does to
them is said in `runonce` and `wallclock`.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from functools import lru_cache

from carillon.schedule.days import ALL_MONTHS, DayRule
from carillon.schedule.seconds import DAY, FIRST_DAY, LAST_DAY

ALL_HOURS = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class CivilPattern:
    """Civil seconds that match; masks as in DayRule."""

    seconds: int
    minutes: int
    hours: int
    days: DayRule
    any_month: DayRule = field(compare=False)
    """The days, whatever the month: robfig's walk does not look back at it."""
    every_day: bool = field(compare=False)
    minutes_of_day: tuple[int, ...] = field(compare=False)
    seconds_of_minute: tuple[int, ...] = field(compare=False)
    first_of_day: int = field(compare=False)
    whole_minutes: bool = field(compare=False)

    @classmethod
    def of(cls, seconds: int, minutes: int, hours: int, days: DayRule) -> "CivilPattern":
        """Work out the tables for the masks of a cron; each names something."""
        days = _shared(days)
        minutes_of_day = _minutes_of_day(minutes, hours)
        seconds_of_minute = tuple(bits(seconds))
        return cls(
            seconds=seconds,
            minutes=minutes,
            hours=hours,
            days=days,
            any_month=_shared(replace(days, months=ALL_MONTHS)),
            every_day=days.every_day,
            minutes_of_day=minutes_of_day,
            seconds_of_minute=seconds_of_minute,
            first_of_day=minutes_of_day[0] * 60 + seconds_of_minute[0],
            whole_minutes=seconds_of_minute == (0,),
        )

    def next(self, civil: int) -> int | None:
        """Tell the first match > civil; there are none outside the years that datetime knows."""
        day, second = divmod(civil, DAY)
        if not FIRST_DAY <= day < LAST_DAY:
            return self._next_at_the_ends(civil)
        following = day if self.every_day else self.days.next_day(day)
        if following == day:
            if self.whole_minutes:
                times = self.minutes_of_day
                place = bisect_right(times, second // 60)
                if place < len(times):
                    return day * DAY + times[place] * 60
            else:
                place = self._rank(second)
                if place < self.per_day:
                    return day * DAY + self._time(place)
            following = day + 1 if self.every_day else self.days.next_day(day + 1)
        return None if following is None else following * DAY + self.first_of_day

    def _next_at_the_ends(self, civil: int) -> int | None:
        """Tell the same, before the first day of the calendar and from its last on."""
        day, second = divmod(civil, DAY)
        if day == LAST_DAY and self.days.matches(day) and (place := self._rank(second)) < self.per_day:
            return day * DAY + self._time(place)
        following = self.days.next_day(day + 1)
        return None if following is None else following * DAY + self.first_of_day

    def previous(self, civil: int) -> int | None:
        """Tell the last match <= civil."""
        day, second = divmod(civil, DAY)
        place = self._rank(second)
        found = self.days.previous_day(day if place else day - 1)
        if found is None:
            return None
        return found * DAY + self._time(place - 1 if found == day else self.per_day - 1)

    def count(self, after: int, through: int) -> int:
        """Count the matches in (after, through]."""
        if through <= after:
            return 0
        (low, early), (high, late) = divmod(after, DAY), divmod(through, DAY)
        total = self.days.count(low, high - 1) * self.per_day
        if self.days.count(low, low):
            total -= self._rank(early)
        if self.days.count(high, high):
            total += self._rank(late)
        return total

    @property
    def per_day(self) -> int:
        """How many times a matching day has."""
        return len(self.minutes_of_day) * len(self.seconds_of_minute)

    def _rank(self, second: int) -> int:
        """Count the times of day that are <= second."""
        minute, rest = divmod(second, 60)
        place = bisect_left(self.minutes_of_day, minute)
        total = place * len(self.seconds_of_minute)
        if place < len(self.minutes_of_day) and self.minutes_of_day[place] == minute:
            total += bisect_right(self.seconds_of_minute, rest)
        return total

    def _time(self, place: int) -> int:
        minute, second = divmod(place, len(self.seconds_of_minute))
        return self.minutes_of_day[minute] * 60 + self.seconds_of_minute[second]


def bits(mask: int) -> list[int]:
    """List the numbers whose bit is set, upwards."""
    return [number for number in range(mask.bit_length()) if mask >> number & 1]


@lru_cache(maxsize=4096)
def _shared(days: DayRule) -> DayRule:
    """Tell the one rule that is equal to this one: with it the tables are shared."""
    return days


_MINUTE_OF_DAY = tuple(range(1440))


@lru_cache(maxsize=1024)
def _minutes_of_day(minutes: int, hours: int) -> tuple[int, ...]:
    """Minutes of a day, shared between the many schedules that name the same ones."""
    return tuple(_MINUTE_OF_DAY[hour * 60 + minute] for hour in bits(hours) for minute in bits(minutes))
