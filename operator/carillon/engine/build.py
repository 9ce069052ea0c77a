"""The objects we make, as Kubernetes' JSON: JobRuns and Jobs. Pure functions of their arguments."""

import copy
from datetime import datetime, timedelta
from typing import Any

from carillon.api import keys
from carillon.api.base import API_VERSION, rfc3339
from carillon.api.event import RunEvent
from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import JobClass, ScheduledJobSpec
from carillon.engine.model import SUSPENDED_BY_RUN, SUSPENDED_BY_TEMPLATE, Definition, Run
from carillon.engine.parameters import environment as parameter_environment
from carillon.engine.terms import terms_of, write_terms

Body = dict[str, Any]


def owner_reference(kind: str, name: str, uid: str) -> Body:
    """Refer to the owner, so that deletion cascades; it blocks nothing (design 3.2: no finalizers of ours)."""
    return {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid, "controller": True}


def run_labels(definition_name: str, job_class: JobClass, trigger: TriggerType) -> dict[str, str]:
    """Labels by which people select runs, Jobs and pods."""
    return {
        keys.SCHEDULED_JOB_LABEL: definition_name,
        keys.CLASS_LABEL: job_class.value,
        keys.TRIGGER_LABEL: trigger.value,
        keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
    }


def run_body(
    definition: Definition, *, name: str, trigger: TriggerType, trigger_name: str, scheduled_time: datetime | None
) -> Body:
    """Build the JobRun that the operator makes for a due time, or for autoStart."""
    assert definition.spec is not None
    spec: Body = {"scheduledJob": definition.key.name, "trigger": {"type": trigger.value, "name": trigger_name}}
    if scheduled_time is not None:
        spec["scheduledTime"] = rfc3339(scheduled_time)
    return {
        "apiVersion": API_VERSION,
        "kind": "JobRun",
        "metadata": {
            "name": name,
            "namespace": definition.key.namespace,
            "labels": run_labels(definition.key.name, definition.spec.class_, trigger),
            "ownerReferences": [owner_reference("ScheduledJob", definition.key.name, definition.uid)],
        },
        "spec": spec,
    }


def adoption_patch(definition: Definition, run: Run) -> Body:
    """Build the patch that makes a person's JobRun belong to its definition; refused if the run changed meanwhile."""
    assert definition.spec is not None
    reference = owner_reference("ScheduledJob", definition.key.name, definition.uid)
    if any(other.get("controller") for other in run.other_owners):
        del reference["controller"]  # an object has one controller at the most
    return {
        "metadata": {
            "uid": run.uid,
            "resourceVersion": run.resource_version,
            "labels": run_labels(definition.key.name, definition.spec.class_, run.spec.trigger.type),
            # From now on it would be believed; the operator alone says of which Job a run is the record.
            "annotations": {keys.NATIVE_JOB_ANNOTATION: None},
            "ownerReferences": [*run.other_owners, reference],
        }
    }


def job_body(definition: Definition, run: Run, name: str) -> Body:
    """Build the Job of a run from the latest definition (design 3.6)."""
    assert definition.spec is not None
    labels = run_labels(definition.key.name, definition.spec.class_, run.spec.trigger.type)
    annotations = {keys.RUN_ANNOTATION: run.name}
    environment = parameter_environment(definition.spec.parameters, run.spec.parameters)
    environment.append({"name": keys.RUN_ENVIRONMENT, "value": run.name})
    if run.spec.scheduled_time is not None:
        due = rfc3339(run.spec.scheduled_time)
        annotations[keys.SCHEDULED_TIME_ANNOTATION] = due
        environment.append({"name": keys.SCHEDULED_TIME_ENVIRONMENT, "value": due})
    if run.spec.trigger.event is not None:
        environment.append({"name": keys.EVENT_ENVIRONMENT, "value": event_variable(run.spec.trigger.event)})
    if definition.spec.retry is not None:
        labels |= {keys.ATTEMPT_LABEL: "1"}
        # By the label of the pod, which is another one for each attempt.
        path = f"metadata.labels['{keys.ATTEMPT_LABEL}']"
        environment.append({"name": keys.ATTEMPT_ENVIRONMENT, "valueFrom": {"fieldRef": {"fieldPath": path}}})
    body = from_template(
        definition.spec,
        labels={**labels, keys.RUN_UID_LABEL: run.uid},
        annotations=annotations,
        environment=environment,
    )
    body["metadata"] |= {
        "name": name,
        "namespace": definition.key.namespace,
        "ownerReferences": [owner_reference("JobRun", run.name, run.uid)],
    }
    body["metadata"]["annotations"][keys.TEMPLATE_GENERATION_ANNOTATION] = str(definition.generation)
    if terms := write_terms(terms_of(definition.spec)):
        body["metadata"]["annotations"][keys.TERMS_ANNOTATION] = terms
    if body["spec"].get("suspend"):
        body["metadata"]["annotations"][keys.SUSPENDED_ANNOTATION] = SUSPENDED_BY_TEMPLATE
    return body


