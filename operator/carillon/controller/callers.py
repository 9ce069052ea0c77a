"""Who calls: from a token to the run whose pod holds it. What a request says of itself counts for nothing.

The API server says whether the token is good, meant for us and bound to which pod (TokenReview); the pod says which Job
controls it; the store says whose run that Job is. Answers are kept for a while, by a hash of the token: a pod does not
change its Job, and its token ends with it.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from carillon.api import keys
from carillon.controller.store import Store
from carillon.engine.model import Run
from carillon.engine.read import instant
from carillon.kube.errors import ApiError, Unreachable

KEPT_SECONDS = 60.0
"""For as long, a token that has ended is taken; the API server itself keeps its answers for 10 s."""
REFUSAL_KEPT_SECONDS = 10.0
KEPT = 10_000
LONGEST_TOKEN = 8000
"""In characters; the API server's own are about 1,200."""
FAILURES, FAILURES_SECONDS = 20, 60.0
"""So many tokens that are no good may come from an address in so many seconds."""
ADDRESSES = 10_000
JUST_MADE = timedelta(seconds=60)
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_SERVICE_ACCOUNT = "system:serviceaccount:"
_TOKEN_CURE = (
    f'send "Authorization: Bearer $(cat "${keys.TOKEN_FILE_ENVIRONMENT}")", and read the file at each call, for the '
    "token is renewed"
)


class Refused(Exception):  # noqa: N818  (said to the task)
    """The call is refused.

    Args:
        status: of HTTP.
        words: what was found, and the cure.
        for_administrators: whether only they can mend it, so that it is logged.
    """

    def __init__(self, status: int, words: str, *, for_administrators: bool = False) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.for_administrators = for_administrators


@dataclass(frozen=True, slots=True)
class Caller:
    """A pod, as the API server vouches for it."""

    namespace: str
    pod: str
    job_uid: str
    """UID of the Job that controls the pod."""
    labelled: bool
    """It carries the label of our pods, which proves nothing: a Job that is not known (yet) may be ours."""
    created: datetime


class Identities(Protocol):
    """What is asked of the API server."""

    async def review(self, token: str, audience: str) -> dict[str, Any]: ...  # noqa: D102

    async def pod(self, namespace: str, name: str) -> dict[str, Any] | None: ...  # noqa: D102


class Callers:
    """Tells the run of a token.

    Args:
        identities: the API server.
        store: what is known of runs and Jobs.
        namespaces: the ones that the operator works in; empty: all.
        clock: the wall clock.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        *,
        identities: Identities,
        store: Store,
        namespaces: tuple[str, ...],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identities = identities
        self._store = store
        self._namespaces = namespaces
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, tuple[float, Caller | Refused]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | Refused]] = {}
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def run_of(self, authorization: str, address: str) -> Run:
        """Tell the run whose pod makes this call.

        Args:
            authorization: the header of that name.
            address: where the call comes from.

        Raises:
            Refused: 401 the token is no good; 403 it is, and its pod is of no run; 429 too many bad tokens; 503 the API
                server does not say, or the Job is not known yet.
        """
        caller = await self._caller(_bearer(authorization), address)
        run = self._store.run_of_job(caller.job_uid)
        if run is not None and run.namespace == caller.namespace:
            return run
        pod = f"pod {caller.namespace}/{caller.pod}"
        if caller.labelled and self._clock() - caller.created < JUST_MADE:
            raise Refused(503, f"the Job of {pod} is not known yet; try again")
        raise Refused(403, f"{pod} is not of a JobRun that is known here; only pods of a run's own Job report")

    async def _caller(self, token: str, address: str) -> Caller:
        key = hashlib.sha256(token.encode()).digest()
        until, found = self._known.get(key, (0.0, None))
        if found is None or until <= self._monotonic():
            self._check_failures(address)
            asking = self._asking.get(key)
            if asking is None:
                asking = self._asking[key] = asyncio.create_task(self._ask(token))
                asking.add_done_callback(lambda _: self._asking.pop(key, None))
            found = await asyncio.shield(asking)
            self._keep(key, found)
        if isinstance(found, Refused):
            if found.status in (401, 403):  # and not where the API server could not be asked: good tokens wait, too
                self._count_failure(address)
            raise found
        return found

    async def _ask(self, token: str) -> Caller | Refused:
        try:
            return await self._identify(token)
        except Refused as refused:
            return refused
        except Unreachable as error:
            return Refused(503, f"the API server cannot be asked about the token ({error}); try again")
        except ApiError as error:
            words = f"the API server does not say whose token it is ({error})"
            return Refused(503, words, for_administrators=True)

    async def _identify(self, token: str) -> Caller:
        status = await self._identities.review(token, keys.AUDIENCE)
        if status.get("authenticated") is not True or keys.AUDIENCE not in (status.get("audiences") or ()):
            raise Refused(401, f"the token is not good here (audience {keys.AUDIENCE}), or has ended; {_TOKEN_CURE}")
        user = status.get("user") or {}
        extra = user.get("extra") or {}
        names, uids = list(extra.get(_POD_NAME) or ()), list(extra.get(_POD_UID) or ())
        username = str(user.get("username", ""))
        if not username.startswith(_SERVICE_ACCOUNT) or len(names) != 1 or len(uids) != 1:
            raise Refused(403, f"the token is not bound to a pod; {_TOKEN_CURE}")
        namespace = username.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]
        if self._namespaces and namespace not in self._namespaces:
            raise Refused(403, f"namespace {namespace} is not one of those that this operator works in")
        pod = await self._identities.pod(namespace, names[0])
        if pod is None or pod.get("uid") != uids[0]:
            raise Refused(403, f"pod {namespace}/{names[0]} of the token is gone")
        owner: dict[str, Any] = next((o for o in pod.get("ownerReferences") or () if o.get("controller")), {})
        if owner.get("kind") != "Job" or not str(owner.get("apiVersion", "")).startswith("batch/"):
            raise Refused(403, f"pod {namespace}/{names[0]} is not of a Job; only pods of a JobRun report")
        return Caller(
            namespace=namespace,
            pod=names[0],
            job_uid=str(owner.get("uid", "")),
            labelled=bool({keys.RUN_UID_LABEL, keys.NATIVE_LABEL} & (pod.get("labels") or {}).keys()),
            created=instant(pod["creationTimestamp"]),
        )

    def _keep(self, key: bytes, found: Caller | Refused) -> None:
        if isinstance(found, Refused) and found.status == 503:
            return
        seconds = REFUSAL_KEPT_SECONDS if isinstance(found, Refused) else KEPT_SECONDS
        self._known[key] = (self._monotonic() + seconds, found)
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _check_failures(self, address: str) -> None:
        since, count = self._failures.get(address, (0.0, 0))
        left = since + FAILURES_SECONDS - self._monotonic()
        if count >= FAILURES and left > 0:
            raise Refused(429, f"too many tokens that are no good; wait {left:.0f} s. {_TOKEN_CURE}")

    def _count_failure(self, address: str) -> None:
        now = self._monotonic()
        since, count = self._failures.get(address, (now, 0))
        self._failures[address] = (now, 1) if now - since >= FAILURES_SECONDS else (since, count + 1)
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, f"Authorization: found no bearer token; {_TOKEN_CURE}")
    if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise Refused(401, f"Authorization: found no token of Kubernetes; {_TOKEN_CURE}")
    return token
