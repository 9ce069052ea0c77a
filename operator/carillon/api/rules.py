"""The CEL rules of the CRDs: what a schema cannot say, told at apply, by field and with the cure.

A rule never refuses what the operator would accept: the shapes of cron, interval and at are a first look, and the
parsers of `carillon.schedule` have the last word (Ready=False, with theirs). The API server bounds the cost of a rule
by the maximum lengths in the schema, so every string and list that a rule touches has one.
"""

from dataclasses import dataclass
from typing import Any

from carillon.api.event import MOST_EVENT_TRIGGERS
from carillon.api.jobrun import JobRunSpec
from carillon.api.keys import SCHEDULED_JOB_NAME_LENGTH
from carillon.api.scheduledjob import GROUP_POLICIES, MAX_POLICIES, QUEUE_POLICIES, policies_in_words

_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec sun mon tue wed thu fri sat"
_MACROS = "yearly annually monthly weekly daily midnight hourly"
# What follows a hyphen after a star means nothing, to robfig either, and may be anything.
_CRON_FIELD = rf"([0-9+*?,/#()hlw-]|{'|'.join(_NAMES.split())}|[*?]-[^\s,/]+)+"
# RE2's \s is ASCII's; the parser, as robfig, parts the fields at any white space (the no-break space of a web page).
_CRON_SPACE = "[^!-~]"
CRON_SHAPE = (
    rf"(?i)^{_CRON_SPACE}*({_CRON_FIELD}({_CRON_SPACE}+{_CRON_FIELD}){{4,5}}"
    rf"|@({'|'.join(_MACROS.split())}|every{_CRON_SPACE}+\S+)){_CRON_SPACE}*$"
)
INTERVAL_SHAPE = r"(?i)^\s*R[0-9]*/[^/]+/[^/]+$"
INSTANT_SHAPE = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.,]+([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)\s*$"


def _native_cron() -> str:
    """A regular expression of what robfig/cron v3, and so a CronJob, reads: `@every` aside, whose due times count from
    a moment that only the CronJob controller knows."""
    months, days = "jan feb mar apr may jun jul aug sep oct nov dec", "mon tue wed thu fri sat"
    fields = []
    for value, end in (
        ("[0-9]+", "[0-9]+"),
        ("[0-9]+", "[0-9]+"),
        ("[0-9]+", "[0-9]+"),
        (f"[0-9]+|{months.replace(' ', '|')}", f"[0-9]+|{months.replace(' ', '|')}"),
        # Sunday is 0, and ends no range that begins with another day.
        (f"0*[0-6]|sun|{days.replace(' ', '|')}", f"0*[0-6]|{days.replace(' ', '|')}"),
    ):
        item = f"([*?]|({value})(-({end}))?)(/[0-9]+)?"
        fields.append(f"{item}(,{item})*")
    plain, macros = r"\s+".join(fields), _MACROS.replace(" ", "|")
    return rf"(?i)^\s*({plain}|@({macros}))\s*$"


NATIVE_CRON_SHAPE = _native_cron()
NATIVE_CRON_CURE = (
    "a CronJob takes five fields without L, # and H, with Sunday as 0, or a macro but @every; write such a cron"
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One entry of x-kubernetes-validations, at a path below the root of the object (`items` enters a list)."""

    path: str
    rule: str
    message: str
    message_expression: str | None = None
    """CEL for the message, where it can say what was found; `message` stands in when it fails."""
    field_path: str | None = None
    """The field to blame, below `path`; `path` itself when empty."""
    reason: str = "FieldValueInvalid"

    def document(self) -> dict[str, Any]:
        """The rule as the CRD has it."""
        written = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
            "reason": self.reason,
        }
        return {key: value for key, value in written.items() if value is not None}


_KINDS = ("cron", "interval", "at", "event")
_HAS_KINDS = f"[{', '.join(f'has(self.{kind})' for kind in _KINDS)}]"


def _found_kinds() -> str:
    """CEL for ` none`, ` cron and at` and the like; by `+`, for the API server takes what join() gives as unbounded."""
    parts = [f"({_HAS_KINDS}.exists(is, is) ? '' : ' none')"]
    for place, kind in enumerate(_KINDS):
        earlier = " || ".join(f"has(self.{other})" for other in _KINDS[:place]) or "false"
        parts.append(f"(has(self.{kind}) ? ({earlier} ? ' and {kind}' : ' {kind}') : '')")
    return " + ".join(parts)


_OPERATOR = "!has(self.backend) || self.backend != 'CronJob'"
_NATIVE_CONCURRENCY = " && ".join(
    (
        *(f"!has(self.concurrency.{field})" for field in ("max", "group", "queueLimit")),
        "(!has(self.concurrency.policy) || self.concurrency.policy != 'Queue')",
    )
)
_RESTART_POLICY = "self.spec.template.spec.restartPolicy"

SCHEDULED_JOB_RULES = (
    Rule(
        path="",
        rule=f"self.metadata.name.size() <= {SCHEDULED_JOB_NAME_LENGTH}",
        message=f"use at most {SCHEDULED_JOB_NAME_LENGTH} characters",
        # Without the number found: the API server takes the length of string(int) as unbounded, and refuses the CRD.
        message_expression="'found ' + self.metadata.name + ', which is too long; use at most "
        f"{SCHEDULED_JOB_NAME_LENGTH} characters, because the names of its runs add a dash and ten digits'",
        field_path=".metadata.name",
    ),
    Rule(
        path="spec.autoStart",
        rule="self == oldSelf",
        message="spec.autoStart can only be set at creation; create a new ScheduledJob or a JobRun instead",
    ),
    Rule(
        path="spec",
        rule=f"{_OPERATOR} || (has(self.triggers) && self.triggers.size() == 1 && has(self.triggers[0].cron))",
        message="backend: CronJob takes exactly one trigger, a cron; leave that, or use backend: Operator",
        field_path=".triggers",
    ),
    Rule(
        path="spec",
        rule=f"{_OPERATOR} || !has(self.triggers) || "
        f"self.triggers.all(t, !has(t.cron) || t.cron.matches(r'{NATIVE_CRON_SHAPE}'))",
        message=f"{NATIVE_CRON_CURE}, or use backend: Operator",
        field_path=".triggers",
    ),
    *(
        Rule(
            path="spec",
            rule=f"{_OPERATOR} || {absent}",
            message=f"a CronJob does not know {field}; remove it, or use backend: Operator",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field, absent in (
            ("autoStart", "!has(self.autoStart) || !self.autoStart"),
            ("retry", "!has(self.retry)"),
            ("suspendUntil", "!has(self.suspendUntil)"),
            (
                "exclude",
                "!has(self.exclude) || ("
                + " && ".join(
                    f"(!has(self.exclude.{part}) || self.exclude.{part}.size() == 0)"
                    for part in ("calendars", "holidays", "dates", "windows")
                )
                + ")",
            ),
            ("pendingTimeoutSeconds", "!has(self.pendingTimeoutSeconds)"),
            ("catchUp", "!has(self.catchUp) || !has(self.catchUp.policy) || self.catchUp.policy == 'Latest'"),
        )
    ),
    Rule(
        path="spec",
        rule=f"{_OPERATOR} || !has(self.concurrency) || ({_NATIVE_CONCURRENCY})",
        message="a CronJob knows the policies Allow, Forbid and Replace, and neither max, group nor queueLimit; "
        "remove them, or use backend: Operator",
        field_path=".concurrency",
        reason="FieldValueForbidden",
    ),
    *(
        Rule(
            path="spec",
            rule=f"{_OPERATOR} || !has(self.triggers) || !self.triggers.exists(t, has(t.{field}))",
            message=f"a CronJob does not know {field}; remove it, or use backend: Operator",
            field_path=".triggers",
            reason="FieldValueForbidden",
        )
        for field in ("jitterSeconds", "startAt", "endAt")
    ),
    Rule(
        path="spec.triggers.items",
        rule=f"{_HAS_KINDS}.exists_one(is, is)",
        message="set exactly one of cron, interval, at and event",
        message_expression=f"'found' + {_found_kinds()} + '; set exactly one of cron, interval, at and event'",
    ),
    Rule(
        path="spec",
        rule=f"!has(self.triggers) || self.triggers.filter(t, has(t.event)).size() <= {MOST_EVENT_TRIGGERS}",
        message=f"use at most {MOST_EVENT_TRIGGERS} triggers with event, or another ScheduledJob",
        field_path=".triggers",
    ),
    *(
        Rule(
            path="spec.triggers.items",
            rule=f"!has(self.event) || !has(self.{field})",
            message=f"{field} goes with due times, and event has none; remove it",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field in ("jitterSeconds", "startAt", "endAt")
    ),
    Rule(
        path="spec.triggers.items.event.labelSelector.matchExpressions.items",
        rule="(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        message="In and NotIn need values, Exists and DoesNotExist take none",
        field_path=".values",
    ),
    Rule(
        path="spec.triggers.items",
        rule="has(self.cron) || !has(self.timeZone)",
        message="timeZone goes with cron only; remove it, or use cron",
        field_path=".timeZone",
        reason="FieldValueForbidden",
    ),
    Rule(
        path="spec.triggers.items",
        rule="has(self.cron) || !has(self.daylightSaving)",
        message="daylightSaving goes with cron only; remove it, or use cron",
        field_path=".daylightSaving",
        reason="FieldValueForbidden",
    ),
    Rule(
        path="spec.triggers.items",
        rule="!has(self.startAt) || !has(self.endAt) || timestamp(self.startAt) <= timestamp(self.endAt)",
        message="endAt lies before startAt; exchange them",
        field_path=".endAt",
    ),
    Rule(
        path="spec.triggers.items.cron",
        rule=f"self.matches(r'{CRON_SHAPE}')",
        message="write five fields (minute hour day-of-month month day-of-week), for example 0 3 * * *, "
        "or a macro such as @daily",
        message_expression="self.contains('TZ=') ? 'write the time zone into timeZone, and only the five fields here' "
        ": 'write five fields (minute hour day-of-month month day-of-week), for example 0 3 * * *, "
        "or a macro such as @daily'",
    ),
    Rule(
        path="spec.triggers.items.interval",
        rule=f"self.matches(r'{INTERVAL_SHAPE}')",
        message="write R, the first instant and the period, for example R/2026-01-01T03:00:00+01:00/P1D",
    ),
    Rule(
        path="spec.triggers.items.at",
        rule=f"self.matches(r'{INSTANT_SHAPE}')",
        message="write an instant with its offset, for example 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00",
    ),
    *(
        Rule(
            path="spec.concurrency",
            rule=f"!has(self.{field}) || (has(self.policy) ? self.policy : 'Forbid') in "
            f"{[policy.value for policy in policies]}",
            message=f"{field} goes with policy {policies_in_words(policies)}; remove it, or change the policy",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field, policies in (("max", MAX_POLICIES), ("group", GROUP_POLICIES), ("queueLimit", QUEUE_POLICIES))
    ),
    Rule(
        path="spec.exclude.windows.items.cron",
        rule=f"self.matches(r'{CRON_SHAPE}')",
        message="write five fields (minute hour day-of-month month day-of-week), for example 0 8 * * MON-FRI",
    ),
    Rule(
        path="spec.jobTemplate",
        rule=f"has({_RESTART_POLICY}) && {_RESTART_POLICY} in ['Never', 'OnFailure']",
        message="set Never or OnFailure",
        message_expression=f"'found ' + (has({_RESTART_POLICY}) ? {_RESTART_POLICY} : 'nothing, which means Always') "
        "+ '; set Never or OnFailure'",
        field_path=".spec.template.spec.restartPolicy",
    ),
    Rule(
        path="spec.jobTemplate",
        rule="!has(self.spec.selector)",
        message="remove it; Kubernetes makes the selector of each Job",
        field_path=".spec.selector",
        reason="FieldValueForbidden",
    ),
    Rule(
        path="spec.jobTemplate",
        rule="!has(self.spec.manualSelector) || !self.spec.manualSelector",
        message="remove it; Kubernetes makes the selector of each Job",
        field_path=".spec.manualSelector",
        reason="FieldValueForbidden",
    ),
)

CALENDAR_RULES = (
    Rule(
        path="spec.windows.items.cron",
        rule=f"self.matches(r'{CRON_SHAPE}')",
        message="write five fields (minute hour day-of-month month day-of-week), for example 0 8 * * MON-FRI",
    ),
)

CHANGEABLE = ("suspend", "stop")
"""Fields of a JobRun's spec that people change while it is there."""

JOB_RUN_RULES = (
    *(
        Rule(
            path="spec",
            rule=f"has(self.{field}) ? has(oldSelf.{field}) && self.{field} == oldSelf.{field} : !has(oldSelf.{field})",
            message="found a change; of a JobRun only spec.suspend (pause, resume) and spec.stop change: create a new "
            "JobRun instead",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field in sorted(JobRunSpec.model_fields[name].alias or name for name in JobRunSpec.model_fields)
        if field not in CHANGEABLE
    ),
    Rule(
        path="spec",
        rule="!has(oldSelf.stop) || !oldSelf.stop || (has(self.stop) && self.stop)",
        message="a stop is not taken back; create a new JobRun to run it again",
        field_path=".stop",
        reason="FieldValueForbidden",
    ),
    Rule(
        path="spec",
        rule="self.trigger.type in ['Manual', 'Event'] || has(self.scheduledTime)",
        message="set the due time of the Periodic or Backfill run, or leave trigger out for a manual run",
        field_path=".scheduledTime",
        reason="FieldValueRequired",
    ),
    Rule(
        path="spec",
        rule="!(self.trigger.type in ['Manual', 'Event']) || !has(self.scheduledTime)",
        message="remove it; a Manual or Event run starts now, and only Periodic and Backfill runs have a due time",
        field_path=".scheduledTime",
        reason="FieldValueForbidden",
    ),
    Rule(
        path="spec",
        rule="(self.trigger.type == 'Event') == has(self.trigger.event)",
        message="only Event runs say what happened, and all of them do; leave trigger out for a manual run",
        field_path=".trigger.event",
    ),
)
