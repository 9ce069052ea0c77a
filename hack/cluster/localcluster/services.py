"""The command line of every component, from a plan. Nothing is started here."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .paths import ClusterPaths, binaries
from .plan import Plan, write_atomically

APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KUBELET = "kubelet"
ETCD_BYTES = 6 * 1024**3


@dataclass(frozen=True)
class Service:
    """A process that the supervisor keeps alive, started once all of `needs` answer: host:port, https address, path."""

    name: str
    argv: list[str]
    needs: list[str] = field(default_factory=list)


def services(plan: Plan, paths: ClusterPaths) -> list[Service]:
    """Every service of the cluster, in the order of starting."""
    control_plane = [
        _etcd(plan, paths),
        _apiserver(plan, paths),
        _controller_manager(plan, paths),
        _scheduler(plan, paths),
    ]
    return [*control_plane, *_node(plan, paths)] if plan.node else control_plane


def write(plan: Plan, paths: ClusterPaths) -> None:
    """Tell the supervisor what to keep alive."""
    write_atomically(paths.services, json.dumps([asdict(service) for service in services(plan, paths)], indent=2))


def settled(paths: ClusterPaths) -> bool:
    """Whether the supervisor runs everything with the command lines last written."""
    try:
        running = json.loads(paths.running.read_text())
    except FileNotFoundError:
        return False
    wanted = {service["name"]: service["argv"] for service in json.loads(paths.services.read_text())}
    up = {name: service["argv"] for name, service in running.items() if service["up"]}
    return bool(up == wanted)


def _api(plan: Plan) -> str:
    return f"{plan.network.api_url}/readyz"


def _flags(plan: Plan, name: str, flags: dict[str, object]) -> list[str]:
    """The component's path and flags; extra flags come last, and the last one counts."""
    command = str(binaries(plan.version) / name)
    return [command, *(f"--{key}={value}" for key, value in flags.items()), *plan.extra_args.get(name, [])]


def _etcd(plan: Plan, paths: ClusterPaths) -> Service:
    client, peer = (f"http://127.0.0.1:{port}" for port in (plan.network.etcd_port, plan.network.peer_port))
    flags: dict[str, object] = {
        "name": "etcd",
        "data-dir": paths.root / "etcd",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"etcd={peer}",
        "quota-backend-bytes": ETCD_BYTES,
    }
    return Service("etcd", _flags(plan, "etcd", flags))


def _apiserver(plan: Plan, paths: ClusterPaths) -> Service:
    pki, network = paths.pki, plan.network
    flags: dict[str, object] = {
        "etcd-servers": f"http://127.0.0.1:{network.etcd_port}",
        "secure-port": network.api_port,
        "bind-address": "0.0.0.0" if network.boxed else "127.0.0.1",
        "advertise-address": network.node_ip,
        "service-cluster-ip-range": network.services,
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "admin.crt",
        "kubelet-client-key": pki / "admin.key",
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-account.pub",
        "service-account-signing-key-file": pki / "service-account.key",
    }
    if not network.boxed:  # a loopback address is no valid endpoint of the kubernetes Service
        flags["endpoint-reconciler-type"] = "none"
    return Service(APISERVER, _flags(plan, APISERVER, flags), [f"127.0.0.1:{network.etcd_port}"])


def _client(paths: ClusterPaths, name: str) -> dict[str, object]:
    config = paths.config / f"{name}.kubeconfig"
    return {"kubeconfig": config, "authentication-kubeconfig": config, "authorization-kubeconfig": config}


def _controller_manager(plan: Plan, paths: ClusterPaths) -> Service:
    pki = paths.pki
    flags = _client(paths, CONTROLLER_MANAGER) | {
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki / "service-account.key",
        "root-ca-file": pki / "ca.crt",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
    }
    if not plan.network.boxed:
        flags["secure-port"] = 0
    return Service(CONTROLLER_MANAGER, _flags(plan, CONTROLLER_MANAGER, flags), [_api(plan)])


def _scheduler(plan: Plan, paths: ClusterPaths) -> Service:
    flags = _client(paths, SCHEDULER) | {"leader-elect": "false"}
    if not plan.network.boxed:
        flags["secure-port"] = 0
    return Service(SCHEDULER, _flags(plan, SCHEDULER, flags), [_api(plan)])


def _node(plan: Plan, paths: ClusterPaths) -> list[Service]:
    config, api, socket = paths.config, _api(plan), paths.containerd_socket
    kubelet = {
        "config": config / "kubelet.yaml",
        "kubeconfig": config / "kubelet.kubeconfig",
        "hostname-override": plan.name,
        "node-ip": plan.network.node_ip,
        "root-dir": paths.root / "kubelet",
        "cert-dir": paths.root / "kubelet" / "pki",
    }
    proxy = {"config": config / "kube-proxy.yaml", "hostname-override": plan.name}
    return [
        Service("containerd", ["containerd", "--config", str(config / "containerd.toml")]),
        Service(KUBELET, _flags(plan, KUBELET, kubelet), [api, str(socket)]),
        Service("kube-proxy", _flags(plan, "kube-proxy", proxy), [api]),
        Service("coredns", [str(_coredns(plan)), "-conf", str(config / "Corefile")], [api]),
    ]


def _coredns(plan: Plan) -> Path:
    return binaries(plan.version) / "coredns"
