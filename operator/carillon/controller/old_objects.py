"""What objects looked like before, for filters that compare: the last seen, within a bound of bytes for all watches."""

from collections import OrderedDict

MOST_BYTES = 32 * 1024 * 1024


class OldObjects:
    """Objects as JSON by watch and UID; the one that was seen longest ago goes first when there is no more room."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._objects: OrderedDict[tuple[object, str], bytes] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._objects)

    def swap(self, watch: object, uid: str, current: bytes) -> bytes | None:
        """Keep what an object looks like now; what it looked like before, where that is known."""
        before = self.take(watch, uid)
        self._objects[watch, uid] = current
        self.bytes += len(current)
        while self.bytes > self._most_bytes:
            _, gone = self._objects.popitem(last=False)
            self.bytes -= len(gone)
        return before

    def take(self, watch: object, uid: str) -> bytes | None:
        """Forget an object; what it looked like, where that is known."""
        before = self._objects.pop((watch, uid), None)
        if before is not None:
            self.bytes -= len(before)
        return before

    def forget(self, watch: object) -> None:
        """Forget every object of a watch."""
        for key in [key for key in self._objects if key[0] is watch]:
            self.take(*key)
