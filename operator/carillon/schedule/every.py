"""`@every 1h30m`: a constant delay, in robfig/cron (constantdelay.go) and in the native controller.

It has no due times of its own. The native controller counts from the last due time, or from the creation; so does
this: due times are counted from `after`, which the engine sets to its watermark. Where one fixed set is needed,
`anchored` makes it. Clocks on walls do not matter to it.

The duration is written as Go's time.ParseDuration reads it. A fraction of a second is dropped, and less than a second
becomes one, as robfig does; nothing and less are refused, which robfig would run every second.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from carillon.schedule.errors import ScheduleError, quoted, refusal
from carillon.schedule.rhythm import Rhythm, constant_rhythm
from carillon.schedule.seconds import LAST_SECOND, SecondsSchedule, to_seconds

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_LONGEST = (1 << 63) - 1
_CURE = "write a duration such as @every 90s, @every 30m or @every 1h30m"


@dataclass(frozen=True, slots=True)
class Every(SecondsSchedule):
    """A constant delay, counted from where one asks."""

    delay: int
    """Seconds."""

    def anchored(self, since: datetime) -> SecondsSchedule:
        """Count from `since`, whatever is asked afterwards."""
        return EverySince(self.delay, to_seconds(since))

    def resumed(self, after: int, through: int) -> int:
        """Tell the last multiple of the delay."""
        return through - (through - after) % self.delay

    def next_second(self, after: int) -> int | None:
        """Tell the second one delay later."""
        return after + self.delay

    def count_seconds(self, after: int, through: int) -> int:
        """Count the delays in between."""
        return (through - after) // self.delay

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the last multiples of the delay."""
        steps = (through - after) // self.delay
        return [after + self.delay * step for step in range(max(0, steps - limit) + 1, steps + 1)]


@dataclass(frozen=True, slots=True)
class EverySince(SecondsSchedule):
    """A constant delay, counted from a fixed second; that second itself is not due."""

    delay: int
    since: int

    def next_second(self, after: int) -> int | None:
        """Tell the first multiple > after."""
        return self.since + self.delay * (max(0, (after - self.since) // self.delay) + 1)

    def count_seconds(self, after: int, through: int) -> int:
        """Count the multiples in between."""
        return max(0, (through - self.since) // self.delay) - max(0, (after - self.since) // self.delay)

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the last multiples."""
        last = max(0, (through - self.since) // self.delay)
        first = max(last - limit, max(0, (after - self.since) // self.delay))
        return [self.since + self.delay * step for step in range(first + 1, last + 1)]

    def rhythm(self, due: int) -> Rhythm | None:
        """Tell the same phase from the beginning on."""
        return constant_rhythm(self.since, self.delay, self.since + 1, LAST_SECOND)


def parse_every(text: str, position: int) -> Every:
    """Read the duration that begins at a position of a cron.

    Raises:
        ScheduleError: it is none, or not longer than nothing.
    """
    nanoseconds = _duration(text, position)
    if nanoseconds <= 0:
        raise refusal(text, position, f"found {quoted(text[position:])}, no time at all", _CURE)
    return Every(max(1, nanoseconds // 1_000_000_000))


def _duration(text: str, position: int) -> int:
    """Read a Go duration in nanoseconds, with Go's rounding of fractions."""
    sign, start = 1, position
    if text[position : position + 1] in ("+", "-"):
        sign = -1 if text[position] == "-" else 1
        position += 1
    if text[position:] == "0":
        return 0
    if position == len(text):
        raise refusal(text, start, "found no duration", _CURE)
    total = 0
    while position < len(text):
        term = _TERM.match(text, position)
        assert term is not None
        whole, fraction, unit = term.groups()
        if not whole and not fraction:
            raise refusal(text, position, f"found {quoted(text[position:])} where a number is due", _CURE)
        if unit not in _NANOSECONDS:
            found = f"found the unit {quoted(unit)}" if unit else "found a number without a unit"
            raise refusal(text, term.start(3), found, f"the units are h, m, s, ms, us and ns: {_CURE}")
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            digits = fraction[:18]
            total += int(float(int(digits)) * (scale / float(10 ** len(digits))))
        if total > _LONGEST:
            raise ScheduleError(f"found {quoted(text)}, longer than 292 years; {_CURE}", text, start)
        position = term.end()
    return sign * total
