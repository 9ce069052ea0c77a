"""Parameters: what a definition lets its runs be told, what a run was told, and what its containers get of it.

Values reach containers as environment variables and by Kubernetes' own expansion, unchanged; nothing here ever puts one
into the text of a command. Everything that is wrong is said at once, by parameter, with what was found and the cure.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carillon.api.parameter_rules import ANY_NUMBER, WHOLE_NUMBER
from carillon.api.parameters import INTEGER_SHAPE, NUMBER_SHAPE, Parameter, ParameterType
from carillon.api.scheduledjob import ScheduledJobSpec
from carillon.engine.expressions import ExpressionError, expression

PREFIX = "PARAM_"
_FOUND_LENGTH = 60
_FEW = 8
"""Names and values that are listed in a message."""
_NUMERIC = {
    ParameterType.INTEGER: (re.compile(INTEGER_SHAPE), int, WHOLE_NUMBER),
    ParameterType.NUMBER: (re.compile(NUMBER_SHAPE), float, ANY_NUMBER),
}
_POD = "spec.jobTemplate.spec.template.spec"


def variable(name: str) -> str:
    """Name of the environment variable that holds a parameter; no two parameters have the same one."""
    return PREFIX + name.upper().replace("-", "_")


def environment(parameters: Sequence[Parameter], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The variables of a container: every parameter has one, empty where there is neither a value nor a default.

    Kubernetes expands `$(NAME)` in the value of a variable and reads `$$` as one `$` there, so every `$` is doubled:
    the container sees the value as it was given.

    Args:
        parameters: those of the definition.
        given: what the run was told; values that `refusal` has let through.
    """
    values = {parameter.name: given.get(parameter.name, parameter.default or "") for parameter in parameters}
    return [{"name": variable(name), "value": value.replace("$", "$$")} for name, value in values.items()]


def refusal(parameters: Sequence[Parameter], given: Mapping[str, str]) -> str:
    """Why a run cannot be given these values: all that is wrong, in words; empty when nothing is.

    Args:
        parameters: those of a definition in which `problems` finds nothing.
        given: spec.parameters of the JobRun.
    """
    return "; ".join(f"spec.parameters.{name}: {words}" for name, words in _refused(parameters, given))


