"""Run Now with arguments: what pods see of the values, and what is said about wrong ones."""

import base64
import re
from typing import Any

from tests.e2e.api import Api, Manifest, condition
from tests.e2e.objects import at, in_seconds, job_template, scheduled_job
from tests.e2e.together import together

AWKWARD = {
    "expansion": "$(HOME) $(PARAM_DAYS) $(NONE) $$(HOME) $$ $ $(",
    "dollar": "$",
    "shell": "`id` $(id) ${HOME} ; rm -rf / # 'single' \"double\" \\ \\n & | > *",
    "lines": "one\ntwo\r\n\tthree\n",
    "text": "é 日本 👩‍🚀 \u00a0\u2028",
    "control": "\x01\x07\x1b[31m\x7f",
    "spaces": "   ",
    "empty": "",
}
"""What Kubernetes, a shell or a terminal would make something of."""
DAYS: Manifest = {"name": "days", "type": "Integer", "default": "30", "minimum": "1"}
TELL = """
for name in {names}; do
  eval "seen=\\${{PARAM_$name-unset}}; derived=\\$DERIVED_$name"
  printf '%s env %s\\n' "$name" "$(printf %s. "$seen" | base64 | tr -d '\\n')"
  printf '%s derived %s\\n' "$name" "$(printf %s. "$derived" | base64 | tr -d '\\n')"
  printf '%s argument %s\\n' "$name" "$(printf %s. "$1" | base64 | tr -d '\\n')"
  shift
done
"""


def a_teller() -> Manifest:
    """A job that prints each value as its environment, another variable and an argument have it, in base64."""
    names = [name.upper() for name in AWKWARD]
    body = scheduled_job("teller", parameters=[DAYS, *({"name": name} for name in AWKWARD)])
    template = job_template("")
    container = template["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["sh", "-euc", TELL.format(names=" ".join(names)), "sh"]
    container["args"] = [f"$(PARAM_{name})" for name in names]
    container["env"] = [{"name": f"DERIVED_{name}", "value": f"<$(PARAM_{name})>"} for name in names]
    template["spec"]["template"]["spec"]["initContainers"] = [{**container, "name": "before"}]
    body["spec"]["jobTemplate"] = template
    return body


def told(log: str) -> dict[str, dict[str, str]]:
    """Values by how they were read and by parameter."""
    seen: dict[str, dict[str, str]] = {}
    for line in log.splitlines():
        name, kind, text = line.split(" ")
        # The dot keeps the last newline, which a shell's substitution drops.
        seen.setdefault(kind, {})[name.lower()] = base64.b64decode(text).decode().removesuffix(".")
    return seen


@together
def test_pods_see_every_value_as_it_was_given(api: Api, namespace: str) -> None:
    """In the environment, in variables and arguments that refer to it; nobody expands what is in a value."""
    api.create("scheduledjobs", namespace, a_teller())
    run = api.run_now(namespace, "teller", parameters=AWKWARD)
    assert api.until_finished(namespace, run)["phase"] == "Succeeded"
    expected = {
        "env": AWKWARD,
        "derived": {name: f"<{value}>" for name, value in AWKWARD.items()},
        "argument": AWKWARD,
    }
    [pod] = api.select("pods", namespace)
    for container in ("before", "main"):
        path = api.path("pods", namespace, pod["metadata"]["name"], "log")
        assert told(api.request("GET", path, container=container)["text"]) == expected


def echo(*parameters: Manifest, **spec: Any) -> Manifest:
    return scheduled_job(
        "sweep", 'echo "days=$PARAM_DAYS mode=${PARAM_MODE-unset}"', parameters=list(parameters), **spec
    )


def output(api: Api, namespace: str, run: str) -> str:
    assert api.until_finished(namespace, run)["phase"] == "Succeeded"
    uid = api.get("jobruns", namespace, run)["metadata"]["uid"]
    return api.log(namespace, f"carillon.dev/run-uid={uid}")


@together
def test_defaults_stand_in_for_what_nobody_says(api: Api, namespace: str) -> None:
    """Of a due time, and of a run by hand; a parameter without a default is empty."""
    due = in_seconds(2)
    api.create("scheduledjobs", namespace, echo(DAYS, {"name": "mode"}, triggers=at(due)))
    periodic = f"sweep-{int(due.timestamp())}"
    api.until("jobruns", namespace, periodic, lambda _: True, "the run of its due time")
    assert output(api, namespace, periodic) == "days=30 mode=\n"
    assert output(api, namespace, api.run_now(namespace, "sweep")) == "days=30 mode=\n"
    told = api.run_now(namespace, "sweep", parameters={"days": "7", "mode": "fast"})
    assert output(api, namespace, told) == "days=7 mode=fast\n"


@together
def test_wrong_values_are_told_all_at_once(api: Api, namespace: str) -> None:
    mode: Manifest = {"name": "mode", "type": "Enum", "enum": ["fast", "thorough"], "required": True}
    api.create("scheduledjobs", namespace, echo(DAYS, mode))
    api.until_ready(namespace, "sweep")
    status = api.until_finished(namespace, api.run_now(namespace, "sweep", parameters={"days": "0", "mod": "fast"}))
    assert (status["phase"], status["reason"]) == ("Skipped", "InvalidParameters")
    for words in (
        'spec.parameters.days: found "0"; use at least 1',
        "spec.parameters.mod: the ScheduledJob has no such parameter; did you mean mode?",
        "spec.parameters.mode: required; add it: one of fast, thorough",
    ):
        assert words in status["message"]
    assert api.select("jobs", namespace) == []
    definition = api.get("scheduledjobs", namespace, "sweep")
    assert condition(definition, "Ready") == "True", "what one run asks for makes no definition unready"
    assert (
        api.until_finished(namespace, api.run_now(namespace, "sweep", parameters={"mode": "fast"}))["phase"]
        == "Succeeded"
    )


@together
def test_template_that_hides_a_parameter_is_refused(api: Api, namespace: str) -> None:
    """The API server cannot tell, the operator can."""
    body = echo(DAYS)
    pod = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0]["env"] = [{"name": "PARAM_DAYS", "value": "1"}]
    api.create("scheduledjobs", namespace, body)
    said = condition(api.until_ready(namespace, "sweep", "False"), "Ready", "message")
    assert "containers[0].env[0].name: found PARAM_DAYS, the variable of the parameter days" in said


