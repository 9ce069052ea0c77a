"""The CEL rules about parameters: what a definition may ask of a value, and whether its default fits.

What a JobRun gives is judged by the operator: at admission, one object does not see another.
"""

from carillon.api.parameters import INTEGER_SHAPE, NUMBER_SHAPE, VALUES_BYTES
from carillon.api.rules import Rule

_QUANTIFIER = r"([?*+]|\{[0-9]{1,3}(,([0-9]{1,3})?)?\})\??"
_SIGNS = r"-\\.+*?()|\[\]{}^$/"
_MEMBER = rf"([^-\\\[\]]|\\[{_SIGNS}ntr])"
_CLASS = rf"\[\^?-?({_MEMBER}(-{_MEMBER})?|\\[dDwWsS])*-?\]"
_ATOM = rf"(\)|\\[{_SIGNS}dDwWsSntr]|{_CLASS}|[^\\^$|?*+()\[\]{{}}])"
PATTERN_SHAPE = rf"^([\^$|]|\((\?:)?|{_ATOM}({_QUANTIFIER})?)*$"
"""The regular expressions that RE2 and `carillon.engine.expressions` read alike; of those, a part does not compile."""
PATTERN_CURE = r"write it with . [a-z] [^a-z] \d \w \s (…) (?:…) | ? * + {2,5} ^ $, and \ before other signs"

TYPE = "self.?type.orValue('String')"
"""In an expression: the type, which may be left out."""
WHOLE_NUMBER = "a whole number such as 30, of at most 18 digits, without plus and leading zeros"
ANY_NUMBER = "a number such as 0.5 or 1e6, of at most 15 digits before and after the point"
_NUMERIC = (
    ("Integer", INTEGER_SHAPE, "int", WHOLE_NUMBER),
    ("Number", NUMBER_SHAPE, "double", ANY_NUMBER),
)


def _numeric_rules() -> list[Rule]:
    rules: list[Rule] = []
    for kind, shape, convert, what in _NUMERIC:
        rules += [
            Rule(
                path="spec.parameters.items",
                rule=f"{TYPE} != '{kind}' || !has(self.{field}) || self.{field}.matches(r'{shape}')",
                message=f"write {what}",
                message_expression=f"'found ' + self.{field} + '; write {what}'",
                field_path=f".{field}",
            )
            for field in ("minimum", "maximum", "default")
        ]
        for lower, upper, blamed, cure in (
            ("minimum", "maximum", "maximum", "which lies below the minimum ' + self.minimum + '; exchange them"),
            ("minimum", "default", "default", "which lies below the minimum ' + self.minimum + '; use at least that"),
            ("default", "maximum", "default", "which lies above the maximum ' + self.maximum + '; use at most that"),
        ):
            readable = " && ".join(f"self.{field}.matches(r'{shape}')" for field in (lower, upper))
            rules.append(
                Rule(
                    path="spec.parameters.items",
                    rule=f"{TYPE} != '{kind}' || !has(self.{lower}) || !has(self.{upper}) || !({readable}) "
                    f"|| {convert}(self.{lower}) <= {convert}(self.{upper})",
                    message="has to lie between minimum and maximum",
                    message_expression=f"'found ' + self.{blamed} + ', {cure}'",
                    field_path=f".{blamed}",
                )
            )
    return rules


PARAMETER_RULES = (
    Rule(
        path="spec",
        rule="!has(self.parameters) || ((!has(self.triggers) || self.triggers.size() == 0) "
        "&& (!has(self.autoStart) || !self.autoStart)) "
        "|| self.parameters.all(p, !has(p.required) || !p.required || has(p.default))",
        message="one is required and has no default, and runs of triggers and autoStart give none; write a default, or "
        "set required: false",
        field_path=".parameters",
    ),
    Rule(
        path="spec.parameters.items",
        rule=f"{TYPE} != 'Enum' || (has(self.enum) && self.enum.size() > 0)",
        message="write the values to choose from, or use another type",
        field_path=".enum",
        reason="FieldValueRequired",
    ),
    *(
        Rule(
            path="spec.parameters.items",
            rule=f"{TYPE} in [{', '.join(repr(kind) for kind in kinds)}] || {absent}",
            message=f"{field} goes with type {' and '.join(kinds)} only; remove it, or use that type",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field, kinds, absent in (
            ("enum", ("Enum",), "!has(self.enum) || self.enum.size() == 0"),
            ("pattern", ("String",), "!has(self.pattern)"),
            ("minimum", ("Integer", "Number"), "!has(self.minimum)"),
            ("maximum", ("Integer", "Number"), "!has(self.maximum)"),
        )
    ),
    *_numeric_rules(),
    Rule(
        path="spec.parameters.items",
        rule=f"{TYPE} != 'Boolean' || !has(self.default) || self.default in ['true', 'false']",
        message="write true or false, in quotes",
        message_expression="'found ' + self.default + '; write true or false, in quotes'",
        field_path=".default",
    ),
    Rule(
        path="spec.parameters.items",
        rule=f"{TYPE} != 'Enum' || !has(self.default) || !has(self.enum) || self.default in self.enum",
        message="use one of enum",
        message_expression="'found ' + self.default + '; use one of enum'",
        field_path=".default",
    ),
    Rule(
        path="spec.parameters.items.pattern",
        rule=f"self.matches(r'{PATTERN_SHAPE}')",
        message=PATTERN_CURE,
        message_expression=f"'found ' + self + r'; {PATTERN_CURE}'",
    ),
    Rule(
        path="spec.parameters.items.pattern",
        # Always true, unless it cannot be read: the API server then says why.
        rule=f"!self.matches(r'{PATTERN_SHAPE}') || ''.matches(self) || !''.matches(self)",
        message="it is no regular expression",
    ),
    Rule(
        path="spec.parameters.items",
        rule=f"{TYPE} != 'String' || !has(self.pattern) || !self.pattern.matches(r'{PATTERN_SHAPE}') "
        "|| !has(self.default) || self.default.matches(self.pattern)",
        message="has to match the pattern",
        message_expression="'found ' + self.default + ', which does not match ' + self.pattern",
        field_path=".default",
    ),
)

RUN_PARAMETER_RULES = (
    Rule(
        path="spec.parameters",
        rule=f"self.map(name, name.size() + bytes(self[name]).size()).sum() <= {VALUES_BYTES}",
        message=f"names and values have more than {VALUES_BYTES} bytes together; put them into a ConfigMap or a file, "
        "and its name here",
    ),
)
