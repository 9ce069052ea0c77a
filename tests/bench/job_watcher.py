"""Watches the Jobs of a namespace, and writes down when it was told of each: a process beside those that are measured.

A line a Job goes to standard output: the moment and the due time (seconds since 1970), and the Job's name. `ready`
comes first, when the watch is up. It reads metadata only, so that it takes little of the machine. With `--finish` it
stands in for the Job controller and the kubelet: each Job is Complete as soon as it was seen.
"""

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Any

from carillon.api import keys
from carillon.kube.client import Client, Object
from carillon.kube.errors import ApiError
from carillon.kube.follow import Follower
from carillon.kube.resources import JOBS

OF_CRON_JOBS = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def due(metadata: Object) -> float:
    """The due time that a Job stands for; 0 where it does not say."""
    annotations = metadata.get("annotations") or {}
    text = annotations.get(keys.SCHEDULED_TIME_ANNOTATION) or annotations.get(OF_CRON_JOBS)
    return datetime.fromisoformat(text).timestamp() if text else 0.0


async def finish(connection: Client, metadata: Object) -> None:
    """Say of a Job that it has succeeded."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": kind, "status": "True", "reason": "Ended", "message": "", "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status: dict[str, Any] = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
    body = {"metadata": {"uid": metadata["uid"]}, "status": status}
    try:
        await connection.merge_patch(JOBS, metadata["namespace"], metadata["name"], body, subresource="status")
    except ApiError as error:
        if not (error.not_found or error.conflict):
            raise


async def watch(kubeconfig: str, namespace: str, *, finishes: bool) -> None:
    """Tell of every new Job until cancelled."""
    connection = await Client.connect(kubeconfig=kubeconfig, max_in_flight=32)
    seen: set[str] = set()
    finishing: set[asyncio.Task[None]] = set()

    def note(raw: Object) -> None:
        metadata = raw["metadata"]
        if metadata["uid"] not in seen:
            seen.add(metadata["uid"])
            sys.stdout.write(f"{time.time():.6f} {due(metadata):.0f} {metadata['name']}\n")
            if finishes:
                task = asyncio.create_task(finish(connection, metadata))
                finishing.add(task)
                task.add_done_callback(finishing.discard)

    follower = Follower(
        connection, JOBS, namespace, on_object=note, on_gone=lambda *_: None, metadata_only=True, silence_seconds=600
    )
    following = asyncio.create_task(follower.run())
    await follower.synced.wait()
    sys.stdout.write("ready\n")
    while not following.done():
        sys.stdout.flush()
        await asyncio.sleep(0.2)
    await following


def main() -> None:
    """Watch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--finish", action="store_true", help="say of each Job that it has succeeded")
    arguments = parser.parse_args()
    asyncio.run(watch(arguments.kubeconfig, arguments.namespace, finishes=arguments.finish))


if __name__ == "__main__":
    main()
