"""Whether a cluster does what it is for, asked of it with kubectl."""

import subprocess

from . import box
from .paths import ClusterError, ClusterPaths, binaries
from .plan import Plan

NODE_READY = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"


def ready(plan: Plan, paths: ClusterPaths) -> bool:
    """The API answers, a pod could be made, and there is a node for it when the plan has one."""
    return (
        api_answers(plan, paths)
        and _service_account_exists(plan, paths)
        and (not plan.node or _node_ready(plan, paths))
    )


def require(plan: Plan, paths: ClusterPaths) -> None:
    """Raise with the log to read when the cluster is not ready."""
    if not api_answers(plan, paths):
        raise ClusterError(f"the API server of {plan.name} does not answer; see {paths.logs / 'kube-apiserver.log'}")
    if not _service_account_exists(plan, paths):
        log = paths.logs / "kube-controller-manager.log"
        raise ClusterError(f"the controllers of {plan.name} made no service account; see {log}")
    if plan.node and not _node_ready(plan, paths):
        raise ClusterError(f"the node of {plan.name} is not Ready; see {paths.logs / 'kubelet.log'}")


def api_answers(plan: Plan, paths: ClusterPaths) -> bool:
    return _kubectl(plan, paths, "get", "--raw", "/readyz") == "ok"


def containerd_answers(paths: ClusterPaths) -> bool:
    command = ["ctr", "--address", str(paths.containerd_socket), "version"]
    return paths.containerd_socket.exists() and subprocess.run(command, capture_output=True).returncode == 0


def _service_account_exists(plan: Plan, paths: ClusterPaths) -> bool:
    """Without its namespace's default service account a pod is refused."""
    return bool(_kubectl(plan, paths, "get", "serviceaccount", "default", "--namespace=default", "--output=name"))


def _node_ready(plan: Plan, paths: ClusterPaths) -> bool:
    return _kubectl(plan, paths, "get", "node", plan.name, f"--output={NODE_READY}") == "True"


def _kubectl(plan: Plan, paths: ClusterPaths, *arguments: str) -> str:
    """Standard output, empty when the command failed."""
    kubectl = [str(binaries(plan.version) / "kubectl"), f"--kubeconfig={paths.kubeconfig}", "--request-timeout=5s"]
    environment = box.direct_environment()
    done = subprocess.run([*kubectl, *arguments], capture_output=True, text=True, env=environment)
    return done.stdout if done.returncode == 0 else ""
