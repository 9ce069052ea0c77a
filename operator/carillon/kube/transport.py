"""The wire: configuration, TLS, tokens and the HTTP session. Knows nothing of resources, retries or queues.

Where the cluster is and who we are comes from `kubernetes.aio.config`; the library's own hook reads a pod's rotated
token again every minute, and its `RESTClientObject` builds the TLS context. The session is aiohttp's, as in the
library, but made here: the library's encodes bodies with `json`, and asks a thread for the proxy on every request.

A write carries its gate into the connection: it is asked again at the moment when a connection is there and the
bytes are about to be written, since waiting for a connection (or a stopped process) may have taken long.
"""

import asyncio
import os
import time
import urllib.request
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import structlog
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from multidict import CIMultiDict
from yarl import URL

from carillon.kube.errors import NotConfigured, WritesRefused
from carillon.kube.kubeconfig import Unreadable, check

log = structlog.get_logger(__name__)

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
"""What a request may raise when there was no whole answer."""
KEEP_ALIVE_SECONDS = 75.0
"""Below the API server's 90 s, so that we are the side that closes an idle connection and no write falls into the gap;
well above aiohttp's 15 s, so that a burst after a quiet minute does not begin with a hundred TLS handshakes."""
RENEWAL_INTERVAL_SECONDS = 10.0
_READ_BUFFER_BYTES = 1 << 20
_CURE = "name a kubeconfig, set KUBECONFIG, or run in a pod with a service account"
_POD = "the pod's service account"


class Gate(Protocol):
    """Who says whether this process may write now."""

    def check(self) -> None:
        """Raise WritesRefused unless a write may leave at this moment."""


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whom requests are made as; RBAC has to allow the one who asks to impersonate them."""

    user: str
    groups: tuple[str, ...] = ()

    def added_to(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        """Add the headers of user impersonation; that of the groups may come several times."""
        return CIMultiDict(
            [*headers.items(), ("Impersonate-User", self.user), *(("Impersonate-Group", g) for g in self.groups)]
        )


_gate: ContextVar[Gate | None] = ContextVar("carillon_gate", default=None)


class _Request(aiohttp.ClientRequest):
    """Asks the gate in the very step of the event loop in which the bytes leave.

    The library writes a body in a task of its own, with the headers: one step of the loop later, or many milliseconds
    in a burst, in which the process may be stopped and its lease be lost.
    """

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        gate = _gate.get()
        if gate is not None and not self.body:
            gate.check()
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        gate = _gate.get()
        if gate is not None:
            try:
                gate.check()
            except WritesRefused as refused:
                # Whoever waits for the answer has this one; the connection, on which nothing was sent, is closed.
                conn.protocol.set_exception(refused)
                return
        await super().write_bytes(writer, conn, content_length)


class Transport:
    """An HTTP session to one API server, with credentials that are renewed when the server does not take them."""

    def __init__(
        self,
        configuration: Any,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        impersonation: Impersonation | None = None,
    ) -> None:
        self.configuration = configuration
        self._impersonation = impersonation
        self.generation = 0
        self._kubeconfig = kubeconfig
        self._context = context
        self._renewing = asyncio.Lock()
        self._renewed_at = float("-inf")
        self._retired: aiohttp.ClientSession | None = None
        self._open()

    @classmethod
    async def connect(
        cls, kubeconfig: str | None, context: str | None, impersonation: Impersonation | None = None
    ) -> "Transport":
        """Open a session; raises NotConfigured when nothing usable says where the API server is."""
        configuration = await _load(kubeconfig, context)
        try:
            return cls(configuration, kubeconfig=kubeconfig, context=context, impersonation=impersonation)
        except (OSError, ValueError) as problem:  # a certificate or a key that is none
            raise NotConfigured(f"{_path(kubeconfig, context) or _POD}: {problem}; {_CURE}") from problem

    def _open(self) -> None:
        configuration = self.configuration
        self._base = configuration.host
        self._proxy: str | None = configuration.proxy or _proxy_of(self._base)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the client bounds what is in flight; watches and the lease come on top
                ssl=RESTClientObject(configuration).ssl_context,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            ),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        if self._retired is not None:
            await self._retired.close()

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        data: bytes | None = None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  (aiohttp's own: it tells connecting, reading and all apart)
        gate: Gate | None = None,
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer once its headers are there; the caller must read and release it.

        Raises WritesRefused, or one of NETWORK_ERRORS.
        """
        # The library's hook behind this call is what reads a rotated token file again.
        settings = await self.configuration.auth_settings()
        if "BearerToken" in settings:
            headers = {**headers, "Authorization": settings["BearerToken"]["value"]}
        if self._impersonation is not None:
            headers = self._impersonation.added_to(headers)
        token = _gate.set(gate)
        try:
            return await self._session.request(
                method,
                URL(self._base + target, encoded=True),
                headers=headers,
                data=data,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self.configuration.proxy_headers,
                server_hostname=self.configuration.tls_server_name,
            )
        finally:
            _gate.reset(token)

    async def renew(self, generation: int) -> bool:
        """Load the configuration again after a 401 or a refused certificate; True when a retry may help.

        This runs exec plugins and OIDC refreshes, and reads token, certificate and CA files again. `generation` is
        what it was when the failed request was sent: another request may have renewed already.
        """
        async with self._renewing:
            if generation != self.generation:
                return True
            if time.monotonic() - self._renewed_at < RENEWAL_INTERVAL_SECONDS:
                return False
            self._renewed_at = time.monotonic()
            try:
                self.configuration = await _load(self._kubeconfig, self._context)
            except NotConfigured as problem:
                log.warning("kube.credentials_not_renewed", problem=str(problem))
                return False
            # Requests under way keep the old session; it goes when the next one is retired.
            stale, self._retired = self._retired, self._session
            self._open()
            self.generation += 1
            if stale is not None:
                await stale.close()
            log.info("kube.credentials_renewed")
            return True


async def _load(kubeconfig: str | None, context: str | None) -> Any:
    """Find the cluster as client-go does: what was asked for, then $KUBECONFIG, then the pod, then ~/.kube/config."""
    configuration = Configuration()
    path = _path(kubeconfig, context)
    try:
        if path is None:
            load_incluster_config(client_configuration=configuration)
        else:
            check(path)
            await load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
    except Unreadable as problem:
        raise NotConfigured(f"{problem}; {_CURE}") from problem
    except (ConfigException, OSError) as problem:
        raise NotConfigured(f"{path or _POD}: {problem}; {_CURE}") from problem
    except (AttributeError, LookupError, TypeError, ValueError) as problem:
        # The library takes the insides of a kubeconfig as they are.
        raise NotConfigured(f"{path or _POD}: not a kubeconfig: {problem}; {_CURE}") from problem
    return configuration


def _path(kubeconfig: str | None, context: str | None) -> str | None:
    """Which kubeconfig is meant; None for the pod's service account."""
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if not path and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    return path or os.path.expanduser("~/.kube/config")


def _proxy_of(host: str) -> str | None:
    parts = urlsplit(host)
    if parts.hostname is None or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)
