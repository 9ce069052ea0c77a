"""A run that cannot start ends with Kubernetes' own reason, and holds its slot only until its pods are gone."""

from dataclasses import replace
from typing import Any

import pytest

from carillon.api.scheduledjob import Retry
from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Job, Pending, PodReport, Run
from carillon.engine.pods import pending, silent
from carillon.engine.terms import Terms
from tests.unit.engine.builders import (
    HOURLY,
    a_definition,
    a_job,
    a_run,
    at,
    each,
    outcome,
    run_status,
    snapshot,
)

Body = dict[str, Any]
PULL = Pending("ImagePullBackOff", "Back-off pulling image")
RUN = a_run("12:00", "Running")
UID = RUN.status.steps[0].job_uid


def definition(**spec: Any) -> Definition:
    return a_definition(HOURLY, handled="12:00", **spec)


def job(run: Run = RUN, *, active: int = 1, deleting: bool = False, **changes: Any) -> Job:
    return replace(a_job(run, active=active, deleting=deleting), **{"pending_since": at("12:00:05"), **changes})


def looked_up(why: Pending | None = PULL, remaining: int = 1) -> Body:
    return {"pods": {UID: PodReport(remaining, pending=why)}}


class TestWhen:
    def test_before_the_time_is_over_nothing_is_looked_up(self) -> None:
        plan = decide(snapshot(definition(pendingTimeoutSeconds=60), RUN, job()), at("12:01:04"))
        assert each(plan, plans.InspectPods) == []
        assert plan.wake_at == at("12:01:05")

    def test_then_the_pods_are(self) -> None:
        plan = decide(snapshot(definition(pendingTimeoutSeconds=60), RUN, job()), at("12:01:05"))
        assert each(plan, plans.InspectPods) == [plans.InspectPods(UID)]

    @pytest.mark.parametrize(("now", "asked"), [("12:15:04", 0), ("12:15:05", 1)])
    def test_by_default_it_is_a_quarter_of_an_hour(self, now: str, asked: int) -> None:
        assert len(each(decide(snapshot(definition(), RUN, job()), at(now)), plans.InspectPods)) == asked

    @pytest.mark.parametrize(
        ("what", "changes"),
        [
            ("a pod is ready, or has ended", {"started": True}),
            ("the Job is suspended", {"pending_since": None}),
            ("it is being deleted", {"deleting": True}),
        ],
    )
    def test_never_where(self, what: str, changes: Body) -> None:
        snap = snapshot(definition(), RUN, job(**changes))
        assert each(decide(snap, at("12:59")), plans.InspectPods) == [], what

    def test_a_container_that_has_run_is_no_reason_to_end_it(self) -> None:
        plan = decide(snapshot(definition(), RUN, job(), **looked_up(None)), at("12:30"))
        assert outcome(plan, RUN) == ("Running", "")
        assert plan.wake_at == at("12:31"), "an init container may have been the one"


class TestEnd:
    def given_up(self, **more: Any) -> Run:
        step = RUN.status.steps[0].model_copy(update={"phase": "Failed"})
        status = RUN.status.model_copy(update={"reason": PULL.reason, "message": "words", "steps": (step,), **more})
        return replace(RUN, status=status)

    def test_the_record_says_why_before_the_job_is_deleted(self) -> None:
        plan = decide(snapshot(definition(), RUN, job(), **looked_up()), at("12:30"))
        assert outcome(plan, RUN) == ("Running", "ImagePullBackOff")
        assert run_status(plan, RUN).message == (
            "not started within spec.pendingTimeoutSeconds: 900; Back-off pulling image"
        )
        assert each(plan, plans.DeleteJob) == []

    def test_then_the_job_goes(self) -> None:
        run = self.given_up()
        assert [
            stop.uid for stop in each(decide(snapshot(definition(), run, job()), at("12:30")), plans.DeleteJob)
        ] == [UID]

    def test_a_container_that_starts_late_changes_nothing(self) -> None:
        """The record says that it is over, and another run may have read it."""
        run = self.given_up()
        plan = decide(snapshot(definition(), run, job(started=True)), at("12:30"))
        assert len(each(plan, plans.DeleteJob)) == 1

    def test_the_slot_is_held_while_pods_end(self) -> None:
        run, manual = self.given_up(), a_run(created="12:30")
        plan = decide(snapshot(definition(), run, job(deleting=True), manual), at("12:30"))
        assert outcome(plan, manual) == ("Skipped", "ConcurrencyForbid")
        assert outcome(plan, run)[0] == "Running"

    def test_the_run_fails_with_that_reason_when_they_are_gone(self) -> None:
        run, manual = self.given_up(), a_run(created="12:30")
        gone = {"absent_jobs": frozenset({UID}), "pods": {UID: PodReport(0)}}
        plan = decide(snapshot(definition(), run, manual, **gone), at("12:30"))
        assert (*outcome(plan, run), run_status(plan, run).message) == ("Failed", "ImagePullBackOff", "words")
        assert len(each(plan, plans.CreateJob)) == 1, "and the slot is free"

    def test_pods_that_kubernetes_refuses_end_it_with_those_words(self) -> None:
        seen = {**looked_up(Pending("NoPod", "none"), remaining=0), "pods_refused": {UID: "exceeded quota"}}
        plan = decide(snapshot(definition(), RUN, job(active=0), **seen), at("12:30"))
        assert outcome(plan, RUN) == ("Running", "PodsRefused")
        assert run_status(plan, RUN).message.endswith("; exceeded quota")

    def test_where_nobody_says_why(self) -> None:
        plan = decide(snapshot(definition(), RUN, job(), **looked_up(Pending())), at("12:30"))
        assert outcome(plan, RUN) == ("Running", "PendingTimeout")


