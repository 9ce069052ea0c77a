"""From windows of events to runs, and what a definition's status says of its event triggers.

An event run is an ordinary one: it waits for its slot, is refused and recorded as every other. Where concurrency
forbids another run, its window makes no JobRun and is counted, as a due time would be (design 3.3).
"""

from dataclasses import dataclass, field
from datetime import datetime

from carillon.api.event import EventCount
from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import ConcurrencyPolicy
from carillon.engine import build, names
from carillon.engine.eventmatch import Own, PassedOver
from carillon.engine.eventwindow import Window
from carillon.engine.model import Definition, Observations, Run, Snapshot
from carillon.engine.plan import CreateRun, PassOverEvents
from carillon.engine.words import listed

EVENT_SOURCE_REFUSED = "EventSourceRefused"
FILTERS = "EventFilters"


@dataclass(slots=True)
class Happened:
    """What becomes of the windows."""

    creates: list[CreateRun] = field(default_factory=list)
    passed_over: list[PassOverEvents] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)


def consider(definition: Definition, observations: Observations, *, room: int | None, now: datetime) -> Happened:
    """Decide what becomes of the windows that have closed.

    Args:
        definition: that the triggers belong to.
        observations: with the windows.
        room: how many runs may start or wait for a slot now; None: any number.
        now: the time of the decision.
    """
    happened = Happened()
    triggers = {trigger.name for trigger in definition.events}
    for name, windows in observations.event_windows.items():
        if definition.suspended(now) or definition.invalid or name not in triggers:
            reason = PassedOver.DISABLED if definition.suspended(now) else PassedOver.INVALID
            happened.passed_over += [_pass_over(window, reason) for window in windows]
            continue
        head = next(iter(windows), None)
        if head is None:
            continue
        if now < head.closes_at:
            happened.wakes.append(head.closes_at)
        elif room == 0:
            assert definition.spec is not None
            queues = definition.spec.concurrency.policy is ConcurrencyPolicy.QUEUE
            why = PassedOver.QUEUE_FULL if queues else PassedOver.CONCURRENCY_FORBID
            happened.passed_over.append(_pass_over(head, why))
        else:
            create = _create(definition, head, observations)
            if create is None:
                happened.passed_over.append(_pass_over(head, PassedOver.NAME_TAKEN))
                continue
            happened.creates.append(create)
            room = room - 1 if room is not None else None
    return happened


def _pass_over(window: Window, reason: PassedOver) -> PassOverEvents:
    return PassOverEvents(window.trigger, window.first.uid, window.first.resource_version, reason.value)


def _create(definition: Definition, window: Window, observations: Observations) -> CreateRun | None:
    name = names.free(run_names(definition, window), observations.taken_runs)
    if name is None:
        return None
    body = build.run_body(
        definition, name=name, trigger=TriggerType.EVENT, trigger_name=window.trigger, scheduled_time=None
    )
    body["spec"]["trigger"]["event"] = window.record().model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return CreateRun(name, body)


def run_names(definition: Definition, window: Window) -> tuple[str, ...]:
    """The names that the run of a window may have: its own, and some for when somebody else holds that."""
    first = window.first
    event = f"{first.type} {first.uid} {first.resource_version}"
    return names.event_runs(definition.key.name, definition.uid, window.trigger, event)


def is_run_of(definition: Definition, window: Window, run: Run) -> bool:
    """Whether the run is the window's."""
    return run.owner_uid == definition.uid and run.name in run_names(definition, window)


def own_of(snapshot: Snapshot, definition: Definition) -> Own:
    """How the traces of the definition's runs are told: of those that are there, and of those that history remembers.

    Kubernetes writes its Events late: of a Job before we know that it was made, and of one whose run was pruned since.
    """
    steps = [step for run in snapshot.runs for step in run.status.steps]
    runs = {(run.name, run.uid) for run in snapshot.runs} | {(line.run, line.uid) for line in definition.status.history}
    jobs = {name for run, uid in runs for name in names.job_names(run, uid, periodic=True)}
    jobs |= {job.name for job in snapshot.jobs} | {step.job for step in steps if step.job}
    uids = {definition.uid} | {uid for _, uid in runs if uid} | {job.uid for job in snapshot.jobs}
    return Own(definition.key.name, uids | {step.job_uid for step in steps if step.job_uid}, jobs)


def counts(definition: Definition, observations: Observations) -> tuple[EventCount, ...]:
    """status.events: what is recorded, with the newer counts in its place; of triggers that are still there."""
    # They are totals, so that a write whose answer was lost counts nothing twice.
    known = {(line.trigger, line.reason): line for line in definition.status.events}
    known |= {(line.trigger, line.reason): line for line in observations.event_report.counts}
    if definition.spec is None:
        return definition.status.events
    triggers = {trigger.name for trigger in definition.spec.triggers if trigger.event is not None}
    return tuple(line for key, line in sorted(known.items()) if key[0] in triggers)


def refusal(definition: Definition, observations: Observations) -> tuple[str, str] | None:
    """Why an event trigger is not watched, as reason and message of Ready; None when nothing prevents it."""
    watched = observations.event_report.watched
    problems = [watched[trigger.name] for trigger in definition.events if watched.get(trigger.name)]
    return (EVENT_SOURCE_REFUSED, "; ".join(problems)) if problems else None


def watched(definition: Definition, observations: Observations) -> bool:
    """Whether every event trigger is watched: what happens from now on counts."""
    return all(observations.event_report.watched.get(trigger.name) == "" for trigger in definition.events)


def filters_condition(definition: Definition, observations: Observations) -> tuple[str, str, str, str] | None:
    """The condition about the filters: type, status, reason and message; None where there is no filter."""
    filtering = [trigger for trigger in definition.events if trigger.spec.filter]
    if not filtering:
        return None
    for trigger in filtering:
        if (trouble := observations.event_report.troubles.get(trigger.name)) is not None:
            reason, message = trouble
            return FILTERS, "False", reason, f"{trigger.path}.filter: {message}"
    return FILTERS, "True", "Evaluated", "the filters of the event triggers can be evaluated"


def without_due_times(definition: Definition) -> str:
    """Say what makes a definition run that no due time does: `has no triggers: it runs only when …`."""
    if not definition.events:
        return "has no triggers: it runs only when someone creates a JobRun"
    named = listed([f"{trigger.name} ({trigger.text})" for trigger in definition.events])
    return f"has no due times: it runs on events, by {named}"


def trigger_column(definition: Definition) -> str:
    """What the column TRIGGER says."""
    if definition.spec is None or not definition.spec.triggers:
        return TriggerType.MANUAL.value
    kinds = {trigger.event is not None for trigger in definition.spec.triggers}
    words = ((False, TriggerType.PERIODIC), (True, TriggerType.EVENT))
    return ", ".join(word.value for kind, word in words if kind in kinds)
