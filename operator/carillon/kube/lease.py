"""Who leads: an elector on a coordination.k8s.io Lease, and the gate that keeps all others from writing.

Why there are not two leaders, with no two clocks that agree:

- The leader counts from the moment *before* it sent a renewal that succeeded, on its own monotonic clock, and its gate
  refuses every write `renew_deadline_seconds` after that. It stops on its own, whether or not it can reach anyone.
- A standby counts from the moment *after* it saw the record change, on its own monotonic clock, and does not take the
  lease before the record stood still for the `leaseDurationSeconds` that the holder wrote into it, which is longer. The
  difference of the two must exceed what two clocks drift apart in one lease: any clock is better than one in four.
- All updates are conditional on the resourceVersion, so of two standbys one wins, and a leader's renewal that arrives
  after it was taken over fails.
- A leader that was stopped (SIGSTOP, a frozen cgroup, a long garbage collection) finds at its first write that its
  deadline has passed: the gate is a comparison with the clock, not a flag that somebody has to have lowered. The clock
  is one that goes on while the machine sleeps (CLOCK_BOOTTIME; Linux' CLOCK_MONOTONIC does not).
- The renewing task does not renew for a process whose worker is dead (`worker_alive`): such a lease must lapse.
- Where answers are slow, the holder writes a longer duration, and writes for as much longer: else the answer to a
  renewal would come when its time is nearly over, and an API server that takes two seconds would have no leader at all.

What this cannot do: a request that was on the wire when the process stopped may land later, after somebody else took
over, and a virtual machine that is frozen together with its clocks cannot notice. Kubernetes offers no fencing token
for writes. So nothing is unique *because* of the lease: uniqueness rests on deterministic names, UID and
resourceVersion preconditions, and the lease keeps the peace.
"""

import asyncio
import contextlib
import inspect
import math
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import structlog

from carillon.kube.client import Client, Object
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from carillon.kube.resources import LEASES

log = structlog.get_logger(__name__)

Callback = Callable[[], Awaitable[None] | None]
EXTRA_FOR_EACH_SECOND = 3
"""A lease is longer by three times as long as answers take: one is on its way, and there is time for two more."""
MOST_EXTRA_SECONDS = 9.0
_FORGETS = 0.9
"""What is left, after each answer, of the time that a slow one took."""


def boot_seconds() -> float:
    """Read a clock that never steps back and, where the system has one, counts time that the machine slept."""
    boot_clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_clock is None else time.clock_gettime(boot_clock)


