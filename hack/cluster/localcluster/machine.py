"""What this machine can do, and the one apt-get that makes it do more."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import box, cgroups
from .paths import ClusterError
from .terminal import say

# A command, or a file, that tells whether a Debian package is there -> the package.
COMMON_PACKAGES = {"openssl": "openssl"}
BOX_PACKAGES = {"unshare": "util-linux", "mount": "mount", "ip": "iproute2"}
NODE_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "busybox": "busybox-static",
    "iptables": "iptables",
}


@dataclass(frozen=True)
class Machine:
    """`boxed`: namespaces can be made. `lacking`: why no pods can run, with the cure; empty when they can."""

    boxed: bool
    lacking: str


def survey(want_node: bool) -> Machine:
    """Look, and install what is missing where that is possible."""
    require(COMMON_PACKAGES)
    if os.geteuid() != 0:
        return Machine(False, "a kubelet needs root: run this as root, or with sudo")
    if missing := _install(BOX_PACKAGES | (NODE_PACKAGES if want_node else {})):
        boxed = not set(missing) & set(BOX_PACKAGES.values()) and box.possible()
        return Machine(boxed, f"missing: apt-get install {' '.join(missing)}")
    if not box.possible():
        return Machine(False, "new namespaces are refused here (a container without CAP_SYS_ADMIN?): run it privileged")
    return Machine(True, cgroups.trouble() if want_node else "not asked for (--no-node)")


def require(packages: dict[str, str]) -> None:
    """Have these commands (command -> Debian package), or raise with the line that installs them."""
    if missing := _install(packages):
        raise ClusterError(f"missing: apt-get install {' '.join(missing)}")


def snapshotter(directory: Path) -> str:
    """overlayfs where it mounts on this directory's file system, else native (one that is itself an overlay)."""
    trial = Path(tempfile.mkdtemp(prefix="overlay-", dir=directory))
    layers = {name: trial / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir()
    options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers["merged"])]
    mounted = subprocess.run(mount, capture_output=True)
    if mounted.returncode == 0:
        subprocess.run(["umount", layers["merged"]], check=True)
    shutil.rmtree(trial)
    return "overlayfs" if mounted.returncode == 0 else "native"


def _missing(packages: dict[str, str]) -> list[str]:
    return sorted({package for probe, package in packages.items() if not shutil.which(probe)})


def _install(packages: dict[str, str]) -> list[str]:
    """Install what is missing, as root on Debian; what is missing still."""
    missing = _missing(packages)
    if not missing or os.geteuid() != 0 or not shutil.which("apt-get"):
        return missing
    say(f"installing {' '.join(missing)} with apt-get")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    if subprocess.run(install, env=environment, capture_output=True).returncode != 0:  # no package lists yet?
        subprocess.run(["apt-get", "update", "--quiet"], env=environment, capture_output=True)
        done = subprocess.run(install, env=environment, capture_output=True, text=True)
        if done.returncode:
            say(f"apt-get could not: {done.stderr.strip()}")
    return _missing(packages)
