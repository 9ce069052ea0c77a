"""Which definitions share a concurrency group: an index, so that nobody goes over all definitions to find a few.

Must not know what a member's slots hang on; that is the store's.
"""

from typing import NamedTuple

from carillon.engine.model import Definition, Key


class GroupKey(NamedTuple):
    """Names a concurrency group."""

    namespace: str
    name: str


class Groups:
    """The members of each group, in the order in which they came."""

    def __init__(self) -> None:
        self._members: dict[GroupKey, dict[Key, None]] = {}
        self._group: dict[Key, GroupKey] = {}

    def put(self, definition: Definition) -> GroupKey | None:
        """Note which group a definition names; returns the one that it has left, if it did."""
        if definition.spec is None:
            return None  # what cannot be read is no reason to let go of what it holds
        key, name = definition.key, definition.spec.concurrency.group
        now = GroupKey(key.namespace, name) if name is not None else None
        before = self._group.get(key)
        if before == now:
            return None
        self.remove(key)
        if now is not None:
            self._group[key] = now
            self._members.setdefault(now, {})[key] = None
        return before

    def remove(self, key: Key) -> GroupKey | None:
        """Forget a definition; returns the group that it was a member of."""
        group = self._group.pop(key, None)
        if group is not None:
            self._members[group].pop(key)
            if not self._members[group]:
                del self._members[group]
        return group

    def of(self, key: Key) -> GroupKey | None:
        """The group of a definition; of one that is gone, too, until what it has left is gone."""
        return self._group.get(key)

    def members(self, group: GroupKey) -> tuple[Key, ...]:
        """Everyone in a group."""
        return tuple(self._members.get(group, ()))
