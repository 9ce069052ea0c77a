"""What was looked up, told or tried about one definition, and is no object of its own; decisions get a frozen copy."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carillon.api.event import EventCount
from carillon.engine.eventwindow import Windows
from carillon.engine.history import recorded
from carillon.engine.model import (
    Definition,
    EventReport,
    Observations,
    PodReport,
    Refusal,
    Run,
    TemplateCheck,
)
from carillon.engine.pods import Culprit

Object = dict[str, Any]


@dataclass(slots=True)
class Notes:
    """What was looked up about one key: the mutable side of `Observations`."""

    definition_absent: bool = False
    template_check: TemplateCheck | None = None
    template_checked_at: datetime | None = None
    job_bodies: dict[str, Object] = field(default_factory=dict)
    taken_runs: set[str] = field(default_factory=set)
    taken_jobs: set[str] = field(default_factory=set)
    names_taken_at: datetime | None = None
    absent_jobs: set[str] = field(default_factory=set)
    not_adoptable: set[str] = field(default_factory=set)
    lingering_jobs: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    """UIDs of the runs that were written ahead, and whose deletion was asked for: they are no record."""
    unwatched_jobs: set[str] = field(default_factory=set)
    pods: dict[str, PodReport] = field(default_factory=dict)
    last_words: dict[str, tuple[Culprit | None, str]] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    deleted_runs: dict[str, Run] = field(default_factory=dict)
    pods_refused: dict[str, str] = field(default_factory=dict)
    cron_job_absent: bool = False
    cron_job_applied: str = ""
    cron_job_refused: Refusal | None = None
    event_windows: dict[str, Windows] = field(default_factory=dict)
    event_watched: dict[str, str] = field(default_factory=dict)
    event_troubles: dict[str, tuple[str, str]] = field(default_factory=dict)
    event_counts: dict[tuple[str, str], EventCount] = field(default_factory=dict)

    def forget_events(self) -> None:
        """Drop what the event triggers have told: this process leads no more, or the definition is another one."""
        for noted in (self.event_windows, self.event_watched, self.event_troubles, self.event_counts):
            noted.clear()

    def forget(self, *uids: str) -> None:
        """Drop what was noted about objects that are gone; pods that linger are looked at until they are not."""
        for uid in uids:
            self.refusals.pop(uid, None)
            self.not_adoptable.discard(uid)
            self.withdrawn.discard(uid)
            self.pods_refused.pop(uid, None)
            self.last_words.pop(uid, None)
            if uid not in self.lingering_jobs:
                self.absent_jobs.discard(uid)
                self.pods.pop(uid, None)

    def forget_told(self, definition: Definition | None) -> None:
        """Drop the runs that somebody has deleted and of which the definition's status tells by now."""
        untold = definition is not None and {
            uid: run for uid, run in self.deleted_runs.items() if not recorded(definition.status, run)
        }
        self.deleted_runs = untold or {}

    def freeze(self) -> Observations:
        """Hand the notes to a decision."""
        return Observations(
            definition_absent=self.definition_absent,
            template_check=self.template_check,
            job_bodies=dict(self.job_bodies),
            taken_runs=frozenset(self.taken_runs),
            taken_jobs=frozenset(self.taken_jobs),
            absent_jobs=frozenset(self.absent_jobs),
            not_adoptable=frozenset(self.not_adoptable),
            lingering_jobs=frozenset(self.lingering_jobs),
            pods=dict(self.pods),
            refusals=dict(self.refusals),
            deleted_runs=tuple(self.deleted_runs.values()),
            pods_refused=dict(self.pods_refused),
            cron_job_absent=self.cron_job_absent,
            cron_job_applied=self.cron_job_applied,
            cron_job_refused=self.cron_job_refused,
            event_windows=dict(self.event_windows),
            event_report=EventReport(
                dict(self.event_watched), dict(self.event_troubles), tuple(self.event_counts.values())
            ),
        )
