"""backend: CronJob: what the CronJob is, that it stays so, and that its Jobs become runs of the same history."""

from typing import Any

import pytest

from carillon.api import keys
from carillon.engine.native import cron_job_body
from carillon.kube.errors import ApiError
from carillon.kube.resources import CRON_JOBS, JOB_RUNS, JOBS, SCHEDULED_JOBS
from tests.unit.engine.builders import HOURLY, NAME, NAMESPACE, a_definition, a_template, at
from tests.unit.engine.simulator import Fault, Simulation

Body = dict[str, Any]
NATIVE = "CronJob"


def body_of(*crons: str, **spec: Any) -> Body:
    return cron_job_body(a_definition(*(crons or (HOURLY,)), backend=NATIVE, **spec))


class TestTheCronJob:
    """What is applied."""

    def test_it_is_the_definition_in_cronjobs_words(self) -> None:
        spec = body_of(startingDeadlineSeconds=600, concurrency={"policy": "Replace"}, suspend=True)["spec"]
        del spec["jobTemplate"]
        assert spec == {
            "schedule": HOURLY,
            "timeZone": "Etc/UTC",
            "suspend": True,
            "concurrencyPolicy": "Replace",
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 10,
            "failedJobsHistoryLimit": 10,
        }

    def test_it_is_owned_and_labelled(self) -> None:
        metadata = body_of()["metadata"]
        assert (metadata["namespace"], metadata["name"]) == (NAMESPACE, NAME)
        [owner] = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ScheduledJob", "uid-sweep", True)
        assert metadata["labels"][keys.NATIVE_LABEL] == "uid-sweep"
        assert metadata["labels"][keys.SCHEDULED_JOB_LABEL] == NAME

    def test_its_time_zone_is_the_triggers(self) -> None:
        trigger = {"name": "t", "cron": "0  3 * * *", "timeZone": "Asia/Tokyo"}
        spec = cron_job_body(a_definition(backend=NATIVE, triggers=[trigger]))["spec"]
        assert (spec["schedule"], spec["timeZone"]) == ("0 3 * * *", "Asia/Tokyo")

    def test_it_keeps_as_many_jobs_as_history_and_ten_at_least(self) -> None:
        spec = body_of(history={"succeeded": 50, "failed": 1})["spec"]
        assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (50, 10)

    def test_jobs_are_told_their_run_and_live_as_long_as_the_history_wants(self) -> None:
        template = a_template()
        template["spec"]["ttlSecondsAfterFinished"] = 60
        job = body_of(jobTemplate=template, timeoutSeconds=30)["spec"]["jobTemplate"]
        assert job["metadata"]["labels"][keys.TRIGGER_LABEL] == "Periodic"
        assert "ttlSecondsAfterFinished" not in job["spec"]
        assert job["spec"]["activeDeadlineSeconds"] == 30
        [variable] = job["spec"]["template"]["spec"]["containers"][0]["env"]
        path = "metadata.labels['batch.kubernetes.io/job-name']"
        assert variable == {"name": "CARILLON_RUN", "valueFrom": {"fieldRef": {"fieldPath": path}}}

    def test_the_hash_changes_with_it(self) -> None:
        hashes = {b["metadata"]["annotations"][keys.APPLIED_ANNOTATION] for b in (body_of(), body_of(suspend=True))}
        assert len(hashes) == 2


def cron_job(sim: Simulation) -> Body | None:
    return sim.cluster.objects[CRON_JOBS].get(NAME)


def conditions(sim: Simulation) -> dict[str, str]:
    status = sim.cluster.objects[SCHEDULED_JOBS][NAME]["status"]
    return {c["type"]: f"{c['status']} {c['reason']}" for c in status["conditions"]}


def status(sim: Simulation) -> Body:
    return dict(sim.cluster.objects[SCHEDULED_JOBS][NAME]["status"])


def fire(sim: Simulation, due: str) -> str:
    """Let the CronJob controller make the Job of a due time."""
    if at(due) > sim.now:
        sim.until(due)
    job = sim.cluster.fire_native(NAME, at(due))
    sim.work()
    return job


