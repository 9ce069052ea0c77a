"""Where everything lies: binaries, images and clusters, all under one cache directory. Nothing is written elsewhere."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


class ClusterError(Exception):
    """What went wrong and what would mend it, in words for the person at the terminal."""


def cache() -> Path:
    """The cache directory: CARILLON_CACHE, or ~/.cache/carillon."""
    return Path(os.environ.get("CARILLON_CACHE") or Path.home() / ".cache" / "carillon")


def binaries(version: str) -> Path:
    """The directory of a Kubernetes version's commands, with etcd, helm and coredns beside them: one PATH entry."""
    return cache() / "bin" / version


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster."""

    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ClusterError(f"cluster name {self.name!r}: want at most 30 of a-z, 0-9 and -, such as e2e-1")

    @property
    def root(self) -> Path:
        return cache() / "clusters" / self.name

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def services(self) -> Path:
        return self.root / "services.json"

    @property
    def supervisor(self) -> Path:
        return self.root / "supervisor.json"

    @property
    def running(self) -> Path:
        return self.root / "running.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd.sock"
