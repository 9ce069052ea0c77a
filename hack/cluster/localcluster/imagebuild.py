"""Builds the operator's image from the repository's Dockerfile where no registry can be reached and no Docker runs.

The base image is a debootstrap of Debian with python3; buildah runs the Dockerfile in a chroot, without daemon or
bridge. The build needs no network: pip downloads the wheels of the lock before, by their hashes, into `wheels/`.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import machine
from .locks import locked
from .paths import ClusterError, cache
from .terminal import progress, say

REPOSITORY = Path(__file__).parents[3]
LOCK = Path("requirements/operator.lock")
SUITE, PYTHON = "bookworm", "3.11"
BASE_IMAGE = f"localhost/debian-python:{SUITE}"
BASE_PACKAGES = "python3,ca-certificates,tzdata"
NOT_IN_AN_IMAGE = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
NOT_CONTEXT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "node_modules", "*.tar")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="build-image", description="Build the operator's image into an archive for load-image."
    )
    parser.add_argument("--tag", default="carillon:dev", help="the image's name (default: %(default)s)")
    parser.add_argument("--context", type=Path, default=REPOSITORY, help="the directory with the Dockerfile")
    parser.add_argument("--output", type=Path, help="the archive to write (default: in the cache)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    output = options.output or cache() / "images" / f"{options.tag.replace('/', '_').replace(':', '-')}.tar"
    build(options.context.absolute(), options.tag, output.absolute(), options.build_arg)
    print(f"{options.tag} built in {time.monotonic() - begun:.0f} s; hack/cluster/load-image {output}")


def build(context: Path, tag: str, output: Path, build_args: list[str]) -> None:
    """Run the context's Dockerfile and write the image to `output` as a docker archive."""
    if os.geteuid() != 0:
        raise ClusterError("build-image unpacks a root file system: run it as root, or with sudo")
    machine.require({"buildah": "buildah", "debootstrap": "debootstrap"})
    output.parent.mkdir(parents=True, exist_ok=True)
    name = tag if "/" in tag else f"docker.io/library/{tag}"
    with locked(cache() / "locks" / "build-image", "another image is being built; waiting"):
        if BASE_IMAGE not in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
            _make_base()
        with tempfile.TemporaryDirectory(dir=_store()) as scratch:
            staged = Path(scratch) / "context"
            shutil.copytree(context, staged, symlinks=True, ignore=NOT_CONTEXT)
            if (staged / LOCK).exists() and not (staged / "wheels").exists():
                shutil.copytree(_wheels(staged / LOCK), staged / "wheels")
            wanted = [f"BASE_IMAGE={BASE_IMAGE}", *build_args]
            flags = [word for argument in wanted for word in ("--build-arg", argument)]
            isolated = ["--isolation", "chroot", "--network", "host", "--pull-never", "--layers"]
            with progress(f"building {tag}"):
                _buildah("build", *isolated, *flags, "--tag", name, str(staged))
        output.unlink(missing_ok=True)
        _buildah("push", name, f"docker-archive:{output}:{name}")


def _store() -> Path:
    directory = cache() / "buildah"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _buildah(*arguments: str) -> str:
    """Run buildah on a store of our own; its standard output."""
    store = _store()
    driver = "overlay" if machine.snapshotter(store) == "overlayfs" else "vfs"
    where = ["--root", str(store / "root"), "--runroot", str(store / "run"), "--storage-driver", driver]
    done = subprocess.run(["buildah", *where, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"buildah {' '.join(arguments)}:\n{done.stdout[-4000:]}{done.stderr[-4000:].strip()}")
    return done.stdout


def _make_base() -> None:
    say(f"making the base image, Debian {SUITE} with python3 (about a minute, once)")
    mirror = [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
    with tempfile.TemporaryDirectory(dir=_store()) as scratch:
        root, archive = Path(scratch) / "root", Path(scratch) / "root.tar"
        command = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE, str(root), *mirror]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        for directory in NOT_IN_AN_IMAGE:
            shutil.rmtree(root / directory, ignore_errors=True)
        outside = [f"--exclude=./{directory}/*" for directory in ("dev", "proc", "sys")]
        subprocess.run(["tar", "-C", root, "-cf", archive, "--numeric-owner", *outside, "."], check=True)
        container = _buildah("from", "scratch").strip()
        _buildah("add", container, str(archive), "/")
        _buildah("commit", "--rm", container, BASE_IMAGE)


def _wheels(lock: Path) -> Path:
    """A directory with the wheels that the lock names, and pip's own, from the index that pip is configured for."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    directory = cache() / "wheels" / digest
    if directory.exists():
        return directory
    say("downloading the wheels of the lock")
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode:
        raise ClusterError("pip is missing: apt-get install python3-pip")
    partial = directory.with_suffix(".new")
    shutil.rmtree(partial, ignore_errors=True)
    suited = ["--only-binary=:all:", f"--python-version={PYTHON}"]
    fetch = [*pip, "download", "--quiet", "--no-deps", *suited, "--dest", str(partial)]
    for wanted in (["--require-hashes", "--requirement", str(lock)], ["pip"]):
        done = subprocess.run([*fetch, *wanted], capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"{' '.join([*fetch, *wanted])}:\n{done.stderr[-2000:]}")
    partial.rename(directory)
    return directory
