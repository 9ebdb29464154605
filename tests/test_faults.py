"""tests/FAULTS.md against the tests: what it names is there, and no fault is left out or named
twice."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = re.findall(
    r"^\| (\d+) \| [^|]+ \| (.+) \|$",
    (TESTS / "FAULTS.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_the_list_is_whole() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 87))


@pytest.mark.parametrize(("number", "named"), ROWS)
def test_its_tests_are_there(number: str, named: str) -> None:
    tests = re.findall(r"`([^`]+)::(test_\w+)`", named)
    assert tests, f"fault {number} names no test"
    for file, test in tests:
        functions = {
            node.name
            for node in ast.walk(ast.parse((TESTS / file).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        assert test in functions, f"fault {number}: no {test} in {file}"
