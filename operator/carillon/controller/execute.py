"""Carries out the actions of a plan: one request each, and what its answer means. No decision is taken here.

Every action is safe to repeat: a create that finds its name taken looks who holds it, a delete names the UID, a status
write the resourceVersion.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import orjson
import structlog

from carillon.api import keys
from carillon.api.base import API_VERSION
from carillon.api.conditions import Condition
from carillon.controller.metrics import Metrics
from carillon.controller.native import NativeExecutor
from carillon.controller.store import Object, Store
from carillon.engine import build, pods
from carillon.engine import plan as plans
from carillon.engine.model import LONGEST_REFUSED, CalendarKey, Key, PodReport, Refusal, TemplateCheck
from carillon.engine.read import controller_uid, definition_uid, read_job, read_run
from carillon.engine.runstatus import status_body
from carillon.engine.task_access import able_to_report
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from carillon.kube.events import Recorder, Reference
from carillon.kube.resources import CALENDARS, EVENTS, JOB_RUNS, JOBS, PODS, SCHEDULED_JOBS

LAST_LINES = 20
LAST_BYTES = 2048
RETRY_REFUSED = timedelta(seconds=5)
NOT_OF_THE_JOB = (401, 404, 408, 409, 429)
"""Answers of the API server that say nothing about the Job that was to be made."""
MOST_SURE = 50_000
"""Runs of which it is remembered that they were asked for; more are asked for once more."""

log = structlog.get_logger(__name__)


class Executor:
    """Turns actions into requests, and answers into what the store knows."""

    def __init__(
        self,
        *,
        client: Client,
        store: Store,
        recorder: Recorder,
        metrics: Metrics,
        clock: Callable[[], datetime],
        last_words: bool,
        progress_url: str = "",
        pass_over: Callable[[Key, plans.PassOverEvents], None] = lambda _key, _action: None,
    ) -> None:
        self._client = client
        self._store = store
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._last_words = last_words
        self._sure: OrderedDict[str, None] = OrderedDict()
        """UIDs of runs that were read or made since this process leads."""
        self._pass_over = pass_over
        self._progress_url = progress_url
        self._native = NativeExecutor(client=client, store=store, clock=clock, progress_url=progress_url)

    async def execute(self, key: Key, action: plans.Action) -> None:
        """Carry out one action.

        Raises:
            ApiError: the API server refused it in a way that a new decision has to deal with.
            Unreachable: nobody knows whether it was carried out.
            WritesRefused: this process does not lead.
        """
        match action:
            case plans.CreateRun():
                await self._create_run(key, action)
            case plans.CreateJob():
                await self._create_job(key, action)
            case plans.PassOverEvents():
                self._pass_over(key, action)
            case plans.LookUpDefinition():
                await self._look_up_definition(key)
            case plans.LookUpJob():
                await self._look_up_job(key, action)
            case plans.ReadJob():
                await self._read_job(key, action)
            case plans.InspectPods():
                await self._inspect_pods(key, action)
            case plans.CheckTemplate():
                await self._check_template(key, action)
            case plans.AdoptRun():
                await self._adopt_run(key, action)
            case plans.DeleteJob():
                await self._client.delete(JOBS, key.namespace, action.name, uid=action.uid, propagation="Foreground")
                self._store.mark_deleting(key, action.uid)
            case plans.SuspendJob():
                patch = build.suspension_patch(
                    uid=action.uid, suspend=action.suspend, deadline_seconds=action.deadline_seconds
                )
                self._store.put_job(await self._client.merge_patch(JOBS, key.namespace, action.name, patch))
            case plans.DeleteRun():
                await self._client.delete(JOB_RUNS, key.namespace, action.name, uid=action.uid)
                self._store.drop(action.uid)
            case plans.WithdrawRun():
                await self._withdraw_run(key, action)
            case plans.WriteRunStatus():
                await self._write_run_status(key, action)
            case plans.WriteDefinitionStatus():
                body = _status_body("ScheduledJob", key.namespace, key.name, action.resource_version, action.status)
                self._store.put_definition(
                    await self._client.replace(SCHEDULED_JOBS, key.namespace, key.name, body, subresource="status")
                )
            case (
                plans.LookUpCronJob()
                | plans.ApplyCronJob()
                | plans.SuspendCronJob()
                | plans.DeleteCronJob()
                | plans.AdoptJob()
            ):
                await self._native.execute(key, action)
            case plans.WriteCalendarStatus():
                body = _status_body("Calendar", key.namespace, key.name, action.resource_version, action.status)
                raw = await self._client.replace(CALENDARS, key.namespace, key.name, body, subresource="status")
                self._store.calendars.note_counted(CalendarKey(key.namespace, key.name), self._clock())
                self._store.put_calendar(raw)
            case plans.Emit():
                self._recorder.emit(
                    regarding=_reference(action.kind, key.namespace, action.name, action.uid),
                    type=action.type,
                    reason=action.reason,
                    message=action.message,
                )

    async def tell_parked(self, key: Key, problem: Exception) -> None:
        """Say on the definition that the operator fails on it; the next decision that succeeds takes it back."""
        definition = self._store.definition(key)
        if definition is None:
            return
        stalled = Condition(
            type="Stalled",
            status="True",
            observed_generation=definition.generation,
            last_transition_time=self._clock().replace(microsecond=0),
            reason="OperatorError",
            message=f"the operator fails on this object ({type(problem).__name__}) and tries again; see its log",
        )
        others = tuple(c for c in definition.status.conditions if c.type != stalled.type)
        status = definition.status.model_copy(update={"conditions": (*others, stalled)})
        action = plans.WriteDefinitionStatus(definition.resource_version, status_body(status))
        try:
            await self.execute(key, action)
        except (ApiError, Unreachable, WritesRefused) as error:
            log.info("not told", key=str(key), why=str(error))

    def begin(self) -> None:
        """Begin to lead: what the watches have told of runs may be what was before the last leader's writes."""
        self._sure.clear()

    async def refresh(self, key: Key, action: plans.Action) -> None:
        """Read anew what a refused write was about, for the watch may be behind."""
        match action:
            case plans.WriteDefinitionStatus():
                await self._look_up_definition(key)
            case plans.WriteRunStatus() | plans.AdoptRun() | plans.WithdrawRun():
                await self._read_again_run(key, action.name)
            case plans.SuspendCronJob() | plans.DeleteCronJob():
                await self._native.look_up(key)
            case plans.SuspendJob():
                await self._look_up_job(key, plans.LookUpJob(action.name, action.uid, action.run_uid))
            case plans.WriteCalendarStatus():
                await self.read_calendar(CalendarKey(key.namespace, key.name))
            case _:
                pass

    async def look_for(self, key: Key, action: plans.CreateRun | plans.CreateJob | plans.WithdrawRun) -> None:
        """Learn whether a write has had its effect whose answer was lost: nothing may be decided without knowing."""
        if isinstance(action, plans.WithdrawRun):
            await self._look_for_withdrawn(key, action)
            return
        resource = JOB_RUNS if isinstance(action, plans.CreateRun) else JOBS
        try:
            raw = await self._client.get(resource, key.namespace, action.name)
        except ApiError as error:
            if not error.not_found:
                raise
            return
        if isinstance(action, plans.CreateRun):
            if self._same_run(raw, action.body):
                self._take_in_run(raw)
        elif controller_uid(raw, "JobRun") == action.run_uid:
            self._store.put_job(raw)

    async def _look_for_withdrawn(self, key: Key, action: plans.WithdrawRun) -> None:
        try:
            raw = await self._client.get(JOB_RUNS, key.namespace, action.name)
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            if raw["metadata"]["uid"] == action.uid:
                # It is there: if it goes after all, that is to be told like any other deletion.
                self._store.notes(key).withdrawn.discard(action.uid)
                self._take_in_run(raw)
                return
        self._store.drop(action.uid)

    def _take_in_run(self, raw: Object) -> None:
        self._store.put_run(raw)
        self._sure[raw["metadata"]["uid"]] = None
        while len(self._sure) > MOST_SURE:
            self._sure.popitem(last=False)

    async def _may_have_job(self, key: Key, action: plans.CreateJob) -> bool:
        """Whether a run is still what it was taken for: without a Job for this attempt, and not at its end.

        Asked once of each run that this process has not made while it leads. The watches of a standby may be silent
        for a minute, and what has run and gone in that time would run again.
        """
        known = self._store.run(action.run_uid)
        if known is None or action.run_uid in self._sure:
            return True
        try:
            raw = await self._client.get(JOB_RUNS, key.namespace, known.name)
        except ApiError as error:
            if not error.not_found:
                raise
            self._store.drop(known.uid)
            return False
        self._take_in_run(raw)
        run = self._store.run(action.run_uid)
        if run is None or raw["metadata"]["uid"] != run.uid:
            self._store.drop(known.uid)
            return False
        return run.spec == known.spec and not run.finished and len(run.status.steps) < action.attempt

    # Who was not found is forgotten by the UID that was known before the question: what a watch has told while the
    # answer was on its way is newer than the answer.

    async def _read_again_run(self, key: Key, name: str) -> None:
        known = [run.uid for run in self._store.snapshot(key).runs if run.name == name]
        try:
            self._store.put_run(await self._client.get(JOB_RUNS, key.namespace, name))
        except ApiError as error:
            if not error.not_found:
                raise
            for uid in known:
                self._store.drop(uid)
            # It may have gone with its definition, which may have been made anew under the same name.
            await self._look_up_definition(key)

    async def read_calendar(self, key: CalendarKey) -> None:
        """Ask the API server itself for a Calendar: the watches of kinds are not in step."""
        known = self._store.calendars.get(key)
        try:
            self._store.put_calendar(await self._client.get(CALENDARS, key.namespace, key.name))
        except ApiError as error:
            if not error.not_found:
                raise
            if known is not None:
                self._store.drop(known.uid)

    async def _create_run(self, key: Key, action: plans.CreateRun) -> None:
        try:
            raw = await self._client.create(JOB_RUNS, key.namespace, action.body)
        except ApiError as error:
            if not error.already_exists:
                raise
            raw = await self._client.get(JOB_RUNS, key.namespace, action.name)
            if not self._same_run(raw, action.body):
                self._note_taken(key, self._store.notes(key).taken_runs, action.name)
                self._tell_taken(key, "JobRun", action.name)
        self._take_in_run(raw)

    async def _adopt_run(self, key: Key, action: plans.AdoptRun) -> None:
        try:
            self._store.put_run(await self._client.merge_patch(JOB_RUNS, key.namespace, action.name, action.patch))
        except ApiError as error:
            if not (error.conflict or error.not_found):
                self._store.notes(key).not_adoptable.add(action.uid)
            raise

    @staticmethod
    def _same_run(raw: Object, body: Object) -> bool:
        wanted = body["metadata"]["ownerReferences"][0]["uid"]
        spec, asked = read_run(raw).spec, body["spec"]
        due, trigger = raw["spec"].get("scheduledTime"), asked["trigger"]
        record_of, wanted_record_of = (
            (found["metadata"].get("annotations") or {}).get(keys.NATIVE_JOB_ANNOTATION) for found in (raw, body)
        )
        return bool(
            definition_uid(raw) == wanted
            and due == asked.get("scheduledTime")
            and spec.trigger.type == trigger["type"]
            # Of triggers that are due at the same instant any may have given the run its name.
            and (due is not None or spec.trigger.name == trigger["name"])
            and record_of == wanted_record_of
        )

    def _as_sent(self, action: plans.CreateJob) -> Object:
        body = build.keeping_last_words(action.body) if self._last_words else action.body
        return able_to_report(body, self._progress_url) if action.attempt == 1 else body

    def seal(self, action: plans.CreateJob) -> plans.CreateJob:
        """Make the bytes that are sent, before it is time to."""
        return replace(action, body={}, sealed=orjson.dumps(self._as_sent(action)))

    async def _create_job(self, key: Key, action: plans.CreateJob) -> None:
        if not await self._may_have_job(key, action):
            return
        notes = self._store.notes(key)
        try:
            raw = await self._client.create(JOBS, key.namespace, action.sealed or self._as_sent(action))
        except ApiError as error:
            if error.already_exists:
                raw = await self._client.get(JOBS, key.namespace, action.name)
                if controller_uid(raw, "JobRun") != action.run_uid:
                    self._note_taken(key, notes.taken_jobs, action.name)
                    self._tell_taken(key, "Job", action.name)
                    return
            elif error.invalid or error.status == 400:
                notes.refusals[action.run_uid] = Refusal(template_words(error), True, self._clock())
                return
            elif _is_of_the_job(error):
                notes.refusals[action.run_uid] = self._refusal(error, notes.refusals.get(action.run_uid))
                return
            else:
                raise
        else:
            self._metrics.started(action.trigger, action.due_at, self._clock())
        notes.refusals.pop(action.run_uid, None)
        self._store.put_job(raw)

    def _refusal(self, error: ApiError, before: Refusal | None) -> Refusal:
        now = self._clock()
        if before is not None and now - before.retry_at > LONGEST_REFUSED:
            before = None  # something else has kept the run from being tried: it begins anew
        attempts = before.attempts + 1 if before is not None else 1
        pause = min(RETRY_REFUSED * 2 ** (attempts - 1), LONGEST_REFUSED)
        since = min(before.since or now, now) if before is not None else now
        return Refusal(error.message, False, (now + pause).replace(microsecond=0), attempts, since)

    async def _look_up_definition(self, key: Key) -> None:
        known = self._store.definition(key)
        try:
            self._store.put_definition(await self._client.get(SCHEDULED_JOBS, key.namespace, key.name))
        except ApiError as error:
            if not error.not_found:
                raise
            if known is not None:
                self._store.drop(known.uid)
            self._store.notes(key).definition_absent = True

    async def _look_up_job(self, key: Key, action: plans.LookUpJob) -> None:
        try:
            raw = await self._client.get(JOBS, key.namespace, action.name)
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            if raw["metadata"]["uid"] == action.uid:
                self._find_job(key, action, raw)
                return
        notes = self._store.notes(key)
        notes.absent_jobs.add(action.uid)
        notes.lingering_jobs.add(action.uid)

    async def _read_job(self, key: Key, action: plans.ReadJob) -> None:
        notes = self._store.notes(key)
        try:
            raw = await self._client.get(JOBS, key.namespace, action.name)
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            if raw["metadata"]["uid"] == action.uid:
                notes.job_bodies[action.uid] = raw
                return
        notes.absent_jobs.add(action.uid)
        notes.lingering_jobs.add(action.uid)

    def _find_job(self, key: Key, action: plans.LookUpJob, raw: Object) -> None:
        """Take in the Job of a run; what only a run says to be its Job is somebody else's, and not there for it."""
        definition = self._store.snapshot(key).definition
        native_of = read_job(raw).native_of
        if controller_uid(raw, "JobRun") == action.run_uid or (definition and native_of == definition.uid):
            self._store.put_found_job(raw, key)
            return
        metadata, notes = raw["metadata"], self._store.notes(key)
        notes.absent_jobs.add(action.uid)
        owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
        if action.run_uid in {*owners, (metadata.get("labels") or {}).get(keys.RUN_UID_LABEL)}:
            notes.lingering_jobs.add(action.uid)  # its owner or its label was taken away, and its pods are the run's
        else:
            notes.pods[action.uid] = PodReport(remaining=0)

    async def _inspect_pods(self, key: Key, action: plans.InspectPods) -> None:
        selector = f"batch.kubernetes.io/controller-uid={action.job_uid}"
        items, _ = await self._client.list(PODS, key.namespace, label_selector=selector)
        found = pods.culprit(items)
        words = ""
        if found is not None and not found.message and self._last_words:
            words = await self._read_last_words(key.namespace, found)
        notes = self._store.notes(key)
        if found is not None:
            notes.last_words[action.job_uid] = (found, words)
        else:  # the pod may be gone since the last look
            found, words = notes.last_words.get(action.job_uid, (None, ""))
        events: list[Object] = []
        if found is None and (silent := pods.silent(items)):
            events, _ = await self._client.list(EVENTS, key.namespace, field_selector=f"involvedObject.uid={silent}")
        notes.pods[action.job_uid] = report = pods.report(items, found, words, events)
        if not report.remaining:
            notes.lingering_jobs.discard(action.job_uid)

    async def _read_last_words(self, namespace: str, found: pods.Culprit) -> str:
        try:
            said = await self._client.pod_log(
                namespace, found.pod, container=found.container, tail_lines=LAST_LINES, limit_bytes=LAST_BYTES
            )
        except (ApiError, Unreachable) as error:
            # The node may be gone, or its log; the run fails all the same, without last words.
            log.info("no last words", namespace=namespace, pod=found.pod, container=found.container, why=str(error))
            return ""
        # The kubelet answers 200 and this, when the container is gone already.
        return "" if said.startswith("unable to retrieve container logs") else said

    async def _check_template(self, key: Key, action: plans.CheckTemplate) -> None:
        words = ""
        try:
            body = able_to_report(action.body, self._progress_url)
            await self._client.create(JOBS, key.namespace, body, dry_run=True, strict=True)
        except ApiError as error:
            if error.invalid or error.status == 400:
                words = template_words(error)
            elif not error.forbidden:
                raise
            elif "exceeded quota" not in error.message:
                words = f"spec.jobTemplate: {error.message}"
        notes = self._store.notes(key)
        notes.template_check = TemplateCheck(action.generation, words)
        notes.template_checked_at = self._clock()

    async def _write_run_status(self, key: Key, action: plans.WriteRunStatus) -> None:
        body = _status_body("JobRun", key.namespace, action.name, action.resource_version, action.status)
        self._store.put_run(
            await self._client.replace(JOB_RUNS, key.namespace, action.name, body, subresource="status")
        )
        if action.outcome is not None:
            self._metrics.finished(*action.outcome)

    async def _withdraw_run(self, key: Key, action: plans.WithdrawRun) -> None:
        # Noted before: if the answer is lost, a watch tells of the deletion, perhaps after the due time.
        withdrawn = self._store.notes(key).withdrawn
        withdrawn.add(action.uid)
        try:
            await self._client.delete(
                JOB_RUNS, key.namespace, action.name, uid=action.uid, resource_version=action.resource_version
            )
        except ApiError:
            withdrawn.discard(action.uid)
            raise
        self._store.drop(action.uid)

    def _note_taken(self, key: Key, taken: set[str], name: str) -> None:
        taken.add(name)
        notes = self._store.notes(key)
        notes.names_taken_at = notes.names_taken_at or self._clock()

    def _tell_taken(self, key: Key, kind: str, name: str) -> None:
        definition = self._store.definition(key)
        if definition is not None:
            self._recorder.emit(
                regarding=_reference("ScheduledJob", key.namespace, key.name, definition.uid),
                type="Warning",
                reason="NameTaken",
                message=f"{kind} {name} exists and belongs to somebody else; another name is tried",
            )


def template_words(error: ApiError) -> str:
    """Say why the API server refuses a Job, with the fields as the definition spells them."""
    if not error.causes:
        return f"spec.jobTemplate: {error.message}"
    return "; ".join(f"spec.jobTemplate.{field}: {message}" for field, message in error.causes)


def _reference(kind: str, namespace: str, name: str, uid: str) -> Reference:
    return Reference(api_version=API_VERSION, kind=kind, namespace=namespace, name=name, uid=uid)


def _status_body(kind: str, namespace: str, name: str, resource_version: str, status: Object) -> Object:
    metadata = {"namespace": namespace, "name": name, "resourceVersion": resource_version}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}


def _is_of_the_job(error: ApiError) -> bool:
    """Whether a Job is refused for what it is (quota, a policy, its size, a webhook that fails), and was not made."""
    # A webhook that cannot be asked is answered with 500; other answers of that kind leave open what has happened.
    webhook = error.status == 500 and "webhook" in error.message
    return webhook or (400 <= error.status < 500 and error.status not in NOT_OF_THE_JOB)
