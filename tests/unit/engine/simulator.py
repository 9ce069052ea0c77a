"""The whole operator but its sockets, on an API server in memory and a clock that goes when it is told to.

The real store, agenda, queue, executor and reconciler run here; only the client is replaced. Each of its requests is a
point at which the process can die, lose an answer, or give way to another process. A process that dies forgets all;
the next one starts from lists. Everything is deterministic.
"""

import itertools
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, cast

import orjson
from prometheus_client import Counter

from carillon.api import keys
from carillon.api.jobrun import Phase
from carillon.controller.agenda import Agenda
from carillon.controller.costly import CostlyDecisions
from carillon.controller.crowds import Crowds
from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.reconcile import Reconciler
from carillon.controller.store import Store
from carillon.controller.workqueue import Urgency, WorkQueue
from carillon.engine import plan as plans
from carillon.engine.ahead import lead
from carillon.engine.audit import verify
from carillon.engine.decide import decide
from carillon.engine.model import Key, WorkKey
from carillon.engine.read import controller_uid
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from carillon.kube.events import Recorder, Reference
from carillon.kube.resources import CRON_JOBS, EVENTS, JOB_RUNS, JOBS, PODS, SCHEDULED_JOBS, Resource
from tests.unit.engine.builders import NAMESPACE, at, raw_definition
from tests.unit.engine.cluster import Body, Cluster, Pods, ended, suspension
from tests.unit.engine.ledger import Ledger
from tests.unit.engine.watching import LateWatches, Past, Watches

Answer = TypeVar("Answer")
ROUNDS = 200
TAKE_OVER = timedelta(seconds=16)
"""After the default lease has lapsed, another process has it."""


class _Reraise:
    """In the place of the counter of parked keys: here nothing is parked, and no broken promise goes unheard."""

    def inc(self) -> None:
        problem = sys.exception()
        assert problem is not None
        raise problem


_METRICS = Metrics()
_METRICS.parked = cast(Counter, _Reraise())


class Fault(StrEnum):
    """What may happen to a write."""

    DIE_BEFORE = "the process dies before it"
    DIE_AFTER = "the process dies after it"
    LOSE_ANSWER = "it happens, and the answer is lost"
    LOSE_REQUEST = "it does not happen, and nobody says so"
    THROTTLE = "the server is too busy for it, longer than the client asks again"
    LATE = "it happens later, when it was given up and asked for, and was not there"


class Died(BaseException):
    """The process is no more."""


class _GiveWay(Awaitable[None]):
    def __await__(self) -> Generator[None, None, None]:
        yield


class _Stop(Awaitable[None]):
    def __await__(self) -> Generator["_Stop", None, None]:
        yield self


