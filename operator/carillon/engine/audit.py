"""What `carillon task verify` and `report` say: is every due time accounted for, and how did the day go. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.base import rfc3339
from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import TriggerStatus
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Definition, Job, Key, PlannedTrigger, Run
from carillon.engine.native import kept_time
from carillon.engine.pausing import WAITING_FOR_ADMISSION
from carillon.engine.skips import SKIP_LINES, schedule_of
from carillon.engine.start_time import early, expected_start
from carillon.engine.starting import WAITING
from carillon.engine.triggers import bound, bound_to, names_instant

WINDOW = timedelta(days=1)
STUCK_AFTER = timedelta(minutes=5)
"""A run that has no Job this long after it was made is stuck."""
WAITS_AT_MOST = timedelta(days=1)
"""A run that waits for a slot longer than this is stuck: what holds the slot hardly ends by itself."""
CROWDED = 10
"""As many due times in one minute are worth telling."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    subject: str
    problem: str

    @property
    def about(self) -> tuple[str, str]:
        """What stays the same when the same thing is found again later: times and counts go on."""
        return self.subject, re.sub(r"\d+", "#", self.problem)

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}"


def verify(definitions: Sequence[Definition], runs: Sequence[Run], jobs: Sequence[Job], now: datetime) -> list[Finding]:
    """Check that every due time of the last day is accounted for, and that nothing is orphaned or stuck."""
    by_key: dict[Key, list[Run]] = {}
    for run in runs:
        by_key.setdefault(Key(run.namespace, run.spec.scheduled_job), []).append(run)
    findings: list[Finding] = []
    for definition in definitions:
        findings += _definition(definition, by_key.get(definition.key, []), now)
    by_uid = {definition.uid: definition for definition in definitions}
    run_uids = {run.uid for run in runs}
    for run in runs:
        findings += _run(run, by_uid, now)
    findings += [
        Finding(f"Job {job.namespace}/{job.name}", "its JobRun is gone, and it is not finished")
        for job in jobs
        if job.run_uid not in run_uids
        and not job.native_of
        and not job.finished
        and not job.deleting
        and now - job.created > STUCK_AFTER
    ]
    return findings


def _definition(definition: Definition, runs: Sequence[Run], now: datetime) -> list[Finding]:
    subject = f"ScheduledJob {definition.key}"
    if definition.invalid:
        return []  # its author is told by its Ready condition, and the day's report lists it
    if now - definition.created < MISSED_AFTER:
        return []
    if definition.status.observed_generation < definition.generation:
        return [Finding(subject, f"generation {definition.generation} was not looked at; is an operator running?")]
    if definition.suspended(now) or kept_time(definition):
        return []  # nothing is due, or the CronJob controller keeps the time (design 3.13)
    marks = {mark.name: mark for mark in definition.status.triggers}
    findings: list[Finding] = []
    periodic = (run for run in runs if run.spec.trigger.type is TriggerType.PERIODIC)
    accounted = {run.spec.scheduled_time for run in periodic if run.spec.scheduled_time}
    accounted |= {
        line.scheduled_time
        for line in definition.status.history
        if line.scheduled_time and line.trigger != TriggerType.BACKFILL
    }
    for trigger in definition.triggers:
        mark = marks.get(trigger.name)
        if mark is None:
            findings.append(Finding(subject, f"trigger {trigger.name}: no watermark is recorded"))
        else:
            findings += _trigger(subject, definition, bound(trigger, mark), mark, accounted, now)
    return findings


def _trigger(
    subject: str,
    definition: Definition,
    trigger: PlannedTrigger,
    mark: TriggerStatus,
    accounted: set[datetime],
    now: datetime,
) -> list[Finding]:
    findings: list[Finding] = []
    if mark.handled_through > now + MISSED_AFTER:
        findings.append(
            Finding(
                subject, f"trigger {trigger.name}: the watermark {rfc3339(mark.handled_through)} lies in the future"
            )
        )
    late = trigger.schedule.next_after(mark.handled_through)
    if late is not None and late < now - MISSED_AFTER and late not in accounted:
        findings.append(
            Finding(subject, f"trigger {trigger.name}: due at {rfc3339(late)}, and neither run nor recorded as skipped")
        )
    start, end = _recorded_since(definition, mark, now), min(mark.handled_through, now)
    if end <= start:
        return findings
    lines = [skip for skip in definition.status.skips if skip.trigger == trigger.name and skip.to > start]
    due = trigger.schedule.count(start, end)
    ran = sum(start < instant <= end and names_instant(trigger, instant) for instant in accounted)
    # By the schedule only where the line began before: the exclusions may have changed since it was written.
    skipped = sum(
        skip.count if skip.from_ > start else schedule_of(trigger, skip.reason).count(start, skip.to) for skip in lines
    )
    if ran + skipped < due:
        text = f"{due - ran - skipped} of {due} due times since {rfc3339(start)} have neither a run nor a skip"
        findings.append(Finding(subject, f"trigger {trigger.name}: {text}"))
    return findings


