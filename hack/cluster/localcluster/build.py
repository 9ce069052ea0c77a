"""Builds the commands of a cluster from their Go modules, once a version, with progress. Nothing is downloaded but Go modules."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from .locks import locked
from .paths import ClusterError, binaries, cache
from .plan import DEFAULT_VERSION

MODULES = Path(__file__).parent.parent / "modules"
KUBERNETES = "k8s.io/kubernetes"
STAGING = re.compile(r"^\s*(k8s\.io/[\w-]+) => \./staging", re.MULTILINE)
PROGRESS_SECONDS = 10.0


@dataclass(frozen=True)
class Module:
    """A folder of `modules/`: what it builds, and the variable that holds the version it prints ({} is the version)."""

    folder: str
    path: str
    commands: dict[str, str]
    stamps: tuple[str, ...] = ()


KUBE_VERSION = "k8s.io/component-base/version"
CLIENT_GO = "k8s.io/client-go/pkg/version"
ALL = (
    Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Module(
        "kubernetes",
        KUBERNETES,
        {
            name: f"{KUBERNETES}/cmd/{name}"
            for name in ("kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
        },
        (f"{KUBE_VERSION}.gitVersion={{}}", f"{KUBE_VERSION}.gitTreeState=clean", f"{KUBE_VERSION}.gitCommit=module"),
    ),
    Module("coredns", "github.com/coredns/coredns", {"coredns": "."}),
    Module("helm", "helm.sh/helm/v4", {"helm": "helm.sh/helm/v4/cmd/helm"}, ("helm.sh/helm/v4/internal/version.version={}",)),
)


def ensure(version: str) -> Path:
    """Build whatever is missing for this Kubernetes version and return the directory with all commands."""
    if not re.fullmatch(r"v1\.\d+\.\d+", version):
        raise ClusterError(f"K8S_VERSION {version!r}: want a release such as {DEFAULT_VERSION}")
    target = binaries(version)
    if all((target / command).exists() for module in ALL for command in module.commands):
        return target
    with locked(cache() / "build.lock", "another build is running; waiting for it"):
        for number, module in enumerate(ALL, 1):
            if not all((target / command).exists() for command in module.commands):
                _build(module, version, target, f"[{number}/{len(ALL)}]")
    return target


def _build(module: Module, version: str, target: Path, position: str) -> None:
    """Build one module's commands in its own directory, keyed by its version, and link them into `target`."""
    workspace = _workspace(module, version)
    release = _required(workspace, module.path)
    store = cache() / "modules" / f"{module.folder}-{release}"
    if not all((store / command).exists() for command in module.commands):
        partial = store.with_name(store.name + ".new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        flags = " ".join(["-s -w", *(f"-X {stamp.format(release)}" for stamp in _stamps(module, release))])
        for command, package in module.commands.items():
            with _progress(f"{position} {module.folder} {release}: {command}"):
                _go(workspace, "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", str(partial / command), package)
        shutil.rmtree(store, ignore_errors=True)
        partial.rename(store)
    target.mkdir(parents=True, exist_ok=True)
    for command in module.commands:
        (target / command).unlink(missing_ok=True)
        (target / command).symlink_to(os.path.relpath(store / command, target))


def _stamps(module: Module, release: str) -> Iterator[str]:
    yield from module.stamps
    if module.path == KUBERNETES:
        major, minor = release.removeprefix("v").split(".")[:2]
        yield from (f"{KUBE_VERSION}.gitMajor={major}", f"{KUBE_VERSION}.gitMinor={minor}")


def _workspace(module: Module, version: str) -> Path:
    """A copy of the module's folder in the cache, so that a build never writes into the repository."""
    name = f"kubernetes-{version}" if module.path == KUBERNETES else module.folder
    workspace = cache() / "go" / name
    workspace.mkdir(parents=True, exist_ok=True)
    for source in (MODULES / module.folder).iterdir():
        shutil.copy(source, workspace)
    if module.path == KUBERNETES and version != DEFAULT_VERSION:
        (workspace / "go.sum").unlink(missing_ok=True)
        (workspace / "go.mod").write_text(kubernetes_go_mod(version))
    return workspace


def kubernetes_go_mod(version: str) -> str:
    """The go.mod of a Kubernetes release: its own staging replacements point into its source tree, so they are made versions."""
    require_go()
    described = json.loads(_go(cache(), "mod", "download", "-json", f"{KUBERNETES}@{version}"))
    upstream = Path(described["GoMod"]).read_text()
    staging = version.replace("v1.", "v0.", 1)
    go = next(line for line in upstream.splitlines() if line.startswith("go "))
    commands = next(module.commands for module in ALL if module.path == KUBERNETES)
    tools = "".join(f"\t{package}\n" for package in sorted(commands.values()))
    replaced = "".join(f"\t{name} => {name} {staging}\n" for name in STAGING.findall(upstream))
    return (
        f"module carillon.dev/hack/cluster/kubernetes\n\n{go}\n\ntool (\n{tools})\n\n"
        f"require {KUBERNETES} {version}\n\nreplace (\n{replaced})\n"
    )


def _required(workspace: Path, path: str) -> str:
    for line in (workspace / "go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if words[:1] == [path] and len(words) > 1 and "=>" not in words:
            return words[1]
    raise ClusterError(f"{workspace / 'go.mod'} does not require {path}")


def require_go() -> None:
    """Go must be there; that it is new enough is said by the go command itself, from the go.mod's go line."""
    if not shutil.which("go"):
        raise ClusterError("Go is missing, and the cluster is built from Go modules: install Go 1.26 or later (https://go.dev/dl)")


def _go(directory: Path, *arguments: str) -> str:
    require_go()
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(["go", *arguments], cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode:
        if "GOTOOLCHAIN=local" in done.stderr:
            raise ClusterError(f"this Go is too old, and GOTOOLCHAIN=local keeps it from fetching a newer one: {done.stderr.strip()}")
        raise ClusterError(f"go {' '.join(arguments)} (in {directory}):\n{done.stderr.strip()[-4000:]}")
    return done.stdout


@contextmanager
def _progress(text: str) -> Iterator[None]:
    """Say what is being built at once, every ten seconds, and at the end."""
    begun, finished = time.monotonic(), False

    def tell() -> None:
        waited = 0.0
        while not finished:
            time.sleep(0.2)
            waited += 0.2
            if waited >= PROGRESS_SECONDS and not finished:
                waited = 0.0
                print(f"{text} … {time.monotonic() - begun:.0f} s", flush=True)

    print(text, flush=True)
    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        finished = True
        teller.join()
    print(f"{text} done in {time.monotonic() - begun:.0f} s", flush=True)
    sys.stdout.flush()
