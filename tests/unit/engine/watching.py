"""What a process hears of the cluster: a watch of each kind, and what can go wrong with it.

A watch can be late, silent, or end with 410; then the list is compared with what was told before, as
`carillon.kube.follow.Follower` does it. It can come back with an older view, and a process can begin with one. These
are the staleness, the unobserved states and the time travel of Sieve (OSDI'22).
"""

from collections.abc import Callable
from typing import Any

from carillon.kube.resources import Resource
from tests.unit.engine.cluster import Cluster

Body = dict[str, Any]
Change = tuple[str, Body]
Past = dict[Resource, list[Change]]


class Watches:
    """The watches of one process."""

    def __init__(
        self,
        cluster: Cluster,
        take: Callable[[Resource, str, Body], None],
        listed: Callable[[Resource, frozenset[str], int], None],
    ) -> None:
        """`take` is told of each change, `listed` of what there is after a list."""
        self._cluster = cluster
        self._take = take
        self._listed = listed
        self._inboxes: dict[Resource, list[Change]] = {kind: [] for kind in cluster.objects}
        self._told: dict[Resource, dict[str, Body]] = {kind: {} for kind in cluster.objects}
        self.past: dict[Resource, list[Change]] = {kind: [] for kind in cluster.objects}
        self.silent: set[Resource] = set()
        """The kinds of which nothing is heard."""

    def begin(self, behind: Past | None = None) -> None:
        """List everything, and watch from there; `behind`: the kinds whose list is of a while ago, and what it knew."""
        for resource, kind in self._cluster.objects.items():
            known = behind[resource] if behind is not None and resource in behind else None
            for raw in (kind if known is None else view(known)).values():
                self.past[resource].append(("ADDED", raw))
                self._tell(resource, "ADDED", raw)
        self._cluster.watchers.append(self._hear)

    def end(self) -> None:
        """Hear of nothing any more."""
        self._cluster.watchers.remove(self._hear)

    def _hear(self, resource: Resource, change: str, raw: Body) -> None:
        self.past[resource].append((change, raw))
        self._inboxes[resource].append((change, raw))
        self.heard()

    def heard(self) -> None:
        """Be told at once; a watch that lags does otherwise."""
        self.deliver()

    def deliver(self, resource: Resource | None = None, most: int | None = None) -> None:
        """Let the watches tell what they know: of one kind, or of all; at most so many changes of each."""
        for kind, inbox in self._inboxes.items():
            if resource in (None, kind) and kind not in self.silent:
                told, inbox[:] = inbox[:most], inbox[len(inbox[:most]) :]
                for change, raw in told:
                    self._tell(kind, change, raw)

    def _tell(self, resource: Resource, change: str, raw: Body) -> None:
        told, name = self._told[resource], raw["metadata"]["name"]
        if change == "DELETED":
            told.pop(name, None)
        else:
            told[name] = raw
        self._take(resource, change, raw)

    def expire(self, resource: Resource) -> None:
        """Answer 410: what was made and deleted meanwhile is never heard of."""
        self.silent.discard(resource)
        self._inboxes[resource].clear()
        self._compare(resource, self._cluster.objects[resource])
        found = frozenset(raw["metadata"]["uid"] for raw in self._cluster.objects[resource].values())
        self._listed(resource, found, self._cluster.version)

    def replay(self, resource: Resource, changes: int) -> None:
        """Come back with an older view, and hear once more of so many of the changes that were told before."""
        self.silent.discard(resource)
        self.deliver(resource)
        for change, raw in self.past[resource][-changes:]:
            self._tell(resource, change, raw)

    def _compare(self, resource: Resource, view: dict[str, Body]) -> None:
        """Tell the difference between a list and what was told before."""
        for name, known in list(self._told[resource].items()):
            if name not in view or view[name]["metadata"]["uid"] != known["metadata"]["uid"]:
                self._tell(resource, "DELETED", known)
        for name, raw in view.items():
            if self._told[resource].get(name) is not raw:
                self._tell(resource, "MODIFIED", raw)


class LateWatches(Watches):
    """Watches that tell only when `deliver` is called."""

    def heard(self) -> None:
        """Keep it."""


def view(changes: list[Change]) -> dict[str, Body]:
    """What a list would have answered after those changes, by name."""
    found: dict[str, Body] = {}
    for change, raw in changes:
        name = raw["metadata"]["name"]
        if change == "DELETED":
            found.pop(name, None)
        else:
            found[name] = raw
    return found
