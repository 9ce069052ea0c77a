"""Whatever people write into a definition, the last edit is what counts (misoperation, as Acto has it, SOSP'23).

Edits are drawn from the schema of our own CRD. Most are absurd: what CEL would refuse may have come by an older CRD. At
the end the definition says of itself what a fresh one of that spec says, and its neighbour has missed nothing.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import yaml
from hypothesis import HealthCheck, given, settings

from carillon.engine.summary import INVALID_SPEC
from carillon.kube.resources import SCHEDULED_JOBS
from tests.faults.schema_strategies import values
from tests.unit.engine.builders import a_template, at, triggers
from tests.unit.engine.simulator import Simulation

CRD = Path(__file__).parents[2] / "crds" / "carillon.dev_scheduledjobs.yaml"
SCHEMA = yaml.load(CRD.read_text(), Loader=yaml.CSafeLoader)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
INSTANTS = ("2026-03-10T12:30:00Z", "2030-01-01T00:00:00+02:00", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59Z")
WORDS = {
    "cron": (
        "*/5 * * * *",
        "0 3 * * MON",
        "*/20 * * * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "@yearly",
        "L",
        "",
        "\u0660 * * * *",
    ),
    "timeZone": ("Europe/Berlin", "UTC", "Local", "Mars/Olympus", "../etc/passwd"),
    "interval": (
        "R/2026-03-10T12:00:00Z/PT7M",
        "R3/2026-03-10T12:00:00Z/P1D",
        "R/2026-01-31T00:00:00Z/P1M",
        "PT0S",
        "x",
    ),
    "at": (*INSTANTS, "tomorrow"),
    "startAt": INSTANTS,
    "endAt": INSTANTS,
    "suspendUntil": INSTANTS,
    "country": ("FR", "XX"),
    "dates": ("2026-03-10", "2026-02-30"),
    "resource": ("configmaps", "nothings"),
    "filter": ("object.data.ready == 'yes'", "((", "1"),
    "calendars": ("nowhere",),
    "pattern": ("^[0-9]+$", "(", "(a+)+$"),
    "minimum": ("1", "x"),
    "maximum": ("0", "9"),
}
FIXED = {"jobTemplate", "autoStart", "backend"}
"""The pod template is Kubernetes' own; `autoStart` cannot be edited; another backend makes other objects."""
FIELDS = {name: schema for name, schema in SCHEMA["properties"]["spec"]["properties"].items() if name not in FIXED}
STRATEGIES = {name: values(schema, WORDS, name=name) for name, schema in FIELDS.items()}


@st.composite
def edits(draw: st.DrawFn) -> dict[str, Any]:
    """One field, or a few of them at once; None takes one away."""
    names = draw(
        st.lists(st.sampled_from(sorted(STRATEGIES)) | st.just("triggers"), min_size=1, max_size=3, unique=True)
    )
    return {name: draw(STRATEGIES[name] | st.none()) for name in names}


def declared(sim: Simulation) -> dict[str, Any]:
    """What the definition says of itself, but for what it has lived through."""
    status = sim.cluster.get(SCHEDULED_JOBS, "sweep")["status"]
    lived = {"LastRunSucceeded", "OnTime"}
    conditions = {c["type"]: (c["status"], c["reason"], c.get("message")) for c in status["conditions"]}
    valid = conditions["Ready"][1] != INVALID_SPEC  # the watermarks of before are kept until it is mended
    return {
        "conditions": {kind: said for kind, said in conditions.items() if kind not in lived},
        "next": status.get("nextExecutions"),
        "triggers": [(mark["name"], mark["specHash"]) for mark in status.get("triggers", ()) if valid],
        "schedule": status.get("display", {}).get("trigger"),
    }


def spec_of(changes: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"jobTemplate": a_template(), "triggers": triggers("*/5 * * * *")}
    for change in changes:
        spec |= change
    return {name: value for name, value in spec.items() if value is not None}


@given(changes=st.lists(edits(), min_size=1, max_size=4), seconds=st.sampled_from((1, 40, 400)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_last_edit_is_what_counts_and_the_neighbour_misses_nothing(
    changes: list[dict[str, Any]], seconds: int
) -> None:
    sim, fresh = Simulation(job_seconds=5), Simulation(job_seconds=5)
    sim.apply("*/5 * * * *")
    sim.apply("* * * * *", name="neighbour")
    specs = [spec_of(changes[:number]) for number in range(1, len(changes) + 1)]
    for spec in specs:
        sim.advance(seconds)
        raw = sim.cluster.get(SCHEDULED_JOBS, "sweep")
        sim.cluster.replace(SCHEDULED_JOBS, "sweep", {**raw, "spec": spec})
        sim.work()
    sim.advance(2)
    fresh.cluster.now = sim.now
    fresh.apply(**specs[-1])
    fresh.advance(2)
    sim.advance(2)
    assert declared(sim) == declared(fresh)
    began = at("12:01")
    minutes = int((sim.now - began).total_seconds() // 60) + 1 if sim.now >= began else 0
    ran = [run.due for run in sim.ledger.runs.values() if run.definition_uid == "scheduledjob-2"]
    assert ran == [began + timedelta(minutes=number) for number in range(minutes)]
