"""How many runs are due in each minute to come, over a whole cluster, and what spreading them would do. Pure.

Definitions with the same schedule are walked once. A minute's count is of due times, one for all triggers of a
definition that name the same instant; how long their runs take is not known here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from carillon.engine.instants import count_excluded, repeats
from carillon.engine.model import Definition, Key
from carillon.engine.names import digest
from carillon.engine.native import refused
from carillon.engine.outlook import Outlook, outlooks
from carillon.engine.triggers import SECOND
from carillon.schedule import DaylightSaving, Schedule, ScheduleError, parse_cron

MINUTE = timedelta(minutes=1)
CROWDED = 10
"""As many due times in one minute are worth telling."""
TOP_MINUTES = 5
TOP_JOBS = 3
_MACROS = {
    "@yearly": "H 0 1 1 *",
    "@annually": "H 0 1 1 *",
    "@monthly": "H 0 1 * *",
    "@weekly": "H 0 * * 0",
    "@daily": "H 0 * * *",
    "@midnight": "H 0 * * *",
    "@hourly": "H * * * *",
}
_STEP = re.compile(r"\*/(\d+)")


@dataclass(frozen=True, slots=True)
class Crowd:
    """One minute in which much is due."""

    minute: datetime
    count: int
    jobs: tuple[tuple[Key, int], ...]
    """Who is due then, and how often in that minute; the busiest first, a few of them."""
    others: int
    """Definitions beside those."""
    alike: int
    """Other crowded minutes in which the very same is due; this is the first of them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What the peak would be after a change."""

    jobs: int
    """Definitions that the change is about."""
    peak: int
    minute: datetime | None


@dataclass(frozen=True, slots=True)
class Load:
    """Due times a minute, from `start` on."""

    start: datetime
    minutes: Sequence[int]
    definitions: int
    left_out: int
    """Definitions that are disabled, cannot be scheduled, or whose CronJob is refused."""
    excluded: int
    """Due times that exclusions leave out."""
    crowded: tuple[Crowd, ...]
    hashed: Spread | None
    """With `H` for the minute, where the jobs of the crowded minutes fix it."""
    jittered: Spread | None
    """With jitterSeconds on the jobs of the crowded minutes."""
    jitter_seconds: int

    @property
    def total(self) -> int:
        """All due times."""
        return sum(self.minutes)

    @property
    def peak(self) -> int:
        """The largest count of a minute."""
        return max(self.minutes, default=0)

    @property
    def peak_minute(self) -> datetime:
        """The first minute with the largest count."""
        return self.start + MINUTE * self.minutes.index(self.peak)


@dataclass(frozen=True, slots=True)
class _Member:
    """A trigger of a definition."""

    key: Key
    trigger: Outlook
    open: Schedule
    """Its due times that are not excluded; the same object for equal schedules."""
    cron: str | None
    time_zone: str | None
    saving: DaylightSaving


_Group = Sequence[tuple[_Member, Schedule]]
"""The triggers of a definition, each with its due times or with those of another schedule."""
Counts = dict[int, int]
"""By minute since the start: how many due times."""


class _Walked:
    """Due times by minute, each schedule walked once."""

    def __init__(self, start: datetime, length: int) -> None:
        self.start = start
        self.length = length
        self.end = start + MINUTE * length - SECOND
        self._one: dict[Schedule, Schedule] = {}
        self._known: dict[int, tuple[Schedule, Counts]] = {}
        self._repeated: dict[tuple[int, ...], tuple[Sequence[Schedule], Counts]] = {}

    def one(self, schedule: Schedule) -> Schedule:
        """Tell the one object that stands for all equal schedules: of 10,000 jobs, few have times of their own."""
        return self._one.setdefault(schedule, schedule)

    def counts(self, schedule: Schedule) -> Counts:
        """Count a schedule's due times by minute."""
        # By identity, which is quicker than hashing a pattern again; see `one`.
        found = self._known.get(id(schedule))
        if found is None:
            found = self._known[id(schedule)] = (schedule, self._count(schedule))
        return found[1]

    def repeated(self, schedules: Sequence[Schedule]) -> Counts:
        """Count by minute how often an instant is named once more: one run for one instant (design 3.2)."""
        if len(schedules) == 1:
            return {}
        key = tuple(map(id, schedules))
        found = self._repeated.get(key)
        if found is None:
            named = repeats(schedules, self.start - SECOND, self.end)
            found = self._repeated[key] = (schedules, Counter(self.minute(instant) for instant in named))
        return found[1]

    def due(self, schedule: Schedule) -> list[datetime]:
        """List a schedule's due times."""
        return schedule.newest(self.start - SECOND, self.end, self.length * 60)

    def minute(self, instant: datetime) -> int:
        """Number the minute of an instant."""
        return int((instant - self.start).total_seconds()) // 60

    def _count(self, schedule: Schedule) -> Counts:
        total = schedule.count(self.start - SECOND, self.end)
        if total == 0:
            return {}
        if total > self.length:
            # More often than every minute: by arithmetic, a minute at a time.
            before = [self.start - SECOND + MINUTE * number for number in range(self.length)]
            counts = {number: schedule.count(moment, moment + MINUTE) for number, moment in enumerate(before)}
            return {number: count for number, count in counts.items() if count}
        return Counter(self.minute(instant) for instant in self.due(schedule))


