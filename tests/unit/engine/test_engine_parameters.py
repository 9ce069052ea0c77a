"""Parameters: which values a run may have, what is said about the others, and what reaches the containers."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.parameters import Parameter, ParameterType
from carillon.engine import build
from carillon.engine.decide import decide
from carillon.engine.history import Current, execution
from carillon.engine.native import cron_job_body
from carillon.engine.parameters import environment, refusal, value_problem, variable
from carillon.engine.plan import CreateJob
from tests.unit.engine.builders import (
    HOURLY,
    Body,
    a_definition,
    a_run,
    a_template,
    at,
    each,
    outcome,
    run_status,
    snapshot,
)


def a_parameter(name: str = "value", **fields: Any) -> Parameter:
    return Parameter.model_validate({"name": name, **fields})


DAYS: Body = {"name": "days", "type": "Integer", "default": "30", "minimum": "1", "maximum": "365"}
MODE: Body = {"name": "mode", "type": "Enum", "enum": ["fast", "thorough"], "required": True}

TAKES: list[tuple[Body, list[str], list[str]]] = [
    ({"type": "String"}, ["", "a", "two\nlines", "$(HOME)", "日本", "'\"`", "\t\x01"], []),
    ({"type": "String", "pattern": "^[a-z]+$"}, ["abc"], ["", "Abc", "abc\n"]),
    (
        {"type": "Integer"},
        ["0", "-0", "7", "-7", "999999999999999999"],
        ["", " 7", "7 ", "7\n", "+7", "07", "7.0", "1e3", "0x10", "1_000", "٣", "seven", "1000000000000000000"],
    ),
    ({"type": "Integer", "minimum": "-3", "maximum": "10"}, ["-3", "0", "10"], ["-4", "11"]),
    (
        {"type": "Number"},
        ["0", "-1", "0.5", "1e6", "-2.5E-3", "1e-99"],
        ["", ".5", "5.", "+1", "01", "1,5", "nan", "inf", "1e999", "1_0", "0x1p3", "1e6 ", "½"],
    ),
    ({"type": "Number", "minimum": "0.1", "maximum": "1e2"}, ["0.1", "0.10", "100", "1E2"], ["0.09", "100.5", "-1"]),
    ({"type": "Boolean"}, ["true", "false"], ["", "True", "yes", "1", "true "]),
    ({"type": "Enum", "enum": ["fast", "thorough"]}, ["fast", "thorough"], ["", "Fast", "fast ", "slow"]),
]


@pytest.mark.parametrize(("rule", "value"), [(rule, value) for rule, good, _ in TAKES for value in good])
def test_a_value_that_fits_is_taken(rule: Body, value: str) -> None:
    assert value_problem(a_parameter(**rule), value) == ""


@pytest.mark.parametrize(("rule", "value"), [(rule, value) for rule, _, bad in TAKES for value in bad])
def test_a_value_that_does_not_fit_is_refused(rule: Body, value: str) -> None:
    assert value_problem(a_parameter(**rule), value).startswith("found ")


@pytest.mark.parametrize(
    ("parameters", "given", "words"),
    [
        ([DAYS], {}, ""),
        ([DAYS], {"days": "7"}, ""),
        (
            [DAYS],
            {"days": "01"},
            'spec.parameters.days: found "01"; write a whole number such as 30, of at most 18 digits, without plus and '
            "leading zeros, at least 1 and at most 365",
        ),
        ([DAYS], {"days": "0"}, 'spec.parameters.days: found "0"; use at least 1 and at most 365'),
        ([MODE], {}, "spec.parameters.mode: required; add it: one of fast, thorough"),
        ([MODE], {"mode": "slow"}, 'spec.parameters.mode: found "slow"; write one of fast, thorough'),
        ([{**MODE, "default": "fast"}], {}, ""),
        (
            [DAYS],
            {"dasy": "7"},
            "spec.parameters.dasy: the ScheduledJob has no such parameter; did you mean days?",
        ),
        (
            [DAYS, MODE],
            {"x": "7", "mode": "fast"},
            "spec.parameters.x: the ScheduledJob has no such parameter; remove it, or use one of days, mode",
        ),
        ([], {"x": "7"}, "spec.parameters.x: the ScheduledJob takes no parameters; remove it"),
        (
            [{"name": "a", "type": "Boolean"}, {"name": "b", "pattern": "^x"}, MODE],
            {"a": "yes", "b": "y", "mod": "fast"},
            'spec.parameters.a: found "yes"; write true or false, in quotes; '
            'spec.parameters.b: found "y"; write a text that matches ^x; '
            "spec.parameters.mod: the ScheduledJob has no such parameter; did you mean mode?; "
            "spec.parameters.mode: required; add it: one of fast, thorough",
        ),
    ],
)
def test_everything_that_is_wrong_with_a_run_is_said(
    parameters: list[Body], given: Mapping[str, str], words: str
) -> None:
    assert refusal([Parameter.model_validate(parameter) for parameter in parameters], given) == words


def test_what_was_found_is_not_repeated_at_length() -> None:
    words = refusal([a_parameter(type="Boolean")], {"value": "x" * 1024, "y" * 1000: ""})
    assert len(words) < 400


def test_of_many_choices_a_few_are_named() -> None:
    choices = [f"choice-{n}" for n in range(32)]
    words = value_problem(a_parameter(type="Enum", enum=choices), "x")
    assert words.endswith("choice-6, choice-7, and 24 more")


class TestDefinition:
    @pytest.mark.parametrize(
        ("parameter", "words"),
        [
            ({"default": "x", "pattern": "^[a-z]$"}, ""),
            ({"type": "Enum"}, "[0].enum: write the values to choose from, or use another type"),
            ({"enum": ["a"]}, "[0].enum: goes with type Enum only; remove it, or use that type"),
            (
                {"type": "Integer", "pattern": "a"},
                "[0].pattern: goes with type String only; remove it, or use that type",
            ),
            (
                {"type": "Boolean", "minimum": "1"},
                "[0].minimum: goes with type Integer and Number only; remove it, or use that type",
            ),
            ({"maximum": "1"}, "[0].maximum: goes with type Integer and Number only; remove it, or use that type"),
            ({"type": "Integer", "minimum": "1.5"}, "[0].minimum: found 1.5; write a whole number"),
            ({"type": "Number", "maximum": "much"}, "[0].maximum: found much; write a number"),
            (
                {"type": "Integer", "minimum": "9", "maximum": "10", "default": "8"},
                '[0].default: found "8"; use at least 9 and at most 10',
            ),
            (
                {"type": "Integer", "minimum": "10", "maximum": "9"},
                "[0].maximum: found 9, which lies below the minimum 10; exchange them",
            ),
            ({"type": "Boolean", "default": "no"}, '[0].default: found "no"; write true or false'),
            ({"type": "Enum", "enum": ["a"], "default": "b"}, '[0].default: found "b"; write one of a'),
            ({"pattern": "("}, '[0].pattern: found "("; it is no regular expression: unclosed group'),
            ({"pattern": "(?i)a"}, '[0].pattern: found "(?i)a"; write it with . [a-z]'),
            ({"pattern": "^a$", "default": "b"}, '[0].default: found "b"; write a text that matches ^a$'),
        ],
    )
    def test_a_parameter_that_makes_no_sense_is_refused(self, parameter: Body, words: str) -> None:
        invalid = a_definition(parameters=[{"name": "p", **parameter}]).invalid
        assert invalid.startswith(f"spec.parameters{words}") if words else not invalid, invalid

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"autoStart": True}, "spec.autoStart"),
            ({"triggers": [{"name": "t", "cron": HOURLY}]}, "spec.triggers"),
            ({}, ""),
        ],
    )
    def test_runs_that_nobody_can_tell_have_to_have_a_default(self, spec: Body, words: str) -> None:
        required: Body = {"name": "p", "required": True}
        invalid = a_definition(parameters=[DAYS, required], **spec).invalid
        assert invalid == (
            f"spec.parameters[1].default: required, and nobody gives a value to the runs of {words}; write one, or set "
            "required: false"
            if words
            else ""
        )
        assert not a_definition(parameters=[DAYS, {**required, "default": "x"}], **spec).invalid

    def test_a_name_is_given_once(self) -> None:
        invalid = a_definition(parameters=[DAYS, MODE, DAYS]).invalid
        assert invalid == "spec.parameters[2].name: found days twice; give each parameter its own name"

    @pytest.mark.parametrize("kind", ["containers", "initContainers"])
    def test_a_variable_of_the_templates_own_may_not_stand_in_for_a_parameter(self, kind: str) -> None:
        """It would win, and Run Now would be told in vain."""
        container = {"name": "c", "image": "i", "env": [{"name": "OTHER"}, {"name": "PARAM_DAYS", "value": "1"}]}
        template = a_template(**{kind: [{"name": "b", "image": "i"}, container]})
        assert a_definition(parameters=[DAYS], jobTemplate=template).invalid == (
            f"spec.jobTemplate.spec.template.spec.{kind}[1].env[1].name: found PARAM_DAYS, the variable of the "
            "parameter days; rename one of them"
        )
        assert not a_definition(parameters=[MODE], jobTemplate=template).invalid

    def test_a_parameter_that_is_not_understood_stops_the_definition_and_says_so(self) -> None:
        definition = a_definition(HOURLY, parameters=[{**DAYS, "default": "0"}])
        run = a_run()
        assert outcome(decide(snapshot(definition, run), at("12:00")), run) == ("Skipped", "Invalid")


class TestRun:
    DEFINITION = a_definition(HOURLY, handled="12:00", parameters=[DAYS])

    def test_one_with_wrong_values_is_skipped_and_says_why(self) -> None:
        run = a_run(parameters={"days": "many", "hours": "1"})
        plan = decide(snapshot(self.DEFINITION, run), at("12:00"))
        assert outcome(plan, run) == ("Skipped", "InvalidParameters")
        message = run_status(plan, run).message
        assert 'spec.parameters.days: found "many"; write a whole number' in message
        assert "spec.parameters.hours: the ScheduledJob has no such parameter" in message
        assert each(plan, CreateJob) == []

    @pytest.mark.parametrize(("given", "value"), [({}, "30"), ({"days": "7"}, "7")])
    def test_one_with_good_values_gets_them(self, given: dict[str, str], value: str) -> None:
        run = a_run(parameters=given)
        (create,) = each(decide(snapshot(self.DEFINITION, run), at("12:00")), CreateJob)
        assert variables(create.body)[0] == {"name": "PARAM_DAYS", "value": value}

    def test_a_due_time_gets_the_defaults(self) -> None:
        (create,) = each(decide(snapshot(self.DEFINITION, a_run("12:00")), at("12:00")), CreateJob)
        assert variables(create.body)[0] == {"name": "PARAM_DAYS", "value": "30"}

    def test_a_line_of_history_says_who_asked(self) -> None:
        run = a_run(phase="Succeeded", ended="12:01", requestedBy="alice")
        assert execution(Current(run, run.status)).requested_by == "alice"


def variables(job: Body, kind: str = "containers") -> list[Body]:
    return list(job["spec"]["template"]["spec"][kind][0]["env"])


class TestContainers:
    def test_every_container_has_them_before_all_others(self) -> None:
        container = {"name": "main", "image": "i", "env": [{"name": "MINE", "value": "$(PARAM_DAYS)"}]}
        template = a_template(containers=[container], initContainers=[container])
        body = build.job_body(
            a_definition(parameters=[DAYS, {"name": "dry-run"}], jobTemplate=template),
            a_run(parameters={"days": "7"}),
            "j",
        )
        for kind in ("containers", "initContainers"):
            assert variables(body, kind) == [
                {"name": "PARAM_DAYS", "value": "7"},
                {"name": "PARAM_DRY_RUN", "value": ""},
                {"name": "CARILLON_RUN", "value": a_run().name},
                {"name": "MINE", "value": "$(PARAM_DAYS)"},
            ]

    def test_the_dry_run_of_the_template_has_them(self) -> None:
        body = build.trial_job_body(a_definition(parameters=[DAYS, MODE]))
        assert variables(body)[:2] == [{"name": "PARAM_DAYS", "value": "30"}, {"name": "PARAM_MODE", "value": ""}]

    def test_the_jobs_of_the_native_backend_have_the_defaults(self) -> None:
        definition = a_definition("0 3 * * *", backend="CronJob", parameters=[DAYS])
        assert not definition.invalid
        assert variables(cron_job_body(definition)["spec"]["jobTemplate"])[0] == {"name": "PARAM_DAYS", "value": "30"}


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """What Kubernetes makes of a value, a command or an argument; tests/e2e/test_parameters.py asks Kubernetes itself.

    `$(NAME)` is replaced where the name is known, `$$` is one `$`, and everything else stays.
    """

    def replaced(found: "re.Match[str]") -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replaced, text)


NAMES = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?\Z")
SEQUENCES = st.lists(
    st.sampled_from(("$", "$$", "$(", "$(PARAM_A)", "$(HOME)", "${HOME}", "`id`", ")", "\n", "'", '"', "\\", "é", " "))
)
VALUES = st.one_of(st.text(st.characters(exclude_characters="\0", codec="utf-8")), SEQUENCES.map("".join))


class TestValuesAreNeverRead:
    @given(value=VALUES, other=VALUES)
    def test_a_value_reaches_the_container_as_it_was_given(self, value: str, other: str) -> None:
        parameters = [a_parameter("a"), a_parameter("b")]
        seen: dict[str, str] = {"HOME": "/root"}
        for entry in environment(parameters, {"a": value, "b": other}):
            seen[entry["name"]] = expanded(entry["value"], seen)
        assert (seen["PARAM_A"], seen["PARAM_B"]) == (value, other)
        assert expanded("--a=$(PARAM_A)", seen) == f"--a={value}"

    @given(value=VALUES, kind=st.sampled_from(sorted(ParameterType)))
    def test_whatever_is_accepted_is_what_was_given(self, value: str, kind: ParameterType) -> None:
        choices: Body = {"enum": ["x", "y"]} if kind is ParameterType.ENUM else {}
        parameter = a_parameter(type=kind, **choices)
        words = refusal([parameter], {"value": value})
        if not words:
            [entry] = environment([parameter], {"value": value})
            assert expanded(entry["value"], {}) == value

    @given(one=NAMES, other=NAMES)
    def test_two_parameters_never_share_a_variable(self, one: str, other: str) -> None:
        assert (variable(one) == variable(other)) == (one == other)

    @given(name=NAMES)
    def test_a_variable_has_a_name_that_every_shell_takes(self, name: str) -> None:
        assert re.fullmatch(r"PARAM_[A-Z0-9_]+", variable(name))
