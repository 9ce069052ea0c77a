"""Time: cron, intervals, instants, time zones. Pure: no clock, no I/O but `zoneinfo`'s; imports nothing of ours.

A schedule is a function of time: everything that depends on when it is asked is an argument.
"""

from carillon.schedule.bounded import bounded
from carillon.schedule.closedtime import Closed, Span, closed
from carillon.schedule.cron import parse_cron
from carillon.schedule.errors import ScheduleError
from carillon.schedule.exclusion import Piece, exclude_dates, exclude_holidays, exclude_window
from carillon.schedule.interval import parse_interval
from carillon.schedule.jitter import offset_seconds, start_of
from carillon.schedule.protocol import DaylightSaving, Schedule
from carillon.schedule.rfc3339 import parse_at
from carillon.schedule.sieve import inside, outside
from carillon.schedule.zone import load_zone

__all__ = [
    "Closed",
    "DaylightSaving",
    "Piece",
    "Schedule",
    "ScheduleError",
    "Span",
    "bounded",
    "closed",
    "exclude_dates",
    "exclude_holidays",
    "exclude_window",
    "inside",
    "load_zone",
    "offset_seconds",
    "outside",
    "parse_at",
    "parse_cron",
    "parse_interval",
    "start_of",
]
