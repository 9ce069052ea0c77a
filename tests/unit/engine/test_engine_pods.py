"""What the pods of a failed Job tell."""

from typing import Any

import pytest

from carillon.engine.model import PodReport
from carillon.engine.pods import Culprit, culprit, remaining, report

Body = dict[str, Any]


def ended(code: int, at: str = "2026-03-10T12:00:00Z", reason: str = "Error", message: str = "") -> Body:
    return {"terminated": {"exitCode": code, "finishedAt": at, "reason": reason, "message": message}}


def a_pod(name: str = "p", phase: str = "Failed", *, init: Body | None = None, **containers: Body) -> Body:
    status: Body = {"phase": phase, "containerStatuses": [{"name": n, "state": s} for n, s in containers.items()]}
    if init is not None:
        status["initContainerStatuses"] = [{"name": "init", "state": init}]
    return {"metadata": {"name": name}, "status": status}


@pytest.mark.parametrize(
    ("phases", "left"),
    [((), 0), (("Succeeded", "Failed"), 0), (("Running", "Failed"), 1), (("Pending", "Running", "Unknown"), 3)],
)
def test_pods_that_have_not_ended_remain(phases: tuple[str, ...], left: int) -> None:
    assert remaining([a_pod(phase=phase) for phase in phases]) == left


def test_the_container_that_failed_is_found() -> None:
    found = culprit([a_pod(main=ended(3, message=" disk full \n"), sidecar=ended(0))])
    assert found == Culprit("p", "main", 3, "Error", "disk full")


def test_an_init_container_can_be_it() -> None:
    found = culprit([a_pod(init=ended(1), main={"waiting": {}})])
    assert found is not None
    assert found.container == "init"


def test_the_last_failure_is_the_one() -> None:
    first, second = (
        a_pod("first", main=ended(1, "2026-03-10T12:00:00Z")),
        a_pod("second", main=ended(2, "2026-03-10T12:05:00Z")),
    )
    for pods in ([first, second], [second, first]):
        found = culprit(pods)
        assert found is not None
        assert found.pod == "second"


def test_the_state_before_a_restart_counts() -> None:
    pod = a_pod(phase="Running")
    pod["status"]["containerStatuses"] = [{"name": "main", "state": {"running": {}}, "lastState": ended(5)}]
    found = culprit([pod])
    assert found is not None
    assert found.exit_code == 5


def test_where_nothing_failed_there_is_none() -> None:
    assert culprit([a_pod(phase="Succeeded", main=ended(0)), a_pod(phase="Pending")]) is None


@pytest.mark.parametrize(
    ("message", "last_words", "said"),
    [("from the message", "from the log", "from the message"), ("", " from the log\n", "from the log"), ("", "", "")],
)
def test_the_termination_message_goes_before_the_log(message: str, last_words: str, said: str) -> None:
    found = Culprit("p", "main", 3, "Error", message)
    assert report([], found, last_words) == PodReport(remaining=0, exit_code=3, reason="", message=said)


def test_a_telling_reason_is_kept() -> None:
    assert report([], Culprit("p", "main", 137, "OOMKilled", ""), "").reason == "OOMKilled"


def test_an_evicted_pod_speaks_for_itself() -> None:
    pod = {"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}
    assert report([pod], None, "") == PodReport(remaining=0, reason="Evicted", message="low on memory")
