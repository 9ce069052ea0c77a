"""Roles and policies: the operator has what it needs, and people get roles of their own."""

from typing import Any

import pytest

from carillon.api.base import USER_LENGTH
from carillon.api.scheduledjob import ScheduledJobSpec
from hack import manifests
from tests.unit.chart.conftest import Manifest, Render, Rendered, value_sets

CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "FlowSchema",
    "PriorityLevelConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
IN_ITS_NAMESPACES = """
    scheduledjobs.carillon.dev          get list watch
    scheduledjobs/status.carillon.dev   update
    calendars.carillon.dev              get list watch
    calendars/status.carillon.dev       update
    jobruns.carillon.dev                get list watch create patch delete
    jobruns/status.carillon.dev         update patch
    jobs.batch                          get list watch create patch delete
    cronjobs.batch                      get list watch create update patch delete
    cronjobs/status.batch               patch
    pods                                list
    pods/log                            get
    events                              list watch create patch
"""
IN_ITS_OWN_NAMESPACE = """
    leases.coordination.k8s.io          create get:carillon patch:carillon
    configmaps                          get:carillon-system-jobs
    scheduledjobs.carillon.dev          get list create patch delete administer
"""
OF_THE_TASKS = """
    scheduledjobs.carillon.dev          list
    jobruns.carillon.dev                list
    calendars.carillon.dev              list
    jobs.batch                          list
"""


