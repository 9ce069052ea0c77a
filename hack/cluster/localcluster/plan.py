"""What a cluster is: its version, what it runs, its addresses and its extra flags. Pure data, kept in plan.json."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .paths import ClusterError, ClusterPaths, cache
from .terminal import say

DEFAULT_VERSION = "v1.36.3"


@dataclass(frozen=True)
class Network:
    """Addresses: a /16 for a boxed cluster (10.NUMBER.0.0/16), loopback ports for one without a box.

    10.NUMBER.0.0/17 are services, 10.NUMBER.128.0/18 pods, 10.NUMBER.255.1 the host and .2 the node.
    """

    number: int
    api_port: int = 6443
    etcd_port: int = 2379
    peer_port: int = 2380

    @property
    def boxed(self) -> bool:
        return self.number > 0

    @property
    def node_ip(self) -> str:
        return f"10.{self.number}.255.2" if self.boxed else "127.0.0.1"

    @property
    def host_ip(self) -> str:
        return f"10.{self.number}.255.1" if self.boxed else "127.0.0.1"

    @property
    def host_link(self) -> str:
        return f"carillon-{self.number}"

    @property
    def services(self) -> str:
        return f"10.{self.number}.0.0/17"

    @property
    def first_service_ip(self) -> str:
        return f"10.{self.number}.0.1"

    @property
    def pods(self) -> str:
        return f"10.{self.number}.128.0/18"

    @property
    def api_url(self) -> str:
        return f"https://{self.node_ip}:{self.api_port}"


@dataclass(frozen=True)
class Plan:
    """One cluster, as `up` decided it. `node` says whether pods run; `lacking` why not."""

    name: str
    version: str
    network: Network
    node: bool
    lacking: str = ""
    extra_args: dict[str, list[str]] = field(default_factory=dict)


def save(plan: Plan, paths: ClusterPaths) -> None:
    write_atomically(paths.plan, json.dumps(asdict(plan), indent=2))


def load(paths: ClusterPaths) -> Plan | None:
    """The plan of a cluster with state, or None."""
    try:
        data = json.loads(paths.plan.read_text())
        return Plan(**(data | {"network": Network(**data["network"])}))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"{paths.plan} is damaged ({error}); hack/cluster/down --name {paths.name}") from error


def every() -> Iterator[tuple[Plan, ClusterPaths]]:
    """Every cluster that has state, running or not, by name. A damaged one is told of and left out."""
    for path in sorted((cache() / "clusters").glob("*/plan.json")):
        paths = ClusterPaths(path.parent.name)
        try:
            plan = load(paths)
        except ClusterError as damaged:
            say(str(damaged))
            continue
        if plan:
            yield plan, paths


def write_atomically(path: Path, text: str) -> None:
    """Write so that a reader sees the old text or the new one."""
    partial = path.with_name(path.name + ".new")
    partial.write_text(text)
    partial.replace(path)