def _recorded_since(definition: Definition, mark: TriggerStatus, now: datetime) -> datetime:
    """The moment after which the bounded records of a definition are complete: what is older may have left them."""
    moments = [mark.since, now - WINDOW]
    if definition.status.recorded_through is not None:
        moments.append(definition.status.recorded_through)
    if len(definition.status.skips) >= SKIP_LINES:
        moments.append(definition.status.skips[-1].to)
    return max(moments)


def _run(run: Run, definitions: Mapping[str, Definition], now: datetime) -> list[Finding]:
    subject, age = f"JobRun {run.namespace}/{run.name}", now - run.created
    if run.deleting or age <= STUCK_AFTER:
        return []
    definition = definitions.get(run.owner_uid)
    if run.owner_uid and definition is None:
        return [Finding(subject, "its ScheduledJob is gone, and it was not deleted with it")]
    if definition is not None and (definition.invalid or early(definition, run, now) is not None):
        return []  # it waits for its time, or for a definition that can be scheduled
    start = expected_start(definition, run, now) if definition is not None else None
    if start is not None and now - start <= STUCK_AFTER:
        return []
    if run.phase is Phase.SCHEDULED and not run.job_made:
        return [Finding(subject, f"made {_ago(age)} ago, and nothing became of it")]
    patience = STUCK_AFTER
    if run.status.reason == WAITING:
        patience = _patience(definitions.get(run.owner_uid), run, now)
    elif run.status.reason == WAITING_FOR_ADMISSION:
        patience = WAITS_AT_MOST
    if run.phase is Phase.QUEUED and age > patience:
        return [Finding(subject, f"queued for {_ago(age)}: {run.status.reason}: {run.status.message}")]
    return []


def _patience(definition: Definition | None, run: Run, now: datetime) -> timedelta:
    """How long after its creation a run may wait for its slot: a day, or until it is too late for it."""
    if definition is None or definition.spec is None:
        return WAITS_AT_MOST
    start, seconds = expected_start(definition, run, now), definition.spec.starting_deadline_seconds
    if start is None or seconds is None:
        return WAITS_AT_MOST
    return min(WAITS_AT_MOST, start + timedelta(seconds=seconds) + STUCK_AFTER - run.created)


def _ago(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@dataclass(frozen=True, slots=True)
class Report:
    """The day, in three lists."""

    since: datetime
    finished: dict[str, int]
    failures: tuple[str, ...]
    overdue: tuple[str, ...]
    invalid: tuple[str, ...]
    crowded: tuple[str, ...]


def report(definitions: Sequence[Definition], now: datetime) -> Report:
    """Say which runs failed in the last day, what is overdue, and which minutes of the coming day are crowded."""
    since = now - WINDOW
    finished: Counter[str] = Counter()
    failures: list[tuple[datetime, str]] = []
    overdue: list[str] = []
    for definition in definitions:
        for line in definition.status.history:
            if line.completion_time is None or line.completion_time < since:
                continue
            finished[line.phase] += 1
            if line.phase == Phase.FAILED:
                code = f" (exit code {line.exit_code})" if line.exit_code is not None else ""
                words = line.message.strip().splitlines()[-1] if line.message.strip() else ""
                run = f"{definition.key.namespace}/{line.run}"
                text = f"{rfc3339(line.completion_time)}  {run}  {line.reason}{code}  {words}"
                failures.append((line.completion_time, text.rstrip()))
        overdue += [
            f"{definition.key}  {condition.message}"
            for condition in definition.status.conditions
            if condition.type == "OnTime" and condition.status == "False"
        ]
    return Report(
        since=since,
        finished=dict(sorted(finished.items())),
        failures=tuple(text for _, text in sorted(failures)),
        overdue=tuple(sorted(overdue)),
        invalid=tuple(sorted(f"{d.key}  {d.invalid}" for d in definitions if d.invalid)),
        crowded=tuple(_crowded(definitions, now)),
    )


def _crowded(definitions: Iterable[Definition], now: datetime) -> list[str]:
    minutes: Counter[datetime] = Counter()
    for definition in definitions:
        if definition.suspended(now) or definition.invalid:
            continue
        marks = {mark.name: mark for mark in definition.status.triggers}
        crowded: set[datetime] = set()
        for trigger in definition.triggers:
            mark = marks.get(trigger.name)
            schedule = bound_to(trigger, mark.since if mark is not None else definition.created).open
            if schedule.count(now, now + WINDOW) > 24 * 60:
                continue  # due more often than every minute: it is in each of them
            crowded |= {due.replace(second=0) for due in schedule.newest(now, now + WINDOW, 24 * 60)}
        minutes.update(crowded)
    busiest = [(minute, count) for minute, count in minutes.most_common(10) if count >= CROWDED]
    return [f"{minute:%Y-%m-%d %H:%MZ}  {count} jobs due" for minute, count in busiest]
