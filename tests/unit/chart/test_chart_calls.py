"""The chart grants what the operator's code asks of the API server, no more and no less.

Read off the source: all requests are made by the verbs of `kube.client.Client`, by the requests of `kube.tasks.Tasks`,
and by kopf. The same on a real cluster, as the operator counts its own requests: tests/e2e/test_chart.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.kube import resources
from carillon.kube.resources import Resource
from tests.unit.chart.conftest import Render, Rendered, source
from tests.unit.chart.test_chart_rights import bound, rights

VERBS = {
    "get": ["get"],
    "list": ["list"],
    "pages": ["list"],
    "watch": ["watch"],
    "create": ["create"],
    "merge_patch": ["patch"],
    "apply": ["patch", "create"],
    "replace": ["update"],
    "delete": ["delete", "get"],
}
"""What a method of the client needs; an apply may create, and a deletion looks whether it was refused for the UID."""
FOLLOWERS = ("follow", "Follower")
KOPF = {"scheduledjobs.carillon.dev list", "scheduledjobs.carillon.dev watch"}
ANY_RESOURCE = {
    "kube/follow.py": "what `Follower` is told to follow, which is read off where one is made",
    "controller/event_watch.py": "the event sources of the chart's values",
    "controller/inventory.py": "what the tasks look at",
    "controller/execute.py": "the JobRun or Job of an action that was lost, or its definition's",
    "kube/events.py": "an Event",
}
"""Where a request is not for a resource that is named on the spot, and what it is for."""
ASKED_OF_NOBODY = {"scheduledjobs.carillon.dev administer"}
"""A verb that no request has: an admission policy asks whether it is granted."""


def named(node: ast.expr | None) -> Resource | None:
    """The resource that an expression names: `JOBS`, or `JOBS.plural`."""
    if isinstance(node, ast.Attribute) and node.attr == "plural":
        node = node.value
    found = getattr(resources, node.id, None) if isinstance(node, ast.Name) else None
    return found if isinstance(found, Resource) else None


def right(resource: Resource, verb: str, subresource: str = "") -> str:
    group = f".{resource.group}" if resource.group else ""
    return f"{resource.plural}{f'/{subresource}' if subresource else ''}{group} {verb}"


def needed_by(call: ast.Call) -> set[str] | None:
    """The rights that a call needs; None where the resource is not named on the spot, nothing for other calls."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if method in FOLLOWERS:
        found = [resource for argument in call.args if (resource := named(argument))]
        return {right(resource, verb) for resource in found for verb in ("list", "watch")}
    if not isinstance(call.func, ast.Attribute):
        return set()
    holder = call.func.value
    held = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
    if held in ("client", "_client"):
        if method == "pod_log":
            return {"pods/log get"}
        if method not in VERBS:
            return set()
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        subresource = given.get("subresource")
        resource = named(call.args[0])
        if resource is None:
            return None
        below = str(subresource.value) if isinstance(subresource, ast.Constant) else ""
        return {right(resource, verb, below) for verb in VERBS[method]}
    if held == "_exchange" and method == "fetch_object":
        verb, what = call.args[:2]
        assert isinstance(verb, ast.Constant)
        if isinstance(what, ast.JoinedStr):
            first, rest = what.values
            assert isinstance(first, ast.FormattedValue)
            assert isinstance(rest, ast.Constant)
            resource = named(first.value)
            assert resource is not None
            return {right(resource, str(verb.value), str(rest.value).removeprefix("/"))}
        resource = named(what)
        assert resource is not None
        return {right(resource, str(verb.value))}
    return set()


def modules() -> Iterator[tuple[str, Path]]:
    root = source("operator/carillon")
    for path in sorted(root.glob("controller/*.py")):
        yield path.relative_to(root).as_posix(), path
    for name in ("lease", "events", "follow", "tasks"):
        yield f"kube/{name}.py", root / "kube" / f"{name}.py"


@pytest.fixture(scope="module")
def asked() -> dict[str, set[str]]:
    """What each module asks for."""
    found: dict[str, set[str]] = {}
    for name, path in modules():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            needed = needed_by(call)
            if needed is None:
                assert name in ANY_RESOURCE, f"{name}, line {call.lineno}: {ast.unparse(call)}: of which resource?"
            found.setdefault(name, set()).update(needed or ())
    return found


def granted(chart: Rendered, account: str = "carillon") -> set[str]:
    return {each.partition(":")[0] for _, _, role in bound(chart, account) for each in rights(role)}


def test_the_operator_is_granted_what_it_asks_for(render: Render, asked: dict[str, set[str]]) -> None:
    of_the_tasks = {"controller/inventory.py"}
    wanted = KOPF.union(*(needed for name, needed in asked.items() if name not in of_the_tasks))
    assert granted(render()) - ASKED_OF_NOBODY == wanted


REVIEWS = "tokenreviews.authentication.k8s.io create"


@pytest.mark.parametrize(
    ("values", "less"),
    [
        ({"lastWords": False}, {"pods/log get"}),
        ({"progress": {"enabled": False}}, {REVIEWS, "jobruns/status.carillon.dev patch"}),
        ({"progress": {"clusterRole": False}}, {REVIEWS}),
    ],
)
def test_what_is_switched_off_is_not_granted(render: Render, values: dict[str, object], less: set[str]) -> None:
    assert granted(render(**values)) == granted(render()) - less


def test_a_source_is_listed_and_watched_and_so_is_what_the_chart_grants_for_it(render: Render) -> None:
    more = render(eventSources=[{"version": "v1", "resource": "configmaps"}])
    calls = ast.walk(ast.parse(source("operator/carillon/controller/event_watch.py").read_text()))
    methods = {
        node.func.attr
        for node in calls
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "self._client"
    }
    verbs = {verb for method in methods & VERBS.keys() for verb in VERBS[method]}
    assert granted(more) - granted(render()) == {f"configmaps {verb}" for verb in verbs}


def test_the_tasks_are_granted_what_they_look_at(render: Render) -> None:
    tree = ast.parse(source("operator/carillon/controller/inventory.py").read_text())
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "_list"]
    looked_at = [resource for call in called if (resource := named(call.args[1]))]
    assert granted(render(), "carillon-tasks") == {right(resource, "list") for resource in looked_at}