def event_variable(event: RunEvent) -> str:
    """Write what happened as JSON for the environment; Kubernetes expands `$(NAME)` in it, and makes one `$` of two."""
    return event.model_dump_json(by_alias=True, exclude_defaults=True).replace("$", "$$")


def next_attempt_body(made: Body, run: Run, *, name: str, attempt: int, deadline_seconds: int | None) -> Body:
    """Build the Job of the next attempt as a copy of the one before.

    Args:
        made: the Job of the attempt before, as the API server has it.
        run: the run of both.
        name: of the new Job.
        attempt: its number.
        deadline_seconds: its activeDeadlineSeconds, None for no limit.
    """
    metadata, spec = made["metadata"], copy.deepcopy(made["spec"])
    spec.pop("selector", None)  # Kubernetes makes one for each Job, with the labels that go with it
    spec.pop("suspend", None)
    spec.pop("activeDeadlineSeconds", None)
    labels, annotations = (
        {key: value for key, value in (metadata.get(part) or {}).items() if not _is_of_the_job(key)}
        for part in ("labels", "annotations")
    )
    if annotations.get(keys.SUSPENDED_ANNOTATION) == SUSPENDED_BY_TEMPLATE:
        spec["suspend"] = True
    else:
        annotations.pop(keys.SUSPENDED_ANNOTATION, None)
    if deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = deadline_seconds
    pod = spec["template"].setdefault("metadata", {})
    pod.pop("creationTimestamp", None)
    pod["labels"] = {key: value for key, value in (pod.get("labels") or {}).items() if not _is_of_the_job(key)}
    for own in (labels, pod["labels"]):
        own[keys.ATTEMPT_LABEL] = str(attempt)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference("JobRun", run.name, run.uid)],
        },
        "spec": spec,
    }


def _is_of_the_job(key: str) -> bool:
    """Whether Kubernetes itself puts a label or an annotation on each Job and its pods."""
    return key in ("controller-uid", "job-name") or key.startswith("batch.kubernetes.io/")


def suspension_patch(*, uid: str, suspend: bool, deadline_seconds: int | None) -> Body:
    """Build the patch that pauses or resumes a Job, refused for any other Job of its name.

    Who has suspended it stands in the same write: it is ours to resume.
    """
    spec: Body = {"suspend": suspend}
    if deadline_seconds is not None:
        spec["activeDeadlineSeconds"] = deadline_seconds
    by = SUSPENDED_BY_RUN if suspend else None
    return {"metadata": {"uid": uid, "annotations": {keys.SUSPENDED_ANNOTATION: by}}, "spec": spec}


def keeping_last_words(body: Body) -> Body:
    """Have the kubelet keep the end of a failed container's log in the pod's status, if the template says nothing else.

    Read from the log itself, the last words are lost when Kubernetes removes the container first, as it does with a pod
    whose restarts are used up.
    """
    kept = copy.deepcopy(body)
    pod = kept["spec"]["template"]["spec"]
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return kept


def trial_job_body(definition: Definition) -> Body:
    """Build the Job that is only ever dry-run, to learn whether the API server accepts the template."""
    assert definition.spec is not None
    body = from_template(
        definition.spec,
        labels=run_labels(definition.key.name, definition.spec.class_, TriggerType.MANUAL),
        annotations={},
        environment=[
            *parameter_environment(definition.spec.parameters, {}),
            {"name": keys.RUN_ENVIRONMENT, "value": "trial"},
        ],
    )
    body["metadata"] |= {"generateName": f"{definition.key.name}-", "namespace": definition.key.namespace}
    return body


def from_template(
    spec: ScheduledJobSpec, *, labels: dict[str, str], annotations: dict[str, str], environment: list[Body]
) -> Body:
    """Build a Job, without its name and owner, from the definition's template."""
    template = spec.job_template
    job_spec = copy.deepcopy(template.get("spec") or {})
    # The JobRun owns the Job, and history prunes both: a Job that went by itself could not tell how it ended (0001).
    job_spec.pop("ttlSecondsAfterFinished", None)
    pod = job_spec.setdefault("template", {})
    metadata = pod.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    pod_spec = pod.setdefault("spec", {})
    for container in (*(pod_spec.get("initContainers") or ()), *(pod_spec.get("containers") or ())):
        given = container.get("env") or []
        names = {variable.get("name") for variable in given}
        # Ours come first, so that $(CARILLON_RUN) expands in what follows; a variable of the user's own wins.
        container["env"] = [*(variable for variable in environment if variable["name"] not in names), *given]
    terms = terms_of(spec)
    whole = timedelta(seconds=terms.timeout_seconds) if terms.timeout_seconds is not None else None
    if (deadline_seconds := terms.deadline_seconds(whole)) is not None:
        job_spec["activeDeadlineSeconds"] = deadline_seconds
    if spec.retry is not None and "backoffLimitPerIndex" not in job_spec:
        job_spec.setdefault("backoffLimit", 0)  # else Kubernetes would retry six times within each attempt
    given_metadata = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": {**(given_metadata.get("labels") or {}), **labels},
            "annotations": {**(given_metadata.get("annotations") or {}), **annotations},
        },
        "spec": job_spec,
    }
