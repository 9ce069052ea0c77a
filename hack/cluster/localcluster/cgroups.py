"""The cgroup that holds all containers of one cluster, version 1 or 2, and whether any can be made here."""

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
WANTED = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
NEEDED = {"cpu", "memory", "pids"}
PRIVILEGED = "run the container privileged, with a writable /sys/fs/cgroup"


def group(cluster: str) -> str:
    return f"carillon-{cluster}"


def prepare(cluster: str) -> None:
    """Make the cluster's cgroup in every hierarchy; the kubelet wants to find it."""
    if _unified():
        for controller in WANTED:
            with contextlib.suppress(OSError):  # one that the kernel lacks, or that is on already
                (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
    for hierarchy in _hierarchies():
        (hierarchy / group(cluster)).mkdir(exist_ok=True)


def remove(cluster: str) -> bool:
    """Remove the cluster's cgroups, deepest first; false while processes are still leaving them."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / group(cluster), topdown=False):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True


def trouble() -> str:
    """Why containers could get no cgroups here, with the cure; empty when they can."""
    if not _hierarchies():
        return "no cgroups are mounted: apt-get install cgroupfs-mount && cgroupfs-mount"
    trial = f"trial-{os.getpid()}"
    try:
        prepare(trial)
        if _unified():
            missing = NEEDED - set((ROOT / group(trial) / "cgroup.controllers").read_text().split())
            return (
                f"the cgroup controllers {', '.join(sorted(missing))} are not delegated: {PRIVILEGED}"
                if missing
                else ""
            )
    except OSError as error:
        return f"cgroups cannot be made ({error}): {PRIVILEGED}"
    finally:
        remove(trial)
    return ""


def _unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    """The one tree of version 2, or each mounted tree of version 1 (two may be one, under two names)."""
    if _unified():
        return [ROOT]
    return (
        sorted({path.resolve() for path in ROOT.glob("*") if (path / "cgroup.procs").exists()}) if ROOT.is_dir() else []
    )