class TestOtherWords:
    def test_it_is_not_tried_again(self) -> None:
        """Kubernetes counts pods that were told to end as failed."""
        run = TestEnd().given_up()
        terms = Terms(retry=Retry(limit=3))
        failed = replace(
            job(run, active=0, deleting=True), finished=True, reason="BackoffLimitExceeded", terms=terms,
            finished_at=at("12:30"),
        )  # fmt: skip
        plan = decide(snapshot(definition(), run, failed, pods={UID: PodReport(0)}), at("12:30"))
        assert outcome(plan, run) == ("Failed", PULL.reason)
        assert each(plan, plans.CreateJob) == []

    def test_a_stop_comes_too_late(self) -> None:
        run = TestEnd().given_up()
        run = replace(run, spec=run.spec.model_copy(update={"stop": True}))
        plan = decide(snapshot(definition(), run, job()), at("12:30"))
        assert outcome(plan, run) == ("Running", PULL.reason)
        assert len(each(plan, plans.DeleteJob)) == 1

    def test_a_stop_comes_first_where_the_time_is_over_at_the_same_moment(self) -> None:
        run = replace(RUN, spec=RUN.spec.model_copy(update={"stop": True}))
        plan = decide(snapshot(definition(), run, job(), **looked_up()), at("12:30"))
        assert outcome(plan, run) == ("Running", "StopRequested")


def a_pod(*, init: Body | None = None, main: Body | None = None, conditions: list[Body] | None = None) -> Body:
    status: Body = {"phase": "Pending", "conditions": conditions or []}
    if init is not None:
        status["initContainerStatuses"] = [{"name": "init", **init}]
    if main is not None:
        status["containerStatuses"] = [{"name": "main", **main}]
    return {"metadata": {"name": "p", "uid": "uid-p"}, "status": status}


def waits(reason: str, message: str = "") -> Body:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


ENDED_WELL = {"state": {"terminated": {"exitCode": 0}}}
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


@pytest.mark.parametrize(
    ("what", "pods", "why"),
    [
        ("no pod", [], Pending("NoPod", "Kubernetes has made no pod for the Job")),
        ("its image", [a_pod(main=waits("ErrImagePull", "no such host"))], Pending("ErrImagePull", "no such host")),
        (
            "its configuration",
            [a_pod(main=waits("CreateContainerConfigError", "secret gone"))],
            Pending("CreateContainerConfigError", "secret gone"),
        ),
        ("no node", [a_pod(conditions=[UNSCHEDULABLE])], Pending("Unschedulable", "0/3 nodes")),
        (
            "an init container's image",
            [a_pod(init=waits("ImagePullBackOff", "x"), main=waits("PodInitializing"))],
            Pending("ImagePullBackOff", "x"),
        ),
        (
            "the image behind an init container that has ended well",
            [a_pod(init=ENDED_WELL, main=waits("ImagePullBackOff", "x"))],
            Pending("ImagePullBackOff", "x"),
        ),
        ("an init container runs", [a_pod(init={"state": {"running": {}}}, main=waits("PodInitializing"))], None),
        ("an init container crashes", [a_pod(init={**waits("CrashLoopBackOff"), "restartCount": 3})], None),
        ("a container runs", [a_pod(main={"state": {"running": {}}})], None),
        ("a container crashes", [a_pod(main={**waits("CrashLoopBackOff"), "restartCount": 1})], None),
        ("one of two pods has run", [a_pod(main=waits("ErrImagePull")), a_pod(main=ENDED_WELL)], None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_pods_say(what: str, pods: list[Body], why: Pending | None) -> None:
    assert pending(pods) == why, what


def test_events_say_what_the_status_does_not() -> None:
    pods = [a_pod(main=waits("ContainerCreating"))]
    assert silent(pods) == "uid-p"
    events = [
        {"type": "Normal", "reason": "Scheduled", "lastTimestamp": "2026-03-10T12:09:00Z"},
        {"type": "Warning", "reason": "Old", "message": "", "lastTimestamp": "2026-03-10T12:00:00Z"},
        {"type": "Warning", "reason": "FailedMount", "message": "gone", "lastTimestamp": "2026-03-10T12:05:00Z"},
    ]
    assert pending(pods, events) == Pending("FailedMount", "gone")
    assert pending(pods) == Pending()


def test_events_are_not_asked_for_what_the_status_says() -> None:
    assert silent([a_pod(main=waits("ErrImagePull"))]) == ""
    assert silent([a_pod(main={"state": {"running": {}}})]) == ""
    assert silent([]) == ""
