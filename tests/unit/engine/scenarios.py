"""Short stories from the life of a cluster, for the simulator; each is played again with every fault at every write."""

from collections.abc import Callable

from carillon.kube.errors import ApiError
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.unit.engine.builders import NAMESPACE, Body, a_template, triggers
from tests.unit.engine.simulator import Simulation

Story = Callable[[Simulation], None]
MINUTE = "* * * * *"


def every_minute(sim: Simulation) -> None:
    sim.job_seconds = 10
    sim.apply(MINUTE, history={"succeeded": 1, "failed": 1})
    sim.until("12:03:30")


def forbid(sim: Simulation) -> None:
    sim.job_seconds = 100
    sim.apply(MINUTE)
    sim.until("12:05:30")


def allow(sim: Simulation) -> None:
    sim.job_seconds = 100
    sim.apply(MINUTE, concurrency={"policy": "Allow"}, history={"succeeded": 0, "failed": 0})
    sim.until("12:04:50")


def replace(sim: Simulation) -> None:
    sim.job_seconds = 100
    sim.apply(MINUTE, concurrency={"policy": "Replace"})
    sim.until("12:03:30")


def two_triggers(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE, "*/2 * * * *", "59 23 31 12 *", history={"succeeded": 1, "failed": 1})
    sim.until("12:04:20")


