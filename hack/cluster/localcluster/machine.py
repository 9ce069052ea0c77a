"""What this machine can do, and the one apt-get that makes it do more."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import cgroups
from .paths import ClusterError

NODE_PACKAGES = {  # a file that tells whether it is there -> Debian package
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "busybox": "busybox-static",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
}
COMMON_PACKAGES = {"openssl": "openssl"}


@dataclass(frozen=True)
class Machine:
    """`boxed`: namespaces can be made. `lacking`: why no pods can run, with the cure; empty when they can."""

    boxed: bool
    lacking: str


def survey(want_node: bool) -> Machine:
    """Look, install what is missing where that is possible, and look again."""
    require(COMMON_PACKAGES)
    if os.geteuid() != 0:
        return Machine(False, "root is needed for a kubelet: run this as root, or with sudo")
    missing = _missing(NODE_PACKAGES)
    if missing:
        _install(missing)
        missing = _missing(NODE_PACKAGES)
    if not _can_unshare():
        return Machine(False, "new namespaces are refused here (a container without CAP_SYS_ADMIN?): run it privileged")
    if not want_node:
        return Machine("iproute2" not in missing, "not asked for (--no-node)")
    if missing:
        return Machine("iproute2" not in missing, f"missing: apt-get install {' '.join(missing)}")
    return Machine(True, cgroups.trouble())


def snapshotter(directory: Path) -> str:
    """overlayfs where it mounts on this directory's file system, else native (a root file system that is itself an overlay)."""
    trial = directory / "overlay-trial"
    layers = {name: trial / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, layers["merged"]], capture_output=True)
    if mounted.returncode == 0:
        subprocess.run(["umount", layers["merged"]], check=True)
    shutil.rmtree(trial)
    return "overlayfs" if mounted.returncode == 0 else "native"


def _missing(packages: dict[str, str]) -> list[str]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted({package for probe, package in packages.items() if not shutil.which(probe, path=path)})


def require(packages: dict[str, str]) -> None:
    """Have these commands (command -> Debian package), or raise with the line that installs them."""
    missing = _missing(packages)
    if missing and os.geteuid() == 0:
        _install(missing)
        missing = _missing(packages)
    if missing:
        raise ClusterError(f"missing: apt-get install {' '.join(missing)}")


def _install(packages: list[str]) -> None:
    if not shutil.which("apt-get"):
        return
    print(f"installing {' '.join(packages)} with apt-get", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if subprocess.run(install, env=environment, capture_output=True).returncode == 0:
        return
    subprocess.run(["apt-get", "update", "--quiet"], env=environment, capture_output=True)
    done = subprocess.run(install, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"apt-get could not: {done.stderr.strip()}", flush=True)


def _can_unshare() -> bool:
    command = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0