@together
def test_history_tells_who_asked(api: Api, namespace: str) -> None:
    """Also once the JobRun is gone. What keeps the name honest is a policy of the chart (tests/cluster)."""
    api.create("scheduledjobs", namespace, echo(DAYS))
    api.until_finished(namespace, api.run_now(namespace, "sweep", parameters={"days": "2"}, requestedBy="alice"))
    definition = api.until(
        "scheduledjobs", namespace, "sweep", lambda it: it["status"].get("history"), "the run in its history"
    )
    assert definition["status"]["history"][0]["requestedBy"] == "alice"
    described = api.cluster.kubectl("--namespace", namespace, "describe", "scheduledjob", "sweep").stdout
    assert re.search(r"Requested By: +alice$", described, re.MULTILINE)


@together
def test_secret_is_given_by_reference(api: Api, namespace: str) -> None:
    """As docs/runs.md has it: the template names the Secret, and no run ever holds what is in it."""
    api.create("secrets", namespace, {"metadata": {"name": "upload"}, "stringData": {"token": "hunter2"}})
    body = scheduled_job("upload", 'echo "$PARAM_TARGET ${#TOKEN}"', parameters=[{"name": "target"}])
    pod = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    reference = {"secretKeyRef": {"name": "upload", "key": "token"}}
    pod["containers"][0]["env"] = [{"name": "TOKEN", "valueFrom": reference}]
    api.create("scheduledjobs", namespace, body)
    run = api.run_now(namespace, "upload", parameters={"target": "archive"})
    assert output(api, namespace, run) == "archive 7\n"
    job = api.get("jobruns", namespace, run)["status"]["steps"][0]["job"]
    for kind, name in (("jobruns", run), ("jobs", job)):
        assert "hunter2" not in str(api.get(kind, namespace, name))
