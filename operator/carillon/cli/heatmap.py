"""A heat map in characters: higher blocks are fuller minutes, and colour says the same again."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text

from carillon.engine.load import CROWDED, MINUTE

BLOCKS = "▁▂▃▄▅▆▇█"
EMPTY = "·"
COLOURS = ("#2c7fb8", "#2ca6b8", "#41ab5d", "#a8b820", "#e0a800", "#f08000", "#e04010", "#d00020")
HALF_HOUR = 30


class Scale:
    """Which block stands for which count: each about as many times the one below, the last one is the peak."""

    def __init__(self, peak: int) -> None:
        # A quiet cluster's peak is not drawn as if it were a crowd.
        top, steps = max(peak, CROWDED), len(BLOCKS)
        self.peak = peak
        self.bounds = sorted({max(1, round(top ** (step / steps))) for step in range(1, steps + 1)})
        """The largest count of each block."""

    def level(self, count: int) -> int:
        """Number the block of a count, from 0; -1 for nothing."""
        if count <= 0:
            return -1
        return next((n for n, bound in enumerate(self.bounds) if count <= bound), len(self.bounds) - 1)

    def cell(self, count: int) -> Text:
        """Draw a count."""
        level = self.level(count)
        return Text(EMPTY, "dim") if level < 0 else self._block(level)

    def legend(self) -> Text:
        """Say what the blocks stand for."""
        text = Text("due a minute: ").append(EMPTY, "dim").append("0")
        low = 1
        for level, bound in enumerate(self.bounds):
            text.append("  ").append_text(self._block(level)).append(f"{low}" if low == bound else f"{low}-{bound}")
            low = bound + 1
            if bound >= self.peak:
                break
        return text

    def _block(self, level: int) -> Text:
        # With fewer steps than blocks, the highest is still a full one.
        place = len(BLOCKS) - len(self.bounds) + level if level else 0
        return Text(BLOCKS[place], COLOURS[place])


def day(start: datetime, minutes: Sequence[int]) -> list[Text]:
    """Draw 24 hours: a line an hour, a character a minute."""
    scale = Scale(max(minutes, default=0))
    lines = [Text("       " + "".join(f":{minute:02}".ljust(10) for minute in range(0, 60, 10)) + "   DUE", "dim")]
    first = start.replace(minute=0)
    for hour in range(25):
        begin = first + timedelta(hours=hour)
        offset = int((begin - start).total_seconds()) // 60
        here = [minutes[n] if 0 <= n < len(minutes) else None for n in range(offset, offset + 60)]
        if all(count is None for count in here):
            continue
        line = Text().append(f"{begin:%H}:00  ", "dim")
        for count in here:
            line.append_text(Text(" ") if count is None else scale.cell(count))
        lines.append(line.append(f"  {sum(c for c in here if c is not None):>4,}"))
    return [*lines, Text(), scale.legend()]


def week(start: datetime, minutes: Sequence[int]) -> list[Text]:
    """Draw days: a line each, a character the fullest minute of half an hour."""
    scale = Scale(max(minutes, default=0))
    hours = "".join(f"{hour:02}".ljust(6) for hour in range(0, 24, 3))
    lines = [Text(f"            {hours}     DUE", "dim")]
    midnight = start.replace(hour=0, minute=0)
    for number in range(8):
        begin = midnight + timedelta(days=number)
        offset = int((begin - start).total_seconds()) // 60
        day_minutes = [minutes[n] if 0 <= n < len(minutes) else None for n in range(offset, offset + 1_440)]
        if all(count is None for count in day_minutes):
            continue
        line = Text().append(f"{begin:%a %m-%d}   ", "dim")
        for place in range(0, 1_440, HALF_HOUR):
            here = [count for count in day_minutes[place : place + HALF_HOUR] if count is not None]
            line.append_text(scale.cell(max(here)) if here else Text(" "))
        lines.append(line.append(f"  {sum(count for count in day_minutes if count is not None):>6,}"))
    return [*lines, Text(), scale.legend(), Text("Each character is the fullest minute of half an hour.", "dim")]


def draw(start: datetime, minutes: Sequence[int], days: int) -> list[Text]:
    """Draw the coming day, or days."""
    assert len(minutes) * MINUTE == timedelta(days=days)
    return day(start, minutes) if days == 1 else week(start, minutes)
