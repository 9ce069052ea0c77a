"""A heat map in characters: higher blocks are fuller minutes, and colour says the same again."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text

from carillon.engine.load import CROWDED, MINUTE

BLOCKS = "▁▂▃▄▅▆▇█"
EMPTY = "·"
COLOURS = ("#2c7fb8", "#2ca6b8", "#41ab5d", "#a8b820", "#e0a800", "#f08000", "#e04010", "#d00020")
WIDE = 80
_DAY = 1_440
_MINUTES = (1, 2, 5, 10, 15, 30, 60)
_HALF_HOURS = (30, 60, 120, 180, 360, 720, 1_440)


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


def day(start: datetime, minutes: Sequence[int], width: int = WIDE) -> list[Text]:
    """Draw 24 hours: a line an hour, a character a minute, or the fullest of several on a narrow screen."""
    scale = Scale(max(minutes, default=0))
    head, total = 7, 6
    step, summed = _fit(60, _MINUTES, head, total, width)
    every = next((minutes for minutes in (10, 30, 60) if minutes // step >= 4), 0)
    lines = [_title(head, [(f":{minute:02}", every // step) for minute in range(0, 60, every)] if every else [], total)]
    first = start.replace(minute=0)
    for hour in range(25):
        begin = first + timedelta(hours=hour)
        offset = int((begin - start).total_seconds()) // 60
        here = _slice(minutes, offset, 60)
        if here:
            line = Text().append(f"{begin:%H}:00  ", "dim").append_text(_cells(scale, minutes, offset, 60, step))
            lines.append(line.append(f"  {sum(here):>{total - 2},}" if summed else ""))
    note = [] if step == 1 else [Text(f"Each character is the fullest of {step} minutes.", "dim")]
    return [*(lines if summed else lines[1:]), Text(), scale.legend(), *note]


def week(start: datetime, minutes: Sequence[int], width: int = WIDE) -> list[Text]:
    """Draw days: a line each, a character the fullest minute of half an hour, or of hours on a narrow screen."""
    scale = Scale(max(minutes, default=0))
    total = 8
    head, day_format = (12, "%a %m-%d   ") if width >= 12 + 1 + total else (4, "%d  ")
    step, summed = _fit(_DAY, _HALF_HOURS, head, total, width)
    every = next((hours for hours in (3, 6, 12) if hours * 60 // step >= 3), 0)
    titles = [(f"{hour:02}", every * 60 // step) for hour in range(0, 24, every)] if every else []
    lines = [_title(head, titles, total)]
    midnight = start.replace(hour=0, minute=0)
    for number in range(8):
        begin = midnight + timedelta(days=number)
        offset = int((begin - start).total_seconds()) // 60
        here = _slice(minutes, offset, _DAY)
        if here:
            line = Text().append(begin.strftime(day_format), "dim")
            line.append_text(_cells(scale, minutes, offset, _DAY, step))
            lines.append(line.append(f"  {sum(here):>{total - 2},}" if summed else ""))
    what = {30: "half an hour", 60: "an hour"}.get(step, f"{step // 60} hours")
    note = Text(f"Each character is the fullest minute of {what}.", "dim")
    return [*(lines if summed else lines[1:]), Text(), scale.legend(), note]


def _fit(length: int, steps: Sequence[int], head: int, total: int, width: int) -> tuple[int, bool]:
    """Choose how many minutes a character stands for, and whether there is room for the sums of the lines."""
    for summed in (True, False):
        for step in steps:
            if head + length // step + total * summed <= width:
                return step, summed
    return steps[-1], False


def _title(head: int, labels: Sequence[tuple[str, int]], total: int) -> Text:
    return Text(" " * head + "".join(label.ljust(room) for label, room in labels) + "DUE".rjust(total), "dim")


def _slice(minutes: Sequence[int], offset: int, length: int) -> Sequence[int]:
    return minutes[max(0, offset) : max(0, offset + length)]


def _cells(scale: Scale, minutes: Sequence[int], offset: int, length: int, step: int) -> Text:
    line = Text()
    for place in range(offset, offset + length, step):
        here = _slice(minutes, place, step)
        line.append_text(scale.cell(max(here)) if here else Text(" "))
    return line


def draw(start: datetime, minutes: Sequence[int], days: int, width: int = WIDE) -> list[Text]:
    """Draw the coming day, or days, on so many columns."""
    assert len(minutes) * MINUTE == timedelta(days=days)
    return day(start, minutes, width) if days == 1 else week(start, minutes, width)