def _refused(parameters: Sequence[Parameter], given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known = {parameter.name: parameter for parameter in parameters}
    for name, value in given.items():
        if name not in known:
            yield _shortened(name), _unknown(name, list(known))
        elif words := value_problem(known[name], value):
            yield name, words
    for parameter in parameters:
        if parameter.required and parameter.default is None and parameter.name not in given:
            yield parameter.name, f"required; add it: {wanted(parameter)}"


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return "the ScheduledJob takes no parameters; remove it"
    near = difflib.get_close_matches(name, known, n=1)
    cure = f"did you mean {near[0]}?" if near else f"remove it, or use one of {_few(known)}"
    return f"the ScheduledJob has no such parameter; {cure}"


def value_problem(parameter: Parameter, value: str) -> str:
    """What is wrong with a value: what was found, and what would be right; empty when nothing is."""
    if parameter.type not in _NUMERIC:
        return "" if _fits(parameter, value) else f"found {_found(value)}; write {wanted(parameter)}"
    shape, number, _ = _NUMERIC[parameter.type]
    if not shape.fullmatch(value):
        return f"found {_found(value)}; write {wanted(parameter)}"
    low, high = parameter.minimum, parameter.maximum
    inside = (low is None or number(low) <= number(value)) and (high is None or number(value) <= number(high))
    return "" if inside else f"found {_found(value)}; use {_bounds(parameter)}"


def _fits(parameter: Parameter, value: str) -> bool:
    match parameter.type:
        case ParameterType.BOOLEAN:
            return value in ("true", "false")
        case ParameterType.ENUM:
            return value in parameter.enum
    return parameter.pattern is None or expression(parameter.pattern).matches(value)


def wanted(parameter: Parameter) -> str:
    """What a value of the parameter looks like, in words."""
    match parameter.type:
        case ParameterType.INTEGER | ParameterType.NUMBER:
            return ", ".join(filter(None, (_NUMERIC[parameter.type][2], _bounds(parameter))))
        case ParameterType.BOOLEAN:
            return "true or false, in quotes"
        case ParameterType.ENUM:
            return f"one of {_few(parameter.enum)}"
        case ParameterType.STRING:
            return f"a text that matches {parameter.pattern}" if parameter.pattern else "a text"


def _bounds(parameter: Parameter) -> str:
    words = (("at least", parameter.minimum), ("at most", parameter.maximum))
    return " and ".join(f"{word} {bound}" for word, bound in words if bound is not None)


def problems(spec: ScheduledJobSpec) -> list[str]:
    """What is wrong with the parameters of a definition, each by field and with the cure.

    The rules of the CRD say most of it at apply.
    """
    found = [
        f"spec.parameters[{index}].{words}"
        for index, parameter in enumerate(spec.parameters)
        for words in (*_rule_problems(parameter), *_default_problems(spec, parameter))
    ]
    names = [parameter.name for parameter in spec.parameters]
    found += [
        f"spec.parameters[{index}].name: found {name} twice; give each parameter its own name"
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    return found + _taken_variables(spec)


def _rule_problems(parameter: Parameter) -> Iterator[str]:
    """What a parameter asks that nothing could fulfil, or that means nothing for its type."""
    kind = parameter.type
    if kind is ParameterType.ENUM and not parameter.enum:
        yield "enum: write the values to choose from, or use another type"
    for field, types in (
        ("enum", (ParameterType.ENUM,)),
        ("pattern", (ParameterType.STRING,)),
        ("minimum", tuple(_NUMERIC)),
        ("maximum", tuple(_NUMERIC)),
    ):
        if getattr(parameter, field) and kind not in types:
            yield f"{field}: goes with type {' and '.join(types)} only; remove it, or use that type"
    if kind is ParameterType.STRING and parameter.pattern is not None:
        try:
            expression(parameter.pattern)
        except ExpressionError as error:
            yield f"pattern: found {_found(parameter.pattern)}; {error}"
    if kind not in _NUMERIC:
        return
    shape, number, what = _NUMERIC[kind]
    bounds = {"minimum": parameter.minimum, "maximum": parameter.maximum}
    wrong = [field for field, bound in bounds.items() if bound is not None and not shape.fullmatch(bound)]
    for field in wrong:
        yield f"{field}: found {bounds[field]}; write {what}"
    low, high = parameter.minimum, parameter.maximum
    if not wrong and low is not None and high is not None and number(high) < number(low):
        yield f"maximum: found {high}, which lies below the minimum {low}; exchange them"


def _default_problems(spec: ScheduledJobSpec, parameter: Parameter) -> Iterator[str]:
    if parameter.default is not None:
        if not any(_rule_problems(parameter)) and (words := value_problem(parameter, parameter.default)):
            yield f"default: {words}"
    elif parameter.required and (spec.triggers or spec.auto_start):
        nobody = "spec.triggers" if spec.triggers else "spec.autoStart"
        yield f"default: required, and nobody gives a value to the runs of {nobody}; write one, or set required: false"


def _taken_variables(spec: ScheduledJobSpec) -> list[str]:
    """A variable of the template's own would stand in for the parameter, and Run Now would be told in vain."""
    parameters = {variable(parameter.name): parameter.name for parameter in spec.parameters}
    pod = ((spec.job_template.get("spec") or {}).get("template") or {}).get("spec") or {}
    return [
        f"{_POD}.{kind}[{container}].env[{place}].name: found {entry['name']}, the variable of the parameter "
        f"{parameters[entry['name']]}; rename one of them"
        for kind in ("initContainers", "containers")
        for container, given in enumerate(pod.get(kind) or ())
        for place, entry in enumerate(given.get("env") or ())
        if entry.get("name") in parameters
    ]


def _few(words: Sequence[str]) -> str:
    return ", ".join([*words[:_FEW], *([f"and {len(words) - _FEW} more"] if len(words) > _FEW else [])])


def _found(value: str) -> str:
    return json.dumps(_shortened(value), ensure_ascii=False)


def _shortened(text: str) -> str:
    return text if len(text) <= _FOUND_LENGTH else f"{text[:_FOUND_LENGTH]}..."
