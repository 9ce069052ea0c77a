"""The API server as these tests see it: plain requests through `kubectl proxy`, and waiting by watches.

A test waits for what it wants to see, for as long as that may take, and fails with what it saw instead.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, Self
from urllib.parse import urlencode

import pytest
import yaml

from tests.conftest import Cluster

Manifest = dict[str, Any]

CARILLON, BATCH, CORE = "/apis/carillon.dev/v1alpha1", "/apis/batch/v1", "/api/v1"
GROUPS = {
    "scheduledjobs": CARILLON,
    "jobruns": CARILLON,
    "calendars": CARILLON,
    "jobs": BATCH,
    "cronjobs": BATCH,
    "pods": CORE,
    "events": CORE,
    "namespaces": CORE,
    "configmaps": CORE,
    "secrets": CORE,
    "resourcequotas": CORE,
    "serviceaccounts": CORE,
    "services": CORE,
    "nodes": CORE,
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}
CLUSTER_SCOPED = ("namespaces", "nodes")
GONE = 404


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """Requests, as raw JSON."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._proxy = subprocess.Popen(
            ["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env=cluster.environment
        )
        assert self._proxy.stdout is not None
        serving = re.search(r":([0-9]+)\s*$", self._proxy.stdout.readline())
        assert serving is not None, "kubectl proxy did not say where it serves"
        self._port = int(serving[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.terminate()
        self._proxy.communicate()

    def request(self, method: str, path: str, body: Manifest | None = None, /, **query: str) -> Manifest:
        """Send one request.

        Raises:
            ApiError: the answer was not 2xx.
        """
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, json.dumps(body) if body is not None else None, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status >= 300:
            message = json.loads(text).get("message", text) if text.startswith("{") else text
            raise ApiError(answer.status, message)
        return dict(json.loads(text)) if text.startswith("{") else {"text": text}

    @staticmethod
    def path(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of a collection or an object; those of the cluster are in no namespace."""
        inside = [] if kind in CLUSTER_SCOPED else ["namespaces", namespace]
        parts = [GROUPS[kind], *inside, kind, name, subresource]
        return "/".join(part for part in parts if part)

    def create(self, kind: str, namespace: str, body: Manifest) -> Manifest:
        return self.request("POST", self.path(kind, namespace), body)

    def get(self, kind: str, namespace: str, name: str) -> Manifest:
        return self.request("GET", self.path(kind, namespace, name))

    def find(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """The object, or None."""
        try:
            return self.get(kind, namespace, name)
        except ApiError as error:
            if error.status != GONE:
                raise
            return None

    def select(self, kind: str, namespace: str, selector: str = "") -> list[Manifest]:
        found = self.request("GET", self.path(kind, namespace), labelSelector=selector)
        return list(found["items"])

    def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest:
        return self.request("PATCH", self.path(kind, namespace, name, subresource), body)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self.request("DELETE", self.path(kind, namespace, name), propagationPolicy="Background")

    def log(self, namespace: str, selector: str) -> str:
        """What the pods that the label selector chooses have printed, one after the other."""
        names = [pod["metadata"]["name"] for pod in self.select("pods", namespace, selector)]
        return "".join(self.request("GET", self.path("pods", namespace, name, "log"))["text"] for name in names)

    def follow(self, kind: str, namespace: str, *, seconds: float, **query: str) -> Iterator[dict[str, Manifest]]:
        """Yield the collection by name, at once and after each change, for `seconds`."""
        deadline = time.monotonic() + seconds
        listed = self.request("GET", self.path(kind, namespace), None, **query)
        seen = {item["metadata"]["name"]: item for item in listed["items"]}
        yield seen
        for change, item in self.watch(kind, namespace, listed["metadata"]["resourceVersion"], deadline, **query):
            name = item["metadata"]["name"]
            if change == "DELETED":
                seen.pop(name, None)
            else:
                seen[name] = item
            yield seen

    def watch(
        self, kind: str, namespace: str, since: str, deadline: float, **query: str
    ) -> Iterator[tuple[str, Manifest]]:
        """Yield each change after the resourceVersion `since`, until the deadline of the monotonic clock."""
        while (left := deadline - time.monotonic()) > 0:
            options = {**query, "watch": "true", "resourceVersion": since, "timeoutSeconds": str(max(1, round(left)))}
            with closing(HTTPConnection("127.0.0.1", self._port, timeout=left)) as connection:
                connection.request("GET", f"{self.path(kind, namespace)}?{urlencode(options)}")
                with closing(connection.getresponse()) as stream:
                    try:
                        for line in stream:
                            event = json.loads(line)
                            since = event["object"]["metadata"]["resourceVersion"]
                            yield event["type"], event["object"]
                            if time.monotonic() > deadline:
                                return
                    except TimeoutError:
                        return

    def mark(self, kind: str, namespace: str) -> str:
        """The resourceVersion of now, for `changes_since`."""
        listed = self.request("GET", self.path(kind, namespace), limit="1")
        return str(listed["metadata"]["resourceVersion"])

    def changes_since(self, kind: str, namespace: str, mark: str) -> list[tuple[str, Manifest]]:
        """What happened after the mark, in that order; the API server remembers some minutes."""
        return list(self.watch(kind, namespace, mark, time.monotonic() + 1))

    def until_all(
        self,
        kind: str,
        namespace: str,
        condition: Callable[[Sequence[Manifest]], object],
        what: str,
        *,
        seconds: float = 30,
        selector: str = "",
    ) -> list[Manifest]:
        """Wait until the condition holds of the whole collection; its objects, oldest first."""
        items: list[Manifest] = []
        for seen in self.follow(kind, namespace, seconds=seconds, labelSelector=selector):
            items = sorted(seen.values(), key=lambda item: (item["metadata"]["creationTimestamp"], _name(item)))
            if condition(items):
                return items
        shown = "\n".join(_shown(item) for item in items) or "nothing"
        pytest.fail(f"{kind} in {namespace}: waited {seconds:.0f} s for {what}; found\n{shown}")

    def until(
        self,
        kind: str,
        namespace: str,
        name: str,
        condition: Callable[[Manifest], object],
        what: str,
        *,
        seconds: float = 30,
    ) -> Manifest:
        """Wait until the condition holds of the object."""
        seen: dict[str, Manifest] = {}
        for seen in self.follow(kind, namespace, seconds=seconds, fieldSelector=f"metadata.name={name}"):
            if name in seen and condition(seen[name]):
                return seen[name]
        shown = _shown(seen[name]) if name in seen else "no such object"
        pytest.fail(f"{kind} {namespace}/{name}: waited {seconds:.0f} s for {what}; found\n{shown}")

    def until_gone(self, kind: str, namespace: str, selector: str = "", *, seconds: float = 30) -> None:
        """Wait until nothing of the kind is left."""
        self.until_all(kind, namespace, lambda items: not items, "nothing", seconds=seconds, selector=selector)

    def until_none_named(self, kind: str, namespace: str, name: str, *, seconds: float = 60) -> None:
        """Wait until the object is gone."""
        for seen in self.follow(kind, namespace, seconds=seconds, fieldSelector=f"metadata.name={name}"):
            if not seen:
                return
        pytest.fail(f"{kind} {namespace}/{name} was there for {seconds:.0f} s more")

    # What these tests do over and over ------------------------------------------------------------------------------

    def run_now(self, namespace: str, scheduled_job: str, **spec: Any) -> str:
        """Create a JobRun as a person does; its name."""
        body = {
            "apiVersion": "carillon.dev/v1alpha1",
            "kind": "JobRun",
            "metadata": {"generateName": f"{scheduled_job}-"},
            "spec": {"scheduledJob": scheduled_job, **spec},
        }
        return _name(self.create("jobruns", namespace, body))

    def until_finished(self, namespace: str, run: str, *, seconds: float = 30) -> Manifest:
        """Wait until the run is Finished, however it ended; its status."""
        done = self.until(
            "jobruns", namespace, run, lambda found: condition(found, "Finished") == "True", "Finished", seconds=seconds
        )
        return dict(done["status"])

    def until_phase(self, namespace: str, run: str, phase: str, *, seconds: float = 30) -> Manifest:
        """Wait until the run is in the phase; its status."""
        found = self.until("jobruns", namespace, run, lambda it: phase_of(it) == phase, phase, seconds=seconds)
        return dict(found["status"])

    def until_ready(self, namespace: str, name: str, status: str = "True", *, seconds: float = 30) -> Manifest:
        """Wait until the definition's Ready has the status, for its present generation."""

        def holds(found: Manifest) -> bool:
            current = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
            return current and condition(found, "Ready") == status

        return self.until("scheduledjobs", namespace, name, holds, f"Ready={status}", seconds=seconds)


def condition(found: Manifest, kind: str, field: str = "status") -> str:
    """A condition's status, or another field of it; empty when there is no such condition."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((str(each[field]) for each in conditions if each["type"] == kind), "")


def phase_of(run: Manifest) -> str:
    """The run's phase; empty when nobody has decided yet."""
    return str(run.get("status", {}).get("phase", ""))


def _name(item: Manifest) -> str:
    return str(item["metadata"]["name"])


def _shown(item: Manifest) -> str:
    return f"{_name(item)}:\n{yaml.safe_dump(item.get('status') or item.get('spec') or {}, width=120)}"
