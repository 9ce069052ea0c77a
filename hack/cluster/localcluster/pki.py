"""Certificates and kubeconfigs of one cluster, made with the openssl command. Keys are readable by their owner only."""

import base64
import json
import os
import subprocess
from pathlib import Path

from .paths import ClusterError, ClusterPaths
from .plan import Plan, write_atomically

CLIENTS = {  # kubeconfig -> subject; the users and groups that the built-in RBAC bindings name
    "admin": "/O=system:masters/CN=carillon-admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "coredns": "/O=system:masters/CN=coredns",
}
DAYS = "3650"


def make(plan: Plan, paths: ClusterPaths) -> None:
    """Write the CA, every certificate and every kubeconfig, unless they are there."""
    if paths.kubeconfig.exists():
        return
    pki = paths.pki
    pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    _openssl(
        "req",
        "-x509",
        *_new_key(pki, "ca"),
        "-subj",
        "/CN=carillon-ca",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    network, clients = plan.network, CLIENTS | {"kubelet": f"/O=system:nodes/CN=system:node:{plan.name}"}
    dns = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    addresses = ["127.0.0.1", network.node_ip, network.first_service_ip]
    _serving(pki, "apiserver", "/CN=kube-apiserver", dns, addresses)
    _serving(pki, "kubelet-serving", f"/CN={plan.name}", [plan.name], [network.node_ip])
    for name, subject in clients.items():
        _signed(pki, name, subject, "extendedKeyUsage=clientAuth")
    key = pki / "service-account.key"
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key))
    _openssl("pkey", "-in", str(key), "-pubout", "-out", str(pki / "service-account.pub"))
    for name in clients:
        _kubeconfig(plan, pki, name, paths.config / f"{name}.kubeconfig")
    _kubeconfig(plan, pki, "admin", paths.kubeconfig)


def _new_key(pki: Path, name: str) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return [*curve, "-keyout", str(pki / f"{name}.key"), "-out", str(pki / f"{name}.crt"), "-days", DAYS]


def _serving(pki: Path, name: str, subject: str, dns: list[str], addresses: list[str]) -> None:
    alternatives = ",".join([*(f"DNS:{host}" for host in dns), *(f"IP:{ip}" for ip in dict.fromkeys(addresses))])
    _signed(pki, name, subject, "extendedKeyUsage=serverAuth", f"subjectAltName={alternatives}")


def _signed(pki: Path, name: str, subject: str, *extensions: str) -> None:
    authority = ["-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key")]
    wanted = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", *extensions]
    added = [word for extension in wanted for word in ("-addext", extension)]
    _openssl("req", "-x509", *authority, *_new_key(pki, name), "-subj", subject, *added)


def _openssl(*arguments: str) -> None:
    # An empty configuration: the machine's own adds a second basicConstraints to every certificate.
    command = ["openssl", *arguments]
    if arguments[0] == "req":
        command[2:2] = ["-config", "/dev/stdin"]
    done = subprocess.run(
        command, input="[req]\ndistinguished_name=dn\n[dn]\n", capture_output=True, text=True, umask=0o077
    )
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")


def _kubeconfig(plan: Plan, pki: Path, name: str, target: Path) -> None:
    """Certificates are embedded, so that a kubeconfig can be copied."""
    context = f"carillon-{plan.name}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [
            {
                "name": context,
                "cluster": {"server": plan.network.api_url, "certificate-authority-data": _base64(pki / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _base64(pki / f"{name}.crt"),
                    "client-key-data": _base64(pki / f"{name}.key"),
                },
            }
        ],
    }
    previous = os.umask(0o077)
    try:
        write_atomically(target, json.dumps(document, indent=2))
    finally:
        os.umask(previous)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
