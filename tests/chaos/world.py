"""Everything that a fault meets: the cluster, the fleet, the operators, and who writes down what happens."""

import asyncio
import random
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carillon.api import keys
from carillon.kube.client import Client
from carillon.kube.errors import ApiError
from carillon.kube.resources import JOB_RUNS, JOBS, LEASES, NAMESPACES, SCHEDULED_JOBS, Resource
from tests.chaos.accounts import Account, Run, SkipLine, settle
from tests.chaos.finisher import Finisher
from tests.chaos.fleet import NAMESPACE, Member, Ticks, seconds
from tests.chaos.replicas import LEASE, LEASE_NAMESPACE, Replica, Replicas
from tests.chaos.services import Services
from tests.chaos.witness import Seen, Witness, repeated, until

ATTEMPT_OF_ALL = "1"
DELETED_IN_TIME_SECONDS = 10
"""What was due so shortly before a definition was deleted may not have been seen."""


LEASE_SECONDS = 4.0
"""The default."""


@dataclass(frozen=True)
class TakeOver:
    """How long it took until another process led."""

    seconds: float
    extra_seconds: float
    """How much longer than the default the lease was, which it is while answers are slow (`kube/lease.py`)."""


@dataclass
class World:
    """What the faults act on."""

    kubeconfig: Path
    client: Client
    """Past the proxies."""
    witness: Witness
    finisher: Finisher
    replicas: Replicas
    services: Services
    random: random.Random
    members: dict[tuple[str, str], Member] = field(default_factory=dict)
    take_overs: list[TakeOver] = field(default_factory=list)
    """How long it took until another process led, in the fault that is on."""
    hand_overs: list[float] = field(default_factory=list)
    """The same, where the leader had been asked to stop."""
    touched: set[str] = field(default_factory=set)
    """UIDs of runs and Jobs that somebody else than the operator has deleted."""
    held_up: float = 0.0
    """The longest that this process, with its proxies, was busy or without a processor in the fault that is on."""
    several_leaders: bool = False
    """Whether the fault that is on makes two operators lead at once, so that both may write."""

    # Definitions --------------------------------------------------------------------------------------------------

    async def add(self, member: Member, **spec: Any) -> str:
        """Create a definition of the fleet; its UID."""
        self.members[member.namespace, member.name] = member
        made = await self.ask(lambda: self.client.create(SCHEDULED_JOBS, member.namespace, member.manifest(**spec)))
        uid = str(made["metadata"]["uid"])
        await until(lambda: uid in self.witness.definitions, f"the witness to see {member.name}")
        return uid

    async def remove(self, resource: Resource, seen: Seen) -> None:
        """Delete an object, as a person does."""
        self.touched.add(seen.uid)
        await self.ask(lambda: self.client.delete(resource, seen.namespace, seen.name, uid=seen.uid))

    async def edit(self, member: Member, body: dict[str, Any]) -> None:
        """Patch a definition."""
        await self.ask(lambda: self.client.merge_patch(SCHEDULED_JOBS, member.namespace, member.name, body))

    async def namespace(self, name: str) -> None:
        """Have a namespace."""
        await self.create_anyway(
            NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )

    async def create_anyway(self, resource: Resource, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object, or take the one that is there."""
        try:
            made = await self.ask(lambda: self.client.create(resource, namespace, body))
        except ApiError as error:
            if not error.already_exists:
                raise
            made = await self.ask(lambda: self.client.get(resource, namespace, body["metadata"]["name"]))
        return dict(made)

    async def remove_named(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete the object that has the name now."""

        async def remove() -> None:
            found = await self.client.get(resource, namespace, name)
            await self.client.delete(resource, namespace, name, uid=found["metadata"]["uid"])

        await self.ask(remove)

    async def there(self, resource: Resource, namespace: str | None, name: str) -> bool:
        """Whether the API server has the object."""
        try:
            await self.ask(lambda: self.client.get(resource, namespace, name))
        except ApiError as error:
            if not error.not_found:
                raise
            return False
        return True

    async def probe(self) -> None:
        """See a new definition taken up and run, by watches and writes of now.

        Raises:
            TimeoutError: it has not run once in 30 s.
        """
        member = Member(f"probe-{len(self.members)}", Ticks(2))
        uid = await self.add(member)
        runs = self.witness.runs
        await until(lambda: any(r.owner == uid and r.ended for r in runs.values()), f"{member.name} to have run")
        await self.remove(SCHEDULED_JOBS, self.find(member.name))

    async def extra_lease_seconds(self) -> float:
        """How much longer the lease is than by default."""
        lease = await self.ask(lambda: self.client.get(LEASES, LEASE_NAMESPACE, LEASE))
        return float(max(0, lease["spec"]["leaseDurationSeconds"] - LEASE_SECONDS))

    async def until_taken_over(self, since: float, extra_seconds: float) -> None:
        """Wait until another process leads, and note how long it took since then, of `time.monotonic`."""
        self.take_overs.append(TakeOver((await self.replicas.next_leader(since)).at - since, extra_seconds))

    async def ask(self, request: Any) -> Any:
        """Send a request of the tests' own, as often as it takes."""
        return await repeated(request)

    def find(self, name: str) -> Seen:
        """The definition of the fleet that has the name now."""
        return next(each for each in reversed(self.definitions()) if each.name == name)

    def present(self, member: Member) -> bool:
        """Whether the definition is there."""
        return any((each.namespace, each.name) == (member.namespace, member.name) for each in self.definitions())

    async def until_gone(self, member: Member) -> None:
        """Wait until it is not."""
        await until(lambda: not self.present(member), f"{member.name} to be gone")

    def definitions(self) -> list[Seen]:
        """The fleet's, that are there."""
        return [each for each in self._known() if each.gone is None]

    def _known(self) -> list[Seen]:
        return [each for each in self.witness.definitions.values() if (each.namespace, each.name) in self.members]

    # Operators ----------------------------------------------------------------------------------------------------

    async def crash(self, *replicas: Replica) -> float:
        """Kill them; the time of it."""
        at = time.monotonic()
        for replica in replicas:
            replica.operator.kill()
        return at

    async def replace(self, replica: Replica, *arguments: str) -> Replica:
        """Start another operator in the place of one that is gone."""
        await replica.proxy.stop()
        started = await self.replicas.start(*arguments)
        await self.replicas.until_ready(started)
        return started

    async def heal(self) -> None:
        """Two operators run, one leads, and the weather is fine."""
        for replica in self.replicas.running:
            replica.proxy.weather = type(replica.proxy.weather)()
        while len(self.replicas.running) < 2:
            await self.replicas.until_ready(await self.replicas.start())
        while not self.replicas.taken or not self.replicas.leader.running:
            await self.replicas.next_leader(time.monotonic())

    async def watch_oneself(self) -> None:
        """Note how late the tests themselves are, until cancelled: what they hold up is no operator's fault."""
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(0.05)
            self.held_up = max(self.held_up, time.monotonic() - asleep - 0.05)

    # Accounts -----------------------------------------------------------------------------------------------------

    async def until_settled(self, through: float, seconds: float) -> bool:
        """Wait until everything due up to then is handled, and has ended; whether that came about."""
        deadline = time.monotonic() + seconds
        while self.unsettled(through):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.2)
        return True

    def unsettled(self, through: float) -> list[str]:
        """What is still to come of what was due up to then."""
        left = []
        for definition in self.definitions():
            ticks = self.members[definition.namespace, definition.name].ticks
            last = max(ticks.between(through - ticks.period, through), default=0)
            if definition.raw["metadata"].get("deletionTimestamp") or self.suspended(definition):
                continue
            if (
                self.witness.handled_through(definition)
                < last
                > seconds(definition.raw["metadata"]["creationTimestamp"])
            ):
                left.append(f"{definition.name}: handled through {self.witness.handled_through(definition)}")
        uids = {definition.uid for definition in self.definitions()}
        for run in self.witness.runs.values():
            if run.owner in uids and run.gone is None and not run.ended and (run.due or 0) <= through:
                left.append(f"{run.name}: {run.phase or 'not begun'}")
        return left + self.orphans()

    def suspended(self, definition: Seen) -> bool:
        return bool(definition.raw["spec"].get("suspend"))

    def orphans(self) -> list[str]:
        """Jobs that are there, and whose run is not; runs whose definition is not."""
        here = {uid for uid, seen in self.witness.runs.items() if seen.gone is None}
        jobs = [
            j for j in self.witness.jobs.values() if j.gone is None and j.label.get(keys.RUN_UID_LABEL, "") not in here
        ]
        known = {uid for uid, seen in self.witness.definitions.items() if seen.gone is None}
        runs = [r for r in self.witness.runs.values() if r.gone is None and r.due is not None and r.owner not in known]
        return [f"{each.raw['kind']} {each.namespace}/{each.name} is an orphan" for each in (*jobs, *runs)]

    def account(self, after: float, through: float) -> Account:
        """What has become of all that was due in (after, through]."""
        jobs: Counter[str] = Counter()
        for job in self.witness.jobs.values():
            if job.label.get(keys.ATTEMPT_LABEL, ATTEMPT_OF_ALL) == ATTEMPT_OF_ALL:
                jobs[job.label.get(keys.RUN_UID_LABEL, "")] += 1
        runs: dict[str, list[Run]] = {}
        for run in self.witness.runs.values():
            if run.due is not None:
                owner = self.witness.definitions.get(run.owner)
                deleted = run.uid in self.touched or owner is None or owner.gone is not None
                runs.setdefault(run.owner, []).append(Run(run.uid, run.due, jobs[run.uid], run.phase, deleted))
        total = Account()
        for definition in self._known():
            created = seconds(definition.raw["metadata"]["creationTimestamp"])
            lines = self.witness.skips.get(definition.uid, {})
            account = settle(
                f"{definition.namespace}/{definition.name}",
                self.members[definition.namespace, definition.name].ticks,
                runs.get(definition.uid, ()),
                [SkipLine(*line, reason) for (_, _, reason), line in lines.items()],
                after=max(after, created),
                through=through if definition.gone is None else min(through, definition.gone),
                certain_through=None if definition.gone is None else _deletion(definition) - DELETED_IN_TIME_SECONDS,
            )
            total.add(account)
        times = Counter((run.owner, run.due) for run in self.witness.runs.values() if run.due is not None)
        total.doubled += [f"{n} runs at {due}, of UID {uid}" for (uid, due), n in times.items() if n > 1]
        total.doubled += [f"{n} Jobs for one run, UID {uid}" for uid, n in jobs.items() if uid and n > 1]
        return total

    def lateness(self, after: float, through: float) -> float:
        """The longest time from due time to Job, of those whose creation was seen, in seconds."""
        late = 0.0
        for job in self.witness.jobs.values():
            run = self.witness.runs.get(job.label.get(keys.RUN_UID_LABEL, ""))
            if run is not None and run.due is not None and job.live and after < run.due <= through:
                late = max(late, job.first_seen - run.due)
        return late


