"""The API server in memory patches as the real one does."""

from typing import Any

import pytest

from carillon.kube.errors import ApiError
from carillon.kube.resources import JOB_RUNS
from tests.unit.engine.builders import at
from tests.unit.engine.cluster import Cluster, merge_patched
from tests.unit.engine.simulator import Simulation

Body = dict[str, Any]
RFC_7396_EXAMPLES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": 0}, {"a": 1}, {"e": 0, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396_EXAMPLES)
def test_a_merge_patch_is_that_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_patched(target, patch) == result


def a_cluster() -> tuple[Cluster, Body]:
    cluster = Cluster(at("12:00"))
    run = Simulation.manual_run("mine")
    run["metadata"] |= {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    return cluster, cluster.create(JOB_RUNS, run)


def patched(patch: Body, **options: str) -> Body:
    cluster, _ = a_cluster()
    return cluster.merge_patch(JOB_RUNS, "mine", patch, **options)


def test_labels_are_added_to_those_that_are_there() -> None:
    metadata = patched({"metadata": {"labels": {"b": "c"}, "annotations": {"note": None}}})["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "a", "b": "c"}, {})


@pytest.mark.parametrize("stale", [{"uid": "another"}, {"resourceVersion": "1"}])
def test_a_patch_for_another_state_is_refused(stale: Body) -> None:
    with pytest.raises(ApiError) as refused:
        patched({"metadata": stale})
    assert refused.value.conflict


def test_only_a_changed_spec_is_a_new_generation() -> None:
    assert patched({"metadata": {"labels": {"b": "c"}}})["metadata"]["generation"] == 1
    assert patched({"spec": {"suspend": True}})["metadata"]["generation"] == 2


def test_what_changes_nothing_is_no_write() -> None:
    cluster, raw = a_cluster()
    told: list[str] = []
    cluster.watchers.append(lambda _resource, change, _raw: told.append(change))
    assert cluster.merge_patch(JOB_RUNS, "mine", {"metadata": {"labels": {"team": "a"}}}) is raw
    assert told == []


def test_the_status_is_patched_apart() -> None:
    both = {"metadata": {"labels": {"b": "c"}}, "status": {"phase": "Queued"}}
    whole, status = patched(both), patched(both, subresource="status")
    assert (whole["status"], whole["metadata"]["labels"]) == ({}, {"team": "a", "b": "c"})
    assert (status["status"], status["metadata"]["labels"]) == ({"phase": "Queued"}, {"team": "a"})


def test_a_status_beyond_its_limits_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        patched({"status": {"reason": "x" * 65}}, subresource="status")
    assert refused.value.invalid


def test_an_adopted_run_keeps_its_labels() -> None:
    sim = Simulation()
    sim.apply()
    body = sim.manual_run("mine")
    body["metadata"]["labels"] = {"team": "a"}
    sim.cluster.create(JOB_RUNS, body)
    sim.work()
    labels = sim.cluster.get(JOB_RUNS, "mine")["metadata"]["labels"]
    assert (labels["team"], labels["carillon.dev/scheduled-job"]) == ("a", "sweep")
