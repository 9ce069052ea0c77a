"""Watches the Jobs of a namespace, and writes down when it was told of each: a process beside those that are measured.

A line a Job goes to standard output: the moment (seconds since 1970) and the Job's name. `ready` comes first, when the
watch is up. It reads metadata only, so that it takes little of the machine.
"""

import argparse
import asyncio
import sys
import time

from carillon.kube.client import Client, Object
from carillon.kube.follow import Follower
from carillon.kube.resources import JOBS


async def watch(kubeconfig: str, namespace: str) -> None:
    """Tell of every new Job until cancelled."""
    connection = await Client.connect(kubeconfig=kubeconfig)
    seen: set[str] = set()

    def note(raw: Object) -> None:
        metadata = raw["metadata"]
        if metadata["uid"] not in seen:
            seen.add(metadata["uid"])
            sys.stdout.write(f"{time.time():.6f} {metadata['name']}\n")

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
    arguments = parser.parse_args()
    asyncio.run(watch(arguments.kubeconfig, arguments.namespace))


if __name__ == "__main__":
    main()
