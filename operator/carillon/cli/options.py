"""The options that commands share, named and meant as kubectl's."""

from enum import StrEnum
from typing import Annotated

import typer

CLUSTER_PANEL = "Which cluster"


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


Kubeconfig = Annotated[
    str | None,
    typer.Option(
        help="Path of the kubeconfig. Default: $KUBECONFIG, the pod's own account, ~/.kube/config.",
        rich_help_panel=CLUSTER_PANEL,
        metavar="FILE",
    ),
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="Context of the kubeconfig.", rich_help_panel=CLUSTER_PANEL, metavar="NAME"),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Default: the context's namespace.", rich_help_panel=CLUSTER_PANEL, metavar="NAME"
    ),
]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="The whole cluster.", rich_help_panel=CLUSTER_PANEL)
]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How the answer is printed.")]