def measure(
    definitions: Iterable[Definition], now: datetime, *, days: int, jitter_seconds: int, crowded: int = CROWDED
) -> Load:
    """Count what is due in the coming days, a minute at a time.

    Args:
        definitions: all of them; those that nobody fires are left out, and counted.
        now: the load begins with this minute.
        days: how many.
        jitter_seconds: what to try as jitter.
        crowded: as many due times in one minute are called a crowd.
    """
    walked = _Walked(now.replace(second=0, microsecond=0), days * 1_440)
    members: list[_Member] = []
    number = left_out = excluded = 0
    for definition in definitions:
        number += 1
        if definition.suspended(now) or definition.invalid or definition.deleting or refused(definition):
            left_out += 1
            continue
        members += _members(walked, definition, now)
        excluded += count_excluded(definition.triggers, walked.start - SECOND, walked.end)
    minutes = _sum(walked, ((member, member.open) for member in members))
    crowds = sorted((n for n, count in enumerate(minutes) if count >= crowded), key=lambda n: (-minutes[n], n))
    groups = _alike(walked, members, crowds)
    top = sorted(groups, key=lambda group: (-minutes[group[0]], group[0]))[:TOP_MINUTES]
    in_crowd = _in(walked, members, set(crowds))
    return Load(
        start=walked.start,
        minutes=minutes,
        definitions=number,
        left_out=left_out,
        excluded=excluded,
        crowded=tuple(_crowd(walked, members, group, minutes[group[0]]) for group in top),
        hashed=_hashed(walked, members, in_crowd) if crowds else None,
        jittered=_jittered(walked, members, in_crowd, jitter_seconds) if crowds else None,
        jitter_seconds=jitter_seconds,
    )


def _members(walked: _Walked, definition: Definition, now: datetime) -> Iterator[_Member]:
    assert definition.spec is not None
    specs = {trigger.name: trigger for trigger in definition.spec.triggers}
    for trigger in outlooks(definition, now):
        spec = specs[trigger.name]
        saving = trigger.saving or DaylightSaving.RUN_ONCE
        yield _Member(definition.key, trigger, walked.one(trigger.open), spec.cron, spec.time_zone, saving)


def _sum(walked: _Walked, members: Iterable[tuple[_Member, Schedule]]) -> list[int]:
    """Add the members up, in order of their definitions, each with its own due times or with those given for it."""
    times: Counter[int] = Counter()
    schedules: dict[int, Schedule] = {}
    total = [0] * walked.length
    for _, same in groupby(members, key=lambda pair: pair[0].key):
        group = list(same)
        if any(member.trigger.planned.jitter_seconds for member, _ in group):
            for number in _starts(walked, group):
                total[number] += 1
            continue
        for _, schedule in group:
            schedules[id(schedule)] = schedule
            times[id(schedule)] += 1
        for number, count in walked.repeated([schedule for _, schedule in group]).items():
            total[number] -= count
    for identity, schedule in schedules.items():
        factor = times[identity]
        for number, count in walked.counts(schedule).items():
            total[number] += count * factor
    return total


def _starts(walked: _Walked, group: _Group) -> Iterator[int]:
    """Walk the minutes in which the runs of a definition start: with the trigger that comes first."""
    starts: dict[datetime, datetime] = {}
    for member, schedule in group:
        for instant in walked.due(schedule):
            start = member.trigger.start(instant) if schedule is member.open else instant
            starts[instant] = min(start, starts.get(instant, start))
    numbers = (walked.minute(start) for start in starts.values())
    return (number for number in numbers if number < walked.length)


