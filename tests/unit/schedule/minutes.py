"""An oracle for RunOnce that knows only the rule, and looks at every minute.

The rule (design 3.4): due times in a gap collapse to one run at its end, the first instant after it; a repeated civil
time runs the first time only.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Rule:
    """A cron as sets of numbers, drawn first and written afterwards: the oracle parses nothing."""

    minutes: frozenset[int]
    hours: frozenset[int] | None
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    @classmethod
    def draw(cls, rng: random.Random) -> "Rule":
        def some(numbers: range, most: int) -> frozenset[int]:
            return frozenset(rng.sample(numbers, rng.randint(1, most)))

        return cls(
            minutes=some(range(60), 6),
            hours=some(rng.choice([range(24), range(4), range(24)]), 4),
            days=some(range(1, 32), 12) if rng.random() < 0.3 else None,
            months=some(range(1, 13), 11) if rng.random() < 0.2 else None,
            weekdays=some(range(7), 5) if rng.random() < 0.3 else None,
        )

    def __str__(self) -> str:
        fields = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join("*" if field is None else ",".join(map(str, sorted(field))) for field in fields)

    def names(self, civil: datetime) -> bool:
        """Whether a civil minute matches."""
        if civil.minute not in self.minutes or (self.hours is not None and civil.hour not in self.hours):
            return False
        if self.months is not None and civil.month not in self.months:
            return False
        by_day = self.days is not None and civil.day in self.days
        by_weekday = self.weekdays is not None and civil.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday or (self.days is None and self.weekdays is None)


def oracle(rule: Rule, zone: str, after: datetime, through: datetime) -> list[datetime]:
    """List the due times in (after, through], minute by minute; where every hour matches, a gap loses what it skips."""
    due = []
    clock = ZoneInfo(zone)
    instant = after
    before = instant.astimezone(clock).replace(tzinfo=None)
    while instant < through:
        instant += MINUTE
        local = instant.astimezone(clock)
        civil = local.replace(tzinfo=None)
        skipped = before + MINUTE
        matches = False
        while skipped < civil:
            matches = matches or (rule.hours is not None and rule.names(skipped))
            skipped += MINUTE
        if matches or (not local.fold and rule.names(civil.replace(fold=0))):
            due.append(instant)
        before = civil
    return due
