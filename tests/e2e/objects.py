"""ScheduledJobs in a few words; each passes the Pod Security level `restricted`."""

from datetime import UTC, datetime, timedelta
from typing import Any

Manifest = dict[str, Any]

IMAGE = "busybox:1.36"
EPOCH = "2026-01-01T00:00:00Z"


def job_template(script: str, *, retries: int = 0, **pod: Any) -> Manifest:
    """A Job of one container that runs a shell script; `pod` replaces fields of the pod's spec."""
    container: Manifest = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-euc", script],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    fields = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        **pod,
    }
    return {"spec": {"backoffLimit": retries, "template": {"spec": fields}}}


def scheduled_job(name: str, script: str = "true", **spec: Any) -> Manifest:
    """A ScheduledJob that runs a shell script."""
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": name},
        "spec": {"jobTemplate": job_template(script), **spec},
    }


def every(seconds: int) -> list[Manifest]:
    """Triggers: each time the clock shows a multiple of so many seconds."""
    return [{"name": "often", "interval": f"R/{EPOCH}/PT{seconds}S"}]


def at(instant: datetime) -> list[Manifest]:
    """Triggers: once."""
    return [{"name": "once", "at": rfc3339(instant)}]


def concurrency(policy: str) -> Manifest:
    return {"policy": policy}


def rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: str) -> datetime:
    """Read an instant as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def now() -> datetime:
    return datetime.now(UTC)


def in_seconds(seconds: float) -> datetime:
    """A whole second, at least so far away."""
    return (now() + timedelta(seconds=seconds + 1)).replace(microsecond=0)
