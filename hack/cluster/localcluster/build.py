"""Builds the commands of a cluster from their Go modules, once a version. Nothing is downloaded but Go modules."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .locks import locked
from .paths import ClusterError, binaries, cache
from .plan import DEFAULT_VERSION
from .terminal import progress

MODULES = Path(__file__).parent.parent / "modules"
KUBERNETES = "k8s.io/kubernetes"
KUBERNETES_COMMANDS = (
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
STAGING = re.compile(r"(k8s\.io/[\w-]+) => \./staging/\S+")
RELEASE = re.compile(r"v1\.(\d+)\.\d+")


@dataclass(frozen=True)
class Module:
    """A folder of `modules/`: the module that gives the version, its commands, the variable that holds the version."""

    folder: str
    path: str
    commands: dict[str, str]
    stamp: str = ""


ALL = (
    Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Module("kubernetes", KUBERNETES, {name: f"{KUBERNETES}/cmd/{name}" for name in KUBERNETES_COMMANDS}),
    Module("coredns", "github.com/coredns/coredns", {"coredns": "."}),
    Module("helm", "helm.sh/helm/v4", {"helm": "helm.sh/helm/v4/cmd/helm"}, "helm.sh/helm/v4/internal/version.version"),
)


def ensure(version: str, *commands: str) -> Path:
    """Build what is missing of `commands` (default: all) for a Kubernetes version; the directory that holds them."""
    if not RELEASE.fullmatch(version):
        raise ClusterError(f"K8S_VERSION {version!r}: want a release such as {DEFAULT_VERSION}")
    known = {command: module for module in ALL for command in module.commands}
    if unknown := set(commands) - known.keys():
        raise ClusterError(f"{', '.join(sorted(unknown))}: want some of {', '.join(known)}")
    target = binaries(version)
    wanted = {known[command].folder for command in commands or known}
    stale = [module for module in ALL if module.folder in wanted and not _linked(module, version, target)]
    if stale:
        with locked(cache() / "locks" / "build", "another build is running; waiting for it"):
            for module in stale:
                _build(module, version, target)
    return target


def _release(module: Module, version: str) -> str:
    return version if module.path == KUBERNETES else _required(MODULES / module.folder / "go.mod", module.path)


def _store(module: Module, version: str) -> Path:
    """Where a module's commands are kept: keyed by its release, and by our own source when there is some."""
    sources = b"".join(source.read_bytes() for source in sorted((MODULES / module.folder).glob("*.go")))
    edition = f"-{hashlib.sha256(sources).hexdigest()[:8]}" if sources else ""
    return cache() / "modules" / f"{module.folder}-{_release(module, version)}{edition}"


def _linked(module: Module, version: str, target: Path) -> bool:
    """Whether `target` has the module's commands, of the release that is pinned now."""
    store = _store(module, version)
    links = [target / command for command in module.commands]
    return all(link.exists() and link.resolve().parent == store.resolve() for link in links)


def _build(module: Module, version: str, target: Path) -> None:
    """Build a module's commands into its store, and link them into `target`."""
    release, store = _release(module, version), _store(module, version)
    if not all((store / command).exists() for command in module.commands):
        workspace = _workspace(module, version)
        partial = store.with_name(store.name + ".new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        flags = " ".join(["-s -w", *(f"-X {stamp}" for stamp in _stamps(module, release))])
        for number, (command, package) in enumerate(module.commands.items(), 1):
            with progress(f"building {module.folder} {release}, {number} of {len(module.commands)}: {command}"):
                binary = str(partial / command)
                _go(workspace, "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", binary, package)
        shutil.rmtree(store, ignore_errors=True)
        partial.rename(store)
    target.mkdir(parents=True, exist_ok=True)
    for command in module.commands:
        link = target / f"{command}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(store / command, target))
        link.replace(target / command)


def _stamps(module: Module, release: str) -> Iterator[str]:
    """Assignments for the linker, so that the commands print the version that they are."""
    if module.stamp:
        yield f"{module.stamp}={release}"
    if module.path == KUBERNETES:
        major, minor, _ = release.removeprefix("v").split(".")
        values = {"Version": release, "Major": major, "Minor": minor, "TreeState": "clean", "Commit": "unknown"}
        yield from (f"{package}.git{key}={value}" for package in VERSION_PACKAGES for key, value in values.items())


def _workspace(module: Module, version: str) -> Path:
    """A copy of the module's folder in the cache, so that a build never writes into the repository."""
    name = f"kubernetes-{version}" if module.path == KUBERNETES else module.folder
    workspace = cache() / "go" / name
    workspace.mkdir(parents=True, exist_ok=True)
    for source in (MODULES / module.folder).iterdir():
        shutil.copy(source, workspace)
    if module.path == KUBERNETES and version != DEFAULT_VERSION:
        (workspace / "go.sum").unlink()
        (workspace / "go.mod").write_text(kubernetes_go_mod(version))
    return workspace


def kubernetes_go_mod(version: str) -> str:
    """The go.mod that builds a Kubernetes release from outside its source tree.

    It is the release's own, so that every dependency is what it was released with; but its staging modules, which it
    replaces by directories of the tree, are replaced by their versions: v0.X.Y for v1.X.Y.
    """
    described = json.loads(_go(cache(), "mod", "download", "-json", f"{KUBERNETES}@{version}"))
    staging = version.replace("v1.", "v0.", 1)
    own = STAGING.sub(rf"\1 => \1 {staging}", Path(described["GoMod"]).read_text())
    own = re.sub(r"^module .*$", "module carillon.dev/hack/cluster/kubernetes", own, flags=re.MULTILINE)
    tools = "".join(f"\t{KUBERNETES}/cmd/{command}\n" for command in sorted(KUBERNETES_COMMANDS))
    return f"{own}\nrequire {KUBERNETES} {version}\n\ntool (\n{tools})\n"


def _required(go_mod: Path, path: str) -> str:
    """The version of a module that a go.mod requires."""
    for line in go_mod.read_text().splitlines():
        words = line.removeprefix("require").split()
        if words[:1] == [path] and words[1].startswith("v"):
            return words[1]
    raise ClusterError(f"{go_mod} does not require {path}")


def _go(directory: Path, *arguments: str) -> str:
    if not shutil.which("go"):
        raise ClusterError("Go is missing, and the cluster is built from Go modules: install Go 1.26 or later")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(["go", *arguments], cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode:
        problem = done.stderr.strip()
        if "requires go >= " in problem or "invalid go version" in problem:
            raise ClusterError(f"this Go is too old, install Go 1.26 or later: {problem}")
        raise ClusterError(f"go {' '.join(arguments)} (in {directory}):\n{problem[-4000:]}")
    return done.stdout
