"""A zone's offsets from UTC as tables of integers, worked out from `zoneinfo` a few years at a time.

A stretch is a time of one offset; a transition is where the next begins. Only `zoneinfo`'s public interface is asked:
samples every few days, and a bisection to the second wherever two differ. In all of the tz database no offset comes and
goes within three days (the shortest is Freetown in September 1939, four days), nor since 1970 within six (Boa Vista in
October 2000, seven days), and a test holds that.

It also says near which transitions civil arithmetic must not be trusted to do as Go does:
- an odd day is a civil day in which, or at whose midnight, the clocks change;
- a calm time is one between odd days.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from carillon.schedule.seconds import DAY, EPOCH_ORDINAL, FIRST_DAY, LAST_DAY

BLOCK = 27
"""A block is 2**27 seconds, a little over four years."""
_OVERLAP = 40 * DAY
"""A block also knows what is around it: more than a month, and more than any offset."""
_STEP = 6 * DAY
_EARLY_STEP = 3 * DAY
"""In blocks before 1970."""
_FIRST = (FIRST_DAY + 3) * DAY
_LAST = (LAST_DAY - 3) * DAY
NEVER = 1 << 62
STILL = frozenset({"UTC", "Etc/UTC"})
"""Zones whose clocks never change, known by name."""


@dataclass(frozen=True, slots=True)
class Block:
    """Parallel tuples, one entry for each stretch."""

    starts: tuple[int, ...]
    offsets: tuple[int, ...]
    reached: tuple[int, ...]
    """The civil second up to which (exclusive) the clocks had counted when the stretch began; civil times below it are
    repeated, those from it to the stretch's own beginning were skipped."""
    reaches: tuple[int, ...]
    """The same at the end of the stretch; ascending."""
    calm_from: tuple[int, ...]
    calm_until: tuple[int, ...]
    """Between these two instants there are whole civil days without a transition."""
    sure_by_day: tuple[int, ...]
    """Like calm_from, but NEVER where the offset has odd seconds (before 1972)."""
    sure_by_month: tuple[int, ...]
    """Like sure_by_day, and the month's own first midnight is not in an odd day."""
    touching: tuple[bool, ...]
    """Whether the transition at the stretch's start skips, repeats or ends on a midnight."""


class Offsets:
    """The offsets of one zone; shared, and filled as they are asked for."""

    __slots__ = ("blocks", "zone")

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.blocks: dict[int, Block] = {}

    def block(self, instant: int) -> Block:
        """Tell the block in which an instant lies."""
        number = instant >> BLOCK
        found = self.blocks.get(number)
        if found is None:
            found = self.blocks[number] = _tabulate(self._stretches(number))
        return found

    def at(self, instant: int) -> int:
        """Tell the offset in force at an instant, in seconds east of UTC."""
        block = self.block(instant)
        return block.offsets[bisect_right(block.starts, instant) - 1]

    def transitions(self, after: int, through: int) -> Iterator[tuple[Block, int]]:
        """Walk the transitions in (after, through]: the block, and the index of the stretch that begins there."""
        if self.zone.key in STILL:
            return
        for number in range(after >> BLOCK, (through >> BLOCK) + 1):
            low, high = max(after, (number << BLOCK) - 1), min(through, ((number + 1) << BLOCK) - 1)
            block = self.block(number << BLOCK)
            for index in range(max(1, bisect_right(block.starts, low)), bisect_right(block.starts, high)):
                yield block, index

    def _stretches(self, number: int) -> list[tuple[int, int]]:
        begin, end = (number << BLOCK) - _OVERLAP, ((number + 1) << BLOCK) + _OVERLAP
        if self.zone.key in STILL:
            return [(begin, 0), (end, 0)]
        step = _STEP if begin >= 0 else _EARLY_STEP
        end += (begin - end) % step
        samples = self._ask(range(begin, end + 1, step))
        found = [(begin, samples[0])]
        for number, (before, after) in enumerate(pairwise(samples)):
            if before != after:
                self._refine(begin + number * step, begin + (number + 1) * step, found)
        return [*((start, _seconds(offset)) for start, offset in found), (end, _seconds(found[-1][1]))]

    def _refine(self, low: int, high: int, found: list[tuple[int, timedelta]]) -> None:
        """Find the transitions in (low, high]; `found` ends with the offset at low."""
        while self._ask((high,))[0] != (offset := found[-1][1]):
            beyond = high
            while beyond - low > 1:
                middle = (low + beyond) // 2
                if self._ask((middle,))[0] == offset:
                    low = middle
                else:
                    beyond = middle
            found.append((beyond, self._ask((beyond,))[0]))
            low = beyond

    def _ask(self, instants: Sequence[int]) -> list[timedelta]:
        """Ask zoneinfo; near the ends of what datetime can hold, ask a few days away."""
        if instants[0] < _FIRST or instants[-1] > _LAST:
            instants = [min(max(instant, _FIRST), _LAST) for instant in instants]
        offsets = [datetime.fromtimestamp(instant, self.zone).utcoffset() for instant in instants]
        return [offset for offset in offsets if offset is not None]


def _seconds(offset: timedelta) -> int:
    return offset.days * DAY + offset.seconds


@lru_cache(maxsize=1024)
def offsets_of(zone: ZoneInfo) -> Offsets:
    """Tell the offsets of a zone; the same object for the same zone."""
    return Offsets(zone)


def _tabulate(stretches: list[tuple[int, int]]) -> Block:
    """Tabulate stretches (start, offset); the last entry is the end of what is known."""
    known_from, known_until = stretches[0][0], stretches[-1][0]
    reached, reaches, touching = [-NEVER], [], [False]
    calm_from, calm_until = [known_from + 2 * DAY], []
    sure_by_month = [known_from + 2 * DAY]
    for (_, before), (start, offset) in pairwise(stretches[:-1]):
        reaches.append(max(reached[-1], start + before))
        reached.append(reaches[-1])
        low, high = sorted((start + before, start + offset))
        first, last = low // DAY, high // DAY
        touching.append(low % DAY == 0 or first != last)
        calm_until.append(first * DAY - before)
        calm_from.append((last + 1) * DAY - offset)
        month = _month_after(last) if _first_of_month(first, last) else last + 1
        sure_by_month.append(month * DAY - offset)
    reaches.append(max(reached[-1], known_until + stretches[-1][1]))
    calm_until.append(known_until - 2 * DAY)
    offsets = [offset for _, offset in stretches[:-1]]
    return Block(
        starts=tuple(start for start, _ in stretches[:-1]),
        offsets=tuple(offsets),
        reached=tuple(reached),
        reaches=tuple(reaches),
        calm_from=tuple(calm_from),
        calm_until=tuple(calm_until),
        sure_by_day=tuple(NEVER if o % 60 else calm for o, calm in zip(offsets, calm_from, strict=True)),
        sure_by_month=tuple(NEVER if o % 60 else sure for o, sure in zip(offsets, sure_by_month, strict=True)),
        touching=tuple(touching),
    )


def _date(day: int) -> date:
    return date.fromordinal(min(max(day, FIRST_DAY), LAST_DAY) + EPOCH_ORDINAL)


def _first_of_month(first: int, last: int) -> bool:
    return any(_date(day).day == 1 for day in range(first, last + 1))


def _month_after(day: int) -> int:
    """Tell the first day of the month after a day's."""
    while True:
        day += 1
        if _date(day).day == 1 or day > LAST_DAY:
            return day
