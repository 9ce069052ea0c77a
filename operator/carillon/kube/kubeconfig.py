"""The namespace that commands work in when none is named: the kubeconfig context's, or the pod's own."""

import os
from pathlib import Path
from typing import Any

import yaml

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def default_namespace(kubeconfig: str | None, context: str | None) -> str:
    """Tell the namespace of the context in force, as kubectl does; `default` when nothing says.

    What cannot be read says nothing here: whoever connects will say what is wrong with it.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if not path and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        try:
            return _POD_NAMESPACE.read_text().strip() or "default"
        except OSError:
            return "default"
    files = [_read(part) for part in (path or os.path.expanduser("~/.kube/config")).split(os.pathsep) if part]
    name = context or next((found for file in files if (found := file.get("current-context"))), "")
    for file in files:
        for entry in file.get("contexts") or ():
            if isinstance(entry, dict) and entry.get("name") == name:
                return str((entry.get("context") or {}).get("namespace") or "default")
    return "default"


def _read(path: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}
