"""The objects that the operator makes: names, labels, owners, environment, time limit."""

import copy
import re
from typing import Any

import pytest
import yaml

from carillon.api import keys
from carillon.api.jobrun import TriggerType
from carillon.engine import build, names
from carillon.engine.decide import decide
from carillon.engine.model import Definition
from carillon.engine.plan import CreateJob
from tests.unit.engine.builders import (
    DEFINITION_UID,
    HOURLY,
    NAME,
    NAMESPACE,
    Body,
    a_definition,
    a_run,
    a_template,
    at,
    each,
    job_names,
    snapshot,
)


def the_job(definition: Definition | None = None, /, due: str | None = "12:00", **spec: Any) -> Body:
    return build.job_body(definition or a_definition(HOURLY, **spec), a_run(due), "the-job")


def environment(body: Body, container: int = 0, kind: str = "containers") -> list[tuple[str, str]]:
    variables = body["spec"]["template"]["spec"][kind][container]["env"]
    return [(variable["name"], variable.get("value", "")) for variable in variables]


class TestJob:
    def test_it_belongs_to_its_run(self) -> None:
        run = a_run("12:00")
        (owner,) = the_job()["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "carillon.dev/v1alpha1",
            "kind": "JobRun",
            "name": run.name,
            "uid": run.uid,
            "controller": True,
        }

    def test_it_and_its_pods_carry_our_labels(self) -> None:
        system: Body = {"class": "System"}
        body = the_job(**system)
        expected = {
            keys.SCHEDULED_JOB_LABEL: NAME,
            keys.RUN_UID_LABEL: a_run("12:00").uid,
            keys.TRIGGER_LABEL: "Periodic",
            keys.CLASS_LABEL: "System",
            keys.MANAGED_BY_LABEL: "carillon",
        }
        assert body["metadata"]["labels"] == expected
        assert body["spec"]["template"]["metadata"]["labels"] == expected

    def test_it_and_its_pods_tell_the_run_and_the_due_time(self) -> None:
        body = the_job()
        expected = {keys.RUN_ANNOTATION: a_run("12:00").name, keys.SCHEDULED_TIME_ANNOTATION: "2026-03-10T12:00:00Z"}
        assert body["spec"]["template"]["metadata"]["annotations"] == expected
        assert body["metadata"]["annotations"] == {**expected, keys.TEMPLATE_GENERATION_ANNOTATION: "1"}

    def test_the_templates_own_labels_stay_and_ours_win(self) -> None:
        template = a_template()
        template["metadata"] = {"labels": {"team": "a", keys.MANAGED_BY_LABEL: "helm"}, "annotations": {"note": "b"}}
        template["spec"]["template"]["metadata"] = {"labels": {"app": "c"}}
        body = the_job(jobTemplate=template)
        assert body["metadata"]["labels"]["team"] == "a"
        assert body["metadata"]["labels"][keys.MANAGED_BY_LABEL] == "carillon"
        assert body["metadata"]["annotations"]["note"] == "b"
        assert body["spec"]["template"]["metadata"]["labels"]["app"] == "c"

    def test_the_template_is_not_touched(self) -> None:
        template = a_template()
        template["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
        before = copy.deepcopy(template)
        the_job(jobTemplate=template, timeoutSeconds=5)
        assert template == before

    def test_an_empty_template_is_made_into_a_job_all_the_same(self) -> None:
        assert the_job(jobTemplate={})["spec"]["template"]["spec"] == {}


class TestEnvironment:
    RUN, DUE = ("CARILLON_RUN", a_run("12:00").name), ("CARILLON_SCHEDULED_TIME", "2026-03-10T12:00:00Z")

    def with_variables(self, *variables: Body, **pod: Any) -> Body:
        container = {"name": "main", "image": "busybox", "env": list(variables)}
        return the_job(jobTemplate=a_template(containers=[container], **pod))

    def test_containers_learn_their_run_and_due_time(self) -> None:
        assert environment(the_job()) == [self.RUN, self.DUE]

    def test_a_manual_run_has_no_due_time(self) -> None:
        assert environment(the_job(due=None)) == [("CARILLON_RUN", a_run().name)]

    def test_ours_come_first_so_that_others_may_refer_to_them(self) -> None:
        body = self.with_variables({"name": "FILE", "value": "/dump/$(CARILLON_RUN)"})
        assert environment(body) == [self.RUN, self.DUE, ("FILE", "/dump/$(CARILLON_RUN)")]

    def test_a_variable_of_the_users_own_wins(self) -> None:
        body = self.with_variables({"name": "CARILLON_RUN", "value": "mine"})
        assert environment(body) == [self.DUE, ("CARILLON_RUN", "mine")]

    def test_init_containers_have_it_too(self) -> None:
        body = self.with_variables(initContainers=[{"name": "init", "image": "busybox"}])
        assert environment(body, kind="initContainers") == [self.RUN, self.DUE]


@pytest.mark.parametrize(
    ("ours", "the_templates", "expected"),
    [(None, None, None), (60, None, 60), (None, 30, 30), (60, 30, 30), (30, 60, 30), (60, 60, 60)],
)
def test_the_shorter_time_limit_is_in_force(ours: int | None, the_templates: int | None, expected: int | None) -> None:
    template = a_template()
    if the_templates is not None:
        template["spec"]["activeDeadlineSeconds"] = the_templates
    body = the_job(jobTemplate=template, timeoutSeconds=ours)
    assert body["spec"].get("activeDeadlineSeconds") == expected


class TestRun:
    def test_it_belongs_to_its_definition_and_carries_our_labels(self) -> None:
        body = build.run_body(
            a_definition(HOURLY), name="r", trigger=TriggerType.PERIODIC, trigger_name="t0", scheduled_time=at("12:00")
        )
        assert body["metadata"]["ownerReferences"][0]["uid"] == DEFINITION_UID
        assert body["metadata"]["namespace"] == NAMESPACE
        assert body["metadata"]["labels"] == {
            keys.SCHEDULED_JOB_LABEL: NAME,
            keys.TRIGGER_LABEL: "Periodic",
            keys.CLASS_LABEL: "User",
            keys.MANAGED_BY_LABEL: "carillon",
        }

    def test_nothing_of_ours_blocks_a_deletion(self) -> None:
        run = build.run_body(
            a_definition(HOURLY), name="r", trigger=TriggerType.MANUAL, trigger_name="", scheduled_time=None
        )
        text = yaml.safe_dump([run, the_job()])
        assert "finalizers" not in text
        assert "blockOwnerDeletion" not in text


def test_the_trial_job_is_what_a_run_would_make() -> None:
    definition = a_definition(HOURLY, timeoutSeconds=60)
    trial, real = build.trial_job_body(definition), the_job(definition)
    assert trial["metadata"]["generateName"] == f"{NAME}-"
    assert "name" not in trial["metadata"]
    assert trial["spec"]["activeDeadlineSeconds"] == real["spec"]["activeDeadlineSeconds"]


class TestNames:
    LONGEST = "a" * 52

    def test_a_periodic_run_is_named_for_its_due_time(self) -> None:
        assert names.periodic_runs(NAME, at("12:00"), DEFINITION_UID)[0] == f"{NAME}-1773144000"

    def test_the_first_job_of_a_periodic_run_has_its_name(self) -> None:
        run = a_run("12:00")
        assert job_names(decide(snapshot(a_definition(HOURLY, handled="12:00"), run), at("12:00"))) == [run.name]

    def test_the_longest_name_still_fits_a_job(self) -> None:
        assert len(names.periodic_runs(self.LONGEST, at("12:00"), DEFINITION_UID)[0]) == 63

    @pytest.mark.parametrize("length", [1, 54, 55, 200, 253])
    def test_the_job_of_any_run_fits_a_label(self, length: int) -> None:
        name = names.job_names("r" * length, "uid", periodic=False)[0]
        assert len(name) <= 63
        assert name.startswith("r" * min(length, 54))

    @pytest.mark.parametrize("run", ["a.b.c", "x" * 53 + "-y", "x" * 53 + ".y", "nightly-dump.2026-03-10"])
    def test_the_name_of_a_job_is_a_dns_label(self, run: str) -> None:
        for name in names.job_names(run, "uid", periodic=False):
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)

    def test_jobs_of_two_runs_of_the_same_name_differ(self) -> None:
        assert names.job_names("r", "uid-1", periodic=False)[0] != names.job_names("r", "uid-2", periodic=False)[0]

    def test_the_spare_name_of_a_run_depends_on_the_definition(self) -> None:
        spare = names.periodic_runs(NAME, at("12:00"), "uid-1")[1]
        assert spare != names.periodic_runs(NAME, at("12:00"), "uid-2")[1]
        assert spare.startswith(names.periodic_runs(NAME, at("12:00"), DEFINITION_UID)[0])

    def test_a_run_under_its_spare_name_gets_a_job_that_fits(self) -> None:
        definition = a_definition(HOURLY, name=self.LONGEST, handled="12:00")
        spare = names.periodic_runs(self.LONGEST, at("12:00"), DEFINITION_UID)[1]
        run = a_run("12:00", name=spare, scheduled_job=self.LONGEST)
        (create,) = each(decide(snapshot(definition, run), at("12:00")), CreateJob)
        assert len(create.name) <= 63

    def test_a_job_whose_name_is_taken_gets_a_hashed_one(self) -> None:
        run = a_run("12:00")
        snap = snapshot(a_definition(HOURLY, handled="12:00"), run, taken_jobs=frozenset({run.name}))
        assert job_names(decide(snap, at("12:00"))) == [names.job_names(run.name, run.uid, periodic=False)[0]]

    def test_each_object_has_nine_names_or_eight_and_all_differ(self) -> None:
        runs = names.periodic_runs(self.LONGEST, at("12:00"), "uid")
        starts, natives = names.auto_start_runs(NAME, "uid"), names.native_runs(NAME, "uid")
        jobs = names.job_names(runs[0], "uid", periodic=True), names.job_names("x" * 253, "uid", periodic=False)
        assert [len(set(found)) for found in (runs, starts, natives, *jobs)] == [9, 8, 9, 9, 8]

    def test_parts_of_a_digest_do_not_run_together(self) -> None:
        assert names.digest("ab", "c") != names.digest("a", "bc")


def test_the_kubelet_keeps_the_last_words_unless_the_template_says_otherwise() -> None:
    containers = [{"name": "a"}, {"name": "b", "terminationMessagePolicy": "File"}]
    body = {"spec": {"template": {"spec": {"initContainers": [{"name": "i"}], "containers": containers}}}}
    pod = build.keeping_last_words(body)["spec"]["template"]["spec"]
    policies = [each["terminationMessagePolicy"] for each in (*pod["initContainers"], *pod["containers"])]
    assert policies == ["FallbackToLogsOnError", "FallbackToLogsOnError", "File"]
    assert "terminationMessagePolicy" not in containers[0]
