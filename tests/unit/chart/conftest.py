import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack import manifests

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What the chart makes of some values."""

    objects: tuple[Manifest, ...]

    def all(self, *kinds: str) -> list[Manifest]:
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def one(self, kind: str, name: str = "", namespace: str = "carillon") -> Manifest:
        found = [
            thing
            for thing in self.all(kind)
            if name in ("", thing["metadata"]["name"]) and thing["metadata"].get("namespace", namespace) == namespace
        ]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    @property
    def operator(self) -> Manifest:
        container: Manifest = self.one("Deployment")["spec"]["template"]["spec"]["containers"][0]
        return container

    @property
    def environment(self) -> dict[str, str]:
        return {variable["name"]: variable.get("value", "") for variable in self.operator["env"]}

    @property
    def system_jobs(self) -> dict[str, Manifest]:
        listed = yaml.safe_load(self.one("ConfigMap")["data"][manifests.SYSTEM_JOBS])
        return {job["metadata"]["name"]: job for job in listed}

    @property
    def pods(self) -> dict[str, Manifest]:
        """Every pod's spec that the chart itself writes, by what it is for."""
        pods = {"operator": self.one("Deployment")["spec"]["template"]["spec"], "helm test": self.one("Pod")["spec"]}
        for name, job in self.system_jobs.items():
            pods[name] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        return pods


Render = Callable[..., Rendered]


def helm(*arguments: str, values: Manifest) -> "subprocess.CompletedProcess[str]":
    command = [manifests.helm(), *arguments, str(manifests.CHART), "--values", "-"]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


@cache
def _rendered(values: str, *options: str) -> Rendered:
    arguments = ("template", "carillon", "--namespace=carillon", "--kube-version=1.30.0", *options)
    done = helm(*arguments, values=json.loads(values))
    if done.returncode:
        pytest.fail(f"helm template with {values}: {done.stderr}")
    return Rendered(tuple(filter(None, map(_parsed, re.split(r"^---$", done.stdout, flags=re.MULTILINE)))))


@cache
def _parsed(document: str) -> Any:
    """Most documents are the same whatever the values, and the largest is slow to parse."""
    return yaml.safe_load(document)


@pytest.fixture(scope="session")
def render() -> Render:
    return lambda *options, **values: _rendered(json.dumps(values, sort_keys=True), *options)


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """What helm says of values that it refuses; empty when it takes them."""

    def ask(**values: Any) -> str:
        done = helm("template", "carillon", "--kube-version=1.30.0", values=values)
        return done.stderr if done.returncode else ""

    return ask


def value_sets() -> list[Any]:
    """The defaults and the sets of charts/carillon/ci, as parameters for tests that hold for every one of them."""
    sets = [pytest.param({}, id="defaults")]
    for path in sorted((manifests.CHART / "ci").glob("*-values.yaml")):
        sets.append(pytest.param(yaml.safe_load(path.read_text()), id=path.name.removesuffix("-values.yaml")))
    return sets


def source(path: str) -> Path:
    return manifests.ROOT / path
