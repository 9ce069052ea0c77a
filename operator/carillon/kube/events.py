"""Kubernetes Events, for people who run `kubectl describe`. Never in the way: bounded, paced, and dropped when need be.

An event that is repeated within ten minutes is counted up on the same object. All of it stays behind the real work:
a burst of thousands of runs becomes twenty events a second, namespaces in turn, and what does not fit is dropped: the
oldest of the namespace that has most of them.
"""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from carillon.api.base import rfc3339
from carillon.kube.client import Client, Object
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from carillon.kube.resources import EVENTS
from carillon.turns import Turns

log = structlog.get_logger(__name__)

COMPONENT = "carillon"
QUEUE_LENGTH = 1_000
REMEMBERED = 4_096
REPEAT_WINDOW_SECONDS = 600.0
EVENTS_PER_SECOND = 20.0
BURST = 20
MESSAGE_BYTES = 1_024
_NAME_LENGTH = 253


@dataclass(frozen=True)
class Reference:
    """What an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def to(cls, item: Object) -> "Reference":
        """Refer to a whole object, as a get or a watch returns it."""
        metadata = item["metadata"]
        return cls(
            item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"], metadata.get("uid", "")
        )


@dataclass(frozen=True)
class _What:
    regarding: Reference
    type: str
    reason: str
    message: str


@dataclass
class _Times:
    count: int
    first: datetime
    last: datetime


@dataclass
class _Written:
    name: str
    times: _Times
    expires: float


class Recorder:
    """Takes events at any time and writes them when there is time; `run` does the writing.

    `identity` is who reports (the pod's name). `dropped` counts the events that nobody will see: pushed out of the full
    queue, refused by the gate, or failed.
    """

    def __init__(
        self,
        client: Client,
        *,
        identity: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self._client = client
        self._identity = identity
        self._now = now
        self._monotonic = monotonic
        self._waiting: dict[_What, _Times] = {}
        self._turns = Turns(_namespace)
        self._written: OrderedDict[_What, _Written] = OrderedDict()
        self._something = asyncio.Event()
        self._failing = False

    def emit(
        self,
        *,
        regarding: Object | Reference,
        type: Literal["Normal", "Warning"],
        reason: str,
        message: str,
    ) -> None:
        """Take an event about an object; never blocks. The message is cut to 1,024 bytes."""
        reference = regarding if isinstance(regarding, Reference) else Reference.to(regarding)
        what = _What(reference, type, reason, _cut(message))
        now = self._now()
        times = self._waiting.get(what)
        if times is not None:
            times.count += 1
            times.last = now
            return
        self._waiting[what] = _Times(1, now, now)
        self._turns.add(what)
        if len(self._turns) > QUEUE_LENGTH and (lost := self._turns.take_of_longest()) is not None:
            self.dropped += self._waiting.pop(lost).count
        self._something.set()

    def __len__(self) -> int:
        """How many events wait to be written."""
        return len(self._waiting)

    async def run(self) -> None:
        """Write what was emitted, at most about 20 a second after a first 20 at once, until cancelled."""
        interval_seconds = 1 / EVENTS_PER_SECOND
        slot = self._monotonic() - BURST * interval_seconds  # when the next may be written; unused ones add up to BURST
        while True:
            while not self._turns:
                self._something.clear()
                await self._something.wait()
            now = self._monotonic()
            slot = max(slot + interval_seconds, now - (BURST - 1) * interval_seconds)
            if slot > now:
                await asyncio.sleep(slot - now)
            if (what := self._turns.take()) is None:
                continue
            times = self._waiting.pop(what)
            try:
                await self._write(what, times)
                self._failing = False
            except (WritesRefused, ApiError, Unreachable) as problem:
                self.dropped += times.count
                if isinstance(problem, ApiError) and problem.namespace_ends:
                    log.debug("events.namespace_ends", namespace=_namespace(what), reason=what.reason)
                elif not self._failing and not isinstance(problem, WritesRefused):
                    log.warning("events.dropped", reason=what.reason, problem=str(problem))
                    self._failing = True
            except Exception:
                self.dropped += times.count
                log.exception("events.broken", reason=what.reason)

    async def _write(self, what: _What, times: _Times) -> None:
        before = self._written.get(what)
        if before is not None and self._monotonic() < before.expires:
            total = _Times(before.times.count + times.count, before.times.first, times.last)
            try:
                await self._client.merge_patch(
                    EVENTS,
                    _namespace(what),
                    before.name,
                    {"count": total.count, "lastTimestamp": rfc3339(total.last)},
                )
            except ApiError as error:
                if not error.not_found:  # expired, or deleted by somebody: it starts anew
                    raise
            else:
                self._remember(what, before.name, total)
                return
        name = f"{what.regarding.name[: _NAME_LENGTH - 17]}.{uuid.uuid4().hex[:16]}"
        await self._client.create(EVENTS, _namespace(what), self._body(what, name, times))
        self._remember(what, name, times)

    def _remember(self, what: _What, name: str, times: _Times) -> None:
        self._written[what] = _Written(name, times, self._monotonic() + REPEAT_WINDOW_SECONDS)
        self._written.move_to_end(what)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    def _body(self, what: _What, name: str, times: _Times) -> dict[str, Any]:
        regarding = what.regarding
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": _namespace(what)},
            "involvedObject": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
            "type": what.type,
            "reason": what.reason,
            "message": what.message,
            "count": times.count,
            "firstTimestamp": rfc3339(times.first),
            "lastTimestamp": rfc3339(times.last),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._identity,
        }


def last_seen(event: Object) -> datetime | None:
    """Tell when an event happened last; writers fill in one field or another, and none has to be there."""
    series = event.get("series") or {}
    metadata = event.get("metadata") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        metadata.get("creationTimestamp"),
    )
    return max((datetime.fromisoformat(text) for text in times if text), default=None)


def _namespace(what: _What) -> str:
    return what.regarding.namespace or "default"


def _cut(message: str) -> str:
    whole = message.encode()
    if len(whole) <= MESSAGE_BYTES:
        return message
    return whole[: MESSAGE_BYTES - 3].decode(errors="ignore") + "…"
