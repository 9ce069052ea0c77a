"""Regular expressions that the API server and the operator read alike."""

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from carillon.engine.expressions import ExpressionError, _length, expression
from tests.expressions import FOUND, NOT_FOUND, NOT_OF_THE_SHAPE, UNREAD


@pytest.mark.parametrize(("pattern", "value"), FOUND)
def test_what_re2_finds_is_found(pattern: str, value: str) -> None:
    assert expression(pattern).matches(value)


@pytest.mark.parametrize(("pattern", "value"), NOT_FOUND)
def test_what_re2_does_not_find_is_not_found_and_soon(pattern: str, value: str) -> None:
    began = time.process_time()
    assert not expression(pattern).matches(value)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("pattern", UNREAD)
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(ExpressionError, match=r"it is no regular expression|without a character"):
        expression(pattern)


@pytest.mark.parametrize("pattern", NOT_OF_THE_SHAPE)
def test_what_engines_read_differently_is_refused_with_what_may_be_written(pattern: str) -> None:
    with pytest.raises(ExpressionError, match="write it with"):
        expression(pattern)


def test_an_expression_that_grows_too_large_is_refused() -> None:
    with pytest.raises(ExpressionError, match="996005996001 characters"):
        expression("(((.{999}){999}){999}){999}")


PIECES = st.sampled_from(
    (
        *("a", "b", "Z", "0", "&", "~", "-", "é", ".", "^", "$", "|", "(", ")", "(?:"),
        *(r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\n", r"\.", r"\\", r"\$", r"\-"),
        *("[a-c]", "[^a-c]", "[&&a]", "[a~~]", r"[\d&]", r"[^\w]", r"[-\]]", "[+-.]", r"[\W]", r"[^\S]"),
        *("?", "*", "+", "??", "{2}", "{1,2}", "{1,}?"),
    )
)
VALUES = st.text("abcZ09 .-+,&~$\\]\n\té日٣", max_size=6)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Python's own plans for && and ~~
@given(pieces=st.lists(PIECES, min_size=1, max_size=6), values=st.lists(VALUES, min_size=1, max_size=8))
def test_it_means_what_it_means_elsewhere(pieces: list[str], values: list[str]) -> None:
    """Python's engine is another one; with ASCII's classes, and `$` at the very end, it has to find the same."""
    try:
        ours = expression("".join(pieces))
    except ExpressionError:
        assume(False)
    theirs = re.compile("".join(r"\Z" if piece == "$" else piece for piece in pieces), re.ASCII)
    for value in values:
        assert ours.matches(value) == bool(theirs.search(value)), value


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("abc", 3),
        ("[a-z]{3,}", 4),
        ("a{2}{3}", 6),
        ("(ab){10}", 20),
        ("((ab){10}c){5}", 105),
        ("(?:x|y){4}", 16),
        (r"\d{4}-\d{2}", 7),
        ("[^a]{999}" * 9, 8_991),
    ],
)
def test_a_pattern_is_as_long_as_with_its_repetitions_written_out(pattern: str, length: int) -> None:
    assert _length(pattern) == length


def test_patterns_that_stand_for_much_are_refused_before_they_take_memory() -> None:
    """Each took some ten megabytes, and a quarter of a second: a few definitions ended the process of all."""
    with pytest.raises(ExpressionError, match=r"stands for 8991 characters when .* 1000 are allowed"):
        expression("[^a]{999}" * 9)
    assert expression("^[a-z0-9-]{1,253}$").matches("a-1")
