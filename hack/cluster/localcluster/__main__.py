"""The command line: up, down, status, load-image, build-image, which."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import box, build, health, imagebuild, images
from .lifecycle import down, up
from .paths import ClusterError, ClusterPaths, binaries
from .plan import DEFAULT_VERSION, Plan, every, load
from .services import APISERVER, CONTROLLER_MANAGER, KUBELET, SCHEDULER

EXTRA = {"apiserver": APISERVER, "controller-manager": CONTROLLER_MANAGER, "scheduler": SCHEDULER, "kubelet": KUBELET}
CURRENT = "current"


def main(command: str, arguments: list[str]) -> None:
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin:/usr/local/go/bin"
    commands = {
        "up": _up,
        "down": _down,
        "status": _status,
        "load-image": _load_image,
        "build-image": imagebuild.main,
        "which": _which,
    }
    try:
        commands[command](arguments)
    except ClusterError as error:
        sys.exit(f"{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted; hack/cluster/status shows what is there")


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--name", default="default", help="which cluster (default: %(default)s)")
    return parser


def _version_option(parser: argparse.ArgumentParser) -> None:
    version = os.environ.get("K8S_VERSION") or None
    parser.add_argument("--version", default=version, help=f"Kubernetes release ($K8S_VERSION, else {DEFAULT_VERSION})")


def _up(arguments: list[str]) -> None:
    parser = _parser("up", "Bring a cluster up. --name current: only check the cluster of the kubeconfig in force.")
    _version_option(parser)
    parser.add_argument("--no-node", action="store_true", help="control plane only: no pods run")
    for component, command in EXTRA.items():
        told = (
            f"a flag for {command}, such as --{component}-arg=--v=4; may be repeated. On a running cluster it replaces "
            f"the flags given before and restarts {command}; --{component}-arg= clears them"
        )
        parser.add_argument(f"--{component}-arg", action="append", metavar="FLAG", help=told)
    options = parser.parse_args(arguments)
    if options.name == CURRENT:
        _verify_current()
        return
    begun = time.monotonic()
    given = {command: getattr(options, f"{component.replace('-', '_')}_arg") for component, command in EXTRA.items()}
    extra = {command: [flag for flag in flags if flag] for command, flags in given.items() if flags is not None}
    paths = ClusterPaths(options.name)
    plan = up(paths, options.version, DEFAULT_VERSION, not options.no_node, extra)
    took = time.monotonic() - begun
    print(f"cluster {plan.name}: Kubernetes {plan.version} at {plan.network.api_url}, ready in {took:.1f} s")
    if not plan.node:
        print(f"control plane only, no pods will run: {plan.lacking}")
    print(f"export KUBECONFIG={paths.kubeconfig} PATH={binaries(plan.version)}:$PATH")


def _verify_current() -> None:
    built = binaries(DEFAULT_VERSION) / "kubectl"
    kubectl = str(built) if built.exists() else shutil.which("kubectl")
    if kubectl is None:
        raise ClusterError("--name current needs a kubectl in PATH")
    version = subprocess.run([kubectl, "version", "--request-timeout=10s"], capture_output=True, text=True)
    if version.returncode:
        raise ClusterError(f"the cluster of the kubeconfig in force does not answer: {version.stderr.strip()}")
    context = subprocess.run([kubectl, "config", "current-context"], capture_output=True, text=True).stdout.strip()
    print(f"the current cluster answers, context {context or '(none)'}")
    print(version.stdout.strip())


def _down(arguments: list[str]) -> None:
    parser = _parser("down", "End a cluster, with every process, mount and interface of it.")
    parser.add_argument("--keep", action="store_true", help="keep its state on disk: the next up carries on with it")
    options = parser.parse_args(arguments)
    if options.name == CURRENT:
        raise ClusterError("the current cluster is not ours to end")
    existed = down(ClusterPaths(options.name), options.keep)
    print(f"cluster {options.name} is down" if existed else f"there is no cluster {options.name}")


def _status(arguments: list[str]) -> None:
    description = "Show every cluster, or one. Exit code 1 when that one is not ready."
    parser = argparse.ArgumentParser(prog="status", description=description)
    parser.add_argument("--name", help="which cluster (default: all)")
    options = parser.parse_args(arguments)
    if options.name:
        paths = ClusterPaths(options.name)
        plan = load(paths)
        if plan is None:
            sys.exit(f"there is no cluster {options.name}")
        sys.exit(0 if _show(plan, paths) else 1)
    if not [_show(plan, paths) for plan, paths in every()]:
        print("there are no clusters")


def _show(plan: Plan, paths: ClusterPaths) -> bool:
    """Print one cluster; whether it is ready."""
    process = box.supervisor(paths)
    ready = process is not None and health.ready(plan, paths)
    state = "ready" if ready else "not ready" if process else "stopped"
    node = "" if plan.node else ", control plane only"
    print(f"{plan.name}: {state}, Kubernetes {plan.version}, {plan.network.api_url}{node}")
    print(f"  kubeconfig {paths.kubeconfig}")
    if process:
        enter = f", enter with: nsenter --target {process.pid} --all" if plan.network.boxed else ""
        print(f"  process {process.pid}{enter}")
        for name, service in json.loads(paths.running.read_text()).items():
            again = f", started {service['starts']} times" if service["starts"] > 1 else ""
            print(f"  {name}: {'up' if service['up'] else 'DOWN'}{again}, log {paths.logs / name}.log")
    return ready


def _load_image(arguments: list[str]) -> None:
    parser = _parser("load-image", "Import an image archive, so that pods can use it.")
    parser.add_argument("archive", type=Path, metavar="TAR")
    options = parser.parse_args(arguments)
    paths = ClusterPaths(options.name)
    plan = load(paths)
    if plan is None or box.supervisor(paths) is None:
        raise ClusterError(f"cluster {options.name} is not running: hack/cluster/up --name {options.name}")
    if not plan.node:
        raise ClusterError(f"cluster {options.name} has no node: {plan.lacking}")
    for name in images.load(paths, options.archive):
        print(f"loaded {name}")


def _which(arguments: list[str]) -> None:
    description = (
        "Print the path of a command that belongs to the cluster, such as kubectl or helm; built when missing."
    )
    parser = argparse.ArgumentParser(prog="which", description=description)
    _version_option(parser)
    parser.add_argument("command")
    options = parser.parse_args(arguments)
    print(build.ensure(options.version or DEFAULT_VERSION, options.command) / options.command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
