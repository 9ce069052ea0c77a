"""The command line: up, down, status, load-image, build-image."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import box, imagebuild, images
from .lifecycle import api_ready, down, up
from .paths import ClusterError, ClusterPaths, all_clusters, binaries
from .plan import DEFAULT_VERSION, Plan, load
from .services import APISERVER, CONTROLLER_MANAGER, KUBELET, SCHEDULER

EXTRA = {"apiserver": APISERVER, "controller-manager": CONTROLLER_MANAGER, "scheduler": SCHEDULER, "kubelet": KUBELET}
CURRENT = "current"


def main(command: str, arguments: list[str]) -> None:
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    run = {"up": _up, "down": _down, "status": _status, "load-image": _load_image, "build-image": imagebuild.main}[command]
    try:
        run(arguments)
    except ClusterError as error:
        sys.exit(f"{command}: {error}")


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--name", default="default", help="which cluster (default: %(default)s)")
    return parser


def _up(arguments: list[str]) -> None:
    parser = _parser("up", "Bring a cluster up. --name current: only check the cluster of the kubeconfig in force.")
    parser.add_argument("--version", default=os.environ.get("K8S_VERSION") or None, help=f"Kubernetes release (default: {DEFAULT_VERSION})")
    parser.add_argument("--no-node", action="store_true", help="control plane only: no pods run")
    for component in EXTRA:
        parser.add_argument(
            f"--{component}-arg",
            action="append",
            metavar="FLAG",
            help=f"a flag for {EXTRA[component]}, such as --{component}-arg=--v=4; may be repeated; "
            "given for a running cluster, these replace the earlier ones and restart that component; '' alone clears them",
        )
    options = parser.parse_args(arguments)
    if options.name == CURRENT:
        return _verify_current()
    begun = time.monotonic()
    extra = {
        component: [flag for flag in given if flag]
        for option, component in EXTRA.items()
        if (given := getattr(options, option.replace("-", "_") + "_arg")) is not None
    }
    paths = ClusterPaths(options.name)
    plan = up(paths, options.version, DEFAULT_VERSION, not options.no_node, extra)
    print(f"cluster {plan.name}: Kubernetes {plan.version} at {plan.network.api_url}, ready in {time.monotonic() - begun:.1f} s")
    if not plan.node:
        print(f"no pods will run: {plan.lacking}")
    print(f"export KUBECONFIG={paths.kubeconfig} PATH={binaries(plan.version)}:$PATH")


def _verify_current() -> None:
    found = shutil.which("kubectl") or str(binaries(DEFAULT_VERSION) / "kubectl")
    if not Path(found).exists():
        raise ClusterError("CLUSTER=current needs a kubectl in PATH")
    version = subprocess.run([found, "version", "--request-timeout=10s"], capture_output=True, text=True)
    if version.returncode:
        raise ClusterError(f"the cluster of the kubeconfig in force does not answer: {version.stderr.strip()}")
    context = subprocess.run([found, "config", "current-context"], capture_output=True, text=True).stdout.strip()
    print(f"using the current cluster, context {context or '(none)'}")
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
    parser = argparse.ArgumentParser(prog="status", description="Show every cluster, or one.")
    parser.add_argument("--name", help="which cluster (default: all)")
    options = parser.parse_args(arguments)
    chosen = [ClusterPaths(options.name)] if options.name else all_clusters()
    shown = [_show(plan, paths) for paths in chosen if (plan := load(paths))]
    if not shown:
        print("no clusters")


def _show(plan: Plan, paths: ClusterPaths) -> None:
    import json

    process = box.supervisor(paths)
    state = "stopped" if not process else "ready" if api_ready(plan, paths) else "not answering"
    print(f"{plan.name}: {state}, Kubernetes {plan.version}, {plan.network.api_url}" + ("" if plan.node else ", no node"))
    print(f"  kubeconfig {paths.kubeconfig}")
    if process:
        print(f"  process {process.pid}" + (f"; enter with: nsenter --target {process.pid} --all" if plan.network.boxed else ""))
        for name, service in json.loads(paths.running.read_text()).items():
            again = f", started {service['starts']} times" if service["starts"] > 1 else ""
            print(f"  {name}: {'up' if service['up'] else 'DOWN'}{again}; log {paths.logs / name}.log")


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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
