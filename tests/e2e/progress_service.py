"""The Service of the progress endpoint, before operators that run as processes of this machine.

What the chart's Service does with pods is done here by hand: an EndpointSlice for each process that takes reports.
"""

import socket

from tests.e2e.api import Api, ApiError
from tests.e2e.operators import LEASE_NAMESPACE, OperatorProcess

SERVICE, PORT = "carillon-progress", 8090
URL = f"http://{SERVICE}.{LEASE_NAMESPACE}.svc:{PORT}/progress"
CONFLICT = 409


def host(api: Api) -> str:
    """The address of this machine as pods see it: the one from which it speaks with their node."""
    [node, *_] = api.select("nodes", "")
    [address, *_] = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaking:
        speaking.connect((address, PORT))
        return str(speaking.getsockname()[0])


def make(api: Api) -> None:
    """The Service, as the chart makes it, without a selector."""
    spec = {
        "ports": [{"name": "progress", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
        "sessionAffinity": "ClientIP",
    }
    try:
        api.create("services", LEASE_NAMESPACE, {"metadata": {"name": SERVICE}, "spec": spec})
    except ApiError as error:
        if error.status != CONFLICT:
            raise


def lead_to(api: Api, *operators: OperatorProcess) -> None:
    """Have the Service lead to these, and to no other."""
    for slice_ in api.select("endpointslices", LEASE_NAMESPACE, f"kubernetes.io/service-name={SERVICE}"):
        api.delete("endpointslices", LEASE_NAMESPACE, slice_["metadata"]["name"])
    for operator in operators:
        body = {
            "metadata": {
                "generateName": f"{SERVICE}-",
                "labels": {"kubernetes.io/service-name": SERVICE},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host(api)], "conditions": {"ready": True}}],
            "ports": [{"name": "progress", "port": operator.progress_port, "protocol": "TCP"}],
        }
        api.create("endpointslices", LEASE_NAMESPACE, body)
