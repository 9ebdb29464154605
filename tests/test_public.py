"""The public API: its names, where they live, and that importing it costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import edgekit
from tests.support.annotations import reachable_types

PAGE = Path(edgekit.__file__).with_name("API.md")
ALIASES = {"Target", "__version__"}
"""Names that are no function and no class."""


def test_every_public_name_is_there_and_documented() -> None:
    assert set(edgekit.__all__) <= set(dir(edgekit))
    for name in edgekit.__all__:
        value = getattr(edgekit, name)
        assert name in ALIASES or (value.__name__ == name and value.__doc__), name


def test_type_checkers_see_the_same_names() -> None:
    """The imports for type checkers and the table say the same."""
    tree = ast.parse(Path(edgekit.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == edgekit.HOMES


def test_what_functions_take_and_give_is_exported() -> None:
    exported = [getattr(edgekit, name) for name in edgekit.__all__]
    ways = reachable_types(exported)
    assert {edgekit.Bundle, edgekit.Finding, edgekit.HostKey, edgekit.MemoryMark} <= set(ways)
    assert {kind.__name__: way for kind, way in ways.items() if kind not in exported} == {}


def test_the_page_names_every_function_and_type() -> None:
    words = set(re.findall(r"\b\w+\b", PAGE.read_text(encoding="utf-8")))
    assert set(edgekit.__all__) - {"__version__"} - words == set()


def test_importing_costs_nothing_and_no_name_needs_torch() -> None:
    code = (
        "import sys, edgekit; assert 'numpy' not in sys.modules; assert 'pydantic' not in"
        " sys.modules; [getattr(edgekit, n) for n in edgekit.__all__]; assert 'torch' not in"
        " sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name() -> None:
    assert not hasattr(edgekit, "no_such_name")
