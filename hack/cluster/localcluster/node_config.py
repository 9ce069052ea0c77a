"""The configuration files of the node: containerd, CNI, kubelet, kube-proxy and CoreDNS.

Every line that is not a default is there because a container or a small virtual machine needed it.
"""

import json
import resource

from . import cgroups
from .paths import ClusterPaths
from .plan import Plan

PAUSE_IMAGE = "carillon.local/pause:1"
CLUSTER_DOMAIN = "cluster.local"


def write(plan: Plan, paths: ClusterPaths, snapshotter: str) -> None:
    """Write them all. `snapshotter` is how containerd lays image layers over each other here."""
    texts = {
        "containerd.toml": _containerd(paths, snapshotter),
        "cni/10-pods.conflist": _cni(plan),
        "kubelet.yaml": _kubelet(plan, paths),
        "kube-proxy.yaml": _kube_proxy(plan, paths),
        "Corefile": _corefile(plan, paths),
        "resolv.conf": "",
    }
    for name, text in texts.items():
        target = paths.config / name
        if not target.exists() or target.read_text() != text:  # kube-proxy ends itself when its file is touched
            target.write_text(text)


def _containerd(paths: ClusterPaths, snapshotter: str) -> str:
    root = paths.root / "containerd"
    return f"""\
version = 2
root = "{root}"
state = "/run/containerd"

[grpc]
address = "{paths.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{paths.config / "cni"}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
"""


def _cni(plan: Plan) -> str:
    """Point-to-point links, so that a pod's Service traffic is routed and needs no bridge netfilter module."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": plan.network.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni",
    }
    plugins = [{"type": "ptp", "ipam": ipam}]
    return json.dumps({"cniVersion": "0.4.0", "name": "carillon", "plugins": plugins}, indent=2)


def _kubelet(plan: Plan, paths: ClusterPaths) -> str:
    """JSON, which YAML includes."""
    pki = paths.pki
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet-serving.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet-serving.key"),
            "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
            "podLogsDir": str(paths.root / "pod-logs"),
            "resolvConf": str(paths.config / "resolv.conf"),
            "clusterDNS": [plan.network.node_ip],
            "clusterDomain": CLUSTER_DOMAIN,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroups.group(plan.name)}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "maxOpenFiles": resource.getrlimit(resource.RLIMIT_NOFILE)[1],  # more needs CAP_SYS_RESOURCE
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "maxPods": 500,
            "podPidsLimit": -1,
            "serializeImagePulls": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "0%",
                "nodefs.available": "0%",
                "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
            },
        },
        indent=2,
    )


def _kube_proxy(plan: Plan, paths: ClusterPaths) -> str:
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(paths.config / "kube-proxy.kubeconfig")},
            "clusterCIDR": plan.network.pods,
            "detectLocalMode": "ClusterCIDR",
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
            "oomScoreAdj": 0,
        },
        indent=2,
    )


def _corefile(plan: Plan, paths: ClusterPaths) -> str:
    return f"""\
.:53 {{
    bind {plan.network.node_ip}
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {paths.config / "coredns.kubeconfig"}
        pods insecure
    }}
}}
"""
