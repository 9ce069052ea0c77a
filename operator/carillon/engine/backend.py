"""Which definitions the native controller can fire: a single plain cron, and nothing that only Carillon knows.

The rules of the CRD (`carillon.api.rules`) say most of this at apply; here are all of them, and the ones that need to
know time zones. What is refused names the field and the cure (design 3.13).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from carillon.api.rules import NATIVE_CRON_CURE, NATIVE_CRON_SHAPE
from carillon.api.scheduledjob import Backend, ScheduledJobSpec, Trigger
from carillon.engine.model import PlannedTrigger
from carillon.schedule import load_zone
from carillon.schedule.offsets import offsets_of
from carillon.schedule.runonce import RunOnce

OR_OPERATOR = "or use backend: Operator"
_POLICIES = ("Allow", "Forbid", "Replace")
_CATCH_UP = "Latest"
"""What the CronJob controller does after a downtime: it starts the newest due time, within the deadline."""
_NOT_NATIVE = (
    "auto_start",
    "pending_timeout_seconds",
    "exclude",
    "suspend_until",
    "retry",
    "steps",
)
"""Fields of the spec that a CronJob has no counterpart for."""
_NOT_NATIVE_TRIGGER = ("jitter_seconds", "start_at", "end_at")
_NOT_NATIVE_CONCURRENCY = ("max", "group", "queue_limit")
_CHANGES_SINCE, _CHANGES_UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
"""The years in which a zone's clocks have to stand still: the zone data tell every rule in them."""


def backend_problem(spec: ScheduledJobSpec, triggers: Sequence[PlannedTrigger]) -> str:
    """Say what prevents `backend: CronJob`, by field and with the cure; empty when nothing does.

    Args:
        spec: the definition's spec.
        triggers: its triggers, all of them understood.
    """
    if spec.backend is not Backend.CRON_JOB:
        return ""
    if len(spec.triggers) != 1 or spec.triggers[0].cron is None:
        found = ", ".join(_kind(trigger) for trigger in spec.triggers) or "none"
        return f"spec.triggers: found {found}; backend: CronJob takes exactly one, a cron; leave that, {OR_OPERATOR}"
    [trigger], [planned] = spec.triggers, triggers
    policy = spec.concurrency.policy.value
    if policy not in _POLICIES:
        return f"spec.concurrency.policy: found {policy}; a CronJob knows {', '.join(_POLICIES)}; {OR_OPERATOR}"
    if (found := spec.catch_up.policy.value) != _CATCH_UP:
        return f"spec.catchUp.policy: found {found}; a CronJob knows {_CATCH_UP} alone; use that, {OR_OPERATOR}"
    for part, names, path in (
        (spec, _NOT_NATIVE, "spec"),
        (spec.concurrency, _NOT_NATIVE_CONCURRENCY, "spec.concurrency"),
        (trigger, _NOT_NATIVE_TRIGGER, "spec.triggers[0]"),
    ):
        for name in names:
            if _is_set(part, name):
                return f"{path}.{_alias(part, name)}: a CronJob does not know it; remove it, {OR_OPERATOR}"
    return _cron_problem(trigger, planned)


def _kind(trigger: Trigger) -> str:
    kinds = set(type(trigger).model_fields) - {"name", "time_zone", "daylight_saving", *_NOT_NATIVE_TRIGGER}
    return next((_alias(trigger, kind) for kind in sorted(kinds) if getattr(trigger, kind) is not None), "none")


def _is_set(part: BaseModel, name: str) -> bool:
    field = type(part).model_fields.get(name)
    return field is not None and getattr(part, name) != field.get_default(call_default_factory=True)


def _alias(part: Any, name: str) -> str:
    return type(part).model_fields[name].alias or name


def _cron_problem(trigger: Trigger, planned: PlannedTrigger) -> str:
    cron = trigger.cron or ""
    if not re.search(NATIVE_CRON_SHAPE, cron):
        return f"spec.triggers[0].cron: found {cron!r}; {NATIVE_CRON_CURE}, {OR_OPERATOR}"
    if isinstance(planned.schedule, RunOnce) and trigger.time_zone is not None and _clocks_change(trigger.time_zone):
        return (
            f"spec.triggers[0].daylightSaving: the clocks change in {trigger.time_zone}, and a CronJob does not know "
            f"RunOnce; set daylightSaving: WallClock, {OR_OPERATOR}"
        )
    return ""


@lru_cache(maxsize=1024)
def _clocks_change(time_zone: str) -> bool:
    since, until = int(_CHANGES_SINCE.timestamp()), int(_CHANGES_UNTIL.timestamp())
    return any(True for _ in offsets_of(load_zone(time_zone)).transitions(since, until))
