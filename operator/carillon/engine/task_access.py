"""What the pods of a Job are given to report with: an address, and a token that is good for nothing else.

The token is projected by the kubelet, for the audience `carillon.dev` and bound to the very pod: no API server takes
it, and it ends with the pod. It needs no right of any ServiceAccount, and is there with
`automountServiceAccountToken: false` as well.
"""

import copy
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from carillon.api import keys

Body = dict[str, Any]

VOLUME = "carillon-token"
DIRECTORY = "/var/run/carillon"
FILE = "token"
TOKEN_SECONDS = 3600
"""The kubelet writes a new one when four fifths have passed; the API server takes no less than 600."""


def able_to_report(body: Body, url: str) -> Body:
    """Give the pods of a Job, or of a CronJob's Jobs, the address and the token; nothing where there is no address.

    Names that the template uses for itself are left to it: the volume, the directory and the variables.

    Args:
        body: a Job or a CronJob.
        url: where tasks report; empty: nowhere.
    """
    if not url:
        return body
    given = copy.deepcopy(body)
    pod = given["spec"].get("jobTemplate", given)["spec"]["template"]["spec"]
    containers = [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    volume = _unused(VOLUME, (each.get("name") for each in pod.get("volumes") or ()))
    directory = _unused(DIRECTORY, (str(mount.get("mountPath", "")).rstrip("/") for mount in mounts))
    token = {"audience": keys.AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": FILE}
    pod["volumes"] = [
        *(pod.get("volumes") or ()),
        {"name": volume, "projected": {"sources": [{"serviceAccountToken": token}]}},
    ]
    environment = [
        {"name": keys.PROGRESS_URL_ENVIRONMENT, "value": url},
        {"name": keys.TOKEN_FILE_ENVIRONMENT, "value": f"{directory}/{FILE}"},
    ]
    for container in containers:
        container["volumeMounts"] = [
            *(container.get("volumeMounts") or ()),
            {"name": volume, "mountPath": directory, "readOnly": True},
        ]
        names = {variable.get("name") for variable in container.get("env") or ()}
        ours = (variable for variable in environment if variable["name"] not in names)
        container["env"] = [*ours, *(container.get("env") or ())]
    return given


def _unused(wanted: str, taken: Iterable[Any]) -> str:
    names = set(taken)
    return next(name for name in _numbered(wanted) if name not in names)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"
