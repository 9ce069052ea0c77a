"""Ends Jobs that no Job controller looks after: after as many seconds as they say, they are Complete."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from carillon.kube.client import Client
from carillon.kube.errors import ApiError
from carillon.kube.resources import JOBS
from tests.chaos.fleet import FINISHER, SECONDS_ANNOTATION
from tests.chaos.witness import Seen, repeated


class Finisher:
    """Give `note` each Job that is there."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, job: Seen) -> None:
        """Have it end in its time."""
        if job.raw["spec"].get("managedBy") != FINISHER or job.ended:
            return
        task = asyncio.create_task(self._finish(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, job: Seen) -> None:
        await asyncio.sleep(float(job.raw["metadata"]["annotations"][SECONDS_ANNOTATION]))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "reason": "Ended", "message": "", "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        status: dict[str, Any] = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
        body = {"metadata": {"uid": job.uid}, "status": status}
        try:
            await repeated(
                lambda: self._client.merge_patch(JOBS, job.namespace, job.name, body, subresource="status"), seconds=300
            )
        except ApiError as error:
            if not (error.not_found or error.conflict or error.invalid):  # deleted meanwhile, or suspended
                raise

    async def stop(self) -> None:
        """End no more Jobs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
