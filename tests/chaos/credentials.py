"""Tokens and certificates that are renewed while the operator runs: the old ones are no good any more."""

import asyncio
from typing import Any

from carillon.kube.resources import SECRETS, Resource
from tests.chaos.certificates import Authority
from tests.chaos.proxy import Weather
from tests.chaos.replicas import LEASE_NAMESPACE, Replica, as_client, write_kubeconfig
from tests.chaos.world import World

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding")
OPERATOR = "chaos-operator"


async def token_rotated(world: World, seconds: float) -> None:
    """Both operators come with tokens of a service account; new ones are written, and the old ones taken back."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR}}
    await world.create_anyway(SERVICE_ACCOUNTS, LEASE_NAMESPACE, account)
    binding = {
        "apiVersion": BINDINGS.api_version,
        "kind": BINDINGS.kind,
        "metadata": {"name": OPERATOR},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": LEASE_NAMESPACE}],
    }
    await world.create_anyway(BINDINGS, None, binding)
    tokens = [await _token(world, f"chaos-{number}") for number in range(2)]
    replicas = await _in_place_of_all(world, {"token": tokens[0]})
    await asyncio.sleep(seconds / 3)
    for replica in replicas:
        write_kubeconfig(replica.kubeconfig, replica.proxy.port, world.replicas.authority, {"token": tokens[1]})
    await world.remove_named(SECRETS, LEASE_NAMESPACE, "chaos-0")
    await asyncio.sleep(max(2 * seconds / 3, 20))  # the API server remembers a token for 10 s
    await _until_working(world)


async def _token(world: World, name: str) -> str:
    """A token that is good for as long as a Secret of that name is there."""
    secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    made = await world.create_anyway(SECRETS, LEASE_NAMESPACE, secret)
    bound = {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": made["metadata"]["uid"]}
    requests = Resource("", "v1", f"serviceaccounts/{OPERATOR}/token", "TokenRequest")
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"boundObjectRef": bound, "expirationSeconds": 3600},
    }
    answer = await world.ask(lambda: world.client.create(requests, LEASE_NAMESPACE, body))
    return str(answer["status"]["token"])


async def client_certificate_renewed(world: World, seconds: float) -> None:
    """Both operators show certificates; new ones are written, and the old one is answered with 401."""
    authority = world.replicas.authority
    old, new = authority.client("client-old"), authority.client("client-new")
    replicas = await _in_place_of_all(world, as_client(old))
    await asyncio.sleep(seconds / 2)
    for replica in replicas:
        write_kubeconfig(replica.kubeconfig, replica.proxy.port, authority, as_client(new))
        replica.proxy.weather = Weather(revoked={old.serial})
        replica.proxy.close_watches()
    await asyncio.sleep(max(seconds / 2, 12))
    await _until_working(world)


async def authority_renewed(world: World, seconds: float) -> None:
    """The API server shows a certificate of another authority, which the kubeconfig names from then on."""
    replicas = await _in_place_of_all(world, {})
    await asyncio.sleep(seconds / 2)
    renewed = Authority(world.replicas.directory, "authority-renewed")
    for replica in replicas:
        await replica.proxy.stop()
        write_kubeconfig(replica.kubeconfig, replica.proxy.port, renewed, {})
        await replica.proxy.start(renewed)
    await asyncio.sleep(max(seconds / 2, 12))
    await _until_working(world)


async def _in_place_of_all(world: World, user: dict[str, Any]) -> list[Replica]:
    old = list(world.replicas.running)
    started = [await world.replicas.start(user=user) for _ in old]
    for replica in started:
        await world.replicas.until_ready(replica)
    for replica in old:
        await world.replicas.stop(replica)
        await replica.proxy.stop()
    return started


async def _until_working(world: World) -> None:
    """Nobody was started anew: a definition that is new now has to be seen, and to run, with the new credentials."""
    await world.heal()
    await world.probe()
