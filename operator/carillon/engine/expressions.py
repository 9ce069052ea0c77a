r"""Regular expressions that the API server and we read alike, and that no value can make us think about for long.

`matches` in CEL is RE2. Python's `re` reads much of it differently (`\d` takes every script's digits, `$` stands before
a last newline, too) and takes exponential time for `(a+)+$`: one definition would stop the operator. So `pattern` is
held to the part that is written everywhere alike (`PATTERN_SHAPE`, a rule of the CRD as well), and matched by the
engine that pydantic has, which is linear as RE2 is. What that one would read differently is written anew for it.
"""

import re
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from carillon.api.parameter_rules import PATTERN_CURE, PATTERN_SHAPE

_SHAPE = re.compile(PATTERN_SHAPE)
_CLASS = re.compile(r"\[(?P<negated>\^?)(?P<body>(?:\\.|[^\\\]])*)\]", re.DOTALL)
_TOKEN = re.compile(r"\\.|.", re.DOTALL)
_ASCII = {
    r"\d": r"[0-9]",
    r"\D": r"[^0-9]",
    r"\w": r"[0-9A-Za-z_]",
    r"\W": r"[^0-9A-Za-z_]",
    r"\s": r"[\t\n\x0C\r ]",
    r"\S": r"[^\t\n\x0C\r ]",
}
_CONTROL = {r"\n", r"\t", r"\r"}
_REPEATED = re.compile(r"\{(\d+)(,(\d*))?\}|[*+?]")

LONGEST = 1_000
"""So many characters or classes a pattern may stand for when its repetitions are written out."""
KEPT = 32
"""Patterns that are kept ready. Of the longest, each takes 3.5 ms to read, and up to 1.8 MB when it has matched."""


class ExpressionError(ValueError):
    """The text is no regular expression of ours; the message says why, and what would be right."""


class Expression:
    """A regular expression that can be matched in time linear in the value."""

    def __init__(self, validator: SchemaValidator) -> None:
        self._validator = validator

    def matches(self, value: str) -> bool:
        """Whether it is found anywhere in the value, as `matches` in CEL finds it."""
        try:
            self._validator.validate_python(value)
        except ValidationError:
            return False
        return True


@lru_cache(maxsize=KEPT)
def expression(pattern: str) -> Expression:
    """Read a pattern.

    Raises:
        ExpressionError: the API server would refuse it, or might read it differently.
    """
    if not _SHAPE.fullmatch(pattern):
        raise ExpressionError(PATTERN_CURE)
    if (found := _length(pattern)) > LONGEST:
        raise ExpressionError(
            f"it stands for {found} characters when its repetitions are written out; {LONGEST} are allowed,"
            " so repeat less, for example [a-z]+ for [a-z]{1,2000}"
        )
    schema = core_schema.str_schema(pattern=_rewritten(pattern), regex_engine="rust-regex")
    try:
        return Expression(SchemaValidator(schema))
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].strip().removeprefix("error: ")
        raise ExpressionError(f"it is no regular expression: {reason}") from None


def _length(pattern: str) -> int:
    """How many characters or classes the pattern has when its repetitions are written out."""
    groups, last, position = [0], 0, 0
    while position < len(pattern):
        if (repeated := _REPEATED.match(pattern, position)) is not None:
            least, most = repeated[1], repeated[3]
            times = max(int(most or 0), int(least or 0) + (repeated[2] == ","), 1)
            groups[-1] += last * (times - 1)
            last *= times
            position = repeated.end()
            continue
        found = _CLASS.match(pattern, position) or _TOKEN.match(pattern, position)
        assert found is not None
        if found[0] == "(":
            groups.append(0)
            last = 0
        elif found[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        else:
            last = 1
            groups[-1] += 1
        position = found.end()
    return sum(groups)


def _rewritten(pattern: str) -> str:
    """The same expression without what another engine reads differently: `&&` in a class, and digits of any script."""
    parts, position = [], 0
    while position < len(pattern):
        if (found := _CLASS.match(pattern, position)) is not None:
            if not found["body"]:
                raise ExpressionError("found a class without a character; write what it stands for, for example [a-z]")
            members = _TOKEN.findall(found["body"])
            parts.append(f"[{found['negated']}{''.join(_member(members, place) for place in range(len(members)))}]")
        else:
            found = _TOKEN.match(pattern, position)
            assert found is not None
            parts.append(_escaped(found[0]) if found[0].startswith("\\") else found[0])
        position = found.end()
    return "".join(parts)


def _member(members: list[str], place: int) -> str:
    token = members[place]
    if token == "-" and 0 < place < len(members) - 1:
        return token
    return _escaped(token)


def _escaped(token: str) -> str:
    """One character as its number, which means the same everywhere."""
    return _ASCII.get(token) or (token if token in _CONTROL else rf"\x{{{ord(token[-1]):x}}}")
