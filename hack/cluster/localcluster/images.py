"""Images in a cluster without a registry: the two that every cluster gets, and whatever is loaded into it."""

import hashlib
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from . import busybox, machine
from .node_config import PAUSE_IMAGE
from .paths import ClusterError, ClusterPaths, cache

EDITION = 3  # raise it when the images change: archives of another edition are not used
BUSYBOX_TAGS = ("latest", "stable", "1.35", "1.36", "1.37")
FOREVER_SECONDS = "2147483647"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def base_images() -> Path:
    """The archive with the pause and busybox images, made when missing."""
    archive = cache() / "images" / f"base-{EDITION}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        sleeper: dict[str, object] = {"Entrypoint": ["/bin/sleep", FOREVER_SECONDS], "User": "65535"}
        tags = [f"docker.io/library/busybox:{tag}" for tag in BUSYBOX_TAGS]
        _write(archive, busybox.layer(), [([PAUSE_IMAGE], sleeper), (tags, {"Cmd": ["sh"]})])
    return archive


def load(paths: ClusterPaths, archive: Path) -> list[str]:
    """Import an image archive (docker or OCI layout) into the cluster's containerd; the names that came in."""
    if not archive.is_file():
        raise ClusterError(f"{archive}: no such file; want an image archive, as build-image or `docker save` writes it")
    unpack = f"--snapshotter={machine.snapshotter(paths.root)}"
    done = _ctr(paths, "images", "import", unpack, str(archive.absolute()))
    if done.returncode:
        raise ClusterError(f"{archive}: {done.stderr.strip() or done.stdout.strip()}")
    return sorted(present(paths) & set(done.stdout.split()))  # what is printed around the names depends on the release


def present(paths: ClusterPaths) -> set[str]:
    """The image names that the cluster's containerd knows; empty while it does not answer."""
    return set(_ctr(paths, "images", "list", "--quiet").stdout.split())


def _ctr(paths: ClusterPaths, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ctr", "--address", str(paths.containerd_socket), "--namespace", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def _write(target: Path, layer: bytes, images: list[tuple[list[str], dict[str, object]]]) -> None:
    """Write images that share one layer as `docker save` does: manifest.json, a config each, and the layer."""
    processor = platform.machine()
    partial, manifest = target.with_suffix(".new"), []
    with tarfile.open(partial, "w") as tar:
        for tags, config in images:
            image = {
                "architecture": ARCHITECTURES.get(processor, processor),
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], **config},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
            }
            encoded = json.dumps(image).encode()
            name = hashlib.sha256(encoded).hexdigest() + ".json"
            busybox.add_file(tar, name, encoded, 0o644)
            manifest.append({"Config": name, "RepoTags": tags, "Layers": ["layer.tar"]})
        busybox.add_file(tar, "layer.tar", layer, 0o644)
        busybox.add_file(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)
    partial.replace(target)
