"""docs/security.md cites tests by name; each of them is there."""

import re

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
CITED = re.findall(r"`((?:tests/[a-z0-9_/]+/)?test_[a-z0-9_]+\.py)?((?:::\w+)*)`", PAGE)


def cited() -> list[tuple[str, str]]:
    """Files and names, in the order of the page: a bare file name is one named in full before, `::name` of the last."""
    found: list[tuple[str, str]] = []
    full: dict[str, str] = {}
    path = ""
    for file, names in CITED:
        if "/" in file:
            full[file.rpartition("/")[2]] = file
        if file:
            path = full.get(file.rpartition("/")[2], file)
        if file or names:
            found.append((path, names.removeprefix("::")))
    return found


@pytest.mark.parametrize(("path", "names"), cited())
def test_what_is_cited_is_there(path: str, names: str) -> None:
    text = (REPOSITORY / path).read_text()
    for name in filter(None, names.split("::")):
        assert re.search(rf"^\s*(async )?(def|class) {name}\b", text, re.MULTILINE), name


def test_every_line_cites_one() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    assert [row for row in rows if "test_" not in row and not row.rstrip().endswith("test |")] == []
    assert len(cited()) > 40


@pytest.mark.parametrize("table", sorted(set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+){2,}\b", PAGE))))
def test_tables_of_the_policies_that_are_cited_are_there(table: str) -> None:
    assert f"\n{table} = [" in (REPOSITORY / "tests/cluster/test_policies.py").read_text()
