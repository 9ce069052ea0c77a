"""What the archive keeps of a run: one flat record, made from the JobRun and its definition. Pure.

Nothing that is not in the JobRun or on the face of its definition: no Job template, no environment, no Secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import Execution, JobClass
from carillon.engine.autostart import AUTO_START
from carillon.engine.history import finished_at
from carillon.engine.model import Definition, Run

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the archive keeps of a definition beside each of its runs, as it was when the run was archived."""

    label: str = ""
    owner: str = ""
    job_class: str = ""

    @classmethod
    def of(cls, definition: Definition) -> "Facts":
        """Read a definition; where label or owner are empty, what `kubectl get` shows for them."""
        spec = definition.spec
        if spec is None:
            return cls(label=definition.key.name)
        owner = spec.owner or ("system" if spec.class_ is JobClass.SYSTEM else "")
        return cls(spec.label or definition.key.name, owner, spec.class_.value)


@dataclass(frozen=True, slots=True)
class Record:
    """One finished run. All instants are aware UTC datetimes of whole seconds."""

    uid: str
    """Of the JobRun; the identity of the record."""
    namespace: str
    scheduled_job: str
    name: str
    """Of the JobRun."""
    definition_uid: str
    """Of the ScheduledJob; empty for a run that never had one."""
    label: str
    owner: str
    job_class: str
    trigger_type: str
    trigger_name: str
    backfill: str
    scheduled_time: datetime | None
    requested_by: str
    parameters: Object | None
    phase: str
    reason: str
    message: str
    exit_code: int | None
    attempts: int | None
    """None where the run does not say."""
    created: datetime | None
    start_time: datetime | None
    completion_time: datetime
    steps: Sequence[Object]
    resource_version: str
    """Of the JobRun when it was archived; empty where `whole` is false."""
    whole: bool
    """False where the JobRun was gone before anybody archived it, and this is the line that the definition's
    `status.history` has kept."""
    recorded_at: datetime | None = None
    """When it was archived; set by the archive."""


def record_of(run: Run, facts: Facts) -> Record:
    """Make the record of a finished run."""
    # By the names of the API, so that a field which a run does not have (yet) is simply not there.
    spec = run.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    status = run.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    steps = status.get("steps", [])
    return Record(
        uid=run.uid,
        namespace=run.namespace,
        scheduled_job=run.spec.scheduled_job,
        name=run.name,
        definition_uid=run.owner_uid,
        label=facts.label,
        owner=facts.owner,
        job_class=facts.job_class,
        trigger_type=run.spec.trigger.type.value,
        trigger_name=run.spec.trigger.name,
        backfill=run.backfill,
        scheduled_time=run.spec.scheduled_time,
        requested_by=spec.get("requestedBy", ""),
        parameters=spec.get("parameters"),
        phase=run.phase.value,
        reason=run.status.reason,
        message=run.status.message,
        exit_code=steps[0].get("exitCode") if steps else None,
        attempts=status.get("attempts"),
        created=run.created,
        start_time=run.status.start_time,
        completion_time=finished_at(run),
        steps=steps,
        resource_version=run.resource_version,
        whole=True,
    )


def record_of_line(definition: Definition, line: Execution) -> Record | None:
    """Make the record of a run of which only the line in its definition's history is left.

    Returns:
        None for a line about a run that has not ended, or of which nobody knows when it did.
    """
    try:
        finished = Phase(line.phase).finished
    except ValueError:
        return None  # a newer operator's word
    if not finished or line.completion_time is None or not line.uid:
        return None
    facts = Facts.of(definition)
    trigger_type, trigger_name = _trigger(definition, line.trigger)
    return Record(
        uid=line.uid,
        namespace=definition.key.namespace,
        scheduled_job=definition.key.name,
        name=line.run,
        definition_uid=definition.uid,
        label=facts.label,
        owner=facts.owner,
        job_class=facts.job_class,
        trigger_type=trigger_type,
        trigger_name=trigger_name,
        backfill="",
        scheduled_time=line.scheduled_time,
        requested_by="",
        parameters=None,
        phase=line.phase,
        reason=line.reason,
        message=line.message,
        exit_code=line.exit_code,
        attempts=None,
        created=None,
        start_time=line.start_time,
        completion_time=line.completion_time,
        steps=(),
        resource_version="",
        whole=False,
    )


def _trigger(definition: Definition, shown: str) -> tuple[str, str]:
    """Take apart what a line shows: the name of a trigger, or the type where there is none."""
    if shown == AUTO_START:
        return TriggerType.MANUAL.value, shown
    if shown in {kind.value for kind in TriggerType}:
        return shown, ""
    known = any(trigger.name == shown for trigger in definition.triggers)
    return TriggerType.PERIODIC.value if known else "", shown


def storable(value: Any) -> Any:
    """Take out what PostgreSQL has no place for: the character NUL, which a container may well say."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value
