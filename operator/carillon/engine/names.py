"""Deterministic names. They make writes idempotent; nothing is ever parsed out of one (design 2)."""

import hashlib
from datetime import datetime

JOB_NAME_LENGTH = 63
"""A Job's name becomes a label of its pods, which holds 63 characters."""


def digest(*parts: str, length: int = 8) -> str:
    """Hash parts into `length` hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def periodic_run(scheduled_job: str, due: datetime) -> str:
    """Name the run of a due time: `<sj>-<due time in unix seconds>`, at most 63 characters."""
    return f"{scheduled_job}-{int(due.timestamp())}"


def spare_run(scheduled_job: str, due: datetime, definition_uid: str) -> str:
    """Name the run of a due time when somebody else's object holds its proper name."""
    return f"{periodic_run(scheduled_job, due)}-{digest(definition_uid)}"


def event_run(scheduled_job: str, definition_uid: str, trigger: str, first_event: str) -> str:
    """Name the run of a window of events after the first of them, so that a lost answer doubles nothing."""
    return f"{scheduled_job}-{digest(definition_uid, trigger, first_event, length=10)}"


def auto_start_run(scheduled_job: str, definition_uid: str) -> str:
    """Name the one run that autoStart makes for this very definition."""
    return f"{scheduled_job}-start-{digest(definition_uid)}"


SPARE_NAMES = 4
"""Names that are tried when somebody else's objects hold the first ones."""


def job_names(run_name: str, run_uid: str, *, periodic: bool) -> tuple[str, ...]:
    """The names that the Job of a run may have, in the order in which they are tried."""
    plain = (run_name,) if periodic and len(run_name) <= JOB_NAME_LENGTH else ()
    return plain + tuple(hashed_job(run_name, run_uid, spare) for spare in range(SPARE_NAMES))


def hashed_job(run_name: str, run_uid: str, spare: int = 0) -> str:
    """Name a Job after its run, cut and hashed to what a label holds."""
    suffix = digest(run_uid, *([str(spare)] if spare else []))
    stem = run_name.replace(".", "-")[: JOB_NAME_LENGTH - len(suffix) - 1].rstrip("-")
    return f"{stem}-{suffix}"
