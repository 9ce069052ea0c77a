"""The options that commands share, named and meant as kubectl's."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from carillon.cli import completion
from carillon.cli.cluster import Place
from carillon.cli.problems import Problem, stop

CLUSTER_PANEL = "Which cluster"

Command = Callable[..., None]


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class ObjectOutput(StrEnum):
    """How objects are printed, as kubectl names it."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


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
    typer.Option(
        "--context",
        help="Context of the kubeconfig.",
        rich_help_panel=CLUSTER_PANEL,
        metavar="NAME",
        autocompletion=completion.contexts,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Default: the context's namespace.",
        rich_help_panel=CLUSTER_PANEL,
        metavar="NAME",
        autocompletion=completion.namespaces,
    ),
]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="The whole cluster.", rich_help_panel=CLUSTER_PANEL)
]
As = Annotated[
    str,
    typer.Option("--as", help="Act as this user, if you may.", rich_help_panel=CLUSTER_PANEL, metavar="USER"),
]
AsGroup = Annotated[
    list[str] | None,
    typer.Option(
        "--as-group",
        help="With --as: and as member of it. May be repeated.",
        rich_help_panel=CLUSTER_PANEL,
        metavar="GROUP",
    ),
]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How the answer is printed.")]
ObjectFormat = Annotated[ObjectOutput, typer.Option("--output", "-o", help="How objects are printed.")]

Gathered = dict[str, tuple[Any, Any]]
"""Options of several commands: the annotation and the default, by the name of the parameter."""


def gathering(into: str, options: Gathered, build: Callable[..., object]) -> Callable[[Command], Command]:
    """Give a command options that it shares with others, and hand it what they mean as one argument.

    Args:
        into: the name of that argument.
        options: what is added to the command line.
        build: makes the argument of the values by their names; may raise Problem.
    """

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            *(p.replace(kind=kind) for p in own if p.name != into),
            *(inspect.Parameter(n, kind, default=d, annotation=a) for n, (a, d) in options.items()),
        ]

        @functools.wraps(command)
        def gathered(**given: Any) -> None:
            values = {name: given.pop(name) for name in options}
            try:
                built = build(**values)
            except Problem as problem:
                raise stop(problem) from None
            command(**given, **{into: built})

        gathered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        gathered.__annotations__ = {p.name: p.annotation for p in parameters}
        return gathered

    return decorate


def placed(*, everywhere: bool = False, at_large: bool = False) -> Callable[[Command], Command]:
    """Give a command the options that say which cluster, and hand it their meaning as `place`.

    Args:
        everywhere: whether the command can be asked of the whole cluster, with --all-namespaces.
        at_large: whether it is so without being asked, where no namespace is named.
    """
    options: Gathered = {"kubeconfig": (Kubeconfig, None), "kube_context": (Context, None)}
    options |= {"namespace": (Namespace, None)}
    if everywhere:
        options["everywhere"] = (AllNamespaces, False)
    options |= {"as_user": (As, ""), "as_group": (AsGroup, None)}

    def place(
        kubeconfig: str | None,
        kube_context: str | None,
        namespace: str | None,
        as_user: str,
        as_group: list[str] | None,
        everywhere: bool = False,
    ) -> Place:
        large = everywhere or (at_large and namespace is None)
        return Place.of(kubeconfig, kube_context, namespace, large, as_user, tuple(as_group or ()))

    return gathering("place", options, place)
