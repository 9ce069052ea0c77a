"""Which runs are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Query:
    """Finished runs, those that ended last first. What is None or empty does not select."""

    namespace: str | None = None
    scheduled_job: str | None = None
    run: str | None = None
    """Name or UID of the JobRun."""
    owner: str | None = None
    phases: Sequence[str] = ()
    since: datetime | None = None
    """Ended then or later."""
    until: datetime | None = None
    """Ended before."""
    limit: int | None = None
