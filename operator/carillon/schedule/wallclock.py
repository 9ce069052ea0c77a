"""Cron as the native CronJob controller has it (design 3.4, `daylightSaving: WallClock`), to the second.

In calm times, far from any change of the clocks, that is civil arithmetic. Near one it is whatever robfig/cron's walk
makes of it (`walk`). Because the walk can go astray, its due times are not one set of instants: they are a chain, each
found from the one before, as the native controller finds them. Counting follows that chain from `after`, a calm time in
one stride.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from carillon.schedule.days import ALL_MONTHS
from carillon.schedule.offsets import BLOCK, Offsets
from carillon.schedule.pattern import ALL_HOURS, CivilPattern
from carillon.schedule.rhythm import Rhythm, civil_rhythm
from carillon.schedule.seconds import DAY, LAST_SECOND, SecondsSchedule
from carillon.schedule.walk import HOUR, go_date, walk


@dataclass(frozen=True, slots=True)
class WallClock(SecondsSchedule):
    """A cron under WallClock."""

    pattern: CivilPattern
    offsets: Offsets

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after."""
        block = self.offsets.blocks.get(after >> BLOCK) or self.offsets.block(after)
        index = bisect_right(block.starts, after) - 1
        offset = block.offsets[index]
        every_month = self.pattern.days.months == ALL_MONTHS
        if (
            after < (block.sure_by_day if every_month else block.sure_by_month)[index]
            or after >= block.calm_until[index]
        ):
            return walk(self.pattern, self.offsets, after + 1)
        matching = self.pattern.next(after + offset)
        if matching is None:
            return None
        due = matching - offset
        return due if due < block.calm_until[index] else self._across(after, matching)

    def _across(self, after: int, matching: int) -> int | None:
        """Tell the due second that a walk from a calm time finds, when it passes transitions on its way."""
        if any(block.touching[index] for block, index in self.offsets.transitions(after, matching + DAY)):
            return walk(self.pattern, self.offsets, after + 1)
        # The clocks never changed at a midnight, so the walk comes to the beginning of the matching day undisturbed.
        midnight = go_date(self.offsets, matching - matching % DAY)
        block = self.offsets.block(midnight)
        index = bisect_right(block.starts, midnight) - 1
        if block.sure_by_day[index] <= midnight < block.calm_until[index]:
            return matching - block.offsets[index]
        return walk(self.pattern, self.offsets, midnight, mid_walk=True)

    def count_seconds(self, after: int, through: int) -> int:
        """Count along the chain."""
        offset = self._calm(after, through)
        if offset is not None:
            return self.pattern.count(after + offset, through + offset)
        return sum(count for count, _, _, _ in self.strides(after, through))

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the newest due seconds of the chain, stride by stride from the last."""
        found: list[int] = []
        for count, first, last, offset in reversed(list(self.strides(after, through))):
            civil = last + offset
            for _ in range(min(count - 1, limit - len(found))):
                matching = self.pattern.previous(civil)
                assert matching is not None
                found.append(matching - offset)
                civil = matching - 1
            if len(found) < limit:
                found.append(first)
        return found[::-1]

    def resumed(self, after: int, through: int) -> int:
        """Tell the newest due second of the chain; in one calm time it is found backwards."""
        offset = self._calm(after, through)
        if offset is not None:
            matching = self.pattern.previous(through + offset)
            return after if matching is None else max(after, matching - offset)
        newest = self.newest_seconds(after, through, 1) if after < through else []
        return newest[0] if newest else after

    def _calm(self, after: int, through: int) -> int | None:
        """Tell the offset, if the chain from `after` is nothing but civil arithmetic as far as `through`."""
        block = self.offsets.blocks.get(after >> BLOCK) or self.offsets.block(after)
        index = bisect_right(block.starts, after) - 1
        offset = block.offsets[index]
        calm = block.sure_by_day[index] <= after >= block.sure_by_month[index] and through < block.calm_until[index]
        return offset if calm else None

    def rhythm(self, due: int) -> Rhythm | None:
        """Tell the calm time in which a due second lies: from there on the chain is civil arithmetic."""
        block = self.offsets.block(due)
        index = bisect_right(block.starts, due) - 1
        since = max(block.sure_by_day[index], block.sure_by_month[index])
        return civil_rhythm(self.pattern, block.offsets[index], since, block.calm_until[index] - 1)

    def strides(self, after: int, through: int) -> Iterator[tuple[int, int, int, int]]:
        """Follow the chain through (after, through] in strides within which it is civil arithmetic.

        Each is (how many due seconds, the first, an instant between the last and the next stride, the offset).
        """
        while (first := self.next_second(after)) is not None and first <= min(through, LAST_SECOND):
            block = self.offsets.block(first)
            index = bisect_right(block.starts, first) - 1
            offset = block.offsets[index]
            civil = first + offset
            if not self.pattern.days.matches(civil // DAY):
                end = first
            elif block.calm_from[index] <= first < block.calm_until[index]:
                end = block.calm_until[index] - 1
            else:
                # From a due time on, the walk leaves an hour only when the hour is over or the clocks change,
                # and where all hours match, only when the day is over.
                unit = DAY if self.pattern.hours == ALL_HOURS else HOUR
                end = civil - civil % unit + unit - 1 - offset
                if index + 1 < len(block.starts):
                    end = min(end, block.starts[index + 1] - 1)
            end = min(end, through)
            yield 1 + self.pattern.count(civil, end + offset), first, end, offset
            last = self.pattern.previous(end + offset)
            after = first if last is None else max(first, last - offset)