class Stopped(Exception):  # noqa: N818
    """The process was stopped where it waits; it does not know, and wakes when its work is gone on with."""

    def __init__(self, works: Sequence[Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self.works = works


@dataclass
class Writes:
    """Counts the writes of all processes, and lets things happen to some of them."""

    count: int = 0
    faults: dict[int, Fault] = field(default_factory=dict)
    """By the number of the write, from 1."""
    log: list[str] = field(default_factory=list)
    awaits: int = 0
    """Requests of all kinds, of all processes."""
    at: list[int] = field(default_factory=list)
    """Those of them that are writes, whatever came of them."""
    stops: frozenset[int] = frozenset()
    """The awaits at which the process is stopped until another one has its lease."""
    on_the_wire: bool = False
    """Whether what it writes there has left it, and reaches the API server only after the other one's work."""
    late_seconds: float = 0.0
    """How long a write that is late is on its way."""
    on_their_way: list[tuple[datetime, str, Callable[[], object]]] = field(default_factory=list)
    """Writes that are late: when they arrive, and what they do then."""
    then: Callable[[int], None] = lambda _count: None
    """Called after each write with its number."""


async def known_for_sure(_key: Key) -> None:
    """Stand in for the comparison: a process of the simulator begins with lists."""


class MemoryClient:
    """The part of `carillon.kube.client.Client` that the executor uses."""

    def __init__(self, cluster: Cluster, writes: Writes, gate: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._writes = writes
        self._gate = gate

    async def _ask(self) -> None:
        """Wait for an answer, and perhaps for longer than the lease lasts."""
        self._writes.awaits += 1
        if self._gate() and self._writes.awaits in self._writes.stops:
            await _Stop()
        await _GiveWay()

    async def get(self, resource: Resource, namespace: str, name: str) -> Body:
        await self._ask()
        return self._cluster.get(resource, name)

    async def list(
        self, resource: Resource, namespace: str, *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[list[Body], str]:
        await self._ask()
        if resource is EVENTS:
            return [], "1"
        assert resource is PODS
        return self._cluster.pod_list(label_selector.rpartition("=")[2]), "1"

    async def create(
        self, resource: Resource, namespace: str, body: Body | bytes, *, dry_run: bool = False, strict: bool = False
    ) -> Body:
        body = orjson.loads(body) if isinstance(body, bytes) else body
        if dry_run:
            await self._ask()
            return body
        assert resource is not JOBS or controller_uid(body, "JobRun"), f"a Job without a run: {body['metadata']}"
        what = f"create {resource.kind} {body['metadata']['name']}"
        return await self._write(what, lambda: self._cluster.create(resource, body))

    async def apply(
        self, resource: Resource, namespace: str, name: str, body: Body, *, field_manager: str, force: bool
    ) -> Body:
        what = f"apply {resource.kind} {name}"
        return await self._write(what, lambda: self._cluster.apply(resource, name, body, force=force))

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Body, *, subresource: str = ""
    ) -> Body:
        return await self._write(
            f"patch {resource.kind} {name}",
            lambda: self._cluster.merge_patch(resource, name, patch, subresource=subresource),
        )

    async def replace(
        self, resource: Resource, namespace: str, name: str, body: Body, *, subresource: str = ""
    ) -> Body:
        if not subresource:
            return await self._write(
                f"replace {resource.kind} {name}", lambda: self._cluster.replace(resource, name, body)
            )
        assert subresource == "status"
        what = f"status {resource.kind} {name}"
        return await self._write(what, lambda: self._cluster.replace_status(resource, name, body))

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        what, how = f"delete {resource.kind} {name}", {"Foreground": {"foreground": True}, "Orphan": {"orphan": True}}

        def effect() -> None:
            self._cluster.delete(resource, name, uid=uid, resource_version=resource_version, **how.get(propagation, {}))

        await self._write(what, effect)

    async def pod_log(self, namespace: str, pod: str, **_: Any) -> str:
        await self._ask()
        return ""

    async def _write(self, what: str, effect: Callable[[], Answer]) -> Answer:
        """Carry a write out, or let happen to it what is planned; what the API server refuses does not count."""
        if not self._gate():
            raise WritesRefused("the lease is not held")
        self._writes.at.append(self._writes.awaits + 1)
        await self._ask()
        if not (self._gate() or self._writes.on_the_wire):
            raise WritesRefused("the lease is not held any more")
        fault = self._writes.faults.get(self._writes.count + 1)
        if fault in (Fault.DIE_BEFORE, Fault.LOSE_REQUEST, Fault.THROTTLE, Fault.LATE):
            self._note(what, fault)
        if fault is Fault.DIE_BEFORE:
            raise Died
        if fault is Fault.LATE:
            arrival = self._cluster.now + timedelta(seconds=self._writes.late_seconds)
            self._writes.on_their_way.append((arrival, what, effect))
        if fault in (Fault.LOSE_REQUEST, Fault.LATE):
            raise Unreachable("the connection was reset")
        if fault is Fault.THROTTLE:
            raise ApiError(429, "TooManyRequests", "please try again later", retry_after_seconds=1)
        answer = effect()
        self._note(what, fault)
        if fault is Fault.DIE_AFTER:
            raise Died
        if fault is Fault.LOSE_ANSWER:
            raise Unreachable("the connection was reset")
        return answer

    def _note(self, what: str, fault: Fault | None) -> None:
        self._writes.count += 1
        self._writes.log.append(f"{self._cluster.now:%H:%M:%S} {what}{f' ({fault})' if fault else ''}")
        self._writes.then(self._writes.count)


class Crowd(Crowds):
    """As if many more were due at the same instants."""

    def __init__(self, others: int) -> None:
        super().__init__()
        self._others = others

    def count(self, due: datetime) -> int:
        return super().count(due) + self._others

    def next(self, now: datetime) -> datetime | None:
        """When runs are to be written next."""
        open_dues = (due for due in self._members if due > now and due not in self._called)
        return min((due - lead(self.count(due)) for due in open_dues), default=None)


class Process:
    """One process of the operator that leads."""

    def __init__(
        self,
        cluster: Cluster,
        writes: Writes,
        events: list[str],
        *,
        lagging: bool = False,
        behind: Past | None = None,
        crowd: int = 0,
    ) -> None:
        """`lagging`: the watches tell what happened only when `deliver` is called; `behind`: as in `Watches.begin`.

        `crowd`: how many other definitions are due whenever one is, of which nothing else is told.
        """
        self._cluster = cluster
        self._events = events
        self.leads = True
        self.agenda = Agenda()
        self.crowds = self.agenda.crowds = Crowd(crowd)
        self.queue = WorkQueue()
        self.store = Store(changed=self._changed, unreadable=_refuse, clock=lambda: cluster.now)
        self._executor = executor = Executor(
            client=cast(Client, MemoryClient(cluster, writes, lambda: self.leads)),
            store=self.store,
            recorder=cast(Recorder, self),
            metrics=_METRICS,
            clock=lambda: cluster.now,
            last_words=True,
            progress_url="http://progress",
        )
        reads = itertools.count()
        self._reconciler = Reconciler(
            store=self.store,
            agenda=self.agenda,
            queue=self.queue,
            executor=executor,
            metrics=_METRICS,
            # No clock says the same twice.
            clock=lambda: cluster.now + timedelta(microseconds=next(reads)),
            make_sure=known_for_sure,
            costly=CostlyDecisions(cpu=lambda: 0.0),  # nobody here waits for real time
        )
        self._latest = cluster.now
        watching = LateWatches if lagging else Watches
        self.watches = watching(cluster, self._take, self._listed)
        self.watches.begin(behind)
        self._look_at_pods()

    def _look_at_pods(self) -> None:
        pods = self._cluster.pods.items()
        self.store.put_pods(pod for uid, of in pods if of.active for pod in self._cluster.pod_list(uid))

    def lead(self) -> None:
        """Begin to lead: everything that is known is looked at once."""
        self.leads = True
        self._executor.begin()
        self._look_at_pods()
        for key in self.store.known():
            self.queue.add(key)

    def stand_by(self) -> None:
        """Lead no more, and forget what was to be done."""
        self.leads = False
        self.queue.clear()
        self.agenda.clear()

    def emit(self, *, regarding: Reference, type: str, reason: str, message: str) -> None:
        """Stand in for the recorder."""
        self._events.append(f"{regarding.kind} {type} {reason}: {message}")

    def _changed(self, key: WorkKey) -> None:
        if self.leads:
            self.queue.add(key)

    def deliver(self, resource: Resource | None = None, most: int | None = None) -> None:
        """Let watches tell that lag."""
        self.watches.deliver(resource, most)

    def _take(self, resource: Resource, change: str, raw: Body) -> None:
        if change == "DELETED":
            self.store.drop(raw["metadata"]["uid"])
        elif resource is SCHEDULED_JOBS:
            self.store.put_definition(raw)
        elif resource is JOB_RUNS:
            self.store.put_run(raw)
        elif resource is CRON_JOBS:
            if keys.NATIVE_LABEL in raw["metadata"].get("labels", {}):
                self.store.put_cron_job(raw)
        else:
            self.store.put_job(raw)

    def _listed(self, resource: Resource, found: frozenset[str], version: int) -> None:
        if resource in (JOB_RUNS, JOBS):
            self.store.drop_absent(resource, None, found, version)

    def wake(self) -> None:
        """Let the agenda's moments that have come become keys; all keys where the clock was set back."""
        if self._cluster.now < self._latest:
            for known in self.store.known():
                self.queue.add(known)
        self._latest = self._cluster.now
        for key in self.agenda.due(self._cluster.now):
            self.queue.add(key, Urgency.DUE)
        for key in self.agenda.crowds.ripe(self._cluster.now):
            self.queue.add(key, Urgency.AHEAD)

    async def work(self) -> None:
        """Reconcile until the queue is empty."""
        for _ in range(ROUNDS):
            while not self.queue.ready and len(self.queue):
                await _GiveWay()  # another worker has the keys that there are
            if not len(self.queue):
                return
            key = await self.queue.get()
            try:
                await self._reconciler.reconcile(key)
            finally:
                self.queue.done(key)
        raise AssertionError("the operator does not come to rest")

    def stop(self) -> None:
        """End the process."""
        self.watches.end()


def _refuse(raw: Body, why: str) -> None:
    raise AssertionError(f"unreadable: {raw['metadata']['name']}: {why}")


class Simulation:
    """A cluster with an operator in it, and people."""

    def __init__(
        self,
        *,
        start: str = "12:00:30",
        faults: dict[int, Fault] | None = None,
        job_seconds: int | None = None,
        lagging: bool = False,
        workers: int = 1,
        seed: int = 0,
        crowd: int = 0,
        stops: Iterable[int] = (),
        on_the_wire: bool = False,
        late_seconds: float = 0.0,
        trusting: bool = False,
    ) -> None:
        """`job_seconds`: Jobs succeed by themselves after so long; None when the test ends them.

        `crowd`: how many others are due whenever one is, so that runs are written ahead.

        `workers`: so many tasks of the operator work at a time; who has the next turn is drawn by `seed`.
        `stops`, `on_the_wire`: as in `Writes`. `late_seconds`: how long after another one has taken over a stopped
        process wakes, or what was on the wire arrives; and how long a write is on its way that is late (`Fault.LATE`).
        `trusting`: the watches may be wrong for a while, and are believed.
        """
        self.workers = workers
        self._random = random.Random(seed)
        random.seed(seed)  # from which the operator draws how long it leaves alone what has failed
        self.cluster = Cluster(at(start))
        self.writes = Writes(
            faults=faults or {}, stops=frozenset(stops), on_the_wire=on_the_wire, late_seconds=late_seconds
        )
        self.events: list[str] = []
        self.ledger = Ledger(self.cluster, prompt=not (lagging or trusting))
        self.deaths = 0
        self.take_overs = 0
        self.arrivals: list[str] = []
        """The writes that were late, and what came of them."""
        self.job_seconds = job_seconds
        self.exit_code = 0
        self._lagging, self._crowd = lagging, crowd
        self._late_seconds = late_seconds
        self.process: Process | None = self._new_process()
        self.standby: Process | None = None

    @property
    def now(self) -> datetime:
        return self.cluster.now

    def second_leader(self) -> Process:
        """Another process that believes that it leads."""
        return self._new_process()

    def contend(self, other: Process, turns: Iterable[bool]) -> None:
        """Let both leaders do what there is to do, request by request."""
        assert self.process is not None
        self._kubernetes()
        for process in (self.process, other):
            process.wake()
        interleave([self.process.work(), other.work()], (not turn for turn in turns))
        self.cluster.collect_garbage()

    def _new_process(self, behind: Past | None = None) -> Process:
        return Process(self.cluster, self.writes, self.events, lagging=self._lagging, behind=behind, crowd=self._crowd)

    # People

    def apply(self, *crons: str, name: str = "sweep", **spec: Any) -> None:
        """Create a ScheduledJob."""
        raw = raw_definition(*crons, name=name, **spec)
        self.cluster.create(SCHEDULED_JOBS, {**raw, "metadata": {"name": name, "namespace": NAMESPACE}})
        self.work()

    def edit(self, name: str = "sweep", **spec: Any) -> None:
        """Change a ScheduledJob."""
        self.cluster.edit(name, **spec)
        self.work()

    def edit_run(self, name: str, **spec: Any) -> None:
        """Stop, pause or resume a JobRun."""
        self.cluster.edit(name, resource=JOB_RUNS, **spec)
        self.work()

    def run_now(self, run: str, *, name: str = "sweep", **spec: Any) -> None:
        """Create a JobRun."""
        self.cluster.create(JOB_RUNS, self.manual_run(run, name=name, **spec))
        self.work()

    @staticmethod
    def manual_run(run: str, *, name: str = "sweep", **spec: Any) -> Body:
        """A JobRun as people write it."""
        metadata = {"name": run, "namespace": NAMESPACE}
        body = {"apiVersion": "carillon.dev/v1alpha1", "kind": "JobRun", "metadata": metadata}
        return {**body, "spec": {"scheduledJob": name, **spec}}

    def delete(self, resource: Resource, name: str) -> None:
        """Delete an object, with background propagation."""
        self.cluster.delete(resource, name)
        self.work()

    # Kubernetes

    def jobs(self) -> list[str]:
        """Names of the Jobs that are not finished."""
        return [n for n, raw in self.cluster.objects[JOBS].items() if not ended(raw)]

    def working_jobs(self) -> list[str]:
        """Those of them that have a pod which nobody has told to end."""
        return [name for name in self.jobs() if self._pods_of(name).active and self._pods_of(name).ends_at is None]

    def finish(self, job: str, *, exit_code: int = 0) -> None:
        """End a Job."""
        self.cluster.finish(job, exit_code=exit_code, words="broken" if exit_code else "")
        self.work()

    # Time

    def work(self) -> None:
        """Let the operator do all there is to do now, and be restarted when it dies."""
        while self.process is not None:
            try:
                self._drive(self.process)
            except Died:
                self.deaths += 1
                self.restart()
            except Stopped as stopped:
                self._take_over(self.process, stopped.works)
            else:
                return

    def _drive(self, process: Process) -> None:
        while True:
            process.wake()
            interleave([process.work() for _ in range(self.workers)], self._turns())
            if not self.cluster.collect_garbage():
                return

    def _turns(self) -> Iterator[int]:
        while True:
            yield self._random.randrange(self.workers)

    def _take_over(self, old: Process, works: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Let a standby work while a leader is stopped, and then the old one wake, which leads no more."""
        self.take_overs += 1
        old.leads, old.watches.silent = False, set(self.cluster.objects)
        self.cluster.now += TAKE_OVER
        self.process = new = self.standby or self._new_process()
        self.standby = None
        new.lead()
        self._kubernetes()
        self.work()
        if self._late_seconds:
            self.advance(self._late_seconds)
        written, late = self.writes.count, int(self.writes.on_the_wire)
        self.ledger.late = True
        interleave(works, ())
        self.ledger.late = False
        assert self.writes.count <= written + late, f"it leads no more, and yet: {self.writes.log[written:]}"
        old.watches.silent.clear()
        old.deliver()
        old.stand_by()
        if self.process is new:
            self.standby = old

    def crash(self) -> None:
        """Take the operator away."""
        if self.process is not None:
            self.process.stop()
        self.process = None

    def restart(self, behind: Past | None = None) -> None:
        """Put a new process in the place of the old one; `behind`: as in `Watches.begin`."""
        self.crash()
        self.process = self._new_process(behind)

    def advance(self, seconds: float) -> None:
        """Let time pass; the operator wakes when it wants to, and Jobs end when it is their time."""
        self.until(self.now + timedelta(seconds=seconds))

    def until(self, moment: datetime | str) -> None:
        """Let time pass until a moment."""
        target = at(moment) if isinstance(moment, str) else moment
        while True:
            self._kubernetes()
            self._arrive()
            self.work()
            upcoming = [self._next_end(), *(when for when, _, _ in self.writes.on_their_way)]
            if self.process is not None:
                upcoming += [self.process.agenda.next(), self.process.crowds.next(self.now)]
            moments = [when for when in upcoming if when is not None and when <= target]
            if not moments:
                break
            self.cluster.now = max(self.now, min(moments))
        self.cluster.now = max(self.now, target)
        self._kubernetes()
        self._arrive()
        self.work()

    def _arrive(self) -> None:
        """Let writes that are late have their effect, now that nobody waits for an answer."""
        arrived = [write for write in self.writes.on_their_way if write[0] <= self.now]
        self.writes.on_their_way = [write for write in self.writes.on_their_way if write[0] > self.now]
        self.ledger.late = True
        for _, what, effect in arrived:
            try:
                effect()
            except ApiError as error:
                what = f"{what}, refused: {error.status}"
            self.arrivals.append(f"{self.now:%H:%M:%S} {what}")
        self.ledger.late = False
        if self.process is None:
            self.cluster.collect_garbage()

    def _kubernetes(self) -> None:
        """Let the other controllers and the kubelet do what is due."""
        for uid, pods in list(self.cluster.pods.items()):
            if pods.ends_at is not None and pods.ends_at <= self.now:
                self.cluster.end_pods(uid)
        for name in self.jobs():
            limit = self.cluster.past_deadline(name)
            if (end := self._end_of(name)) is not None and end <= self.now and (limit is None or end <= limit):
                self.cluster.finish(name, exit_code=self.exit_code, words="broken" if self.exit_code else "")
            elif limit is not None and limit <= self.now:
                self.cluster.finish(name, exit_code=143, words="", reason="DeadlineExceeded")
            else:
                self.cluster.control(name)

    def _pods_of(self, job: str) -> Pods:
        return self.cluster.pods[self.cluster.objects[JOBS][job]["metadata"]["uid"]]

    def _end_of(self, job: str) -> datetime | None:
        if self.job_seconds is None or self._pods_of(job).ends_at is not None:
            return None
        raw = self.cluster.objects[JOBS][job]
        if raw["spec"].get("suspend") or suspension(raw):
            return None
        start = raw["status"].get("startTime", raw["metadata"]["creationTimestamp"])
        return datetime.fromisoformat(start) + timedelta(seconds=self.job_seconds)

    def _next_end(self) -> datetime | None:
        ends = (*map(self._end_of, self.jobs()), *map(self.cluster.past_deadline, self.jobs()))
        moments = [*ends, *(pods.ends_at for pods in self.cluster.pods.values())]
        return min((moment for moment in moments if moment is not None), default=None)

    # What is expected at the end

    def settle(self) -> None:
        """Bring an operator back if there is none, let put-off work be done, and check that all is at rest."""
        if self.process is None:
            self.restart()
        assert self.process is not None
        quiet = 0
        for _ in range(120):
            self.advance(1)
            self.process.deliver()
            self.work()
            # What finishes in one second may be counted in the next, and pods that linger are looked at every 2 s.
            terminating = any(pods.ends_at is not None for pods in self.cluster.pods.values())
            quiet = 0 if terminating or self.writes.on_their_way or self._busy() else quiet + 1
            if quiet == 4:
                break
        self.ledger.check_at_rest()
        written, keys = self.writes.count, self.process.store.known()
        for key in keys:
            self.process.queue.add(key)
        self.work()
        assert self.writes.count == written, f"at rest, and yet: {self.writes.log[written:]}"
        for key in keys:
            assert not self._pending(key), f"at rest, and yet planned: {self._pending(key)}"

    def handled_through(self) -> datetime:
        """The watermark of the definition."""
        (raw,) = self.cluster.objects[SCHEDULED_JOBS].values()
        return min(datetime.fromisoformat(mark["handledThrough"]) for mark in raw["status"]["triggers"])

    def verify(self) -> list[str]:
        """What `carillon task verify` would find now."""
        assert self.process is not None
        store = self.process.store
        snapshots = [store.snapshot(key) for key in store.known()]
        runs, jobs = [r for s in snapshots for r in s.runs], [j for s in snapshots for j in s.jobs]
        return [str(finding) for finding in verify(store.definitions(), runs, jobs, self.now)]

    def _pending(self, key: Key) -> tuple[plans.Action, ...]:
        assert self.process is not None
        return decide(self.process.store.snapshot(key), self.now).actions

    def _busy(self) -> bool:
        assert self.process is not None
        return any(self._pending(key) for key in self.process.store.known())

    def clearable(self) -> list[str]:
        """Names of the finished runs that the definition's status has taken over."""
        return [
            name
            for name, raw in self.cluster.objects[JOB_RUNS].items()
            if self.ledger.runs[raw["metadata"]["uid"]].recorded
        ]

    def recorded_jobs(self) -> list[str]:
        """Names of the Jobs of which the record of their run speaks."""
        runs = self.cluster.objects[JOB_RUNS].values()
        told = {step["job"] for raw in runs for step in raw["status"].get("steps", ()) if "job" in step}
        return [name for name in self.cluster.objects[JOBS] if name in told]

    def active_runs(self) -> list[str]:
        """Names of the JobRuns that are not finished."""
        return [name for name, phase in self.phases().items() if not (phase and Phase(phase).finished)]

    def phases(self) -> dict[str, str]:
        """Phase of every JobRun there is."""
        return {name: raw["status"].get("phase", "") for name, raw in self.cluster.objects[JOB_RUNS].items()}


def interleave(works: Sequence[Coroutine[Any, Any, None]], turns: Iterable[int]) -> None:
    """Run coroutines request by request: each turn is one of that number; then all in turn to their ends."""
    running = list(works)
    endless = itertools.cycle(range(len(works)))
    try:
        for number in itertools.chain(turns, endless):
            if not running:
                return
            work = works[number]
            if work in running:
                try:
                    stopped = work.send(None)
                except StopIteration:
                    running.remove(work)
                else:
                    if isinstance(stopped, _Stop):
                        works, running = running, []
                        raise Stopped(works)
    finally:
        for work in running:
            work.close()
