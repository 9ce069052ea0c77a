"""ScheduledJobs and JobRuns as people are shown them: read from raw JSON, and judged by nobody.

What a newer operator or API server wrote is shown as well as it can be; a list must not fail over one object. Decisions
are made from `engine.read` instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carillon.api.jobrun import Phase
from carillon.engine.model import Key
from carillon.engine.read import instant

Object = dict[str, Any]

NEVER_LOOKED_AT = "Unknown"
"""STATUS where no operator has written one."""
_FINISHED = {phase.value for phase in Phase if phase.finished}


def _instant(text: object) -> datetime | None:
    try:
        return instant(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A JobRun, or the line of a status.history that is left of it."""

    namespace: str
    name: str
    uid: str
    job: str
    """Name of the ScheduledJob."""
    trigger: str
    phase: str
    reason: str
    message: str
    exit_code: int | None
    due: datetime | None
    created: datetime | None
    """None of a line of history."""
    started: datetime | None
    ended: datetime | None
    raw: Object
    """The JobRun; of a line of history, that."""
    kept: bool = True
    """Whether the JobRun is there."""

    @property
    def finished(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.phase in _FINISHED

    def ahead(self, now: datetime) -> bool:
        """Whether it was written ahead of its due time, and is no record yet."""
        return self.phase == Phase.SCHEDULED and self.due is not None and self.due > now

    @property
    def failed(self) -> bool:
        """Whether somebody should look at it: it failed, or was refused."""
        return self.phase in (Phase.FAILED.value, Phase.SKIPPED.value)

    @property
    def moment(self) -> datetime | None:
        """By what runs are ordered, and what is older than something: its end, else its start or creation."""
        return self.ended or self.started or self.created or self.due

    @property
    def status(self) -> Object:
        """The status, as it is."""
        return dict(self.raw.get("status") or {}) if self.kept else self.raw

    @property
    def spec(self) -> Object:
        """The specification, as it is; empty of a line of history."""
        return dict(self.raw.get("spec") or {}) if self.kept else {}

    @property
    def steps(self) -> Sequence[Object]:
        """The Jobs of the run."""
        return tuple(self.status.get("steps") or ())


def seen_run(raw: Object) -> SeenRun:
    """Read a JobRun."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    trigger = spec.get("trigger") or {}
    kind = trigger.get("type") or "Manual"
    finished = status.get("phase") in _FINISHED
    codes = [step.get("exitCode") for step in status.get("steps") or () if step.get("exitCode") is not None]
    return SeenRun(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        job=spec.get("scheduledJob") or "",
        trigger=(trigger.get("name") if kind != "Backfill" else "") or kind,
        phase=status.get("phase") or Phase.SCHEDULED.value,
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        exit_code=next((code for code in codes if code), codes[0] if codes else None) if finished else None,
        due=_instant(spec.get("scheduledTime")),
        created=_instant(metadata.get("creationTimestamp")),
        started=_instant(status.get("startTime")),
        ended=_instant(status.get("completionTime")),
        raw=raw,
    )


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A ScheduledJob."""

    raw: Object

    @property
    def key(self) -> Key:
        """Where it is."""
        return Key(self.raw["metadata"]["namespace"], self.raw["metadata"]["name"])

    @property
    def spec(self) -> Object:
        """The specification, as it is."""
        return dict(self.raw.get("spec") or {})

    @property
    def status(self) -> Object:
        """The status, as it is."""
        return dict(self.raw.get("status") or {})

    @property
    def class_(self) -> str:
        """System or User."""
        return self.spec.get("class") or "User"

    @property
    def owner(self) -> str:
        """Who answers for it, as it is shown."""
        return self.spec.get("owner") or ("system" if self.class_ == "System" else "")

    def shown(self, column: str) -> str:
        """What the operator has written for a column of kubectl get."""
        return str((self.status.get("display") or {}).get(column) or "")

    @property
    def state(self) -> str:
        """The word of the STATUS column."""
        return self.shown("status") or NEVER_LOOKED_AT

    def disabled_until(self) -> datetime | None:
        """When a suspension ends by itself, where it does."""
        return _instant(self.spec.get("suspendUntil"))

    def disabled(self, now: datetime) -> bool:
        """Whether nothing fires now."""
        until = self.disabled_until()
        return bool(self.spec.get("suspend")) and (until is None or until > now)

    def why_disabled(self) -> str:
        """Say by whom, why and until when it is disabled: ` by alice: the disk is full (until 2026-…)`."""
        by, why, until = (self.spec.get(field) for field in ("suspendedBy", "suspendReason", "suspendUntil"))
        return f"{f' by {by}' if by else ''}{f': {why}' if why else ''}{f' (until {until})' if until else ''}"

    def condition(self, kind: str) -> Object:
        """A condition; empty when it is not there."""
        conditions = self.status.get("conditions") or ()
        return next((dict(found) for found in conditions if found.get("type") == kind), {})

    @property
    def invalid(self) -> str:
        """Why the definition is not accepted; empty when it is, or nobody has looked."""
        ready = self.condition("Ready")
        return str(ready.get("message") or "") if ready.get("status") == "False" else ""

    def lines(self) -> list[SeenRun]:
        """The lines of status.history, newest first."""
        return [self._line(line) for line in self.status.get("history") or ()]

    def _line(self, line: Object) -> SeenRun:
        return SeenRun(
            namespace=self.key.namespace,
            name=line.get("run") or "",
            uid=line.get("uid") or "",
            job=self.key.name,
            trigger=line.get("trigger") or "",
            phase=line.get("phase") or "",
            reason=line.get("reason") or "",
            message=line.get("message") or "",
            exit_code=line.get("exitCode"),
            due=_instant(line.get("scheduledTime")),
            created=None,
            started=_instant(line.get("startTime")),
            ended=_instant(line.get("completionTime")),
            raw=line,
            kept=False,
        )


def past(jobs: Iterable[SeenJob], runs: Iterable[SeenRun]) -> list[SeenRun]:
    """The runs and the lines of history that tell of others, newest first.

    Args:
        jobs: the definitions.
        runs: JobRuns, perhaps of other definitions, too.
    """
    wanted = {job.key for job in jobs}
    objects = [run for run in runs if Key(run.namespace, run.job) in wanted]
    there = {run.uid for run in objects}
    lines = [line for job in jobs for line in job.lines() if line.uid not in there]
    return sorted((*objects, *lines), key=lambda run: (run.moment is not None, run.moment, run.name), reverse=True)
