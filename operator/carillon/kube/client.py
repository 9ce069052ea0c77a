"""The API server's verbs on raw dicts: the one object through which all of Carillon talks to Kubernetes.

Takes no decisions and keeps nothing. What a failure means for the caller is said in `errors`; the gate that every
write passes, the pool and the retries are in `exchange`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from carillon.kube.errors import ApiError
from carillon.kube.exchange import JSON, Exchange, RequestObserver
from carillon.kube.resources import PODS, Resource
from carillon.kube.stream import read_events, read_lines
from carillon.kube.transport import Gate, Impersonation, Transport

Object = dict[str, Any]
Objects = list[Object]

FIELD_MANAGER = "carillon"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MERGE_PATCH = {"Accept": JSON, "Content-Type": "application/merge-patch+json"}
_APPLY = {"Accept": JSON, "Content-Type": "application/apply-patch+yaml"}


class Served(NamedTuple):
    """What discovery says of a resource."""

    kind: str
    namespaced: bool


class Client:
    """A connection to one API server; open it with `connect`, and close it.

    `gate` may be set after construction (the elector that is the gate needs a client first); None lets writes pass.
    `lease_seconds` is for the elector's own requests: they pass by the gate and the pool, and are given up after that.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        impersonation: Impersonation | None = None,
        gate: Gate | None = None,
        observer: RequestObserver | None = None,
        max_in_flight: int = 128,
        request_timeout_seconds: float = 15,
    ) -> "Client":
        """Find the cluster (kubeconfig, $KUBECONFIG, the pod, ~/.kube/config); raises NotConfigured. Asks nothing."""
        exchange = Exchange(
            await Transport.connect(kubeconfig, context, impersonation),
            gate=gate,
            observer=observer,
            max_in_flight=max_in_flight,
            request_timeout_seconds=request_timeout_seconds,
        )
        return cls(exchange)

    async def until_written(self, seconds: float) -> None:
        """Wait until no write that passed the gate is under way, or for so long."""
        await self._exchange.until_written(seconds)

    async def close(self) -> None:
        """Close every connection."""
        await self._exchange.transport.close()

    @property
    def gate(self) -> Gate | None:
        """Who is asked before each write; set it before the first one."""
        return self._exchange.gate

    @gate.setter
    def gate(self, gate: Gate | None) -> None:
        self._exchange.gate = gate

    @property
    def configuration(self) -> Any:
        """The library's Configuration now in force, for whoever must log in to the same cluster as the same user."""
        return self._exchange.transport.configuration

    async def get(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        lease_seconds: float | None = None,
    ) -> Object:
        """Read one object, from etcd and not from a cache."""
        path = resource.path(namespace, name)
        return await self._exchange.fetch_object("get", resource.plural, "GET", path, lease_seconds=lease_seconds)

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
        pages: int | None = None,
    ) -> tuple[Objects, str]:
        """Read a collection in pages, all or the first `pages`; the items as of one moment, and the resourceVersion.

        When the pages expire while we read them (410), all is read again in one piece. Items carry `apiVersion` and
        `kind`, which the server leaves out of lists of built-in kinds.
        """
        headers = {"Accept": METADATA_LIST if metadata_only else JSON}
        path = resource.path(namespace)
        items: Objects = []
        query = _selectors(label_selector, field_selector)
        query["limit"] = str(limit)
        while True:
            try:
                page = await self._exchange.fetch_object("list", resource.plural, "GET", path, query, headers=headers)
            except ApiError as error:
                if not error.gone or "continue" not in query:
                    raise
                items.clear()
                query = _selectors(label_selector, field_selector)
                continue
            items.extend(page["items"] or ())
            more = page["metadata"].get("continue")
            pages = None if pages is None else pages - 1
            if not more or pages == 0:
                break
            query["continue"] = more
        if not metadata_only:
            for item in items:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
        return items, page["metadata"]["resourceVersion"]

    async def pages(
        self, resource: Resource, namespace: str | None, *, limit: int, metadata_only: bool = False
    ) -> AsyncGenerator[tuple[Objects, str], None]:
        """Read a collection page by page, none of which is kept; each with the resourceVersion of them all.

        The next page is asked for before this one is handed out, for the server takes as long to make it as we do to
        read it.

        Raises ApiError (`gone`) when the pages expire while they are read.
        """
        query = {"limit": str(limit)}
        headers = {"Accept": METADATA_LIST if metadata_only else JSON}
        path = resource.path(namespace)

        def ask() -> asyncio.Task[Object]:
            asked = self._exchange.fetch_object("list", resource.plural, "GET", path, dict(query), headers=headers)
            return asyncio.create_task(asked)

        asked = ask()
        try:
            while True:
                page = await asked
                more = page["metadata"].get("continue")
                if more:
                    query["continue"] = more
                    asked = ask()
                if not metadata_only:
                    for item in page["items"] or ():
                        item.setdefault("apiVersion", resource.api_version)
                        item.setdefault("kind", resource.kind)
                yield page["items"] or [], page["metadata"]["resourceVersion"]
                if not more:
                    return
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        body: Object | bytes,
        *,
        dry_run: bool = False,
        strict: bool = False,
        lease_seconds: float | None = None,
    ) -> Object:
        """Create an object; bytes are its JSON.

        `strict` has unknown and duplicate fields refused, which are dropped otherwise.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict" if strict else "Ignore"}
        if dry_run:
            query["dryRun"] = "All"
        return await self._exchange.fetch_object(
            "create",
            resource.plural,
            "POST",
            resource.path(namespace),
            query,
            body=body,
            lease_seconds=lease_seconds,
        )

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
        lease_seconds: float | None = None,
    ) -> Object:
        """Apply a JSON merge patch (RFC 7396); conditional (409) with a `metadata.resourceVersion` in it.

        `strict` has unknown fields refused, which are dropped otherwise.
        """
        query = {"fieldManager": FIELD_MANAGER}
        if strict:
            query["fieldValidation"] = "Strict"
        if dry_run:
            query["dryRun"] = "All"
        return await self._exchange.fetch_object(
            "patch",
            f"{resource.plural}/{subresource}" if subresource else resource.plural,
            "PATCH",
            resource.path(namespace, name, subresource),
            query,
            headers=_MERGE_PATCH,
            body=body,
            lease_seconds=lease_seconds,
        )

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Object, *, subresource: str = ""
    ) -> Object:
        """Put an object, or a subresource of it, in the place of what is there; conditional if it has a version."""
        return await self._exchange.fetch_object(
            "update",
            f"{resource.plural}/{subresource}" if subresource else resource.plural,
            "PUT",
            resource.path(namespace, name, subresource),
            {"fieldManager": FIELD_MANAGER},
            body=body,
        )

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        field_manager: str,
        force: bool = False,
    ) -> Object:
        """Server-side apply: own the fields in `body` and no others; `force` takes them over from other managers."""
        return await self._exchange.fetch_object(
            "patch",
            resource.plural,
            "PATCH",
            resource.path(namespace, name),
            {"fieldManager": field_manager, "force": "true" if force else "false"},
            headers=_APPLY,
            body=body,
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
        grace_period_seconds: int | None = None,
    ) -> None:
        """Delete the object with this UID, and no other of its name; that it is gone already is success.

        With a `resource_version`, an object that has changed since stays, and a conflict (409) is raised.
        """
        preconditions = {"uid": uid} if resource_version is None else {"uid": uid, "resourceVersion": resource_version}
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        path = resource.path(namespace, name)
        try:
            await self._exchange.fetch("delete", resource.plural, "DELETE", path, body=options)
        except ApiError as error:
            # The words of a 409 differ between kinds, so we look whether it was the UID.
            if not error.not_found and (not error.conflict or await self._is_there(resource, namespace, name, uid)):
                raise

    async def _is_there(self, resource: Resource, namespace: str | None, name: str, uid: str) -> bool:
        try:
            found = await self.get(resource, namespace, name)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return bool(found["metadata"]["uid"] == uid)

    async def pod_log(
        self, namespace: str, pod: str, *, container: str, tail_lines: int, limit_bytes: int, previous: bool = False
    ) -> str:
        """Read the last lines of a container's log; "" while it has not started, ApiError (400) for one unknown."""
        query = {"container": container, "tailLines": str(tail_lines), "limitBytes": str(limit_bytes)}
        if previous:
            query["previous"] = "true"
        path = PODS.path(namespace, pod, "log")
        payload = await self._exchange.fetch("get", "pods/log", "GET", path, query, headers={"Accept": "*/*"})
        return payload.decode(errors="replace")

    async def log_lines(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        follow: bool = True,
        since: str = "",
        tail_lines: int | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the lines of a container's log as they come, each with its time before it, until the container ends.

        Args:
            namespace: of the pod.
            pod: its name.
            container: one of its containers; ApiError (400) while it has not started.
            follow: whether to wait for lines to come; otherwise those that are there are all.
            since: RFC 3339; the server knows whole seconds only, so that lines of that second come again.
            tail_lines: begin so many lines before the end.

        Close the generator (`contextlib.aclosing`) when leaving early. A container may be silent for hours: no silence
        ends the stream.
        """
        query = {"container": container, "follow": "true" if follow else "false", "timestamps": "true"}
        if since:
            query["sinceTime"] = since
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        response = await self._exchange.stream(
            "pods/log", PODS.path(namespace, pod, "log"), query, headers={"Accept": "*/*"}, silence_seconds=None
        )
        async with response, aclosing(read_lines(response, "pods/log")) as lines:
            async for line in lines:
                yield line

    async def version(self) -> Object:
        """Ask which release the API server is (`gitVersion`, `major`, `minor`)."""
        return await self._exchange.fetch_object("get", "version", "GET", "/version")

    async def served(self, group: str, version: str) -> dict[str, Served]:
        """Ask which resources of a group the API server serves, by plural; none when it does not know the group."""
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            found = await self._exchange.fetch_object("get", "discovery", "GET", path)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        return {each["name"]: Served(each["kind"], each["namespaced"]) for each in found["resources"]}

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int,
        silence_seconds: float | None = None,
        metadata_only: bool = False,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield `(type, object)` from `resource_version` on, BOOKMARK included, until the server ends the stream.

        The server does so after `timeout_seconds`. A stream without a byte for `silence_seconds` (15 more than that, if
        not given) is broken off as Unreachable. An ERROR line is raised as ApiError (`gone`: list again). Lines may be
        of any size. Watches take no place in the pool. Close the generator (`contextlib.aclosing`) when leaving early.
        """
        query = _selectors(label_selector, field_selector) | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        response = await self._exchange.stream(
            resource.plural,
            resource.path(namespace),
            query,
            headers={"Accept": METADATA if metadata_only else JSON},
            silence_seconds=silence_seconds or timeout_seconds + 15,
        )
        async with response, aclosing(read_events(response, resource.plural)) as events:
            async for event in events:
                yield event


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    query = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in query.items() if value}
