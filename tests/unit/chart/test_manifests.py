"""hack/validate-manifests: what it finds."""

from pathlib import Path

import pytest

from hack import manifests

VALID = """
apiVersion: batch/v1
kind: Job
metadata: {name: sweep, namespace: files}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: busybox, resources: {limits: {memory: 1Gi, cpu: 1}}}]
---
apiVersion: carillon.dev/v1alpha1
kind: JobRun
metadata: {generateName: sweep-}
spec: {scheduledJob: sweep}
"""


@pytest.mark.parametrize(
    ("found", "made", "words"),
    [
        ("restartPolicy", "restartPolcy", "spec.template.spec: Additional properties are not allowed ('restartPolcy'"),
        ("name: main", "nam: main", "('nam' was unexpected)"),
        (
            "[{name: main, image: busybox",
            "[{name: [], image: busybox",
            "containers[0].name: [] is not of type 'string'",
        ),
        ("kind: Job\n", "kind: Jobs\n", "there is no kind Jobs in batch/v1"),
        ("apiVersion: batch/v1\n", "apiVersion: batch/v7\n", "there is no kind Job in batch/v7"),
        ("apiVersion: batch/v1\n", "", "not a Kubernetes object"),
        ("scheduledJob: sweep", "scheduledJobb: sweep", "('scheduledJobb' was unexpected)"),
        ("scheduledJob: sweep", "scheduledJob: sweep, force: maybe", "spec.force: 'maybe' is not of type 'boolean'"),
    ],
)
def test_what_is_wrong_is_named(capsys: pytest.CaptureFixture[str], found: str, made: str, words: str) -> None:
    assert manifests.check("here", VALID.replace(found, made, 1)) > 0
    assert words in capsys.readouterr().err


def test_what_is_right_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert manifests.check("here", VALID) == 0
    assert capsys.readouterr().out == "here: 2 objects, all valid\n"


def test_system_jobs_inside_a_config_map_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: list}
data: {system-jobs.yaml: '[{apiVersion: carillon.dev/v1alpha1, kind: ScheduledJob, metadata: {name: bad}, spec: {}}]'}
"""
    assert manifests.check("here", text) == 1
    assert "here: ScheduledJob bad: spec: 'jobTemplate' is a required property" in capsys.readouterr().err


def test_the_chart_is_valid_with_every_set_of_values() -> None:
    assert manifests.check_chart() == 0


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["validate-manifests", str(tmp_path / "none.yaml")])
    assert manifests.main() == 2