class TestKeeping:
    """The CronJob is there, and as it should be."""

    def test_a_new_definition_gets_one(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        made = cron_job(sim)
        assert made is not None
        assert made["spec"]["schedule"] == HOURLY
        assert conditions(sim) == {"Ready": "True Accepted", "NativeBackend": "True BestEffort"}
        assert status(sim)["nextExecutions"][0] == "2026-03-10T13:00:00Z"
        sim.settle()

    def test_we_fire_nothing(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        sim.advance(3 * 3600)
        assert not sim.phases()
        assert status(sim)["nextExecutions"][0] == "2026-03-10T16:00:00Z", "and still say what comes next"
        assert not sim.verify()
        sim.settle()

    @pytest.mark.parametrize(
        "change",
        [
            {"spec": {"schedule": "1 1 1 1 *"}},
            {"spec": {"suspend": True}},
            {"spec": {"startingDeadlineSeconds": 7}},
            {"spec": {"jobTemplate": {"spec": {"suspend": True, "parallelism": 3, "ttlSecondsAfterFinished": 5}}}},
            {"metadata": {"annotations": {keys.APPLIED_ANNOTATION: "0"}}},
        ],
    )
    def test_drift_is_corrected(self, change: Body) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        before = cron_job(sim)
        assert before is not None
        sim.cluster.merge_patch(CRON_JOBS, NAME, change)
        sim.work()
        after = cron_job(sim)
        assert after is not None
        assert (after["spec"], after["metadata"]["annotations"]) == (before["spec"], before["metadata"]["annotations"])
        sim.settle()

    def test_what_somebody_added_while_the_operator_was_away_goes(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        before = cron_job(sim)
        assert before is not None
        sim.crash()
        sim.cluster.merge_patch(CRON_JOBS, NAME, {"spec": {"startingDeadlineSeconds": 7}})
        sim.restart()
        sim.settle()
        assert (cron_job(sim) or {})["spec"] == before["spec"]

    def test_others_keep_their_metadata(self) -> None:
        """Tools mark what they track, and would mark it again."""
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        theirs = {"labels": {"team": "files"}, "annotations": {"tool/tracks": "it"}, "finalizers": ["tool/holds"]}
        sim.cluster.merge_patch(CRON_JOBS, NAME, {"metadata": theirs, "spec": {"suspend": True}})
        sim.work()
        made = cron_job(sim)
        assert made is not None
        assert made["spec"]["suspend"] is False
        assert made["metadata"]["labels"]["team"] == "files"
        assert made["metadata"]["annotations"]["tool/tracks"] == "it"
        assert made["metadata"]["finalizers"] == ["tool/holds"]
        sim.settle()

    def test_a_deleted_one_is_made_anew(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        sim.delete(CRON_JOBS, NAME)
        assert cron_job(sim) is not None
        sim.settle()

    def test_an_edit_reaches_it_and_fires_nothing_that_was_due_before(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        trigger = {"name": "t0", "cron": "*/10 * * * *"}
        sim.advance(60)
        sim.edit(triggers=[trigger], concurrency={"policy": "Allow"})
        made = cron_job(sim)
        assert made is not None
        assert (made["spec"]["schedule"], made["spec"]["concurrencyPolicy"]) == ("*/10 * * * *", "Allow")
        assert made["status"]["lastScheduleTime"] == "2026-03-10T12:01:30Z"
        sim.settle()

    def test_disabling_and_enabling(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        sim.edit(suspend=True)
        assert (cron_job(sim) or {})["spec"]["suspend"] is True
        sim.advance(7200)
        sim.edit(suspend=False)
        made = cron_job(sim)
        assert made is not None
        assert made["spec"]["suspend"] is False
        assert made["status"]["lastScheduleTime"] == "2026-03-10T14:00:30Z", "what was due meanwhile is not started"
        assert "skips" not in status(sim)
        sim.settle()

    def test_an_invalid_edit_suspends_it(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        sim.edit(triggers=[{"name": "t0", "cron": "H 3 * * *"}])
        assert (cron_job(sim) or {})["spec"]["suspend"] is True
        assert conditions(sim)["Ready"] == "False InvalidSpec"
        sim.edit(triggers=[{"name": "t0", "cron": "5 3 * * *"}])
        made = cron_job(sim)
        assert made is not None
        assert (made["spec"]["suspend"], made["spec"]["schedule"]) == (False, "5 3 * * *")
        assert conditions(sim) == {"Ready": "True Accepted", "NativeBackend": "True BestEffort"}
        sim.settle()

    def test_a_foreign_one_is_reported_and_never_touched(self) -> None:
        sim = Simulation()
        foreign = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": {"schedule": "1 2 3 4 *"}}
        theirs = sim.cluster.create(CRON_JOBS, foreign)
        sim.apply(HOURLY, backend=NATIVE)
        sim.advance(60)
        assert cron_job(sim) == theirs
        assert conditions(sim)["Ready"] == conditions(sim)["NativeBackend"] == "False NameTaken"
        assert status(sim)["display"]["status"] == "Invalid"
        assert "next" not in status(sim)["display"] or status(sim)["display"]["next"] == ""
        assert not status(sim).get("nextExecutions")
        sim.delete(CRON_JOBS, NAME)
        sim.advance(31)
        assert status(sim)["nextExecutions"]
        assert conditions(sim) == {"Ready": "True Accepted", "NativeBackend": "True BestEffort"}
        sim.settle()

    def test_a_refusal_is_told_and_tried_again(self) -> None:
        sim = Simulation()
        sim.cluster.refuse = lambda resource, _: (
            ApiError(403, "Forbidden", "no CronJobs here") if resource is CRON_JOBS else None
        )
        sim.apply(HOURLY, backend=NATIVE)
        assert conditions(sim)["Ready"] == "False CronJobRefused"
        assert not status(sim).get("nextExecutions")
        sim.cluster.refuse = lambda _resource, _body: None
        sim.advance(31)
        assert conditions(sim)["Ready"] == "True Accepted"
        sim.settle()


class TestRuns:
    """What the CronJob controller does is in the same history."""

    def test_a_native_job_becomes_a_run(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        run = sim.cluster.objects[JOB_RUNS][job]
        assert run["spec"]["scheduledTime"] == "2026-03-10T13:00:00Z"
        assert run["spec"]["trigger"] == {"type": "Periodic", "name": "t0"}
        assert run["status"]["phase"] == "Running"
        assert status(sim)["lastExecution"]["run"] == job
        metadata = sim.cluster.objects[JOBS][job]["metadata"]
        assert metadata["labels"][keys.RUN_UID_LABEL] == run["metadata"]["uid"]
        assert [owner["kind"] for owner in metadata["ownerReferences"]] == ["CronJob", "JobRun"]
        sim.finish(job)
        assert sim.phases() == {job: "Succeeded"}
        assert status(sim)["counts"]["succeeded"] == 1
        sim.settle()

    def test_a_failure_has_its_last_words(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.finish(job, exit_code=3)
        run = sim.cluster.objects[JOB_RUNS][job]["status"]
        assert (run["phase"], run["steps"][0]["exitCode"]) == ("Failed", 3)
        sim.settle()

    def test_one_by_kubectl_create_job_is_a_manual_run(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        made = cron_job(sim)
        assert made is not None
        template = made["spec"]["jobTemplate"]
        metadata = {**template["metadata"], "name": "by-hand", "namespace": NAMESPACE}
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": NAME, "uid": made["metadata"]["uid"]}
        metadata["ownerReferences"] = [{**owner, "controller": True}]
        sim.cluster.create(JOBS, {"metadata": metadata, "spec": template["spec"]})
        sim.work()
        run = sim.cluster.objects[JOB_RUNS]["by-hand"]
        assert run["spec"]["trigger"]["type"] == "Manual"
        assert "scheduledTime" not in run["spec"]
        sim.finish("by-hand")
        assert sim.phases() == {"by-hand": "Succeeded"}
        sim.settle()

    @pytest.mark.parametrize("backend", ["Operator", NATIVE])
    @pytest.mark.parametrize("controller", [None, "nobody"])
    def test_a_job_that_only_says_so_stands_for_no_due_time_and_holds_no_slot(
        self, backend: str, controller: str | None
    ) -> None:
        sim = Simulation(job_seconds=5)
        sim.apply(HOURLY, backend=backend)
        definition = sim.cluster.get(SCHEDULED_JOBS, NAME)["metadata"]["uid"]
        metadata: Body = {
            "name": "evil",
            "namespace": NAMESPACE,
            "labels": {keys.NATIVE_LABEL: definition, keys.SCHEDULED_JOB_LABEL: NAME},
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-03-10T13:00:00Z"},
        }
        if controller is not None:
            owner = {"kind": "ScheduledJob", "uid": definition}  # so that the garbage collector leaves it
            metadata["ownerReferences"] = [
                owner,
                {"apiVersion": "batch/v1", "kind": "CronJob", "uid": controller, "controller": True},
            ]
        template = {"spec": {"containers": [{"image": "busybox"}]}}
        sim.cluster.create(JOBS, {"metadata": metadata, "spec": {"template": template}})
        sim.work()
        assert sim.phases() == {}
        if backend == "Operator":
            sim.until("13:00:06")
            assert list(sim.phases().values()) == ["Succeeded"]

    def test_what_ran_while_the_operator_was_away_is_recorded_when_it_is_back(self) -> None:
        sim = Simulation(job_seconds=5)
        sim.apply(HOURLY, backend=NATIVE)
        sim.crash()
        for due in ("13:00:00", "14:00:00", "15:00:00"):
            sim.until(due)
            sim.cluster.fire_native(NAME, at(due))
        sim.advance(60)
        sim.settle()
        assert list(sim.phases().values()) == ["Succeeded"] * 3
        assert [line["scheduledTime"][11:13] for line in status(sim)["history"]] == ["15", "14", "13"]

    def test_one_whose_record_is_deleted_has_not_stopped(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.delete(JOB_RUNS, job)
        sim.advance(5)
        [line] = status(sim)["history"]
        assert (line["phase"], line["reason"]) == ("Running", "RunDeleted")
        assert "the Job is the CronJob's, and goes on" in line["message"]
        assert "completionTime" not in line
        assert not status(sim)["counts"].get("stopped")
        assert job in sim.cluster.objects[JOBS]
        sim.advance(60)
        sim.finish(job)
        [line] = status(sim)["history"]
        assert (line["phase"], line["reason"]) == ("Succeeded", "RunDeleted")
        assert line["message"] == "the JobRun was deleted while its Job ran; the Job says: Complete"
        assert line["completionTime"] == status(sim)["lastSuccessfulTime"] == "2026-03-10T13:01:05Z"
        assert status(sim)["lastExecution"] == line
        assert status(sim)["counts"]["succeeded"] == 1
        sim.settle()

    def test_one_whose_record_is_deleted_and_whose_job_fails(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.delete(JOB_RUNS, job)
        sim.advance(5)
        sim.finish(job, exit_code=3)
        [line] = status(sim)["history"]
        assert (line["phase"], line["reason"]) == ("Failed", "RunDeleted")
        assert line["message"].endswith("the Job says: BackoffLimitExceeded")
        assert (status(sim)["lastFailedTime"], status(sim)["counts"]["failed"]) == (line["completionTime"], 1)
        sim.settle()

    @pytest.mark.parametrize("seen", [True, False])
    def test_one_whose_record_is_deleted_and_whose_job_goes_ends_unknown(self, seen: bool) -> None:
        """The Job and the CronJob are gone, too, perhaps while nobody looked."""
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.delete(JOB_RUNS, job)
        sim.advance(5)
        if not seen:
            sim.crash()
        sim.cluster.delete(CRON_JOBS, NAME)
        sim.cluster.delete(JOBS, job)
        if not seen:
            sim.restart()
        sim.advance(20)
        [line] = status(sim)["history"]
        assert (line["phase"], line["reason"]) == ("Stopped", "RunDeleted")
        assert "how it ended is not known" in line["message"]
        assert "completionTime" not in line
        assert status(sim)["counts"]["stopped"] == 1
        sim.settle()

    def test_a_pruned_run_does_not_come_back(self) -> None:
        sim = Simulation(job_seconds=5)
        sim.apply(HOURLY, backend=NATIVE, history={"succeeded": 1, "failed": 0})
        for due in ("13:00:00", "14:00:00", "15:00:00"):
            fire(sim, due)
        sim.advance(60)
        sim.restart()
        sim.settle()
        assert list(sim.phases()) == ["sweep-29552580"]
        assert len(sim.cluster.objects[JOBS]) == 3, "the CronJob keeps its Jobs"
        assert status(sim)["counts"]["succeeded"] == 3

    def test_a_job_that_is_gone_is_not_made_by_us(self) -> None:
        """It goes between the write of its run and the next one."""
        sim = Simulation(lagging=True)
        sim.apply(HOURLY, backend=NATIVE)
        assert sim.process is not None
        sim.process.deliver()
        sim.work()
        sim.until("13:00:00")
        job = sim.cluster.fire_native(NAME, at("13:00:00"))
        sim.process.deliver(JOBS)
        sim.cluster.delete(JOBS, job)
        sim.work()
        sim.advance(10)
        sim.settle()
        assert not sim.jobs()
        assert sim.phases() == {job: "Failed"}

    def test_replace_by_the_cronjob_controller_is_a_stop(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE, concurrency={"policy": "Replace"})
        first = fire(sim, "13:00:00")
        sim.until("14:00:00")
        sim.cluster.delete(JOBS, first)
        second = fire(sim, "14:00:00")
        sim.advance(10)
        assert sim.phases() == {first: "Stopped", second: "Running"}
        sim.finish(second)
        sim.settle()

    def test_manual_runs_see_native_jobs(self) -> None:
        """Forbid holds for Run Now; the CronJob controller does not look at ours."""
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.run_now("now")
        assert sim.phases() == {job: "Running", "now": "Skipped"}
        sim.finish(job)
        sim.run_now("later")
        assert sim.phases()["later"] == "Running"
        sim.finish(sim.jobs()[0])
        sim.settle()


class TestChangingTheBackend:
    """No due time is fired twice; the ledger of the simulation watches for it."""

    def test_to_the_cronjob_and_back(self) -> None:
        sim = Simulation(job_seconds=5)
        sim.apply(HOURLY)
        sim.until("13:00:01")
        assert [run["spec"]["scheduledTime"] for run in sim.cluster.objects[JOB_RUNS].values()] == [
            "2026-03-10T13:00:00Z"
        ]
        sim.advance(60)
        sim.edit(backend=NATIVE)
        assert cron_job(sim) is not None
        native = fire(sim, "14:00:00")
        sim.advance(60)
        sim.edit(backend="Operator")
        assert cron_job(sim) is None
        assert conditions(sim) == {
            "Ready": "True Accepted",
            "LastRunSucceeded": "True Completed",
            "OnTime": "True StartedOnTime",
        }
        assert native in sim.cluster.objects[JOBS], "its Jobs stay, and belong to their runs"
        sim.until("15:00:10")
        assert len(sim.phases()) == 3
        sim.settle()
        assert not sim.verify()
        sim.delete(JOB_RUNS, native)
        assert native not in sim.cluster.objects[JOBS]

    def test_back_while_a_native_job_runs(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.edit(backend="Operator")
        assert sim.phases() == {job: "Running"}
        sim.until("14:00:01")
        assert sim.phases() == {job: "Running"}, "Forbid: it holds the slot"
        sim.finish(job)
        sim.until("15:00:01")
        assert list(sim.phases().values()) == ["Succeeded", "Running"]
        sim.finish(sim.jobs()[0])
        sim.settle()

    @pytest.mark.parametrize("policy", ["Forbid", "Replace"])
    def test_it_starts_nothing_beside_a_run_that_it_does_not_see(self, policy: str) -> None:
        sim = Simulation()
        sim.apply(HOURLY, concurrency={"policy": policy})
        sim.until("13:00:01")
        sim.edit(backend=NATIVE)
        assert (cron_job(sim) or {})["spec"]["suspend"] is True
        assert conditions(sim)["NativeBackend"] == "False Waiting"
        sim.until("14:10:00")
        assert len(sim.phases()) == 1
        sim.finish(sim.jobs()[0])
        made = cron_job(sim)
        assert made is not None
        assert made["spec"]["suspend"] is False
        assert made["status"]["lastScheduleTime"] == "2026-03-10T14:10:00Z", "14:00 is not started late"
        assert conditions(sim)["NativeBackend"] == "True BestEffort"
        sim.settle()

    def test_a_cronjob_that_was_made_anew_waits_for_the_jobs_of_the_old_one(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        job = fire(sim, "13:00:00")
        sim.cluster.delete(CRON_JOBS, NAME, orphan=True)
        sim.work()
        assert (cron_job(sim) or {})["spec"]["suspend"] is True
        sim.finish(job)
        assert (cron_job(sim) or {})["spec"]["suspend"] is False
        sim.settle()

    def test_with_allow_it_waits_for_nobody(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, concurrency={"policy": "Allow"})
        sim.until("13:00:01")
        sim.edit(backend=NATIVE)
        assert (cron_job(sim) or {})["spec"]["suspend"] is False

    def test_one_that_fires_is_not_stopped_by_a_manual_run(self) -> None:
        """It has to go on while no operator is there to resume it."""
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        sim.run_now("now")
        assert sim.phases() == {"now": "Running"}
        sim.edit(label="other")
        assert (cron_job(sim) or {})["spec"]["suspend"] is False

    def test_the_operators_due_times_are_resolved_before_the_cronjob_is_made(self) -> None:
        """It comes back after a due time to find the backend changed."""
        sim = Simulation(job_seconds=5)
        sim.apply(HOURLY)
        sim.crash()
        sim.until("13:00:02")
        sim.cluster.edit(NAME, backend=NATIVE)
        assert not sim.cluster.objects[CRON_JOBS]
        sim.settle()
        sim.advance(10)
        assert list(sim.phases().values()) == ["Succeeded"], "13:00 was the operator's"
        assert cron_job(sim) is not None

    def test_deleting_the_definition_takes_all_along(self) -> None:
        sim = Simulation()
        sim.apply(HOURLY, backend=NATIVE)
        fire(sim, "13:00:00")
        sim.delete(SCHEDULED_JOBS, NAME)
        assert not any(sim.cluster.objects[kind] for kind in (SCHEDULED_JOBS, CRON_JOBS, JOB_RUNS, JOBS))


def story(faults: dict[int, Fault] | None = None) -> Simulation:
    """Operator, CronJob, a run of its own, an edit, and back; the process may die at any write."""
    sim = Simulation(job_seconds=5, faults=faults)
    sim.apply(HOURLY)
    sim.until("13:00:30")
    sim.edit(backend=NATIVE)
    sim.until("14:00:00")
    if cron_job(sim) is None:
        sim.restart()
        sim.work()
    fire(sim, "14:00:00")
    sim.advance(30)
    sim.edit(label="other")
    sim.edit(backend="Operator")
    sim.advance(30)
    if sim.process is None:
        sim.restart()
    sim.until("15:00:30")
    sim.settle()
    return sim


def test_no_crash_loses_or_doubles_a_run() -> None:
    calm = story()
    assert len(calm.phases()) == 3
    for number in range(1, calm.writes.count + 1):
        for fault in (Fault.DIE_BEFORE, Fault.DIE_AFTER, Fault.LOSE_REQUEST, Fault.LOSE_ANSWER):
            sim = story({number: fault})
            assert list(sim.phases().values()) == ["Succeeded"] * 3, (number, fault, sim.writes.log)
            assert cron_job(sim) is None, (number, fault)