def rights(role: Manifest) -> set[str]:
    """What a role grants, as `resource.group verb`, with the name of the object behind a colon where there is one."""
    return {
        f"{resource}{'.' if group else ''}{group} {verb}{f':{name}' if name else ''}"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def table(text: str) -> set[str]:
    rows = [line.split() for line in text.split("\n") if line.strip()]
    return {f"{resource} {verb}" for resource, *verbs in rows for verb in verbs}


def bound(chart: Rendered, account: str) -> list[tuple[str, str, Manifest]]:
    """Kind of binding, its namespace and the role, for each binding of a service account."""
    found = []
    for binding in chart.all("ClusterRoleBinding", "RoleBinding"):
        assert [subject["namespace"] for subject in binding["subjects"]] == ["carillon"]
        if binding["subjects"][0]["name"] == account:
            namespace = binding["metadata"].get("namespace", "")
            role = chart.one(binding["roleRef"]["kind"], binding["roleRef"]["name"], namespace or "carillon")
            found.append((binding["kind"], namespace, role))
    return found


def test_the_operators_rights_in_the_whole_cluster(render: Render) -> None:
    [(_, _, everywhere), (kind, _, reviews), (_, namespace, own)] = bound(render(), "carillon")
    assert everywhere["kind"] == "ClusterRole"
    assert (kind, rights(reviews)) == ("ClusterRoleBinding", {"tokenreviews.authentication.k8s.io create"})
    assert rights(everywhere) == table(IN_ITS_NAMESPACES)
    assert namespace == "carillon"
    assert rights(own) == table(IN_ITS_OWN_NAMESPACE)


def test_without_last_words_it_reads_no_logs(render: Render) -> None:
    [(_, _, role), *_] = bound(render(lastWords=False), "carillon")
    assert "pods/log get" not in rights(role)


def test_without_progress_it_reviews_no_tokens(render: Render) -> None:
    [(_, _, role), _] = bound(render(progress={"enabled": False}), "carillon")
    assert rights(role) == table(IN_ITS_NAMESPACES) - {"jobruns/status.carillon.dev patch"}


def test_event_sources_are_what_it_may_watch_besides(render: Render) -> None:
    sources = [
        {"version": "v1", "resource": "configmaps"},
        {"group": "apps", "version": "v1", "resource": "deployments"},
    ]
    [(_, _, role), *_] = bound(render(eventSources=sources), "carillon")
    assert rights(role) == table(IN_ITS_NAMESPACES) | table("configmaps list watch\ndeployments.apps list watch")


def test_the_tasks_only_look(render: Render) -> None:
    [(kind, _, role)] = bound(render(), "carillon-tasks")
    assert kind == "ClusterRoleBinding"
    assert rights(role) == table(OF_THE_TASKS)


@pytest.mark.parametrize(
    ("system_jobs", "namespaces"),
    [
        pytest.param({}, ["carillon", "files", "reports"], id="the release's own, for its system jobs"),
        pytest.param(
            {"verify": {"enabled": False}, "report": {"enabled": False}}, ["files", "reports"], id="no system jobs"
        ),
    ],
)
def test_with_namespaces_named_it_has_roles_in_these_alone(
    render: Render, system_jobs: dict[str, Any], namespaces: list[str]
) -> None:
    chart = render(watchNamespaces=["reports", "files"], systemJobs=system_jobs, progress={"clusterRole": False})
    *there, (_, own_namespace, own) = sorted(
        bound(chart, "carillon"), key=lambda found: rights(found[2]) == table(IN_ITS_OWN_NAMESPACE)
    )
    assert {kind for kind, _, _ in there} == {"RoleBinding"}
    assert sorted(namespace for _, namespace, _ in there) == namespaces
    assert all(rights(role) == table(IN_ITS_NAMESPACES) for _, _, role in there)
    assert (own_namespace, rights(own)) == ("carillon", table(IN_ITS_OWN_NAMESPACE))
    assert chart.environment["CARILLON_WATCH_NAMESPACES"] == ",".join(namespaces)
    assert not chart.all("ClusterRoleBinding")


def test_nothing_of_a_namespaced_release_needs_rights_on_the_cluster(render: Render) -> None:
    off = {"install": False}
    chart = render(
        watchNamespaces=["files"], crds=off, policies=off, flowControl=off, roles=off, progress={"clusterRole": False}
    )
    assert {thing["kind"] for thing in chart.objects} & CLUSTER_SCOPED == set()


def test_the_requests_of_the_lease_have_a_priority_level_of_their_own(render: Render) -> None:
    """Exactly those that the operator's own Role lets it make of Leases, in the same namespace, as the same account."""
    chart = render(serviceAccount={"name": "bell-ringer"}, fullnameOverride="bells")
    schema, level = chart.one("FlowSchema", "bells-lease")["spec"], chart.one("PriorityLevelConfiguration")
    assert schema["priorityLevelConfiguration"]["name"] == level["metadata"]["name"] == "bells-lease"
    [rule] = schema["rules"]
    assert rule["subjects"] == [
        {"kind": "ServiceAccount", "serviceAccount": {"name": "bell-ringer", "namespace": "carillon"}}
    ]
    [asked] = rule["resourceRules"]
    own = rights(chart.one("Role", "bells-own"))
    assert {f"leases.{group} {verb}" for group in asked["apiGroups"] for verb in asked["verbs"]} == {
        right.partition(":")[0] for right in own if right.startswith("leases")
    }
    assert asked["namespaces"] == ["carillon"]
    assert schema["matchingPrecedence"] < 9000, "the schema for all service accounts would take them first"
    assert level["spec"]["limited"]["lendablePercent"] == 0
    assert not render(flowControl={"install": False}).all("FlowSchema", "PriorityLevelConfiguration")


@pytest.mark.parametrize("values", value_sets())
def test_no_role_has_a_wildcard_or_reads_secrets(render: Render, values: dict[str, Any]) -> None:
    for role in render(**values).all("Role", "ClusterRole"):
        assert not [right for right in rights(role) if "*" in right or right.startswith("secrets")]


ROLES_FOR_PEOPLE = {
    "view": ("view", {"scheduledjobs.carillon.dev list", "jobruns.carillon.dev watch"}),
    "run": ("edit", {"jobruns.carillon.dev create", "jobruns.carillon.dev patch"}),
    "edit": ("edit", {"scheduledjobs.carillon.dev patch", "calendars.carillon.dev delete"}),
    "admin": (
        "admin",
        {"jobruns.carillon.dev delete", "jobruns.carillon.dev deletecollection", "cronjobs/status.batch patch"},
    ),
    "administer": (None, {"scheduledjobs.carillon.dev administer"}),
}


def test_roles_for_people_each_include_the_one_before(render: Render) -> None:
    before: set[str] = set()
    for name, (_, new) in ROLES_FOR_PEOPLE.items():
        granted = rights(render().one("ClusterRole", f"carillon-{name}"))
        assert before < granted
        assert not new & before
        assert new <= granted
        before = granted


@pytest.mark.parametrize("aggregate", [True, False])
def test_roles_for_people_join_the_built_in_ones_if_wanted(render: Render, aggregate: bool) -> None:
    for name, (joined, _) in ROLES_FOR_PEOPLE.items():
        labels = render(roles={"aggregate": aggregate}).one("ClusterRole", f"carillon-{name}")["metadata"]["labels"]
        joins = [key for key in labels if key.startswith("rbac.authorization.k8s.io/")]
        assert joins == ([f"rbac.authorization.k8s.io/aggregate-to-{joined}"] if aggregate and joined else [])


def test_the_policies_and_their_bindings(render: Render) -> None:
    chart = render()
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in chart.all("ValidatingAdmissionPolicy")}
    assert set(policies) == {
        "carillon-system-jobs",
        "carillon-jobruns",
        "carillon-jobs",
        "carillon-event-watch",
        "carillon-history",
        "carillon-job-create",
    }
    assert {policy["failurePolicy"] for policy in policies.values()} == {"Fail"}
    for policy in policies.values():
        assert all(
            "/" not in name for rule in policy["matchConstraints"]["resourceRules"] for name in rule["resources"]
        )
        assert all(validation["message"] for validation in policy["validations"])
    bindings = {b["spec"]["policyName"]: b["spec"] for b in chart.all("ValidatingAdmissionPolicyBinding")}
    assert set(bindings) == set(policies)
    assert all(b == {"policyName": name, "validationActions": ["Deny"]} for name, b in bindings.items())


