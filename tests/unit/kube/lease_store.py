"""An API server that knows one Lease: resourceVersions are kept strictly, answers can be late or lost."""

import asyncio
import copy
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from carillon.kube.errors import ApiError, Unreachable

Object = dict[str, Any]


@dataclass
class LeaseStore:
    lease: Object | None = None
    version: int = 0

    def _stored(self, lease: Object) -> Object:
        self.version += 1
        lease["metadata"]["resourceVersion"] = str(self.version)
        self.lease = lease
        return copy.deepcopy(lease)

    def get(self) -> Object:
        if self.lease is None:
            raise ApiError(404, "NotFound", "no lease")
        return copy.deepcopy(self.lease)

    def create(self, body: Object) -> Object:
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "the lease is there")
        lease = copy.deepcopy(body)
        lease["metadata"]["uid"] = f"uid-{self.version}"
        return self._stored(lease)

    def patch(self, body: Object) -> Object:
        lease = self.get()
        if lease["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        lease["spec"].update(body["spec"])
        lease["spec"] = {key: value for key, value in lease["spec"].items() if value is not None}
        return self._stored(lease)

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.get()["spec"]
        return spec


Fault = Callable[[], Awaitable[None]]


async def _prompt() -> None:
    await asyncio.sleep(0)


@dataclass
class LeaseClient:
    """One elector's way to the store; `before` and `after` the effect of a request anything can be made to happen."""

    store: LeaseStore
    before: Fault = _prompt
    after: Fault = _prompt
    requests: list[str] = field(default_factory=list)

    async def get(self, *_: Any, lease_seconds: float, **__: Any) -> Object:
        return await self._with_faults("get", self.store.get, lease_seconds)

    async def create(self, _: Any, __: str, body: Object, *, lease_seconds: float, **___: Any) -> Object:
        return await self._with_faults("create", lambda: self.store.create(body), lease_seconds)

    async def merge_patch(self, *arguments: Any, lease_seconds: float, **_: Any) -> Object:
        return await self._with_faults("patch", lambda: self.store.patch(arguments[3]), lease_seconds)

    async def _with_faults(self, verb: str, effect: Callable[[], Object], timeout_seconds: float) -> Object:
        self.requests.append(verb)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.before()
                answer = effect()
                await self.after()
                return answer
        except TimeoutError as problem:
            raise Unreachable(f"{verb} leases: timeout") from problem


def unruly(dice: random.Random) -> Fault:
    """A network that is mostly quick, at times slow or lossy, and at times gone for seconds."""

    async def fault() -> None:
        draw = dice.random()
        if draw < 0.6:
            await asyncio.sleep(dice.uniform(0, 0.05))
        elif draw < 0.85:
            await asyncio.sleep(dice.uniform(0, 1.5))
        elif draw < 0.95:
            await asyncio.sleep(dice.uniform(0, 8))
        else:
            raise Unreachable("reset")

    return fault
