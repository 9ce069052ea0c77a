"""What a task's call may have the operator do: the only requests of a replica that does not lead.

A connection of its own, with a few places: neither a flood of calls nor the API server's answers to them can take the
places of those that start Jobs. It passes by the gate, and so it knows one write, that of `status.progress` and nothing
else of a JobRun: two replicas that both write it disagree about a number for people, and no more.
"""

from typing import Any

from carillon.api.jobrun import TaskProgress
from carillon.kube.client import METADATA_LIST
from carillon.kube.errors import ApiError
from carillon.kube.exchange import JSON, Exchange, RequestObserver
from carillon.kube.resources import JOB_RUNS, PODS, TOKEN_REVIEWS
from carillon.kube.transport import Transport

FIELD_MANAGER = "carillon-progress"
PLACES = 16

Object = dict[str, Any]


class Tasks:
    """Requests on behalf of tasks; open it with `connect`, and close it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        observer: RequestObserver | None = None,
        request_timeout_seconds: float = 5,
    ) -> "Tasks":
        """Find the cluster as `Client.connect` does; raises NotConfigured. Asks nothing."""
        transport = await Transport.connect(kubeconfig, context)
        return cls(
            Exchange(
                transport,
                gate=None,
                observer=observer,
                max_in_flight=PLACES,
                request_timeout_seconds=request_timeout_seconds,
            )
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._exchange.transport.close()

    async def review(self, token: str, audience: str) -> Object:
        """Ask whose token it is; the status of the TokenReview. Raises ApiError (403: no right to ask), Unreachable."""
        answer = await self._exchange.fetch_object(
            "create",
            TOKEN_REVIEWS.plural,
            "POST",
            TOKEN_REVIEWS.path(),
            body={
                "apiVersion": TOKEN_REVIEWS.api_version,
                "kind": TOKEN_REVIEWS.kind,
                "spec": {"token": token, "audiences": [audience]},
            },
        )
        status: Object = answer.get("status") or {}
        return status

    async def pod(self, namespace: str, name: str) -> Object | None:
        """Read a pod's metadata, live; None when there is no such pod. A list, for which the operator has the right."""
        query = {"fieldSelector": f"metadata.name={name}"}
        headers = {"Accept": METADATA_LIST}
        found = await self._exchange.fetch_object(
            "list", PODS.plural, "GET", PODS.path(namespace), query, headers=headers
        )
        metadata: Object | None = next((item["metadata"] for item in found.get("items") or ()), None)
        return metadata

    async def run(self, namespace: str, name: str) -> Object | None:
        """Read a JobRun, live; None when there is none of the name."""
        try:
            return await self._exchange.fetch_object("get", JOB_RUNS.plural, "GET", JOB_RUNS.path(namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def write_progress(
        self, namespace: str, name: str, *, uid: str, resource_version: str, progress: TaskProgress
    ) -> Object:
        """Write `status.progress` of this very JobRun, and no other field; refused (409) if the run has changed since.

        A JSON merge patch: what the report does not say is taken away from the record (null), and all else stays.
        """
        said = {"percent": None, "message": None, **progress.model_dump(mode="json", by_alias=True)}
        body = {
            "metadata": {"uid": uid, "resourceVersion": resource_version},
            "status": {"progress": {key: None if value == "" else value for key, value in said.items()}},
        }
        return await self._exchange.fetch_object(
            "patch",
            f"{JOB_RUNS.plural}/status",
            "PATCH",
            JOB_RUNS.path(namespace, name, "status"),
            {"fieldManager": FIELD_MANAGER},
            headers={"Accept": JSON, "Content-Type": "application/merge-patch+json"},
            body=body,
        )
