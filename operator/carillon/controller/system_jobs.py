"""The system jobs of the chart's values: the leader applies them, and deletes those that left the list.

Server-side apply owns the fields that the file has and no others: a person's `suspend: true` survives upgrades and
restarts. Each is owned by the chart's ConfigMap, so that uninstalling the chart removes them by garbage collection.
"""

from pathlib import Path
from typing import Any

import structlog
import yaml

from carillon.kube.client import Client
from carillon.kube.errors import ApiError
from carillon.kube.resources import CONFIG_MAPS, SCHEDULED_JOBS

FIELD_MANAGER = "carillon-system-jobs"

log = structlog.get_logger(__name__)


def load(path: Path) -> list[dict[str, Any]]:
    """Read the file: a YAML list of ScheduledJobs.

    Raises:
        ValueError: the file is not such a list.
    """
    try:
        manifests = yaml.safe_load(path.read_text()) or []
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(manifests, list) or not all(_is_manifest(manifest) for manifest in manifests):
        raise ValueError(f"{path}: a list of ScheduledJobs is needed, each with metadata.name")
    return manifests


def _is_manifest(manifest: Any) -> bool:
    metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str)


async def apply(client: Client, manifests: list[dict[str, Any]], *, namespace: str, owner: str | None) -> None:
    """Apply the manifests in the operator's own namespace; one that is refused does not stop the others.

    Args:
        client: whose gate lets only the leader write.
        manifests: the ScheduledJobs.
        namespace: where.
        owner: name of the ConfigMap that owns them; with it, owned ones that are not listed are deleted.
    """
    reference = await _owner_reference(client, namespace, owner) if owner else None
    for manifest in manifests:
        metadata = {**manifest["metadata"], "namespace": namespace}
        if reference is not None:
            metadata["ownerReferences"] = [reference]
        body = {**manifest, "metadata": metadata}
        try:
            await client.apply(
                SCHEDULED_JOBS, namespace, metadata["name"], body, field_manager=FIELD_MANAGER, force=True
            )
        except ApiError as error:
            log.error("system job refused", name=metadata["name"], why=str(error))
        else:
            log.debug("system job applied", name=metadata["name"])
    if reference is not None:
        await _delete_unlisted(client, namespace, reference["uid"], {m["metadata"]["name"] for m in manifests})


async def _owner_reference(client: Client, namespace: str, owner: str) -> dict[str, Any]:
    raw = await client.get(CONFIG_MAPS, namespace, owner)
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": raw["metadata"]["uid"]}


async def _delete_unlisted(client: Client, namespace: str, owner_uid: str, listed: set[str]) -> None:
    items, _ = await client.list(SCHEDULED_JOBS, namespace, metadata_only=True)
    for item in items:
        metadata = item["metadata"]
        ours = any(reference.get("uid") == owner_uid for reference in metadata.get("ownerReferences") or ())
        if ours and metadata["name"] not in listed:
            await client.delete(SCHEDULED_JOBS, namespace, metadata["name"], uid=metadata["uid"])
            log.info("system job deleted", name=metadata["name"])