def _deletion(definition: Seen) -> float:
    stamped = definition.raw["metadata"].get("deletionTimestamp")
    return seconds(stamped) if stamped else (definition.gone or 0.0)


@asynccontextmanager
async def world(kubeconfig: Path, members: list[Member], *, seed: int) -> AsyncIterator[World]:
    """Two operators that serve a new fleet; all of it is gone afterwards, and the cluster stays."""
    client = await Client.connect(kubeconfig=str(kubeconfig), max_in_flight=32)
    directory = Path(tempfile.mkdtemp(prefix="carillon-chaos-"))
    configuration = client.configuration
    trusting = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    with_certificate = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    with_certificate.load_cert_chain(configuration.cert_file, configuration.key_file)
    replicas = Replicas(
        directory=directory, upstream=configuration.host, credentials=with_certificate, anonymous=trusting
    )
    witness, finisher = Witness(client), Finisher(client)
    witness.on_job.append(finisher.note)
    made = World(kubeconfig, client, witness, finisher, replicas, Services(kubeconfig), random.Random(seed))
    tasks: list[asyncio.Task[None]] = []
    try:
        for name in (NAMESPACE, LEASE_NAMESPACE):
            await made.namespace(name)
        await _clear(client, NAMESPACE)
        tasks += [asyncio.create_task(witness.follow()), asyncio.create_task(made.watch_oneself())]
        await replicas.until_ready(await replicas.start())
        await made.heal()
        for member in members:
            await made.add(member)
        yield made
    finally:
        await replicas.end()
        for task in tasks:
            task.cancel()
        await finisher.stop()
        await _clear(client, NAMESPACE)
        await client.close()


async def _clear(client: Client, namespace: str) -> None:
    for resource in (SCHEDULED_JOBS, JOB_RUNS, JOBS):
        items, _ = await client.list(resource, namespace, metadata_only=True)
        for item in items:
            await client.delete(resource, namespace, item["metadata"]["name"], uid=item["metadata"]["uid"])
