"""`make bench-schedule`: how fast due times are found, against croniter and cronsim in the same run, and against goals.

- Next due time: over the corpus of the differential test against robfig/cron, at its own instants (three of four lie
  near a change of the clocks) and at any, less what one of the three does not read. All three are handed what they have
  parsed before; only the search for one due time is timed: `Schedule.next_after`, croniter's `get_next`, `next` of a
  CronSim.
- Parsing: the same expressions, from text to the object that is asked; cold is with an empty cache.
- Agenda: definitions put in by their next due time and taken out as that comes.
- Catch-up: `count` and `latest_through` over a year of a job that is due every minute.
- Exclusions: what comes once, and decisions about the worst definitions that are admitted (`exclusions`).

Each figure is CPU time, the least of several rounds, so that what else the machine does is not measured. Goals are
printed beside the figures. The exit code is 1 only when a ratio is less than half its goal: absolute times depend on
the machine, and are for people to read.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from carillon.controller.agenda import Agenda
from carillon.engine.model import Key, WorkKey
from carillon.schedule import (
    DaylightSaving,
    ScheduleError,
    closed,
    cron,
    exclude_dates,
    exclude_holidays,
    exclude_window,
    load_zone,
    outside,
    parse_cron,
)
from tests.bench.exclusions import decisions, first_uses
from tests.unit.schedule import crons

PARIS = "Europe/Paris"
FAR = 2
"""A ratio that is so many times less than its goal fails the run."""


@dataclass(frozen=True)
class Question:
    """An expression in a zone, and an instant to ask it about."""

    expression: str
    zone: str
    instant: datetime

    @property
    def local(self) -> datetime:
        """The instant as croniter and cronsim want it."""
        return self.instant.astimezone(ZoneInfo(self.zone))


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    figure: str
    goal: str = ""
    met: bool | None = None
    far: bool = False

    @classmethod
    def ratio(cls, what: str, ours: float, theirs: float, goal: float) -> "Row":
        """How many times faster."""
        found = theirs / ours
        return cls(what, f"{found:8.1f} x", f"{goal:g} x", found >= goal, far=found * FAR < goal)

    @classmethod
    def within(cls, what: str, seconds: float, goal: float) -> "Row":
        """Milliseconds, and how many there may be."""
        return cls(what, f"{seconds * 1e3:8.2f} ms", f"{goal * 1e3:g} ms", seconds <= goal)

    @classmethod
    def milliseconds(cls, what: str, seconds: float) -> "Row":
        """Milliseconds, without a goal."""
        return cls(what, f"{seconds * 1e3:8.2f} ms")

    @classmethod
    def each(cls, what: str, seconds: float) -> "Row":
        """Microseconds, without a goal."""
        return cls(what, f"{seconds * 1e6:8.2f} us")


def least(rounds: int, prepare: Callable[[], Any], action: Callable[[Any], object]) -> float:
    """CPU seconds of the quickest round; what `prepare` makes is not timed."""
    quickest = float("inf")
    for _ in range(rounds):
        prepared = prepare()
        gc.collect()
        gc.disable()
        begin = time.process_time()
        action(prepared)
        quickest = min(quickest, time.process_time() - begin)
        gc.enable()
    return quickest


def questions(number: int, *, near_changes: bool) -> list[Question]:
    """Draw the corpus, without what one of the three does not read or has no answer to."""
    found = []
    rng = random.Random(number)
    for query in crons.corpus(seed=1, queries=number):
        if query.zone in crons.SKIPPING or len(query.expression.split()) == 6:
            # Before a day that never was croniter does not come back; six fields are read in another order.
            continue
        for instant in query.instants if near_changes else (rng.randrange(2_000_000_000) for _ in range(2)):
            question = Question(query.expression, query.zone, datetime.fromtimestamp(instant, UTC))
            try:
                asked = (
                    next(CronSim(query.expression, question.local)),
                    croniter(query.expression, question.local).get_next(datetime),
                    parse_cron(query.expression, time_zone=query.zone).next_after(question.instant),
                )
            except (ValueError, StopIteration, ScheduleError):  # the errors of croniter and cronsim are ValueErrors
                continue
            except Exception as error:
                if type(error).__module__.startswith(("cronsim", "croniter")):
                    continue
                raise
            if None not in asked:
                found.append(question)
    return found


def next_due_time(asked: list[Question], rounds: int) -> Iterator[Row]:
    """Compare the search for one due time."""
    sims = least(
        rounds, lambda: [CronSim(q.expression, q.local) for q in asked], lambda them: [next(it) for it in them]
    )
    iters = least(
        rounds,
        lambda: [croniter(q.expression, q.local) for q in asked],
        lambda them: [it.get_next(datetime) for it in them],
    )
    yield Row.each(f"croniter, each of {len(asked)}", iters / len(asked))
    yield Row.each("cronsim", sims / len(asked))
    for rule in DaylightSaving:
        parsed = [(parse_cron(q.expression, time_zone=q.zone, daylight_saving=rule), q.instant) for q in asked]
        ours = least(rounds, lambda parsed=parsed: parsed, lambda them: [it.next_after(at) for it, at in them])  # type: ignore[misc]
        yield Row.each(str(rule), ours / len(asked))
        yield Row.ratio(f"{rule}, faster than croniter", ours, iters, 10)
        yield Row.ratio(f"{rule}, faster than cronsim", ours, sims, 4)


def parsing(asked: list[Question], rounds: int) -> Iterator[Row]:
    """Compare the way from text to an object."""
    texts = list(dict.fromkeys((q.expression, q.zone) for q in asked))
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def ours(_: object) -> None:
        for text, zone in texts:
            parse_cron(text, time_zone=zone)

    cold = least(rounds, cron._parse.cache_clear, ours)
    cached = least(rounds, lambda: ours(None), ours)
    iters = least(rounds, lambda: None, lambda _: [croniter(text, start) for text, _zone in texts])
    sims = least(rounds, lambda: None, lambda _: [CronSim(text, start) for text, _zone in texts])
    yield Row.each(f"croniter, each of {len(texts)}", iters / len(texts))
    yield Row.each("cronsim", sims / len(texts))
    yield Row.each("cold", cold / len(texts))
    yield Row.each("cached", cached / len(texts))


def agenda(definitions: int, rounds: int) -> Iterator[Row]:
    """Put definitions in, and take them out in the order of their due times."""
    rng = random.Random(1)
    start = datetime(2026, 3, 28, tzinfo=UTC)
    keys = [Key("bench", f"job-{number}") for number in range(definitions)]
    texts = [f"{rng.randrange(60)} {rng.randrange(24)} * * {rng.choice(['*', 'MON-FRI', 'SUN'])}" for _ in keys]
    schedules = [parse_cron(text, time_zone=PARIS) for text in texts]
    asking = least(rounds, lambda: None, lambda _: [schedule.next_after(start) for schedule in schedules])
    due = [schedule.next_after(start) for schedule in schedules]

    def in_and_out(book: Agenda) -> None:
        for key, when in zip(keys, due, strict=True):
            book.set(key, when)
        taken: list[WorkKey] = []
        while (when := book.next()) is not None:
            taken += book.due(when)
        assert len(taken) == definitions

    both = least(rounds, Agenda, in_and_out)
    yield Row(f"next due times of {definitions:,} definitions", f"{asking * 1e3:8.2f} ms")
    yield Row.within("put in and taken out in order", both, 2)
    yield Row.within("all of it", both + asking, 2)


def catch_up(rounds: int) -> Iterator[Row]:
    """Count a year, and find its last due time."""
    start = datetime(2026, 7, 1, tzinfo=UTC)
    end = start + timedelta(days=365)
    zone = load_zone(PARIS)
    shut = closed(
        [
            exclude_holidays("FR", None, zone),
            exclude_dates(["2026-12-24"], zone),
            exclude_window("0 8 * * MON-FRI", 36_000, PARIS, ""),
        ]
    )
    for rule in DaylightSaving:
        # All hours, but no star in their field: under a star RunOnce is WallClock.
        schedule = parse_cron("* 0-23 * * *", time_zone=PARIS, daylight_saving=rule)
        for what, asked in ((str(rule), schedule), (f"{rule} with exclusions", outside(schedule, shut))):
            asked.count(start, end)
            seconds = least(
                rounds,
                lambda asked=asked: asked,  # type: ignore[misc]
                lambda it: (it.count(start, end), it.latest_through(end, after=start)),
            )
            yield Row.within(what, seconds, 0.005)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--queries", type=int, default=3_000)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--definitions", type=int, default=100_000)
    chosen = arguments.parse_args()
    # What comes once comes before all else.
    first = [Row.milliseconds(*measured) for measured in first_uses()]
    near, anywhere = (questions(chosen.queries, near_changes=near) for near in (True, False))
    failed = False
    for title, rows in (
        ("Exclusions, the first time", iter(first)),
        ("Decisions about the worst that is admitted", (Row.milliseconds(*measured) for measured in decisions())),
        ("Next due time, three of four near a change of the clocks", next_due_time(near, chosen.rounds)),
        ("Next due time, at any instant from 1970 to 2033", next_due_time(anywhere, chosen.rounds)),
        ("Parsing", parsing(near, chosen.rounds)),
        ("Agenda", agenda(chosen.definitions, min(3, chosen.rounds))),
        ("Catch-up over a year of every minute", catch_up(chosen.rounds)),
    ):
        print(f"\n{title}")
        for row in rows:
            goal = f"goal {row.goal:>8}  {'met' if row.met else 'MISSED'}" if row.goal else ""
            print(f"  {row.what:<44}{row.figure:>14}  {goal}".rstrip(), flush=True)
            failed = failed or row.far
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
