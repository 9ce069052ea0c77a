"""Turns between namespaces: what one has thousands of keeps another's waiting for one item of each, and no longer.

Pure, and a matter of constant time for each item, however many wait. Knows nothing of what the items are.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Turns(Generic[Item]):
    """Items, each at most once: in order of arrival within a namespace, and one of each namespace in turn.

    Args:
        namespace_of: whose an item is.
    """

    def __init__(self, namespace_of: Callable[[Item], str]) -> None:
        self._namespace_of = namespace_of
        # Ordered ones, for a dict looks for its first entry among those that were taken out.
        self._lines: dict[str, OrderedDict[Item, None]] = {}
        self._order: OrderedDict[str, None] = OrderedDict()
        self._resting: set[str] = set()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, item: Item) -> bool:
        return item in self._lines.get(self._namespace_of(item), ())

    def waits(self, namespace: str) -> bool:
        """Whether a namespace has items, be it resting or not."""
        return namespace in self._lines

    def add(self, item: Item) -> None:
        """Put an item at the end of its namespace's line; one that is there keeps its place."""
        namespace = self._namespace_of(item)
        line = self._lines.get(namespace)
        if line is None:
            line = self._lines[namespace] = OrderedDict()
            if namespace not in self._resting:
                self._order[namespace] = None
        if item not in line:
            line[item] = None
            self._size += 1

    def discard(self, item: Item) -> None:
        """Take an item out, if it is there."""
        namespace = self._namespace_of(item)
        if item in self:
            del self._lines[namespace][item]
            self._size -= 1
            self._forget_if_empty(namespace)

    def take(self, may: Callable[[str], bool] = lambda _: True) -> Item | None:
        """Take the oldest item of the namespace whose turn it is; None where there is none.

        Args:
            may: whether a namespace may have its turn now; one that may not keeps its place.
        """
        namespace = next((each for each in self._order if may(each)), None)
        return None if namespace is None else self._take_of(namespace)

    def take_of_longest(self) -> Item | None:
        """Take the oldest item of the namespace that has most of them; goes over the namespaces."""
        namespace = max(self._lines, key=lambda each: len(self._lines[each]), default=None)
        return None if namespace is None else self._take_of(namespace)

    def rest(self, namespace: str) -> None:
        """Give a namespace no turn until `resume`."""
        self._resting.add(namespace)
        self._order.pop(namespace, None)

    def resume(self, namespace: str) -> None:
        """Give a namespace turns again, after the others."""
        if namespace in self._resting:
            self._resting.remove(namespace)
            if namespace in self._lines:
                self._order[namespace] = None

    def clear(self) -> None:
        """Forget all items, and who rests."""
        self._lines.clear()
        self._order.clear()
        self._resting.clear()
        self._size = 0

    def _take_of(self, namespace: str) -> Item:
        item, _ = self._lines[namespace].popitem(last=False)
        self._size -= 1
        if namespace in self._order:
            self._order.move_to_end(namespace)
        self._forget_if_empty(namespace)
        return item

    def _forget_if_empty(self, namespace: str) -> None:
        if not self._lines[namespace]:
            del self._lines[namespace]
            self._order.pop(namespace, None)
