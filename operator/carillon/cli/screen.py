"""Where answers go: stdout, in colours on a terminal and plain in a pipe; progress and remarks go to stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from carillon.cli.options import ObjectOutput, Output

_UNBOUNDED = 10_000
"""Columns of a pipe: what reads it wants whole lines."""
_GAP = "  "
PROGRESS_FROM = 20
"""Things to do; fewer are done in a moment."""


def harmless(text: str) -> str:
    """Keep what tenants and containers have written from speaking to the terminal; lines stay lines."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


class _Screen(Console):
    """A console on which nothing that is printed can move the cursor, set a title or reach the clipboard."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*(_harmless(each) for each in objects), **how)


def _harmless(printed: Any) -> Any:
    if isinstance(printed, str):
        return harmless(printed)
    if isinstance(printed, Text):
        clean = printed.copy()
        clean.plain = harmless(printed.plain)  # as long as before, so that its styles stay where they are
        return clean
    return printed


def screen(*, err: bool = False) -> Console:
    """Open stdout or stderr. The width is the terminal's, or $COLUMNS; a pipe has no end."""
    stream = sys.stderr if err else sys.stdout
    bounded = stream.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return _Screen(
        file=stream, width=None if bounded else _UNBOUNDED, highlight=False, markup=False, emoji=False, soft_wrap=False
    )


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal's stderr that something takes its time."""
    console = screen(err=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal's stderr how far it is; hands out what to tell how many more are done."""
    console = screen(err=True)
    if total < PROGRESS_FROM or not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)


def print_data(value: object, output: Output | ObjectOutput) -> None:
    """Print JSON or YAML on stdout, and nothing else."""
    if output.value == Output.YAML.value:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1_000))
    else:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def say(console: Console, text: str | Text, style: str = "", *, indent: int = 0) -> None:
    """Print a sentence, wrapped at the width of the screen; what follows the first line is indented."""
    words = Text(text, style) if isinstance(text, str) else text
    if console.width < 20 + indent:
        indent = 0
    for number, line in enumerate(words.wrap(console, max(1, console.width - indent))):
        line.rstrip()
        console.print(Text(" " * indent if number else "").append_text(line), no_wrap=True)


def fact(title: str, text: str, style: str = "") -> None:
    """Print a fact on stdout; what does not fit goes on below the words, not below the title."""
    console, indent = screen(), 16
    lines = Text(text).wrap(console, max(20, console.width - indent))
    for number, line in enumerate(lines):
        head = Text(f"  {title if not number else '':<{indent - 2}}", "dim")
        console.print(head.append(line.plain.rstrip(), style or "not dim"), no_wrap=True)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    style: str = ""
    flexible: int = 0
    """Where the screen is narrow, columns are cut: the highest first, 0 never."""
    room: int = 0
    """How wide it has to be for rows to come, of a table that goes on."""
    styles: Mapping[str, str] = field(default_factory=dict)
    """Styles of cells that say these very words."""
    comfort: int = 0
    """Columns are left out before this one is cut to less; 0: before it is cut at all."""
    dispensable: int = 0
    """Where the screen is too narrow, columns are left out: the highest first, 0 never."""

    def style_of(self, cell: str) -> str:
        """Tell the style of a cell."""
        return self.styles.get(cell, self.style)


@dataclass(frozen=True, slots=True)
class Remark:
    """A line across all columns, below the row that it is about."""

    text: str
    style: str = "dim"


@dataclass(slots=True)
class Table:
    """Rows and remarks, as kubectl aligns them: capitals above, two spaces between, no lines."""

    columns: Sequence[Column]
    keep: Sequence[str] = ()
    """Titles of columns that are shown though nothing stands in them."""
    lines: list[tuple[str, ...] | Remark] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.lines.append(cells)

    def remark(self, text: str, style: str = "dim") -> None:
        """Add a line across all columns."""
        self.lines.append(Remark(text, style))

    def layout(self, console: Console, *, room: bool = False) -> "Layout":
        """Choose columns and widths for what the screen is wide; with `room`, for rows to come as well."""
        rows = [line for line in self.lines if isinstance(line, tuple)]
        widths = [
            max([cell_len(column.title), column.room if room else 0, *(cell_len(row[place]) for row in rows)])
            for place, column in enumerate(self.columns)
        ]
        # A column in which nothing stands is not shown.
        shown = [
            place
            for place, column in enumerate(self.columns)
            if column.title in self.keep or (room and column.room) or any(row[place] for row in rows)
        ]
        snug = [min(w, column.comfort or w) for w, column in zip(widths, self.columns, strict=True)]
        while _total(snug, shown) > console.width:
            spare = max(shown, key=lambda place: self.columns[place].dispensable, default=0)
            if not shown or not self.columns[spare].dispensable:
                break
            shown.remove(spare)
        flexible = [place for place in shown if self.columns[place].flexible]
        shortest = [max(cell_len(column.title), 8) for column in self.columns]
        for least in ([max(pair) for pair in zip(snug, shortest, strict=True)], shortest):
            for place in sorted(flexible, key=lambda place: -self.columns[place].flexible):
                over = _total(widths, shown) - console.width
                if over > 0:
                    widths[place] = max(least[place], widths[place] - over)
        return Layout(tuple(shown), tuple(widths))

    def draw(self, console: Console, going_on: "Layout | None" = None) -> None:
        """Print it, as wide as the screen lets it be; or the rows alone, as a table goes on that was begun."""
        layout = going_on or self.layout(console)
        shown, widths = layout.shown, layout.widths
        if going_on is None:
            self.draw_titles(console, layout)
        for line in self.lines:
            if isinstance(line, Remark):
                say(console, line.text, line.style, indent=4)
                continue
            cells = [
                Text(_cut(line[place], widths[place]), self.columns[place].style_of(line[place])) for place in shown
            ]
            console.print(_line(cells, widths, shown), no_wrap=True, overflow="ignore", crop=False)

    def draw_titles(self, console: Console, layout: "Layout") -> None:
        """Print the titles of the columns."""
        titles = _line([Text(self.columns[place].title, "bold") for place in layout.shown], layout.widths, layout.shown)
        console.print(titles, no_wrap=True, overflow="ignore", crop=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a table are shown, and how wide."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[place] for place in shown) + len(_GAP) * max(0, len(shown) - 1)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _line(cells: Sequence[Text], widths: Sequence[int], shown: Sequence[int]) -> Text:
    line = Text()
    for number, (cell, place) in enumerate(zip(cells, shown, strict=True)):
        line.append_text(cell)
        if number + 1 < len(shown):
            line.append(" " * (widths[place] - cell.cell_len) + _GAP)
    line.rstrip()
    return line
