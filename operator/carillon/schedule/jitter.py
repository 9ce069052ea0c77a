"""`jitterSeconds`: how long after its due time a run starts, so that a thousand jobs due at once do not start at once.

Drawn by a hash, not by chance: the same on every machine, in every version and after every restart. The due time itself
is not moved, and neither is the order of starts.
"""

import hashlib
from datetime import datetime, timedelta

from carillon.schedule.closedtime import Closed
from carillon.schedule.protocol import Schedule
from carillon.schedule.seconds import EPOCH, to_seconds


def offset_seconds(seed: str, due: datetime, limit_seconds: int) -> int:
    """Draw a whole number of seconds from 0 to `limit_seconds`, both included, for a seed and a due time.

    The seed is what tells one schedule from another, such as a UID and the trigger's name.
    """
    if limit_seconds <= 0:
        return 0
    digest = hashlib.sha256(f"{seed}\0{to_seconds(due)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (limit_seconds + 1)


def start_of(
    schedule: Schedule, seed: str, due: datetime, limit_seconds: int, closed: Closed | None = None
) -> datetime:
    """Tell when the run of a due time starts: at most `limit_seconds` later, before the next due time and before a
    closed time begins.

    Where one of these is nearer than the limit, the seconds until then are what is drawn from; they are not cut down to
    it, so that starts do not pile up just before it.
    """
    if limit_seconds <= 0:
        return due
    second = to_seconds(due)
    following = schedule.next_after(due)
    if following is not None:
        limit_seconds = min(limit_seconds, to_seconds(following) - second - 1)
    shut = closed.next_start(second, second + limit_seconds) if closed is not None else None
    if shut is not None:
        limit_seconds = shut - second - 1
    return EPOCH + timedelta(seconds=second + offset_seconds(seed, due, limit_seconds))
