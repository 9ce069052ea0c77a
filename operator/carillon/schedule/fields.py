"""One field of a cron: text in, bit mask out. The grammar is robfig/cron's (parser.go), then more, never less.

What robfig takes is taken as it takes it, oddities too: `?` is `*` in every field, empty items of a list count for
nothing, `5/20` runs from 5 to the maximum, `*` or `*/1` anywhere in a list makes the field a star field while `*/2`
does not, what follows a hyphen after `*` is ignored, and a plus sign may stand before a number. More is: 7 for Sunday
and SUN at the end of a range, `H` in all fields (see `hashed`), `L`, `L-n`, `n#k` and `nL` in the day fields.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from carillon.schedule.errors import ScheduleError, quoted, refusal
from carillon.schedule.hashed import chosen

_NUMBER = re.compile(r"\+?[0-9]+", re.ASCII)
_HASHED = re.compile(r"H(?:\((?P<low>[^()-]*)-(?P<high>[^()-]*)\))?(?:/(?P<step>.*))?", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field may hold."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)
    hashed_high: int | None = None
    """The highest number that `H` chooses, where it is not `high`."""
    written_high: int | None = None
    """The highest number that may be written, where it is not `high`: 7 is another 0."""

    @property
    def cure(self) -> str:
        """Tell what may be written."""
        example = f" or {next(iter(self.names)).upper()}-{list(self.names)[-1].upper()}" if self.names else ""
        return f"write {self.low}-{self.written_high or self.high}{example}, *, a list a,b, a range a-b or a step */n"


SECOND = Kind("second", 0, 59)
MINUTE = Kind("minute", 0, 59)
HOUR = Kind("hour", 0, 23)
DAY_OF_MONTH = Kind("day-of-month", 1, 31, hashed_high=28)
MONTH = Kind("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
DAY_OF_WEEK = Kind("day-of-week", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}, written_high=7)


@dataclass(slots=True)
class Field:
    """What a field names."""

    mask: int = 0
    star: bool = False
    from_end: int = 0
    nth: list[int] = field(default_factory=lambda: [0] * 5)
    last: int = 0


@dataclass(frozen=True, slots=True)
class FieldParser:
    """Reads one field; `text` is the whole cron, for messages."""

    kind: Kind
    text: str
    hash_key: str

    def parse(self, start: int, end: int) -> Field:
        """Read text[start:end].

        Raises:
            ScheduleError: it is no such field.
        """
        found = Field()
        position, items = start, 0
        for item in self.text[start:end].split(","):
            if item:
                items += 1
                self._item(item, position, found)
            position += len(item) + 1
        if not items:
            raise self._refusal(start, f"found no value in {self.text[start:end]!r}")
        if self.kind is DAY_OF_WEEK and found.mask >> 7:
            found.mask = found.mask & 0x7F | 1
        return found

    def _item(self, item: str, position: int, found: Field) -> None:
        if item[0] in "Hh" and (hashed := _HASHED.fullmatch(item)):
            found.mask |= self._hashed(hashed, position)
        elif self.kind is DAY_OF_MONTH and item[0] in "Ll":
            found.from_end |= 1 << self._from_end(item, position)
        elif self.kind is DAY_OF_WEEK and "#" in item:
            self._nth(item, position, found)
        elif self.kind is DAY_OF_WEEK and item[-1] in "Ll":
            found.last |= 1 << self._last(item, position)
        else:
            mask, star = self._range(item, position)
            found.mask |= mask
            found.star = found.star or star

    def _range(self, item: str, position: int) -> tuple[int, bool]:
        """Read `*`, `a`, `a-b`, each perhaps with a step."""
        span, *steps = item.split("/")
        first, *rest = span.split("-")
        if len(steps) > 1:
            raise self._refusal(position, f"found two steps in {quoted(item)}")
        step = self._step(steps[0], position + len(span) + 1) if steps else 1
        if first in ("*", "?"):
            return _mask(self.kind.low, self.kind.high, step), step == 1
        low = self._value(first, position)
        high = low
        if len(rest) > 1:
            raise self._refusal(position, f"found two hyphens in {quoted(item)}")
        if rest:
            high = self._value(rest[0], position + len(first) + 1)
            if self.kind is DAY_OF_WEEK and rest[0].lower() == "sun" and low > 0:
                high = 7
            if low > high:
                raise refusal(
                    self.text,
                    position,
                    f"found the {self.kind.name} range {quoted(item)}, which runs backwards",
                    self._turned(low, high),
                )
        elif steps:
            high = max(self.kind.high, low)
        return _mask(low, high, step), False

    def _turned(self, low: int, high: int) -> str:
        """Tell how to write a range that passes the end of its field."""
        if self.kind is DAY_OF_WEEK and high == 0:
            return f"write {low}-7"
        return f"write {low}-{self.kind.high},{self.kind.low}-{high}"

    def _step(self, step: str, position: int) -> int:
        if not _NUMBER.fullmatch(step) or not int(step):
            raise refusal(
                self.text,
                position,
                f"found {quoted(step)} as step of the {self.kind.name}",
                "write a whole number from 1",
            )
        return int(step)

    def _value(self, value: str, position: int) -> int:
        """Read a number or a name."""
        named = self.kind.names.get(value.lower())
        if named is not None:
            return named
        if not _NUMBER.fullmatch(value):
            raise self._refusal(
                position, f"found {quoted(value)} as {self.kind.name}" if value else f"found no {self.kind.name}"
            )
        number = int(value)
        if not self.kind.low <= number <= (self.kind.written_high or self.kind.high):
            raise self._refusal(position, f"found {self.kind.name} {quoted(value)}")
        return number

    def _hashed(self, item: re.Match[str], position: int) -> int:
        """Read `H`, `H(a-b)`, `H/n` and `H(a-b)/n`: with a step, the first of them is chosen."""
        if not self.hash_key:
            raise refusal(
                self.text, position, "found H, which needs a name to choose by, and there is none", "write a number"
            )
        low, high = self.kind.low, self.kind.hashed_high or self.kind.high
        if item["low"] is not None:
            low = self._value(item["low"], position + item.start("low"))
            high = self._value(item["high"], position + item.start("high"))
            if low > high:
                raise refusal(
                    self.text, position, f"found {quoted(item[0])}, which runs backwards", f"write H({high}-{low})"
                )
        if item["step"] is None:
            return 1 << low + chosen(self.hash_key, self.kind.name, high - low + 1)
        step = self._step(item["step"], position + item.start("step"))
        return _mask(low + chosen(self.hash_key, self.kind.name, min(step, high - low + 1)), high, step)

    def _from_end(self, item: str, position: int) -> int:
        """Read `L` or `L-n`: the last day of the month, or n days before it."""
        back = re.fullmatch(r"L(?:-([0-9]{1,2}))?", item, re.IGNORECASE | re.ASCII)
        if back is None or int(back[1] or 0) > 30:
            raise refusal(
                self.text,
                position,
                f"found {quoted(item)}",
                "write L for the last day of the month, or L-1 to L-30 for days before it",
            )
        return int(back[1] or 0)

    def _nth(self, item: str, position: int, found: Field) -> None:
        """Read `n#k`: the k-th such weekday of the month."""
        weekday, _, nth = item.partition("#")
        if nth not in ("1", "2", "3", "4", "5"):
            raise refusal(
                self.text,
                position + len(weekday) + 1,
                f"found {quoted(nth)} after #",
                "write FRI#1 to FRI#5, or FRIL for the last Friday",
            )
        found.nth[int(nth) - 1] |= 1 << self._value(weekday, position) % 7

    def _last(self, item: str, position: int) -> int:
        """Read `nL`: the last such weekday of the month."""
        if len(item) == 1:
            raise refusal(
                self.text,
                position,
                "found L alone as day-of-week",
                "write 5L or FRIL for the last Friday, or L as day-of-month for the last day",
            )
        return self._value(item[:-1], position) % 7

    def _refusal(self, position: int, found: str) -> ScheduleError:
        return refusal(self.text, position, found, self.kind.cure)


def _mask(low: int, high: int, step: int) -> int:
    return sum(1 << number for number in range(low, high + 1, step))
