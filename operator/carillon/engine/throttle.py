"""When a task's report is written: at most one write of a run in two seconds, the newest always in the end.

Every replica takes reports, and none asks another: what they know of each other is the record itself, which carries the
time at which the report in it was received, and whose changes each sees with its own clock. Clocks of replicas that
differ by less than the time between two reports change nothing; a time that lies ahead of now is not believed.
"""

from datetime import datetime, timedelta

INTERVAL = timedelta(seconds=2)


def next_write(
    received: datetime, *, recorded: datetime | None, ours: datetime | None, changed: datetime | None, now: datetime
) -> datetime | None:
    """Say when a report may be written; None when a newer one is on record.

    Args:
        received: when the report came; the newest that this replica has.
        recorded: when the one on record came, to whichever replica.
        ours: when the one came that this replica wrote last.
        changed: when this replica saw the record change, by its own write or another's.
        now: the time of the decision.
    """
    if recorded is not None and recorded != ours and received <= recorded <= now + INTERVAL:
        return None
    return now if changed is None else max(now, min(changed, now) + INTERVAL)