def suspend_and_resume(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:30")
    sim.edit(suspend=True)
    sim.until("12:05:30")
    sim.edit(suspend=False)
    sim.until("12:06:30")


def edit(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:59.5")
    sim.edit(triggers=triggers("*/2 * * * *", late="* * * * *"))
    sim.until("12:02:00.5")
    sim.edit(triggers=triggers(late="*/3 * * * *"))
    sim.until("12:03:30")


def downtime(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE, "*/5 * * * *")
    sim.until("12:01:30")
    sim.crash()
    sim.until("12:11:30")
    sim.restart()
    sim.until("12:12:30")


def downtime_with_a_deadline(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE, startingDeadlineSeconds=150)
    sim.until("12:01:02")
    sim.crash()
    sim.until("12:11:30")
    sim.restart()
    sim.until("12:12:30")


def downtime_with_a_late_end(sim: Simulation) -> None:
    """The Job ends while no operator runs, and others would have been due: the slot is free when one comes back."""
    sim.job_seconds = 5
    sim.apply("*/5 * * * *")
    sim.until("12:05:02")
    sim.crash()
    sim.until("12:11:30")
    sim.restart()
    sim.until("12:16:30")


def auto_start(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(autoStart=True)
    sim.apply(name="later", autoStart=True, suspend=True, history={"succeeded": 0, "failed": 0})
    sim.advance(20)
    sim.edit("later", suspend=False)
    sim.advance(20)


def run_now(sim: Simulation) -> None:
    sim.job_seconds = 20
    sim.apply()
    for name in ("first", "second"):
        sim.run_now(name)
    sim.advance(30)
    sim.edit(suspend=True)
    sim.run_now("refused")
    sim.run_now("forced", force=True)
    sim.advance(30)
    sim.run_now("stray", name="nobody")
    sim.advance(10)


def failures(sim: Simulation) -> None:
    sim.apply(MINUTE)
    sim.until("12:01:30")
    sim.finish(sim.jobs()[0], exit_code=3)
    sim.until("12:02:30")
    sim.delete(JOBS, sim.jobs()[0])
    sim.until("12:03:30")


def a_run_is_deleted(sim: Simulation) -> None:
    sim.apply(MINUTE)
    sim.until("12:01:30")
    sim.delete(JOB_RUNS, next(iter(sim.phases())))
    sim.until("12:02:30")


def recreated(sim: Simulation) -> None:
    sim.job_seconds = 30
    sim.apply(MINUTE)
    sim.until("12:01:10")
    sim.cluster.delete(SCHEDULED_JOBS, "sweep")
    sim.apply(MINUTE)
    sim.until("12:02:30")


def foreign_names(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(name="other")
    sim.run_now("sweep-1773144060", name="other")
    stranger: Body = {"apiVersion": "batch/v1", "kind": "Job", "spec": a_template()["spec"]}
    sim.cluster.create(JOBS, {**stranger, "metadata": {"name": "sweep-1773144120", "namespace": NAMESPACE}})
    sim.apply(MINUTE)
    sim.until("12:02:30")


def invalid_and_mended(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:30")
    sim.edit(triggers=triggers("61 * * * *", t1=MINUTE))
    sim.until("12:03:30")
    sim.edit(triggers=triggers(MINUTE))
    sim.until("12:04:30")


def refused(sim: Simulation) -> None:
    """A quota is full for a while; then the template becomes one that can never be a Job."""
    sim.job_seconds = 5
    refusals = {"12:01": ApiError(403, "Forbidden", "exceeded quota"), "12:04": ApiError(422, "Invalid", "no image")}

    def refuse(resource: Resource, _body: Body) -> ApiError | None:
        return refusals.get(f"{sim.now:%H:%M}") if resource is JOBS else None

    sim.cluster.refuse = refuse
    sim.apply(MINUTE, startingDeadlineSeconds=600)
    sim.until("12:05:30")


def runs_refused(sim: Simulation) -> None:
    """For a while the namespace takes no JobRun, the second time for longer than a due time stays fresh."""
    sim.job_seconds = 5
    closed = {"12:01", "12:03", "12:04"}

    def refuse(resource: Resource, _body: Body) -> ApiError | None:
        full = resource is JOB_RUNS and f"{sim.now:%H:%M}" in closed
        return ApiError(403, "Forbidden", "exceeded quota") if full else None

    sim.cluster.refuse = refuse
    sim.apply(MINUTE, "*/2 * * * *")
    sim.until("12:06:00")


def burst(sim: Simulation) -> None:
    """More manual runs in one second than history has lines."""
    sim.job_seconds = 30
    sim.apply(history={"succeeded": 1, "failed": 1})
    for number in range(21):
        sim.cluster.create(JOB_RUNS, sim.manual_run(f"r{number:02}"))
    sim.work()
    sim.run_now("last")
    sim.advance(40)


def retries(sim: Simulation) -> None:
    """The second attempt succeeds; what is due in the back-off is skipped. The edit reaches the next run only."""
    sim.job_seconds, sim.exit_code = 10, 3
    sim.apply(MINUTE, retry={"limit": 2, "backoff": {"initialSeconds": 60}})
    sim.until("12:02:05")
    sim.edit(retry=None)
    sim.exit_code = 0
    sim.until("12:03:30")


def retries_used_up(sim: Simulation) -> None:
    sim.job_seconds, sim.exit_code = 3, 3
    sim.apply(retry={"limit": 2, "backoff": {"initialSeconds": 5}})
    sim.run_now("flaky")
    sim.advance(60)


def timeout_over_attempts(sim: Simulation) -> None:
    """30 s: 10 s, back-off 5 s, and a pause that does not count; the second attempt has 15 s left."""
    sim.apply(retry={"limit": 2, "backoff": {"initialSeconds": 5}}, timeoutSeconds=30)
    sim.run_now("slow")
    sim.advance(10)
    sim.finish(sim.jobs()[0], exit_code=3)
    sim.advance(9)
    sim.edit_run("slow", suspend=True)
    sim.advance(60)
    sim.edit_run("slow", suspend=False)
    sim.advance(30)


def pause_and_resume(sim: Simulation) -> None:
    """What is due in a pause is skipped: the run holds its slot. One that has not begun waits."""
    sim.job_seconds = 20
    sim.apply(MINUTE)
    sim.until("12:01:10")
    sim.edit_run("sweep-1773144060", suspend=True)
    sim.until("12:02:30")
    sim.edit_run("sweep-1773144060", suspend=False)
    sim.until("12:02:55")
    sim.run_now("later", suspend=True)
    sim.until("12:03:30")
    sim.edit_run("later", suspend=False)
    sim.until("12:03:55")


def stop(sim: Simulation) -> None:
    """One that runs, one in pause, one in back-off, and one that has not begun."""
    sim.apply(concurrency={"policy": "Allow"}, retry={"limit": 1, "backoff": {"initialSeconds": 60}})
    for name in ("runs", "pauses", "fails"):
        sim.run_now(name)
        sim.advance(2)
    sim.run_now("waits", suspend=True)
    sim.edit_run("pauses", suspend=True)
    failing = next(job for job in sim.jobs() if job.startswith("fails"))
    sim.finish(failing, exit_code=3)
    sim.advance(10)
    for name in ("runs", "pauses", "fails", "waits"):
        sim.edit_run(name, stop=True)
    sim.advance(10)


def disabled_for_a_while(sim: Simulation) -> None:
    """Until 12:03, when it is due again; nobody enables it, and no operator is there for a while."""
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:30")
    sim.edit(suspend=True, suspendUntil="2026-03-10T12:03:00Z", suspendReason="move", suspendedBy="alice")
    sim.until("12:02:30")
    sim.crash()
    sim.until("12:03:30")
    sim.restart()
    sim.until("12:04:30")


def queue(sim: Simulation) -> None:
    """Two at a time, one that waits, and then one that finds the queue full."""
    sim.job_seconds = 200
    sim.apply(MINUTE, concurrency={"policy": "Queue", "max": 2, "queueLimit": 1})
    sim.until("12:08:30")


def group(sim: Simulation) -> None:
    """Two that share a slot, in the order in which they came; the third skips what it cannot start."""
    sim.job_seconds = 40
    shared = {"policy": "Queue", "group": "db"}
    sim.apply(MINUTE, name="dump", concurrency=shared)
    sim.apply("*/2 * * * *", name="sweep", concurrency=shared)
    sim.apply("*/3 * * * *", name="check", concurrency={"policy": "Forbid", "group": "db"})
    sim.until("12:04:30")


def group_on_the_minute(sim: Simulation) -> None:
    """Runs end in the moment in which others are due: who is due does not overtake who waits."""
    sim.job_seconds = 60
    shared = {"policy": "Queue", "group": "db"}
    sim.apply(MINUTE, name="sweep", concurrency=shared)
    sim.apply("*/2 * * * *", name="dump", concurrency=shared)
    sim.until("12:05:30")


def a_member_goes(sim: Simulation) -> None:
    """Its pods take their time to end, and the slot is theirs until then."""
    shared = {"policy": "Queue", "group": "db"}
    sim.apply(name="dump", concurrency=shared)
    sim.apply(name="sweep", concurrency=shared)
    sim.run_now("first", name="dump")
    sim.run_now("second", name="sweep")
    sim.advance(5)
    sim.cluster.delete(SCHEDULED_JOBS, "dump")
    sim.advance(20)


def cannot_start(sim: Simulation) -> None:
    """The image cannot be pulled: the run ends, and the next one has its turn."""
    template = a_template()
    template["spec"]["template"]["spec"]["containers"][0]["image"] = "missing"
    shared = {"policy": "Queue", "group": "db"}
    sim.apply(name="stuck", concurrency=shared, jobTemplate=template, pendingTimeoutSeconds=60)
    sim.apply(name="sweep", concurrency=shared)
    sim.run_now("first", name="stuck")
    sim.run_now("second")
    sim.advance(120)


def cannot_start_again(sim: Simulation) -> None:
    """A run that cannot start is not tried again, and its time does not run while it is in pause."""
    template = a_template()
    template["spec"]["template"]["spec"]["containers"][0]["image"] = "missing"
    sim.apply(jobTemplate=template, pendingTimeoutSeconds=60, retry={"limit": 3, "backoff": {"initialSeconds": 1}})
    sim.run_now("stuck")
    sim.advance(30)
    sim.edit_run("stuck", suspend=True)
    sim.advance(120)
    sim.edit_run("stuck", suspend=False)
    sim.advance(50)
    assert sim.phases()["stuck"] == "Running"
    sim.advance(30)


def retries_in_a_group(sim: Simulation) -> None:
    """The slot is held through the wait for the next attempt, and through a pause in it; then the next one starts."""
    shared = {"policy": "Queue", "group": "db"}
    sim.apply(name="dump", concurrency=shared, retry={"limit": 1, "backoff": {"initialSeconds": 30}})
    sim.apply(name="sweep", concurrency=shared)
    sim.run_now("first", name="dump")
    sim.advance(20)
    sim.run_now("second", name="sweep")
    sim.advance(20)
    sim.finish(sim.jobs()[0], exit_code=3)
    sim.advance(5)
    sim.edit_run("first", suspend=True)
    sim.advance(60)
    sim.edit_run("first", suspend=False)
    sim.advance(10)
    sim.advance(30)
    sim.finish(next(job for job in sim.jobs() if job.startswith("first")))
    sim.advance(10)


def disabled_while_one_waits(sim: Simulation) -> None:
    """What waits is withdrawn, what runs goes on."""
    sim.job_seconds = 300
    sim.apply(MINUTE, concurrency={"policy": "Queue"})
    sim.until("12:02:30")
    sim.edit(suspend=True)
    sim.until("12:04:30")


def replace_two(sim: Simulation) -> None:
    sim.apply(MINUTE, concurrency={"policy": "Replace", "max": 2})
    sim.until("12:04:30")


# Where many are due together runs are written fifteen seconds ahead: what happens in these


def ahead_and_edited(sim: Simulation) -> None:
    """12:02 is taken away for good, 12:03 is taken away and named again."""
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:55")
    sim.edit(triggers=triggers(late="*/3 * * * *"))
    sim.until("12:02:55")
    sim.edit(triggers=triggers(later="*/5 * * * *"))
    sim.until("12:02:57")
    sim.edit(triggers=triggers(last="*/3 * * * *"))
    sim.until("12:03:30")


def ahead_and_disabled(sim: Simulation) -> None:
    """Over 12:02; and for a moment before 12:04, until it is enabled, and until its time is over."""
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:55")
    sim.edit(suspend=True)
    sim.until("12:02:30")
    sim.edit(suspend=False)
    sim.until("12:03:52")
    sim.edit(suspend=True)
    sim.until("12:03:55")
    sim.edit(suspend=False)
    sim.until("12:04:52")
    sim.edit(suspend=True, suspendUntil="2026-03-10T12:04:58Z")
    sim.until("12:05:30")


def ahead_and_excluded(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:55")
    sim.edit(exclude={"windows": [{"cron": "2 12 * * *", "durationSeconds": 90}]})
    sim.until("12:04:52")
    sim.edit(exclude={"windows": [{"cron": "5 12 * * *", "durationSeconds": 90}]})
    sim.until("12:04:55")
    sim.edit(exclude={})
    sim.until("12:05:30")


def ahead_and_invalid(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:55")
    sim.edit(triggers=triggers("61 * * * *", t1=MINUTE))
    sim.until("12:02:30")
    sim.edit(triggers=triggers(MINUTE))
    sim.until("12:03:30")


def ahead_and_busy(sim: Simulation) -> None:
    """A manual run has the slot at 12:02; another one has ended by 12:04."""
    sim.job_seconds = 20
    sim.apply(MINUTE)
    sim.until("12:01:55")
    sim.run_now("manual")
    sim.until("12:03:30")
    sim.job_seconds = 3
    sim.until("12:03:52")
    sim.run_now("short")
    sim.until("12:04:30")


def ahead_and_queued(sim: Simulation) -> None:
    sim.job_seconds = 20
    sim.apply(MINUTE, concurrency={"policy": "Queue"})
    sim.until("12:01:55")
    sim.run_now("manual")
    sim.until("12:02:45")


def ahead_and_replaced(sim: Simulation) -> None:
    sim.job_seconds = 20
    sim.apply(MINUTE, concurrency={"policy": "Replace"})
    sim.until("12:01:55")
    sim.run_now("manual")
    sim.until("12:02:45")


def ahead_and_deleted(sim: Simulation) -> None:
    """Before its due time a run is no record: who deletes it changes nothing, whether or not an operator looks."""
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:00:55")
    sim.delete(JOB_RUNS, "sweep-1773144060")
    sim.until("12:01:55")
    sim.crash()
    sim.delete(JOB_RUNS, "sweep-1773144120")
    sim.until("12:02:05")
    sim.restart()
    sim.until("12:02:30")


def ahead_and_stopped(sim: Simulation) -> None:
    """Who does not want the one run stops it; a pause lets it wait beyond its due time."""
    sim.job_seconds = 5
    sim.apply(MINUTE, history={"succeeded": 1, "failed": 0})
    sim.until("12:00:55")
    sim.edit_run("sweep-1773144060", stop=True)
    sim.until("12:01:55")
    sim.edit_run("sweep-1773144120", suspend=True)
    sim.until("12:02:20")
    sim.edit_run("sweep-1773144120", suspend=False)
    sim.until("12:02:40")


def ahead_and_away(sim: Simulation) -> None:
    """The operator dies when the run is written: back soon, it starts; back late, catchUp decides."""
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:00:55")
    sim.crash()
    sim.until("12:01:20")
    sim.restart()
    sim.until("12:01:55")
    sim.crash()
    sim.until("12:05:30")
    sim.restart()
    sim.until("12:05:45")


def ahead_and_away_all(sim: Simulation) -> None:
    """The newest two of what was missed: the one that was written ahead is older."""
    sim.job_seconds = 5
    sim.apply(MINUTE, catchUp={"policy": "All", "limit": 2})
    sim.until("12:01:55")
    sim.crash()
    sim.until("12:05:30")
    sim.restart()
    sim.until("12:05:45")


def ahead_and_edited_while_away(sim: Simulation) -> None:
    """What is edited, or disabled, while nobody looks is not run."""
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:01:55")
    sim.crash()
    sim.edit(triggers=triggers(late="*/3 * * * *"))
    sim.until("12:02:20")
    sim.restart()
    sim.until("12:02:55")
    sim.crash()
    sim.edit(suspend=True)
    sim.until("12:03:20")
    sim.restart()
    sim.until("12:03:30")


def ahead_and_recreated(sim: Simulation) -> None:
    sim.job_seconds = 5
    sim.apply(MINUTE)
    sim.until("12:00:55")
    sim.cluster.delete(SCHEDULED_JOBS, "sweep")
    sim.apply(MINUTE)
    sim.until("12:01:30")
    sim.until("12:01:55")
    sim.cluster.delete(SCHEDULED_JOBS, "sweep")
    sim.until("12:02:30")


def ahead_with_jitter(sim: Simulation) -> None:
    """Jitter is not written ahead; a run that is has it when it is given it before its due time."""
    sim.job_seconds = 2
    sim.apply(MINUTE)
    sim.until("12:00:55")
    sim.edit(triggers=[{**triggers(MINUTE)[0], "jitterSeconds": 20}])
    sim.until("12:02:30")


def ahead_two_triggers(sim: Simulation) -> None:
    """The run stays while one of its triggers names its due time."""
    sim.job_seconds = 5
    sim.apply(MINUTE, "*/2 * * * *")
    sim.until("12:01:55")
    sim.edit(triggers=triggers(t1="*/2 * * * *"))
    sim.until("12:03:30")


AHEAD: dict[Story, tuple[list[str], list[str]]] = {
    ahead_and_edited: (["12:01 Succeeded", "12:03 Succeeded"], []),
    ahead_and_disabled: (
        ["12:01 Succeeded", "12:03 Succeeded", "12:04 Succeeded", "12:05 Succeeded"],
        ["t0 12:02:00 Suspended"],
    ),
    ahead_and_excluded: (
        ["12:01 Succeeded", "12:04 Succeeded", "12:05 Succeeded"],
        ["t0 12:02:00-12:03:00 x2 Excluded"],
    ),
    ahead_and_invalid: (["12:01 Succeeded", "12:03 Succeeded"], ["t0 12:02:00 Invalid"]),
    ahead_and_busy: (
        [f"12:0{n} {what}" for n, what in enumerate(("Succeeded", "Skipped", "Succeeded", "Succeeded"), 1)]
        + ["manual Succeeded", "short Succeeded"],
        [],
    ),
    ahead_and_queued: (["12:01 Succeeded", "manual Succeeded", "12:02 Succeeded"], []),
    ahead_and_replaced: (["12:01 Succeeded", "manual Stopped", "12:02 Succeeded"], []),
    ahead_and_deleted: (["12:01 Succeeded", "12:02 Succeeded"], []),
    ahead_and_stopped: (["12:01 Stopped", "12:02 Succeeded"], []),
    ahead_and_away: (
        ["12:01 Succeeded", "12:02 Skipped", "12:05 Succeeded"],
        ["t0 12:03:00-12:04:00 x2 CatchUp"],
    ),
    ahead_and_away_all: (
        ["12:01 Succeeded", "12:02 Skipped", "12:03 Succeeded", "12:04 Succeeded", "12:05 Succeeded"],
        [],
    ),
    ahead_and_edited_while_away: (["12:01 Succeeded", "12:02 Skipped", "12:03 Skipped"], []),
    ahead_and_recreated: (["12:01 Succeeded"], []),
    ahead_with_jitter: (["12:01 Succeeded", "12:02 Succeeded"], []),
    ahead_two_triggers: (["12:01 Succeeded", "12:02 Succeeded"], []),
    # The namespace takes no JobRun in the minutes 12:01 and 12:03, and has taken these before.
    runs_refused: (
        [f"12:0{n} Succeeded" for n in (1, 2, 3, 5)] + ["12:06 Running"],
        [f"t{n} 12:04:00 CatchUp" for n in (0, 1)],
    ),
}


STORIES: dict[Story, tuple[list[str], list[str]]] = {
    every_minute: (["12:01 Succeeded", "12:02 Succeeded", "12:03 Succeeded"], []),
    forbid: (
        ["12:01 Succeeded", "12:03 Succeeded", "12:05 Running"],
        ["t0 12:02:00 ConcurrencyForbid", "t0 12:04:00 ConcurrencyForbid"],
    ),
    allow: (["12:01 Succeeded", "12:02 Succeeded", "12:03 Succeeded", "12:04 Running"], []),
    replace: (["12:01 Stopped", "12:02 Stopped", "12:03 Running"], []),
    two_triggers: (["12:01 Succeeded", "12:02 Succeeded", "12:03 Succeeded", "12:04 Succeeded"], []),
    suspend_and_resume: (["12:01 Succeeded", "12:06 Succeeded"], ["t0 12:02:00-12:05:00 x4 Suspended"]),
    edit: (["12:01 Succeeded", "12:02 Succeeded", "12:03 Succeeded"], []),
    downtime: (
        ["12:01 Succeeded", "12:11 Succeeded", "12:12 Succeeded"],
        ["t0 12:02:00-12:10:00 x9 CatchUp", "t1 12:05:00-12:10:00 x2 CatchUp"],
    ),
    downtime_with_a_deadline: (
        ["12:01 Succeeded", "12:11 Succeeded", "12:12 Succeeded"],
        ["t0 12:02:00-12:08:00 x7 DeadlineExceeded", "t0 12:09:00-12:10:00 x2 CatchUp"],
    ),
    downtime_with_a_late_end: (["12:05 Succeeded", "12:10 Succeeded", "12:15 Succeeded"], []),
    auto_start: (["autoStart Succeeded", "autoStart Succeeded"], []),
    run_now: (["first Succeeded", "second Skipped", "refused Skipped", "forced Succeeded", "stray Skipped"], []),
    failures: (["12:01 Failed", "12:02 Failed", "12:03 Running"], []),
    a_run_is_deleted: (["12:01 Stopped", "12:02 Running"], []),
    recreated: (["12:01 Running", "12:02 Succeeded"], []),
    foreign_names: (["sweep-1773144060 Succeeded", "12:01 Succeeded", "12:02 Succeeded"], []),
    invalid_and_mended: (["12:01 Succeeded", "12:04 Succeeded"], ["t0 12:02:00-12:03:00 x2 Invalid"]),
    refused: (
        ["12:01 Succeeded", "12:03 Succeeded", "12:04 Failed", "12:05 Succeeded"],
        ["t0 12:02:00 ConcurrencyForbid"],
    ),
    runs_refused: (
        ["12:02 Succeeded", "12:05 Succeeded", "12:06 Running"],
        ["t0 12:01:00 CatchUp", "t0 12:03:00-12:04:00 x2 CatchUp", "t1 12:04:00 CatchUp"],
    ),
    retries: (["12:01 Succeeded", "12:03 Succeeded"], ["t0 12:02:00 ConcurrencyForbid"]),
    retries_used_up: (["flaky Failed"], []),
    timeout_over_attempts: (["slow Failed"], []),
    pause_and_resume: (
        ["12:01 Succeeded", "later Succeeded", "12:03 Succeeded"],
        ["t0 12:02:00 ConcurrencyForbid"],
    ),
    stop: (["runs Stopped", "pauses Stopped", "fails Stopped", "waits Stopped"], []),
    disabled_for_a_while: (
        ["12:01 Succeeded", "12:03 Succeeded", "12:04 Succeeded"],
        ["t0 12:02:00 Suspended"],
    ),
    queue: (
        ["12:01 Succeeded", "12:02 Succeeded", "12:03 Succeeded", "12:05 Running", "12:06 Running", "12:08 Queued"],
        ["t0 12:04:00 QueueFull", "t0 12:07:00 QueueFull"],
    ),
    group: (
        ["12:01 Succeeded", "12:02 Succeeded", "12:02 Succeeded", "12:03 Succeeded", "12:04 Running", "12:04 Queued"],
        ["t0 12:03:00 ConcurrencyForbid"],
    ),
    group_on_the_minute: (
        [
            *(
                "12:01 Succeeded",
                "12:02 Succeeded",
                "12:02 Succeeded",
                "12:03 Succeeded",
                "12:04 Running",
                "12:04 Queued",
            ),
            "12:05 Queued",
        ],
        [],
    ),
    a_member_goes: (["first Running", "second Running"], []),
    cannot_start: (["first Failed", "second Running"], []),
    cannot_start_again: (["stuck Failed"], []),
    retries_in_a_group: (["first Succeeded", "second Running"], []),
    disabled_while_one_waits: (["12:01 Running", "12:02 Skipped"], []),
    replace_two: (["12:01 Stopped", "12:02 Stopped", "12:03 Running", "12:04 Running"], []),
    burst: (["r00 Succeeded", *(f"r{number:02} Skipped" for number in range(1, 21)), "last Skipped"], []),
}
"""What comes of each where nothing fails: the runs, and the due times that were skipped."""
