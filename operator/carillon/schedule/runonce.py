"""Cron where every civil time runs once (design 3.4, `daylightSaving: RunOnce`).

The clocks of a zone turn civil time into instants. Here that is made a function that never goes back: a civil time that
was skipped is the instant at which the gap ends, a repeated one is its first instant. The due times are what this
function makes of the civil times that match, each once; so all of them follow from civil arithmetic, and from the few
gaps in between.
"""

from bisect import bisect_right
from dataclasses import dataclass

from carillon.schedule.offsets import BLOCK, Offsets
from carillon.schedule.pattern import CivilPattern
from carillon.schedule.rhythm import Rhythm, civil_rhythm
from carillon.schedule.seconds import SecondsSchedule


@dataclass(frozen=True, slots=True)
class RunOnce(SecondsSchedule):
    """A cron under RunOnce; in UTC, where no clock changes, also one under WallClock."""

    pattern: CivilPattern
    offsets: Offsets

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after."""
        block = self.offsets.blocks.get(after >> BLOCK) or self.offsets.block(after)
        index = bisect_right(block.starts, after) - 1
        offset = block.offsets[index]
        civil = after + offset
        if civil < block.reached[index]:
            civil = block.reached[index] - 1
        matching = self.pattern.next(civil)
        if matching is None:
            return None
        if matching < block.reaches[index]:
            return matching - offset
        return self._instant(matching)

    def count_seconds(self, after: int, through: int) -> int:
        """Count matches, less those that share the end of a gap."""
        total = self.pattern.count(self._civil(after), self._civil(through))
        for block, index in self.offsets.transitions(after, through):
            gap_end = block.starts[index] + block.offsets[index]
            if gap_end > block.reached[index]:
                total -= max(0, self.pattern.count(block.reached[index] - 1, gap_end) - 1)
        return total

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the newest due seconds, found backwards."""
        found: list[int] = []
        while len(found) < limit:
            matching = self.pattern.previous(self._civil(through))
            if matching is None or (due := self._instant(matching)) <= after:
                break
            found.append(due)
            through = due - 1
        return found[::-1]

    def rhythm(self, due: int) -> Rhythm | None:
        """Tell the time of one offset, without what the clocks repeat."""
        block = self.offsets.block(due)
        index = bisect_right(block.starts, due) - 1
        offset = block.offsets[index]
        # Where the stretch starts, what a gap has skipped may be due.
        since = max(block.starts[index] + 1, block.reached[index] - offset)
        return civil_rhythm(self.pattern, offset, since, block.reaches[index] - offset - 1)

    def _civil(self, instant: int) -> int:
        """Tell the last civil second whose instant is not after this one."""
        block = self.offsets.block(instant)
        index = bisect_right(block.starts, instant) - 1
        return max(instant + block.offsets[index], block.reached[index] - 1)

    def _instant(self, civil: int) -> int:
        """Tell the instant of a civil second: its first, or the end of the gap that skips it."""
        block = self.offsets.block(civil)
        index = bisect_right(block.reaches, civil)
        return max(civil - block.offsets[index], block.starts[index])
