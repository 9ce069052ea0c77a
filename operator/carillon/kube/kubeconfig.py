"""What is read of a kubeconfig before the library reads it: the namespace of its context, and whether it is one.

The library takes for granted that a kubeconfig is well-formed, and prints where we would say it in our own words.
"""

import os
from pathlib import Path
from typing import Any

import yaml

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Unreadable(ValueError):  # noqa: N818
    """A file that is no kubeconfig; the message names it and says why."""


def check(path: str) -> None:
    """Raise Unreadable unless there is a kubeconfig, and each that there is looks like one.

    Args:
        path: one file, or several as in $KUBECONFIG; what does not exist is passed over beside others, as by kubectl.
    """
    files = [os.path.expanduser(part) for part in path.split(os.pathsep) if part]
    found = [file for file in files if os.path.exists(file)]
    if not found:
        raise Unreadable(f"{path}: no such file")
    for file in found:
        try:
            document = yaml.safe_load(Path(file).read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"{file}: {error}") from error
        except yaml.YAMLError as error:
            raise Unreadable(f"{file}: not a kubeconfig, which is one YAML document: {_flat(error)}") from error
        if document is None:
            raise Unreadable(f"{file}: the file is empty")
        if not isinstance(document, dict):
            raise Unreadable(f"{file}: not a kubeconfig, which is a map of clusters, users and contexts")
        for field in ("clusters", "contexts", "users"):
            entries = document.get(field) or []
            if not isinstance(entries, list) or not all(isinstance(e, dict) and "name" in e for e in entries):
                raise Unreadable(f"{file}: not a kubeconfig: {field} has to be a list of maps with a name each")


def _flat(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())


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
    name = context or next((current for file in files if (current := file.get("current-context"))), "")
    for file in files:
        entries = file.get("contexts")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and entry.get("name") == name:
                found = entry.get("context")
                return str((found.get("namespace") if isinstance(found, dict) else None) or "default")
    return "default"


def _read(path: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}
