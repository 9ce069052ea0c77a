"""Carries out what a plan asks of CronJobs and of the Jobs they make: one request each, and what its answer means."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from carillon.api.base import rfc3339
from carillon.controller.store import Store
from carillon.engine import native
from carillon.engine import plan as plans
from carillon.engine.model import Key, Refusal
from carillon.engine.task_access import able_to_report
from carillon.kube.client import FIELD_MANAGER, Client
from carillon.kube.errors import ApiError
from carillon.kube.resources import CRON_JOBS, JOBS

RETRY_REFUSED = timedelta(seconds=30)


class NativeExecutor:
    """Turns the actions of the native backend into requests; every one is safe to repeat."""

    def __init__(self, *, client: Client, store: Store, clock: Callable[[], datetime], progress_url: str = "") -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._progress_url = progress_url

    async def execute(self, key: Key, action: plans.LookUpCronJob | plans.NativeWrite) -> None:
        """Carry out one action.

        Raises:
            ApiError, Unreachable, WritesRefused: as `Executor.execute` does.
        """
        match action:
            case plans.LookUpCronJob():
                await self.look_up(key)
            case plans.ApplyCronJob():
                await self._apply(key, action)
            case plans.SuspendCronJob():
                patch = {"metadata": {"uid": action.uid}, "spec": {"suspend": True}}
                raw = await self._client.merge_patch(CRON_JOBS, key.namespace, action.name, patch)
                self._store.put_found_cron_job(raw)
            case plans.DeleteCronJob():
                # Its Jobs go on: nobody has asked to stop a run.
                await self._client.delete(CRON_JOBS, key.namespace, action.name, uid=action.uid, propagation="Orphan")
                await self.look_up(key)
            case plans.AdoptJob():
                await self._adopt(key, action)

    async def look_up(self, key: Key) -> None:
        """Learn whether there is a CronJob of the definition's name, and whose."""
        known = self._store.snapshot(key).cron_job
        try:
            raw = await self._client.get(CRON_JOBS, key.namespace, key.name)
        except ApiError as error:
            if not error.not_found:
                raise
            if self._store.snapshot(key).cron_job is not known:
                return  # made while the answer was on its way
            self._store.forget_cron_job(key)
            self._store.notes(key).cron_job_absent = True
        else:
            self._store.put_found_cron_job(raw)

    async def _apply(self, key: Key, action: plans.ApplyCronJob) -> None:
        notes = self._store.notes(key)
        # Not part of the hash that tells of drift: another address comes with another operator, which applies once.
        body = able_to_report(action.body, self._progress_url)
        try:
            # A create where nothing should be there: a CronJob that somebody makes meanwhile is not taken over.
            raw = await (
                self._replace(key, action, body)
                if action.uid
                else self._client.create(CRON_JOBS, key.namespace, body, strict=True)
            )
        except ApiError as error:
            if error.conflict or error.not_found or error.already_exists:
                await self.look_up(key)
            elif error.invalid or error.forbidden or error.status == 400:
                retry_at = (self._clock() + RETRY_REFUSED).replace(microsecond=0)
                notes.cron_job_refused = Refusal(error.message, False, retry_at)
            else:
                raise
            return
        self._store.put_found_cron_job(raw)
        notes.cron_job_applied = f"{raw['metadata']['uid']}/{raw['metadata'].get('generation', 0)}"
        notes.cron_job_refused = None

    async def _replace(self, key: Key, action: plans.ApplyCronJob, wanted: dict[str, Any]) -> dict[str, Any]:
        """Put the definition's CronJob in the place of what is there: an apply would leave the fields of others."""
        if action.count_from is not None:
            counted = {"metadata": {"uid": action.uid}, "status": {"lastScheduleTime": rfc3339(action.count_from)}}
            found = await self._client.merge_patch(CRON_JOBS, key.namespace, action.name, counted, subresource="status")
        else:
            found = await self._client.get(CRON_JOBS, key.namespace, action.name)
        body = native.in_place_of(found, wanted, uid=action.uid)
        return await self._client.replace(CRON_JOBS, key.namespace, action.name, body)

    async def _adopt(self, key: Key, action: plans.AdoptJob) -> None:
        try:
            raw = await self._client.apply(
                JOBS, key.namespace, action.name, action.body, field_manager=FIELD_MANAGER, force=True
            )
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            self._store.drop(action.uid)  # it is gone, and the watch has not said so yet
        else:
            self._store.put_job(raw)