def test_policies_hold_where_the_operator_works(render: Render) -> None:
    for binding in render(watchNamespaces=["files"]).all("ValidatingAdmissionPolicyBinding"):
        [expression] = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["carillon", "files"]}


MUTATING = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
SERVED = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"


def test_requesters_are_recorded_where_the_cluster_can(render: Render) -> None:
    chart = render(SERVED, watchNamespaces=["files"])
    policy, binding = (chart.one(kind, "carillon-requester") for kind in MUTATING)
    assert policy["spec"]["failurePolicy"] == "Ignore", "a run is worth more than the name of who asked for it"
    fits = policy["spec"]["matchConditions"][-1]["expression"]
    assert fits == f"size(request.userInfo.username) <= {USER_LENGTH}"
    [expression] = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["carillon", "files"]
    assert "matchResources" not in render(SERVED).one(MUTATING[1])["spec"]


@pytest.mark.parametrize(
    ("options", "policies"),
    [((), {}), ((SERVED,), {"recordRequester": False}), ((SERVED,), {"install": False})],
    ids=["not served", "not wanted", "no policies"],
)
def test_and_nowhere_else(render: Render, options: tuple[str, ...], policies: dict[str, bool]) -> None:
    """Kubernetes 1.30 has no such kind, and would refuse the release."""
    assert render(*options, policies=policies).all(*MUTATING) == []


def test_policies_can_be_left_out(render: Render) -> None:
    fewer = render(policies={"requireJobCreate": False})
    names = {thing["metadata"]["name"] for thing in fewer.all("ValidatingAdmissionPolicy")}
    assert names == {
        "carillon-system-jobs",
        "carillon-jobruns",
        "carillon-jobs",
        "carillon-event-watch",
        "carillon-history",
    }
    assert {b["spec"]["policyName"] for b in fewer.all("ValidatingAdmissionPolicyBinding")} == names
    kinds = {thing["kind"] for thing in render(policies={"install": False}).objects}
    assert not kinds & {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def test_the_policies_know_every_field_of_the_suspension() -> None:
    """One more field by which jobs are disabled is one more that templates/policies.yaml has to let through."""
    fields = {field.alias or name for name, field in ScheduledJobSpec.model_fields.items()}
    known = {"suspend", "suspendUntil", "suspendReason", "suspendedBy"}
    assert {field for field in fields if field.startswith("suspend")} == known
    policies = (manifests.CHART / "templates/policies.yaml").read_text()
    assert "['suspend', 'suspendUntil', 'suspendReason', 'suspendedBy']" in policies


def test_policies_know_the_operator_by_its_account(render: Render) -> None:
    chart = render(serviceAccount={"create": False, "name": "someone"})
    [condition, _] = next(
        policy["spec"]["matchConditions"]
        for policy in chart.all("ValidatingAdmissionPolicy")
        if policy["metadata"]["name"] == "carillon-jobruns"
    )
    assert condition["expression"] == "request.userInfo.username != 'system:serviceaccount:carillon:someone'"
    assert chart.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "someone"
    assert [account["metadata"]["name"] for account in chart.all("ServiceAccount")] == ["carillon-tasks"]