def _in(walked: _Walked, members: Sequence[_Member], minutes: set[int]) -> set[int]:
    """Which members, by their place, are due in one of the minutes."""
    meets: dict[int, bool] = {}
    found = set()
    for place, member in enumerate(members):
        schedule = member.open
        if id(schedule) not in meets:
            meets[id(schedule)] = not minutes.isdisjoint(walked.counts(schedule))
        if meets[id(schedule)]:
            found.add(place)
    return found


def _alike(walked: _Walked, members: Sequence[_Member], crowds: Sequence[int]) -> list[list[int]]:
    """Put minutes together in which the same schedules are due; each group upwards."""
    due: dict[int, set[int]] = {minute: set() for minute in crowds}
    for identity, schedule in {id(m.open): m.open for m in members}.items():
        for minute in walked.counts(schedule):
            if minute in due:
                due[minute].add(identity)
    groups: dict[frozenset[int], list[int]] = {}
    for minute in sorted(crowds):
        groups.setdefault(frozenset(due[minute]), []).append(minute)
    return list(groups.values())


def _crowd(walked: _Walked, members: Sequence[_Member], group: Sequence[int], count: int) -> Crowd:
    minute = group[0]
    due: Counter[Key] = Counter()
    for key, same in groupby(members, key=lambda member: member.key):
        schedules = [member.open for member in same]
        if here := sum(walked.counts(schedule).get(minute, 0) for schedule in schedules):
            due[key] = here - walked.repeated(schedules).get(minute, 0)
    first = sorted(due.items(), key=lambda item: (-item[1], item[0]))[:TOP_JOBS]
    return Crowd(walked.start + MINUTE * minute, count, tuple(first), len(due) - len(first), len(group) - 1)


def with_hash(cron: str) -> str | None:
    """Write a cron with `H` for its fixed minute; None where the minute is not fixed, or names more than one."""
    if cron in _MACROS:
        return _MACROS[cron]
    words = cron.split()
    if len(words) != 5:
        return None
    if words[0].isdigit():
        return " ".join(["H", *words[1:]])
    step = _STEP.fullmatch(words[0])
    return " ".join([f"H/{step[1]}", *words[1:]]) if step is not None and int(step[1]) > 1 else None


def _hashed(walked: _Walked, members: Sequence[_Member], crowd: set[int]) -> Spread | None:
    others: dict[int, Schedule] = {}
    for place in crowd:
        member = members[place]
        cron = None if member.cron is None else with_hash(member.cron)
        if cron is not None and not member.trigger.planned.jitter_seconds:
            try:
                others[place] = walked.one(
                    parse_cron(
                        cron, time_zone=member.time_zone, daylight_saving=member.saving, hash_key=str(member.key)
                    )
                )
            except ScheduleError:
                continue
    if not others:
        return None
    total = _sum(walked, ((member, others.get(place, member.open)) for place, member in enumerate(members)))
    return _spread(walked, total, len({members[place].key for place in others}))


def _jittered(walked: _Walked, members: Sequence[_Member], crowd: set[int], jitter_seconds: int) -> Spread | None:
    places = {p for p in crowd if not members[p].trigger.planned.jitter_seconds and _sparse(walked, members[p].open)}
    if not places:
        return None
    total = _sum(walked, ((member, member.open) for place, member in enumerate(members) if place not in places))
    due_seconds: dict[int, list[int]] = {}
    for key, same in groupby(sorted(places), key=lambda place: members[place].key):
        starts: dict[int, int] = {}
        for place in same:
            member = members[place]
            schedule = member.open
            if id(schedule) not in due_seconds:
                due_seconds[id(schedule)] = [int((i - walked.start).total_seconds()) for i in walked.due(schedule)]
            # One delay for each job, as far as this picture needs; a trigger's own differs from due time to due time.
            delay = int(digest(str(key), member.trigger.name), 16) % (jitter_seconds + 1)
            for second in due_seconds[id(schedule)]:
                starts[second] = min(second + delay, starts.get(second, second + delay))
        for start in starts.values():
            if start // 60 < walked.length:
                total[start // 60] += 1
    return _spread(walked, total, len({members[place].key for place in places}))


def _sparse(walked: _Walked, schedule: Schedule) -> bool:
    """Whether jitter makes sense: due at most every ten minutes."""
    return schedule.count(walked.start - SECOND, walked.end) <= walked.length // 10


def _spread(walked: _Walked, total: Sequence[int], jobs: int) -> Spread:
    peak = max(total)
    return Spread(jobs, peak, walked.start + MINUTE * total.index(peak) if peak else None)
