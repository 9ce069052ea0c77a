"""Deterministic names. They make writes idempotent; nothing is ever parsed out of one (design 2).

Everybody can tell them beforehand and take them, so each object has several: the first that is free is its name. Taken
is a name only after a live GET has shown somebody else's object.
"""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime

JOB_NAME_LENGTH = 63
"""A Job's name becomes a label of its pods, which holds 63 characters."""


def digest(*parts: str, length: int = 8) -> str:
    """Hash parts into `length` hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


SPARE_NAMES = 8
"""Hashed names that are tried in turn when somebody else's objects hold the first ones."""


def spares(stem: str, identity: str, *, length: int = 253) -> tuple[str, ...]:
    """The names to try when others hold the proper one: cut to `length`, and hashed with what the object stands for."""
    suffixes = (digest(identity, *([str(number)] if number else [])) for number in range(SPARE_NAMES))
    return tuple(f"{stem[: length - len(suffix) - 1].rstrip('-')}-{suffix}" for suffix in suffixes)


def free(candidates: Iterable[str], taken: Collection[str]) -> str | None:
    """The first name that nobody else has; None where all are taken."""
    return next((name for name in candidates if name not in taken), None)


def event_runs(scheduled_job: str, definition_uid: str, trigger: str, first_event: str) -> tuple[str, ...]:
    """The names that the run of a window may have, by its first event, so that a lost answer doubles nothing."""
    proper = f"{scheduled_job}-{digest(definition_uid, trigger, first_event, length=10)}"
    return proper, *spares(proper, definition_uid)


def periodic_runs(scheduled_job: str, due: datetime, definition_uid: str) -> tuple[str, ...]:
    """The names that the run of a due time may have: `<sj>-<due time in unix seconds>` first."""
    proper = f"{scheduled_job}-{int(due.timestamp())}"
    return proper, *spares(proper, definition_uid)


def auto_start_runs(scheduled_job: str, definition_uid: str) -> tuple[str, ...]:
    """The names that the one run may have that autoStart makes for this very definition."""
    return spares(f"{scheduled_job}-start", definition_uid)


def native_runs(job_name: str, job_uid: str) -> tuple[str, ...]:
    """The names that the record of a Job may have that the CronJob controller has made: the Job's own first."""
    return job_name, *spares(job_name, job_uid)


def job_names(run_name: str, run_uid: str, *, periodic: bool, attempt: int = 1) -> tuple[str, ...]:
    """The names that the Job of a run's attempt may have: a label holds 63 characters, and pod names no dot."""
    stem = run_name.replace(".", "-")
    if attempt > 1:
        return spares(stem, f"{run_uid} attempt {attempt}", length=JOB_NAME_LENGTH)
    plain = (run_name,) if periodic and len(run_name) <= JOB_NAME_LENGTH else ()
    return plain + spares(stem, run_uid, length=JOB_NAME_LENGTH)
