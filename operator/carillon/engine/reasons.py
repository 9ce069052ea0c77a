"""Reasons to skip a due time in words, with the field that decided and what to change."""

from carillon.api.scheduledjob import DEFAULT_QUEUE_LIMIT, CatchUpPolicy, ScheduledJobSpec

UNKNOWN = ("", "", "")


def why_skipped(spec: ScheduledJobSpec, reason: str) -> tuple[str, str, str]:
    """Tell what a reason means for a definition.

    Returns:
        Why it did not run; the field that decided, as it stands in the definition; what to change. Empty for a reason
        that this version does not know.
    """
    deadline = spec.starting_deadline_seconds
    afterwards = "backfill it, if it has to run after all"
    known = {
        "ConcurrencyForbid": (
            f"another run of {_whose(spec)} was still active",
            f"concurrency.policy: {spec.concurrency.policy}",
            "if every run counts set concurrency.policy to Queue, if only the newest does to Replace, if they may "
            "overlap to Allow; or have the runs take less time (timeoutSeconds ends one that hangs)",
        ),
        "QueueFull": (
            f"no slot of {_whose(spec)} was free, and as many runs waited as may",
            f"concurrency.queueLimit: {spec.concurrency.queue_limit or DEFAULT_QUEUE_LIMIT}",
            "raise concurrency.queueLimit, or concurrency.max if more may run at a time; runs that come faster than "
            "they end fill any queue",
        ),
        "DeadlineExceeded": (
            "it could not start in time",
            f"startingDeadlineSeconds: {deadline}" if deadline else "startingDeadlineSeconds",
            "raise startingDeadlineSeconds, if a late run is better than none",
        ),
        "CatchUp": _catch_up(spec),
        "Suspended": ("the job was disabled then", "spec.suspend", afterwards),
        "Disabled": ("the job was disabled then", "spec.suspend", "enable the job, or force the run"),
        "InvalidParameters": (
            "it was told values that the definition does not take",
            "spec.parameters of the JobRun",
            "create it again with values that fit",
        ),
        "Invalid": ("the definition could not be scheduled then", "the condition Ready", afterwards),
        "Excluded": (
            "an exclusion covered it",
            "spec.exclude",
            "change spec.exclude or the Calendar that it names; to run the job all the same, create a JobRun",
        ),
        "Withdrawn": ("the definition was changed between the due time and the start", "the edit", afterwards),
        "NameTaken": (
            "every name that its JobRun may have is taken by a JobRun that is not its own",
            "the names of the JobRuns",
            "delete the JobRuns whose names begin with the job's name and the due time in unix seconds; or backfill it",
        ),
        "Replaced": ("a newer run took its place", "concurrency.policy: Replace", ""),
    }
    return known.get(reason, UNKNOWN)


def _whose(spec: ScheduledJobSpec) -> str:
    group = spec.concurrency.group
    return f"the group {group}" if group is not None else "the job"


def _catch_up(spec: ScheduledJobSpec) -> tuple[str, str, str]:
    rule, missed = spec.catch_up, "nobody was there to fire it in time"
    if rule.policy is CatchUpPolicy.SKIP:
        cure = "set catchUp.policy to Latest or All to make up for downtimes; or backfill it"
        return f"{missed}, and what was missed is not caught up on", "catchUp.policy: Skip", cure
    if rule.policy is CatchUpPolicy.ALL:
        words = f"{missed}, and more due times were missed than are caught up on"
        return words, f"catchUp.limit: {rule.limit}", "raise catchUp.limit; or backfill it"
    cure = "set catchUp.policy to All if every due time has to run; or backfill it"
    return f"{missed}, and only the newest missed due time is caught up on", "catchUp.policy: Latest", cure