class Elector:
    """Competes for a Lease, keeps it, and is the gate of every write: `client.gate = elector`.

    `identity` is for people (the pod's name); a random suffix makes it this process, for a restarted container keeps
    its pod's name. Needs the verbs get, create and patch on the one Lease.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_duration_seconds: float = 4,
        renew_deadline_seconds: float = 3,
        retry_period_seconds: float = 0.5,
        worker_alive: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = boot_seconds,
    ) -> None:
        """Raises ValueError unless retry period < renew deadline < lease duration."""
        if not 0 < retry_period_seconds < renew_deadline_seconds < lease_duration_seconds:
            raise ValueError(
                "the lease needs 0 < retry period < renew deadline < lease duration, found"
                f" {retry_period_seconds} s, {renew_deadline_seconds} s, {lease_duration_seconds} s"
            )
        self.identity = f"{identity}_{uuid.uuid4().hex[:8]}"
        self._client = client
        self._namespace = namespace
        self._name = name
        self._duration_seconds = math.ceil(lease_duration_seconds)
        self._renew_deadline_seconds = renew_deadline_seconds
        self._retry_period_seconds = retry_period_seconds
        self._worker_alive = worker_alive
        self._monotonic = monotonic
        self.term = 0
        """How many times this process has taken the lease."""
        self._deadline = -math.inf  # the gate is open while the clock is before it
        self._released = asyncio.Event()
        self._talking = asyncio.Lock()
        self._record: Object = {}  # the Lease as last seen; without metadata when it was seen deleted
        self._record_since = -math.inf
        self._failing = False
        self._slowest_seconds = 0.0
        self._log = log.bind(lease=f"{namespace}/{name}", identity=self.identity)

    def check(self) -> None:
        """Raise WritesRefused unless we lead: the last renewal that succeeded was sent less than the deadline ago."""
        if not self.leading:
            raise WritesRefused(f"{self.identity} does not hold the lease {self._namespace}/{self._name}")

    @property
    def leading(self) -> bool:
        """Whether a write may leave at this moment."""
        return self._monotonic() < self._deadline

    @property
    def holder(self) -> str:
        """Who held the lease when it was last seen; "" for nobody."""
        return self._spec.get("holderIdentity") or ""

    async def run(self, *, on_started: Callback, on_stopped: Callback) -> None:
        """Compete, lead, lose and compete again, until cancelled or released.

        `on_started` runs beside the renewing, as a task, so it may take its time or be the work itself; when the lease
        is lost it is cancelled if it still runs, and then `on_stopped` is awaited, before the next attempt. A leader
        whose gate has closed once always goes that way, even if nobody else took the lease meanwhile. An exception in
        either callback ends this method, and the lease lapses.
        """
        while not self._released.is_set():
            if not await self._acquire():
                await self._pause()
                continue
            self._log.info("lease.acquired", transitions=self._spec.get("leaseTransitions"))
            try:
                await self._lead(on_started)
            finally:
                self._deadline = -math.inf
                self._log.info("lease.released" if self._released.is_set() else "lease.lost", holder=self.holder)
                await _called(on_stopped)

    async def release(self) -> None:
        """Close the gate, and hand the lease back so that a standby takes it at its next look; `run` then returns.

        Call it when the work has stopped. A failure is only logged: the lease lapses instead.
        """
        held = self.leading
        self._released.set()
        self._deadline = -math.inf
        if not held:
            return
        async with self._talking:
            try:
                await self._patch_ours({"holderIdentity": None, "leaseDurationSeconds": 1, "renewTime": _now()}, 2.0)
            except (ApiError, Unreachable) as problem:
                self._log.warning("lease.not_handed_back", problem=str(problem))

    async def _lead(self, on_started: Callback) -> None:
        work = asyncio.create_task(_called(on_started))
        said = False
        try:
            while self.leading:
                await self._pause()
                if work.done():
                    work.result()
                if self.leading and self._worker_alive():
                    await self._renew()
                elif self.leading and not said:
                    said = True
                    self._log.error("lease.worker_dead")
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def _acquire(self) -> bool:
        if not self._worker_alive():
            return False
        async with self._talking:
            try:
                self._see(await self._look())
                if self._released.is_set() or not self._free():
                    self._works()
                    return False
                sent, extra_seconds = self._monotonic(), self._extra_seconds()
                self._see(await self._take(extra_seconds))
            except (ApiError, Unreachable) as problem:
                if not isinstance(problem, ApiError) or not (problem.conflict or problem.already_exists):
                    self._fails("lease.unreachable", problem)
                return False  # if it was taken after all, the next look finds our own name in it
            self._works()
            self.term += 1
            self._extend(sent, extra_seconds)
            return self.leading

    async def _renew(self) -> None:
        async with self._talking:
            sent, extra_seconds = self._monotonic(), self._extra_seconds()
            timeout_seconds = max((self._deadline - sent) / 2, 0.25)
            # A standby may go by the shorter lease from now on, even if we never learn that it was written.
            self._deadline = min(self._deadline, sent + self._renew_deadline_seconds + extra_seconds)
            renewed = {"renewTime": _now(), "leaseDurationSeconds": self._duration_seconds + extra_seconds}
            try:
                await self._patch_ours(renewed, timeout_seconds)
            except (ApiError, Unreachable) as problem:
                if isinstance(problem, ApiError) and (problem.conflict or problem.not_found):
                    self._deadline = -math.inf
                else:
                    self._fails("lease.not_renewed", problem)
                return
            self._works()
            if self.leading:  # an answer that came too late does not open the gate again
                self._extend(sent, extra_seconds)

    def _extend(self, sent: float, extra_seconds: int) -> None:
        if not self._released.is_set():
            self._deadline = sent + self._renew_deadline_seconds + extra_seconds

    def _extra_seconds(self) -> int:
        """How much longer the lease is to be, as answers are as slow as the slowest of late; whole seconds."""
        return math.floor(min(EXTRA_FOR_EACH_SECOND * self._slowest_seconds, MOST_EXTRA_SECONDS))

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Note how long an answer took; also that there was none in as long."""
        sent = self._monotonic()
        try:
            yield
        finally:
            self._slowest_seconds = max(self._slowest_seconds * _FORGETS, self._monotonic() - sent)

    @property
    def _spec(self) -> dict[str, Any]:
        return self._record.get("spec") or {}

    def _see(self, record: Object) -> None:
        """Remember the Lease, and since when it has looked like this, by our clock: never earlier than it did."""
        if record.get("spec") != self._record.get("spec") or _uid(record) != _uid(self._record):
            self._record_since = self._monotonic()
        self._record = record

    def _free(self) -> bool:
        if self.holder in ("", self.identity):
            return True
        duration_seconds = self._spec.get("leaseDurationSeconds") or self._duration_seconds
        return self._monotonic() >= self._record_since + duration_seconds

    async def _look(self) -> Object:
        try:
            with self._timed():
                return await self._client.get(
                    LEASES, self._namespace, self._name, lease_seconds=self._renew_deadline_seconds
                )
        except ApiError as error:
            if not error.not_found:
                raise
            # Deleted under its holder, who writes on until its deadline: what we saw of it still binds us.
            return {"spec": self._record.get("spec")}

    async def _take(self, extra_seconds: int) -> Object:
        ours = self.holder == self.identity
        transitions = self._spec.get("leaseTransitions") or 0
        spec: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._duration_seconds + extra_seconds,
            "acquireTime": self._spec.get("acquireTime") if ours else _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions + (0 if ours or not self._record.get("spec") else 1),
        }
        if "metadata" in self._record:
            return await self._patch(spec, self._renew_deadline_seconds)
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
        return await self._client.create(LEASES, self._namespace, body, lease_seconds=self._renew_deadline_seconds)

    async def _patch(self, spec: dict[str, Any], timeout_seconds: float) -> Object:
        body = {"metadata": {"resourceVersion": self._record["metadata"]["resourceVersion"]}, "spec": spec}
        with self._timed():
            return await self._client.merge_patch(
                LEASES, self._namespace, self._name, body, lease_seconds=timeout_seconds
            )

    async def _patch_ours(self, spec: dict[str, Any], timeout_seconds: float) -> None:
        """Patch the lease that we hold; raises a conflict only when somebody else does.

        It can have moved on under us: by a renewal whose answer was lost, or by a person's annotation.
        """
        try:
            self._see(await self._patch(spec, timeout_seconds))
        except ApiError as error:
            if not error.conflict:
                raise
            self._see(await self._look())
            if "metadata" not in self._record or self.holder != self.identity:
                raise
            self._see(await self._patch(spec, timeout_seconds))

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._retry_period_seconds * random.uniform(0.8, 1.2)):
                await self._released.wait()

    def _fails(self, event: str, problem: Exception) -> None:
        if not self._failing:
            self._log.warning(event, problem=str(problem))
        self._failing = True

    def _works(self) -> None:
        if self._failing:
            self._log.info("lease.reachable")
        self._failing = False


async def _called(callback: Callback) -> None:
    result = callback()
    if inspect.isawaitable(result):
        await result


def _uid(record: Object) -> str:
    return (record.get("metadata") or {}).get("uid") or ""


def _now() -> str:
    """Write the time as a MicroTime; for people only, no decision is taken by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
