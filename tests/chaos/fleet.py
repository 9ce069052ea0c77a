"""The definitions that are due every few seconds, and when they are due.

Their Jobs are ended by the tests themselves (`spec.managedBy`), so that thousands of runs need no pods; a few have real
ones. All fire at instants that divide the Unix epoch's seconds, so that anybody can count them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Manifest = dict[str, Any]

NAMESPACE = "chaos"
FINISHER = "chaos.carillon.dev/finisher"
"""Whose Jobs these are: the Job controller leaves them alone."""
SECONDS_ANNOTATION = "chaos.carillon.dev/seconds"
"""On Jobs: how long they take."""
KEEP = {"succeeded": 20, "failed": 20}


@dataclass(frozen=True)
class Ticks:
    """Due each time the Unix clock shows a multiple of `period`, in seconds."""

    period: int

    def between(self, after: float, through: float) -> Iterator[int]:
        """The due times in (after, through], in seconds since the epoch."""
        first = int(after // self.period + 1) * self.period
        return iter(range(first, int(through) + 1, self.period))

    def count(self, first: int, last: int) -> int:
        """How many there are from the one to the other, both included."""
        return last // self.period - (first - 1) // self.period


@dataclass(frozen=True)
class Member:
    """One definition."""

    name: str
    ticks: Ticks
    policy: str = "Allow"
    seconds: float = 0.5
    """How long its Jobs take."""
    cron: bool = False
    pods: bool = False
    namespace: str = NAMESPACE

    def manifest(self, **spec: Any) -> Manifest:
        """The ScheduledJob; `spec` replaces fields of it."""
        period = self.ticks.period
        trigger: Manifest = {"name": "often", "interval": f"R/2026-01-01T00:00:00Z/PT{period}S"}
        if self.cron:
            trigger = {"name": "often", "cron": f"*/{period} * * * * *", "timeZone": "Europe/Paris"}
        return {
            "apiVersion": "carillon.dev/v1alpha1",
            "kind": "ScheduledJob",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "triggers": [trigger],
                "concurrency": {"policy": self.policy},
                "history": KEEP,
                "jobTemplate": self._template(),
                **spec,
            },
        }

    def _template(self) -> Manifest:
        container = {
            "name": "main",
            "image": "busybox:1.36",
            "imagePullPolicy": "IfNotPresent",
            "command": ["true"],
            "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
        }
        pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
        template: Manifest = {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}
        if not self.pods:
            template["spec"]["managedBy"] = FINISHER
            template["metadata"] = {"annotations": {SECONDS_ANNOTATION: str(self.seconds)}}
        return template


def fleet() -> list[Member]:
    """All policies, both kinds of periodic trigger, Jobs that are short and Jobs that meet the next due time."""
    members = [Member(f"allow-{number}", Ticks(period)) for number, period in enumerate((2, 3, 4, 5, 5))]
    members += [Member(f"cron-{number}", Ticks(period), cron=True) for number, period in enumerate((4, 5))]
    members += [Member("forbid", Ticks(4), "Forbid"), Member("forbid-long", Ticks(3), "Forbid", seconds=5)]
    members += [Member("queue", Ticks(5), "Queue", seconds=1), Member("replace", Ticks(5), "Replace", seconds=7)]
    return members + [Member(f"pods-{number}", Ticks(period), pods=True) for number, period in enumerate((10, 15))]


def small_fleet() -> list[Member]:
    """Few of them, whose Jobs end soon: for a test that has no time."""
    members = [Member("allow-2", Ticks(2)), Member("allow-3", Ticks(3)), Member("cron", Ticks(4), cron=True)]
    members += [Member("forbid", Ticks(2), "Forbid", seconds=2.5), Member("queue", Ticks(4), "Queue", seconds=1)]
    return members


def seconds(text: str) -> int:
    """An instant as Kubernetes writes it, in seconds since the epoch."""
    return int(datetime.fromisoformat(text).timestamp())


def rfc3339(instant: float) -> str:
    """Seconds since the epoch, as Kubernetes writes them."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
